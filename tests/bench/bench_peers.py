#!/usr/bin/env python3
"""`make bench-peers`: the daemon beside what one would write in its place: a FastAPI application, a bare ASGI one (peer_app.py),
and a constant reply of libmicrohttpd (static_reply.c), which computes nothing.

    bench_peers.py [--readme README.md]

Each side has one core to itself and wrk another, as in bench_serve.py, and takes its turn in each round. Before anything is timed
the answers of all are compared, for each request that is sent later. The cost of a request is the CPU time of the side's process;
the ratio is that of the two costs in one round: the median of the rounds, the least and the most. Python's programs run in the
environment that runs this one; torch is taken from where `make bench-train` or `make check-interop` has put it (5 GB), or from BENCH_TORCH (a
site-packages folder of the same Python), and without it NumPy computes. What is not installed is left out, with a sentence."""

import array
import contextlib
import glob
import importlib.metadata
import importlib.util
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import bench_serve as serve  # noqa: E402
import readme_block  # noqa: E402

MARKERS = "<!-- bench-peers -->", "<!-- /bench-peers -->"
BUILD = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"))
DENSE, DENSE_DIFFERENT = 64, 16  # rows of a dense request, and how many such requests there are: 2.5 MB each
NEEDED = "fastapi", "uvicorn", "numpy"
APPS = {"FastAPI": "fastapi", "bare ASGI": "asgi"}


def torch_folder():
    """Where torch is installed for this Python; None: nowhere."""
    version = "python%d.%d" % sys.version_info[:2]
    places = [os.environ.get("BENCH_TORCH", "")]
    places += [os.path.join(TOP, "build", venv, "lib", version, "site-packages") for venv in ("bench-train-venv", "interop-venv")]
    return next((place for place in places if place and os.path.isdir(os.path.join(place, "torch"))), None)


# ---- the sides ------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def program(command, **more):
    """(its first line, a side without an address yet) of a program that prints where it answers."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more) as process:
        try:
            yield process.stdout.readline(), process.pid
        finally:
            process.terminate()


@contextlib.contextmanager
def python_app(path, name):
    """A Python application and what it says about itself. OpenBLAS of old does not know new processors: it gets its best kernels."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        best = {"OPENBLAS_CORETYPE": "SKYLAKEX"} if "avx512f" in file.read() else {}
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **best}
    command = [sys.executable, os.path.join(HERE, "peer_app.py"), path, name, *filter(None, [torch_folder()])]
    with program(command, env=environment) as (line, pid):
        about = json.loads(line)
        yield serve.Side(("127.0.0.1", about["port"]), [pid]), about


@contextlib.contextmanager
def static_reply(size):
    with program([os.path.join(BUILD, "tests", "static_reply"), str(size)]) as (line, pid):
        yield serve.Side(("127.0.0.1", int(line)), [pid])


# ---- the requests, and what makes two answers the same ----------------------------------------------------------------------

def close(ours, theirs, scale):
    return len(ours) == len(theirs) and all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-4 * scale) for a, b in zip(ours, theirs))


def same_rows(ours, theirs):
    pairs = list(zip(json.loads(ours)["reconstructions"], json.loads(theirs)["reconstructions"], strict=True))
    return all(close(a, b, max(map(abs, a))) for a, b in pairs)


def same_codes(ours, theirs):
    """Latents that are zero may be listed."""
    a, b = ({i: v for i, v in zip(one["indices"][0], one["values"][0]) if v > 0} for one in map(json.loads, (ours, theirs)))
    return sorted(a) == sorted(b) and close([a[i] for i in sorted(a)], [b[i] for i in sorted(a)], max(a.values()))


def same_matches(ours, theirs):
    a, b = (json.loads(one)["results"][0] for one in (ours, theirs))
    return ([match["atom"] for match in a] == [match["atom"] for match in b]
            and close([match["score"] for match in a], [match["score"] for match in b], 1))


def same_tensor(ours, theirs):
    a, b = array.array("f", ours), array.array("f", theirs)
    return close(a, b, max(map(abs, a)))


def dense_body():
    """64 rows, of which 50 latents are not zero."""
    z = array.array("f", bytes(4 * DENSE * serve.K))
    for row in range(DENSE):
        for atom, value in zip(*serve.sparse()):
            z[row * serve.K + atom] = value
    return z.tobytes()


def cases():
    """(kind, {path of the peers: what it does}, the comparison, whether faiss answers)"""
    chosen = {kind.what: kind for kind in serve.kinds()}
    raw = "application/octet-stream"
    dense = serve.Kind("reconstruct 64 dense rows of mostly zeros, binary", "POST", [serve.DICTIONARY + "/reconstruct"],
                       [dense_body() for _ in range(DENSE_DIFFERENT)], raw,
                       {"X-Tensor-Shape": "%d,%d" % (DENSE, serve.K), "Accept": raw}, 4)
    return [(chosen["reconstruct from 50 latents, JSON"], {"/reconstruct": ""}, same_rows, False),
            (chosen["encode an input, raw, 32 clients"], {"/encode": ""}, same_codes, False),
            (dense, {"/reconstruct-dense": ", from the latents that are not zero", "/reconstruct-product": ", as a product"}, same_tensor, False),
            (chosen["search the 10 nearest atoms, raw, 32 clients"], {"/search": ""}, same_matches, True)]


def compare(kind, same, ours, peers):
    """Every request, asked of all sides. Returns the size of our first answer."""
    for body in kind.bodies:
        answer = serve.ask(ours, kind, kind.paths[0], body)
        size = len(answer)
        for name, side, theirs in peers:
            other = serve.ask(side, theirs, theirs.paths[0], body)
            assert same(answer, other), "%s, %s answers\n%.400s\nand the daemon\n%.400s" % (kind.what, name, other, answer)
    return size


# ---- the table --------------------------------------------------------------------------------------------------------------

def milliseconds(times, what):
    median = 1e3 * statistics.median(getattr(one, what) for one in times)
    return ("%.2f" if median < 10 else "%.0f") % median


def line(name, times, ratios=()):
    """Of one side: its cost, the ratio to ours, and what its clients see."""
    cpu = statistics.median(one.cpu for one in times)
    return "| %s | %s µs | %s | %s | %s / %s ms |" % (
        name, format(1e6 * cpu, ",.0f"),
        "%.2f (%.2f to %.2f)" % (statistics.median(ratios), min(ratios), max(ratios)) if ratios else "",
        format(round(1 / statistics.median(one.clock for one in times), -1), ",.0f"),
        milliseconds(times, "p50"), milliseconds(times, "p99"))


def table(folder, path):
    missing = [name for name in NEEDED if not importlib.util.find_spec(name)]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])  # the sides inherit this; wrk gets the others
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(serve.daemon_with(path))
        apps = {name: stack.enter_context(python_app(path, word)) for name, word in APPS.items() if not missing}
        os.sched_setaffinity(0, cores[1:] or cores)
        ours = serve.Side(daemon.address, [daemon.process.pid])
        yield "| | a request takes, of the processor | times ours (least, most) | answers per second | p50 / p99 |"
        yield "|---|---|---|---|---|"
        for kind, routes, same, searches in cases():
            peers = [(name + more, side, kind._replace(paths=[path])) for path, more in routes.items()
                     for name, (side, about) in apps.items() if about["search"] or not searches]
            size = compare(kind, same, ours, peers)
            with contextlib.ExitStack() as more:
                if kind.media == "application/json":
                    os.sched_setaffinity(0, cores[:1])
                    peers.append(("the same number of bytes, constant, from libmicrohttpd", more.enter_context(static_reply(size)), kind))
                    os.sched_setaffinity(0, cores[1:] or cores)
                yield from rows(folder, kind, ours, peers)
        yield "\n" + about_it(cores, missing, apps, serve.kernels(daemon.process.pid))


def rows(folder, kind, ours, peers):
    mine, *theirs = serve.measure(folder, (ours, kind), *((side, theirs) for _, side, theirs in peers))
    yield line("**%s, %d clients**" % (kind.what.replace(", 32 clients", ""), kind.connections), mine)
    for (name, _, _), times in zip(peers, theirs):
        yield line(name, times, [b.cpu / a.cpu for a, b in zip(mine, times)])


def about_it(cores, missing, apps, blas):
    text = ("%s concepts of %d dimensions; each side on one core, wrk on the other; %d different requests of each kind (%d dense "
            "ones); the median of %d rounds of %d s, on %s. The daemon has its own products of few rows, and %s. ") % (
                format(serve.K, ","), serve.D, serve.DIFFERENT, DENSE_DIFFERENT, serve.ROUNDS, serve.SECONDS,
                serve.machine(cores), blas)
    if missing:
        return text + "FastAPI and bare ASGI are left out: this Python has no %s." % ", ".join(missing)
    about = next(iter(apps.values()))[1]
    return text + "FastAPI %s, uvicorn %s with %s; they compute with %s%s." % (
        *map(importlib.metadata.version, ("fastapi", "uvicorn")), about["loop"], about["computes"],
        ", and search with " + about["search"] if about["search"] else "; searches are left out, for there is no faiss")


def main():
    random.seed(1)
    os.environ.pop("OPENBLAS_CORETYPE", None)  # each side has its best kernels
    if sys.argv[1:2] == ["--readme"]:
        readme_block.around(sys.argv[2], MARKERS)
    lines = []
    with tempfile.TemporaryDirectory(prefix="rasaed-bench-") as folder:
        path = os.path.join(folder, "bench.safetensors")
        serve.write_artifact(path)
        for text in table(folder, path):
            print(text, flush=True)
            lines.append(text)
    if sys.argv[1:2] == ["--readme"]:
        readme_block.replace(sys.argv[2], MARKERS, "\n".join(lines))


if __name__ == "__main__":
    main()
