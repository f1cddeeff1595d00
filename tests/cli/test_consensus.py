"""`rasae consensus`, `rasae train --consensus` and the agreement of atoms: trainer/consensus.c,
trainer/common/agreement.c, trainer/training/{agreement,consensus}.c."""

import os
import signal
import subprocess
import time
import unittest

import support
from support import Case, read_safetensors, small_data

K, D, ROWS = 12, 12, 200


def rows_of(tensor):
    return [tensor.values[i * tensor.shape[1] : (i + 1) * tensor.shape[1]] for i in range(tensor.shape[0])]


class Consensus(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=ROWS))
        self.out = self.path("out.safetensors")
        self.flags = ["--concepts", str(K), "--top-k", "3", "--batch-size", "32", "--quiet"]

    def runs(self, *flags, count=3):
        paths = []
        for seed in range(1, count + 1):
            paths.append(self.path("run%d.safetensors" % seed))
            self.good("train", self.x, "-o", paths[-1], *self.flags, "--steps", "60", "--seed", str(seed), *flags)
        return paths

    def start(self, paths, *flags):
        start = self.path("start.safetensors")
        report = self.good_json("consensus", *paths, "-o", start, "--json", *flags)
        return report, *read_safetensors(start)


class Joined(Consensus):
    def test_runs_that_are_equal_are_their_own_consensus(self):
        for name, flags in {"mixtures": [], "plain": ["--dictionary-kind", "l2"], "jumprelu": ["--sae", "jumprelu", "--bandwidth", "0.1"]}.items():
            with self.subTest(name):
                (one,) = self.runs(*flags, count=1)
                report, tensors, metadata = self.start([one, one])
                self.assertEqual((report["runs"], report["concepts"], report["share"]), (2, K, 1))
                self.assertAlmostEqual(report["cosine"], 1, places=5)
                before, _ = read_safetensors(one)
                for tensor in ["encoder.final_block.0.weight", "encoder.final_block.0.bias", "thresholds"]:
                    if tensor in before:
                        self.assertClose(tensors[tensor].values, before[tensor].values, 1e-5, tensor)
                same = self.good_json("compare", one, self.path("start.safetensors"), "--json")
                self.assertAlmostEqual(same["stability_without_flips"], 1, places=5)
                self.assertEqual((metadata["consensus.runs"], metadata["agreement.runs"]), ("2", "2"))
                self.assertNotIn("train.step", metadata)
                first, second = (self.good_json("eval", path, self.x, "--json")["r2"] for path in [one, self.path("start.safetensors")])
                self.assertAlmostEqual(first, second, places=4)

    def test_an_atom_of_mixtures_keeps_points_of_its_members(self):
        paths = self.runs("--points", "30")
        _, tensors, _ = self.start(paths)
        points = {tuple(row) for row in rows_of(tensors["dictionary.C"])}
        self.assertEqual(len(points), tensors["dictionary.C"].shape[0])
        given = {tuple(row) for path in paths for row in rows_of(read_safetensors(path)[0]["dictionary.C"])}
        self.assertLessEqual(points, given)
        for index, weight in zip(rows_of(tensors["dictionary.W.index"]), rows_of(tensors["dictionary.W.weight"])):
            used = [i for i in index if i >= 0]
            self.assertEqual(len(set(used)), len(used))
            self.assertAlmostEqual(sum(weight), 1, places=5)

    def test_it_can_be_trained_further_and_served(self):
        self.start(self.runs())
        start = self.path("start.safetensors")
        self.good("train", self.x, "--init", start, "--lr", "2e-4", "--steps", "20", "--quiet", "-o", self.out)
        self.good("fuse", start, "-o", self.path("fused.safetensors"))
        report = self.good_json("inspect", self.path("fused.safetensors"), "--json", "--atoms", "1")
        self.assertEqual(report["model"]["agreement"]["runs"], 3)
        self.assertEqual(report["atoms"][0]["agreement"]["runs"], 3)
        self.assertNotIn("agreement.share", read_safetensors(self.out)[0], "the atoms have moved")

    def test_the_share_counts_runs_from_the_level_on(self):
        paths = self.runs()
        for level in ["0", "0.9", "1"]:
            report, tensors, metadata = self.start(paths, "--level", level)
            self.assertEqual(float(metadata["agreement.level"]), float(level))
            for atom, share, cosine in zip(report["atoms"], tensors["agreement.share"].values, tensors["agreement.cosine"].values):
                self.assertIn(round(3 * share, 4), [0, 1, 2, 3])
                self.assertAlmostEqual(atom["share"], share, places=6)
                self.assertAlmostEqual(atom["cosine"], cosine, places=6)

    def test_fewer_atoms_can_be_asked_for(self):
        report, tensors, _ = self.start(self.runs(), "--concepts", "5")
        self.assertEqual(report["concepts"], 5)
        self.assertEqual(tensors["encoder.final_block.0.weight"].shape, [5, D])

    def test_the_atoms_that_most_runs_have_can_be_kept(self):
        paths = self.runs()
        report, whole, _ = self.start(paths)
        order = sorted(range(K), key=lambda k: (-report["atoms"][k]["share"], -report["atoms"][k]["cosine"]))
        kept = sorted(order[:7])
        report, tensors, _ = self.start(paths, "--keep", "7")
        self.assertEqual((report["concepts"], len(report["atoms"])), (7, 7))
        weights = rows_of(whole["encoder.final_block.0.weight"])
        self.assertEqual(rows_of(tensors["encoder.final_block.0.weight"]), [weights[k] for k in kept])
        shares = whole["agreement.share"].values
        self.assertEqual(tensors["agreement.share"].values, [shares[k] for k in kept])
        self.bad(1, ["13 atoms cannot be kept of a consensus of 12"], "consensus", *paths, "-o", self.out, "--keep", "13")

    def test_what_does_not_fit_is_refused(self):
        mixtures = self.runs(count=1)[0]
        os.rename(mixtures, self.path("mixtures.safetensors"))
        dense = self.runs("--mixture", "dense", "--points", "20", count=1)[0]
        os.rename(dense, self.path("dense.safetensors"))
        plain = self.runs("--dictionary-kind", "l2", count=1)[0]
        mixtures, dense = self.path("mixtures.safetensors"), self.path("dense.safetensors")
        for paths, message in [
            ([mixtures, plain], "trained with dictionary l2, but .* with archetypal"),
            ([dense, dense], "no checkpoint of a plain dictionary or of mixtures.*--mixture 8"),
        ]:
            with self.subTest(message):
                self.assertRegex(self.bad(1, [], "consensus", *paths, "-o", self.out), message)
        self.bad(1, [plain], "consensus", plain, plain, "-o", plain)
        self.bad(1, ["expected at least 500"], "consensus", plain, plain, "--concepts", "500", "-o", self.out)


class Trained(Consensus):
    def train(self, *flags, out=None):
        self.good("train", self.x, "-o", out or self.out, *self.flags, "--consensus", "3", "--steps", "80", *flags)
        return self.read(os.path.basename(out or self.out))

    def test_every_atom_gets_its_agreement_with_the_runs(self):
        self.train()
        tensors, metadata = read_safetensors(self.out)
        self.assertEqual((metadata["agreement.runs"], metadata["train.step"]), ("3", "20"))
        self.assertAlmostEqual(float(metadata["lr"]), 2e-4)
        runs = [self.path("out.run%d.safetensors" % r) for r in (1, 2, 3)]
        seeds = [read_safetensors(run)[1] for run in runs]
        self.assertEqual([(m["seed"], m["points_seed"]) for m in seeds], [(str(s), str(s)) for s in (1, 2, 3)])
        share, cosine = [0] * K, [0] * K
        for run in runs:
            match = self.good_json("compare", self.out, run, "--json")["match_cosine"]
            for k in range(K):
                share[k] += (match[k] >= 0.7) / 3
                cosine[k] += match[k] / 3
        self.assertClose(tensors["agreement.share"].values, share, 1e-5, "share")
        self.assertClose(tensors["agreement.cosine"].values, cosine, 1e-5, "cosine")

    def test_every_kind_of_run_can_be_joined_and_resumed(self):
        for name, flags in {
            "batchtopk": ["--sae", "batchtopk"],
            "a norm": ["--encoder", "mlp_bn_1"],
            "tied": ["--encoder", "tied"],
            "matching pursuit": ["--sae", "mp"],
            "k-means points": ["--points", "30"],
            "random rows": ["--points", "sample:40"],
            "points of a file": ["--points", self.x],
            "xavier": ["--dictionary-kind", "l2"],
            "standardized": ["--standardize", "element"],
            "epochs": ["--epochs", "12"],
        }.items():
            with self.subTest(name):
                length = [] if "--epochs" in flags else ["--steps", "80"]
                command = ["train", self.x, "-o", self.out, *self.flags, "--consensus", "2", *length, *flags]
                self.good(*command)
                whole = self.read("out.safetensors")
                os.remove(self.out)
                os.remove(self.path("out.run2.safetensors"))
                self.good(*command, "--resume", self.out)
                self.assertEqual(self.read("out.safetensors"), whole)
                metadata = read_safetensors(self.path("out.run1.safetensors"))[1]
                self.assertEqual(metadata["schedule"], "cosine")
                os.remove(self.out)

    def test_runs_can_be_of_another_length(self):
        self.train("--run-steps", "33", "--seed", "5")
        metadata = read_safetensors(self.path("out.run2.safetensors"))[1]
        self.assertEqual((metadata["train.step"], metadata["seed"]), ("33", str(5 * 256 + 2)))
        self.assertEqual(read_safetensors(self.out)[1]["train.step"], "20")

    def test_fewer_atoms_can_be_kept(self):
        self.train("--keep", "8")
        self.assertEqual(read_safetensors(self.out)[0]["agreement.share"].shape, [8])
        whole = self.read("out.safetensors")
        self.assertEqual(self.train("--keep", "8", "--resume", self.out), whole)

    def test_plain_dictionaries_too(self):
        self.train("--dictionary-kind", "l2")
        self.assertEqual(read_safetensors(self.out)[0]["agreement.share"].shape, [K])

    def test_it_resumes_whenever_it_is_killed(self):
        flags = ["--checkpoint-steps", "10"]
        whole = self.train(*flags, out=self.path("whole.safetensors"))
        command = [support.RASAE, "train", self.x, "-o", self.out, *self.flags, "--consensus", "3", "--steps", "80", *flags]
        for stage in ["run1", "run2", "run3", "start", None]:
            process = subprocess.Popen([*command, "--auto-resume"], stdin=subprocess.DEVNULL)
            name = self.path("out.%s.safetensors" % stage) if stage else self.out
            deadline = time.monotonic() + 60
            while not os.path.exists(name) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.assertEqual(self.train(*flags, "--resume", self.out), whole)
        for part in ["run1", "run2", "run3", "start"]:
            self.assertEqual(self.read("out.%s.safetensors" % part), self.read("whole.%s.safetensors" % part))

    def test_the_page_shows_it(self):
        page = self.path("page.html")
        self.train("--report", page)
        with open(page, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("Agreement", text)
        self.assertRegex(text, r"in \d+% of 3 runs, mean cosine 0\.\d+")

    def test_flags_that_contradict_it(self):
        for flags, message in [
            (["--init", self.x], "--init cannot be given with --consensus"),
            (["--seeds", "1,2"], "--seeds cannot be given with --consensus"),
            (["--points-seed", "1"], "--points-seed cannot be given with --consensus"),
            (["--mixture", "dense"], "--mixture dense cannot be given with --consensus"),
            (["--no-state"], "--no-state"),
            (["--resume", self.out], "no file .*out.run1.safetensors to continue"),
        ]:
            with self.subTest(message):
                command = ["train", self.x, "-o", self.out, *self.flags, "--consensus", "2", *flags]
                result = self.run_rasae(*command)
                self.assertNotEqual(result.returncode, 0)
                self.assertRegex(result.stderr.decode(), message)
                self.assertFalse(os.path.exists(self.path("out.run1.safetensors")))
        result = self.run_rasae("train", self.x, "-o", self.out, "--run-steps", "5")
        self.assertRegex(result.stderr.decode(), "--run-steps is the length of the runs of --consensus")


if __name__ == "__main__":
    unittest.main()
