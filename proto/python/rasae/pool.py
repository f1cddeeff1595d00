"""The transport of Client: HTTP with the standard library, over kept connections that any number of threads may share.

A server closes connections that were idle for long, and a client learns of it only when it writes to one. A failure there
is marked `stale`, and the request is sent once more on another connection. One that must not be repeated gets a fresh
connection at once.

A pool belongs to the process that made it. After a fork parent and child hold the same sockets, and each would read replies
to requests of the other; so the child starts with an empty pool. It closes only its descriptors of the connections that it
inherited: that sends nothing, neither FIN nor TLS's close_notify, and the parent goes on using them. Beside that, a reply
that carries the id of another request is never returned, whatever it was that mixed the replies up.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
from dataclasses import dataclass, field

from .address import Address
from .errors import ReplyError, RequestTimeoutError, TransportError
from .exchange import mixed_up
from .message import Request, Response

_BROKEN = (http.client.HTTPException, ConnectionError)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass
class _Idle:
    """The connections of one process that wait for the next request."""

    process: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def __del__(self) -> None:
        for connection in self.connections:
            connection.close()


class PoolTransport:
    """Connections to one server. Threads share it; it may be pickled, and has no connections then."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._tls = address.tls() if address.scheme == "https" else None
        self._idle = _Idle()

    def __reduce__(self) -> tuple[type[PoolTransport], tuple[Address]]:
        return PoolTransport, (self.address,)

    def close(self) -> None:
        """Closes the connections that are not in use."""
        idle = self._own()
        with idle.lock:
            connections, idle.connections = idle.connections, []
        for connection in connections:
            connection.close()

    def send(self, request: Request) -> Response:
        url = self.address.url
        connection = self._kept(request.timeout) if request.again else None
        kept = connection is not None
        connection = connection or self._fresh(request.timeout)
        try:
            if not kept:
                _connect(connection, url, request.timeout)
            return self._exchange(connection, request)
        except TransportError:
            connection.close()
            if kept:
                self.close()
            raise
        except TimeoutError as error:
            connection.close()
            raise RequestTimeoutError(f"{url} did not answer within {request.timeout:g} seconds") from error
        except _BROKEN as error:
            connection.close()
            if kept:
                self.close()  # the others are likely to be as old
            why = str(error) or type(error).__name__
            raise TransportError(f"the connection to {url} broke: {why}", stale=kept) from error
        except OSError as error:
            connection.close()
            raise TransportError(f"{url} cannot be reached: {error}") from error
        except BaseException:
            connection.close()
            raise

    def _own(self) -> _Idle:
        """The connections of this process. The lock of inherited ones may be held for ever by a thread that was not forked:
        it is left alone."""
        idle = self._idle
        if idle.process != os.getpid():
            inherited, self._idle = idle, _Idle()
            idle = self._idle
            for connection in list(inherited.connections):
                connection.close()
        return idle

    def _kept(self, timeout: float) -> http.client.HTTPConnection | None:
        idle = self._own()
        with idle.lock:
            connection = idle.connections.pop() if idle.connections else None
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def _fresh(self, timeout: float) -> http.client.HTTPConnection:
        address = self.address
        if address.scheme == "unix":
            return _UnixConnection(address.host, timeout)
        if address.scheme == "https":
            return http.client.HTTPSConnection(address.host, address.port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(address.host, address.port, timeout=timeout)

    def _exchange(self, connection: http.client.HTTPConnection, request: Request) -> Response:
        try:
            connection.request(request.method, self.address.prefix + request.path, request.body, dict(request.headers))
        except (BrokenPipeError, ConnectionResetError):
            pass  # a refusal may have come before the body was read
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.headers.items()}
        if not request.owns(headers):
            raise mixed_up(request, headers)
        body = _body(response)
        if response.will_close:
            connection.close()
        else:
            idle = self._own()
            with idle.lock:
                idle.connections.append(connection)
        return Response(response.status, headers, body)


def _connect(connection: http.client.HTTPConnection, url: str, timeout: float) -> None:
    """What fails here has sent nothing."""
    try:
        connection.connect()
    except ConnectionRefusedError as error:
        raise TransportError(f"nothing answers at {url}", sent=False) from error
    except ssl.SSLError as error:
        raise TransportError.of_tls(url, error) from error
    except TimeoutError as error:
        raise TransportError(f"{url} did not take a connection within {timeout:g} seconds", sent=False) from error
    except OSError as error:
        raise TransportError(f"{url} cannot be reached: {error}", sent=False) from error


def _body(response: http.client.HTTPResponse) -> bytes | bytearray:
    """In memory that may be written, so that arrays can be made of it without a copy."""
    if response.length is None:
        return response.read()
    body = bytearray(response.length)
    rest = memoryview(body)
    while rest:
        count = response.readinto(rest)
        if not count:
            raise ReplyError(f"the reply ended {len(rest)} bytes early")
        rest = rest[count:]
    response.close()
    return body
