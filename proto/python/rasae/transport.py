"""HTTP with the standard library: a pool of kept connections that any number of threads may share.

A server closes connections that were idle for long, and a client learns of it only when it writes to one. So
a request that fails on a kept connection before any answer came is sent once more on a fresh one; all calls
of this package but reload may be repeated safely.

A pool belongs to the process that made it. After a fork parent and child hold the same sockets, and each would
read replies to requests of the other; so the child starts with an empty pool. It closes only its descriptors
of the connections that it inherited: that sends nothing, neither FIN nor TLS's close_notify, and the parent goes
on using them. Beside that, each request carries an id of its own, which the server returns: a reply with another
id is never given to a caller, whatever it was that mixed the replies up.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .errors import RasaeError

_BROKEN = (http.client.HTTPException, ConnectionError, BrokenPipeError)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _MixedUp(Exception):
    """A reply came that answers another request."""


@dataclass
class _Pool:
    """The connections of one process that wait for the next request."""

    process: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    idle: list[http.client.HTTPConnection] = field(default_factory=list)

    def __del__(self) -> None:
        for connection in self.idle:
            connection.close()


class Transport:
    """Connections to one server."""

    def __init__(self, url: str, key: str | None, timeout: float, retries: int,
                 context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a server, like http://127.0.0.1:8080")
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._key, self._timeout, self._retries, self._context = key, timeout, retries, context
        self._headers = {"User-Agent": "rasae-python"}
        if key is not None:
            self._headers["Authorization"] = "Bearer " + key
        self._pool = _Pool()
        self.url = f"{parts.scheme}://{parts.netloc}{self._prefix}"

    def __reduce__(self) -> tuple[type[Transport], tuple[Any, ...]]:
        if self._context is not None:
            raise TypeError("a client with an ssl context of its own cannot be pickled: make one in each process")
        return Transport, (self.url, self._key, self._timeout, self._retries, None)

    def close(self) -> None:
        """Closes the connections that are not in use."""
        pool = self._own()
        with pool.lock:
            idle, pool.idle = pool.idle, []
        for connection in idle:
            connection.close()

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {},
                again: bool = True) -> Reply:
        """One call; RasaeError unless the status is below 400. again: it may be repeated safely."""
        attempts = 1 + (self._retries if again else 0)
        while True:
            attempts -= 1
            connection, kept = self._take()
            try:
                reply = self._exchange(connection, method, path, body, headers)
            except TimeoutError as error:
                connection.close()
                raise RasaeError(0, f"{self.url} did not answer within {self._timeout:g} seconds") from error
            except ConnectionRefusedError as error:
                raise RasaeError(0, f"nothing answers at {self.url}") from error
            except (*_BROKEN, _MixedUp) as error:
                connection.close()
                if kept:
                    self.close()  # the others are likely to be as old
                if attempts <= 0:
                    why = str(error) or type(error).__name__
                    broke = "" if isinstance(error, _MixedUp) else f"the connection to {self.url} broke: "
                    raise RasaeError(0, broke + why) from error
            except OSError as error:
                connection.close()
                raise RasaeError(0, f"{self.url} cannot be reached: {error}") from error
            except BaseException:
                connection.close()
                raise
            else:
                return _checked(reply)

    def _own(self) -> _Pool:
        """The pool of this process. The lock of an inherited one may be held for ever by a thread that was not
        forked: it is left alone."""
        pool = self._pool
        if pool.process != os.getpid():
            inherited, self._pool = pool.idle, _Pool()
            pool = self._pool
            for connection in list(inherited):
                connection.close()
        return pool

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        pool = self._own()
        with pool.lock:
            if pool.idle:
                return pool.idle.pop(), True
        if self._scheme == "https":
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout,
                                               context=self._context), False
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout), False

    def _exchange(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None,
                  headers: Mapping[str, str]) -> Reply:
        sent = uuid.uuid4().hex
        connection.request(method, self._prefix + path, body, {**self._headers, **headers, "X-Request-Id": sent})
        response = connection.getresponse()
        came = response.headers.get("X-Request-Id")
        if came is not None and came != sent:
            raise _MixedUp(f"{self.url} answered request {sent} with the reply to request {came}; if a proxy writes "
                           f"X-Request-Id, let it pass the one that it gets")
        reply = Reply(response.status, response.headers, response.read())
        if response.will_close:
            connection.close()
        else:
            pool = self._own()
            with pool.lock:
                pool.idle.append(connection)
        return reply


def _checked(reply: Reply) -> Reply:
    if reply.status < 400:
        return reply
    try:
        sentence = str(reply.json["error"])
    except (ValueError, KeyError, TypeError):
        sentence = http.client.responses.get(reply.status, "an unknown error")
    after = reply.headers.get("Retry-After", "")
    raise RasaeError(reply.status, sentence, reply.headers.get("X-Request-Id"),
                     float(after) if after.isdigit() else None)
