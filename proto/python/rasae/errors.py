"""The one exception of this package."""

from __future__ import annotations


class RasaeError(Exception):
    """The server refused or failed, or could not be reached.

    status is HTTP's, 0 when there was no answer; str(error) is the server's sentence. request_id finds the
    request in the server's log; retry_after is in seconds, None when the server did not say.
    """

    def __init__(self, status: int, sentence: str, request_id: str | None = None,
                 retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.request_id = request_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[RasaeError], tuple[int, str, str | None, float | None]]:
        """Workers of a pool hand their exceptions back by pickling them."""
        return type(self), (self.status, self.sentence, self.request_id, self.retry_after)

    def __str__(self) -> str:
        return f"{self.sentence} (status {self.status})" if self.status else self.sentence
