"""How records are read from JSON: members that the server does not send are None, those that this version does not know
are kept in `extra` and otherwise ignored. So a client works with an older server, and with a newer one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import ReplyError

R = TypeVar("R", bound="Record")


_NOTHING: dict[str, Any] = {}  # the `extra` of almost every record


class _Plan(NamedTuple):
    """How a kind of record is read. Made once: a reply may have a hundred thousand records."""

    readers: dict[str, Callable[[Any], Any] | None]  #: for each member
    defaults: dict[str, Any]
    needed: tuple[str, ...]  #: what every version of the server sends


@dataclass(frozen=True)
class Record:
    """Something that the server tells."""

    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False, kw_only=True)  #: members not known here

    @classmethod
    def flat(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The members under the names that the record has."""
        return value

    @classmethod
    def read(cls: type[R], value: Any) -> R:
        """From an object of JSON. ReplyError when it lacks what every version of the server sends."""
        if not isinstance(value, dict):
            raise ReplyError(f"the server's answer has {value!r} where a {cls.__name__} is expected")
        plan, extra = _plan(cls), _NOTHING  # type: ignore[arg-type]
        known = plan.defaults.copy()
        for name, given in cls.flat(value).items():
            if name in plan.readers:
                reader = plan.readers[name]
                known[name] = given if reader is None or given is None else reader(given)
            else:
                extra = {**extra, name: given}
        for name in plan.needed:
            if name not in known:
                raise ReplyError(f"the server's answer has a {cls.__name__} without {name}")
        known["extra"] = extra
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", known)
        return made


@functools.cache
def _plan(kind: type[Record]) -> _Plan:
    members = [one for one in fields(kind) if one.name != "extra"]
    needed = tuple(one.name for one in members if one.default is MISSING and one.default_factory is MISSING)
    defaults = {one.name: one.default if one.default_factory is MISSING else one.default_factory()
                for one in members if one.name not in needed}
    return _Plan({one.name: one.metadata.get("read") for one in members}, defaults, needed)


def renamed(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The members of a value, former names given the present ones. A server sends both, or one of them, as old as it is."""
    members = dict(value)
    for former, present in names.items():
        if former in members:
            members.setdefault(present, members[former])
            del members[former]
    return members


def every(kind: type[R], values: Any) -> tuple[R, ...]:
    """Records of a kind."""
    if not isinstance(values, list):
        raise ReplyError(f"the server's answer has {values!r} where a list of {kind.__name__} is expected")
    return tuple(kind.read(one) for one in values)


def some(kind: type[R], **more: Any) -> Any:
    """A member that is a list of records."""
    return _member(lambda values: every(kind, values), more)


def one(kind: type[R], **more: Any) -> Any:
    """A member that is a record."""
    return _member(kind.read, more)


def numbers(**more: Any) -> Any:
    """A member that is a vector; left out where the record is shown or compared."""
    return _member(as_vector, {"repr": False, "compare": False, **more})


def as_vector(values: Any) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def _member(reader: Callable[[Any], Any], more: dict[str, Any]) -> Any:
    return field(default=None, metadata={"read": reader}, **more)
