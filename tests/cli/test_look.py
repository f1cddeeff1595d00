"""`rasae inspect`, `rasae eval`, `rasae compare`: what they print, as text and as JSON."""

import math
import re

import support
from support import Case, Tensor, golden, read_npy, read_safetensors, small_data

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
        self.assertEqual(three["total"] - one["total"], 2 * one["scratch"])
        parts = ["dictionary", "encoder", "thresholds", "search", "scratch"]
        self.assertEqual(one["total"], sum(one[part] for part in parts))
        text = self.good("inspect", model, "--device-memory", "--threads", "3")
        self.assertRegex(text, "Memory of a device, with 3 threads\n +dictionary +3.07 kB\n")

    def test_the_atoms_of_the_largest_norm_come_first(self):
        report = self.good_json("inspect", CHECKPOINT, "--json", "--atoms", "48")
        norms = [atom["norm"] for atom in report["atoms"]]
        self.assertEqual(norms, sorted(norms, reverse=True))
        self.assertEqual({atom["atom"] for atom in report["atoms"]}, set(range(48)))
        for atom in report["atoms"]:
            weights = [archetype["weight"] for archetype in atom["archetypes"]]
            self.assertEqual(weights, sorted(weights, reverse=True))
            self.assertLessEqual(sum(weights), 1 + 1e-6)
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
                self.assertRegex(text, r"\n    [01]\.\d\d\d of point \d  %s\n" % re.escape(name))

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

    def test_names_and_labels_cannot_control_the_terminal(self):
        tensors = {"evil\x1b[2J": Tensor("F32", [1], [0.0])}
        path = support.write_safetensors(self.path("file"), tensors, {"key\x07": "value\x1b[0m"})
        text = self.good("inspect", path)
        self.assertNotIn("\x1b", text)
        self.assertNotIn("\x07", text)
        self.assertEqual(self.good_json("inspect", path, "--json")["tensors"][0]["name"], "evil\x1b[2J")


class Eval(Case):
    def test_json_has_the_names_of_the_result(self):
        measured = self.good_json("eval", CHECKPOINT, DATA, "--json")
        names = """rows mse r2 r2_per_dimension l0 l0_share dead_ratio hoyer kappa_4 l1_l2_ratio codes_l1 codes_l2
                   codes_lp average_l1 average_l2 relative_l1 relative_l2 wasserstein_1d wasserstein_rows
                   frechet_distance connectivity negative_interference negative_interference_frobenius
                   max_correlation collinearity coherence stable_rank effective_rank ood energy plausibility
                   identifiability skipped strongest classes""".split()
        self.assertEqual(list(measured), names)
        self.assertEqual(measured["rows"], 1280)

    def test_figures_agree_with_the_reconstruction(self):
        measured = self.good_json("eval", CHECKPOINT, DATA, "--json")
        self.good("encode", CHECKPOINT, DATA, "-o", self.path("z.npy"))
        self.good("reconstruct", CHECKPOINT, self.path("z.npy"), "-o", self.path("x_hat.npy"))
        x, x_hat, z = (
            read_npy(DATA).values,
            read_npy(self.path("x_hat.npy")).values,
            read_npy(self.path("z.npy")).values,
        )
        squares = sum((a - b) ** 2 for a, b in zip(x, x_hat))
        mean = sum(x) / len(x)
        total = sum((a - mean) ** 2 for a in x)
        active = {i % 48 for i, value in enumerate(z) if value}
        for name, value in {
            "mse": squares / len(x),
            "r2": 1 - squares / (total + 1e-6),
            "l0": sum(value != 0 for value in z) / 1280,
            "dead_ratio": 1 - len(active) / 48,
        }.items():
            self.assertTrue(math.isclose(measured[name], value, rel_tol=1e-5), (name, measured[name], value))

    def test_the_table_says_the_same(self):
        text = self.good("eval", CHECKPOINT, DATA)
        for name, value in self.good_json("eval", CHECKPOINT, DATA, "--json").items():
            if name != "rows" and isinstance(value, (int, float)):
                self.assertRegex(text, r"\n  %s +%s " % (name, ("%.6g" % value).replace("+", r"\+")))

    def test_what_does_not_fit(self):
        narrow = support.write_npy(self.path("narrow.npy"), Tensor("F32", [2, 3], [1.0] * 6))
        self.bad(1, ["narrow.npy", "3 dimensions", "16"], "eval", CHECKPOINT, narrow)
        self.bad(1, "encoder", "eval", golden("dict-basic.checkpoint.safetensors"), DATA)


class Compare(Case):
    def test_a_dictionary_is_itself(self):
        self.good("fuse", CHECKPOINT, "-o", self.path("fused"))
        result = self.good_json("compare", CHECKPOINT, self.path("fused"), "--json")
        for name in ["stability", "stability_unsigned", "stability_centered"]:
            self.assertAlmostEqual(result[name], 1, places=5)
        self.assertEqual(result["match"], list(range(48)))
        self.assertClose(result["match_cosine"], [1.0] * 48, 1e-5)
        self.assertEqual((result["shared_points"], result["points"]), (60, 60))

    def test_a_permutation_and_a_sign_are_found(self):
        tensors, _ = read_safetensors(golden("stability.safetensors"))
        rows, d = tensors["a"].shape
        a = tensors["a"].values
        turned = [(-v if k == 4 else v) for k in range(rows) for v in a[(rows - 1 - k) * d : (rows - k) * d]]
        for name, values in [("a", a), ("b", turned)]:
            tensor = Tensor("F32", [rows, d], values)
            support.write_safetensors(self.path(name), {"dictionary": tensor})
        result = self.good_json("compare", self.path("a"), self.path("b"), "--json")
        self.assertAlmostEqual(result["stability"], 1, places=5)
        self.assertLess(result["stability_unsigned"], 1 - 1e-3)
        self.assertNotIn("shared_points", result)

    def test_the_caveat_is_always_said(self):
        text = self.good("compare", CHECKPOINT, CHECKPOINT)
        for part in [
            "W = eye",
            "shared points",
            "stability_centered",
            "60 of 60 candidate points are the same",
        ]:
            self.assertIn(part, text.replace("\n  ", " "))
        self.assertIn("W = eye", self.good_json("compare", CHECKPOINT, CHECKPOINT, "--json")["caveat"])

    def test_what_cannot_be_compared(self):
        other = golden("dict-basic.checkpoint.safetensors")
        self.bad(1, ["48 atoms of 16", "24 of 16"], "compare", CHECKPOINT, other)


if __name__ == "__main__":
    support.main()
