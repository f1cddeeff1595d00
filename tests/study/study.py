#!/usr/bin/env python3
"""make study: how well and how reproducibly each kind of autoencoder explains the words, the digits and the patches.

`rasae train` trains every row of SETTINGS on every data set with the seeds SEEDS, `rasae eval` measures each
model, and `rasae compare` each pair of seeds; the table holds the means. A tenth of the rows is held out: R2 is of
these, and so are OOD and the agreement of codes. The data are standardized per dimension first, without their
constant columns, as in Fel et al. 2025.

    python3 tests/study/study.py [--readme README.md] [--only digits] [--seeds 1,2]

prints the tables as Markdown; with --readme they also replace what is between the two markers there. It needs
Python's standard library alone. RASAE_BUILD names the build folder (build); the models go to RASAE_BUILD/study.

What two seeds share decides much of how alike they are, so it is part of a row:

    nothing   points, the order of the rows, every random choice: their own
    points    the points; each seed starts its atoms on them, dense W and plain ones in a different order
    halves    as nothing, and each of two seeds is trained on a half of the rows of its own

The agreement of the starts is that of the same runs before their first step."""
import argparse
import array
import itertools
import json
import math
import os
import random
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

SEEDS = [1, 2, 3]
STEPS = "4000"

# name: file, concepts, active latents, penalty of reanimate (a sum over the batch), penalty of l1
DATA = {
    "words": ("words.safetensors", 400, 16, "5e-7", "6e-5"),
    "digits": ("digits.npy", 128, 8, "5e-7", "6e-4"),
    "patches": ("patches.npy", 256, 16, "5e-7", "4e-5"),
}

PLAIN = ["--dictionary-kind", "l2", "--no-multiplier"]
TOPK = PLAIN + ["--loss", "reanimate", "--penalty", "{reanimate}", "--lr", "5e-3", "--top-k", "{k}"]
JUMP = PLAIN + ["--sae", "jumprelu", "--bandwidth", "0.01", "--penalty", "{l1}", "--lr", "5e-3"]
ON_POINTS = ["--dictionary-kind", "l2", "--init-weights", "points", "--points", "{K}", "--top-k", "{k}"]
ALONG = ON_POINTS + ["--encoder-start", "dictionary", "--lr"]
DENSE = ["--mixture", "dense", "--points", "{K}", "--delta", "1", "--top-k", "{k}"]
FEW = ["--top-k", "{k}"]
JOINED = FEW + ["--consensus", "16", "--run-steps", "1000"]

# name, what the seeds share, flags, how a seed gets points of its own; {reanimate} and {l1} depend on the data
SETTINGS = [
    ("TopK", "nothing", TOPK),
    ("JumpReLU", "nothing", JUMP),
    ("plain from points, random encoder", "points", ON_POINTS + ["--lr", "2e-3"]),
    ("plain from points, lr 4e-4", "points", ALONG + ["4e-4"]),
    ("plain from points, lr 4e-4", "nothing", ALONG + ["4e-4"]),
    ("plain from points, lr 2e-3", "points", ALONG + ["2e-3"]),
    ("plain from points, lr 2e-3", "nothing", ALONG + ["2e-3"]),
    ("RA, dense W, delta 1", "points", DENSE),
    ("RA, dense W, delta 1", "nothing", DENSE),
    ("RA of 8 rows", "points", FEW),
    ("RA of 8 rows", "nothing", FEW),
    ("consensus of 16 such runs", "nothing", JOINED),
    ("TopK", "halves", TOPK),
    ("plain from points, lr 2e-3", "halves", ALONG + ["2e-3"]),
    ("RA, dense W, delta 1", "halves", DENSE),
    ("RA of 8 rows", "halves", FEW),
    ("consensus of 16 such runs", "halves", JOINED),
]

# The results of the reference itself (overcomplete 0.3.0) on the digits, means of 3 seeds. Its term for dead latents is a
# mean over the batch, our reanimate a sum; the penalty makes them equal.
REPRODUCED = ["--mixture", "dense", "--top-k", "{k}", "--points", "256", "--encoder-start", "uniform", "--schedule", "constant", "--lr", "5e-3",
              "--loss", "reanimate", "--penalty", "{reanimate}", "--batch-size", "256", "--epochs", "60"]
WITHOUT_POINTS = REPRODUCED[2:4] + REPRODUCED[6:]
REFERENCE = [
    ("TopK", "nothing", PLAIN + WITHOUT_POINTS, {"r2": .884, "stability_with_flips": .488, "ood": .349, "dead_ratio": .10}),
    ("RA, delta 0.1", "eye", ["--delta", "0.1"] + REPRODUCED,
     {"r2": .821, "stability_with_flips": .716, "ood": .236, "dead_ratio": .24}),
    ("RA, delta 0.1", "nothing", ["--delta", "0.1"] + REPRODUCED, {"r2": .807, "stability_with_flips": .720, "ood": .236}),
    ("RA, delta 0.1", "points", ["--delta", "0.1"] + REPRODUCED, {"r2": .816, "stability_with_flips": .721, "ood": .232}),
]

# heading, the name of the figure, digits after the point
COLUMNS = [
    ("R² held out", "r2_holdout", 3),
    ("R² trained", "r2", 3),
    ("starts", "starts", 3),
    ("stability", "stability_without_flips", 3),
    ("centered", "stability_centered", 3),
    ("PW-MCC", "stability_with_flips", 3),
    ("over .9", "share_over_90", 2),
    ("over .7", "share_over_70", 2),
    ("codes", "codes", 3),
    ("hull share", "hull_share", 3),
    ("coverage", "coverage", 2),
    ("OOD", "ood", 3),
    ("dead", "dead_ratio", 2),
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
    header = blob[10:10 + length]
    shape = [int(n) for n in re.search(rb"'shape': \(([\d, ]+)\)", header).group(1).split(b",") if n.strip()]
    code = {b"<f4": "f", b"<f2": "e"}[re.search(rb"'descr': '(...)'", header).group(1)]
    return struct.unpack("<%d%s" % (math.prod(shape), code), blob[10 + length:]), shape


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


def split(data, rows):
    """A tenth is held out; of the rest also two halves."""
    train = [row for i, row in enumerate(rows) if i % 10 != 9]
    parts = {"train": train, "hold": rows[9::10], "half0": train[::2], "half1": train[1::2]}
    for part, some in parts.items():
        write_npy(os.path.join(FOLDER, "%s.%s.npy" % (data, part)), some)
    return {part: os.path.join(FOLDER, "%s.%s.npy" % (data, part)) for part in parts}


# ---- runs --------------------------------------------------------------------------------------------------

def rasae(*arguments):
    done = subprocess.run([os.path.join(BUILD, "rasae"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("rasae %s\n%s" % (" ".join(arguments), done.stderr))
    return done.stdout


def own_start(share, flags, seed):
    """What one seed does not share with the others."""
    plain, points = "--dictionary-kind" in flags, "--points" in flags or "--dictionary-kind" not in flags
    if "--consensus" in flags or share == "eye":
        return []  # a consensus draws everything from the seed; at eye only the order of the rows does
    if share == "points":
        return [] if plain else ["--init-weights", "permuted"] if "--points" in flags else []
    return ["--points-seed", str(seed)] if points else []


def train(data, name, share, seed, flags, x, hold):
    """The path of a trained model and the summary of its training."""
    _, concepts, k, reanimate, l1 = DATA[data]
    filled = [flag.format(k=k, K=concepts, reanimate=reanimate, l1=l1) for flag in flags]
    schedule = [] if "--schedule" in flags else ["--schedule", "cosine"]
    length = [] if "--epochs" in flags else ["--steps", STEPS]
    model = os.path.join(FOLDER, "%s.%s.%s.%d.safetensors" % (data, re.sub(r"\W+", "-", name), share, seed))
    summary = rasae("train", x, "-o", model, "--concepts", str(concepts), *length, "--seed", str(seed), "--json", *schedule,
                    *(["--holdout", hold] if hold else []), *filled, *own_start(share, flags, seed))
    return model, json.loads(summary)


def measure(data, files, name, share, flags, seeds, whole=True):
    """The means of every figure over the seeds and over their pairs. whole: all figures of the study."""
    models, results = [], []
    seeds = seeds[:2] if share == "halves" or "--consensus" in flags else seeds
    for i, seed in enumerate(seeds):
        x = files["half%d" % i] if share == "halves" else files["train"]
        model, summary = train(data, name, share, seed, flags, x, files.get("hold"))
        figures = json.loads(rasae("eval", model, x, "--json"))
        if whole:
            figures["r2_holdout"] = summary["r2_holdout"]
            figures["ood"] = json.loads(rasae("eval", model, files["hold"], "--json"))["ood"]
            inspected = json.loads(rasae("inspect", model, "--json"))["model"]
            figures.update((key, inspected[key]) for key in ("hull_share", "coverage") if inspected[key] is not None)
        models.append(model)
        results.append(figures)
    data_flags = ["--data", files["hold"]] if whole else []
    pairs = [json.loads(rasae("compare", a, b, *data_flags, "--json")) for a, b in itertools.combinations(models, 2)]
    return {**means(results), **means(pairs)}


# ---- the floor: what untrained dictionaries have in common -----------------------------------------

def write_dictionary(path, atoms):
    blob = b"".join(struct.pack("<%df" % len(atom), *atom) for atom in atoms)
    header = json.dumps({"dictionary": {"dtype": "F32", "shape": [len(atoms), len(atoms[0])],
                                        "data_offsets": [0, len(blob)]}}).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + blob)
    return path


def floors(data, rows):
    """Pairs of dictionaries: rows of the data drawn at random, random directions."""
    concepts, width = DATA[data][1], len(rows[0])
    made = {"random rows": lambda random: random.sample(rows, concepts),
            "random directions": lambda random: [[random.gauss(0, 1) for _ in range(width)] for _ in range(concepts)]}
    found = []
    for name, make in made.items():
        paths = [write_dictionary(os.path.join(FOLDER, "floor%d.safetensors" % i), make(random.Random(i))) for i in (1, 2)]
        found.append((name, "nothing", json.loads(rasae("compare", *paths, "--json"))))
    return found


def means(results):
    names = [name for name, value in results[0].items() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return {name: math.fsum(result[name] for result in results) / len(results) for name in names}


# ---- the table ---------------------------------------------------------------------------------------------

def machine():
    """The processor's name and the number of cores this process may use."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return "%s, %d cores" % (found.group(1) if found else "unknown processor", len(os.sched_getaffinity(0)))


def table(data, rows):
    lines = ["| %s: %d concepts | seeds share | %s |" % (data, DATA[data][1], " | ".join(column[0] for column in COLUMNS)),
             "|---|---|" + "---|" * len(COLUMNS)]
    for name, share, figures in rows:
        cells = " | ".join("%.*f" % (places, figures[key]) if figures.get(key) is not None else "-" for _, key, places in COLUMNS)
        lines.append("| %s | %s | %s |" % (name, share, cells))
    return "\n".join(lines)


def reproduction(x):
    """Our figures beside the reference's."""
    names = ["r2", "stability_with_flips", "ood", "dead_ratio"]
    lines = ["| digits as the reference trained them | seeds share | R² | stability | OOD | dead |", "|---|---|---|---|---|---|"]
    for name, share, flags, expected in REFERENCE:
        ours = measure("digits", {"train": x}, "reference " + name, share, flags, [1, 2, 3], whole=False)
        cells = ["%.3f (%s)" % (ours[n], "%.3f" % expected[n] if n in expected else "-") for n in names]
        lines.append("| %s | %s | %s |" % (name, {"eye": "points, start"}.get(share, share), " | ".join(cells)))
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
        all_rows = standardized(os.path.join(TOP, "tests", "data", DATA[data][0]))
        write_npy(x, all_rows)
        files = split(data, all_rows)
        for name, share, flags in SETTINGS:
            rows.append((name, share, measure(data, files, name, share, flags, seeds)))
            print("%5.0f s  %s: %s, %s" % (time.monotonic() - began, data, name, share), file=sys.stderr, flush=True)
        rows += floors(data, all_rows)
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
