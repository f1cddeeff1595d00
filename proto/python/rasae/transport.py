"""HTTP with the standard library: a pool of kept connections that any number of threads may share.

A server closes connections that were idle for long, and a client learns of it only when it writes to one. So
a request that fails on a kept connection before any answer came is sent once more on a fresh one; all calls
of this package but reload may be repeated safely.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
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


class Transport:
    """Connections to one server."""

    def __init__(self, url: str, key: str | None, timeout: float, retries: int,
                 context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a server, like http://127.0.0.1:8080")
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout, self._retries, self._context = timeout, retries, context
        self._headers = {"User-Agent": "rasae-python"}
        if key is not None:
            self._headers["Authorization"] = "Bearer " + key
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self.url = f"{parts.scheme}://{parts.netloc}{self._prefix}"

    def close(self) -> None:
        """Closes the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
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
            except _BROKEN as error:
                connection.close()
                if kept:
                    self.close()  # the others are likely to be as old
                if not attempts:
                    why = str(error) or type(error).__name__
                    raise RasaeError(0, f"the connection to {self.url} broke: {why}") from error
            except OSError as error:
                connection.close()
                raise RasaeError(0, f"{self.url} cannot be reached: {error}") from error
            except BaseException:
                connection.close()
                raise
            else:
                return _checked(reply)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        if self._scheme == "https":
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout,
                                               context=self._context), False
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout), False

    def _exchange(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None,
                  headers: Mapping[str, str]) -> Reply:
        connection.request(method, self._prefix + path, body, {**self._headers, **headers})
        response = connection.getresponse()
        reply = Reply(response.status, response.headers, response.read())
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
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
