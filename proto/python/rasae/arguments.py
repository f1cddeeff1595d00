"""What callers give, checked before anything is sent: a number that Python would round or a sign that it would take for
something else must not choose another atom."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .rows import to_numpy

#: Several atoms: a slice, numbers in any sequence or array of whole numbers.
Ids = Union[slice, range, Iterable[int], NDArray[np.integer[Any]]]

METRICS = ("cosine", "dot")
ORDERS = ("asc", "desc")
MEASURES = ("count", "pmi", "correlation")
_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-secret-key")


def whole(value: Any, what: str, low: int, high: int | None = None) -> int:
    """A whole number: int, or anything that counts as one (numpy's integers, a tensor's element), but no bool and no 5.0.
    TypeError for another type, ValueError below `low` or above `high`."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} is {value!r}, expected a whole number")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {value!r}, expected a whole number") from None
    if number < low or (high is not None and number > high):
        raise ValueError(f"{what} is {number}, expected {low} or more" if high is None else
                         f"{what} is {number}, expected {low} to {high}")
    return number


def position(value: Any, what: str, count: int | None) -> int:
    """The number of one of `count` things (None: of an unknown number); IndexError when it is not there."""
    try:
        return whole(value, what, 0, None if count is None else count - 1)
    except ValueError as error:
        raise IndexError(str(error)) from None


def held(values: Any) -> Any:
    """An iterator's values as a list, because a call may look at them twice; what is none stays what it is."""
    if type(values) is tuple:
        return tuple(held(one) for one in values)
    return list(values) if isinstance(values, Iterator) else values


def positions(ids: Ids | int, count: int) -> range | NDArray[np.int64]:
    """Numbers of atoms, in the shape that they were given in, one number too; a slice or a range becomes a range."""
    if isinstance(ids, slice):
        return range(*ids.indices(count))
    if isinstance(ids, range):
        if len(ids) and not (0 <= min(ids[0], ids[-1]) and max(ids[0], ids[-1]) < count):
            raise IndexError(f"ids is {ids!r}, expected numbers from 0 to {count - 1}")
        return ids
    if not hasattr(ids, "detach") and not isinstance(ids, (np.ndarray, list, tuple)):
        ids = list(ids) if isinstance(ids, Iterable) and not isinstance(ids, (str, bytes)) else \
            np.array(position(ids, "atom", count))
    array = to_numpy(ids, "ids")
    if array.size == 0:
        return np.empty(array.shape, np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"ids are {array.dtype}, expected whole numbers")
    wrong = (array < 0) | (array >= count)
    if wrong.any():
        raise IndexError(f"ids has {array[wrong][0]}, expected 0 to {count - 1}")
    return array.astype(np.int64)


def choice(value: Any, what: str, choices: Iterable[str]) -> str:
    if value not in choices:
        raise ValueError(f"{what} is {value!r}, expected {' or '.join(map(repr, choices))}")
    return str(value)


def names(given: str | Iterable[str] | None, what: str = "fields") -> dict[str, str]:
    """The query of `fields`, or of another list. Which ones there are is the server's to say: a newer one may know more."""
    if given is None:
        return {}
    listed = given.split(",") if isinstance(given, str) else list(given)
    if not listed or not all(isinstance(name, str) and name and "," not in name for name in listed):
        raise ValueError(f"{what} is {given!r}, expected names like ['label', 'norm'], or 'all'" if what == "fields" else
                         f"{what} is {given!r}, expected names like ['label', 'norm']")
    return {what: ",".join(listed)}


def finding(text: str | None, sort: str | None, order: str | None, min_frequency: float | None, dead: bool | None,
            point: int | None) -> dict[str, object]:
    """The query of find()."""
    for what, value in ("text", text), ("sort", sort):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{what} is {value!r}, expected text")
    if dead is not None and not isinstance(dead, (bool, np.bool_)):
        raise TypeError(f"dead is {dead!r}, expected True or False")
    if min_frequency is not None and not 0 <= min_frequency <= 1:
        raise ValueError(f"min_frequency is {min_frequency!r}, expected 0 to 1")
    return {"q": text or None, "sort": sort, "order": None if order is None else choice(order, "order", ORDERS),
            "min_frequency": min_frequency, "dead": None if dead is None else "true" if dead else "false",
            "point": None if point is None else position(point, "point", None)}


def listed(ids: Ids | int | None, count: int) -> list[int]:
    """The numbers of atoms, one after the other."""
    return [] if ids is None else np.asarray(positions(ids, count), np.int64).reshape(-1).tolist()


def pushes(scales: Mapping[int, float], count: int) -> dict[int, float]:
    """What steer adds: a scale for each atom."""
    if not isinstance(scales, Mapping):
        raise TypeError(f"scales is {scales!r}, expected a scale for each atom, like {{5: 2.0}}")
    checked = {}
    for atom, scale in scales.items():
        number = position(atom, "an atom of scales", count)
        if isinstance(scale, (bool, np.bool_)):
            raise TypeError(f"the scale of atom {number} is {scale!r}, expected a number")
        try:
            value = float(scale)
        except (TypeError, ValueError):
            raise TypeError(f"the scale of atom {number} is {scale!r}, expected a number") from None
        if not math.isfinite(value):
            raise ValueError(f"the scale of atom {number} is {value}, expected a finite number")
        checked[number] = value
    return checked


def text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{what} is {value!r}, expected a text")
    return value


def words(label: str, explanation: str | None, source: str | None, score: float | None) -> dict[str, object]:
    """A label, an explanation or a source."""
    return {"label": text(label, "label"), "explanation": explanation, "source": source,
            "score": None if score is None else float(score)}


def edits(given: Mapping[int, Any], count: int) -> list[tuple[int, str, float | None]]:
    """What edit does: an atom, an operation and its value, None for ablate."""
    if not isinstance(given, Mapping):
        raise TypeError(f'edits is {given!r}, expected what to do with each atom, like {{5: ("scale", 2.0), 7: "ablate"}}')
    if not given:
        raise ValueError("edits is empty, expected at least one atom")
    checked: list[tuple[int, str, float | None]] = []
    for atom, wanted in given.items():
        number = position(atom, "an atom of edits", count)
        if wanted == "ablate":
            checked.append((number, "ablate", None))
            continue
        op, value = wanted if isinstance(wanted, tuple) and len(wanted) == 2 else ("set", wanted)
        if op not in ("set", "scale", "add", "clamp") or isinstance(value, (str, tuple)):
            raise ValueError(f"the edit of atom {number} is {wanted!r}, expected a number, \"ablate\" or (\"set\", \"scale\", "
                             '"add" or "clamp", a number)')
        checked.append((number, op, pushes({number: value}, count)[number]))
    return checked


def seconds(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{what} is {value!r}, expected a number of seconds above 0")
    return float(value)


def headers(extra: Mapping[str, str] | None, key: str | None, usual_key: str | None = None) -> dict[str, str]:
    """Of every request, names in lower case. usual_key: used when the caller gives none, in any header."""
    made: dict[str, str] = {}
    for name, value in (extra or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers has {name!r}: {value!r}, expected text for text")
        if not name or not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()) or \
                not value.isascii() or not value.replace("\t", " ").isprintable():
            raise ValueError(f"headers has {name!r}, which is not a header that HTTP can carry")
        if name.lower() in ("x-request-id", "content-length", "content-type", "host", "transfer-encoding"):
            raise ValueError(f"headers has {name!r}, which the client sets itself")
        made[name.lower()] = value
    given = [name for name in _KEY_HEADERS if name in made]
    if key is not None and given:
        raise ValueError(f"key is given, and headers has {given[0]!r}; the server takes a key in one header only")
    key = usual_key if key is None and not given else key
    if key is not None:
        if not isinstance(key, str):
            raise TypeError("key is no text")
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("key is empty or has characters that a key cannot have; is there a line feed at its end?")
        made["authorization"] = "Bearer " + key
    return made
