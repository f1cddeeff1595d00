"""The server, from asyncio: AsyncClient and AsyncDictionary have the calls of Client and Dictionary, to be awaited.

They need httpx (`pip install rasae[async]`), which carries the requests.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import arguments
from .address import Address, Path
from .arguments import Ids
from .client import policy
from .codes import Codes, Edited
from .errors import RequestTimeoutError, TransportError
from .exchange import Call, drive_async, mixed_up
from .handle import Handle
from .message import AsyncTransport, Request, Response
from .operations import Edit, Fields, Measure, Method, Metric, On, Operations, Order, Queries
from .records import (Atom, AtomList, Comparison, Contrast, Explanation, Info, Item, Label, Match, Partner, Point, Server, Standardization,
                      Unavailable)
from .rows import Floats, Numbers
from .session import Progress, Session

if TYPE_CHECKING:
    import httpx

    from .codes import Latents

T = TypeVar("T")


class HttpxTransport:
    """Connections to one server, kept by httpx. They belong to one event loop of one process: another one gets its own."""

    def __init__(self, address: Address) -> None:
        try:
            import httpx  # noqa: F401
        except ImportError as error:
            raise ImportError("AsyncClient needs httpx: pip install 'rasae[async]'") from error
        self.address = address
        self._tls = address.tls() if address.scheme == "https" else None
        self._client: httpx.AsyncClient | None = None
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None

    def __reduce__(self) -> tuple[type[HttpxTransport], tuple[Address]]:
        return HttpxTransport, (self.address,)

    async def close(self) -> None:
        client, owner, self._client = self._client, self._owner, None
        if client is not None and owner == (os.getpid(), asyncio.get_running_loop()):
            await client.aclose()

    async def send(self, request: Request) -> Response:
        import httpx
        url = self.address.url
        try:
            async with self._own().stream(request.method, self.address.prefix + request.path, content=request.body,
                                          headers=dict(request.headers), timeout=request.timeout) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                if not request.owns(headers):
                    raise mixed_up(request, headers)
                body = bytearray()
                async for piece in response.aiter_raw():
                    body += piece
                return Response(response.status_code, headers, body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if "SSL:" in str(error):
                raise TransportError.of_tls(url, error) from error
            raise TransportError(f"{url} cannot be reached: {str(error) or type(error).__name__}", sent=False) from error
        except httpx.TimeoutException as error:
            raise RequestTimeoutError(f"{url} did not answer within {request.timeout:g} seconds") from error
        except ssl.SSLError as error:  # older versions of httpx let it through
            raise TransportError.of_tls(url, error) from error
        except (httpx.TransportError, httpx.StreamError, OSError) as error:
            raise TransportError(f"the connection to {url} broke: {str(error) or type(error).__name__}") from error

    def _own(self) -> httpx.AsyncClient:
        import httpx
        owner = (os.getpid(), asyncio.get_running_loop())
        if self._client is None or self._owner != owner:
            address = self.address
            unix = address.host if address.scheme == "unix" else None
            carrier = httpx.AsyncHTTPTransport(verify=self._tls or False, uds=unix, trust_env=False,
                                               limits=httpx.Limits(max_connections=None, max_keepalive_connections=100))
            host = f"[{address.host}]" if ":" in address.host else address.host
            base = "http://localhost" if unix else \
                f"{address.scheme}://{host}" + (f":{address.port}" if address.port else "")
            self._client = httpx.AsyncClient(transport=carrier, base_url=base, trust_env=False, follow_redirects=False,
                                             headers={})
            self._owner = owner
        return self._client


class AsyncClient:
    """A server of dictionaries; the arguments are those of Client.

    Any number of tasks may share one. Close it with close(), or use it in an `async with`.
    """

    def __init__(self, url: str, *, key: str | None = None, headers: Mapping[str, str] | None = None, timeout: float = 60.0,
                 retries: int = 3, deadline: float | None = 300.0, ca: Path | None = None,
                 context: ssl.SSLContext | None = None, check_ids: bool = True,
                 transport: AsyncTransport | None = None) -> None:
        address = Address.read(url, ca, context)
        self.url = address.url
        self._session = Session(policy(address, key, headers, timeout, retries, deadline, check_ids))
        self._transport: AsyncTransport = transport or HttpxTransport(address)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.url!r})"

    async def close(self) -> None:
        """Closes the kept connections."""
        await self._transport.close()

    async def ready(self) -> bool:
        """As Client.ready."""
        return await drive_async(self._session.ready(), self._transport)

    async def server(self) -> Server:
        """As Client.server."""
        return await drive_async(self._session.server(), self._transport)

    async def dictionaries(self) -> list[Info]:
        """As Client.dictionaries."""
        return await drive_async(self._session.dictionaries(), self._transport)

    async def unavailable(self) -> list[Unavailable]:
        """As Client.unavailable."""
        return await drive_async(self._session.unavailable(), self._transport)

    async def load(self, name: str) -> Info:
        """As Client.load."""
        return await drive_async(self._session.load(name), self._transport)

    async def unload(self, name: str) -> None:
        """As Client.unload."""
        await drive_async(self._session.unload(name), self._transport)

    async def dictionary(self, name: str, *, revision: str | None = None) -> AsyncDictionary:
        """As Client.dictionary."""
        return AsyncDictionary(await drive_async(Handle.open(self._session, name, revision), self._transport), self._transport)


class AsyncDictionary:
    """A dictionary. Comes from AsyncClient.dictionary(); tasks may share it."""

    def __init__(self, handle: Handle, transport: AsyncTransport) -> None:
        self._handle, self._transport = handle, transport

    def __repr__(self) -> str:
        return f"AsyncDictionary({self.name!r}, concepts={self.info.atom_count}, dimensions={self.info.dimensions})"

    async def _run(self, make: Callable[[Operations], Call[T]]) -> T:
        return await drive_async(self._handle.run(make), self._transport)

    @property
    def name(self) -> str:
        return self._handle.name

    @property
    def info(self) -> Info:
        """As Dictionary.info."""
        return self._handle.info

    def __len__(self) -> int:
        return self.info.atom_count

    async def refresh(self) -> Info:
        """As Dictionary.refresh."""
        return await drive_async(self._handle.refresh(), self._transport)

    async def atom(self, atom: int, fields: Fields = None) -> Atom:
        """As Dictionary.atom."""
        return await self._run(lambda now: now.atom(atom, fields))

    async def atoms(self, ids: Ids | None = None, fields: Fields = None) -> list[Atom]:
        """As Dictionary.atoms."""
        held = arguments.held(ids)
        return await self._run(lambda now: now.atoms(held, fields))

    def __aiter__(self) -> AsyncIterator[Atom]:
        return self.iter_atoms()

    async def iter_atoms(self, ids: Ids | None = None, fields: Fields = None, page: int = 250) -> AsyncIterator[Atom]:
        """As Dictionary.iter_atoms."""
        for call in self._handle.pages(arguments.held(ids), fields, page):
            for atom in await drive_async(call, self._transport):
                yield atom

    async def find(self, text: str | None = None, *, sort: str | None = None, order: Order | None = None,
                   min_frequency: float | None = None, dead: bool | None = None, point: int | None = None, limit: int = 20,
                   fields: Fields = None) -> list[Atom]:
        """As Dictionary.find."""
        asked = arguments.finding(text, sort, order, min_frequency, dead, point)
        return await self._run(lambda now: now.find(asked, limit, fields))

    async def table(self, columns: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """As Dictionary.table."""
        return await self._run(lambda now: now.table(columns))

    async def vectors(self, ids: Ids | int | None = None) -> Floats:
        """As Dictionary.vectors."""
        held = arguments.held(ids)
        return await self._run(lambda now: now.vectors(held, "vector"))

    async def directions(self, ids: Ids | int | None = None) -> Floats:
        """As Dictionary.directions."""
        held = arguments.held(ids)
        return await self._run(lambda now: now.vectors(held, "direction"))

    async def standardization(self) -> Standardization:
        """As Dictionary.standardization."""
        return await self._run(lambda now: now.standardization())

    async def matrix(self) -> Floats:
        """As Dictionary.matrix."""
        return await self._run(lambda now: now.matrix())

    async def point(self, point: int) -> Point:
        """As Dictionary.point."""
        return await self._run(lambda now: now.point(point))

    async def points(self, offset: int = 0, limit: int | None = None, fields: Fields = None) -> list[Point]:
        """As Dictionary.points."""
        return await self._run(lambda now: now.points(offset, limit, fields))

    async def point_vectors(self, offset: int = 0, limit: int | None = None,
                            field: Literal["vector", "location"] = "vector") -> Floats:
        """As Dictionary.point_vectors."""
        return await self._run(lambda now: now.point_vectors(offset, limit, field))

    async def rows(self, offset: int = 0, limit: int | None = None) -> Floats:
        """As Dictionary.rows."""
        return await self._run(lambda now: now.rows(offset, limit))

    async def neighbors(self, atom: int, k: int = 10, metric: Metric = "cosine", fields: Fields = None) -> list[Match]:
        """As Dictionary.neighbors."""
        return await self._run(lambda now: now.neighbors(atom, k, metric, fields))

    async def cofiring(self, atom: int, k: int = 10, measure: Measure = "pmi", fields: Fields = None) -> list[Partner]:
        """As Dictionary.cofiring."""
        return await self._run(lambda now: now.cofiring(atom, k, measure, fields))

    async def items(self, atom: int, k: int = 5) -> list[Item]:
        """As Dictionary.items."""
        return await self._run(lambda now: now.items(atom, k))

    async def search(self, vectors: Numbers | None = None, k: int = 10, metric: Metric = "cosine", *,
                     inputs: Numbers | None = None, atoms: Ids | int | None = None, positive: Ids | int | None = None,
                     negative: Ids | int | None = None, exclude: Ids | int | None = None, min_score: float | None = None,
                     text: str | None = None, min_frequency: float | None = None, dead: bool | None = None,
                     point: int | None = None, exclude_self: bool = False,
                     fields: Fields = None, batch_size: int | None = None,
                     progress: Progress | None = None) -> list[list[Match]]:
        """As Dictionary.search."""
        queries = Queries(vectors, inputs, arguments.held(atoms), arguments.held(positive), arguments.held(negative), exclude_self,
                          arguments.held(exclude), min_score, arguments.finding(text, None, None, min_frequency, dead, point))
        return await self._run(lambda now: now.search(queries, k, metric, fields, batch_size, progress))

    async def search_arrays(self, vectors: Numbers | None = None, k: int = 10, metric: Metric = "cosine", *,
                            inputs: Numbers | None = None, atoms: Ids | int | None = None, positive: Ids | int | None = None,
                            negative: Ids | int | None = None, exclude: Ids | int | None = None, min_score: float | None = None,
                            text: str | None = None, min_frequency: float | None = None, dead: bool | None = None,
                            point: int | None = None, exclude_self: bool = False,
                            batch_size: int | None = None,
                            progress: Progress | None = None) -> tuple[NDArray[np.int32], Floats]:
        """As Dictionary.search_arrays."""
        queries = Queries(vectors, inputs, arguments.held(atoms), arguments.held(positive), arguments.held(negative), exclude_self,
                          arguments.held(exclude), min_score, arguments.finding(text, None, None, min_frequency, dead, point))
        return await self._run(lambda now: now.search_arrays(queries, k, metric, batch_size, progress))

    async def encode(self, inputs: Numbers, *, batch_size: int | None = None, progress: Progress | None = None) -> Codes:
        """As Dictionary.encode."""
        return await self._run(lambda now: now.encode(inputs, batch_size, progress))

    async def reconstruct(self, latents: Latents, *, batch_size: int | None = None, progress: Progress | None = None) -> Floats:
        """As Dictionary.reconstruct."""
        held = arguments.held(latents)
        return await self._run(lambda now: now.reconstruct(held, batch_size, progress))

    async def explain(self, inputs: Numbers, k: int | None = None, *, fields: Fields = None, batch_size: int | None = None,
                      progress: Progress | None = None) -> list[Explanation]:
        """As Dictionary.explain."""
        return await self._run(lambda now: now.explain(inputs, k, fields, batch_size, progress))

    async def steer(self, inputs: Numbers, scales: Mapping[int, float], on: On = "input", *, method: Method = "add",
                    batch_size: int | None = None, progress: Progress | None = None) -> Floats:
        """As Dictionary.steer."""
        return await self._run(lambda now: now.steer(inputs, scales, on, method, batch_size, progress))

    async def edit(self, inputs: Numbers, edits: Mapping[int, Edit], keep_error: bool = True, *, batch_size: int | None = None,
                   progress: Progress | None = None) -> Edited:
        """As Dictionary.edit."""
        return await self._run(lambda now: now.edit(inputs, edits, keep_error, batch_size, progress))

    # ---- what the file says of its training

    async def training(self, columns: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """As Dictionary.training."""
        return await self._run(lambda now: now.training(columns))

    # ---- what the file says of two sets of data

    async def compare(self, other: str) -> Comparison:
        """As Dictionary.compare."""
        return await self._run(lambda now: now.compare(other))

    async def contrasts(self) -> list[Contrast]:
        """As Dictionary.contrasts."""
        return await self._run(lambda now: now.contrasts())

    async def contrast(self, name: str, limit: int | None = 20, *, sort: str = "energy", order: Order = "desc",
                       fields: Fields = None) -> Contrast:
        """As Dictionary.contrast."""
        return await self._run(lambda now: now.contrast(name, limit, sort, order, fields))

    # ---- what the server keeps: it needs a state directory, and changes an admin key

    async def label(self, atom: int) -> Label:
        """As Dictionary.label."""
        return await self._run(lambda now: now.label(atom))

    async def set_label(self, atom: int, label: str, *, explanation: str | None = None, source: str | None = None,
                        score: float | None = None, only_if: str | None = None) -> Label:
        """As Dictionary.set_label."""
        words = arguments.words(label, explanation, source, score)
        return await self._run(lambda now: now.set_label(atom, words, only_if))

    async def delete_label(self, atom: int, *, only_if: str | None = None) -> Label:
        """As Dictionary.delete_label."""
        return await self._run(lambda now: now.delete_label(atom, only_if))

    async def labels(self) -> list[Label]:
        """As Dictionary.labels."""
        return await self._run(lambda now: now.labels())

    async def set_labels(self, labels: Sequence[Mapping[str, object]]) -> int:
        """As Dictionary.set_labels."""
        held = list(labels)
        return await self._run(lambda now: now.set_labels(held))

    async def atom_lists(self) -> list[AtomList]:
        """As Dictionary.atom_lists."""
        return await self._run(lambda now: now.atom_lists())

    async def atom_list(self, name: str) -> AtomList:
        """As Dictionary.atom_list."""
        return await self._run(lambda now: now.atom_list(name))

    async def set_atom_list(self, name: str, atoms: Ids, description: str | None = None, *,
                       only_if: str | None = None) -> AtomList:
        """As Dictionary.set_atom_list."""
        held = arguments.held(atoms)
        return await self._run(lambda now: now.set_atom_list(name, held, description, only_if))

    async def delete_atom_list(self, name: str, *, only_if: str | None = None) -> None:
        """As Dictionary.delete_atom_list."""
        await self._run(lambda now: now.delete_atom_list(name, only_if))

    async def download(self, file: Path, progress: Progress | None = None) -> None:
        """As Dictionary.download."""
        await drive_async(self._handle.download(file, progress), self._transport)

    async def download_artifact(self, file: Path, progress: Progress | None = None) -> None:
        """As Dictionary.download_artifact."""
        await drive_async(self._handle.download(file, progress, "artifact"), self._transport)

    async def reload(self) -> Info:
        """As Dictionary.reload."""
        return await drive_async(self._handle.reload(), self._transport)
