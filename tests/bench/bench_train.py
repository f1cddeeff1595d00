#!/usr/bin/env python3
"""make bench-train: a step of `rasae train` beside a step of the reference's train_sae loop on torch.

Both use the same data and points, at the method's documented size, with the same number of threads; ours trains the
reference's dense mixtures, and beside them mixtures of 8 points, which are its default. All take
turns, so that other load on the machine affects both. The reference (overcomplete, torch) is installed into an
environment of the benchmark's own, RASAE_BUILD/bench-train-venv: PyPI's torch brings its CUDA libraries along (5
GB on disk), which stay unused.

    python3 tests/bench/bench_train.py [--write README.md] [--rounds 3] [--steps 16] [--threads 2]

prints a table as Markdown; --write also puts it between the two markers of that file. A step of ours is the time
of the whole loop divided by its steps (--json), a step of theirs the median time from batch to batch. The fastest
of the rounds counts on both sides, because other load can only slow a round down. Memory is the peak of the
process (getrusage); the table also names how much of it the imports of torch take."""
import argparse
import array
import json
import os
import random
import re
import struct
import subprocess
import sys
import venv

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))

import openblas  # noqa: E402
import readme_block  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"))
FOLDER = os.path.join(BUILD, "bench-train")
VENV = os.path.join(BUILD, "bench-train-venv")
THEIRS = os.path.join(TOP, "tests", "bench", "train_overcomplete.py")
MARKERS = "<!-- bench-train -->", "<!-- /bench-train -->"

PACKAGES = ["torch", "numpy", "scipy", "scikit-learn", "einops", "tqdm", "matplotlib"]
REFERENCE = "overcomplete==0.3.0"

DIMENSIONS, CONCEPTS, POINTS, ROWS, BATCH, TOP_K = 768, 10_000, 1_000, 8_192, 1_024, 50

# The dense products of a step, 2 m n k each. The sparse ones (decoding, both gradients of the codes) hardly count.
OURS_GFLOP = 2e-9 * DIMENSIONS * CONCEPTS * (BATCH + 2 * POINTS)  # x E^T, W C, dD C^T


def environment():
    """The Python of the benchmark's environment, which the first call makes."""
    python = os.path.join(VENV, "bin", "python")
    if not os.path.exists(os.path.join(VENV, "complete")):
        print("making %s" % VENV, file=sys.stderr, flush=True)
        venv.create(VENV, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run(pip + PACKAGES, check=True)
        subprocess.run(pip + ["--no-deps", REFERENCE], check=True)  # its models and plots are not needed
        open(os.path.join(VENV, "complete"), "w").close()
    return python


def write_npy(path, values, width):
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (len(values) // width, width)
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        if sys.byteorder == "big":
            values.byteswap()
        file.write(values.tobytes())


def inputs():
    """8,192 rows, each a mixture of three points and noise, and those points."""
    draw = random.Random(1)
    points = [array.array("f", (draw.gauss(0, 1) for _ in range(DIMENSIONS))) for _ in range(POINTS)]
    flat, rows = array.array("f"), array.array("f")
    for point in points:
        flat.extend(point)
    for _ in range(ROWS):
        mixed = [draw.gauss(0, 0.2) for _ in range(DIMENSIONS)]
        for point in draw.sample(points, 3):
            weight = draw.random()
            mixed = [x + weight * p for x, p in zip(mixed, point)]
        rows.extend(mixed)
    paths = os.path.join(FOLDER, "x.npy"), os.path.join(FOLDER, "points.npy")
    write_npy(paths[0], rows, DIMENSIONS)
    write_npy(paths[1], flat, DIMENSIONS)
    return paths


def child(command, variables):
    """The output of a child process, and the peak of its own memory in MiB."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **variables}, text=True) as process:
        out, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("%s\n%s" % (" ".join(command), errors))
    return out, usage.ru_maxrss / 1024


def ours(x, points, steps, threads, mixture):
    out, peak = child([os.path.join(BUILD, "rasae"), "train", x, "--points", points, "-o", os.path.join(FOLDER, "ours.safetensors"),
                       "--mixture", mixture, "--concepts", str(CONCEPTS), "--top-k", str(TOP_K), "--batch-size", str(BATCH), "--steps", str(steps),
                       "--loss", "mse", "--lr", "5e-4", "--schedule", "constant", "--encoder-start", "uniform",
                       "--threads", str(threads), "--json"], {})
    summary = json.loads(out)
    return {"seconds": summary["seconds"] / summary["steps"], "peak": peak, "loss": summary["loss"]}


def theirs(python, x, points, steps, threads):
    sizes = [str(n) for n in (CONCEPTS, TOP_K, BATCH, steps, threads)]
    out, peak = child([python, THEIRS, x, points, *sizes], {"OMP_NUM_THREADS": str(threads)})
    return {**json.loads(out.splitlines()[-1]), "peak": peak}


def openblas_peak(threads):
    """GFLOP/s of OpenBLAS's own sgemm with its best kernels, which `rasae` uses; None where there is no OpenBLAS."""
    found = openblas.best(threads)
    return 2e-9 * 2048 ** 3 / found[0] if found else None


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return found.group(1) if found else "unknown processor"


def table(mine, reference, few, threads, blas):
    step = [min(run["seconds"] for run in runs) for runs in (mine, reference, few)]
    peak = [max(run["peak"] for run in runs) for runs in (mine, reference, few)]
    about = reference[0]
    sgemm = max(filter(None, [blas, about["sgemm"]]))
    lines = [
        "| %s dimensions, %s concepts, %s points, top_k %d, batch %s, %d threads | a step | peak memory | of sgemm's peak |"
        % (DIMENSIONS, format(CONCEPTS, ","), format(POINTS, ","), TOP_K, format(BATCH, ","), threads),
        "|---|---|---|---|",
        "| `rasae train --mixture dense` | %.2f s | %.0f MiB | %.0f of %.0f GFLOP/s |" % (step[0], peak[0], OURS_GFLOP / step[0], sgemm),
        "| overcomplete 0.3.0, `train_sae`, torch %s | %.2f s | %.0f MiB (%.0f of it after the imports) | |"
        % (about["torch"], step[1], peak[1], about["imports"]),
        "| | %.1f times as fast | %.2f of the memory | |" % (step[1] / step[0], peak[0] / peak[1]),
        "| `rasae train`, mixtures of 8 points | %.2f s, %.1f times as fast as dense | %.0f MiB | |"
        % (step[2], step[0] / step[2], peak[2]),
        "",
        "The fastest of %d rounds each, taking turns, on %s. BLAS: ours OpenBLAS (sgemm %s), torch's %s (%.0f GFLOP/s)."
        % (len(mine), processor(), "%.0f GFLOP/s" % blas if blas else "not found", about["blas"], about["sgemm"]),
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Times a training step beside the reference's; see the head of this file.")
    parser.add_argument("--write", metavar="README", help="put the table between the markers of this file, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.write:
        readme_block.around(options.write, MARKERS)
    os.makedirs(FOLDER, exist_ok=True)
    python = environment()
    x, points = inputs()
    mine, reference, few = [], [], []
    for number in range(options.rounds):
        mine.append(ours(x, points, options.steps, options.threads, "dense"))
        few.append(ours(x, points, options.steps, options.threads, "8"))
        reference.append(theirs(python, x, points, options.steps, options.threads))
        print("round %d: %.2f s, with few points %.2f s, and %.2f s a step; loss %.4f, %.4f and %.4f; load %.1f" % (
            number + 1, *(runs[-1]["seconds"] for runs in (mine, few, reference)),
            *(runs[-1]["loss"] for runs in (mine, few, reference)), os.getloadavg()[0]),
            file=sys.stderr, flush=True)
    text = table(mine, reference, few, options.threads, openblas_peak(options.threads))
    print(text)
    if options.write:
        readme_block.replace(options.write, MARKERS, text)


if __name__ == "__main__":
    main()
