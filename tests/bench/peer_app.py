"""What one would write in Python in the daemon's place: the same answers from a FastAPI application, or from a bare ASGI one,
under uvicorn with uvloop and httptools, in one process. bench_peers.py runs it.

    python peer_app.py MODEL fastapi|asgi [SITE_PACKAGES_OF_TORCH]

Each is written for speed: the quickest way of several that torch and NumPy have for each computation; handlers run on the event loop, without a thread pool, bodies in binary are read where they arrived,
FastAPI's replies are written by pydantic, those of the bare application by orjson where there is one. Dense latents
that are mostly zeros are reconstructed in two ways, from those that are not zero, and as the product that one would write first. Computations are torch's
where it can be imported, else NumPy's; searches are faiss's. Prints a line of JSON: the port, and what computes."""

import importlib.util
import json
import socket
import struct
import sys

if len(sys.argv) > 3:
    sys.path.append(sys.argv[3])

import numpy as np
import uvicorn

K_NEAREST, ACTIVE = 10, 50


def read_model(path):
    """{name: array} of a safetensors file of float32."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    data = np.memmap(path, dtype="u1", mode="r", offset=8 + size)
    return {name: np.array(data[slice(*about["data_offsets"])].view("<f4").reshape(about["shape"]))
            for name, about in header.items() if name != "__metadata__"}


class WithNumPy:
    """NumPy, whose OpenBLAS takes one thread if OPENBLAS_NUM_THREADS says so."""
    name = "NumPy " + np.__version__

    def __init__(self, model):
        self.D, self.bias = model["dictionary"], model["encoder.final_block.0.bias"]
        self.E = model["encoder.final_block.0.weight"]

    def reconstruct(self, indices, values):
        return np.einsum("bk,bkd->bd", np.asarray(values, "f4"), self.D[np.asarray(indices)])

    def reconstruct_product(self, z):
        return z @ self.D

    def reconstruct_dense(self, z):
        found = np.empty((len(z), self.D.shape[1]), "f4")
        for row, out in zip(z, found):
            active = np.flatnonzero(row)
            np.matmul(row[active], self.D[active], out=out)
        return found

    def encode(self, x):
        pre = x @ self.E.T + self.bias
        index = np.argpartition(pre, -ACTIVE, axis=1)[:, -ACTIVE:]
        return index, np.maximum(np.take_along_axis(pre, index, axis=1), 0)


class WithTorch:
    """One thread of torch."""

    def __init__(self, model):
        import torch
        self.torch = torch
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        self.name = "torch %s (%s)" % (torch.__version__, "MKL" if torch.backends.mkl.is_available() else "without MKL")
        self.D = torch.from_numpy(model["dictionary"])
        self.E = torch.from_numpy(model["encoder.final_block.0.weight"])
        self.bias = torch.from_numpy(model["encoder.final_block.0.bias"])

    def reconstruct(self, indices, values):
        torch = self.torch
        return torch.nn.functional.embedding_bag(torch.tensor(indices), self.D, mode="sum",
                                                 per_sample_weights=torch.tensor(values, dtype=torch.float32)).numpy()

    def reconstruct_product(self, z):
        return (self.torch.from_numpy(z) @ self.D).numpy()

    def reconstruct_dense(self, z):
        torch, z = self.torch, self.torch.from_numpy(z)
        row, atom = z.nonzero(as_tuple=True)
        return torch.nn.functional.embedding_bag(atom, self.D, torch.searchsorted(row, torch.arange(len(z))), mode="sum",
                                                 per_sample_weights=z[row, atom]).numpy()

    def encode(self, x):
        pre = self.torch.nn.functional.linear(self.torch.from_numpy(x), self.E, self.bias)
        values, index = pre.topk(ACTIVE, dim=1, sorted=False)
        return index.numpy(), values.clamp_(min=0).numpy()


class Search:
    """Cosines by faiss's exact index of inner products."""

    def __init__(self, model):
        import faiss
        self.faiss = faiss
        faiss.omp_set_num_threads(1)
        atoms = model["dictionary"].copy()
        faiss.normalize_L2(atoms)
        self.index = faiss.IndexFlatIP(atoms.shape[1])
        self.index.add(atoms)
        self.name = "faiss %s (%s)" % (faiss.__version__, faiss.get_compile_options().strip())

    def nearest(self, x):
        x = x.copy()
        self.faiss.normalize_L2(x)
        return self.index.search(x, K_NEAREST)


def rows(body, width):
    x = np.frombuffer(bytearray(body), "<f4")  # torch wants memory that may be written
    return x.reshape(-1, width)


# ---- FastAPI --------------------------------------------------------------------------------------------------------------

def fastapi_app(compute, search):
    import fastapi
    import pydantic

    class Sparse(pydantic.BaseModel):
        indices: list[list[int]]
        values: list[list[float]]

    class Latents(pydantic.BaseModel):
        latents: Sparse

    class Reconstructions(pydantic.BaseModel):
        reconstructions: list[list[float]]

    class Match(pydantic.BaseModel):
        atom: int
        score: float

    class Results(pydantic.BaseModel):
        results: list[list[Match]]

    app = fastapi.FastAPI()
    K, d = compute.D.shape

    @app.post("/reconstruct")
    async def reconstruct(body: Latents) -> Reconstructions:
        found = compute.reconstruct(body.latents.indices, body.latents.values)
        return Reconstructions.model_construct(reconstructions=found.tolist())

    @app.post("/reconstruct-dense")
    async def reconstruct_dense(request: fastapi.Request):
        found = compute.reconstruct_dense(rows(await request.body(), K))
        return fastapi.Response(found.tobytes(), media_type="application/octet-stream")

    @app.post("/reconstruct-product")
    async def reconstruct_product(request: fastapi.Request):
        found = compute.reconstruct_product(rows(await request.body(), K))
        return fastapi.Response(found.tobytes(), media_type="application/octet-stream")

    @app.post("/encode")
    async def encode(request: fastapi.Request) -> Sparse:
        index, values = compute.encode(rows(await request.body(), d))
        return Sparse.model_construct(indices=index.tolist(), values=values.tolist())

    @app.post("/search")
    async def nearest(request: fastapi.Request) -> Results:
        scores, atoms = search.nearest(rows(await request.body(), d))
        return Results.model_construct(results=[[Match.model_construct(atom=a, score=s) for a, s in zip(*row)]
                                                for row in zip(atoms.tolist(), scores.tolist())])

    return app


# ---- bare ASGI ------------------------------------------------------------------------------------------------------------

def asgi_app(compute, search):
    K, d = compute.D.shape
    try:
        import orjson
        loads = orjson.loads

        def dumps(value):
            return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except ImportError:
        loads = json.loads

        def dumps(value):
            return json.dumps(value, default=lambda one: one.tolist()).encode()

    def reconstruct(body):
        latents = loads(body)["latents"]
        return dumps({"reconstructions": compute.reconstruct(latents["indices"], latents["values"])})

    def reconstruct_dense(body):
        return compute.reconstruct_dense(rows(body, K)).tobytes()

    def reconstruct_product(body):
        return compute.reconstruct_product(rows(body, K)).tobytes()

    def encode(body):
        index, values = compute.encode(rows(body, d))
        return dumps({"indices": index, "values": values})

    def nearest(body):
        scores, atoms = search.nearest(rows(body, d))
        return dumps({"results": [[{"atom": a, "score": s} for a, s in zip(*row)] for row in zip(atoms.tolist(), scores)]})

    routes = {"/reconstruct": (reconstruct, b"application/json"), "/encode": (encode, b"application/json"),
              "/reconstruct-dense": (reconstruct_dense, b"application/octet-stream"),
              "/reconstruct-product": (reconstruct_product, b"application/octet-stream"), "/search": (nearest, b"application/json")}

    async def app(scope, receive, send):
        answer, media = routes[scope["path"]]
        parts, more = [], True
        while more:
            event = await receive()
            parts.append(event["body"])
            more = event["more_body"]
        body = answer(parts[0] if len(parts) == 1 else b"".join(parts))
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", media), (b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    return app


def main():
    model = read_model(sys.argv[1])
    compute = (WithTorch if importlib.util.find_spec("torch") else WithNumPy)(model)
    search = Search(model) if importlib.util.find_spec("faiss") else None
    app = {"fastapi": fastapi_app, "asgi": asgi_app}[sys.argv[2]](compute, search)
    fast = all(importlib.util.find_spec(name) for name in ("uvloop", "httptools"))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        print(json.dumps({"port": listening.getsockname()[1], "computes": compute.name, "search": search and search.name,
                          "loop": "uvloop and httptools" if fast else "asyncio and h11"}), flush=True)
        uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False,
                                      loop="uvloop" if fast else "asyncio", http="httptools" if fast else "h11")).run([listening])


if __name__ == "__main__":
    main()
