"""One dictionary of a server.

Symbols: K concepts (atoms), d dimensions, rows of data [..., d]. There is one rule for all axes before the last one, a
single row [d] among them: an array or codes that come back have the axes that went in, and a list has one entry for each
row, in order. So encode(x[3]) is codes [K], steer(x[3], ...) is [d], and explain(x[3]) is a list with one explanation.

Rows may be lists, arrays of numpy, tensors of torch (any real type, on any device, with gradient or without), and whatever
numpy.asarray takes. Arrays that come back are float32 of numpy. Any number of rows goes out in batches that the server takes;
`batch_size` is the most rows of one, and `progress` is called with the rows that are done and all of them after each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from . import arguments
from .address import Path
from .arguments import Ids
from .codes import Codes, Edited
from .exchange import Call, drive
from .handle import Handle
from .message import Transport
from .operations import Edit, Fields, Measure, Method, Metric, On, Operations, Order, Queries
from .records import Atom, AtomList, Comparison, Contrast, Explanation, Info, Item, Label, Match, Partner, Point, Standardization
from .rows import Floats, Numbers
from .session import Progress

if TYPE_CHECKING:
    from .codes import Latents

T = TypeVar("T")


class Dictionary:
    """A dictionary: a sequence of its atoms. Comes from Client.dictionary(); threads may share it, and it may be pickled.

    len(d) is K, d[5] an atom, d[-1] the last one, d[2:5] and d[[9, 1]] lists, and `for atom in d` asks for a page at a time.
    """

    def __init__(self, handle: Handle, transport: Transport) -> None:
        self._handle, self._transport = handle, transport

    def __repr__(self) -> str:
        return f"Dictionary({self.name!r}, concepts={self.info.atom_count}, dimensions={self.info.dimensions})"

    def _run(self, make: Callable[[Operations], Call[T]]) -> T:
        return drive(self._handle.run(make), self._transport)

    @property
    def name(self) -> str:
        return self._handle.name

    @property
    def info(self) -> Info:
        """What it was when the server was last asked: when it was opened, at refresh() and reload(), and when a call found that
        the server has loaded another content."""
        return self._handle.info

    def refresh(self) -> Info:
        """Asks again what it is: after a reload the sizes may differ. Also sets `info`."""
        return drive(self._handle.refresh(), self._transport)

    # ---- atoms and points

    def __len__(self) -> int:
        return self.info.atom_count

    @overload
    def __getitem__(self, which: int) -> Atom: ...

    @overload
    def __getitem__(self, which: slice | range | list[int] | NDArray[np.integer[Any]]) -> list[Atom]: ...

    def __getitem__(self, which: int | slice | range | list[int] | NDArray[np.integer[Any]]) -> Atom | list[Atom]:
        if isinstance(which, (slice, range, list)) or (isinstance(which, np.ndarray) and which.ndim):
            return self.atoms(which)
        below = isinstance(which, (int, np.integer)) and not isinstance(which, bool) and which < 0
        return self.atom(cast(int, which) + len(self) if below else cast(int, which))

    def __iter__(self) -> Iterator[Atom]:
        return self.iter_atoms()

    def __contains__(self, atom: object) -> bool:
        """There is an atom of this number."""
        return isinstance(atom, (int, np.integer)) and not isinstance(atom, bool) and 0 <= int(atom) < len(self)

    def atom(self, atom: int, fields: Fields = None) -> Atom:
        """One atom. fields: the parts that are wanted, like ["label", "norm"], or "all"; all but direction, encoder and quantiles when not given.
        TypeError for 5.7, IndexError for one that is not there."""
        return self._run(lambda now: now.atom(atom, fields))

    def atoms(self, ids: Ids | None = None, fields: Fields = None) -> list[Atom]:
        """Several: by number in the order given, a slice, or all. fields: the parts that are wanted, or "all"; those that the
        server puts into lists when not given."""
        held = arguments.held(ids)
        return self._run(lambda now: now.atoms(held, fields))

    def iter_atoms(self, ids: Ids | None = None, fields: Fields = None, page: int = 250) -> Iterator[Atom]:
        """The same one by one, asked for by the page."""
        for call in self._handle.pages(arguments.held(ids), fields, page):
            yield from drive(call, self._transport)

    def find(self, text: str | None = None, *, sort: str | None = None, order: Order | None = None,
             min_frequency: float | None = None, dead: bool | None = None, point: int | None = None, limit: int = 20,
             fields: Fields = None) -> list[Atom]:
        """At most `limit` atoms: those with a label that has words beginning with those of `text`, active in at least a share
        of the rows that were measured, dead or not, made of a point; in the order of a column of table(), the largest first.
        ConflictError when the file does not hold what that needs."""
        asked = arguments.finding(text, sort, order, min_frequency, dead, point)
        return self._run(lambda now: now.find(asked, limit, fields))

    def table(self, columns: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """What is known of all atoms, [K] for each column, like ["index", "label", "energy"]; all columns when not given.
        Unknown numbers are NaN, and None stands for no label."""
        return self._run(lambda now: now.table(columns))

    def vectors(self, ids: Ids | int | None = None) -> Floats:
        """The rows of D with these numbers: [d] for one, [n, d] for n, all of them when not given. In the units of the
        dictionary. Much faster than atoms(), because the numbers travel as bytes."""
        held = arguments.held(ids)
        return self._run(lambda now: now.vectors(held, "vector"))

    def directions(self, ids: Ids | int | None = None) -> Floats:
        """The same in the units of the data: what a latent of 1 adds to a reconstruction, and steering by 1 to an input. For a
        standardized dictionary, the vectors times the deviations of the data."""
        held = arguments.held(ids)
        return self._run(lambda now: now.vectors(held, "direction"))

    def standardization(self) -> Standardization:
        """Mean and scale [d] of the data that a standardized dictionary was trained on; 0 and 1 for another."""
        return self._run(lambda now: now.standardization())

    def matrix(self) -> Floats:
        """All of D, [K, d], in the units of the dictionary."""
        return self._run(lambda now: now.matrix())

    def point(self, point: int) -> Point:
        """A candidate point, and the atoms that are built from it."""
        return self._run(lambda now: now.point(point))

    def points(self, offset: int = 0, limit: int | None = None, fields: Fields = None) -> list[Point]:
        """Candidate points in the order of their numbers, all from `offset` on or at most `limit`. fields: of label, rows, vector and
        location; the label when not given. Their atoms come with point()."""
        return self._run(lambda now: now.points(offset, limit, fields))

    def point_vectors(self, offset: int = 0, limit: int | None = None,
                      field: Literal["vector", "location"] = "vector") -> Floats:
        """The vectors of candidate points [n, d], or with `field` their locations in the units of the data. ConflictError when the
        file does not hold them."""
        return self._run(lambda now: now.point_vectors(offset, limit, field))

    def rows(self, offset: int = 0, limit: int | None = None) -> Floats:
        """Rows of the data [n, d] that the server shows beside the dictionary, in the units of the data; `info.row_count` of them."""
        return self._run(lambda now: now.rows(offset, limit))

    # ---- searching

    def neighbors(self, atom: int, k: int = 10, metric: Metric = "cosine", fields: Fields = None) -> list[Match]:
        """The k atoms nearest to an atom, nearest first; all but itself when there are fewer."""
        return self._run(lambda now: now.neighbors(atom, k, metric, fields))

    def cofiring(self, atom: int, k: int = 10, measure: Measure = "pmi", fields: Fields = None) -> list[Partner]:
        """At most k atoms whose latents are active together with that of an atom, the strongest first: by the rows in which
        both are active, by how much oftener than by chance, or by the correlation of their codes. ConflictError when the file
        holds no such lists."""
        return self._run(lambda now: now.cofiring(atom, k, measure, fields))

    def items(self, atom: int, k: int = 5) -> list[Item]:
        """At most k items in which the latent of an atom is strongest, with its code on every row of each: the patches of an
        image, or the tokens of a text; `info.item_shape` says which. ConflictError when the file holds none."""
        return self._run(lambda now: now.items(atom, k))

    def search(self, vectors: Numbers | None = None, k: int = 10, metric: Metric = "cosine", *, inputs: Numbers | None = None,
               atoms: Ids | int | None = None, positive: Ids | int | None = None,
               negative: Ids | int | None = None, exclude: Ids | int | None = None, min_score: float | None = None,
               text: str | None = None, min_frequency: float | None = None, dead: bool | None = None,
               point: int | None = None, exclude_self: bool = False, fields: Fields = None, batch_size: int | None = None,
               progress: Progress | None = None) -> list[list[Match]]:
        """The k atoms nearest to each query, nearest first. The queries are one of

        vectors  [..., d] in the units of the dictionary, as the vectors of atoms are
        inputs   [..., d] in the units of the data, as encode takes them
        atoms    numbers of atoms; exclude_self: without the atom itself
        positive numbers of atoms that the found ones should be like, in one list; negative: others that they should not be like.
                 The query is the mean of the ones minus the mean of the others, each at length one

        Found are the best of the atoms that `exclude` does not name and that text, min_frequency, dead and point leave, as in
        find(); with min_score those of at least this score.

        fields: the parts of atoms that are wanted; the label when not given."""
        queries = Queries(vectors, inputs, arguments.held(atoms), arguments.held(positive), arguments.held(negative), exclude_self,
                          arguments.held(exclude), min_score, arguments.finding(text, None, None, min_frequency, dead, point))
        return self._run(lambda now: now.search(queries, k, metric, fields, batch_size, progress))

    def search_arrays(self, vectors: Numbers | None = None, k: int = 10, metric: Metric = "cosine", *,
                      inputs: Numbers | None = None, atoms: Ids | int | None = None, positive: Ids | int | None = None,
                      negative: Ids | int | None = None, exclude: Ids | int | None = None, min_score: float | None = None,
                      text: str | None = None, min_frequency: float | None = None, dead: bool | None = None,
                      point: int | None = None, exclude_self: bool = False,
                      batch_size: int | None = None, progress: Progress | None = None) -> tuple[NDArray[np.int32], Floats]:
        """The same as arrays: atoms [..., k] and scores [..., k]. Much faster for many queries. After the end of a list that is
        shorter than others come -1 and NaN; all lists are shorter than k when fewer atoms are left."""
        queries = Queries(vectors, inputs, arguments.held(atoms), arguments.held(positive), arguments.held(negative), exclude_self,
                          arguments.held(exclude), min_score, arguments.finding(text, None, None, min_frequency, dead, point))
        return self._run(lambda now: now.search_arrays(queries, k, metric, batch_size, progress))

    # ---- computing

    def encode(self, inputs: Numbers, *, batch_size: int | None = None, progress: Progress | None = None) -> Codes:
        """The active latents of inputs [..., d], in the units of the data: codes [..., K]."""
        return self._run(lambda now: now.encode(inputs, batch_size, progress))

    def reconstruct(self, latents: Latents, *, batch_size: int | None = None, progress: Progress | None = None) -> Floats:
        """x_hat [..., d], in the units of the data, from latents: Codes, dense [..., K], (indices, values), both of them with a
        sequence for each row, or what scipy and torch have sparse."""
        held = arguments.held(latents)
        return self._run(lambda now: now.reconstruct(held, batch_size, progress))

    def explain(self, inputs: Numbers, k: int | None = None, *, fields: Fields = None, batch_size: int | None = None,
                progress: Progress | None = None) -> list[Explanation]:
        """What inputs [..., d], in the units of the data, are made of, one by one. k: the strongest concepts only.
        fields: the parts of their atoms that are wanted, like ["label", "archetypes"]; the label when not given."""
        return self._run(lambda now: now.explain(inputs, k, fields, batch_size, progress))

    def steer(self, inputs: Numbers, scales: Mapping[int, float], on: On = "input", *, method: Method = "add",
              batch_size: int | None = None, progress: Progress | None = None) -> Floats:
        """inputs [..., d] + sum of scale * direction of the atom, in the units of the data, as in steer(x, {5: 2.0}); or on top
        of what the dictionary makes of them (on="reconstruction"). directions() has the direction of each atom. method:
        "orthogonal" multiplies the part of an input along the direction by the scale, "cap" limits that part, a length, to it."""
        return self._run(lambda now: now.steer(inputs, scales, on, method, batch_size, progress))

    def edit(self, inputs: Numbers, edits: Mapping[int, Edit], keep_error: bool = True, *, batch_size: int | None = None,
             progress: Progress | None = None) -> Edited:
        """inputs [..., d], in the units of the data, as they would be with other codes, as in
        edit(x, {5: ("scale", 2.0), 7: "ablate", 9: 1.5}): x + (x_hat' - x_hat), or x_hat' without keep_error. A number sets
        the code; other operations are "scale", "add", "clamp" (at most this) and "ablate"."""
        return self._run(lambda now: now.edit(inputs, edits, keep_error, batch_size, progress))

    def compare(self, other: str) -> Comparison:
        """How alike this dictionary and another one of the server are, by its name; both have the same shape. The server matches
        their atoms one to one."""
        return self._run(lambda now: now.compare(other))

    # ---- what the file says of its training

    def training(self, columns: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """The course of the training, one array per column, one number per bin of steps: "step", "loss", "r2", "l0", "dead" and
        others; NaN: unknown. ConflictError when the file does not have it."""
        return self._run(lambda now: now.training(columns))

    # ---- what the file says of two sets of data

    def contrasts(self) -> list[Contrast]:
        """The contrasts that the file holds, without their atoms; `rasae contrast` saves them."""
        return self._run(lambda now: now.contrasts())

    def contrast(self, name: str, limit: int | None = 20, *, sort: str = "energy", order: Order = "desc",
                 fields: Fields = None) -> Contrast:
        """One of them with the atoms whose difference is largest, or smallest with order="asc"; limit=None: with all."""
        return self._run(lambda now: now.contrast(name, limit, sort, order, fields))

    # ---- what the server keeps: it needs a state directory, and changes an admin key

    def label(self, atom: int) -> Label:
        """The label of an atom, set or of the file, with its tag."""
        return self._run(lambda now: now.label(atom))

    def set_label(self, atom: int, label: str, *, explanation: str | None = None, source: str | None = None,
                  score: float | None = None, only_if: str | None = None) -> Label:
        """Sets the label of an atom. only_if: the tag that it must still have, or "new" where none may be set;
        ConflictError otherwise."""
        words = arguments.words(label, explanation, source, score)
        return self._run(lambda now: now.set_label(atom, words, only_if))

    def delete_label(self, atom: int, *, only_if: str | None = None) -> Label:
        """Takes back what was set; returns what holds now."""
        return self._run(lambda now: now.delete_label(atom, only_if))

    def labels(self) -> list[Label]:
        """All labels that were set, by number of atom."""
        return self._run(lambda now: now.labels())

    def set_labels(self, labels: Sequence[Mapping[str, object]]) -> int:
        """Sets many, each as {"atom": 5, "label": "dog", "explanation": ..., "source": ..., "score": ...}; a label of None
        takes back what was set. Up to 65,536 of them are set together or not at all."""
        held = list(labels)
        return self._run(lambda now: now.set_labels(held))

    def atom_lists(self) -> list[AtomList]:
        """The named lists of atoms, without their atoms."""
        return self._run(lambda now: now.atom_lists())

    def atom_list(self, name: str) -> AtomList:
        """A named list of atoms."""
        return self._run(lambda now: now.atom_list(name))

    def set_atom_list(self, name: str, atoms: Ids, description: str | None = None, *, only_if: str | None = None) -> AtomList:
        """Makes or replaces a named list. only_if: as set_label."""
        held = arguments.held(atoms)
        return self._run(lambda now: now.set_atom_list(name, held, description, only_if))

    def delete_atom_list(self, name: str, *, only_if: str | None = None) -> None:
        """Deletes a named list. only_if: as set_label."""
        self._run(lambda now: now.delete_atom_list(name, only_if))

    # ---- the file, administration

    def download(self, file: Path, progress: Progress | None = None) -> None:
        """Writes all of it to a file of safetensors, in pieces; a server of this version sends the whole model, which can be
        served again and answers the same. progress: called with the bytes that are there, and all of them."""
        drive(self._handle.download(file, progress), self._transport)

    def download_artifact(self, file: Path, progress: Progress | None = None) -> None:
        """As download, but the file that the server opened, byte for byte; ConflictError when that was a checkpoint, which
        the server does not keep."""
        drive(self._handle.download(file, progress, "artifact"), self._transport)

    def reload(self) -> Info:
        """Has the server open the file again; needs an admin key. RasaeError when that fails, and the old generation goes on
        serving."""
        return drive(self._handle.reload(), self._transport)
