"""Reconstructions from sparse codes, 64 and 256 rows at once, beside torch's embedding_bag: 50 of 10,000 atoms of 768 dimensions.

    decode_peers.py BENCH [--rounds 3]

BENCH is build/tests/bench_model, which checks its results and times each call with other codes than the last one; so does the loop
below. Both sides take turns, with one thread and with one per processor; a figure is the median of all rounds, and a ratio that of two
figures of one round. torch is taken from where bench_peers.py finds it; without it, ours is timed alone."""
import argparse
import os
import re
import statistics
import subprocess
import sys

import bench_peers
import bench_train

TORCH = """
import sys, time, statistics
sys.path[:0] = sys.argv[2:]
import torch
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)
D = torch.rand(10_000, 768) - .5
for rows in (64, 256):
    parts = [(torch.stack([torch.randperm(10_000)[:50].sort().values for _ in range(rows)]), torch.rand(rows, 50))
             for _ in range(1024 // rows)]
    with torch.inference_mode():
        index, weight = parts[0]
        found = torch.nn.functional.embedding_bag(index, D, per_sample_weights=weight, mode="sum")
        assert torch.allclose(found, (D[index] * weight[..., None]).sum(1), atol=1e-4)
        took = []
        for _ in range(30):
            began = time.perf_counter()
            for index, weight in parts:
                torch.nn.functional.embedding_bag(index, D, per_sample_weights=weight, mode="sum")
            took.append((time.perf_counter() - began) / len(parts))
    print(rows, statistics.median(took) * 1e6)
print("torch %s for %s" % (torch.__version__, torch.backends.cpu.get_cpu_capability()))
"""


def ours(bench, threads):
    found = subprocess.run([bench, str(threads)], check=True, capture_output=True, text=True).stdout
    return [float(median) for median in re.findall(r"^reconstruct (?:64|256), .*? [\d.]+ +([\d.]+) us", found, re.M)]


def theirs(threads, folder):
    found = subprocess.run([sys.executable, "-c", TORCH, str(threads), folder], check=True, capture_output=True, text=True,
                           env={**os.environ, "OMP_NUM_THREADS": str(threads)}).stdout
    *figures, about = found.splitlines()
    return [float(line.split()[1]) for line in figures], about


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = bench_peers.torch_folder()
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        about, rounds = "no torch", []
        for _ in range(options.rounds):
            mine, (torch, about) = ours(options.bench, threads), theirs(threads, folder) if folder else ([], about)
            rounds.append((mine, torch))
        for i, rows in enumerate((64, 256)):
            line = "%3d rows, %2d threads: %6.1f us" % (rows, threads, statistics.median(mine[i] for mine, _ in rounds))
            if folder:
                ratios = [torch[i] / mine[i] for mine, torch in rounds]
                line += ", embedding_bag %6.1f us: %.2f times as fast (%.2f to %.2f)" % (
                    statistics.median(torch[i] for _, torch in rounds), statistics.median(ratios), min(ratios), max(ratios))
            print(line, flush=True)
    print("Ours has the kernels of lib/tensor/gather.c for this processor; beside it: %s. %s, a load of %.0f." % (
        about, bench_train.processor(), os.getloadavg()[0]))


if __name__ == "__main__":
    main()
