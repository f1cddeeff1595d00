"""What the server tells about a dictionary, as plain records. None is what the server does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True)
class Info:
    """What a dictionary is."""

    name: str
    concepts: int  #: K, the number of atoms
    dimensions: int  #: d, the numbers of an atom
    points: int | None  #: candidate points
    archetypes: int | None  #: points kept for an atom
    dtype: str  #: of the dictionary as the server holds it: "f32", "f16", "bf16"
    sae: str | None
    encoder: str | None
    has_encoder: bool  #: encode and explain work
    standardized: bool  #: atoms are in units of (x - mean) / scale; inputs and reconstructions are not
    has_relaxation: bool
    has_atom_labels: bool
    has_point_labels: bool
    has_point_vectors: bool
    source: str
    device: str
    bytes: int
    generation: int  #: 1 when first loaded, one more a reload
    requests: int
    settings: Mapping[str, Any]
    has_trace: bool = False  #: atoms are traced to rows of data
    coverage: float | None = None  #: share of its mixture that is listed, for the median atom
    hull_share: float | None = None  #: cosine of the median atom with its mixture
    trace_cosine: float | None = None  #: cosine of the median atom with the rows it is traced to
    agreement: Mapping[str, Any] | None = None  #: runs, level, share and cosine, of the median atom
    has_statistics: bool = False  #: of its latents on data
    has_layout: bool = False  #: atoms have places on a map
    model: str | None = None  #: the network that the activations are from
    hook: str | None = None  #: where in it they were taken

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Info:
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        return cls(**{"settings": {}, **known})


@dataclass(frozen=True)
class Archetype:
    """A point that an atom is made of."""

    point: int
    label: str | None
    weight: float  #: in the mixture of the atom, whose weights add up to 1
    contribution: float | None = None  #: share of the atom along the point; may be negative


@dataclass(frozen=True)
class TraceRow:
    """A row of data in the trace of an atom."""

    row: int
    label: str | None
    weight: float  #: of the row at unit length; the weights add up to 1
    contribution: float  #: the share of the atom along this row; they add up to cosine ** 2


@dataclass(frozen=True)
class Trace:
    """The few rows of data whose mixture is nearest to an atom."""

    rows: tuple[TraceRow, ...]  #: by falling contribution
    cosine: float | None  #: between the atom and the mixture

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Trace:
        return cls(every(TraceRow, value["rows"]), value["cosine"])


@dataclass(frozen=True)
class Agreement:
    """Whether other training runs on the same data find an atom."""

    runs: int  #: that the atoms were compared with
    share: float  #: of the runs that have the atom
    cosine: float  #: mean over the runs, of the atoms matched to it


@dataclass(frozen=True)
class Example:
    """A row of the data on which a latent is strong."""

    row: int
    value: float
    label: str | None


@dataclass(frozen=True)
class Statistics:
    """How often and how strongly a latent is active on data."""

    rows: int  #: of the data
    count: int  #: rows in which it is active
    frequency: float  #: count / rows
    mean: float  #: of its active values; 0 when it never is active
    max: float
    energy: float  #: norm of what it brings on average
    histogram: tuple[int, ...]  #: active values in equal bins from `low` to `high`
    low: float
    high: float
    top: tuple[Example, ...]  #: the strongest first

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Statistics:
        bins = value["histogram"]
        return cls(value["rows"], value["count"], value["frequency"], value["mean"], value["max"],
                   value["energy"], tuple(bins["counts"]), bins["low"], bins["high"],
                   every(Example, value["top"]))


@dataclass(frozen=True)
class Atom:
    """A row of the dictionary. Parts that were not asked for are None."""

    atom: int
    norm: float | None
    label: str | None
    archetypes: tuple[Archetype, ...] | None  #: by falling contribution
    relaxation: float | None  #: norm of the step from the mixture to the atom
    vector: NDArray[np.float32] | None = field(repr=False, compare=False)  #: [d]
    statistics: Statistics | None = field(default=None, repr=False)  #: None also when the file holds none
    layout: tuple[float, float] | None = None  #: place on a map of all atoms; None also when the file holds none
    label_source: str | None = None  #: "file", "rows", "trace" or "archetypes"
    coverage: float | None = None  #: sum of the archetypes' weights: 1 when none is left out
    hull_share: float | None = None  #: cosine between the atom and its mixture
    relaxation_share: float | None = None  #: share of the atom along the relaxation; may be negative
    trace: Trace | None = None  #: None also when the file holds none
    agreement: Agreement | None = None  #: None also when the file does not say

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Atom:
        archetypes, statistics, layout = value.get("archetypes"), value.get("statistics"), value.get("layout")
        relaxation = value.get("relaxation") or {}
        return cls(value["atom"], value.get("norm"), value.get("label"),
                   None if archetypes is None else every(Archetype, archetypes),
                   relaxation.get("norm"), vector_of(value),
                   None if statistics is None else Statistics.read(statistics),
                   None if layout is None else (layout[0], layout[1]), value.get("label_source"),
                   value.get("coverage"), value.get("hull_share"), relaxation.get("share"), trace_of(value),
                   agreement_of(value))


@dataclass(frozen=True)
class Match:
    """An atom that was found."""

    atom: int
    score: float
    label: str | None
    label_source: str | None = None


@dataclass(frozen=True)
class Concept:
    """An atom's part in an input."""

    atom: int
    code: float
    contribution: float  #: code * (D_k . x) / |x|^2
    label: str | None
    archetypes: tuple[Archetype, ...]
    label_source: str | None = None
    coverage: float | None = None
    hull_share: float | None = None
    relaxation_share: float | None = None
    trace: Trace | None = None

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Concept:
        return cls(value["atom"], value["code"], value["contribution"], value["label"],
                   every(Archetype, value["archetypes"]), value.get("label_source"), value.get("coverage"),
                   value.get("hull_share"), (value.get("relaxation") or {}).get("share"), trace_of(value))


@dataclass(frozen=True)
class Explanation:
    """What an input is made of. Contributions sum to (x_hat . x) / |x|^2."""

    concepts: tuple[Concept, ...]  #: by falling absolute contribution
    residual: float  #: |x - x_hat|
    input: float  #: |x|
    r2: float | None  #: around the mean of this input's numbers; None when they are all equal

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Explanation:
        return cls(tuple(Concept.read(one) for one in value["concepts"]), value["residual"]["norm"],
                   value["input"]["norm"], value["r2"])


@dataclass(frozen=True)
class Use:
    """An atom that a point is an archetype of."""

    atom: int
    weight: float


@dataclass(frozen=True)
class Row:
    """A row of the training data near a point."""

    row: int
    distance: float
    label: str | None


@dataclass(frozen=True)
class Point:
    """A candidate point."""

    point: int
    label: str | None
    atoms: tuple[Use, ...]  #: by falling weight
    rows: tuple[Row, ...]  #: nearest first
    vector: NDArray[np.float32] | None = field(repr=False, compare=False)  #: [d]; None when the file does not hold the points

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Point:
        return cls(value["point"], value["label"], every(Use, value["atoms"]), every(Row, value["rows"]),
                   vector_of(value))


def every(kind: type[T], values: Iterable[Mapping[str, Any]]) -> tuple[T, ...]:
    """Records of a kind. Members that this version does not know are passed over, and those that an older server does not
    send keep their defaults."""
    names = kind.__dataclass_fields__.keys()  # type: ignore[attr-defined]
    return tuple(kind(**{name: value[name] for name in names if name in value}) for value in values)


def trace_of(value: Mapping[str, Any]) -> Trace | None:
    return Trace.read(value["trace"]) if value.get("trace") else None


def agreement_of(value: Mapping[str, Any]) -> Agreement | None:
    return every(Agreement, [value["agreement"]])[0] if value.get("agreement") else None


def vector_of(value: Mapping[str, Any]) -> NDArray[np.float32] | None:
    return np.array(value["vector"], np.float32) if "vector" in value else None
