"""k-means side by side: ours, scikit-learn's and faiss's, on the same data with the same number of threads.

    kmeans_peers.py BENCH [--threads 2] [--repeat 3] [--seed 0] [--quick]

BENCH is build/tests/bench_kmeans. `make bench-kmeans` runs this with an interpreter that has numpy, scikit-learn
and faiss. There are two data sets with 1,000 clusters each: the word embeddings of tests/data (7,400 x 384), and
100,000 x 768 numbers from a mixture of 1,000 Gaussians of equal width, of which a hundredth of the rows are noise.

Every program chooses its seeds in its own way and stops by its own rule. The table shows how long each took to
come within 1 % of the best inertia that any of them reached ("never" if it did not), and, beside the time that it
took itself, how long ours took to come within 1 % of its inertia. The inertias of the others are computed here
from their centers; bench_kmeans checks its own. Our times leave out the search for the points' nearest rows, which
the others do not do.

Each program runs in a process of its own, one after the other, `repeat` times in turn; the fastest counts.

The OpenBLAS in faiss's wheel takes slow kernels for processors that it does not know, so it is told which are best here. The first
lines say which kernels each side used. `--seed` draws other numbers."""

import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

CLUSTERS = 1000
WORDS = os.path.join(os.path.dirname(__file__), "..", "data", "words.safetensors")


def words():
    import numpy

    with open(WORDS, "rb") as file:
        blob = file.read()
    size = struct.unpack("<Q", blob[:8])[0]
    tensor = json.loads(blob[8 : 8 + size])["embeddings"]
    begin, end = (8 + size + offset for offset in tensor["data_offsets"])
    return numpy.frombuffer(blob[begin:end], dtype="<f2").reshape(tensor["shape"]).astype(numpy.float32)


def mixture(rows=100_000, d=768, groups=1000, seed=0):
    import numpy

    random = numpy.random.default_rng(seed)
    centers = random.standard_normal((groups, d), dtype=numpy.float32)
    x = centers[random.integers(0, groups, rows)] + random.standard_normal((rows, d), dtype=numpy.float32)
    noise = random.choice(rows, rows // 100, replace=False)
    x[noise] = numpy.sqrt(numpy.float32(2)) * random.standard_normal((len(noise), d), dtype=numpy.float32)
    return x


def inertia(x, centers):
    import faiss
    import numpy

    index = faiss.IndexFlatL2(x.shape[1])
    index.add(numpy.ascontiguousarray(centers, dtype=numpy.float32))
    total = 0.0
    for first in range(0, len(x), 8192):
        part = x[first : first + 8192]
        nearest = index.search(part, 1)[1][:, 0]
        total += float(((part.astype(numpy.float64) - centers[nearest]) ** 2).sum())
    return total


# ---- one program, once ---------------------------------------------------------------------------------------------


class Clocks:
    """Seconds on the clock, and of all threads together."""

    def __init__(self):
        self.start = time.perf_counter(), time.process_time()

    def read(self):
        return time.perf_counter() - self.start[0], time.process_time() - self.start[1]


def run_faiss(x, threads, iterations):
    import faiss

    faiss.omp_set_num_threads(threads)
    kmeans = faiss.Kmeans(x.shape[1], CLUSTERS, niter=iterations, seed=1, max_points_per_centroid=len(x),
                          min_points_per_centroid=1)
    clocks = Clocks()
    kmeans.train(x)
    return clocks.read(), kmeans.centroids


def run_sklearn(x, threads, algorithm, iterations):
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    if algorithm == "minibatch":
        estimator = MiniBatchKMeans(CLUSTERS, n_init=1, random_state=1, batch_size=4 * CLUSTERS)
    else:
        estimator = KMeans(CLUSTERS, n_init=1, random_state=1, algorithm=algorithm, max_iter=iterations)
    with threadpool_limits(threads):
        clocks = Clocks()
        estimator.fit(x)
        return clocks.read(), estimator.cluster_centers_


def peer(arguments):
    """In the process of its own: one line of JSON."""
    import warnings

    import numpy

    warnings.filterwarnings("ignore")
    path, threads, name, iterations = arguments
    x = numpy.load(path)
    if name == "faiss":
        clocks, centers = run_faiss(x, int(threads), int(iterations))
    else:
        clocks, centers = run_sklearn(x, int(threads), name, int(iterations))
    print(json.dumps([clocks[0], inertia(x, centers), clocks[1]]))


# ---- side by side --------------------------------------------------------------------------------------------------


KERNELS = {}  # side -> the kernels that its OpenBLAS says it uses


def best_kernels():
    """OpenBLAS's name for those of this processor; None leaves the choice to it."""
    try:
        with open("/proc/cpuinfo") as file:
            flags = set(re.search(r"^flags\s*:(.*)", file.read(), re.M)[1].split())
    except (OSError, TypeError):
        return None
    return "SKYLAKEX" if {"avx512f", "avx512dq", "avx512vl"} <= flags else "HASWELL" if {"avx2", "fma"} <= flags else None


def run(side, command, variables):
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    environment.update(variables, OPENBLAS_VERBOSE="2")
    result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    told = re.findall(rb"Core: (\w+)", result.stderr)
    KERNELS.setdefault(side, told[-1].decode() if told else "unknown")
    return result.stdout


def run_peer(path, threads, name, iterations):
    variables = {"OMP_NUM_THREADS": str(threads)}
    if name == "faiss" and best_kernels():
        variables["OPENBLAS_CORETYPE"] = best_kernels()
    command = [sys.executable, __file__, "--peer", path, str(threads), name, str(iterations)]
    return json.loads(run(name, command, variables).splitlines()[-1])


def run_ours(bench, path, threads, method):
    return json.loads(run("ours", [bench, path, str(CLUSTERS), str(threads), method], {}))


# Iterations at most: with several entries a program is run for each, which shows when it reaches what.
PROGRAMS = {
    "words": [("faiss", (1, 2, 3, 5, 10, 25)), ("lloyd", (300,)), ("elkan", (300,)), ("minibatch", (0,))],
    "mixture": [("faiss", (3, 10, 25)), ("lloyd", (300,)), ("elkan", (300,)), ("minibatch", (0,))],
}
QUICK = [("faiss", (1, 3, 25))]
TITLES = {"lloyd": "scikit-learn lloyd", "elkan": "scikit-learn elkan", "minibatch": "scikit-learn minibatch"}


def reached(history, bar):
    return next((seconds for seconds, value, *_ in history if value <= bar), None)


def table(name, x, path, options):
    programs = QUICK if options.quick else PROGRAMS[name]
    histories, rows = {}, {}
    for turn in range(options.repeat):
        for method in ("lloyd", "minibatch"):
            result = run_ours(options.bench, path, options.threads, method)
            rows["ours " + method] = result
            history = list(result["history"]) if method == "lloyd" else []
            history.append([result["seconds"], result["inertia"], result["cpu_seconds"]])
            histories.setdefault("ours " + method, []).append(history)
        for program, limits in programs:
            if turn and program != "faiss":
                continue  # minutes each: once is enough
            title = TITLES.get(program, program)
            histories.setdefault(title, []).append(
                [run_peer(path, options.threads, program, limit) for limit in limits]
            )
    print("kernels: " + ", ".join("%s %s" % item for item in sorted(KERNELS.items())))
    best = min(history[-1][1] for turns in histories.values() for history in turns)
    ours = histories["ours lloyd"]
    print("%s: %d x %d, %d clusters, %d threads; best inertia %.6g" % (name, *x.shape, CLUSTERS, options.threads, best))
    print("  %-24s %8s %8s %12s %9s %14s %22s" % ("", "seconds", "of CPU", "inertia", "to best", "within 1 % in", "ours to its inertia"))
    for title, turns in histories.items():
        fastest = min(turns, key=lambda history: history[-1][0])
        near = [t for t in (reached(history, 1.01 * best) for history in turns) if t is not None]
        own = min(filter(None, (reached(history, 1.01 * fastest[-1][1]) for history in turns)))
        same = [t for t in (reached(history, 1.01 * fastest[-1][1]) for history in ours) if t is not None]
        print("  %-24s %8.2f %8.2f %12.6g %8.1f%% %14s %22s" % (
            title, fastest[-1][0], fastest[-1][2], fastest[-1][1], 100 * (fastest[-1][1] / best - 1),
            "%.2f s" % min(near) if near else "never",
            "%.2f s, it %.2f s" % (min(same), own) if same else "never"))
    lloyd = rows["ours lloyd"]
    print("  ours lloyd: seeds and first assignment %.2f s, %d iterations %.2f s (as if all pairs: %.0f GFLOP/s), nearest "
          "rows %.2f s (%.0f GFLOP/s); sgemm peak %.0f GFLOP/s" % (
              lloyd["seed_seconds"], lloyd["iterations"], lloyd["iterate_seconds"], lloyd["pairs_gflops"],
              lloyd["rows_seconds"], lloyd["rows_gflops"], lloyd["peak_gflops"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("bench")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the mixture's numbers")
    parser.add_argument("--quick", action="store_true", help="faiss only")
    parser.add_argument("--only", choices=sorted(PROGRAMS))
    options = parser.parse_args()

    import numpy

    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("words", words), ("mixture", lambda: mixture(seed=options.seed))):
            if options.only not in (None, name):
                continue
            path = os.path.join(folder, name + ".npy")
            x = make()
            numpy.save(path, x)
            table(name, x, path, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2:])
    else:
        main()
