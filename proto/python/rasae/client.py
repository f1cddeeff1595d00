"""The server, from a program that waits for its answers."""

from __future__ import annotations

import os
import platform
import ssl
from collections.abc import Mapping
from typing import Any

from . import arguments
from .address import Address, Path
from .dictionary import Dictionary
from .exchange import Policy, drive
from .handle import Handle
from .message import Transport
from .pool import PoolTransport
from .records import Info, Server, Unavailable
from .session import Session
from .version import VERSION

USER_AGENT = f"rasae-python/{VERSION} Python/{platform.python_version()}"


class Client:
    """A server of dictionaries.

    url        "http://127.0.0.1:8080", "https://sae.example" or "unix:/run/rasaed/words.sock"; a path behind a host is kept in
               front of every route, for proxies
    key        a key of the server; without it that of the environment's RASAE_KEY, if there is one
    headers    more headers for every request
    timeout    seconds to connect, and to wait for the next bytes of an answer
    retries    how often a request is repeated that the server did not get or put off (503 and 429, after Retry-After), if it
               may be: all may but reload(), load() and unload()
    deadline   seconds for a request with its repeats; None: no end
    ca         for https, a file with the certificates that sign the server's, when the system does not trust it
    context    the same and everything else of TLS; a client with one cannot be pickled
    check_ids  a reply must carry the id of its request. False when a proxy on the way writes ids of its own
    transport  what carries requests (message.Transport), in place of connections to the server

    Any number of threads may share a client; each call in flight has a connection of its own, and connections are kept. A
    forked process may use its parent's client, and clients and dictionaries can be pickled (key included): each process has
    connections of its own. Close it, or use it in a `with`. Every call raises RasaeError (errors.py) when the server refuses.
    """

    def __init__(self, url: str, *, key: str | None = None, headers: Mapping[str, str] | None = None, timeout: float = 60.0,
                 retries: int = 3, deadline: float | None = 300.0, ca: Path | None = None,
                 context: ssl.SSLContext | None = None, check_ids: bool = True, transport: Transport | None = None) -> None:
        address = Address.read(url, ca, context)
        self.url = address.url
        self._session = Session(policy(address, key, headers, timeout, retries, deadline, check_ids))
        self._transport: Transport = transport or PoolTransport(address)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def close(self) -> None:
        """Closes the kept connections. The client can still be used, and then makes new ones."""
        self._transport.close()

    def ready(self) -> bool:
        """The server answers and takes requests. Asks once."""
        return drive(self._session.ready(), self._transport)

    def server(self) -> Server:
        """Its version, what it takes at once, and what the key allows; None where an older server does not say."""
        return drive(self._session.server(), self._transport)

    def dictionaries(self) -> list[Info]:
        """What is served, without `settings`."""
        return drive(self._session.dictionaries(), self._transport)

    def unavailable(self) -> list[Unavailable]:
        """The dictionaries that the server knows and has not loaded, and why."""
        return drive(self._session.unavailable(), self._transport)

    def load(self, name: str) -> Info:
        """Has the server load a dictionary that it knows or that is new in its folder; needs an admin key."""
        return drive(self._session.load(name), self._transport)

    def unload(self, name: str) -> None:
        """Has the server unload a dictionary until it is loaded again; needs an admin key."""
        drive(self._session.unload(name), self._transport)

    def dictionary(self, name: str, *, revision: str | None = None) -> Dictionary:
        """One dictionary. Asks the server for it: NotFoundError when there is none of that name.

        revision: the content that is meant (info.revision); ConflictError when the server has another one under this name, now
        or at any later call. Without it, calls follow what the server loads, and each one is about one content."""
        return Dictionary(drive(Handle.open(self._session, name, revision), self._transport), self._transport)


def policy(address: Address, key: str | None, headers: Mapping[str, str] | None, timeout: float, retries: int,
           deadline: float | None, check_ids: bool) -> Policy:
    """How the requests of a client are made, from its arguments."""
    made: dict[str, Any] = {"user-agent": USER_AGENT,
                            **arguments.headers(headers, key, os.environ.get("RASAE_KEY") or None)}
    return Policy(made, arguments.seconds(timeout, "timeout"), arguments.whole(retries, "retries", 0),
                  None if deadline is None else arguments.seconds(deadline, "deadline"), packed=not address.local,
                  check_ids=check_ids)
