"""`rasae trace` and the trace at the end of training (trainer/training/trace.c): each atom as a mixture of a few rows of
the data, for dictionaries of every kind."""

import math
import unittest

import support
from support import Case, Tensor, read_safetensors

ROWS, D = 60, 8


def data():
    return Tensor("F32", [ROWS, D], support.Random(7).values(ROWS * D))


def unit(row):
    length = math.sqrt(sum(v * v for v in row))
    return [v / length for v in row]


class Trace(Case):
    def setUp(self):
        super().setUp()
        self.rows = [data().values[i * D : (i + 1) * D] for i in range(ROWS)]
        self.x = support.write_npy(self.path("x.npy"), data())
        self.model = self.path("model.safetensors")
        self.labels = self.write("labels.txt", "".join("word %d\n" % i for i in range(ROWS)).encode())

    def artifact(self, atoms, **more):
        flat = [v for atom in atoms for v in atom]
        tensors = {"dictionary": Tensor("F32", [len(atoms), D], flat), **more}
        return support.write_safetensors(self.model, tensors)

    def mixture(self, *parts):
        return [sum(w * unit(self.rows[row])[j] for row, w in parts) for j in range(D)]


class Found(Trace):
    def test_a_mixture_of_two_rows_is_found_whatever_its_length(self):
        atoms = [self.mixture((4, 3.0), (50, 1.0)), self.mixture((7, 0.01))]
        self.artifact(atoms)
        report = self.good_json("trace", self.model, self.x, "--rows", "2", "--json", "--labels", self.labels)
        self.assertEqual((report["concepts"], report["rows_searched"]), (2, ROWS))
        first, second = report["atoms"]
        self.assertAlmostEqual(second["cosine"], 1, places=5)
        self.assertEqual([(row["row"], row["label"]) for row in second["rows"]], [(7, "word 7")])
        self.assertEqual([row["row"] for row in first["rows"]], [4, 50])
        self.assertAlmostEqual(first["rows"][0]["weight"], 0.75, places=5)
        self.assertAlmostEqual(first["cosine"], 1, places=5)

    def test_weights_are_positive_and_the_cosine_is_that_of_the_mixture(self):
        atoms = [support.Random(k).values(D) for k in range(20)]
        self.artifact(atoms)
        report = self.good_json("trace", self.model, self.x, "--json")
        for atom, vector in zip(report["atoms"], atoms):
            weights = [row["weight"] for row in atom["rows"]]
            contributions = [row["contribution"] for row in atom["rows"]]
            self.assertEqual(contributions, sorted(contributions, reverse=True))
            self.assertAlmostEqual(sum(contributions), atom["cosine"] ** 2, places=5)
            self.assertGreater(min(weights), 0)
            self.assertAlmostEqual(sum(weights), 1, places=5)
            mixture = self.mixture(*((row["row"], row["weight"]) for row in atom["rows"]))
            self.assertAlmostEqual(support.cosine(mixture, vector), atom["cosine"], places=5)

    def test_more_rows_come_nearer(self):
        self.artifact([support.Random(k).values(D) for k in range(20)])
        medians = [
            self.good_json("trace", self.model, self.x, "--json", "--rows", rows)["median_cosine"]
            for rows in ["1", "2", "4", "8"]
        ]
        self.assertEqual(medians, sorted(medians))
        self.assertLess(medians[0], medians[-1] - 0.1)

    def test_the_result_depends_on_neither_threads_nor_device(self):
        self.artifact([support.Random(k).values(D) for k in range(20)])
        command = ["trace", self.model, self.x, "--json"]
        whole = self.good(*command, "--threads", "1")
        self.assertEqual(self.good(*command, "--threads", "3"), whole)
        self.assertEqual(self.good(*command, "--device", "reference"), whole)

    def test_rows_have_their_numbers_in_the_files(self):
        values = data().values
        values[3 * D] = float("nan")
        x = support.write_npy(self.path("bad.npy"), Tensor("F32", [ROWS, D], values))
        self.artifact([self.mixture((7, 1.0))])
        self.bad(1, ["row 3", "--skip-bad-rows"], "trace", self.model, x)
        report = self.good_json("trace", self.model, x, "--skip-bad-rows", "--labels", self.labels, "--json")
        self.assertEqual(report["atoms"][0]["rows"][0]["label"], "word 7")
        self.assertEqual((report["atoms"][0]["rows"][0]["row"], report["rows_searched"]), (7, ROWS - 1))

    def test_a_search_of_some_rows_says_so(self):
        self.artifact([self.mixture((30, 1.0))])
        report = self.good_json("trace", self.model, self.x, "--search", "20", "--json")
        self.assertEqual(report["rows_searched"], 20)
        self.assertEqual({row["row"] % 3 for row in report["atoms"][0]["rows"]}, {0})
        self.assertIn("of 20 rows", self.good("trace", self.model, self.x, "--search", "20"))

    def test_an_atom_of_zeros_has_no_trace(self):
        self.artifact([[0.0] * D, self.mixture((7, 1.0))])
        report = self.good_json("trace", self.model, self.x, "--json")
        self.assertEqual(report["atoms"][0], {"atom": 0, "cosine": 0, "rows": []})

    def test_a_model_of_standardized_data_is_traced_to_standardized_rows(self):
        scaled = [[(v - 0.5) / 2 for v in row] for row in self.rows]
        one = lambda value: Tensor("F32", [D], [value] * D)
        self.artifact([scaled[9]], **{"input.mean": one(0.5), "input.scale": one(2.0)})
        report = self.good_json("trace", self.model, self.x, "--json", "--rows", "1")
        self.assertEqual(report["atoms"][0]["rows"][0]["row"], 9)
        self.assertAlmostEqual(report["atoms"][0]["cosine"], 1, places=5)


class Kept(Trace):
    def test_it_is_saved_shown_and_replaced(self):
        self.artifact([self.mixture((4, 3.0), (50, 1.0)), self.mixture((7, 1.0))])
        both = support.cosine(self.rows[4], self.rows[50])  # |3 a + b|^2 = 10 + 6 <a, b>, of which a gets 9 + 3 <a, b>
        shares = ((9 + 3 * both) / (10 + 6 * both), (1 + 3 * both) / (10 + 6 * both))
        text = self.good("trace", self.model, self.x, "--labels", self.labels, "-o", self.model)
        self.assertRegex(text, r"^2 atoms traced to at most 5 of 60 rows: cosine 1.000 at the median")
        self.assertRegex(text, r"atom 0 +cosine 1.000 +%.2f word 4 +%.2f word 50\n" % shares)
        tensors, _ = read_safetensors(self.model)
        self.assertEqual(tensors["trace.row"].shape, [2, 5])
        self.assertEqual(tensors["trace.row"].values[:3], [4, 50, -1])
        shown = self.good_json("inspect", self.model, "--json")["atoms"]
        atom = next(atom for atom in shown if atom["atom"] == 0)
        self.assertEqual((atom["label"], atom["label_source"]), ("word 4", "trace"))  # half of the first, at least
        self.assertEqual([row["row"] for row in atom["trace"]["rows"]], [4, 50])
        self.assertIn("trace, cosine 1.000: %.2f word 4, %.2f word 50" % shares, self.good("inspect", self.model))
        self.good("trace", self.model, self.x, "--rows", "1", "-o", self.model, "--quiet")
        tensors, _ = read_safetensors(self.model)
        self.assertEqual(tensors["trace.row"].shape, [2, 1])
        self.assertNotIn("trace.labels", tensors)

    def test_a_trained_model_has_one_and_keeps_it_through_the_fuse(self):
        command = ["train", self.x, "-o", self.path("c"), "--concepts", "6", "--top-k", "2", "--steps", "5", "--quiet"]
        self.good(*command, "--labels", self.labels, "--trace-rows", "3")
        tensors, _ = read_safetensors(self.path("c"))
        self.assertEqual(tensors["trace.row"].shape, [6, 3])
        report = self.good_json("trace", self.path("c"), self.x, "--rows", "3", "--json")
        rows = [row["row"] for atom in report["atoms"] for row in atom["rows"]]
        self.assertEqual([row for row in tensors["trace.row"].values if row >= 0], rows)
        self.good("fuse", self.path("c"), "-o", self.path("f"))
        fused, _ = read_safetensors(self.path("f"))
        for name in ["trace.row", "trace.weight", "trace.contribution", "trace.cosine", "trace.labels"]:
            self.assertEqual(fused[name].values, tensors[name].values, name)
        self.good(*command, "--trace-rows", "0")
        self.assertNotIn("trace.row", read_safetensors(self.path("c"))[0])


class Refused(Trace):
    def test_what_cannot_be(self):
        self.artifact([self.mixture((7, 1.0))])
        short = self.write("short.txt", b"one\n")
        self.bad(1, ["1 labels", "60 rows"], "trace", self.model, self.x, "--labels", short)
        self.bad(1, ["would replace"], "trace", self.model, self.x, "-o", self.x)
        self.bad(1, ["would replace"], "trace", self.model, self.x, "--labels", self.labels, "-o", self.labels)
        other = support.write_npy(self.path("other.npy"), Tensor("F32", [3, 5], [1.0] * 15))
        self.bad(1, ["5", "8"], "trace", self.model, other)
        self.bad(2, "--rows", "trace", self.model, self.x, "--rows", "33")
        self.bad(1, "no.npy", "trace", self.model, self.path("no.npy"))

    def test_a_full_disk_leaves_the_old_file(self):
        self.artifact([self.mixture((7, 1.0))] * 400)
        before = self.read("model.safetensors")
        self.bad(1, "model.safetensors", "trace", self.model, self.x, "-o", self.model, preexec_fn=support.disk_of(4096))
        self.assertEqual(self.read("model.safetensors"), before)


if __name__ == "__main__":
    unittest.main()
