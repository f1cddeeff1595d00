"""The exceptions of this package.

    RasaeError
      TransportError            there was no answer: not reached, or the connection broke
        RequestTimeoutError     none in time
        ReplyError              there was one, but it is not an answer to this request, or cannot be read
      StatusError               the server refused or failed
        BadRequestError         400, 406, 415 and other 4xx: the request is wrong
        AuthenticationError     401: no key, or a wrong one
        PermissionDeniedError   403: an admin key is needed
        NotFoundError           404: no such dictionary, atom or point
        ConflictError           409, 412, 422: this dictionary cannot do it, or is not the one that was meant
        TooLargeError           413: more than the server takes at once
        BusyError               429, 503: later; repeated by the client before you see it
        ServerError             500 and other 5xx

An argument that cannot be right is refused before anything is sent: TypeError, ValueError, or IndexError for the number of
an atom or a point that is not there.
"""

from __future__ import annotations

from typing import Any


class RasaeError(Exception):
    """The server refused or failed, or could not be reached.

    status       of HTTP; 0 when there was no answer
    detail       one sentence for a person
    code         what happened, for programs; it stays the same when the sentence changes. None when the server says none
    request_id   finds the request in the server's log
    retry_after  seconds until the server wants to be asked again; None when it does not say
    pointer      which part of the request is wrong, as a JSON pointer like /inputs/3/17; None when the server does not say
    limit        what the server allows, and `actual`, what was asked for; None when it is not about a limit
    """

    def __init__(self, status: int, detail: str, request_id: str | None = None, retry_after: float | None = None, *,
                 code: str | None = None, pointer: str | None = None, limit: Any = None, actual: Any = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after
        self.code = code
        self.pointer = pointer
        self.limit = limit
        self.actual = actual

    @property
    def sentence(self) -> str:
        """`detail` by its former name."""
        return self.detail

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers of a pool hand their exceptions back by pickling them."""
        return _again, (type(self), vars(self))

    def __str__(self) -> str:
        if not self.status:
            return self.detail
        return f"{self.detail} ({', '.join(filter(None, (f'status {self.status}', self.code)))})"


class TransportError(RasaeError):
    """There was no answer.

    sent   the server may have got the request. False: it cannot have happened
    stale  the connection was kept from an earlier request; such ones break when the server has closed them meanwhile
    final  asking again cannot help
    """

    def __init__(self, detail: str, request_id: str | None = None, *, sent: bool = True, stale: bool = False,
                 final: bool = False) -> None:
        super().__init__(0, detail, request_id)
        self.sent = sent
        self.stale = stale
        self.final = final

    @classmethod
    def of_tls(cls, url: str, why: object) -> TransportError:
        """For https that could not be agreed on."""
        if "CERTIFICATE_VERIFY_FAILED" in str(why):
            return cls(f"the certificate of {url} is not trusted ({why}); give the file of those that sign it as ca=",
                       sent=False, final=True)
        return cls(f"{url} does not speak https as expected ({why}); is it http?", sent=False, final=True)


class RequestTimeoutError(TransportError):
    """There was no answer in time. Not repeated: the server may still be at it."""

    def __init__(self, detail: str, request_id: str | None = None) -> None:
        super().__init__(detail, request_id, final=True)


class ReplyError(TransportError):
    """What came is not an answer to the request, or cannot be read."""


class StatusError(RasaeError):
    """The server answered with an error."""


class BadRequestError(StatusError):
    """The request is wrong."""


class AuthenticationError(StatusError):
    """The server wants a key, or another one."""


class PermissionDeniedError(StatusError):
    """The key does not allow this."""


class NotFoundError(StatusError):
    """There is no such dictionary, atom or point."""


class ConflictError(StatusError):
    """This dictionary cannot do it, or is not the one that was meant."""


class TooLargeError(StatusError):
    """More than the server takes at once."""


class BusyError(StatusError):
    """The server has too much to do, or is about to stop: later."""


class ServerError(StatusError):
    """The server failed; its log has the reason under the request id."""


_BY_STATUS: dict[int, type[StatusError]] = {
    401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError, 409: ConflictError, 412: ConflictError,
    413: TooLargeError, 422: ConflictError, 429: BusyError, 503: BusyError}


def of_status(status: int) -> type[StatusError]:
    return _BY_STATUS.get(status, (StatusError, BadRequestError, ServerError)[min(max(status // 100, 3), 5) - 3])


def _again(kind: type[RasaeError], members: dict[str, Any]) -> RasaeError:
    error = kind.__new__(kind, members["detail"])
    error.__dict__.update(members)
    return error
