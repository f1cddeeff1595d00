"""Each benchmark runs at a size that takes little time, and prints what it is about: bench_atoms.py, bench_cofiring.c, bench_commands.py
with openblas.py, bench_compare.c, bench_kmeans.c, bench_latency.py, bench_model.c, bench_numbers.c, and our side of bench_train.py and decode_peers.py. Others
have tests of their own. kmeans_peers.py and layout_peers.py need packages that tests do not install. The figures mean nothing here."""
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "clients"))

import environment  # noqa: E402

environment.enter()

BUILD = os.environ.get("RASAE_BUILD", "build")
SANITIZED = "sanitize" in BUILD


def output(*command, **variables):
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, env={**os.environ, **variables})
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def program(name, *words):
    return output(os.path.join(BUILD, "tests", name), *words)


def script(name, *words, **variables):
    return output(sys.executable, os.path.join(HERE, name), *words, **variables)


@unittest.skipIf(SANITIZED, "nothing is measured under a sanitizer")
class Benches(unittest.TestCase):
    def test_model(self):
        lines = re.findall(r"^(\S.*?) {2,}([\d.]+) +([\d.]+) us", program("bench_model", 1), re.M)
        self.assertEqual([name.split()[0] for name, _, _ in lines],
                         ["reconstruct", "the", "reconstruct", "reconstruct", "encode", "reconstruct", "encode", "encode", "fuse:"])
        self.assertTrue(all(0 < float(fastest) <= float(median) for _, fastest, median in lines), lines)

    def test_decode(self):
        found = script("decode_peers.py", os.path.join(BUILD, "tests", "bench_model"), "--rounds", 1)
        self.assertRegex(found, r"(?m)^ 64 rows,  1 threads: +[\d.]+ us")
        self.assertRegex(found, r"(?m)^256 rows,  1 threads: +[\d.]+ us")

    def test_numbers(self):
        self.assertRegex(program("bench_numbers"), r"(?m)^ +text_f32_array +[\d.]+ ")

    def test_kmeans(self):
        found = program("bench_kmeans", os.path.join(HERE, "..", "data", "words.safetensors"), 20, 1)
        self.assertRegex(found, r'"rows": 7400, "dimensions": 384, "clusters": 20,.*"inertia": \d')

    def test_cofiring(self):
        found = program("bench_cofiring", 2, 2000, 500)
        self.assertRegex(found, r"(?m)^partners of 500 latents, 50 active in each of 2000 rows: ")
        self.assertRegex(found, r"(?m)^quantiles of 500 latents, ")

    def test_compare(self):
        found = program("bench_compare", 1, 300)
        self.assertEqual(len(re.findall(r"(?m) s +[\d.]+ s +stability 0\.\d+$", found)), 3, found)

    def test_commands(self):
        found = script("bench_commands.py", BENCH_CONCEPTS="300", BENCH_ROWS="2048", BENCH_ROUNDS="1")
        lines = re.findall(r"^\| (`rasae .*?) \| (.*?) \| ([\d.]+) s \| ([\d.]+) \([\d.]+ to [\d.]+\) \|", found, re.M)
        self.assertEqual([beside for _, beside, _, _ in lines], ["its sgemm", "`rasae encode`", "`rasae encode`", "its sgemm"], found)
        self.assertRegex(found, "OpenBLAS's kernels: [A-Z]")

    def test_atoms(self):
        self.assertEqual(len(re.findall(r"(?m) ratio +[\d.]+$", script("bench_atoms.py", 2000))), 12)

    def test_latency(self):
        found = script("bench_latency.py", "encode", BENCH_CONCEPTS="500", BENCH_SECONDS="0.2")
        self.assertRegex(found, r"(?m)^encode +[\d.]+ ")
        self.assertRegex(found, r"(?m)^the largest p99: [\d.]+ ms$")

    def test_train(self):
        import bench_train
        bench_train.CONCEPTS, bench_train.POINTS, bench_train.ROWS, bench_train.BATCH, bench_train.TOP_K = 60, 40, 64, 32, 4
        os.makedirs(bench_train.FOLDER, exist_ok=True)
        paths = bench_train.inputs()
        steps = [bench_train.ours(*paths, 4, 1, mixture) for mixture in ("dense", "8")]
        self.assertTrue(all(step["seconds"] > 0 and step["loss"] > 0 for step in steps), steps)


if __name__ == "__main__":
    unittest.main()
