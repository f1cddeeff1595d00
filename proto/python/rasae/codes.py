"""Latents: the active ones of each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import scipy.sparse  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Codes:
    """Sparse latents [B, K], compressed by rows: those of row b stand at start[b] to start[b + 1]."""

    start: NDArray[np.int64]  #: [B + 1]
    index: NDArray[np.int32]  #: [entries], from 0 to K - 1
    value: NDArray[np.float32]  #: [entries]
    concepts: int  #: K

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.concepts

    @property
    def indices(self) -> list[NDArray[np.int32]]:
        """The active latents of each row, views of `index`."""
        return np.split(self.index, self.start[1:-1])

    @property
    def values(self) -> list[NDArray[np.float32]]:
        """Their values, views of `value`."""
        return np.split(self.value, self.start[1:-1])

    def to_dense(self) -> NDArray[np.float32]:
        """[B, K], zeros included."""
        dense = np.zeros(self.shape, np.float32)
        rows = np.repeat(np.arange(len(self)), np.diff(self.start))
        dense[rows, self.index] = self.value
        return dense

    def to_scipy(self) -> scipy.sparse.csr_array:
        """A scipy.sparse.csr_array [B, K] (scipy has to be installed)."""
        from scipy.sparse import csr_array
        return csr_array((self.value, self.index, self.start), shape=self.shape)

    @classmethod
    def from_rows(cls, indices: Iterable[ArrayLike], values: Iterable[ArrayLike], concepts: int) -> Codes:
        """From a row's indices and values after the other."""
        index = [np.asarray(row, np.int32).reshape(-1) for row in indices]
        value = [np.asarray(row, np.float32).reshape(-1) for row in values]
        if [len(row) for row in index] != [len(row) for row in value]:
            raise ValueError("indices and values differ in their rows or in the lengths of them")
        start = np.cumsum([0] + [len(row) for row in index], dtype=np.int64)
        return cls(start, np.concatenate(index or [np.empty(0, np.int32)]),
                   np.concatenate(value or [np.empty(0, np.float32)]), concepts)

    @classmethod
    def from_scipy(cls, matrix: Any) -> Codes:
        """From any scipy.sparse matrix or array [B, K]."""
        rows = matrix.tocsr()
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        return cls(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data.astype(np.float32),
                   rows.shape[1])


#: What reconstruct() takes: dense [B, K] or [K], Codes, (indices, values), or scipy.sparse.
Latents = Union[ArrayLike, Codes, tuple[Sequence[ArrayLike], Sequence[ArrayLike]], "scipy.sparse.sparray",
                "scipy.sparse.spmatrix"]
