"""One dictionary of a server.

Symbols: K concepts (atoms), d dimensions, B rows of a batch. Where [B, ...] is taken, a single row without
the B is too: an array that comes back then has no B either, and a list or codes have one entry. Arrays that
come back are float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast
from urllib.parse import urlencode

from numpy.typing import ArrayLike

from . import wire
from .codes import Codes, Latents
from .records import Atom, Explanation, Info, Match, Point, every
from .transport import Reply, Transport
from .wire import Body, Floats

Metric = Literal["cosine", "dot"]
Field = Literal["norm", "label", "archetypes", "relaxation", "trace", "agreement", "statistics", "layout", "vector"]

_PAGE = 1000  # atoms that the server gives at once


class Dictionary:
    """A dictionary. Comes from Client.dictionary(); threads may share it."""

    def __init__(self, transport: Transport, name: str, path: str) -> None:
        self._transport, self._path = transport, path
        self.name = name
        self.info = self.refresh()

    def __repr__(self) -> str:
        return f"Dictionary({self.name!r}, concepts={self.info.concepts}, dimensions={self.info.dimensions})"

    def __len__(self) -> int:
        return self.info.concepts

    def refresh(self) -> Info:
        """Asks again what it is: after a reload the sizes may differ. Also sets `info`."""
        self.info = Info.read(self._get("").json)
        return self.info

    # ---- atoms and points

    def atom(self, atom: int, fields: Iterable[Field] | None = None) -> Atom:
        """One atom. fields: the parts that are wanted, all of them when it is not given."""
        return Atom.read(self._get(f"/atoms/{int(atom)}", query=_fields(fields)).json)

    def atoms(self, ids: slice | Iterable[int] | None = None,
              fields: Iterable[Field] | None = None) -> list[Atom]:
        """Several: by number in the order given, a slice, or all. Asked for in pages of 1,000."""
        found: list[Atom] = []
        for page in self._pages(ids):
            if isinstance(page, range):
                where = {"offset": page.start, "limit": len(page)}
                reply = self._get("/atoms", query={**where, **_fields(fields)})
            else:
                reply = self._post("/atoms", wire.as_json({"ids": page}), wire.JSON, **_fields(fields))
            found += [Atom.read(one) for one in reply.json["atoms"]]
        return found

    def neighbors(self, atom: int, k: int = 10, metric: Metric = "cosine") -> list[Match]:
        """The k atoms nearest to an atom, nearest first; all but itself when there are fewer."""
        k = min(k, self.info.concepts - 1)
        reply = self._get(f"/atoms/{int(atom)}/neighbors", query={"k": k, "metric": metric}).json
        return list(every(Match, reply["neighbors"]))

    def search(self, vectors: ArrayLike, k: int = 10, metric: Metric = "cosine") -> list[list[Match]]:
        """The k atoms nearest to vectors [B, d]: a list for each, nearest first."""
        rows, _ = wire.as_rows(vectors, self.info.dimensions, "vectors")
        k = min(k, self.info.concepts)
        results = self._post("/search", wire.write(rows), wire.JSON, k=k, metric=metric).json["results"]
        return [list(every(Match, one)) for one in results]

    def point(self, point: int) -> Point:
        """A candidate point, and the atoms that are built from it."""
        return Point.read(self._get(f"/points/{int(point)}").json)

    def matrix(self) -> Floats:
        """All of D, [K, d]."""
        return wire.read_matrix(self._get("/dictionary", wire.RAW))

    # ---- computing

    def encode(self, inputs: ArrayLike) -> Codes:
        """The active latents of inputs [B, d]."""
        rows, _ = wire.as_rows(inputs, self.info.dimensions, "inputs")
        return wire.read_codes(self._post("/encode", wire.write(rows)), self.info.concepts)

    def reconstruct(self, latents: Latents) -> Floats:
        """x_hat [B, d] from latents: dense [B, K], Codes, scipy.sparse, or (indices, values), both of them
        with a sequence a row."""
        body, single = self._latents(latents)
        rows = wire.read_matrix(self._post("/reconstruct", body))
        return rows[0] if single else rows

    def explain(self, inputs: ArrayLike) -> list[Explanation]:
        """What inputs [B, d] are made of, one by one."""
        rows, _ = wire.as_rows(inputs, self.info.dimensions, "inputs")
        reply = self._post("/explain", wire.write(rows), wire.JSON,
                           fields="label,archetypes,relaxation,trace").json
        return [Explanation.read(one) for one in reply["explanations"]]

    def steer(self, inputs: ArrayLike, scales: Mapping[int, float],
              on: Literal["input", "reconstruction"] = "input") -> Floats:
        """inputs [B, d] + the sum of scale times the direction of the atom, as in steer(x, {5: 2.0}); or on top of what
        the dictionary makes of them. The direction is D[atom] in the units of the inputs."""
        rows, single = wire.as_rows(inputs, self.info.dimensions, "inputs")
        steer = ",".join(f"{int(atom)}:{float(scale)!r}" for atom, scale in scales.items())
        outputs = wire.read_matrix(self._post("/steer", wire.write(rows), steer=steer, on=on))
        return outputs[0] if single else outputs

    # ---- administration

    def reload(self) -> Info:
        """Has the server open the file again; needs an admin key. RasaeError when that fails, and the old
        generation goes on serving."""
        self._transport.request("POST", self._path + "/reload", b"", again=False)
        return self.refresh()

    # ---- calls

    def _get(self, path: str, accept: str = wire.JSON, query: Mapping[str, object] = {}) -> Reply:
        return self._transport.request("GET", self._path + path + _query(query), headers={"Accept": accept})

    def _post(self, path: str, body: Body, accept: str = wire.RAW, **query: object) -> Reply:
        return self._transport.request("POST", self._path + path + _query(query), body.data,
                                       {**body.headers, "Accept": accept})

    def _pages(self, ids: slice | Iterable[int] | None) -> Iterable[range | list[int]]:
        if ids is None:
            ids = slice(None)
        if isinstance(ids, slice):
            numbers: Sequence[int] = range(*ids.indices(self.info.concepts))
        else:
            numbers = [int(one) for one in ids]
        together = isinstance(numbers, range) and numbers.step == 1
        for first in range(0, len(numbers), _PAGE):
            page = numbers[first:first + _PAGE]
            yield page if together and isinstance(page, range) else list(page)

    def _latents(self, latents: Latents) -> tuple[Body, bool]:
        if isinstance(latents, tuple):
            indices, values = latents
            latents = Codes.from_rows(indices, values, self.info.concepts)
        elif hasattr(latents, "tocsr"):
            latents = Codes.from_scipy(latents)
        if isinstance(latents, Codes):
            if latents.concepts != self.info.concepts:
                raise ValueError(f"the latents have {latents.concepts} columns, but dictionary {self.name} "
                                 f"has {self.info.concepts} concepts")
            return wire.write_codes(latents), False
        rows, single = wire.as_rows(cast(ArrayLike, latents), self.info.concepts, "latents")
        return wire.write(rows), single


def _fields(fields: Iterable[str] | None) -> dict[str, str]:
    return {} if fields is None else {"fields": ",".join(fields)}


def _query(query: Mapping[str, object]) -> str:
    return "?" + urlencode(query, safe=",:") if query else ""
