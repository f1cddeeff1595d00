"""Arrays on the wire: raw little-endian tensors, whose sizes and types stand in two headers.

proto/tensors.md specifies it: a matrix is one tensor, sparse codes are three (start, index, value) with
"X-Tensor-Shape: 3; 5; 5" and "X-Tensor-Dtype: I64; I32; F32".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray

from .codes import Codes
from .errors import ReplyError
from .message import REQUEST_ID, Response
from .rows import Floats

RAW = "application/octet-stream"
JSON = "application/json"

_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "I32": "<i4", "I64": "<i8"}
_NAMES = {np.dtype(kind): name for name, kind in _DTYPES.items() if name != "BF16"}


class Body(NamedTuple):
    data: bytes
    headers: Mapping[str, str]


def write(*arrays: NDArray[Any]) -> Body:
    """The body of a request."""
    little = [array.astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]
    shapes = (", ".join(map(str, array.shape)) for array in little)
    headers = {"content-type": RAW, "x-tensor-shape": "; ".join(shapes),
               "x-tensor-dtype": "; ".join(_NAMES[array.dtype] for array in little)}
    return Body(b"".join(array.tobytes() for array in little), headers)


def as_json(value: Mapping[str, object]) -> Body:
    return Body(json.dumps(value, allow_nan=False).encode(), {"content-type": JSON})


def write_codes(codes: Codes) -> Body:
    return write(codes.start, codes.index, codes.value)


def query(members: Mapping[str, object]) -> str:
    """What stands after the path; members that are None are left out."""
    given = {name: value for name, value in members.items() if value is not None}
    return "?" + urlencode(given, safe=",:", quote_via=quote) if given else ""


def read_json(response: Response) -> dict[str, Any]:
    """The object in a reply."""
    try:
        value = response.json
    except ValueError as error:
        raise _unreadable(response, f"is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise _unreadable(response, "is no JSON object")
    return value


def member(response: Response, name: str) -> Any:
    """A member that every version of the server sends."""
    try:
        return read_json(response)[name]
    except KeyError as error:
        raise _unreadable(response, f"has no member {name}") from error


def read(response: Response, count: int) -> list[NDArray[Any]]:
    """The tensors of a reply. BF16 becomes float32."""
    try:
        shapes = [tuple(map(int, one.split(","))) for one in response.headers["x-tensor-shape"].split(";")]
        names = [one.strip() for one in response.headers["x-tensor-dtype"].split(";")]
        arrays, at = [], 0
        for shape, name in zip(shapes, names, strict=True):
            dtype = np.dtype(_DTYPES[name])
            numbers = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(response.body, dtype, numbers, at).reshape(shape)
            at += numbers * dtype.itemsize
            arrays.append(_widened(array) if name == "BF16" else array.astype(dtype.newbyteorder("="), copy=False))
        if at != len(response.body):
            raise ValueError(f"{len(response.body)} bytes came, {at} were announced")
        if len(arrays) != count:
            raise ValueError(f"{len(arrays)} tensors came, expected {count}")
    except (KeyError, ValueError) as error:
        raise _unreadable(response, f"is no tensor: {error}") from error
    return arrays


def read_table(response: Response) -> dict[str, NDArray[Any]]:
    """A table by columns: texts as objects, None where there is none; numbers with NaN where they are unknown."""
    columns = member(response, "columns")
    try:
        return {name: _column(values) for name, values in columns.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise _unreadable(response, f"holds no table: {error}") from error


def read_matrix(response: Response) -> Floats:
    array = read(response, 1)[0].astype(np.float32, copy=False)
    return array if array.flags.writeable else array.copy()


def read_codes(response: Response, concepts: int) -> Codes:
    start, index, value = read(response, 3)
    try:
        return Codes(start, index, value, concepts)
    except (TypeError, ValueError) as error:
        raise _unreadable(response, f"holds no codes of this dictionary: {error}") from error


def _unreadable(response: Response, why: str) -> ReplyError:
    return ReplyError(f"the server's answer {why}", response.headers.get(REQUEST_ID))


def _column(values: list[Any]) -> NDArray[Any]:
    if any(isinstance(value, str) for value in values):
        return np.array(values, object)
    if values and all(isinstance(value, int) for value in values):
        return np.array(values, np.int64)
    return np.array([np.nan if value is None else value for value in values], np.float32)


def _widened(upper: NDArray[Any]) -> Floats:
    """bfloat16 is the upper half of a float32."""
    return (upper.astype(np.uint32) << 16).view(np.float32)
