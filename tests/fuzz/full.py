"""Makes full.safetensors, a small artifact that holds everything that an artifact can: points and their labels, traces, labels of
atoms with explanations, statistics with examples, quantiles, partners, items and tokens, a contrast, a layout, a standardization.

    python3 tests/fuzz/full.py

The targets `request` and `artifact` read it. It is kept, since other processors give other last bits."""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RASAE = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"), "rasae")
ROWS, WIDTH, TOKENS = 160, 4, 4


def npy(path, rows):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (len(rows), WIDTH)
    header = header.ljust(117) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for row in rows:
            file.write(struct.pack("<%df" % WIDTH, *row))


def lines(path, texts):
    with open(path, "w") as file:
        file.write("".join(text + "\n" for text in texts))


def main():
    random.seed(3)
    folder = tempfile.mkdtemp()
    try:
        rows = [[random.gauss(0, 1) * (i % 3) + 3 * (j == i % 4) for j in range(WIDTH)] for i in range(ROWS)]
        npy(folder + "/x.npy", rows)
        npy(folder + "/points.npy", rows[:10])
        lines(folder + "/rows.txt", ("row %d" % i for i in range(ROWS)))
        lines(folder + "/points.txt", ("point %d" % i for i in range(10)))
        lines(folder + "/tokens.jsonl", (json.dumps(["w%d" % ((i * TOKENS + j) % 7) for j in range(TOKENS)])
                                         for i in range(ROWS // TOKENS)))
        lines(folder + "/atoms.jsonl", ('{"atom":0,"label":"zero","explanation":"none\\nat all","source":"a person","score":0.5}',
                                        '{"atom":3,"label":"three"}'))

        def rasae(*arguments):
            subprocess.run([RASAE, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)

        rasae("train", "x.npy", "-o", "start", "--concepts", "6", "--steps", "40", "--batch-size", "64", "--top-k", "2",
              "--points", "points.npy", "--point-labels", "points.txt", "--standardize", "global", "--quiet")
        rasae("fuse", "start", "-o", "full", "--archetypes", "3", "--model", "gpt2", "--hook", "blocks.6", "--shape", "2x2", "--quiet")
        rasae("label", "full", "atoms.jsonl", "-o", "full")
        rasae("eval", "full", "x.npy", "--save", "full", "--labels", "rows.txt", "--examples", "3", "--cofiring", "2", "--together", "1",
              "--quantiles", "3", "--quantile-rows", "2", "--item-shape", str(TOKENS), "--items", "2", "--tokens", "tokens.jsonl",
              "--runs", "start")
        rasae("trace", "full", "x.npy", "-o", "full", "--rows", "2", "--labels", "rows.txt", "--quiet")
        rasae("contrast", "full", "x.npy", "--", "points.npy", "-o", "full", "--name", "some-all")
        shutil.copy(folder + "/full", os.path.join(TOP, "tests", "fuzz", "full.safetensors"))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
