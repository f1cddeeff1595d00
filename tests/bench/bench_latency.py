#!/usr/bin/env python3
"""How long light requests take while a heavy one is under way: the median, the 99th of 100 and the longest, in
milliseconds, over connections that are kept. On two cores the 99th stays under 5 ms beside any heavy request. For downloads,
also how much goes out per second, and per second of the daemon's CPU time, which other programs change least.

The heavy requests run one after the other in processes of their own, so that the client does not wait for itself."""

import array
import json
import multiprocessing
import os
import random
import socket
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "http")]
sys.dont_write_bytecode = True

from daemon import Daemon  # noqa: E402

LARGE, SMALL = (16384, 2048), (2000, 64)  # atoms, dimensions
ROWS, SECONDS = 1024, float(os.environ.get("BENCH_SECONDS", "4"))


def tensor(count):
    whole = array.array("h", random.randbytes(2 * count))
    return array.array("f", (number / 32768 for number in whole)).tobytes()


def write_artifact(path, K, d):
    """Rows repeat with another scale: random numbers take long to make."""
    some = tensor(min(K, 512) * d)
    atoms = (some * (K * d * 4 // len(some) + 1))[:K * d * 4]
    header, parts, end = {"__metadata__": {"sae": "topk", "top_k": "32", "encoder": "linear"}}, [], 0
    for name, shape, part in (("dictionary", [K, d], atoms), ("encoder.final_block.0.weight", [K, d], atoms),
                              ("encoder.final_block.0.bias", [K], tensor(K))):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + len(part)]}
        parts.append(part)
        end += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def message(method, path, body=b"", headers=()):
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: bench"]
    lines += ["%s: %s" % pair for pair in headers]
    if method == "POST":
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def light():
    vector = [random.random() for _ in range(SMALL[1])]
    as_json = [("Content-Type", "application/json")]
    small = "/v1/dictionaries/small"
    return [
        ("health", message("GET", "/health/live")),
        ("an atom", message("GET", small + "/atoms/12")),
        ("reconstruct", message("POST", small + "/reconstruct", json.dumps(
            {"latents": {"indices": [[1, 5, 9]], "values": [[1, 2, 3]]}}).encode(), as_json)),
        ("search", message("POST", small + "/search", json.dumps({"vectors": [vector], "k": 10}).encode(), as_json)),
    ]


def heavy():
    raw = [("Content-Type", "application/octet-stream"), ("Accept", "application/octet-stream")]
    rows = raw + [("X-Tensor-Shape", "%d,%d" % (ROWS, LARGE[1]))]
    inputs = tensor(ROWS * LARGE[1])
    large = "/v1/dictionaries/large"
    return [
        ("nothing", None, 0),
        ("encode", message("POST", large + "/encode", inputs, rows), 1),
        ("explain", message("POST", large + "/explain", inputs, rows[:1] + rows[2:]), 1),
        ("search", message("POST", large + "/search?k=10", inputs, rows), 1),
        ("reload", message("POST", large + "/reload"), 1),
        ("1 download", message("GET", large + "/dictionary?format=safetensors"), 1),
        ("8 downloads", message("GET", large + "/dictionary?format=safetensors"), 8),
    ]


def read_reply(stream, received=None):
    status = stream.readline()
    assert b" 200 " in status or b" 202 " in status, status
    size = 0
    while True:
        line = stream.readline()
        if line == b"\r\n":
            break
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    while size:
        part = len(stream.read(min(size, 1 << 20)))
        size -= part
        if received is not None:
            received.value += part


def keep_busy(address, data, key, started, stop, received):
    with socket.create_connection(address) as connection, connection.makefile("rb") as stream:
        if key:
            data = data.replace(b"\r\nHost", b"\r\nAuthorization: Bearer " + key + b"\r\nHost", 1)
        while not stop.is_set():
            started.set()
            connection.sendall(data)
            read_reply(stream, received)


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def time_of(address, kinds):
    """{kind: the times in ms}, in turn."""
    times = {name: [] for name, _ in kinds}
    connections = []
    for _ in range(4):
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.append((connection, connection.makefile("rb")))
    end, turn = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        for name, data in kinds:
            connection, stream = connections[turn % len(connections)]
            turn += 1
            begun = time.perf_counter()
            connection.sendall(data)
            read_reply(stream)
            times[name].append((time.perf_counter() - begun) * 1e3)
            time.sleep(0.001)
    for connection, stream in connections:
        stream.close()
        connection.close()
    return times


def quantile(times, share):
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def main():
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, shape in (("small", SMALL), ("large", LARGE)):
            paths.append(os.path.join(folder, name + ".safetensors"))
            write_artifact(paths[-1], *shape)
        keys = os.path.join(folder, "keys")
        key = b"0123456789abcdef0123456789abcdef"
        with open(keys, "wb") as file:
            file.write(b"admin " + key + b"\n")
        kinds = [(name, data.replace(b"\r\nHost", b"\r\nAuthorization: Bearer " + key + b"\r\nHost", 1))
                 for name, data in light()]
        worst = 0
        print("milliseconds   %s" % "".join("%-24s" % name for name, _ in kinds))
        print("beside         %s" % ("%-24s" % "p50   p99   most" * len(kinds)))
        with Daemon("--dictionary", "small=" + paths[0], "--dictionary", "large=" + paths[1], "--keys", keys,
                    "--log-level", "warning") as daemon:
            for what, data, count in heavy():
                stop, workers = multiprocessing.Event(), []
                received = [multiprocessing.Value("Q", lock=False) for _ in range(count)]
                for one in received:
                    started = multiprocessing.Event()
                    workers.append(multiprocessing.Process(target=keep_busy,
                                                           args=(daemon.address, data, key, started, stop, one)))
                    workers[-1].start()
                    started.wait(10)
                time.sleep(0.2 if workers else 0)
                before, begun = sum(one.value for one in received), time.monotonic()
                cpu = cpu_seconds(daemon.process.pid)
                times = time_of(daemon.address, kinds)
                cpu, seconds = cpu_seconds(daemon.process.pid) - cpu, time.monotonic() - begun
                gigabytes = (sum(one.value for one in received) - before) / 1e9
                stop.set()
                for worker in workers:
                    worker.join(60)
                line = ["%-14s " % what]
                for name, _ in kinds:
                    p50, p99, most = quantile(times[name], .5), quantile(times[name], .99), max(times[name])
                    worst = max(worst, p99)
                    line.append("%-24s" % ("%5.2f %5.2f %6.2f" % (p50, p99, most)))
                if "download" in what:
                    line.append("%.2f GB/s, %.2f per CPU second" % (gigabytes / seconds, gigabytes / cpu))
                print("".join(line).rstrip(), flush=True)
        print("the largest p99: %.2f ms" % worst)


if __name__ == "__main__":
    main()
