"""What a training says of the data before it and of the latents after it (lib/data/survey.c, lib/train/fit.c,
trainer/training/{survey,summary}.c): each finding with its remedy, none where nothing is wrong."""

import json

import support
from support import Case, Random, Tensor, npy_bytes, read_npy

ROWS, D = 400, 24


class Notes(Case):
    def data(self, change=None):
        random = Random(7)
        rows = [[sum(random.values(6)) for _ in range(D)] for _ in range(ROWS)]
        for r, row in enumerate(rows):
            if change:
                rows[r] = change(r, row)
        values = [value for row in rows for value in row]
        return self.write("x.npy", npy_bytes(Tensor("F32", [ROWS, D], values)))

    def train(self, *flags):
        return self.good("train", self.path("x.npy"), "-o", self.path("out"), "--steps", "4", "--concepts", "30", *flags)

    def test_good_data_has_no_notes(self):
        self.data()
        self.assertNotIn("note:", self.train())

    def test_each_finding(self):
        for change, texts in [
            (lambda r, row: [value + 9 for value in row], ["in the means of the dimensions", "--standardize element"]),
            (lambda r, row: [row[0] * 60, *row[1:]], ["1 of 24 dimensions holds half of the variance", "--standardize element"]),
            (lambda r, row: [value * 1e-6 for value in row], ["of the size", "--standardize element"]),
            (lambda r, row: [value * 1e6 for value in row], ["of the size", "--lr"]),
            (lambda r, row: [r // 2 + j for j in range(D)], ["50 % of the rows repeat others", "numpy.unique(x, axis=0)"]),
            (lambda r, row: [3.5, -1.0, *row[2:]], ["2 of 24 dimensions are constant"]),
        ]:
            self.data(change)
            text = self.train()
            notes = [line for line in text.splitlines() if line.startswith("note:")]
            with self.subTest(texts[0]):
                found = [note for note in notes if texts[0] in note]
                self.assertEqual(len(found), 1, text)
                for part in texts:
                    self.assertIn(part, found[0])

    def test_points_that_repeat(self):
        self.data()
        rows = read_npy(self.path("x.npy")).values[: 40 * D]
        for kind in "F32", "F16":
            for copies, text in (0, None), (1, "1 of the 41 points of"), (3, "3 of the 43 points of"):
                values = rows + rows[: copies * D]
                points = self.write("points.npy", npy_bytes(Tensor(kind, [40 + copies, D], values)))
                shown = [line for line in self.train("--points", points).splitlines() if "repeat" in line]
                self.assertEqual(len(shown), copies > 0, shown)
                if text:
                    self.assertIn(text, shown[0])
                    self.assertIn("numpy.unique", shown[0])

    def test_standardized_data_is_fine(self):
        self.data(lambda r, row: [row[0] * 1e6 + 5e7, *row[1:]])
        self.assertIn("note:", self.train())
        self.assertNotIn("note:", self.train("--standardize", "element"))
        self.assertEqual(self.train("--quiet"), "")

    def test_r2_leads_with_that_of_the_dimensions(self):
        """Large means: one mean of all numbers would count them as explained."""
        self.data(lambda r, row: [value + 40 * (j % 3) for j, value in enumerate(row)])
        text = self.train("--log", self.path("log"))
        summary = self.good_json("train", self.path("x.npy"), "-o", self.path("out"), "--steps", "4", "--concepts", "30", "--json")
        self.assertGreater(summary["r2"], summary["r2_per_dimension"] + 0.3)
        self.assertIn("R2 %.4f (one mean %.4f)" % (summary["r2_per_dimension"], summary["r2"]), text)
        last = json.loads(self.read("log").splitlines()[-1])
        self.assertAlmostEqual(last["r2"], summary["r2"], places=6)
        shown = self.good("inspect", self.path("out"))
        self.assertIn("training ended with R2 %.4f (one mean %.4f)" % (last["r2_per_dimension"], last["r2"]), shown)
        what = self.good_json("inspect", self.path("out"), "--json")["training"]
        self.assertAlmostEqual(what["r2_per_dimension"], last["r2_per_dimension"], places=6)
        self.assertAlmostEqual(what["r2"], last["r2"], places=6)

    def test_figures_do_not_depend_on_the_scale(self):
        """Of a model whose codes and reconstructions scale with the data."""
        self.data()
        self.train("--sae", "topk", "--top-k", "3")
        tensors, metadata = support.read_safetensors(self.path("out"))
        x = read_npy(self.path("x.npy"))
        first = None
        for scale in [1, 1e-18, 1e-9, 1e-3, 1e3, 1e9, 1e18]:
            scaled = dict(tensors)
            bias = tensors["encoder.final_block.0.bias"]
            scaled["encoder.final_block.0.bias"] = Tensor("F32", bias.shape, [value * scale for value in bias.values])
            model = support.write_safetensors(self.path("scaled"), scaled, metadata)
            data = self.write("scaled.npy", npy_bytes(Tensor("F32", x.shape, [value * scale for value in x.values])))
            report = self.good_json("eval", model, data, "--json")
            names = """r2 r2_per_dimension l0 dead_ratio hoyer kappa_4 l1_l2_ratio relative_l1 relative_l2 max_correlation
                       connectivity ood coherence collinearity stable_rank effective_rank""".split()
            first = first or report
            for name in names:
                self.assertAlmostEqual(report[name], first[name], delta=2e-5 * abs(first[name]) + 1e-7, msg=(name, scale))

    def test_what_is_not_a_number_has_a_reason(self):
        self.data()
        self.train()
        for name, value in [("constant", 2.5), ("huge", 3e37)]:
            values = [value] * (ROWS * D) if name == "constant" else [value * (-1) ** i for i in range(ROWS * D)]
            data = self.write(name + ".npy", npy_bytes(Tensor("F32", [ROWS, D], values)))
            report = self.good_json("eval", self.path("out"), data, "--json")
            missing = [key for key, figure in report.items() if figure is None]
            self.assertIn("r2_per_dimension" if name == "constant" else "negative_interference", missing)
            for key in missing:
                said = key if key in report["skipped"] else key.replace("_frobenius", "").replace("wasserstein_rows", "wasserstein_1d")
                self.assertIn(said, report["skipped"], (name, key))

    def test_dead_latents_are_counted_with_what_to_try(self):
        self.data(lambda r, row: [row[0] * 300, *row[1:]])
        text = self.good("train", self.path("x.npy"), "-o", self.path("out"), "--steps", "300", "--concepts", "200", "--top-k", "2")
        self.assertRegex(text, r"\d+ of 200 latents are dead: .* Try --standardize element, a larger --top-k, or fewer --concepts")
        text = self.good("train", self.path("x.npy"), "-o", self.path("out"), "--steps", "4", "--concepts", "2", "--top-k", "2")
        self.assertNotIn("dead:", text)


if __name__ == "__main__":
    support.main()
