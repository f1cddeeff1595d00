"""Latents: the active ones of each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from .rows import Floats, to_numpy

if TYPE_CHECKING:
    import scipy.sparse  # type: ignore[import-untyped]

    #: What reconstruct() takes: Codes, dense numbers [..., K], (indices, values), or what scipy and torch have sparse.
    Latents = Union["Codes", "scipy.sparse.sparray", "scipy.sparse.spmatrix", Any]


class Top(NamedTuple):
    """The strongest latents of each row."""

    atoms: NDArray[np.int32]  #: [..., k], the strongest first; -1 where a row has fewer
    values: Floats  #: [..., k]; 0 there


@dataclass(frozen=True)
class Edited:
    """Inputs with other codes."""

    outputs: Floats  #: [..., d] in the units of the data
    atoms: NDArray[np.int64]  #: [n] those that were edited, in the order of `edits`
    before: Floats  #: [..., n] their codes; 0: not active
    after: Floats  #: [..., n] likewise, after the edits


class Codes:
    """Sparse latents [..., K], compressed by rows: those of row b stand at start[b] to start[b + 1].

    They have the axes of the rows that they are of: codes of inputs [d] are one row, [K]; of [B, d], [B, K]. Indexing,
    slices, len() and iteration go along the first axis, as with an array: `codes[3].index` are the active latents of row 3,
    `codes[3].value` their values. Codes do not change.
    """

    start: NDArray[np.int64]  #: [rows + 1]
    index: NDArray[np.int32]  #: [entries], from 0 to K - 1
    value: Floats  #: [entries]
    concepts: int  #: K
    leading: tuple[int, ...]  #: the axes before K; () for a single row

    def __init__(self, start: Any, index: Any, value: Any, concepts: int, leading: Sequence[int] | None = None) -> None:
        """From arrays or tensors; leading: one axis of all rows when it is not given. ValueError or TypeError when they do not
        fit together, or a number is out of range."""
        self.start, self.index = _vector(start, "start", np.int64), _vector(index, "index", np.int32)
        self.value, self.concepts = _vector(value, "value", np.float32), concepts
        if self.start.size == 0 or self.start[0] != 0 or self.start[-1] != len(self.index) or (np.diff(self.start) < 0).any():
            raise ValueError("start must begin with 0, never decrease, and end with the number of entries")
        if len(self.index) != len(self.value):
            raise ValueError(f"there are {len(self.index)} indices, but {len(self.value)} values")
        if len(self.index) and not 0 <= int(self.index.min()) <= int(self.index.max()) < concepts:
            wrong = self.index[(self.index < 0) | (self.index >= concepts)][0]
            raise ValueError(f"there is the index {wrong}, expected 0 to {concepts - 1}")
        self.leading = (self.rows,) if leading is None else tuple(int(size) for size in leading)
        if int(np.prod(self.leading, dtype=np.int64)) != self.rows:
            raise ValueError(f"{self.rows} rows do not have the axes {list(self.leading)}")

    @classmethod
    def _of(cls, start: NDArray[np.int64], index: NDArray[np.int32], value: Floats, concepts: int,
            leading: tuple[int, ...]) -> Codes:
        """From parts of codes that were looked at before."""
        made = cls.__new__(cls)
        made.start, made.index, made.value, made.concepts, made.leading = start, index, value, concepts, leading
        return made

    def _with_axes(self, leading: tuple[int, ...]) -> Codes:
        """The same rows under other axes before K, for as many rows."""
        return Codes._of(self.start, self.index, self.value, self.concepts, leading)

    def __repr__(self) -> str:
        return f"Codes(shape={self.shape}, active={len(self.index)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codes) and self.shape == other.shape and \
            all(np.array_equal(getattr(self, name), getattr(other, name)) for name in ("start", "index", "value"))

    __hash__ = None  # type: ignore[assignment]

    @property
    def rows(self) -> int:
        """Over all leading axes; 1 for a single row."""
        return len(self.start) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.leading, self.concepts)

    def __len__(self) -> int:
        if not self.leading:
            raise TypeError("these codes are a single row and have no len(); len(codes.index) counts its active latents")
        return self.leading[0]

    def __iter__(self) -> Iterator[Codes]:
        if len(self.leading) > 1:
            yield from (self[i] for i in range(len(self)))
            return
        bounds = self.start.tolist() if len(self) >= 0 else []
        for first, end in zip(bounds, bounds[1:]):
            yield Codes._of(np.array((0, end - first)), self.index[first:end], self.value[first:end], self.concepts, ())

    def __getitem__(self, which: Any) -> Codes:
        """Along the first axis: a number, a slice, numbers, or a bool for each."""
        if not self.leading:
            raise TypeError("these codes are a single row; `index` and `value` are its latents")
        chosen = np.arange(self.leading[0])[to_numpy(which, "the index") if hasattr(which, "detach") else which]
        if chosen.ndim > 1:
            raise IndexError("codes are indexed along their first axis only")
        inner = self.leading[1:]
        step = int(np.prod(inner, dtype=np.int64))
        rows = (chosen.reshape(-1, 1) * step + np.arange(step)).reshape(-1)
        counts = np.diff(self.start)[rows]
        start = np.concatenate(([0], np.cumsum(counts)))
        entries = np.repeat(self.start[rows] - start[:-1], counts) + np.arange(start[-1])
        leading = inner if chosen.ndim == 0 else (len(chosen), *inner)
        return Codes._of(start, self.index[entries], self.value[entries], self.concepts, leading)

    @property
    def indices(self) -> list[NDArray[np.int32]]:
        """The active latents of each row, views of `index`."""
        return np.split(self.index, self.start[1:-1]) if self.rows else []

    @property
    def values(self) -> list[Floats]:
        """Their values, views of `value`."""
        return np.split(self.value, self.start[1:-1]) if self.rows else []

    def top(self, k: int) -> Top:
        """The k strongest latents of each row, by absolute value."""
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"k is {k!r}, expected a whole number from 1")
        row = self._row_of_each()
        order = np.lexsort((self.index, -np.abs(self.value), row))
        place = np.arange(len(order)) - self.start[row]  # `order` keeps rows together
        kept = place < k
        index, value = np.full((self.rows, k), -1, np.int32), np.zeros((self.rows, k), np.float32)
        index[row[kept], place[kept]] = self.index[order][kept]
        value[row[kept], place[kept]] = self.value[order][kept]
        return Top(index.reshape(*self.leading, k), value.reshape(*self.leading, k))

    # ---- to other kinds

    def to_dense(self) -> Floats:
        """[..., K], zeros included."""
        dense = np.zeros((self.rows, self.concepts), np.float32)
        dense[self._row_of_each(), self.index] = self.value
        return dense.reshape(self.shape)

    def to_scipy(self) -> scipy.sparse.csr_array:
        """A scipy.sparse.csr_array [rows, K] (scipy has to be installed)."""
        from scipy.sparse import csr_array
        return csr_array((self.value, self.index, self.start), shape=(self.rows, self.concepts))

    def to_torch(self, *, dense: bool = False, device: Any = None) -> Any:
        """A torch tensor [..., K], sparse (COO) or dense (torch has to be installed)."""
        import torch  # type: ignore[import-not-found, unused-ignore]
        if dense:
            return torch.from_numpy(self.to_dense()).to(device)
        axes = np.unravel_index(self._row_of_each(), self.leading) if self.leading else ()
        places = np.stack([*axes, self.index.astype(np.int64)])
        return torch.sparse_coo_tensor(torch.from_numpy(places), torch.from_numpy(np.array(self.value)), self.shape,
                                       check_invariants=True).to(device)

    # ---- from other kinds

    @classmethod
    def concat(cls, parts: Iterable[Codes]) -> Codes:
        """One after the other along the first axis; a single row counts as one of them."""
        every = list(parts)
        if not every:
            raise ValueError("there is nothing to concatenate")
        if any(not isinstance(one, Codes) for one in every):
            raise TypeError("concat takes Codes")
        inner, concepts = every[0].leading[1:], every[0].concepts
        if any(one.leading[1:] != inner or one.concepts != concepts for one in every):
            raise ValueError(f"the shapes {', '.join(str(one.shape) for one in every)} differ beyond the first axis")
        first = sum(one.leading[0] if one.leading else 1 for one in every)
        counts = np.concatenate([np.diff(one.start) for one in every])
        return Codes._of(np.concatenate(([0], np.cumsum(counts))), np.concatenate([one.index for one in every]),
                         np.concatenate([one.value for one in every]), concepts, (first, *inner))

    @classmethod
    def from_dense(cls, dense: Any, concepts: int | None = None) -> Codes:
        """From [..., K], zeros included."""
        array = to_numpy(dense, "dense")
        if array.ndim == 0 or (concepts is not None and array.shape[-1] != concepts):
            raise ValueError(f"dense has the shape {list(array.shape)}, expected [..., {concepts or 'K'}]")
        flat = array.reshape(-1, array.shape[-1])
        row, index = np.nonzero(flat)
        start = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=len(flat)))))
        return cls(start, index, flat[row, index], array.shape[-1], array.shape[:-1])

    @classmethod
    def from_rows(cls, indices: Iterable[Any], values: Iterable[Any], concepts: int) -> Codes:
        """From the indices and the values of one row after the other: sequences for each, arrays [B, k], or tensors."""
        index, value = ([to_numpy(row, what) for row in rows] for rows, what in ((indices, "indices"), (values, "values")))
        if [row.shape for row in index] != [row.shape for row in value] or any(row.ndim != 1 for row in index):
            raise ValueError("indices and values differ in their rows or in the lengths of them")
        start = np.cumsum([0] + [len(row) for row in index], dtype=np.int64)
        return cls(start, np.concatenate([row for row in index if len(row)] or [np.empty(0, np.int32)]),
                   np.concatenate([row for row in value if len(row)] or [np.empty(0, np.float32)]), concepts)

    @classmethod
    def from_top(cls, atoms: Any, values: Any, concepts: int) -> Codes:
        """From what top() gives: [..., k] each, where an atom of -1 holds a place that is not used."""
        which, what = to_numpy(atoms, "atoms"), to_numpy(values, "values")
        if which.shape != what.shape or which.ndim == 0:
            raise ValueError(f"atoms has the shape {list(which.shape)}, but values {list(what.shape)}")
        used = which != -1
        counts = used.reshape(-1, which.shape[-1]).sum(1)
        return cls(np.concatenate(([0], np.cumsum(counts))), which[used], what[used], concepts, which.shape[:-1])

    @classmethod
    def from_scipy(cls, matrix: Any) -> Codes:
        """From any scipy.sparse matrix or array [B, K]."""
        rows = matrix.tocsr()
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        return cls(rows.indptr, rows.indices, rows.data, rows.shape[1])

    @classmethod
    def from_torch(cls, tensor: Any) -> Codes:
        """From a torch tensor [..., K], sparse (COO or CSR) or dense."""
        if "sparse" not in str(tensor.layout):
            return cls.from_dense(tensor)
        sparse = tensor.detach().cpu().to_sparse().coalesce()  # by row, and within a row by latent
        places, shape = sparse.indices().numpy(), tuple(int(size) for size in sparse.shape)
        rows = int(np.prod(shape[:-1], dtype=np.int64))
        row = np.ravel_multi_index(tuple(places[:-1]), shape[:-1]) if len(shape) > 1 else np.zeros(places.shape[1], np.int64)
        start = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows))))
        return cls(start, places[-1], sparse.values(), shape[-1], shape[:-1])

    def _row_of_each(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.rows), np.diff(self.start))


def _vector(values: Any, what: str, dtype: type[np.generic]) -> NDArray[Any]:
    array = to_numpy(values, what)
    if array.ndim != 1:
        raise ValueError(f"{what} has the shape {list(array.shape)}, expected one axis")
    if array.dtype == dtype or not array.size:
        whole = array.dtype.kind == "i"
    elif np.dtype(dtype).kind == "i":
        if array.dtype.kind not in "iu":
            raise TypeError(f"{what} is {array.dtype}, expected whole numbers")
        whole, most = True, 2 ** (8 * np.dtype(dtype).itemsize - 1)
        if not -most <= int(array.min()) <= int(array.max()) < most:
            raise ValueError(f"{what} has numbers that are out of range")
    elif array.dtype.kind in "fiu":
        whole = False
    else:
        raise TypeError(f"{what} is {array.dtype}, expected real numbers")
    with np.errstate(over="ignore"):  # looked for just below
        array = array.astype(dtype, copy=False)
    if not whole and not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{what} is {array[place]} at entry {place}, expected a finite float32")
    return array
