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

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "deploy")]
sys.dont_write_bytecode = True

import cluster  # noqa: E402
import readme_block  # noqa: E402

K, D, ACTIVE, CONNECTIONS, SECONDS = 10000, 768, 50, 8, int(os.environ.get("BENCH_SECONDS", "5"))
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


def requests():
    """(what, method, path, body, media type)"""
    atoms = sorted(random.sample(range(K), ACTIVE))
    values = [random.random() for _ in atoms]
    x = array.array("f", (random.random() for _ in range(D)))
    as_json = "application/json"
    indices = array.array("i", atoms).tobytes()
    numbers = array.array("f", values).tobytes()
    infer = json.dumps({"inputs": [
        {"name": "indices", "datatype": "INT32", "shape": [1, ACTIVE], "parameters": {"binary_data_size": len(indices)}},
        {"name": "values", "datatype": "FP32", "shape": [1, ACTIVE], "parameters": {"binary_data_size": len(numbers)}}],
        "parameters": {"binary_data_output": True}}).encode()
    return [
        ("an atom, with its vector", "GET", DICTIONARY + "/atoms/12", b"", as_json, {}),
        ("reconstruct from 50 latents, JSON", "POST", DICTIONARY + "/reconstruct",
         json.dumps({"latents": {"indices": [atoms], "values": [values]}}).encode(), as_json, {}),
        ("infer from 50 latents, binary (/v2)", "POST", MODEL + "/infer", infer + indices + numbers,
         "application/octet-stream", {"Inference-Header-Content-Length": str(len(infer))}),
        ("encode an input, JSON", "POST", DICTIONARY + "/encode", json.dumps({"inputs": [list(x)]}).encode(), as_json, {}),
        ("encode an input, raw", "POST", DICTIONARY + "/encode", x.tobytes(), "application/octet-stream",
         {"X-Tensor-Shape": "1,%d" % D}),
        ("search the 10 nearest atoms, JSON", "POST", DICTIONARY + "/search",
         json.dumps({"vectors": [list(x)], "k": 10}).encode(), as_json, {}),
    ]


def lua(method, body, headers):
    """A script for wrk, with bytes as decimal escapes."""
    lines = ['wrk.method = "%s"' % method]
    lines += ['wrk.headers["%s"] = "%s"' % pair for pair in headers.items()]
    if body:
        lines.append('wrk.body = "%s"' % "".join("\\%03d" % byte for byte in body))
    return "\n".join(lines) + "\n"


def cpu_seconds(daemon):
    text = daemon.get("/metrics").body.decode()
    return float(re.search(r"^process_cpu_seconds_total (\S+)", text, re.M).group(1))


def ask(daemon, method, path, body, headers):
    connection = http.client.HTTPConnection(*daemon.address, timeout=60)
    connection.request(method, path, body or None, headers)
    reply = connection.getresponse()
    answer = reply.read()
    connection.close()
    assert reply.status == 200, (path, reply.status, answer[:300])


def measure(daemon, folder, method, path, body, headers):
    """The daemon's CPU time per request, in seconds."""
    ask(daemon, method, path, body, headers)
    script = os.path.join(folder, "request.lua")
    with open(script, "w", encoding="ascii") as file:
        file.write(lua(method, body, headers))
    wrk, environment = cluster.tool("wrk")
    before = cpu_seconds(daemon)
    done = subprocess.run([wrk, "-t1", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS, "-s", script,
                           "http://%s:%d%s" % (*daemon.address, path)], env=environment, capture_output=True, text=True,
                          check=True)
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
            for what, method, path, body, media_type, more in requests():
                headers = {**({"Content-Type": media_type} if body else {}), **more}
                seconds = measure(daemon, folder, method, path, body, headers)
                rate = round(1 / seconds, -2 if seconds < 1e-4 else -1)
                yield "| %s | %s per second | %.0f µs |" % (what, format(rate, ",.0f"), seconds * 1e6)
    yield "\n%d connections at once, on %s with %d cores and a load of %.0f." % (
        CONNECTIONS, cpu_name(), len(cores), os.getloadavg()[0])


def main():
    lines = []
    for line in rows():
        print(line, flush=True)
        lines.append(line)
    if sys.argv[1:2] == ["--readme"]:
        readme_block.replace(sys.argv[2], ("<!-- bench-serve -->", "<!-- /bench-serve -->"), "\n".join(lines))


if __name__ == "__main__":
    main()
