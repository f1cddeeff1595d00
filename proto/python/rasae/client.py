"""The server."""

from __future__ import annotations

import ssl
from urllib.parse import quote

from .dictionary import Dictionary
from .errors import RasaeError
from .records import Info
from .transport import Transport


class Client:
    """A server of dictionaries.

    url      "http://127.0.0.1:8080"; a path in it is kept in front of every route, for proxies
    key      a bearer key, when the server asks for one
    timeout  seconds to connect, and to wait for the next bytes of an answer
    retries  how often a call is repeated whose connection broke (those that change nothing)
    context  for https, when the certificate is not one that the system trusts

    Any number of threads may share one; each call in flight has a connection of its own, and connections are
    kept. A forked process may use its parent's client, and clients and dictionaries can be pickled (key included):
    each process has connections of its own. Close it, or use it in a `with`. Every call raises RasaeError when the
    server refuses.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout: float = 60.0, retries: int = 2,
                 context: ssl.SSLContext | None = None) -> None:
        self._transport = Transport(url, key, timeout, retries, context)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    def close(self) -> None:
        """Closes the kept connections."""
        self._transport.close()

    def ready(self) -> bool:
        """The server answers and takes requests."""
        try:
            return self._transport.request("GET", "/health/ready").status == 200
        except RasaeError:
            return False

    def dictionaries(self) -> list[Info]:
        """What is served, without `settings`."""
        listed = self._transport.request("GET", "/v1/dictionaries").json["dictionaries"]
        return [Info.read(one) for one in listed]

    def dictionary(self, name: str) -> Dictionary:
        """One dictionary. Asks the server for it, so that a name that there is not is known here."""
        return Dictionary(self._transport, name, "/v1/dictionaries/" + quote(name, safe=""))
