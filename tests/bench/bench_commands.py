#!/usr/bin/env python3
"""make bench-commands: `rasae encode`, `rasae eval` and `rasae fuse` beside what none of them avoids, OpenBLAS's sgemm of the same
shape in one call, with its best kernels.

    tests/bench/bench_commands.py [--readme README.md] [--rounds 3]

prints a table as Markdown; --readme also puts it between the two markers of that file. The commands take turns, with one thread for
the processor's time, and with one thread per processor for the clock's; a ratio is that of two figures of one round. What they wrote
is compared with NumPy's results first. BENCH_CONCEPTS, BENCH_ROWS and BENCH_ROUNDS make it smaller, for a test."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

import openblas

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))

import readme_block  # noqa: E402

RASAE = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"), "rasae")
MARKERS = "<!-- bench-commands -->", "<!-- /bench-commands -->"
CONCEPTS = int(os.environ.get("BENCH_CONCEPTS", 10_000))
ROWS = int(os.environ.get("BENCH_ROWS", 32_768))
SQUARE = min(CONCEPTS, 8_192)  # atoms and points of the checkpoint that is fused
DIMENSIONS, POINTS, ACTIVE = 768, 1_000, 50


def rasae(*words):
    """Seconds on the clock and of the processor of a command of ours."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([RASAE, *words], stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit("rasae %s ended with %d: %s" % (" ".join(words), process.returncode, errors.read()))
    return took, usage.ru_utime + usage.ru_stime


def tensors(path):
    """The tensors of a safetensors file."""
    types = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}
    whole = numpy.memmap(path, mode="r")
    length = int(whole[:8].view("<u8")[0])
    header = json.loads(bytes(whole[8:8 + length]))
    return {name: whole[8 + length + about["data_offsets"][0]:8 + length + about["data_offsets"][1]].view(types[about["dtype"]])
            .reshape(about["shape"]) for name, about in header.items() if name != "__metadata__" and about["dtype"] in types}


def train(folder, name, rows, points, concepts):
    """A checkpoint with a dense W after two steps: its values do not matter for the time that anything takes."""
    numpy.save(os.path.join(folder, "rows.npy"), rows)
    numpy.save(os.path.join(folder, "points.npy"), points)
    path = os.path.join(folder, name)
    rasae("train", os.path.join(folder, "rows.npy"), "--points", os.path.join(folder, "points.npy"), "--mixture", "dense", "--concepts",
          str(concepts), "--top-k", str(ACTIVE), "--batch-size", str(len(rows) // 2), "--steps", "2", "--lr", "5e-4", "--init-weights", "random",
          "--encoder-start", "uniform", "-o", path)
    return path


def inputs(folder):
    """Rows, each a mixture of three points and noise; a fused dictionary for them; a checkpoint with as many points as atoms."""
    draw = numpy.random.default_rng(1)
    points = draw.standard_normal((POINTS, DIMENSIONS), dtype="f")
    rows = draw.standard_normal((ROWS, DIMENSIONS), dtype="f") / 5
    for _ in range(3):
        rows += draw.random((ROWS, 1), dtype="f") * points[draw.integers(POINTS, size=ROWS)]
    model = os.path.join(folder, "model.safetensors")
    rasae("fuse", train(folder, "checkpoint.safetensors", rows[:2048], points, CONCEPTS), "-o", model)
    square = train(folder, "square.safetensors", rows[:2048], draw.standard_normal((SQUARE, DIMENSIONS), dtype="f"), SQUARE)
    numpy.save(os.path.join(folder, "rows.npy"), rows)
    return rows, model, square


def check(folder, rows, model, square):
    """Codes and fused atoms are what NumPy says."""
    rasae("encode", model, os.path.join(folder, "rows.npy"), "-o", os.path.join(folder, "codes.safetensors"))
    codes, parts = tensors(os.path.join(folder, "codes.safetensors")), tensors(model)
    some = numpy.linspace(0, ROWS - 1, 64).astype(int)
    scores = rows[some] @ parts["encoder.final_block.0.weight"].T + parts["encoder.final_block.0.bias"]
    for row, of_row in zip(some, scores):
        at = slice(codes["codes.start"][row], codes["codes.start"][row + 1])
        largest = numpy.sort(of_row)[-ACTIVE:]
        assert numpy.allclose(numpy.sort(codes["codes.value"][at]), largest, atol=1e-4), "rasae encode: row %d" % row
        assert numpy.allclose(codes["codes.value"][at], of_row[codes["codes.index"][at]], atol=1e-4), "rasae encode: row %d" % row
    fused = os.path.join(folder, "fused.safetensors")
    rasae("fuse", square, "-o", fused)
    parts = {name.replace("dictionary.", ""): values for name, values in tensors(square).items()}
    some = numpy.linspace(0, SQUARE - 1, 64).astype(int)
    atoms = (parts["W"][some] @ parts["C"] + parts["Relax"][some]) * numpy.exp(parts["multiplier"])
    assert numpy.allclose(tensors(fused)["dictionary"][some], atoms, atol=1e-4), "rasae fuse"


def rounds(folder, model, square, count):
    """[name][threads] -> a list of (clock, processor), one per round."""
    rows = os.path.join(folder, "rows.npy")
    commands = {
        "encode": ("encode", model, rows, "-o", os.path.join(folder, "codes.safetensors")),
        "basic": ("eval", model, rows, "--basic"),
        "eval": ("eval", model, rows),
        "fuse": ("fuse", square, "-o", os.path.join(folder, "fused.safetensors")),
    }
    shapes = {"encode sgemm": (ROWS, CONCEPTS, DIMENSIONS), "fuse sgemm": (SQUARE, DIMENSIONS, SQUARE)}
    threads = sorted({1, len(os.sched_getaffinity(0))})
    kernels = {n: {name: openblas.best(n, shape) for name, shape in shapes.items()} for n in threads}
    took = {name: {n: [] for n in threads} for name in (*commands, *shapes)}
    for _ in range(count):
        for n in threads:
            for name, words in commands.items():
                took[name][n].append(rasae(*words, "--threads", str(n)))
            for name, shape in shapes.items():
                took[name][n].append(openblas.with_kernels(kernels[n][name][2], n, shape)[:2])
    return took, sorted({found[2] for by_shape in kernels.values() for found in by_shape.values()})


LINES = [  # what is timed, beside what
    ("`rasae encode`", "encode", "its sgemm", "encode sgemm"),
    ("`rasae eval --basic`", "basic", "`rasae encode`", "encode"),
    ("`rasae eval`", "eval", "`rasae encode`", "encode"),
    ("`rasae fuse`, {:,} atoms of as many points".format(SQUARE), "fuse", "its sgemm", "fuse sgemm"),
]


def spread(ratios):
    return "%.2f (%.2f to %.2f)" % (statistics.median(ratios), min(ratios), max(ratios))


def table(took, kernels):
    threads = sorted(took["encode"])
    most = threads[-1]
    head, rule = "| | beside | one thread, of the processor | times that (least, most) |", "|---|---|---|---|"
    if most > 1:
        head, rule = head + " %d threads, on the clock | times that | cores busy |" % most, rule + "---|---|---|"
    lines = [head, rule]
    for title, name, beside, other in LINES:
        cells = [title, beside, "%.2f s" % statistics.median(cpu for _, cpu in took[name][1]),
                 spread([mine[1] / theirs[1] for mine, theirs in zip(took[name][1], took[other][1])])]
        if most > 1:
            cells += ["%.2f s" % statistics.median(clock for clock, _ in took[name][most]),
                      spread([mine[0] / theirs[0] for mine, theirs in zip(took[name][most], took[other][most])]),
                      "%.2f" % statistics.median(cpu / clock for clock, cpu in took[name][most])]
        lines.append("| %s |" % " | ".join(cells))
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    lines += ["", "{:,} concepts of {} dimensions, {} active, {:,} rows; the median of {} rounds by turns, on {} with {} processors and a "
              "load of {:.0f}. OpenBLAS's kernels: {}.".format(CONCEPTS, DIMENSIONS, ACTIVE, ROWS, len(took["encode"][1]), model.group(1)
                                                               if model else "an unknown processor", os.cpu_count(), os.getloadavg()[0],
                                                               ", ".join(kernels))]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Times commands beside the products that they need; see the head of this file.")
    parser.add_argument("--readme", metavar="FILE", help="put the table between the markers of this file as well")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_ROUNDS", 3)))
    options = parser.parse_args()
    if options.readme:
        readme_block.around(options.readme, MARKERS)
    with tempfile.TemporaryDirectory(prefix="bench-commands-") as folder:
        rows, model, square = inputs(folder)
        check(folder, rows, model, square)
        text = table(*rounds(folder, model, square, options.rounds))
    print(text)
    if options.readme:
        readme_block.replace(options.readme, MARKERS, text)


if __name__ == "__main__":
    main()
