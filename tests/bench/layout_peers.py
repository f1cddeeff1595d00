"""Maps side by side: `rasae layout` and umap-learn, on the same dictionaries.

    layout_peers.py BUILD [--quick]

BUILD has the program rasae. `make bench-layout` runs this with an interpreter that has numpy and umap-learn. The
dictionaries: of the words and of the digits of tests/data, trained here, and two made ones of clusters within clusters.
Both sides are measured by the same lines below: the share of the ten atoms with the largest cosines that are among the
ten nearest on the map, and the trustworthiness of Venna and Kaski (2001), on 4,096 atoms if there are more. Each figure is
the mean over seeds (one for the largest dictionary); the time is that of the processor, on all threads."""

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile

import numpy

NEAREST, MEASURED = 10, 4096
DATA = os.path.join(os.path.dirname(__file__), "..", "data")


def read_tensor(path, name):
    with open(path, "rb") as file:
        blob = file.read()
    size = struct.unpack("<Q", blob[:8])[0]
    tensor = json.loads(blob[8 : 8 + size])[name]
    begin, end = (8 + size + offset for offset in tensor["data_offsets"])
    return numpy.frombuffer(blob[begin:end], dtype="<f4").reshape(tensor["shape"])


def write_dictionary(path, atoms):
    atoms = atoms.astype("<f4")
    header = {"dictionary": {"dtype": "F32", "shape": list(atoms.shape), "data_offsets": [0, atoms.nbytes]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + atoms.tobytes())
    return path


def made(path, atoms, dimensions, groups):
    """Clusters within clusters, of different width."""
    random = numpy.random.default_rng(7)
    top = random.standard_normal((groups, 1, 1, dimensions))
    below = random.standard_normal((groups, 20, 1, dimensions)) * 0.7
    width = random.uniform(0.5, 1.5, (groups, 20, 1, 1)) * 0.6
    each = top + below + width * random.standard_normal((groups, 20, atoms // groups // 20, dimensions))
    return write_dictionary(path, random.permutation(each.reshape(-1, dimensions)))


def trained(rasae, path, *flags):
    checkpoint = path + ".checkpoint.safetensors"
    subprocess.run([rasae, "train", *flags, "--seed", "1", "--quiet", "-o", checkpoint], check=True)
    subprocess.run([rasae, "fuse", checkpoint, "-o", path], check=True, stdout=subprocess.DEVNULL)
    return path


def quality(atoms, places):
    unit = (atoms / numpy.maximum(numpy.linalg.norm(atoms, axis=1, keepdims=True), 1e-30)).astype(numpy.float32)
    count, k = len(atoms), NEAREST
    sample = numpy.arange(min(count, MEASURED)) * count // min(count, MEASURED)
    kept = intruded = 0
    for chunk in numpy.array_split(sample, len(sample) // 256 + 1):
        cosines = unit[chunk] @ unit.T
        for i, cosine in zip(chunk, cosines):
            gap = ((places - places[i]) ** 2).sum(axis=1)
            cosine[i], gap[i] = -numpy.inf, numpy.inf
            shown = numpy.argpartition(gap, k)[:k]
            nearer = (cosine[None, :] > cosine[shown][:, None]).sum(axis=1)
            kept += (nearer < k).sum()
            intruded += numpy.maximum(nearer + 1 - k, 0).sum()
    counted = len(sample) * k
    return kept / counted, 1 - 2 * intruded / (counted * (2 * count - 3 * k - 1))


def busy(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def ours(rasae, path, seed, folder):
    out, before = os.path.join(folder, "map.safetensors"), busy(resource.RUSAGE_CHILDREN)
    subprocess.run([rasae, "layout", path, "-o", out, "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)
    return read_tensor(out, "atoms.layout"), busy(resource.RUSAGE_CHILDREN) - before


def umap_learn(_, path, seed, __):
    import umap

    before = busy(resource.RUSAGE_SELF)
    places = umap.UMAP(metric="cosine", random_state=seed).fit_transform(read_tensor(path, "dictionary"))
    return places, busy(resource.RUSAGE_SELF) - before


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true", help="without the largest dictionary, one seed")
    options = parser.parse_args()
    rasae = os.path.join(options.build, "rasae")
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name + ".safetensors")
        words, digits = os.path.join(DATA, "words.safetensors"), os.path.join(DATA, "digits.npy")
        common = ["--standardize", "element", "--schedule", "cosine", "--top-k", "16"]
        dictionaries = [
            ("the words, 400 atoms", trained(rasae, path("400"), words, *common, "--concepts", "400", "--epochs", "20")),
            ("the words, 2,000 atoms",
             trained(rasae, path("2000"), words, "--concepts", "2000", "--points", "2000", "--top-k", "16", "--epochs", "10")),
            ("the digits, 256 atoms",
             trained(rasae, path("256"), digits, "--concepts", "256", "--points", "256", "--top-k", "8", "--epochs", "30")),
            ("made, 8,000 atoms", made(path("8000"), 8000, 256, 20)),
        ]
        if not options.quick:
            dictionaries.append(("made, 32,000 atoms of 768 dimensions", made(path("32000"), 32000, 768, 50)))
        umap_learn(rasae, dictionaries[2][1], 0, folder)  # compiles
        print("| dictionary | program | kept | trustworthiness | processor time |\n|---|---|---|---|---|")
        for name, dictionary in dictionaries:
            atoms = read_tensor(dictionary, "dictionary").astype(numpy.float64)
            seeds = [0] if options.quick or len(atoms) > 10000 else [0, 1, 2]
            for program, place in ("`rasae layout`", ours), ("umap-learn", umap_learn):
                figures = []
                for seed in seeds:
                    places, seconds = place(rasae, dictionary, seed, folder)
                    figures.append((*quality(atoms, places.astype(numpy.float64)), seconds))
                kept, trust, seconds = numpy.mean(figures, axis=0)
                print("| %s | %s | %.1f %% | %.4f | %.1f s |" % (name, program, 100 * kept, trust, seconds), flush=True)


if __name__ == "__main__":
    sys.exit(main())
