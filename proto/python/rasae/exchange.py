"""One request with all that may be needed to get it answered, without any input or output.

A `Call` is a generator that yields what has to be done (a Request to send, a Wait) and gets its outcome: sent into it, or
thrown. So each operation is written once, and runs in Client, which blocks, as well as in AsyncClient, which awaits:
`drive` and `drive_async` are all that differs.

A request is repeated when its connection cannot be made or breaks, and when the server answers 503 or 429: after Retry-After
if it says so, never sooner. A request that must not arrive twice (`again`) is repeated only if it cannot have arrived. A wait
that would last beyond the deadline is not begun.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
import zlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar, Union

from .errors import ReplyError, TransportError, of_status
from .message import REQUEST_ID, AsyncTransport, Request, Response, Transport

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds; each pause is twice the one before
_LATER = (429, 503)


@dataclass(frozen=True)
class Wait:
    """Nothing is to be done for so many seconds."""

    seconds: float


Step = Union[Request, Wait]
Call = Generator[Step, Any, T]  # a Response goes in for a Request, nothing for a Wait


@dataclass(frozen=True)
class Policy:
    """How requests are made and repeated."""

    headers: Mapping[str, str] = field(repr=False)  #: of every request, names in lower case; the key is among them
    timeout: float  #: seconds to connect, and to wait for the next bytes
    retries: int  #: repeats at most
    deadline: float | None  #: seconds for a request with its repeats; None: no end
    packed: bool  #: replies in JSON may come as gzip
    check_ids: bool  #: a reply must carry the id of its request


def exchange(policy: Policy, request: Request) -> Call[Response]:
    """Asks until there is an answer below 400, and raises RasaeError otherwise."""
    end = None if policy.deadline is None else time.monotonic() + policy.deadline
    attempt, stale = 0, False
    while True:
        left = policy.timeout if end is None else min(policy.timeout, max(end - time.monotonic(), 0.001))
        sent = replace(request, timeout=left, checked=policy.check_ids, headers={
            **policy.headers, **({"accept-encoding": "gzip"} if policy.packed else {}), **request.headers,
            REQUEST_ID: uuid.uuid4().hex})
        try:
            response: Response = yield sent
            if not sent.owns(response.headers):
                raise mixed_up(sent, response.headers)
        except TransportError as error:
            error.request_id = sent.headers[REQUEST_ID]
            if error.final or (error.sent and not request.again):
                raise
            if error.stale and not stale:
                stale = True  # a kept connection that the server has closed says nothing: it does not count
                continue
            pause = _pause(attempt)
            failure: Exception = error
        else:
            if response.status < 300:
                return _unpacked(response)
            failure = _refusal(response, sent.headers[REQUEST_ID])
            if not request.again or response.status not in _LATER:
                raise failure
            after = retry_after(response.headers)
            pause = _pause(attempt) if after is None else after + random.uniform(0, min(after / 4, 1) + 0.05)
        if attempt >= policy.retries or (end is not None and time.monotonic() + pause > end):
            raise failure
        attempt += 1
        yield Wait(pause)


def mixed_up(request: Request, headers: Mapping[str, str]) -> ReplyError:
    """The reply of another request came."""
    return ReplyError(f"request {request.headers[REQUEST_ID]} was answered with the reply to request "
                      f"{headers[REQUEST_ID]}; if a proxy on the way writes an X-Request-Id of its own, let it pass the one "
                      "that it gets, or give check_ids=False", stale=True)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date; None without one. A date is compared with the server's clock,
    because ours may be another."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    then = _seconds(text)
    now = _seconds(headers.get("date", "")) or time.time()
    return None if then is None else max(then - now, 0.0)


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _pause(attempt: int) -> float:
    """Clients that failed together do not come back together."""
    return min(_FIRST_PAUSE * 2.0 ** attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1)


def _refusal(response: Response, request_id: str) -> Exception:
    status = response.status
    try:
        problem = _unpacked(response).json
        problem = problem if isinstance(problem, dict) else {}
    except (ValueError, ReplyError):
        problem = {}  # a proxy's page
    detail = problem.get("detail") or problem.get("error")
    if not isinstance(detail, str):
        known = status in HTTPStatus._value2member_map_
        detail = f"the server answered {status}" + (f", {HTTPStatus(status).phrase}" if known else "")
    if 300 <= status < 400 and "location" in response.headers:
        detail += f"; it points to {response.headers['location']}"
    text = {name: problem[name] for name in ("code", "pointer") if isinstance(problem.get(name), str)}
    return of_status(status)(status, detail, response.headers.get(REQUEST_ID, request_id), retry_after(response.headers),
                             limit=problem.get("limit"), actual=problem.get("actual"), **text)


def _unpacked(response: Response) -> Response:
    coding = response.headers.get("content-encoding", "identity").lower()
    if coding == "identity":
        return response
    try:
        if coding != "gzip":
            raise ReplyError(f"the reply is packed with {coding}, which was not asked for")
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        body = unpacker.decompress(response.body)
        if not unpacker.eof:
            raise ReplyError("the reply ends before its packed data do")
    except zlib.error as error:
        raise ReplyError(f"the reply cannot be unpacked: {error}") from error
    return replace(response, body=body)


# ---- running a call


def drive(call: Call[T], transport: Transport) -> T:
    """Runs a call in this thread."""
    try:
        step = next(call)
        while True:
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                step = next(call)
                continue
            try:
                response = transport.send(step)
            except TransportError as error:
                step = call.throw(error)
            else:
                step = call.send(response)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        call.close()


async def drive_async(call: Call[T], transport: AsyncTransport) -> T:
    """Runs a call in this event loop."""
    try:
        step = next(call)
        while True:
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                step = next(call)
                continue
            try:
                response = await transport.send(step)
            except TransportError as error:
                step = call.throw(error)
            else:
                step = call.send(response)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        call.close()
