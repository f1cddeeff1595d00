"""bench_serve works: each kind of request is answered and timed, nginx's beside it. The figures mean nothing here."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def test_times_every_kind():
    run = subprocess.run([sys.executable, os.path.join(HERE, "bench_serve.py")], capture_output=True, text=True, timeout=600,
                         env={**os.environ, "BENCH_CONCEPTS": "300", "BENCH_SECONDS": "1", "BENCH_ROUNDS": "1"})
    assert run.returncode == 0, run.stderr
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) per second \| (\d+) µs \(\d+ to \d+\) \|$", run.stdout, re.M)
    assert len(rows) == 10, run.stdout
    assert re.fullmatch(r"the same from nginx, as files: \d+\.\d\d of that", rows[1][0]), rows[1]
    assert all(int(microseconds) > 0 for _, _, microseconds in rows), run.stdout
    assert "256 different requests of each kind" in run.stdout, run.stdout


if __name__ == "__main__":
    test_times_every_kind()
