"""Clients that are slow, many or greedy, and what the others notice of them: make check-hostile.

Each attack is a process of its own that keeps COUNT connections busy for as long as it runs. Meanwhile a healthy client asks again and
again, and its 99th percentile is compared with that of the same client without the attack, in turns. It asks another daemon as
well, which nothing attacks: what that one loses, the machine has lost to the attacker and to the system. The first four are those of
slowhttptest.

    python3 tests/http/hostile.py                         every attack, by 1,000 connections (10,000 for idle ones); a table
    python3 tests/http/hostile.py ATTACK PORT COUNT       that attack alone, until it is killed"""

import os
import re
import resource
import select
import socket
import statistics
import subprocess
import sys
import time

from daemon import Daemon, golden, wait_for

MODEL = golden("topk-mse.final.safetensors")
DOWNLOAD = "/v1/dictionaries/m/dictionary"
CONNECTIONS = {"idle": 10000}
ROUNDS, ASKED = 5, 300
WORST = 2  # times the larger of the percentile without the attack and that of the other daemon
STANDING = 0.5  # seconds until what was opened at once, and asked for, is accepted and answered as far as it is read
FLOOR = 0.02  # seconds: below, the scheduler of a busy machine is all that is measured


# ---- attacks: what is sent at first, what is sent each second, and whether it reads what comes

RANGES = ",".join("%d-" % i for i in range(1, 1500))
ATTACKS = {
    "slow headers": (b"GET /health/live HTTP/1.1\r\nHost: x\r\n", b"X-a: b\r\n", True),
    "slow body": (b"POST /v1/dictionaries/m/reconstruct HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 100000\r\n\r\n{", b" ", True),
    "slow read": (b"GET " + DOWNLOAD.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"", False),
    "ranges": (("GET %s HTTP/1.1\r\nHost: x\r\nRange: bytes=%s\r\n\r\n" % (DOWNLOAD, RANGES)).encode(),) * 2 + (True,),
    "half open": (b"", b"", True),
    "one byte at a time": (b"G", None, True),  # each tick the next byte of a whole request
    "flood": (b"", b"", None),  # closed and opened anew all the time
    "idle": (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", b"", True),
}
WHOLE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(port, first, small):
    one = socket.socket()
    if small:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    one.setblocking(False)
    try:
        one.connect(("127.0.0.1", port))
    except BlockingIOError:
        pass
    except OSError:
        one.close()
        return None
    return [one, first, 0]


def push(held):
    """Sends what is waiting; false when the connection is gone."""
    try:
        if held[1]:
            held[1] = held[1][held[0].send(held[1]):]
        return True
    except BlockingIOError:
        return True
    except OSError:
        return False


def pull(held):
    try:
        return held[0].recv(65536) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def attack(name, port, count):
    first, each, reads = ATTACKS[name]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.nice(19)  # attackers have machines of their own; here they should not take the time of the daemon
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 100)), hard))
    held, opened, cut, said = [], 0, 0, False
    tick = 1 if each is not None else 0.02
    while True:
        started = time.monotonic()
        while len(held) < count and time.monotonic() - started < 0.5:
            one = connect(port, first, reads is False)
            if one is None:
                break
            opened += 1
            held.append(one)
        kept = []
        for one in held:
            alive = push(one)
            if reads:
                alive = alive and pull(one)
            if each is None and not one[1]:
                one[2] = (one[2] + 1) % len(WHOLE)
                one[1] = WHOLE[one[2]:one[2] + 1]
            elif each and not one[1]:
                one[1] = each
            if reads is None or not alive:
                one[0].close()
                cut += not alive
            else:
                kept.append(one)
        held = kept
        if not said and (len(held) == count or reads is None):
            said = True
            print("ready", flush=True)
        time.sleep(max(0.01 if reads is None else tick - (time.monotonic() - started), 0))


# ---- the healthy client

def ask(connection, request):
    started = time.perf_counter()
    connection.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("the healthy connection was cut: %r" % data[:200])
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    left = int(re.search(rb"(?i)content-length: (\d+)", head).group(1)) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))
    if not data.startswith(b"HTTP/1.1 200"):
        raise AssertionError("the healthy client got %r" % data[:200])
    return time.perf_counter() - started


def percentile(port, asked):
    """The 99th of so many requests, each second one on a new connection."""
    request, taken = b"GET /v1/dictionaries/m/atoms/3 HTTP/1.1\r\nHost: x\r\n\r\n", []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as kept:
        for turn in range(asked):
            if turn % 2:
                taken.append(ask(kept, request))
            else:
                started = time.perf_counter()
                with socket.create_connection(("127.0.0.1", port), timeout=60) as new:
                    ask(new, request)
                taken.append(time.perf_counter() - started)
    return sorted(taken)[int(0.99 * (len(taken) - 1))]


def memory(process):
    with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024


def start(count):
    return Daemon("--dictionary", "m=" + MODEL, "--max-connections", str(count + 500), "--header-seconds", "10",
                  "--log-level", "error")


def under(name, count, rounds=ROUNDS, asked=ASKED):
    """One row: the percentile without and with the attack, that of another daemon meanwhile, and what the daemon holds."""
    before, during, beside, peak = [], [], [], 0
    with start(count) as daemon, start(count) as other:
        quiet = memory(daemon.process)
        port = daemon.address[1]
        for one in daemon, other:
            percentile(one.address[1], asked)  # the first ones are slower
        for _ in range(rounds):
            before.append(percentile(port, asked))
            attacker = subprocess.Popen([sys.executable, os.path.abspath(__file__), name, str(port), str(count)],
                                        stdout=subprocess.PIPE)
            try:
                if not select.select([attacker.stdout], [], [], 120)[0]:
                    raise AssertionError("the attack did not begin")
                time.sleep(STANDING)
                during.append(percentile(port, asked))
                beside.append(percentile(other.address[1], asked))
                peak = max(peak, memory(daemon.process))
            finally:
                attacker.kill()
                attacker.wait()
                attacker.stdout.close()
            wait_for(lambda: daemon.get("/health/live").status == 200, "an answer")
        if daemon.process.poll() is not None:
            raise AssertionError("the daemon ended")
    return {"attack": name, "connections": count, "before": statistics.median(before), "during": statistics.median(during),
            "beside": statistics.median(beside), "bytes": (peak - quiet) / count}


def main():
    if len(sys.argv) == 4:
        attack(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    failed = 0
    print("%-20s %11s %12s %12s %12s %6s %16s" % ("attack", "connections", "p99 alone", "p99 with it", "of another", "ratio",
                                                  "bytes/connection"))
    for name in ATTACKS:
        row = under(name, CONNECTIONS.get(name, 1000))
        ratio = row["during"] / max(row["before"], row["beside"])
        bad = ratio > WORST and row["during"] > FLOOR
        failed += bad
        print("%-20s %11d %9.2f ms %9.2f ms %9.2f ms %6.2f %16d%s" % (
            name, row["connections"], 1e3 * row["before"], 1e3 * row["during"], 1e3 * row["beside"], ratio, row["bytes"],
            "  TOO MUCH" if bad else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
