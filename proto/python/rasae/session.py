"""What the operations of one client share: how a request is asked, what the server takes at once, and how rows go out in
batches that it takes.

The limits come from GET /v1, once per client; an older server has none, and then those of its defaults are used. A
batch that is too large all the same (413) is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

from . import arguments, wire
from .errors import NotFoundError, RasaeError, TooLargeError
from .exchange import Call, Policy, exchange
from .message import Request, Response
from .record import every
from .records import Info, Limits, Server, Unavailable
from .wire import Body

T = TypeVar("T")

#: Called with the rows that are done, and all of them.
Progress = Callable[[int, int], None]

_BATCH_BYTES = 16 << 20  # of a body; more gains nothing


class Session:
    """Threads may share it; it is pickled without what it learned."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._limits: Limits | None = None

    def __reduce__(self) -> tuple[type[Session], tuple[Policy]]:
        return Session, (self.policy,)

    def ask(self, method: str, path: str, body: Body | None = None, accept: str = wire.JSON, *, again: bool = True,
            revision: str | None = None, more: Mapping[str, str] = {}) -> Call[Response]:
        """revision: the answer must be about this one. more: further headers."""
        headers = {**(body.headers if body else {}), "accept": accept, **more}
        if revision is not None:
            headers["if-match"] = f'"{revision}"'
        data = body.data if body else b"" if method == "POST" else None
        try:
            return (yield from exchange(self.policy, Request(method, path, headers, data, again)))
        except TooLargeError:
            self._limits = None  # the server may have been started again, with others
            raise

    def ready(self) -> Call[bool]:
        try:
            yield from self.ask("GET", "/health/ready", again=False)
        except RasaeError:
            return False
        return True

    def server(self) -> Call[Server]:
        try:
            server = Server.read(wire.read_json((yield from self.ask("GET", "/v1"))))
        except NotFoundError:
            server = Server()  # of a version that does not say
        self._limits = server.limits
        return server

    def limits(self) -> Call[Limits]:
        return self._limits or (yield from self.server()).limits

    def unavailable(self) -> Call[list[Unavailable]]:
        return list(every(Unavailable, wire.member((yield from self.ask("GET", "/v1/dictionaries?state=all")), "unavailable")))

    def load(self, name: str) -> Call[Info]:
        return Info.read(wire.read_json((yield from self.ask("POST", path(name) + "/load", again=False))))

    def unload(self, name: str) -> Call[None]:
        yield from self.ask("POST", path(name) + "/unload", again=False)

    def dictionaries(self) -> Call[list[Info]]:
        found: list[Info] = []
        while True:
            reply = yield from self.ask("GET", "/v1/dictionaries" + wire.query({"offset": len(found) or None}))
            page = every(Info, wire.member(reply, "dictionaries"))
            found += page
            total = wire.read_json(reply).get("total")
            if not page or not isinstance(total, int) or len(found) >= total:
                return found


def path(name: str) -> str:
    """Of a dictionary."""
    return "/v1/dictionaries/" + quote(name, safe="")


def batch_rows(limits: Limits, row_bytes: int, batch_size: int | None) -> int:
    """Rows of one request."""
    wanted = max(_BATCH_BYTES // row_bytes, 1) if batch_size is None else arguments.whole(batch_size, "batch_size", 1)
    return max(min(wanted, limits.rows, (limits.body_bytes - 64) // row_bytes), 1)


def in_batches(count: int, most: int, progress: Progress | None, send: Callable[[int, int], Call[T]]) -> Call[list[T]]:
    """Sends rows first to end, as long as there are some."""
    parts: list[T] = []
    first = 0
    while first < count:
        end = min(first + most, count)
        try:
            parts.append((yield from send(first, end)))
        except TooLargeError:
            if end - first == 1:
                raise
            most = (end - first) // 2
            continue
        first = end
        if progress:
            progress(first, count)
    return parts
