#!/usr/bin/env python3
"""make study-few-points: what it costs to make atoms of few points, on rows that were not trained on.

Each row of SETTINGS is trained on nine tenths of the rows of each data set, and measured on the rest, over several
splits. `rasae train --standardize element` standardizes; `rasae eval` and `rasae inspect` give the figures.

    python3 tests/study/few_points.py [--readme README.md] [--only digits] [--plot FRONTIER.svg]

prints a table per data set as Markdown; with --readme they also replace what is between the two markers there. It
needs Python's standard library alone. RASAE_BUILD names the build folder (build); the models go to
RASAE_BUILD/study.

The settings are the trainer's defaults, but for what the name of a row says. The plain dictionaries are the strongest
comparison: they start on centroids of the same rows, encoder included, and nothing holds their atoms near the data."""
import argparse
import concurrent.futures
import json
import os
import random
import statistics
import sys
import time

from study import BUILD, DATA, FOLDER, PLAIN, TOP, machine, rasae, read_npy, read_safetensors, write_npy

sys.path.insert(0, os.path.join(TOP, "tests"))

import readme_block  # noqa: E402

MARKERS = "<!-- few points -->", "<!-- /few points -->"
STEPS = "4000"
SPLITS = {"words": 2, "digits": 4, "patches": 2}
HELD_OUT = 0.1

FROM_POINTS = ["--init-weights", "points", "--encoder-start", "dictionary"]
SETTINGS = [
    ("TopK", PLAIN + ["--loss", "reanimate", "--penalty", "{reanimate}", "--lr", "5e-3"]),
    ("plain, from k-means points, lr 0.0004", PLAIN + FROM_POINTS + ["--lr", "4e-4"]),
    ("plain, from k-means points, lr 0.002", PLAIN + FROM_POINTS + ["--lr", "2e-3"]),
    ("dense, delta 1", ["--mixture", "dense"]),
    ("dense, delta 0", ["--mixture", "dense", "--delta", "0"]),
    ("8 points, delta 0", ["--delta", "0"]),
    ("8 points, delta 0.1x", ["--delta", "0.1x"]),
    ("8 points, delta 0.2x", ["--delta", "0.2x"]),
    ("8 points, delta 0.3x", ["--delta", "0.3x"]),
    ("8 points (default)", []),
    ("8 points, delta 1x", ["--delta", "1x"]),
    ("4 points", ["--mixture", "4"]),
    ("16 points", ["--mixture", "16"]),
]

# heading, the figure's name, digits after the point
COLUMNS = [
    ("R², held out", "held", 4),
    ("R², trained on", "trained", 4),
    ("hull share", "hull", 3),
    ("its weakest tenth", "hull_tenth", 3),
    ("weight in the 8 heaviest", "eight", 2),
    ("cosine of a trace of 5 rows", "trace", 3),
    ("dead", "dead", 3),
]


def split(data, number):
    """Two files: the rows to train on, and those held out."""
    source = os.path.join(TOP, "tests", "data", DATA[data][0])
    values, (count, width) = read_npy(source) if source.endswith(".npy") else read_safetensors(source, "embeddings")
    order = list(range(count))
    random.Random(number).shuffle(order)
    rows = [values[i * width:(i + 1) * width] for i in order]
    files = [os.path.join(FOLDER, "%s%d.%s.npy" % (data, number, part)) for part in ("train", "held")]
    for path, part in zip(files, (rows[int(count * HELD_OUT):], rows[:int(count * HELD_OUT)])):
        write_npy(path, part)
    return files


def tenth(values):
    return sorted(values)[len(values) // 10]


def heaviest(atom):
    return sum(sorted((point["weight"] for point in atom["archetypes"]), reverse=True)[:8])


def measure(data, name, flags, number, files):
    _, concepts, k, reanimate, _ = DATA[data]
    model = os.path.join(FOLDER, "few.%s.%d.%d.safetensors" % (data, number, [s[0] for s in SETTINGS].index(name)))
    filled = [flag.format(reanimate=reanimate) for flag in flags]
    rasae("train", files[0], "-o", model, "--force", "--concepts", str(concepts), "--top-k", str(k), "--standardize", "element", "--steps",
          STEPS, "--schedule", "cosine", "--seed", str(number), "--threads", "1", "--quiet", *filled)
    trained, held = (json.loads(rasae("eval", model, file, "--json", "--basic", "--threads", "1")) for file in files)
    atoms = json.loads(rasae("inspect", model, "--json", "--atoms", str(concepts)))["atoms"]
    figures = {"trained": trained["r2_per_dimension"], "held": held["r2_per_dimension"], "dead": trained["dead_ratio"],
               "trace": statistics.median(atom["trace"]["cosine"] for atom in atoms)}
    shares = [atom["hull_share"] for atom in atoms if atom.get("hull_share") is not None]
    if shares:
        figures.update(hull=statistics.median(shares), hull_tenth=tenth(shares),
                       eight=statistics.median(heaviest(atom) for atom in atoms))
    return figures


def table(data, rows):
    lines = ["| %s: %d concepts, %d active | %s |" % (data, DATA[data][1], DATA[data][2], " | ".join(c[0] for c in COLUMNS)),
             "|---|" + "---|" * len(COLUMNS)]
    for name, figures in rows:
        cells = ("%.*f" % (places, figures[key]) if key in figures else "" for _, key, places in COLUMNS)
        lines.append("| %s | %s |" % (name, " | ".join(cells)))
    return "\n".join(lines)


# ---- the plot ----------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP_EDGE, BOTTOM = 440, 320, 58, 34, 46
CROWDED = ("8 points, delta 1x", "8 points, delta 0.3x", "4 points", "16 points")  # beside the default; the table has them


def panel(data, rows, x0):
    """Held-out R2 over hull share; the plain dictionaries are lines across."""
    few = [(f["hull"], f["held"], name) for name, f in rows if "hull" in f and "points" in name]
    dense = [(f["hull"], f["held"], name) for name, f in rows if "hull" in f and "dense" in name]
    plain = [(f["held"], name) for name, f in rows if "hull" not in f]
    every = [y for _, y, _ in few + dense] + [y for y, _ in plain]
    low, high = min(every), max(every)
    low, high = low - .06 * (high - low), high + .06 * (high - low)
    left = min(x for x, _, _ in few + dense) - .04

    def at(x, y):
        return (x0 + LEFT + (x - left) / (1.03 - left) * (WIDTH - LEFT - 20),
                TOP_EDGE + (high - y) / (high - low) * (HEIGHT - TOP_EDGE - BOTTOM))

    text = ['<text x="%g" y="20" font-weight="bold">%s: R² on rows held out</text>' % (x0 + LEFT, data)]
    text.append('<text x="%g" y="%g" text-anchor="middle">hull share (median cosine between atom and mixture)</text>'
                % (x0 + LEFT + (WIDTH - LEFT) / 2, HEIGHT - 8))
    for i in range(5):
        y = low + (high - low) * i / 4
        px, py = at(left, y)
        text.append('<path d="M%g %gH%g" stroke="#d0d7de"/><text x="%g" y="%g" text-anchor="end" fill="#57606a">%.3f</text>'
                    % (px, py, x0 + WIDTH - 20, px - 6, py + 4, y))
    for i in range(4):
        x = left + .04 + (1 - left - .04) * i / 3
        text.append('<text x="%g" y="%g" text-anchor="middle" fill="#57606a">%.2f</text>'
                    % (at(x, low)[0], HEIGHT - BOTTOM + 18, x))
    for i, (y, name) in enumerate(plain):
        px, py = at(1.03, y)
        text.append('<path d="M%g %gH%g" stroke="#8250df" stroke-dasharray="5 4"/><text x="%g" y="%g" fill="#8250df" '
                    'font-size="10" text-anchor="end">%s</text>' % (x0 + LEFT, py, px, px, py + (12 if i == 0 else -3), name))
    line = sorted(point for point in few if point[2].startswith("8 points"))
    text.append('<polyline fill="none" stroke="#0969da" points="%s"/>' % " ".join("%g,%g" % at(x, y) for x, y, _ in line))
    for points, color in ((few, "#0969da"), (dense, "#cf222e")):
        for x, y, name in points:
            px, py = at(x, y)
            text.append('<circle cx="%g" cy="%g" r="4" fill="%s"/>' % (px, py, color))
            if name not in CROWDED:
                label = name.replace("8 points, ", "").replace("8 points (default)", "default")
                text.append('<text x="%g" y="%g" font-size="10" text-anchor="end" fill="%s">%s</text>'
                            % (px - 6, py + 13, color, label))
    return "\n".join(text)


def plot(results):
    panels = [panel(data, rows, WIDTH * i) for i, (data, rows) in enumerate(results.items())]
    width = WIDTH * len(panels)
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
            'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#24292f">\n'
            '<rect width="%d" height="%d" fill="#ffffff"/>\n%s\n</svg>\n'
            % (width, HEIGHT, width, HEIGHT, width, HEIGHT, "\n".join(panels)))


def main():
    parser = argparse.ArgumentParser(description="Trains on a part and measures on the rest; see the head of this file.")
    parser.add_argument("--readme", help="write the tables between the markers of this file, too")
    parser.add_argument("--plot", help="write the picture of the trade-off to this file")
    parser.add_argument("--only", choices=sorted(DATA), help="one data set")
    options = parser.parse_args()
    if options.readme:
        readme_block.around(options.readme, MARKERS)
    os.makedirs(FOLDER, exist_ok=True)
    began, results = time.monotonic(), {}
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for data in [options.only] if options.only else DATA:
            files = {number: split(data, number) for number in range(1, SPLITS[data] + 1)}
            jobs = {name: [pool.submit(measure, data, name, flags, number, files[number]) for number in files]
                    for name, flags in SETTINGS}
            results[data] = []
            for name, _ in SETTINGS:
                runs = [job.result() for job in jobs[name]]
                results[data].append((name, {key: statistics.fmean(run[key] for run in runs) for key in runs[0]}))
                print("%5.0f s  %s: %s" % (time.monotonic() - began, data, name), file=sys.stderr, flush=True)
    text = "\n\n".join(table(data, rows) for data, rows in results.items())
    text += "\n\nMeans of %s; %s steps; a tenth of the rows is held out. Median over the atoms, but for the weakest tenth; %.0f s on %s." % (
        " and ".join("%d splits of the %s" % (SPLITS[data], data) for data in results), STEPS, time.monotonic() - began, machine())
    print(text)
    if options.readme:
        readme_block.replace(options.readme, MARKERS, text)
    if options.plot:
        with open(options.plot, "w", encoding="utf-8") as file:
            file.write(plot(results))


if __name__ == "__main__":
    main()
