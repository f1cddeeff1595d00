"""`rasae inspect` (trainer/inspect): what it prints of each kind of file, and of files that are broken."""

import json
import math
import re

import support
from support import Case, Tensor, golden, read_safetensors, small_data

CHECKPOINT = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")


class Inspect(Case):
    def test_a_checkpoint(self):
        text = self.good("inspect", CHECKPOINT)
        for part in [
            "checkpoint",
            "48 concepts of 16 dimensions on 60 points",
            "dictionary.W",
            "[48, 60]",
            "top_k",
        ]:
            self.assertIn(part, text)
        report = self.good_json("inspect", CHECKPOINT, "--json")
        self.assertEqual(report["kind"], "checkpoint")
        model = report["model"]
        self.assertEqual([model[key] for key in ["concepts", "dimensions", "points"]], [48, 16, 60])
        tensors, metadata = read_safetensors(CHECKPOINT)
        self.assertEqual(
            {t["name"]: t["shape"] for t in report["tensors"]}, {n: t.shape for n, t in tensors.items()}
        )
        self.assertEqual(report["metadata"], metadata)

    def test_how_far_the_training_went(self):
        model, fused, log = (self.path(name) for name in ("model", "fused", "log"))
        self.good("train", DATA, "--concepts", "12", "--top-k", "3", "--points", "20", "--steps", "5", "-o", model, "--log", log)
        self.good("fuse", model, "-o", fused)
        with open(log, encoding="utf-8") as file:
            last = [json.loads(line) for line in file][-1]
        for path in (model, fused):
            self.assertIn("  trained for 5 steps, at the end with a loss of %.4g, L0 3," % last["loss"], self.good("inspect", path))
            told = self.good_json("inspect", path, "--json")["training"]
            self.assertEqual((told["bins"], told["steps"]), (5, 5))
            self.assertClose([told[name] for name in ("loss", "r2", "l0")], [last[name] for name in ("loss", "r2", "l0")], 1e-6)
        self.assertIsNone(self.good_json("inspect", CHECKPOINT, "--json")["training"])

    def test_what_a_device_needs_for_it(self):
        model = golden("jumprelu-l0.final.safetensors")
        self.assertNotIn("device_memory", self.good_json("inspect", model, "--json"))
        one, three = [
            self.good_json("inspect", model, "--json", "--device-memory", "--threads", threads)["device_memory"]
            for threads in ["1", "3"]
        ]
        self.assertEqual([one["threads"], three["threads"]], [1, 3])
        # each part at a multiple of 256 bytes: D [48,16], the weight [48,16] and bias [48], thresholds [48]
        self.assertEqual([one[key] for key in ["dictionary", "encoder", "thresholds"]], [3072, 3072 + 256, 256])
        self.assertGreater(one["scratch"], 4096 * 48 * 4)
        self.assertEqual(three["total"] - one["total"], 2 * (one["scratch"] + one["stream"]))
        parts = ["dictionary", "encoder", "thresholds", "search", "scratch", "stream"]
        self.assertEqual(one["total"], sum(one[part] for part in parts))
        text = self.good("inspect", model, "--device-memory", "--threads", "3")
        self.assertRegex(text, "Device memory, with 3 threads\n +dictionary +3.07 kB\n")

    def test_the_atoms_of_the_largest_norm_come_first(self):
        report = self.good_json("inspect", CHECKPOINT, "--json", "--atoms", "48")
        norms = [atom["norm"] for atom in report["atoms"]]
        self.assertEqual(norms, sorted(norms, reverse=True))
        self.assertEqual({atom["atom"] for atom in report["atoms"]}, set(range(48)))
        for atom in report["atoms"]:
            contributions = [archetype["contribution"] for archetype in atom["archetypes"]]
            self.assertEqual(contributions, sorted(contributions, reverse=True))
            weights = [archetype["weight"] for archetype in atom["archetypes"]]
            self.assertAlmostEqual(sum(weights), atom["coverage"], places=5)
            self.assertLessEqual(atom["coverage"], 1)
            self.assertLess(abs(atom["hull_share"]), 1 + 1e-6)
            self.assertIsNone(atom["trace"])
        self.assertEqual(self.good_json("inspect", CHECKPOINT, "--json", "--atoms", "0")["atoms"], [])

    def test_atoms_are_explained_in_the_words_of_the_data(self):
        x = support.write_npy(self.path("x.npy"), small_data())
        names = ["cat", "dog", "caf\u00e9", 'quo"ted', "back\\slash", "tab"]
        labels = self.write("labels.txt", "".join(names[row % 6] + "\n" for row in range(96)).encode())
        model = self.path("model.safetensors")
        flags = ["--points", "6", "--labels", labels, "--steps", "3", "--quiet"]
        self.good("train", x, "-o", model, *flags)
        for path in [model, self.path("fused.safetensors")]:
            if path != model:
                self.good("fuse", model, "-o", path)
            report = self.good_json("inspect", path, "--json", "--atoms", "6")
            seen = set()
            for atom in report["atoms"]:
                rows = atom["archetypes"][0]["rows"]
                self.assertEqual({row["label"] for row in rows}, {names[rows[0]["row"] % 6]})
                seen.add(rows[0]["label"])
            self.assertEqual(seen, set(names))
            text = self.good("inspect", path, "--atoms", "6")
            for name in names:
                self.assertRegex(text, r"\n +[01]\.\d\d\d along point \d  %s\n" % re.escape(name))

    def test_other_files(self):
        self.assertIn("npy array", self.good("inspect", DATA))
        report = self.good_json("inspect", DATA, "--json")
        self.assertEqual((report["tensors"][0]["dtype"], report["tensors"][0]["shape"]), ("F32", [1280, 16]))
        self.good("encode", CHECKPOINT, DATA, "-o", self.path("z"))
        self.assertEqual(self.good_json("inspect", self.path("z"), "--json")["kind"], "sparse codes")
        self.assertEqual(
            self.good_json("inspect", golden("kernels.safetensors"), "--json")["kind"], "tensors"
        )
        self.assertNotIn("model", self.good_json("inspect", golden("kernels.safetensors"), "--json"))

    def test_a_checkpoint_that_lacks_a_setting_is_listed_with_what_it_lacks(self):
        tensors, metadata = read_safetensors(CHECKPOINT)
        del metadata["sae"]
        path = support.write_safetensors(self.path("model"), tensors, metadata)
        self.assertIn("--sae", self.good("inspect", path))
        self.assertIn("--sae", self.good_json("inspect", path, "--json")["problem"])
        self.assertIn("atoms", self.good_json("inspect", path, "--json", "--sae", "topk"))

    def test_a_broken_model_is_listed_and_is_a_failure(self):
        tensors, metadata = read_safetensors(CHECKPOINT)
        tensors["dictionary.C"].values[3] = math.nan
        path = support.write_safetensors(self.path("model"), tensors, metadata)
        result = self.run_rasae("inspect", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"dictionary.W", result.stdout)
        self.assertIn(b"dictionary.C", result.stderr)

    def test_what_was_measured_of_a_latent(self):
        model = self.path("model.safetensors")
        self.good("fuse", CHECKPOINT, "-o", model)
        atom = self.good_json("inspect", model, "--json", "--atoms", "1")["atoms"][0]
        self.assertIsNone(atom["cofiring"])
        self.assertIsNone(atom["quantiles"])
        labels = self.write("labels", "".join("row %d\n" % row for row in range(1280)).encode())
        self.good("eval", model, DATA, "--save", model, "--labels", labels, "--basic")
        tensors, _ = read_safetensors(model)
        atom = self.good_json("inspect", model, "--json", "--atoms", "1")["atoms"][0]
        k = atom["atom"]
        self.assertEqual(atom["cofiring"]["least"], 5)
        count = tensors["latents.count"].values
        for measure in "count", "pmi", "correlation":
            listed = [j for j in tensors["latents.cofiring.%s.atom" % measure].values[16 * k : 16 * k + 16] if j >= 0]
            self.assertEqual([one["atom"] for one in atom["cofiring"][measure]], listed)
            for one in atom["cofiring"][measure]:
                self.assertAlmostEqual(one["lift"], one["count"] * 1280 / count[k] / count[one["atom"]])
                self.assertAlmostEqual(one["pmi"], math.log(one["lift"]))
        self.assertEqual(len(atom["quantiles"]), 10)
        for q, quantile in enumerate(atom["quantiles"]):
            self.assertEqual([quantile["low"]], [q and atom["quantiles"][q - 1]["high"] or quantile["low"]])
            for row in quantile["rows"]:
                self.assertTrue(quantile["low"] <= row["value"] <= quantile["high"])
                self.assertEqual(row["label"], "row %d" % row["row"])
        text = self.good("inspect", model, "--atoms", "1")
        self.assertRegex(text, r"\n    active with \d+.* \(in \d+ rows, [\d.]+ times as often as by chance\)")
        self.assertRegex(text, r"\n    codes from [\d.e-]+ to [\d.e-]+: row \d+, row \d+")

    def test_names_and_labels_cannot_control_the_terminal(self):
        tensors = {"evil\x1b[2J": Tensor("F32", [1], [0.0])}
        path = support.write_safetensors(self.path("file"), tensors, {"key\x07": "value\x1b[0m"})
        text = self.good("inspect", path)
        self.assertNotIn("\x1b", text)
        self.assertNotIn("\x07", text)
        self.assertEqual(self.good_json("inspect", path, "--json")["tensors"][0]["name"], "evil\x1b[2J")


if __name__ == "__main__":
    support.main()
