"""`rasae train --holdout` (trainer/training/holdout.c): the explained variance on rows that were not trained on."""

import unittest

import support
from support import Case, Tensor, read_safetensors, small_data

ROWS, D = 200, 12


class Holdout(Case):
    def setUp(self):
        super().setUp()
        self.values = small_data(rows=ROWS).values
        self.x = support.write_npy(self.path("x.npy"), Tensor("F32", [ROWS, D], self.values))
        self.out = self.path("out.safetensors")

    def train(self, *flags):
        return self.good_json("train", self.x, "-o", self.out, "--concepts", "12", "--top-k", "3", "--steps", "60",
                              "--batch-size", "32", "--json", *flags)

    def row(self, number):
        return self.values[number * D : (number + 1) * D]


class Share(Holdout):
    def test_its_rows_are_not_trained_on_and_measured_as_eval_does(self):
        report = self.train("--holdout", "0.1", "--standardize", "element")
        tensors, metadata = read_safetensors(self.out)
        self.assertEqual((metadata["train.rows"], metadata["holdout.rows"]), ("180", "20"))
        self.assertAlmostEqual(float(metadata["holdout.r2"]), report["r2_holdout"], places=6)
        self.assertNotEqual(report["r2"], report["r2_holdout"])
        # every row at lr 0 is the start of an atom: those that are missing were held out
        self.good("train", self.x, "-o", self.path("all"), "--concepts", "180", "--steps", "1", "--lr", "0", "--top-k", "3",
                  "--holdout", "0.1", "--init-weights", "eye", "--quiet")
        used = set(read_safetensors(self.path("all"))[0]["points.rows"].values)
        held = [row for row in range(ROWS) if row not in used]
        self.assertEqual(len(held), 20)
        self.assertEqual([row // 10 for row in held], list(range(20)), "they come from all parts of the data")
        self.assertFalse(set(held) & set(tensors["trace.row"].values))
        apart = support.write_npy(self.path("held.npy"), Tensor("F32", [20, D], [v for row in held for v in self.row(row)]))
        measured = self.good_json("eval", self.out, apart, "--json")
        self.assertAlmostEqual(report["r2_holdout"], measured["r2"], places=6)

    def test_runs_of_other_seeds_hold_out_the_same_rows(self):
        held = []
        for seed in "1", "2":
            self.good("train", self.x, "-o", self.out, "--concepts", "150", "--steps", "1", "--lr", "0", "--top-k", "3",
                      "--holdout", "0.25", "--init-weights", "eye", "--seed", seed, "--quiet")
            held.append(set(range(ROWS)) - set(read_safetensors(self.out)[0]["points.rows"].values))
        self.assertEqual(held[0], held[1])
        self.assertEqual(len(held[0]), 50)

    def test_bad_rows_are_no_held_rows(self):
        values = list(self.values)
        for row in range(0, 200, 2):
            values[row * D] = float("nan")
        support.write_npy(self.x, Tensor("F32", [ROWS, D], values))
        self.train("--holdout", "0.2", "--skip-bad-rows")
        metadata = read_safetensors(self.out)[1]
        self.assertEqual(int(metadata["train.rows"]) + int(metadata["holdout.rows"]), 100)

    def test_a_resumed_run_needs_the_same(self):
        whole = self.train("--holdout", "0.1") and self.read("out.safetensors")
        self.good("train", self.x, "-o", self.out, "--concepts", "12", "--top-k", "3", "--steps", "30", "--batch-size", "32",
                  "--holdout", "0.1", "--quiet")
        self.train("--holdout", "0.1", "--resume", self.out)
        self.assertEqual(self.read("out.safetensors"), whole)
        self.bad(1, ["180 rows, but the data has 200"], "train", self.x, "-o", self.out, "--steps", "90", "--resume", self.out)

    def test_a_share_that_leaves_nothing_is_refused(self):
        for share in ["0", "1", "-0.5", "nan"]:
            self.bad(2, ["--holdout is %s" % share], "train", self.x, "-o", self.out, "--holdout", share)
        self.bad(1, ["share of 0.0001 of 200 rows"], "train", self.x, "-o", self.out, "--holdout", "0.0001")


class File(Holdout):
    def test_it_is_measured_as_eval_does(self):
        other = support.write_npy(self.path("other.npy"), small_data(rows=50, seed=9))
        report = self.train("--holdout", other, "--report", self.path("page.html"))
        self.assertEqual(read_safetensors(self.out)[1]["train.rows"], str(ROWS))
        self.assertAlmostEqual(report["r2_holdout"], self.good_json("eval", self.out, other, "--json")["r2"], places=6)
        with open(self.path("page.html"), encoding="utf-8") as file:
            self.assertIn("%.4f" % report["r2_holdout"], file.read())
        text = self.good("train", self.x, "-o", self.out, "--steps", "5", "--holdout", other)
        self.assertRegex(text, r"R2 -?\d.\d+ on 50 rows that were held out")

    def test_a_file_that_does_not_fit_is_refused(self):
        wide = support.write_npy(self.path("wide.npy"), small_data(rows=50, d=7))
        self.bad(1, ["wide.npy has 7 dimensions", "has 12"], "train", self.x, "-o", self.out, "--holdout", wide)
        self.bad(1, ["wide.npy"], "train", self.x, "-o", wide, "--holdout", wide)
        self.bad(1, ["nothing.npy"], "train", self.x, "-o", self.out, "--holdout", self.path("nothing.npy"))


if __name__ == "__main__":
    unittest.main()
