#!/usr/bin/env python3
"""How long light requests take while a heavy one is under way: the median, the 99th of 100 and the longest, in
milliseconds, over connections that are kept. On two cores the 99th stays under 5 ms beside any heavy request. For downloads,
also how much goes out per second, and per second of the daemon's CPU time, which other programs change least.

The heavy requests run one after the other in processes of their own, so that the client does not wait for itself. Downloads
come in two kinds: as fast as loopback goes, where the clients take the cores that the light requests need, and paced to one
network card of 1 or 10 Gbit/s. nginx, which sends a file of the same size with sendfile, is timed beside the same downloads:
what it loses there, the machine takes."""

import array
import json
import multiprocessing
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "http"), os.path.join(os.path.dirname(HERE), "deploy")]
sys.dont_write_bytecode = True

import cluster  # noqa: E402
from daemon import Daemon  # noqa: E402

LARGE, SMALL = (int(os.environ.get("BENCH_CONCEPTS", "16384")), 2048), (2000, 64)  # atoms, dimensions
SELECTED = sys.argv[1:]  # words that heavy requests must have, one of them, in their names; none: all
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
        Heavy("nothing", None, 0),
        Heavy("encode", message("POST", large + "/encode", inputs, rows)),
        Heavy("explain", message("POST", large + "/explain", inputs, rows[:1] + rows[2:])),
        Heavy("search", message("POST", large + "/search?k=10", inputs, rows)),
        Heavy("reload", message("POST", large + "/reload")),
        *downloads(message("GET", large + "/dictionary?format=safetensors")),
    ]


class Heavy(NamedTuple):
    """What `clients` processes ask for, one request after the other; together they take `rate` bytes per second."""
    name: str
    data: bytes | None
    clients: int = 1
    rate: float = 0  # 0: as fast as they can


def downloads(data):
    return [Heavy("1 download", data), Heavy("8 downloads", data, 8),
            Heavy("8, 1 Gbit/s", data, 8, 1e9 / 8), Heavy("8, 10 Gbit/s", data, 8, 1e10 / 8)]


def read_reply(stream, received=None, rate=0):
    """rate: bytes per second, 0 for as many as come."""
    begun, had = time.monotonic(), 0
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
        part = len(stream.read(min(size, 1 << 17 if rate else 1 << 20)))
        assert part, "the reply ended early"
        size -= part
        had += part
        if received is not None:
            received.value += part
        if rate:
            time.sleep(max(0, begun + had / rate - time.monotonic()))


def keep_busy(address, data, key, started, stop, received, rate):
    with socket.create_connection(address) as connection, connection.makefile("rb") as stream:
        if key:
            data = data.replace(b"\r\nHost", b"\r\nAuthorization: Bearer " + key + b"\r\nHost", 1)
        while not stop.is_set():
            started.set()
            connection.sendall(data)
            read_reply(stream, received, rate)


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            words = file.read().rsplit(")", 1)[1].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


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


def print_beside(address, pids, kinds, heavy_one, key=None):
    """One line: the light requests beside the heavy one. Returns the largest p99."""
    stop, workers = multiprocessing.Event(), []
    received = [multiprocessing.Value("Q", lock=False) for _ in range(heavy_one.clients)]
    for one in received:
        started = multiprocessing.Event()
        workers.append(multiprocessing.Process(target=keep_busy, args=(
            address, heavy_one.data, key, started, stop, one, heavy_one.rate / max(1, heavy_one.clients))))
        workers[-1].start()
        started.wait(10)
    time.sleep(0.2 if workers else 0)
    before, begun = sum(one.value for one in received), time.monotonic()
    cpu = cpu_seconds(pids)
    times = time_of(address, kinds)
    cpu, seconds = cpu_seconds(pids) - cpu, time.monotonic() - begun
    gigabytes = (sum(one.value for one in received) - before) / 1e9
    stop.set()
    for worker in workers:
        worker.join(60)
    line, worst = ["%-14s " % heavy_one.name], 0
    for name, _ in kinds:
        p50, p99, most = quantile(times[name], .5), quantile(times[name], .99), max(times[name])
        worst = max(worst, p99)
        line.append("%-24s" % ("%5.2f %5.2f %6.2f" % (p50, p99, most)))
    if gigabytes and (heavy_one.clients > 1 or "download" in heavy_one.name):
        line.append("%.2f GB/s, %.2f per CPU second" % (gigabytes / seconds, gigabytes / max(cpu, 0.01)))
    print("".join(line).rstrip(), flush=True)
    return worst


def print_head(what, kinds):
    print(("%-14s " % what + "".join("%-24s" % name for name, _ in kinds)).rstrip())
    print(("%-14s " % "beside" + ("%-24s" % "p50   p99   most") * len(kinds)).rstrip())


NGINX = """worker_processes 2; daemon off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path body;
proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
server {{ listen 127.0.0.1:{port} reuseport; root {root}; }} }}
"""


def print_nginx(folder, sizes):
    """The same downloads from nginx, beside files of the sizes of the light replies."""
    names = []
    for name, size in sizes:
        names.append((name, message("GET", "/" + name.replace(" ", "-"))))
        with open(os.path.join(folder, name.replace(" ", "-")), "wb") as file:
            file.write(b"x" * size)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    conf = os.path.join(folder, "nginx.conf")
    with open(conf, "w", encoding="utf-8") as file:
        file.write(("user root;\n" if os.getuid() == 0 else "") + NGINX.format(port=port, root=folder))
    program, environment = cluster.tool("nginx")
    with subprocess.Popen([program, "-p", folder, "-c", conf, "-e", "stderr"], env=environment) as nginx:
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            with open("/proc/%d/task/%d/children" % (nginx.pid, nginx.pid), encoding="ascii") as file:
                pids = [nginx.pid, *map(int, file.read().split())]
            print_head("nginx", names)
            for one in (Heavy("nothing", None, 0), *downloads(message("GET", "/large.safetensors"))):
                print_beside(("127.0.0.1", port), pids, names, one)
        finally:
            nginx.terminate()
            nginx.wait(20)


def size_of(address, data):
    """Bytes of a reply's body."""
    received = multiprocessing.Value("Q", lock=False)
    with socket.create_connection(address) as connection, connection.makefile("rb") as stream:
        connection.sendall(data)
        read_reply(stream, received)
    return received.value


def main():
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, shape in (("small", SMALL), ("large", LARGE)):
            paths.append(os.path.join(folder, name + ".safetensors"))
            write_artifact(paths[-1], *shape)
        os.chmod(folder, 0o755)
        keys = os.path.join(folder, "keys")
        key = b"0123456789abcdef0123456789abcdef"
        with open(keys, "wb") as file:
            file.write(b"admin " + key + b"\n")
        kinds = [(name, data.replace(b"\r\nHost", b"\r\nAuthorization: Bearer " + key + b"\r\nHost", 1))
                 for name, data in light()]
        print_head("milliseconds", kinds)
        with Daemon("--dictionary", "small=" + paths[0], "--dictionary", "large=" + paths[1], "--keys", keys,
                    "--log-level", "warning") as daemon:
            sizes = [(name, size_of(daemon.address, data)) for name, data in kinds[:2]]
            worst = max(print_beside(daemon.address, [daemon.process.pid], kinds, one, key) for one in heavy()
                        if not SELECTED or any(word in one.name for word in SELECTED))
        print("the largest p99: %.2f ms" % worst)
        print_nginx(folder, sizes)


if __name__ == "__main__":
    main()
