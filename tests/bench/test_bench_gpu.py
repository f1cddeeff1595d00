"""bench_gpu on the emulated device: every benchmark of a GPU works, and without a GPU it says so."""
import os
import re
import subprocess

BUILD = os.environ.get("RASAE_BUILD", "build")


def bench(*arguments):
    return subprocess.run([f"{BUILD}/tests/bench_gpu", *arguments], capture_output=True, text=True, timeout=240)


def test_times_every_operation():
    run = bench("--device", "cuda-emulated", "--quick")
    assert run.returncode == 0, run.stderr
    assert "an emulated device, compute capability 9.0" in run.stdout, run.stdout
    lines = re.findall(r"^(\w[^\n]*?) +([\d.]+) us +([\d.]+) (?:GB/s|TFLOP/s) +\d+ %$", run.stdout, re.MULTILINE)
    assert len(lines) == 46, run.stdout
    assert all(float(time) > 0 for _, time, _ in lines), run.stdout
    used = re.search(r"80 latents, 4 active per row, (\d+) of them in all", run.stdout)
    assert int(used.group(1)) > 12, run.stdout  # of 24: rows are random, so few of them choose the same atoms


def test_says_that_there_is_no_device():
    run = bench("--device", "nosuch")
    assert run.returncode == 0
    assert run.stdout.startswith("bench_gpu: skipped: the device nosuch needs the plugin"), run.stdout
    assert run.stdout.count("\n") == 1 and not run.stderr


def test_refuses_other_arguments():
    for arguments in [["--fast"], ["--latents", "many"], ["--latents", "0"], ["--runs", "10"], ["--runs"], ["--runs", "-1"]]:
        run = bench(*arguments)
        assert run.returncode == 2 and run.stderr.startswith("usage:"), arguments


if __name__ == "__main__":
    test_times_every_operation()
    test_says_that_there_is_no_device()
    test_refuses_other_arguments()
