"""Rows of numbers that callers give, of any kind that holds them: lists, numpy, torch on any device, pandas, jax.

They are looked at and converted a batch at a time, so that a mapped file or a tensor on a GPU is never copied as a whole.
torch is not needed: a tensor is what has `detach`, and gives its numbers as torch's do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: What holds rows: anything that numpy.asarray takes, and tensors of torch. Numbers of every real type; no bool.
Numbers = Any


class Rows:
    """values [..., width] as rows [count, width] in float32."""

    def __init__(self, values: Numbers, width: int, what: str) -> None:
        """TypeError for what holds no real numbers, ValueError for another shape."""
        self._what = what
        tensor = hasattr(values, "detach")
        self._values: Any = values.detach() if tensor else _array(values, what)
        _check_type(self._values, what)
        shape = tuple(int(size) for size in self._values.shape)
        if not shape or shape[-1] != width:
            raise ValueError(f"{what} has the shape {list(shape)}, expected [..., {width}]")
        self.leading = shape[:-1]  #: the axes before the last one; () for a single row
        self.count = int(np.prod(self.leading, dtype=np.int64))
        self.width = width
        if len(shape) != 2:
            self._values = self._values.reshape(self.count, width)

    def take(self, first: int, end: int) -> Floats:
        """Rows [end - first, width]. ValueError, naming its place, for a number that is not finite in float32."""
        rows = _floats(self._values[first:end])
        finite = np.isfinite(rows)
        if not finite.all():
            row, column = (int(i) for i in np.argwhere(~finite)[0])
            where = [int(i) for i in np.unravel_index(first + row, self.leading)] if self.leading else []
            raise ValueError(f"{self._what} is {rows[row, column]} at {where + [column]}, expected a finite float32")
        return rows


def to_numpy(values: Any, what: str) -> NDArray[Any]:
    """An array of what a tensor or anything else holds, in its own type; bfloat16 becomes float32."""
    if hasattr(values, "detach"):
        values = values.detach()
        _check_type(values, what)
        small = str(values.dtype).rsplit(".", 1)[-1]
        values = (values.float() if small == "bfloat16" or small.startswith("float8") else values).cpu().numpy()
    return _array(values, what)


def _array(values: Any, what: str) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise TypeError(f"{what} has numbers that are masked; fill them in, or leave out their rows")
    if isinstance(values, (list, tuple)) and any(hasattr(one, "detach") for one in values):
        values = [to_numpy(one, what) for one in values]
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what} is no array: {error}") from error
    if array.dtype.kind == "O":
        raise TypeError(f"{what} holds objects, expected numbers of one type and rows of one length")
    return array


def _check_type(values: Any, what: str) -> None:
    name = str(values.dtype).rsplit(".", 1)[-1]
    kind = getattr(values.dtype, "kind", None)
    custom = kind == "V" and name.startswith(("bfloat16", "float"))  # ml_dtypes' types, as jax has them
    if (kind is not None and kind not in "fiu" and not custom) or name in ("bool", "complex32", "complex64", "complex128"):
        raise TypeError(f"{what} is {name}, expected real numbers")


def _floats(values: Any) -> Floats:
    if hasattr(values, "detach"):
        values = values.float().cpu().numpy()
    with np.errstate(over="ignore"):  # take() names the place
        return np.ascontiguousarray(values, np.float32)
