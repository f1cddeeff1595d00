"""A dictionary as its users hold it, while the server may load another content under its name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import TypeVar

from . import arguments, wire
from .address import Path
from .arguments import Ids
from .errors import ConflictError, NotFoundError, RasaeError, ReplyError
from .exchange import Call
from .message import Response
from .operations import Fields, Operations
from .records import Atom, Info
from .session import Progress, Session, path

T = TypeVar("T")

_CHANGED = 412
_PIECE = 32 << 20  # bytes of a file that are asked for at once


class Handle:
    """What is known of a dictionary. Threads may share it.

    When the server has loaded another content meanwhile, a call refreshes `info` and begins again. A dictionary that was opened
    at a certain revision does not follow: its calls fail.
    """

    def __init__(self, session: Session, name: str, info: Info, pinned: bool) -> None:
        self.session, self.name, self.info, self.pinned = session, name, info, pinned

    @classmethod
    def open(cls, session: Session, name: str, revision: str | None) -> Call[Handle]:
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of a dictionary is {name!r}, expected text")
        try:
            info = yield from _info(session, name, revision)
        except NotFoundError as error:
            try:
                there = ", ".join(info.name for info in (yield from session.dictionaries())) or "none"
                error.detail += f" (dictionaries here: {there})"
            except RasaeError:
                pass  # the first one says enough
            raise error
        if revision is not None and info.revision != revision:
            raise ReplyError(f"dictionary {name} has the revision {info.revision}, expected {revision}")
        return cls(session, name, info, revision is not None)

    def refresh(self) -> Call[Info]:
        self.info = yield from _info(self.session, self.name, self.info.revision if self.pinned else None)
        return self.info

    def reload(self) -> Call[Info]:
        yield from self.session.ask("POST", path(self.name) + "/reload", again=False)
        return (yield from self.refresh())

    def run(self, make: Callable[[Operations], Call[T]]) -> Call[T]:
        """The call that `make` makes of the dictionary as it is served now."""
        try:
            return (yield from make(self._known()))
        except ConflictError as error:
            if error.status != _CHANGED or self.pinned:
                raise
        yield from self.refresh()
        return (yield from make(self._known()))

    def pages(self, ids: Ids | None, fields: Fields, page: int) -> Iterator[Call[list[Atom]]]:
        """A call for each page. All are about what the first one found: ConflictError when that changes on the way."""
        page = arguments.whole(page, "page", 1)
        known = self._known()
        numbers = known.numbers(ids)
        for first in range(0, len(numbers), page):
            part = numbers[first:first + page]
            if first:
                yield known.atoms(part, fields)
            else:
                yield self.run(lambda now, part=part: now.atoms(part, fields))  # type: ignore[misc]
                now = self._known()
                if now.info.atom_count != known.info.atom_count:
                    raise ConflictError(_CHANGED, f"dictionary {self.name} has {now.info.atom_count} atoms now and had "
                                        f"{known.info.atom_count}: begin again")
                known = now

    def download(self, file: Path, progress: Progress | None, what: str = "dictionary?format=safetensors") -> Call[None]:
        """In pieces, so that memory stays small and a connection that breaks costs one piece. The file appears when it is
        complete."""
        where = os.path.abspath(os.fspath(file))
        written, name = tempfile.mkstemp(dir=os.path.dirname(where), prefix="." + os.path.basename(where) + ".")
        try:
            with open(written, "wb") as out:
                tag = f'"{self.info.revision}"' if self.pinned else None
                total: int | None = None
                while total is None or out.tell() < total:
                    more = {"range": f"bytes={out.tell()}-{out.tell() + _PIECE - 1}", "accept-encoding": "identity"}
                    if tag is not None:
                        more["if-match"] = tag
                    reply = yield from self.session.ask("GET", path(self.name) + "/" + what,
                                                        accept="*/*", more=more)
                    tag = reply.headers.get("etag") or tag
                    total = _total(reply, out.tell())
                    out.write(reply.body)
                    if progress:
                        progress(out.tell(), total)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, where)
        except BaseException:
            os.unlink(name)
            raise

    def _known(self) -> Operations:
        return Operations(self.session, self.name, self.info)


def _info(session: Session, name: str, revision: str | None) -> Call[Info]:
    return Info.read(wire.read_json((yield from session.ask("GET", path(name), revision=revision))))


def _total(reply: Response, offset: int) -> int:
    """The bytes of the whole file, of which a reply has those from offset on."""
    if reply.status != 206 and offset == 0:
        return len(reply.body)  # all of it
    try:
        unit, place = reply.headers["content-range"].split(" ")
        span, total = place.split("/")
        if unit != "bytes" or int(span.split("-")[0]) != offset or not reply.body:
            raise ValueError(place)
        return int(total)
    except (KeyError, ValueError) as error:
        raise ReplyError(f"the server's answer is not the piece of the file from byte {offset} on") from error
