"""bench_peers works: the answers of all sides agree, and each side is timed; faiss is not among the tests' packages. The figures
mean nothing here."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "clients"))

import environment  # noqa: E402

environment.enter()

PEERS = ["FastAPI", "bare ASGI"]


def test_times_every_side():
    run = subprocess.run([sys.executable, os.path.join(HERE, "bench_peers.py")], capture_output=True, text=True, timeout=600,
                         env={**os.environ, "BENCH_CONCEPTS": "300", "BENCH_SECONDS": "1", "BENCH_ROUNDS": "1", "BENCH_TORCH": ""})
    assert run.returncode == 0, run.stdout + run.stderr
    ours = re.findall(r"^\| \*\*(.+?), \d+ clients\*\* \| [\d,]+ µs \|  \| [\d,]+ \| [\d.]+ / [\d.]+ ms \|$", run.stdout, re.M)
    theirs = re.findall(r"^\| ([^*|]+) \| [\d,]+ µs \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d,]+ \| [\d.]+ / [\d.]+ ms \|$", run.stdout, re.M)
    assert [name.split()[0] for name in ours] == ["reconstruct", "encode", "reconstruct", "search"], run.stdout
    dense = [name + way for way in (", from the latents that are not zero", ", as a product") for name in PEERS]
    assert theirs == [*PEERS, "the same number of bytes, constant, from libmicrohttpd", *PEERS, *dense], run.stdout
    assert "uvloop and httptools" in run.stdout and "searches are left out, for there is no faiss." in run.stdout, run.stdout


if __name__ == "__main__":
    test_times_every_side()
