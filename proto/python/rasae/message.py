"""Requests and responses, as plain values: what the rest of the package makes and reads, and a transport carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

#: The header that says which reply belongs to which request; the server returns what it gets.
REQUEST_ID = "x-request-id"


@dataclass(frozen=True)
class Request:
    """One request to the server. A transport sends it as it is, to the address that it was made for.

    again    it may be repeated: sent twice, it does what it does once
    timeout  seconds to connect, and to wait for the next bytes
    checked  a reply must carry the id of the request
    """

    method: str
    path: str  #: below the server's address, with its query
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  #: names in lower case; the key is among them
    body: bytes | None = field(default=None, repr=False)
    again: bool = True
    timeout: float = 60.0
    checked: bool = True

    def owns(self, headers: Mapping[str, str]) -> bool:
        """These headers of a response (names in lower case) answer this request. A server or proxy may leave the id out."""
        return not self.checked or headers.get(REQUEST_ID) in (None, self.headers.get(REQUEST_ID))


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]  #: names in lower case
    body: bytes | bytearray = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Transport(Protocol):
    """What carries requests: give your own as Client(url, transport=...), to test without a server, to count or to log.

    send() returns whatever the server answers, errors included, and raises TransportError when nothing came. Several
    threads may call it at once.
    """

    def send(self, request: Request) -> Response: ...

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """The same for AsyncClient."""

    async def send(self, request: Request) -> Response: ...

    async def close(self) -> None: ...
