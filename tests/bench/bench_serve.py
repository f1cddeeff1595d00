#!/usr/bin/env python3
"""How many requests one core serves: a daemon has one core to itself, and wrk (Debian's package) asks it from
another, at the method's documented size. `make bench-serve` writes the table in deploy/README.md.

The cost of a request is the CPU time that the daemon took for it. Other programs on the machine change it less
than they change the time on the clock. Every kind of request is checked once before it is timed."""

import array
import http.client
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "deploy")]
sys.dont_write_bytecode = True

import cluster  # noqa: E402
import readme_block  # noqa: E402

K, D, ACTIVE, DIFFERENT, SECONDS = 10000, 768, 50, 64, int(os.environ.get("BENCH_SECONDS", "5"))
DICTIONARY, MODEL = "/v1/dictionaries/bench", "/v2/models/bench"


def tensor(count):
    """Numbers in [-1, 1), as bytes."""
    whole = array.array("h", random.randbytes(2 * count))
    return array.array("f", (number / 32768 for number in whole)).tobytes()


def write_artifact(path):
    shapes = {"dictionary": [K, D], "encoder.final_block.0.weight": [K, D], "encoder.final_block.0.bias": [K]}
    header, data = {"__metadata__": {"sae": "topk", "top_k": str(ACTIVE), "encoder": "linear"}}, []
    end = 0
    for name, shape in shapes.items():
        data.append(tensor(shape[0] * (shape[1] if len(shape) > 1 else 1)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + len(data[-1])]}
        end += len(data[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


class Kind(NamedTuple):
    """One kind of request: DIFFERENT of them, which wrk sends in turn, over `connections`."""
    what: str
    method: str
    paths: list
    bodies: list
    media: str = ""
    headers: dict = {}
    connections: int = 8


def sparse():
    atoms = sorted(random.sample(range(K), ACTIVE))
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


def lua(kind):
    """A script for wrk that sends the requests in turn, with bytes as decimal escapes."""
    lines = ['wrk.method = "%s"' % kind.method]
    lines += ['wrk.headers["%s"] = "%s"' % pair for pair in headers_of(kind).items()]
    lines += ["local paths, bodies, turn = {}, {}, 0"]
    lines += ['paths[#paths + 1] = "%s"' % path for path in kind.paths]
    lines += ['bodies[#bodies + 1] = "%s"' % "".join("\\%03d" % byte for byte in body) for body in kind.bodies]
    lines += ["request = function()", "  turn = turn + 1",
              "  return wrk.format(nil, paths[turn %% #paths + 1], nil, %s)"
              % ("bodies[turn % #bodies + 1]" if kind.bodies[0] else "nil"), "end"]
    return "\n".join(lines) + "\n"


def cpu_seconds(daemon):
    text = daemon.get("/metrics").body.decode()
    return float(re.search(r"^process_cpu_seconds_total (\S+)", text, re.M).group(1))


def ask(daemon, kind, path, body):
    connection = http.client.HTTPConnection(*daemon.address, timeout=60)
    connection.request(kind.method, path, body or None, headers_of(kind))
    reply = connection.getresponse()
    answer = reply.read()
    connection.close()
    assert reply.status == 200, (path, reply.status, answer[:300])


def measure(daemon, folder, kind):
    """The daemon's CPU time per request, in seconds."""
    for i in range(max(len(kind.paths), len(kind.bodies))):
        ask(daemon, kind, kind.paths[i % len(kind.paths)], kind.bodies[i % len(kind.bodies)])
    script = os.path.join(folder, "request.lua")
    with open(script, "w", encoding="ascii") as file:
        file.write(lua(kind))
    wrk, environment = cluster.tool("wrk")
    before = cpu_seconds(daemon)
    done = subprocess.run([wrk, "-t1", "-c%d" % kind.connections, "-d%ds" % SECONDS, "-s", script,
                           "http://%s:%d%s" % (*daemon.address, kind.paths[0])], env=environment, capture_output=True,
                          text=True, check=True)
    took = cpu_seconds(daemon) - before
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    count = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    return took / count


def cpu_name():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        return re.search(r"model name\s*:\s*(.*)", file.read()).group(1)


def rows():
    """The lines of the table, each as soon as it is measured."""
    random.seed(1)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="rasaed-bench-") as folder:
        path = os.path.join(folder, "bench.safetensors")
        write_artifact(path)
        os.sched_setaffinity(0, cores[:1])  # the daemon inherits this; wrk gets the others
        with cluster.Daemon("--dictionary", "bench=" + path, "--log-level", "warning") as daemon:
            os.sched_setaffinity(0, cores[1:] or cores)
            yield "| %s concepts of %d dimensions | one core serves | a request takes |" % (format(K, ","), D)
            yield "|---|---|---|"
            for kind in kinds():
                seconds = measure(daemon, folder, kind)
                rate = round(1 / seconds, -2 if seconds < 1e-4 else -1)
                yield "| %s | %s per second | %.0f µs |" % (kind.what, format(rate, ",.0f"), seconds * 1e6)
    yield ("\n8 clients at once where nothing else is said, %d different requests of each kind, on %s with %d cores and a "
           "load of %.0f.") % (DIFFERENT, cpu_name(), len(cores), os.getloadavg()[0])


def main():
    lines = []
    for line in rows():
        print(line, flush=True)
        lines.append(line)
    if sys.argv[1:2] == ["--readme"]:
        readme_block.replace(sys.argv[2], ("<!-- bench-serve -->", "<!-- /bench-serve -->"), "\n".join(lines))


if __name__ == "__main__":
    main()
