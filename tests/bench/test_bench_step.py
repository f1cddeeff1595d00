"""bench_step at a size that takes no time: both kinds of steps learn, and every line is there."""
import os
import re
import subprocess

BUILD = os.environ.get("RASAE_BUILD", "build")


def test_it_times_steps_beside_products():
    run = subprocess.run([f"{BUILD}/tests/bench_step", "96", "24", "64", "64", "4", "3"], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    assert "d 64, K 96, 4 active, N 24, batch 64, one thread, OpenBLAS's kernels for " in run.stdout, run.stdout
    assert re.search(r"^  x E\^T [\d.]+ ms \(\d+ GFLOP/s\), with the gradient of E ", run.stdout, re.MULTILINE), run.stdout
    steps = re.findall(r"^  a step, (.*): [\d.]+ ms, [\d.]+ x both products \([\d.]+ to [\d.]+\)$", run.stdout, re.MULTILINE)
    assert steps == ["dense W", "8 points per atom"], run.stdout


if __name__ == "__main__":
    test_it_times_steps_beside_products()
