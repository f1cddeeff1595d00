#!/usr/bin/env python3
"""How many requests one core serves: a daemon has one core to itself, and wrk (Debian's package) asks it from
another, at the method's documented size. `make bench-serve` writes the table in deploy/README.md, with nginx beside it, which
serves the replies about the same atoms from files. With --scale: what a request costs with the size of the dictionary, the
rows of the request, and the threads.

The cost of a request is the CPU time that the program took for it, the median of ROUNDS, in which all take turns. Other programs
on the machine change it less than they change the time on the clock. Every request is checked once before it is timed."""

import array
import ctypes
import http.client
import json
import os
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "deploy")]
sys.dont_write_bytecode = True

import cluster  # noqa: E402
import readme_block  # noqa: E402

K, D, ACTIVE, DIFFERENT = int(os.environ.get("BENCH_CONCEPTS", "10000")), 768, 50, 256
CONCEPTS = (1000, 10000, 100000, 1000000)  # of --scale
SECONDS, ROUNDS = int(os.environ.get("BENCH_SECONDS", "2")), int(os.environ.get("BENCH_ROUNDS", "3"))
DICTIONARY, MODEL = "/v1/dictionaries/bench", "/v2/models/bench"


def tensor(count):
    """float32 in (-1, -0.5] and [0.5, 1), as bytes: any sign and mantissa with one exponent."""
    mask, exponent = (int.from_bytes(word * count, "little") for word in (b"\xff\xff\x7f\x80", b"\0\0\0\x3f"))
    return (int.from_bytes(random.randbytes(4 * count), "little") & mask | exponent).to_bytes(4 * count, "little")


def write_artifact(path, concepts=K, dimensions=D):
    shapes = {"dictionary": [concepts, dimensions], "encoder.final_block.0.weight": [concepts, dimensions],
              "encoder.final_block.0.bias": [concepts]}
    header, end = {"__metadata__": {"sae": "topk", "top_k": str(ACTIVE), "encoder": "linear"}}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            for _ in range(shape[0] // 1000):
                file.write(tensor(1000 * (shape[1] if len(shape) > 1 else 1)))
            file.write(tensor(shape[0] % 1000 * (shape[1] if len(shape) > 1 else 1)))


class Kind(NamedTuple):
    """One kind of request: DIFFERENT of them, which wrk sends in turn, over `connections`."""
    what: str
    method: str
    paths: list
    bodies: list
    media: str = ""
    headers: dict = {}
    connections: int = 8


def sparse(concepts=K):
    atoms = sorted(random.sample(range(concepts), ACTIVE))
    return atoms, [random.random() for _ in atoms]


def as_latents(atoms, values):
    return json.dumps({"latents": {"indices": [atoms], "values": [values]}}).encode()


def as_infer(atoms, values):
    """(header, body) of the Open Inference Protocol, with its tensors in binary."""
    parts = array.array("i", atoms).tobytes(), array.array("f", values).tobytes()
    header = json.dumps({"inputs": [
        {"name": name, "datatype": kind, "shape": [1, ACTIVE], "parameters": {"binary_data_size": len(part)}}
        for name, kind, part in zip(("indices", "values"), ("INT32", "FP32"), parts)],
        "parameters": {"binary_data_output": True}}).encode()
    return header, header + b"".join(parts)


def kinds():
    """Of inputs and queries, each client sends others than the client beside it."""
    codes = [sparse() for _ in range(DIFFERENT)]
    rows = [array.array("f", (random.random() - 0.5 for _ in range(D))) for _ in range(DIFFERENT)]
    raw = [row.tobytes() for row in rows]
    infer = [as_infer(*one) for one in codes]
    as_json, binary, one_row = "application/json", "application/octet-stream", {"X-Tensor-Shape": "1,%d" % D}
    encode, search = DICTIONARY + "/encode", DICTIONARY + "/search"
    return [
        Kind("an atom, with its vector", "GET", [DICTIONARY + "/atoms/%d" % random.randrange(K) for _ in range(DIFFERENT)],
             [b""]),
        Kind("reconstruct from 50 latents, JSON", "POST", [DICTIONARY + "/reconstruct"],
             [as_latents(*one) for one in codes], as_json),
        Kind("infer from 50 latents, binary (/v2)", "POST", [MODEL + "/infer"], [body for _, body in infer], binary,
             {"Inference-Header-Content-Length": str(len(infer[0][0]))}),
        Kind("encode an input, JSON", "POST", [encode], [json.dumps({"inputs": [list(row)]}).encode() for row in rows],
             as_json),
        Kind("encode an input, raw, one client", "POST", [encode], raw, binary, one_row, 1),
        Kind("encode an input, raw", "POST", [encode], raw, binary, one_row),
        Kind("encode an input, raw, 32 clients", "POST", [encode], raw, binary, one_row, 32),
        Kind("search the 10 nearest atoms, JSON", "POST", [search],
             [json.dumps({"vectors": [list(row)], "k": 10}).encode() for row in rows], as_json),
        Kind("search the 10 nearest atoms, raw, 32 clients", "POST", [search + "?k=10"], raw,
             binary, {**one_row, "Accept": as_json}, 32),
    ]


def headers_of(kind):
    return {**({"Content-Type": kind.media} if kind.media else {}), **kind.headers}


def lua(kind, folder):
    """A script for wrk that sends the requests in turn, their bodies from a file."""
    lines = ['wrk.method = "%s"' % kind.method]
    lines += ['wrk.headers["%s"] = "%s"' % pair for pair in headers_of(kind).items()]
    lines += ["local paths, bodies, turn = {}, {}, 0"]
    lines += ['paths[#paths + 1] = "%s"' % path for path in kind.paths]
    lines += ['local file = io.open("%s/bodies", "rb")' % folder]
    lines += ["bodies[#bodies + 1] = file:read(%d)" % len(body) for body in kind.bodies]
    with open(os.path.join(folder, "bodies"), "wb") as file:
        file.write(b"".join(kind.bodies))
    lines += ["request = function()", "  turn = turn + 1",
              "  return wrk.format(nil, paths[turn %% #paths + 1], nil, %s)"
              % ("bodies[turn % #bodies + 1]" if kind.bodies[0] else "nil"), "end"]
    return "\n".join(lines) + "\n"


class Side:
    """A program that answers on a port, and the processes whose time is its."""

    def __init__(self, address, pids):
        self.address, self.pids = address, pids

    def cpu_seconds(self):
        total = 0
        for pid in self.pids:
            for thread in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/schedstat" % (pid, thread), encoding="ascii") as file:
                    total += int(file.read().split()[0])
        return total / 1e9


def ask(side, kind, path, body):
    connection = http.client.HTTPConnection(*side.address, timeout=60)
    connection.request(kind.method, path, body or None, headers_of(kind))
    reply = connection.getresponse()
    answer = reply.read()
    connection.close()
    assert reply.status == 200, (path, reply.status, answer[:300])
    return answer


class Times(NamedTuple):
    """In seconds: the program's CPU time per request; on the clock, the time from one answer to the next, and what half and 99
    of 100 requests take at most."""
    cpu: float
    clock: float
    p50: float
    p99: float


UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}


def run_wrk(side, folder, kind, seconds=SECONDS):
    """The Times of one kind of request; on a machine so busy that none is answered it takes longer."""
    script = os.path.join(folder, "request.lua")
    with open(script, "w", encoding="ascii") as file:
        file.write(lua(kind, folder))
    wrk, environment = cluster.tool("wrk")
    before = side.cpu_seconds()
    done = subprocess.run([wrk, "-t1", "-c%d" % kind.connections, "-d%ds" % seconds, "--latency", "--timeout", "30s", "-s", script,
                           "http://%s:%d%s" % (*side.address, kind.paths[0])], env=environment, capture_output=True,
                          text=True, check=True)
    took = side.cpu_seconds() - before
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    count = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    if count == 0:
        return run_wrk(side, folder, kind, 4 * seconds)
    quantiles = {share: float(number) * UNITS[unit] for share, number, unit in
                 re.findall(r"^ +(50|99)% +([\d.]+)(us|ms|s|m) *$", done.stdout, re.M)}
    assert len(quantiles) == 2, done.stdout
    return Times(took / count, seconds / count, quantiles["50"], quantiles["99"])


def measure(folder, *pairs):
    """For each (side, kind), its Times in each of ROUNDS, in which they take turns."""
    for side, kind in pairs:
        for i in range(max(len(kind.paths), len(kind.bodies))):
            ask(side, kind, kind.paths[i % len(kind.paths)], kind.bodies[i % len(kind.bodies)])
    rounds = [[run_wrk(side, folder, kind) for side, kind in pairs] for _ in range(ROUNDS)]
    return list(zip(*rounds))


# ---- nginx beside it --------------------------------------------------------------------------------------

NGINX = """worker_processes 1; daemon off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=1000; default_type application/json;
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""


class Nginx:
    """nginx at its best for small files: one worker, open files kept, no log."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        conf = os.path.join(folder, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(("user root;\n" if os.getuid() == 0 else "") + NGINX.format(port=port, root=folder))
        program, environment = cluster.tool("nginx")
        self.process = subprocess.Popen([program, "-p", folder, "-c", conf, "-e", "stderr"], env=environment)
        self.side = Side(("127.0.0.1", port), [self.process.pid, *self.workers()])

    def workers(self):
        """Its worker, once it answers."""
        pid = self.process.pid
        for _ in range(400):
            with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
                found = [int(word) for word in file.read().split()]
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError("nginx did not start")

    def __enter__(self):
        return self.side

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def as_files(side, folder, kind):
    """The same replies as files, for GET."""
    paths = []
    for i, path in enumerate(kind.paths):
        paths.append("/%d.json" % i)
        with open(os.path.join(folder, paths[-1][1:]), "wb") as file:
            file.write(ask(side, kind, path, b""))
    return kind._replace(paths=paths)


# ---- the tables -------------------------------------------------------------------------------------------

def cpu_name():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        return re.search(r"model name\s*:\s*(.*)", file.read()).group(1)


def per_second(seconds):
    return format(round(1 / seconds, -2 if seconds < 1e-4 else -1), ",.0f")


def spread(times):
    return "%.0f µs (%.0f to %.0f)" % tuple(1e6 * one for one in (statistics.median(times), min(times), max(times)))


def daemon_with(path, *arguments):
    return cluster.Daemon("--dictionary", "bench=" + path, "--log-level", "warning", *arguments)


def kernels(pid):
    """Those of a program's OpenBLAS, which was told to take them, or chose them."""
    with open("/proc/%d/environ" % pid, "rb") as file:
        told = [one.partition(b"=")[2].decode() for one in file.read().split(b"\0") if one.startswith(b"OPENBLAS_CORETYPE=")]
    if told:
        return "OpenBLAS's kernels for " + told[0]
    blas = ctypes.CDLL("libopenblas.so.0")  # chooses as the daemon's does
    blas.openblas_get_corename.restype = ctypes.c_char_p
    return "OpenBLAS's kernels for " + blas.openblas_get_corename().decode()


def machine(cores):
    return "%s with %d cores and a load of %.0f" % (cpu_name(), len(cores), os.getloadavg()[0])


def rows():
    """The lines of the table, each as soon as it is measured."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="rasaed-bench-") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "bench.safetensors")
        write_artifact(path)
        os.sched_setaffinity(0, cores[:1])  # the programs inherit this; wrk gets the others
        with daemon_with(path) as daemon, Nginx(folder) as nginx:
            side, blas = Side(daemon.address, [daemon.process.pid]), kernels(daemon.process.pid)
            os.sched_setaffinity(0, cores[1:] or cores)
            yield "| %s concepts of %d dimensions | one core serves | a request takes |" % (format(K, ","), D)
            yield "|---|---|---|"
            for kind in kinds():
                beside = [(nginx, as_files(side, folder, kind))] if kind.method == "GET" else []
                ours, *theirs = ([one.cpu for one in times] for times in measure(folder, (side, kind), *beside))
                yield "| %s | %s per second | %s |" % (kind.what, per_second(statistics.median(ours)), spread(ours))
                for times in theirs:
                    yield "| the same from nginx, as files: %.2f of that | %s per second | %s |" % (
                        statistics.median(times) / statistics.median(ours), per_second(statistics.median(times)), spread(times))
    yield ("\n8 clients at once where nothing else is said, %d different requests of each kind, the median of %d rounds (and all of "
           "them), on %s; %s.") % (DIFFERENT, ROUNDS, machine(cores), blas)


def scaled(what, concepts, rows_each, dimensions):
    """One request of a kind: rows of codes, of inputs or of vectors, in binary; replies in binary, too."""
    raw, codes = {"Accept": "application/octet-stream"}, "application/octet-stream"
    if what == "atom":
        return Kind(what, "GET", [DICTIONARY + "/atoms/%d" % random.randrange(concepts) for _ in range(DIFFERENT)], [b""],
                    connections=1)
    if what == "reconstruct":
        lists = [[sparse(concepts) for _ in range(rows_each)] for _ in range(16)]
        bodies = [array.array("q", range(0, ACTIVE * (rows_each + 1), ACTIVE)).tobytes()
                  + b"".join(array.array("i", atoms).tobytes() for atoms, _ in rows)
                  + b"".join(array.array("f", values).tobytes() for _, values in rows) for rows in lists]
        shape = "%d; %d; %d" % (rows_each + 1, ACTIVE * rows_each, ACTIVE * rows_each)
        return Kind(what, "POST", [DICTIONARY + "/reconstruct"], bodies, codes,
                    {**raw, "X-Tensor-Shape": shape, "X-Tensor-Dtype": "I64; I32; F32"}, 1)
    return Kind(what, "POST", [DICTIONARY + "/" + what], [tensor(rows_each * dimensions) for _ in range(16)], codes,
                {**raw, "X-Tensor-Shape": "%d,%d" % (rows_each, dimensions)}, 1)


def scale():
    """One client at a time, so the clock says what more threads are worth."""
    names, cores = ("atom", "reconstruct", "encode", "search"), sorted(os.sched_getaffinity(0))
    cases = [(concepts, 128, 1, len(cores)) for concepts in CONCEPTS]
    cases += [(K, D, count, len(cores)) for count in (1, 8, 64, 256)]
    cases += [(K, D, 256, 1)] if len(cores) > 1 else []
    with tempfile.TemporaryDirectory(prefix="rasaed-bench-") as folder:
        path, written = os.path.join(folder, "bench.safetensors"), None
        yield "| one request, µs of the processor / on the clock | " + " | ".join(names) + " |"
        yield "|---" * (len(names) + 1) + "|"
        for concepts, dimensions, count, threads in cases:
            if written != (concepts, dimensions):
                write_artifact(path, concepts, dimensions)
                written = concepts, dimensions
            cells = []
            with daemon_with(path, "--compute-threads", str(threads)) as daemon:
                side = Side(daemon.address, [daemon.process.pid])
                for what in names:
                    times, = measure(folder, (side, scaled(what, concepts, count, dimensions)))
                    cells.append("%s / %s" % tuple(format(1e6 * statistics.median(each), ",.0f") for each in list(zip(*times))[:2]))
            yield "| %s concepts of %d dimensions, %d row%s, %d thread%s | %s |" % (
                format(concepts, ","), dimensions, count, "s" * (count > 1), threads, "s" * (threads > 1), " | ".join(cells))
    yield "\nOne client, %d active latents, the median of %d rounds, on %s." % (ACTIVE, ROUNDS, machine(cores))


def main():
    random.seed(1)
    os.environ.pop("OPENBLAS_CORETYPE", None)  # the daemon chooses the best kernels
    lines = []
    for line in scale() if "--scale" in sys.argv else rows():
        print(line, flush=True)
        lines.append(line)
    if sys.argv[1:2] == ["--readme"]:
        readme_block.replace(sys.argv[2], ("<!-- bench-serve -->", "<!-- /bench-serve -->"), "\n".join(lines))


if __name__ == "__main__":
    main()
