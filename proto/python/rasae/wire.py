"""Arrays on the wire: raw little-endian tensors, whose sizes and types stand in two headers.

proto/tensors.md specifies it: a matrix is one tensor, sparse codes are three (start, index, value) with
"X-Tensor-Shape: 3; 5; 5" and "X-Tensor-Dtype: I64; I32; F32".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .codes import Codes
from .errors import RasaeError
from .transport import Reply

Floats = NDArray[np.float32]

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
    headers = {"Content-Type": RAW, "X-Tensor-Shape": "; ".join(shapes),
               "X-Tensor-Dtype": "; ".join(_NAMES[array.dtype] for array in little)}
    return Body(b"".join(array.tobytes() for array in little), headers)


def as_json(value: Mapping[str, object]) -> Body:
    return Body(json.dumps(value).encode(), {"Content-Type": JSON})


def write_codes(codes: Codes) -> Body:
    return write(codes.start, codes.index, codes.value)


def read(reply: Reply) -> list[NDArray[Any]]:
    """The tensors of a reply. BF16 becomes float32."""
    try:
        shapes = [tuple(map(int, one.split(","))) for one in reply.headers["X-Tensor-Shape"].split(";")]
        names = [one.strip() for one in reply.headers["X-Tensor-Dtype"].split(";")]
        arrays, at = [], 0
        for shape, name in zip(shapes, names, strict=True):
            dtype = np.dtype(_DTYPES[name])
            count = int(np.prod(shape))
            array = np.frombuffer(reply.body, dtype, count, at).reshape(shape)
            at += count * dtype.itemsize
            arrays.append(_widened(array) if name == "BF16" else array.astype(dtype.newbyteorder("=")))
        if at != len(reply.body):
            raise ValueError(f"{len(reply.body)} bytes came, {at} were announced")
    except (AttributeError, KeyError, ValueError) as error:
        raise RasaeError(0, f"the server's answer is no tensor: {error}") from error
    return arrays


def read_matrix(reply: Reply) -> Floats:
    return read(reply)[0].astype(np.float32, copy=False)


def read_codes(reply: Reply, concepts: int) -> Codes:
    start, index, value = read(reply)
    return Codes(start, index, value, concepts)


def as_rows(values: ArrayLike, width: int, what: str) -> tuple[Floats, bool]:
    """[B, width] in float32, and whether it was one row, [width]."""
    array = np.asarray(values, np.float32)
    if array.ndim not in (1, 2) or array.shape[-1] != width:
        raise ValueError(f"{what} has the shape {list(array.shape)}, expected [B, {width}] or [{width}]")
    return np.ascontiguousarray(np.atleast_2d(array)), array.ndim == 1


def _widened(upper: NDArray[Any]) -> Floats:
    """bfloat16 is the upper half of a float32."""
    return (upper.astype(np.uint32) << 16).view(np.float32)
