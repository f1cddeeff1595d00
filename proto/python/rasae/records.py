"""What the server tells about itself, dictionaries, atoms and inputs. None is what it does not know or was not asked for.

Units: "data" are those of the rows that the dictionary was trained on. A standardized dictionary was trained on
(x - mean) / scale; then vectors, norms and distances are in standardized units where the record says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .record import Record, numbers, one, renamed, some

# ---- the server


@dataclass(frozen=True)
class Limits(Record):
    """What the server takes at once. The numbers here are those of a server that does not say."""

    rows: int = 4096  #: of a batch
    body_bytes: int = 64 << 20
    reply_bytes: int = 256 << 20
    page: int = 1000  #: items of one page of a list
    query_ids: int = 1000  #: numbers of atoms in a query
    ids: int = 65536  #: numbers of atoms in a body
    results: int = 1 << 20  #: of a search, of all its vectors together
    steer: int = 4096  #: atoms that are pushed at once
    lists: int = 1000  #: named lists of a dictionary
    compared_atoms: int = 4096  #: atoms of dictionaries that are compared
    edits: int = 4096  #: codes of a row that are edited at once
    target_bytes: int = 8192  #: of a path with its query


@dataclass(frozen=True)
class Form(Record):
    """A form of requests or replies."""

    format: str | None = None  #: its name in queries, like "raw"
    media_type: str | None = None  #: its name in headers


@dataclass(frozen=True)
class Server(Record):
    """What the server is, and what the key allows."""

    name: str | None = None
    version: str | None = None
    access: str | None = None  #: "read", or "admin": also reload, and labels and lists if it keeps_changes
    key_name: str | None = None  #: of the key that the client sends, as the server's file of keys has it
    limits: Limits = field(default_factory=Limits, metadata={"read": Limits.read})
    keeps_changes: bool | None = None  #: whether labels and lists can be set
    forms: tuple[Form, ...] | None = some(Form, repr=False)


# ---- dictionaries


@dataclass(frozen=True)
class Info(Record):
    """What a dictionary is."""

    name: str
    atom_count: int  #: K
    dimensions: int  #: d, the numbers of an atom
    point_count: int | None = None  #: candidate points
    archetype_count: int | None = None  #: points kept for each atom
    dtype: str | None = None  #: of the dictionary as the server holds it: "f32", "f16", "bf16"
    sae: str | None = None
    encoder: str | None = None
    has_encoder: bool | None = None  #: encode and explain work
    standardized: bool | None = None  #: atoms are in units of (x - mean) / scale; inputs and reconstructions are not
    has_relaxation: bool | None = None
    has_atom_labels: bool | None = None
    has_point_labels: bool | None = None
    has_point_vectors: bool | None = None
    source: str | None = None  #: "artifact" or "checkpoint"
    device: str | None = None
    bytes: int | None = None
    generation: int | None = None  #: 1 when first loaded, one more when a load brings another content
    requests: int | None = None
    settings: Mapping[str, Any] | None = None
    digest: str | None = None  #: of the numbers of D
    revision: str | None = None  #: of everything that determines answers
    has_trace: bool | None = None  #: atoms are traced to rows of data
    coverage: float | None = None  #: share of its mixture that is listed, for the median atom
    hull_share: float | None = None  #: cosine of the median atom with its mixture
    trace_cosine: float | None = None  #: cosine of the median atom with the rows it is traced to
    agreement: Mapping[str, Any] | None = None  #: runs, level, share and cosine, of the median atom
    has_statistics: bool | None = None  #: of its latents on data
    has_layout: bool | None = None  #: atoms have places on a map
    has_explanations: bool | None = None  #: the file says something with labels of its atoms
    has_cofiring: bool | None = None  #: cofiring() answers
    has_quantiles: bool | None = None  #: the `quantiles` of an atom are known
    has_contrasts: bool | None = None  #: the file holds contrasts
    has_training: bool | None = None  #: for training()
    item_shape: Mapping[str, Any] | None = None  #: rows, skip, height and width of what the rows of the statistics are parts of
    item_count: int | None = None  #: items whose codes the file holds for each atom
    has_tokens: bool | None = None  #: the file says what the tokens of texts are
    media_url: str | None = None  #: where the picture or sound of a row is: {label}, {path}, {row}, {item} in it
    row_count: int | None = None  #: rows of its data that the server shows
    model: str | None = None  #: the network that the activations are from
    hook: str | None = None  #: where in it they were taken
    shape: tuple[int, ...] | None = field(default=None, metadata={"read": tuple})  #: height, width and perhaps colors of a row
    state: str | None = None  #: "loaded"
    reason: str | None = None  #: why the last reload failed, if it did
    loaded_at: str | None = None  #: the time of the load, like "2025-11-23T08:15:02Z"

    @classmethod
    def flat(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return renamed(value, {"concepts": "atom_count", "points": "point_count", "archetypes": "archetype_count"})

    @property
    def concepts(self) -> int:
        """`atom_count` by its former name."""
        return self.atom_count

    @property
    def points(self) -> int | None:
        """`point_count` by its former name."""
        return self.point_count

    @property
    def archetypes(self) -> int | None:
        """`archetype_count` by its former name."""
        return self.archetype_count


@dataclass(frozen=True)
class Unavailable(Record):
    """A dictionary that the server knows and has not loaded."""

    name: str
    state: str | None = None  #: "unloaded" on purpose, "changed" (its file was, in place), or "failed" (it did not open)
    reason: str | None = None
    loaded_at: str | None = None  #: when it last was; None if never
    generation: int | None = None


class Standardization(NamedTuple):
    """What rows of data and rows in the units of a standardized dictionary have to do with each other: x of the one is
    (x - mean) / scale of the other. 0 and 1 for a dictionary that is not standardized."""

    mean: NDArray[np.float32]  #: [d]
    scale: NDArray[np.float32]  #: [d]


# ---- atoms


@dataclass(frozen=True)
class NearRow(Record):
    """A row of the training data near a point."""

    row: int
    distance: float | None = None  #: in the units of the dictionary
    label: str | None = None
    item: int | None = None  #: that the row is a part of, where rows are parts of items
    position: int | None = None  #: which token or patch of it
    media: str | None = None  #: the address of its picture or sound


@dataclass(frozen=True)
class Archetype(Record):
    """A point that an atom is made of."""

    point: int
    label: str | None = None
    weight: float | None = None  #: in the mixture of the atom, whose weights add up to 1
    contribution: float | None = None  #: share of the atom along the point; may be negative
    row: int | None = None  #: of the training data, nearest to the point
    item: int | None = None  #: that this row is a part of, where rows are parts of items
    position: int | None = None  #: which token or patch of it
    media: str | None = None  #: the address of the row's picture or sound


@dataclass(frozen=True)
class TraceRow(Record):
    """A row of data in the trace of an atom."""

    row: int
    label: str | None = None
    weight: float | None = None  #: of the row at unit length; the weights add up to 1
    contribution: float | None = None  #: the share of the atom along this row; they add up to cosine ** 2
    item: int | None = None  #: that the row is a part of, where rows are parts of items
    position: int | None = None  #: which token or patch of it
    media: str | None = None  #: the address of its picture or sound


@dataclass(frozen=True)
class Trace(Record):
    """The few rows of data whose mixture is nearest to an atom."""

    rows: tuple[TraceRow, ...] = some(TraceRow)  #: by falling contribution
    cosine: float | None = None  #: between the atom and the mixture


@dataclass(frozen=True)
class Agreement(Record):
    """Whether other training runs on the same data find an atom."""

    runs: int | None = None  #: that the atoms were compared with
    share: float | None = None  #: of the runs that have the atom
    cosine: float | None = None  #: mean over the runs, of the atoms matched to it


@dataclass(frozen=True)
class Example(Record):
    """A row of the data on which a latent is strong."""

    row: int
    value: float | None = None
    label: str | None = None
    item: int | None = None  #: that the row is a part of, where rows are parts of items
    position: int | None = None  #: which token or patch of it
    token: str | None = None  #: the token of a text that the row is
    media: str | None = None  #: the address of its picture or sound


@dataclass(frozen=True)
class Quantile(Record):
    """A part of the range of a latent's positive codes; each part has as many rows."""

    low: float | None = None  #: the smallest code
    high: float | None = None  #: the smallest of the next part, or the largest of all
    rows: tuple[Example, ...] | None = some(Example)  #: drawn from it, the strongest first


@dataclass(frozen=True)
class Encoder(Record):
    """The encoder's weights for a latent."""

    vector: NDArray[np.float32] | None = numbers()  #: [d] in the units of the data: its product with a row, before norm and bias
    cosine: float | None = None  #: with the atom, both in the space of the dictionary


@dataclass(frozen=True)
class Statistics(Record):
    """How often and how strongly a latent is active on data."""

    rows: int | None = None  #: of the data
    count: int | None = None  #: rows in which it is active
    frequency: float | None = None  #: count / rows
    mean: float | None = None  #: of its active values; 0 when it never is active
    max: float | None = None
    energy: float | None = None  #: norm of what it brings on average
    histogram: tuple[int, ...] | None = field(default=None, metadata={"read": tuple})  #: active values in equal bins ...
    low: float | None = None  #: ... from `low` ...
    high: float | None = None  #: ... to `high`
    top: tuple[Example, ...] | None = some(Example)  #: the strongest first

    @classmethod
    def flat(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        bins = value.get("histogram")
        if not isinstance(bins, Mapping):
            return value
        rest = {name: bins[name] for name in bins if name != "counts"}
        return {**value, **rest, "histogram": bins.get("counts")}


@dataclass(frozen=True)
class Item(Record):
    """An image or a text in which a latent is strong."""

    item: int
    codes: NDArray[np.float32] | None = numbers()  #: [P] on each of its rows
    row: int | None = None  #: the one with the largest code ...
    position: int | None = None  #: ... which part of the item that is ...
    value: float | None = None  #: ... and that code
    label: str | None = None  #: of that row
    media: str | None = None  #: the address of its picture or sound
    tokens: tuple[str | None, ...] | None = field(default=None, metadata={"read": tuple})  #: [P] of a text; None: unknown


def _relaxation_flat(value: Mapping[str, Any]) -> Mapping[str, Any]:
    relaxation = value.get("relaxation")
    if not isinstance(relaxation, Mapping):
        return value
    return {**value, "relaxation": relaxation.get("norm"), "relaxation_share": relaxation.get("share")}


@dataclass(frozen=True)
class AtomExplanation(Record):
    """What was written about an atom beside its label."""

    text: str | None = None
    source: str | None = None  #: who or what said so
    score: float | None = None


@dataclass(frozen=True)
class Label(Record):
    """The label of an atom, and what was said of it."""

    atom: int
    label: str | None = None
    label_source: str | None = None  #: "set", or where the file has it from
    explanation: str | None = None
    source: str | None = None  #: who or what said so
    score: float | None = None
    changed_at: str | None = None  #: when it was set, in UTC; None: the file says it
    tag: str | None = None  #: for `only_if` of a change


@dataclass(frozen=True)
class Comparison(Record):
    """How alike two dictionaries of one shape are. None: unknown."""

    dictionary: str
    other: str
    other_revision: str | None = None
    concepts: int | None = None
    stability_with_flips: float | None = None  #: PW-MCC; 1: the same dictionary
    stability_without_flips: float | None = None
    stability_centered: float | None = None
    share_over_90: float | None = None
    share_over_70: float | None = None
    cosine_hungarian_loss: float | None = None
    hungarian_loss: float | None = None
    shared_points: int | None = None  #: by position
    shared_points_in_any_order: int | None = None
    points: int | None = None  #: of the dictionary that has fewer
    match: tuple[int, ...] = field(default=(), metadata={"read": tuple})  #: of each atom, that of the other
    match_cosine: tuple[float, ...] = field(default=(), metadata={"read": tuple})

    @classmethod
    def flat(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return renamed(value, {"with": "other", "with_revision": "other_revision"})


@dataclass(frozen=True)
class AtomList(Record):
    """A named list of atoms, which the server keeps."""

    name: str
    description: str | None = None
    atom_count: int | None = None
    atoms: tuple[int, ...] | None = field(default=None, metadata={"read": tuple})  #: None in atom_lists()
    changed_at: str | None = None  #: in UTC
    tag: str | None = None  #: for `only_if` of a change


@dataclass(frozen=True)
class ContrastSide(Record):
    """A set of data of a contrast."""

    name: str
    rows: int | None = None
    units: int | None = None  #: items, where rows are parts of items, else rows


@dataclass(frozen=True)
class ContrastFigures(Record):
    """A figure on both sets of data, and the difference with its interval."""

    a: float | None = None
    b: float | None = None
    difference: float | None = None  #: a - b
    low: float | None = None  #: of the interval of the difference; None: active too seldom to have one
    high: float | None = None


@dataclass(frozen=True)
class Atom(Record):
    """A row of the dictionary."""

    atom: int
    norm: float | None = None  #: in the units of the dictionary
    label: str | None = None
    archetypes: tuple[Archetype, ...] | None = some(Archetype)  #: by falling contribution
    relaxation: float | None = None  #: norm of the step from the mixture to the atom
    vector: NDArray[np.float32] | None = numbers()  #: [d] in the units of the dictionary
    statistics: Statistics | None = one(Statistics, repr=False)
    layout: tuple[float, float] | None = field(default=None, metadata={"read": tuple})  #: place on a map of all atoms
    label_source: str | None = None  #: "set", "file", "rows", "trace" or "archetypes"
    coverage: float | None = None  #: sum of the archetypes' weights: 1 when none is left out
    hull_share: float | None = None  #: cosine between the atom and its mixture
    relaxation_share: float | None = None  #: share of the atom along the relaxation; may be negative
    trace: Trace | None = one(Trace)
    agreement: Agreement | None = one(Agreement)
    direction: NDArray[np.float32] | None = numbers()  #: [d] in the units of the data: what a code of 1, or steering by 1, adds
    units: str | None = None  #: of norms and `vector`: "data" or "standardized"
    quantiles: tuple[Quantile, ...] | None = some(Quantile, repr=False)  #: rows from all over the range of its latent
    encoder: Encoder | None = one(Encoder, repr=False)  #: what its latent looks for
    explanation: AtomExplanation | None = one(AtomExplanation)
    matched: str | None = None  #: where find() found its text: "label", "archetypes" or "rows"

    @classmethod
    def flat(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return _relaxation_flat(value)


@dataclass(frozen=True)
class ContrastAtom(Atom):
    """What an atom does on both sets of data, with the parts that were asked for."""

    count_a: int | None = None  #: rows of A in which its latent is active
    count_b: int | None = None
    energy: ContrastFigures | None = one(ContrastFigures)  #: mean of |code| over all rows times the norm of the atom
    frequency: ContrastFigures | None = one(ContrastFigures)  #: share of the rows in which it is active
    relative: float | None = None  #: difference of energy over the sum of both, -1 to 1


@dataclass(frozen=True)
class Contrast(Record):
    """What the atoms do on a set of data A against a set B."""

    name: str
    a: ContrastSide | None = one(ContrastSide)
    b: ContrastSide | None = one(ContrastSide)
    confidence: float | None = None  #: with which all intervals hold at once
    intervals: int | None = None
    atoms: tuple[ContrastAtom, ...] | None = some(ContrastAtom)  #: None in contrasts()

    def __repr__(self) -> str:
        return f"Contrast(name={self.name!r}, a={self.a!r}, b={self.b!r})"


@dataclass(frozen=True)
class Match(Atom):
    """An atom that was found, with the parts that were asked for."""

    score: float | None = None  #: the cosine, or the product in the units of the dictionary

    def __repr__(self) -> str:
        return f"Match(atom={self.atom}, score={self.score}, label={self.label!r})"


@dataclass(frozen=True)
class Partner(Atom):
    """An atom whose latent is active together with another, with the parts that were asked for."""

    count: int | None = None  #: rows in which both are active
    lift: float | None = None  #: these rows divided by what they would be by chance
    pmi: float | None = None  #: the natural logarithm of the lift
    correlation: float | None = None  #: of the codes over all rows

    def __repr__(self) -> str:
        return f"Partner(atom={self.atom}, count={self.count}, lift={self.lift}, label={self.label!r})"


# ---- inputs


@dataclass(frozen=True)
class Concept(Atom):
    """An atom's part in an input."""

    code: float | None = None
    contribution: float | None = None  #: code * (D_k . x) / |x|^2

    def __repr__(self) -> str:
        return f"Concept(atom={self.atom}, code={self.code}, contribution={self.contribution}, label={self.label!r})"


@dataclass(frozen=True)
class Explanation(Record):
    """What an input is made of. Contributions add up to (x_hat . x) / |x|^2, in the units of the dictionary."""

    concepts: tuple[Concept, ...] = some(Concept)  #: by falling absolute contribution
    residual_norm: float | None = None  #: |x - x_hat|
    input_norm: float | None = None  #: |x|
    r2: float | None = None  #: around the mean of this input's numbers; None when they are all equal
    active: int | None = None  #: latents of the input, of which `concepts` are those that were asked for
    units: str | None = None  #: of the norms: "data" or "standardized"

    @classmethod
    def flat(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        norms = {name: value[name].get("norm") for name in ("residual", "input") if isinstance(value.get(name), Mapping)}
        return renamed({**value, **norms}, {"residual": "residual_norm", "input": "input_norm"})

    @property
    def residual(self) -> float | None:
        """`residual_norm` by its former name."""
        return self.residual_norm

    @property
    def input(self) -> float | None:
        """`input_norm` by its former name."""
        return self.input_norm


# ---- points


@dataclass(frozen=True)
class Use(Record):
    """An atom that a point is an archetype of."""

    atom: int
    weight: float | None = None


@dataclass(frozen=True)
class Point(Record):
    """A candidate point."""

    point: int
    label: str | None = None
    atoms: tuple[Use, ...] | None = some(Use)  #: by falling weight
    rows: tuple[NearRow, ...] | None = some(NearRow)  #: of the training data, the nearest first
    vector: NDArray[np.float32] | None = numbers()  #: [d] in the units of the dictionary; None when the file holds no points
    location: NDArray[np.float32] | None = numbers()  #: [d] in the units of the data: vector * scale + mean
    units: str | None = None  #: of `vector` and the distances: "data" or "standardized"
