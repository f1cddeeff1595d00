"""What can be asked of a dictionary, each as one Call (exchange.py) that Client runs blocking and AsyncClient awaits.
Dictionary documents them.

Arguments are checked against `info`, the last description that the server gave. So each request names the revision of that
description (If-Match): no call is checked against one content and computed with another, or mixes two in its batches.
handle.py follows when another revision is served by now. An older server has no revisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeVar, Union
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from . import arguments, wire
from .arguments import Ids
from .codes import Codes, Edited
from .errors import ReplyError
from .exchange import Call
from .message import Response
from .record import every
from .records import (Atom, AtomList, Comparison, Contrast, ContrastAtom, Explanation, Info, Item, Label, Match, Partner, Point,
                      Standardization)
from .rows import Floats, Numbers, Rows
from .session import Progress, Session, batch_rows, in_batches, path
from .wire import Body

T = TypeVar("T")
R = TypeVar("R", Label, AtomList)

Metric = Literal["cosine", "dot"]
On = Literal["input", "reconstruction"]
Method = Literal["add", "orthogonal", "cap"]
#: What becomes of a code: a number sets it, "ablate" makes it 0.
Edit = Union[float, Literal["ablate"], tuple[Literal["set", "scale", "add", "clamp"], float]]
Order = Literal["asc", "desc"]
Measure = Literal["count", "pmi", "correlation"]
Field = Literal["norm", "label", "explanation", "archetypes", "relaxation", "trace", "agreement", "statistics", "quantiles",
                "layout", "vector", "direction", "encoder", "units"]

#: Parts of an atom: names of fields, "all", or None for those that the server gives by itself.
Fields = Union[Iterable[Field], Literal["all"], str, None]

_QUERY_BYTES = 4096  # of a query; more goes into a body


class Queries(NamedTuple):
    """What a search looks for: one of the first four. And which atoms it may find."""

    vectors: Numbers | None
    inputs: Numbers | None
    atoms: Ids | int | None
    positive: Ids | int | None
    negative: Ids | int | None
    exclude_self: bool
    exclude: Ids | int | None
    min_score: float | None
    filter: Mapping[str, Any]  # arguments.finding()


@dataclass(frozen=True)
class Operations:
    """What can be asked of one dictionary of which the server said `info`."""

    session: Session
    name: str
    info: Info

    # ---- atoms and points

    def atom(self, atom: int, fields: Fields) -> Call[Atom]:
        number = arguments.position(atom, "atom", self.info.atom_count)
        return Atom.read(wire.read_json((yield from self._get(f"/atoms/{number}", arguments.names(fields)))))

    def atoms(self, ids: Ids | None, fields: Fields) -> Call[list[Atom]]:
        numbers, page = self.numbers(ids), (yield from self.session.limits()).page
        found: list[Atom] = []
        for first in range(0, len(numbers), page):
            found += yield from self._page(numbers[first:first + page], fields)
        return found

    def numbers(self, ids: Ids | None) -> range | NDArray[np.int64]:
        """Those of atoms, one after the other; all of them for None."""
        chosen = arguments.positions(slice(None) if ids is None else ids, self.info.atom_count)
        return chosen if isinstance(chosen, range) else chosen.reshape(-1)

    def _page(self, numbers: range | NDArray[np.int64], fields: Fields) -> Call[list[Atom]]:
        query = arguments.names(fields)
        if isinstance(numbers, range) and numbers.step == 1:
            reply = yield from self._get("/atoms", {"offset": numbers.start, "limit": len(numbers), **query})
        else:
            reply = yield from self._post("/atoms", wire.as_json({"ids": [int(one) for one in numbers]}), wire.JSON, query)
        return self._counted(list(every(Atom, wire.member(reply, "atoms"))), len(numbers))

    def find(self, query: Mapping[str, Any], limit: int, fields: Fields) -> Call[list[Atom]]:
        most, page = arguments.whole(limit, "limit", 1), (yield from self.session.limits()).page
        found: list[Atom] = []
        while len(found) < most:
            part = {"offset": len(found), "limit": min(page, most - len(found)), **query, **arguments.names(fields)}
            atoms = list(every(Atom, wire.member((yield from self._get("/atoms", part)), "atoms")))
            found += atoms
            if len(atoms) < part["limit"]:
                break
        return found

    def table(self, columns: Sequence[str] | None) -> Call[dict[str, NDArray[Any]]]:
        return wire.read_table((yield from self._get("/table", arguments.names(columns, "columns"))))

    def training(self, columns: Sequence[str] | None) -> Call[dict[str, NDArray[Any]]]:
        return wire.read_table((yield from self._get("/training", arguments.names(columns, "columns"))))

    def contrasts(self) -> Call[list[Contrast]]:
        return list(every(Contrast, wire.member((yield from self._get("/contrasts")), "contrasts")))

    def contrast(self, name: str, limit: int | None, sort: str, order: Order, fields: Fields) -> Call[Contrast]:
        query = {"sort": arguments.choice(sort, "sort", ("energy", "frequency", "relative", "index")),
                 "order": arguments.choice(order, "order", arguments.ORDERS), **arguments.names(fields)}
        wanted = self.info.atom_count if limit is None else arguments.whole(limit, "limit", 1)
        page = min((yield from self.session.limits()).page, wanted)
        found: list[ContrastAtom] = []
        while True:
            asked = {**query, "offset": len(found), "limit": min(page, wanted - len(found))}
            reply = yield from self._get(f"/contrasts/{quote(arguments.text(name, 'name'), safe='')}", asked)
            part = every(ContrastAtom, wire.member(reply, "atoms"))
            found += part
            if not part or len(found) >= min(wanted, self.info.atom_count):
                return replace(Contrast.read(wire.read_json(reply)), atoms=tuple(found))

    # ---- what the server keeps

    def label(self, atom: int) -> Call[Label]:
        return self._tagged(Label, (yield from self._get(self._label(atom))))

    def set_label(self, atom: int, words: Mapping[str, object], only_if: str | None) -> Call[Label]:
        return self._tagged(Label, (yield from self._change("PUT", self._label(atom), words, only_if)))

    def delete_label(self, atom: int, only_if: str | None) -> Call[Label]:
        return self._tagged(Label, (yield from self._change("DELETE", self._label(atom), {}, only_if)))

    def labels(self) -> Call[list[Label]]:
        found: list[Label] = []
        page = (yield from self.session.limits()).page
        while True:
            reply = yield from self._get("/labels", {"offset": len(found), "limit": page})
            part = every(Label, wire.member(reply, "labels"))
            found += (replace(one, label_source="set") for one in part)
            if not part or len(found) >= wire.member(reply, "total"):
                return found

    def set_labels(self, labels: Sequence[Mapping[str, object]]) -> Call[int]:
        most = (yield from self.session.limits()).ids
        for first in range(0, len(labels), most):
            yield from self._change("POST", "/labels", {"labels": labels[first:first + most]}, None)
        return len(labels)

    def atom_lists(self) -> Call[list[AtomList]]:
        return list(every(AtomList, wire.member((yield from self._get("/lists")), "lists")))

    def atom_list(self, name: str) -> Call[AtomList]:
        return self._tagged(AtomList, (yield from self._get(self._list(name))))

    def set_atom_list(self, name: str, atoms: Ids, description: str | None, only_if: str | None) -> Call[AtomList]:
        numbers = [int(one) for one in arguments.positions(atoms, self.info.atom_count)]
        body = {"atoms": numbers, "description": description}
        return self._tagged(AtomList, (yield from self._change("PUT", self._list(name), body, only_if)))

    def delete_atom_list(self, name: str, only_if: str | None) -> Call[None]:
        yield from self._change("DELETE", self._list(name), {}, only_if)

    def _label(self, atom: int) -> str:
        return f"/atoms/{arguments.position(atom, 'atom', self.info.atom_count)}/label"

    def _list(self, name: str) -> str:
        return "/lists/" + quote(arguments.text(name, "name"), safe="")

    def _change(self, method: str, rest: str, body: Mapping[str, object], only_if: str | None) -> Call[Response]:
        """only_if: a tag, or "new" for what is not there yet."""
        more = {"if-none-match": "*"} if only_if == "new" else {} if only_if is None else {"if-match": only_if}
        return (yield from self.session.ask(method, path(self.name) + rest, wire.as_json(body), again=only_if is None, more=more))

    @staticmethod
    def _tagged(kind: type[R], reply: Response) -> R:
        return replace(kind.read(wire.read_json(reply)), tag=reply.headers.get("etag"))

    def vectors(self, ids: Ids | int | None, field: Literal["vector", "direction"]) -> Call[Floats]:
        chosen = arguments.positions(slice(None) if ids is None else ids, self.info.atom_count)
        numbers = np.asarray(chosen, np.int64)
        flat = numbers.reshape(-1)
        limits = yield from self.session.limits()
        most = min(limits.ids, limits.reply_bytes // (4 * self.info.dimensions) or 1)
        if self.info.standardized is False:
            field = "vector"  # is the same then, and older servers know no other

        def send(first: int, end: int) -> Call[Floats]:
            body = wire.as_json({"ids": flat[first:end].tolist()})
            return wire.read_matrix((yield from self._post("/atoms", body, wire.RAW, {"fields": field})))
        parts = yield from in_batches(len(flat), most, None, send)
        return _joined(parts, self.info.dimensions).reshape(*numbers.shape, self.info.dimensions)

    def standardization(self) -> Call[Standardization]:
        d = self.info.dimensions
        if self.info.standardized is False:
            return Standardization(np.zeros(d, np.float32), np.ones(d, np.float32))
        mean, scale = wire.read((yield from self._get("/standardization", accept=wire.RAW)), 2)
        return Standardization(mean.astype(np.float32, copy=False), scale.astype(np.float32, copy=False))

    def matrix(self) -> Call[Floats]:
        return wire.read_matrix((yield from self._get("/dictionary", accept=wire.RAW)))

    def point(self, point: int) -> Call[Point]:
        number = arguments.position(point, "point", self.info.point_count)
        return Point.read(wire.read_json((yield from self._get(f"/points/{number}"))))

    def points(self, offset: int, limit: int | None, fields: Fields) -> Call[list[Point]]:
        first, total = arguments.whole(offset, "offset", 0), self.info.point_count or 0
        end = total if limit is None else min(total, first + arguments.whole(limit, "limit", 1))
        page, found = (yield from self.session.limits()).page, list[Point]()
        while first < end:
            query = {"offset": first, "limit": min(page, end - first), **arguments.names(fields)}
            part = list(every(Point, wire.member((yield from self._get("/points", query)), "points")))
            found += self._counted(part, min(page, end - first))
            first += len(part)
        return found

    def point_vectors(self, offset: int, limit: int | None, field: Literal["vector", "location"]) -> Call[Floats]:
        start, total = arguments.whole(offset, "offset", 0), self.info.point_count or 0
        count = max(0, total - start if limit is None else min(total - start, arguments.whole(limit, "limit", 1)))
        page = (yield from self.session.limits()).page

        def send(first: int, end: int) -> Call[Floats]:
            query = {"offset": start + first, "limit": end - first, "fields": field}
            return wire.read_matrix((yield from self._get("/points", query, wire.RAW)))
        parts = yield from in_batches(count, page, None, send)
        return _joined(parts, self.info.dimensions)

    def rows(self, offset: int, limit: int | None) -> Call[Floats]:
        start, total = arguments.whole(offset, "offset", 0), self.info.row_count or 0
        count = max(0, total - start if limit is None else min(total - start, arguments.whole(limit, "limit", 1)))
        page = (yield from self.session.limits()).page

        def send(first: int, end: int) -> Call[Floats]:
            return wire.read_matrix((yield from self._get("/rows", {"offset": start + first, "limit": end - first}, wire.RAW)))
        parts = yield from in_batches(count, page, None, send)
        return _joined(parts, self.info.dimensions)

    # ---- searching

    def neighbors(self, atom: int, k: int, metric: Metric, fields: Fields) -> Call[list[Match]]:
        number = arguments.position(atom, "atom", self.info.atom_count)
        most = min(arguments.whole(k, "k", 1), self.info.atom_count - 1)
        query = {"k": most, "metric": arguments.choice(metric, "metric", arguments.METRICS), **arguments.names(fields)}
        if most == 0:  # the only atom there is
            return []
        reply = yield from self._get(f"/atoms/{number}/neighbors", query)
        return list(every(Match, wire.member(reply, "neighbors")))

    def cofiring(self, atom: int, k: int, measure: Measure, fields: Fields) -> Call[list[Partner]]:
        number = arguments.position(atom, "atom", self.info.atom_count)
        query = {"k": arguments.whole(k, "k", 1), "measure": arguments.choice(measure, "measure", arguments.MEASURES),
                 **arguments.names(fields)}
        reply = yield from self._get(f"/atoms/{number}/cofiring", query)
        return list(every(Partner, wire.member(reply, "partners")))

    def items(self, atom: int, k: int) -> Call[list[Item]]:
        number = arguments.position(atom, "atom", self.info.atom_count)
        reply = yield from self._get(f"/atoms/{number}/items", {"k": arguments.whole(k, "k", 1)})
        return list(every(Item, wire.member(reply, "items")))

    def search(self, queries: Queries, k: int, metric: Metric, fields: Fields, batch_size: int | None,
               progress: Progress | None) -> Call[list[list[Match]]]:
        query = {**self._search(queries, k, metric), **arguments.names(fields)}

        def read(reply: Response, count: int) -> list[list[Match]]:
            return self._counted([list(every(Match, one)) for one in wire.member(reply, "results")], count)
        _, parts = yield from self._found(queries, query, wire.JSON, read, batch_size, progress)
        return list(chain.from_iterable(parts))

    def search_arrays(self, queries: Queries, k: int, metric: Metric, batch_size: int | None,
                      progress: Progress | None) -> Call[tuple[NDArray[np.int32], Floats]]:
        query = self._search(queries, k, metric)

        def read(reply: Response, count: int) -> tuple[NDArray[np.int32], Floats]:
            atoms, scores = wire.read(reply, 2)
            return atoms.astype(np.int32, copy=False), scores.astype(np.float32, copy=False)
        leading, parts = yield from self._found(queries, query, wire.RAW, read, batch_size, progress)
        most = parts[0][0].shape[1] if parts else query["k"]
        shape = (*leading, most)
        return (np.concatenate([np.empty((0, most), np.int32), *(atoms for atoms, _ in parts)]).reshape(shape),
                np.concatenate([np.empty((0, most), np.float32), *(scores for _, scores in parts)]).reshape(shape))

    def _search(self, queries: Queries, k: int, metric: Metric) -> dict[str, Any]:
        """The query of a search; TypeError unless there is one kind of queries."""
        if sum(one is not None for one in queries[:4]) != 1:
            raise TypeError("give one of vectors, inputs, atoms and positive")
        if queries.negative is not None and queries.positive is None:
            raise TypeError("negative goes with positive")
        if queries.exclude_self and queries.atoms is None:
            raise TypeError("exclude_self is for atoms")
        others = self.info.atom_count - bool(queries.exclude_self)
        least = queries.min_score
        if least is not None and (isinstance(least, bool) or not np.isfinite(least)):
            raise ValueError(f"min_score is {least!r}, expected a finite number")
        return {"k": min(arguments.whole(k, "k", 1), others),
                "metric": arguments.choice(metric, "metric", arguments.METRICS),
                # without a standardization the units are the same, and older servers know but one
                "as": "inputs" if queries.inputs is not None and self.info.standardized is not False else None,
                "exclude_self": "true" if queries.exclude_self else None,
                "min_score": None if least is None else repr(float(least)), **queries.filter}

    def _found(self, queries: Queries, query: Mapping[str, Any], accept: str, read: Callable[[Response, int], T],
               batch_size: int | None, progress: Progress | None) -> Call[tuple[tuple[int, ...], list[T]]]:
        """The axes of the queries, and what read() makes of each reply."""
        excluded, count_of_atoms = arguments.listed(queries.exclude, self.info.atom_count), self.info.atom_count
        left_out = {"exclude": excluded} if excluded else {}
        leading: tuple[int, ...]
        if queries.atoms is not None:
            numbers = np.asarray(arguments.positions(queries.atoms, self.info.atom_count), np.int64)
            flat, leading, row_bytes = numbers.reshape(-1), numbers.shape, 16

            def body(first: int, end: int) -> Body:
                return wire.as_json({"atoms": flat[first:end].tolist(), **left_out})
        elif queries.positive is not None:
            leading, row_bytes = (), 16
            examples = {"positive": arguments.listed(queries.positive, count_of_atoms),
                        "negative": arguments.listed(queries.negative, count_of_atoms), **left_out}

            def body(first: int, end: int) -> Body:
                return wire.as_json(examples)
        else:
            what = "vectors" if queries.inputs is None else "inputs"
            rows = Rows(queries.vectors if queries.inputs is None else queries.inputs, self.info.dimensions, what)
            leading, row_bytes = rows.leading, 4 * rows.width
            text = ",".join(map(str, excluded))
            if excluded and len(text) <= _QUERY_BYTES:
                query = {**query, "exclude": text}
            as_json = len(text) > _QUERY_BYTES  # a query has a limit, a body holds them all

            def body(first: int, end: int) -> Body:
                values = rows.take(first, end)
                return wire.as_json({what: values.tolist(), **left_out}) if as_json else wire.write(values)

        def send(first: int, end: int) -> Call[T]:
            if query["k"] == 0:
                raise ValueError(f"dictionary {self.name} has one atom, and no others to find")
            return read((yield from self._post("/search", body(first, end), accept, query)), end - first)
        limits = yield from self.session.limits()
        most = min(batch_rows(limits, row_bytes, batch_size), limits.results // max(query["k"], 1) or 1)
        count = int(np.prod(leading, dtype=np.int64))
        return leading, (yield from in_batches(count, most, progress, send))

    # ---- computing

    def encode(self, inputs: Numbers, batch_size: int | None, progress: Progress | None) -> Call[Codes]:
        rows = Rows(inputs, self.info.dimensions, "inputs")

        def send(first: int, end: int) -> Call[Codes]:
            reply = yield from self._post("/encode", wire.write(rows.take(first, end)), wire.RAW)
            return wire.read_codes(reply, self.info.atom_count)
        parts = yield from self._rows(rows, batch_size, progress, send)
        empty = Codes(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), self.info.atom_count)
        return (parts[0] if len(parts) == 1 else Codes.concat([empty, *parts]))._with_axes(rows.leading)

    def reconstruct(self, latents: Any, batch_size: int | None, progress: Progress | None) -> Call[Floats]:
        concepts, dimensions = self.info.atom_count, self.info.dimensions
        limits = yield from self.session.limits()
        if isinstance(latents, tuple):
            if len(latents) != 2:
                raise ValueError(f"latents is a tuple of {len(latents)}, expected (indices, values)")
            latents = Codes.from_rows(latents[0], latents[1], concepts)
        elif hasattr(latents, "tocsr"):
            latents = Codes.from_scipy(latents)
        elif "sparse" in str(getattr(latents, "layout", "")):
            latents = Codes.from_torch(latents)
        if isinstance(latents, Codes):
            if latents.concepts != concepts:
                raise ValueError(f"the latents have {latents.concepts} columns, but dictionary {self.name} has {concepts} "
                                 "concepts")
            count, leading = latents.rows, latents.leading
            flat = latents._with_axes((count,))
            row_bytes = 8 + 8 * int(np.diff(flat.start).max(initial=0))

            def body(first: int, end: int) -> Body:
                return wire.write_codes(flat if (first, end) == (0, count) else flat[first:end])
        else:
            rows = Rows(latents, concepts, "latents")
            count, leading, row_bytes = rows.count, rows.leading, 4 * concepts

            def body(first: int, end: int) -> Body:
                dense = rows.take(first, end)
                few = np.count_nonzero(dense) * 4 < dense.size  # sparse codes have half the bytes then, at most
                return wire.write_codes(Codes.from_dense(dense)) if few else wire.write(dense)

        def send(first: int, end: int) -> Call[Floats]:
            return wire.read_matrix((yield from self._post("/reconstruct", body(first, end), wire.RAW)))
        most = min(batch_rows(limits, row_bytes, batch_size), limits.reply_bytes // (4 * dimensions) or 1)
        parts = yield from in_batches(count, most, progress, send)
        return _joined(parts, dimensions).reshape(*leading, dimensions)

    def explain(self, inputs: Numbers, k: int | None, fields: Fields, batch_size: int | None,
                progress: Progress | None) -> Call[list[Explanation]]:
        rows = Rows(inputs, self.info.dimensions, "inputs")
        query = {"k": None if k is None else arguments.whole(k, "k", 1), **arguments.names(fields)}

        def send(first: int, end: int) -> Call[list[Explanation]]:
            reply = yield from self._post("/explain", wire.write(rows.take(first, end)), wire.JSON, query)
            return self._counted(list(every(Explanation, wire.member(reply, "explanations"))), end - first)
        return list(chain.from_iterable((yield from self._rows(rows, batch_size, progress, send))))

    def steer(self, inputs: Numbers, scales: Mapping[int, float], on: On, method: Method, batch_size: int | None,
              progress: Progress | None) -> Call[Floats]:
        rows = Rows(inputs, self.info.dimensions, "inputs")
        arguments.choice(on, "on", ("input", "reconstruction"))
        arguments.choice(method, "method", ("add", "orthogonal", "cap"))
        pushes = arguments.pushes(scales, self.info.atom_count)
        if not pushes:  # the server wants one
            pushes, method = {0: 0.0}, "add"
        how = {"on": on} if method == "add" else {"on": on, "method": method}  # earlier servers know no method
        query = {"steer": ",".join(f"{atom}:{scale!r}" for atom, scale in pushes.items()), **how}
        as_json = len(query["steer"]) > _QUERY_BYTES  # a query has a limit, a body holds them all
        listed = [{"atom": atom, "scale": scale} for atom, scale in pushes.items()]

        def send(first: int, end: int) -> Call[Floats]:
            values = rows.take(first, end)
            if as_json:
                body = wire.as_json({"inputs": values.tolist(), "steer": listed, **how})
                return wire.read_matrix((yield from self._post("/steer", body, wire.RAW)))
            return wire.read_matrix((yield from self._post("/steer", wire.write(values), wire.RAW, query)))
        most = batch_rows((yield from self.session.limits()), 4 * rows.width, batch_size)
        if method != "add":
            most = min(most, max(1, (yield from self.session.limits()).results // len(pushes)))
        parts = yield from in_batches(rows.count, most, progress, send)
        return _joined(parts, self.info.dimensions).reshape(*rows.leading, self.info.dimensions)

    def compare(self, other: str) -> Call[Comparison]:
        body = wire.as_json({"with": arguments.text(other, "other")})
        return Comparison.read(wire.read_json((yield from self._post("/compare", body, wire.JSON))))

    def edit(self, inputs: Numbers, edits: Mapping[int, Edit], keep_error: bool, batch_size: int | None,
             progress: Progress | None) -> Call[Edited]:
        rows = Rows(inputs, self.info.dimensions, "inputs")
        changes = arguments.edits(edits, self.info.atom_count)
        if not isinstance(keep_error, (bool, np.bool_)):
            raise TypeError(f"keep_error is {keep_error!r}, expected True or False")
        kept = "true" if keep_error else "false"
        listed = ",".join(f"{atom}:{op}" if value is None else f"{atom}:{op}:{value!r}" for atom, op, value in changes)
        members = [{"atom": atom, "op": op, **({} if value is None else {"value": value})} for atom, op, value in changes]
        limits = yield from self.session.limits()

        def send(first: int, end: int) -> Call[list[NDArray[np.float32]]]:
            values = rows.take(first, end)
            if len(listed) > _QUERY_BYTES:
                body = wire.as_json({"inputs": values.tolist(), "set": members, "keep_error": bool(keep_error)})
                return wire.read((yield from self._post("/edit", body, wire.RAW)), 3)
            query = {"set": listed, "keep_error": kept}
            return wire.read((yield from self._post("/edit", wire.write(values), wire.RAW, query)), 3)
        most = min(batch_rows(limits, 4 * rows.width, batch_size), max(1, limits.results // len(changes)))
        parts = yield from in_batches(rows.count, most, progress, send)
        outputs, before, after = (_joined([part[i] for part in parts], width).reshape(*rows.leading, width)
                                  for i, width in enumerate((self.info.dimensions, len(changes), len(changes))))
        return Edited(outputs, np.array([atom for atom, _, _ in changes]), before, after)

    # ---- requests

    def _get(self, rest: str, query: Mapping[str, object] = {}, accept: str = wire.JSON) -> Call[Response]:
        return (yield from self.session.ask("GET", path(self.name) + rest + wire.query(query), accept=accept,
                                            revision=self.info.revision))

    def _post(self, rest: str, body: Body, accept: str, query: Mapping[str, object] = {}) -> Call[Response]:
        return (yield from self.session.ask("POST", path(self.name) + rest + wire.query(query), body, accept,
                                            revision=self.info.revision))

    def _rows(self, rows: Rows, batch_size: int | None, progress: Progress | None,
              send: Callable[[int, int], Call[T]]) -> Call[list[T]]:
        most = batch_rows((yield from self.session.limits()), 4 * rows.width, batch_size)
        return (yield from in_batches(rows.count, most, progress, send))

    def _counted(self, found: list[T], count: int) -> list[T]:
        if len(found) != count:
            raise ReplyError(f"the server answered with {len(found)} entries, expected {count}; if dictionary {self.name} was "
                             "loaded again meanwhile, refresh()")
        return found


def _joined(parts: list[Floats], width: int) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, width), np.float32), *parts])
