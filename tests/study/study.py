#!/usr/bin/env python3
"""make study: how well and how reproducibly each kind of autoencoder explains the words and the digits.

`rasae train` trains every row of SETTINGS on both data sets with the seeds SEEDS, `rasae eval` measures each
model, and `rasae compare` each pair of seeds; the table holds the means. The data are standardized per dimension
first, without their constant columns, as in Fel et al. 2025.

    python3 tests/study/study.py [--readme README.md] [--only digits] [--seeds 1,2]

prints the tables as Markdown; with --readme they also replace what is between the two markers there. It needs
Python's standard library alone. RASAE_BUILD names the build folder (build); the models go to RASAE_BUILD/study.

The archetypal rows take the trainer's defaults except for delta, and differ in what their seeds share:

    shared     the points; each seed starts W at eye (the reference's protocol): atom i at point i
    permuted   the points; each seed starts its atoms on them in a different order
    half       twice as many points as atoms; each seed starts on a different half of them
    resampled  nothing: k-means has a different seed for each"""
import argparse
import array
import itertools
import json
import math
import os
import re
import struct
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))

import readme_block  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"))
FOLDER = os.path.join(BUILD, "study")
MARKERS = "<!-- study -->", "<!-- /study -->"

SEEDS = [1, 2, 3, 4]
STEPS = "4000"

# name: file, concepts, active latents, penalty of reanimate (a sum over the batch), penalty of l1
DATA = {
    "words": ("words.safetensors", 400, 16, "5e-7", "6e-5"),
    "digits": ("digits.npy", 128, 8, "5e-7", "6e-4"),
}

PLAIN = ["--dictionary-kind", "l2", "--no-multiplier"]

AS_REFERENCE = ["--top-k", "{k}", "--delta", "0.1", "--encoder-start", "uniform", "--schedule", "constant", "--lr", "5e-3",
                "--loss", "reanimate", "--penalty", "{reanimate}"]

# name, what the seeds share, flags; {reanimate} and {l1} depend on the data
SETTINGS = [
    ("TopK", "", PLAIN + ["--top-k", "{k}", "--loss", "reanimate", "--penalty", "{reanimate}", "--lr", "5e-3"]),
    ("JumpReLU", "", PLAIN + ["--sae", "jumprelu", "--bandwidth", "0.01", "--penalty", "{l1}", "--lr", "5e-3"]),
    ("RA, delta 0.1, the reference's training", "shared", AS_REFERENCE),
    ("RA, delta 0.1, the reference's training", "resampled", AS_REFERENCE),
    ("RA, delta 0", "shared", ["--top-k", "{k}", "--delta", "0"]),
    ("RA, delta 0", "permuted", ["--top-k", "{k}", "--delta", "0"]),
    ("RA, delta 0.1", "shared", ["--top-k", "{k}", "--delta", "0.1"]),
    ("RA, delta 0.1", "permuted", ["--top-k", "{k}", "--delta", "0.1"]),
    ("RA, delta 1", "shared", ["--top-k", "{k}", "--delta", "1"]),
    ("RA, delta 1", "permuted", ["--top-k", "{k}", "--delta", "1"]),
    ("RA, delta 1", "half", ["--top-k", "{k}", "--delta", "1"]),
    ("RA, delta 1", "resampled", ["--top-k", "{k}", "--delta", "1"]),
]

# The results of the reference itself (overcomplete 0.3.0) on the digits, means of 3 seeds. Its term for dead latents is a
# mean over the batch, our reanimate a sum; the penalty makes them equal.
REPRODUCED = ["--top-k", "{k}", "--points", "256", "--encoder-start", "uniform", "--schedule", "constant", "--lr", "5e-3",
              "--loss", "reanimate", "--penalty", "{reanimate}", "--batch-size", "256", "--epochs", "60"]
WITHOUT_POINTS = REPRODUCED[:2] + REPRODUCED[4:]
REFERENCE = [
    ("TopK", "", PLAIN + WITHOUT_POINTS, {"r2": .884, "stability_with_flips": .488, "ood": .349, "dead_ratio": .10}),
    ("RA, delta 0.1", "shared", ["--delta", "0.1"] + REPRODUCED,
     {"r2": .821, "stability_with_flips": .716, "ood": .236, "dead_ratio": .24}),
    ("RA, delta 0.1", "resampled", ["--delta", "0.1"] + REPRODUCED, {"r2": .807, "stability_with_flips": .720, "ood": .236}),
    ("RA, delta 0.1", "permuted", ["--delta", "0.1"] + REPRODUCED, {"r2": .816, "stability_with_flips": .721, "ood": .232}),
]

# heading, the names of the member in the output of `eval` (the first that exists), digits after the point
COLUMNS = [
    ("R²", ["r2"], 3),
    ("L0", ["l0"], 1),
    ("dead", ["dead_ratio"], 2),
    ("stability", ["stability_with_flips"], 3),
    ("centered", ["stability_centered"], 3),
    ("OOD", ["ood"], 3),
    ("coherence", ["coherence", "collinearity"], 3),
    ("stable rank", ["stable_rank"], 1),
    ("effective rank", ["effective_rank"], 1),
]


# ---- files -------------------------------------------------------------------------------------------------

def read_safetensors(path, name):
    """A tensor of a file: its numbers and its shape."""
    with open(path, "rb") as file:
        blob = file.read()
    length = struct.unpack("<Q", blob[:8])[0]
    entry = json.loads(blob[8:8 + length])[name]
    start, end = entry["data_offsets"]
    code = {"F32": "f", "F16": "e"}[entry["dtype"]]
    body = blob[8 + length + start:8 + length + end]
    return struct.unpack("<%d%s" % (len(body) // struct.calcsize(code), code), body), entry["shape"]


def read_npy(path):
    with open(path, "rb") as file:
        blob = file.read()
    length = struct.unpack("<H", blob[8:10])[0]
    shape = [int(n) for n in re.search(rb"'shape': \(([\d, ]+)\)", blob[10:10 + length]).group(1).split(b",") if n.strip()]
    return struct.unpack("<%df" % math.prod(shape), blob[10 + length:]), shape


def write_npy(path, rows):
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (len(rows), len(rows[0]))
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        for row in rows:
            values = array.array("f", row)
            if sys.byteorder == "big":
                values.byteswap()
            file.write(values.tobytes())


def standardized(path):
    """The rows with mean 0 and variance 1 in each column, without the constant columns."""
    values, (count, width) = read_npy(path) if path.endswith(".npy") else read_safetensors(path, "embeddings")
    columns = []
    for j in range(width):
        column = values[j::width]
        mean = math.fsum(column) / count
        scale = math.sqrt(math.fsum((x - mean) ** 2 for x in column) / count)
        if scale > 0:
            columns.append([(x - mean) / scale for x in column])
    return list(zip(*columns))


# ---- runs --------------------------------------------------------------------------------------------------

def rasae(*arguments):
    done = subprocess.run([os.path.join(BUILD, "rasae"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("rasae %s\n%s" % (" ".join(arguments), done.stderr))
    return done.stdout


# The flags that make the start of one seed.
STARTS = {
    "": [],
    "shared": [],
    "permuted": ["--init-weights", "permuted"],
    "half": ["--points", "{half}", "--init-weights", "permuted"],
    "resampled": ["--points-seed", "{seed}"],
}


def measure(data, x, name, share, flags, seeds):
    """The means of every figure over the seeds and over their pairs."""
    _, concepts, k, reanimate, l1 = DATA[data]
    schedule = [] if "--schedule" in flags else ["--schedule", "cosine"]
    length = [] if "--epochs" in flags else ["--steps", STEPS]
    models, results = [], []
    for seed in seeds:
        filled = [flag.format(k=k, reanimate=reanimate, l1=l1, seed=seed, half=2 * concepts)
                  for flag in flags + schedule + STARTS[share]]
        model = os.path.join(FOLDER, "%s.%s.%s.%d.safetensors" % (data, re.sub(r"\W+", "-", name), share or "own", seed))
        rasae("train", x, "-o", model, "--concepts", str(concepts), *length, "--seed", str(seed), "--quiet", *filled)
        models.append(model)
        results.append(json.loads(rasae("eval", model, x, "--json")))
    pairs = [json.loads(rasae("compare", a, b, "--json")) for a, b in itertools.combinations(models, 2)]
    return {**means(results), **means(pairs)}


def means(results):
    names = [name for name, value in results[0].items() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return {name: math.fsum(result[name] for result in results) / len(results) for name in names}


# ---- the table ---------------------------------------------------------------------------------------------

def machine():
    """The processor's name and the number of cores this process may use."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return "%s, %d cores" % (found.group(1) if found else "unknown processor", len(os.sched_getaffinity(0)))


def cell(figures, names, places):
    for name in names:
        if name in figures:
            return "%.*f" % (places, figures[name])
    return "-"


def table(data, rows):
    file, concepts, k, _, _ = DATA[data]
    lines = ["| %s: %d concepts | seeds share | %s |" % (data, concepts, " | ".join(column[0] for column in COLUMNS)),
             "|---|---|" + "---|" * len(COLUMNS)]
    for name, share, figures in rows:
        cells = " | ".join(cell(figures, names, places) for _, names, places in COLUMNS)
        lines.append("| %s | %s | %s |" % (name, share or "nothing", cells))
    return "\n".join(lines)


def reproduction(x):
    """Our figures beside the reference's."""
    names = ["r2", "stability_with_flips", "ood", "dead_ratio"]
    lines = ["| digits as the reference trained them | seeds share | R² | stability | OOD | dead |", "|---|---|---|---|---|---|"]
    for name, share, flags, expected in REFERENCE:
        ours = measure("digits", x, "reference " + name, share, flags, [1, 2, 3])
        cells = ["%.3f (%s)" % (ours[n], "%.3f" % expected[n] if n in expected else "-") for n in names]
        lines.append("| %s | %s | %s |" % (name, share or "nothing", " | ".join(cells)))
    return "\n".join(lines) + "\n\nOurs, in parentheses the reference's own: 3 seeds, 60 epochs, batches of 256."


def main():
    parser = argparse.ArgumentParser(description="Trains and compares; see the head of this file.")
    parser.add_argument("--readme", help="write the tables between the markers of this file, too")
    parser.add_argument("--only", choices=sorted(DATA), help="one data set")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="at least two, with commas between")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    if len(set(seeds)) < 2:
        parser.error("--seeds needs at least two: stability is between two runs")
    if options.readme and (options.only or seeds != SEEDS):
        parser.error("--readme goes with all of the data and all of the seeds")
    if options.readme:
        readme_block.around(options.readme, MARKERS)
    os.makedirs(FOLDER, exist_ok=True)
    began, tables = time.monotonic(), []
    for data in [options.only] if options.only else DATA:
        x, rows = os.path.join(FOLDER, data + ".npy"), []
        write_npy(x, standardized(os.path.join(TOP, "tests", "data", DATA[data][0])))
        for name, share, flags in SETTINGS:
            rows.append((name, share, measure(data, x, name, share, flags, seeds)))
            print("%5.0f s  %s: %s %s" % (time.monotonic() - began, data, name, share), file=sys.stderr, flush=True)
        tables.append(table(data, rows))
        if data == "digits":
            tables.append(reproduction(x))
    text = "\n\n".join(tables) + "\n\n%d seeds, %s steps; standardized data; %.0f s on %s." % (
        len(seeds), STEPS, time.monotonic() - began, machine())
    print(text)
    if options.readme:
        readme_block.replace(options.readme, MARKERS, text)


if __name__ == "__main__":
    main()
