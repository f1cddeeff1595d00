"""Dictionaries whose atoms are mixtures of a few points (trainer/training/candidates.c, lib/dictionary/mixture): what they
start on, what a checkpoint holds, and points with names of their own."""

import math
import os
import unittest

import support
from support import Case, Tensor, read_safetensors, small_data

ROWS, D, K = 200, 12, 16


class Mixtures(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=ROWS))
        self.out = self.path("out.safetensors")
        self.rows = support.decode("F32", support.encode("F32", small_data(rows=ROWS).values))

    def train(self, *flags, steps="20"):
        command = ["train", self.x, "-o", self.out, "--concepts", K, "--top-k", "2", "--batch-size", "32", "--quiet"]
        self.good(*command, "--steps", steps, "--force", *flags)
        return read_safetensors(self.out)

    def parts(self, tensors):
        """For each atom the points and their weights."""
        index, weight = tensors["dictionary.W.index"], tensors["dictionary.W.weight"]
        most = index.shape[1]
        return [
            [(j, w) for j, w in zip(index.values[k : k + most], weight.values[k : k + most]) if j >= 0]
            for k in range(0, len(index.values), most)
        ]

    def row(self, number):
        return self.rows[number * D : (number + 1) * D]


class Checkpoint(Mixtures):
    def test_an_atom_is_of_few_points_whose_weights_sum_to_one(self):
        for most in ["1", "3", "8"]:
            tensors, metadata = self.train("--mixture", most)
            self.assertEqual(metadata["mixture"], most)
            self.assertEqual(tensors["dictionary.W.index"].shape, [K, int(most)])
            for atom in self.parts(tensors):
                self.assertEqual(len({j for j, _ in atom}), len(atom))
                self.assertGreaterEqual(min(w for _, w in atom), 0)
                self.assertAlmostEqual(sum(w for _, w in atom), 1, places=5)

    def test_the_file_holds_the_rows_that_atoms_have_and_no_others(self):
        tensors, _ = self.train()
        numbers = tensors["dictionary.C.number"].values
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual({j for atom in self.parts(tensors) for j, _ in atom}, set(range(len(numbers))))
        self.assertEqual(tensors["dictionary.C"].values, [v for number in numbers for v in self.row(number)])
        self.assertEqual(tensors["points.rows"].values, numbers)

    def test_delta_in_units_of_the_points_is_kept_as_a_number(self):
        # with a rate of 0 the file holds the rows that atoms started on
        tensors, metadata = self.train("--delta", "0.3x", "--lr", "0", "--init-weights", "permuted")
        numbers = tensors["dictionary.C.number"].values
        norms = [math.sqrt(sum(v * v for v in self.row(number))) for number in numbers]
        self.assertEqual(len(norms), K)
        self.assertAlmostEqual(float(metadata["delta"]), 0.3 * sum(norms) / K, places=5)
        self.assertEqual(metadata["train.delta"], "0.3x")
        tensors, metadata = self.train("--delta", "0.3x", "--hull-share", "0")
        for k in range(K):
            relax = tensors["dictionary.Relax"].values[k * D : (k + 1) * D]
            self.assertLessEqual(math.sqrt(sum(v * v for v in relax)), float(metadata["delta"]) * (1 + 1e-5))

    def test_the_hull_share_is_what_was_asked_for(self):
        support.write_npy(self.x, Tensor("F32", [ROWS, D], support.Random(4).values(ROWS * D)))
        shares = []
        for wanted in ["0", "0.98"]:
            self.train("--hull-share", wanted, "--mixture", "2", steps="3000")
            shares.append(self.good_json("inspect", self.out, "--json")["model"]["hull_share"])
        self.assertLess(shares[0], 0.94)
        self.assertAlmostEqual(shares[1], 0.98, delta=0.01)
        self.good("fuse", self.out, "-o", self.path("fused"))
        info = self.good_json("inspect", self.path("fused"), "--json")["model"]
        self.assertEqual((info["hull_share"], info["coverage"]), (shares[-1], 1))

    def test_without_a_relaxation_atoms_are_their_mixtures(self):
        tensors, metadata = self.train("--delta", "0", steps="200")
        self.assertEqual(set(tensors["dictionary.Relax"].values), {0.0})
        self.good("fuse", self.out, "-o", self.path("fused"))
        D_ = read_safetensors(self.path("fused"))[0]["dictionary"].values
        scale = math.exp(tensors["dictionary.multiplier"].values[0])
        for k, atom in enumerate(self.parts(tensors)):
            numbers = tensors["dictionary.C.number"].values
            mixture = [scale * sum(w * self.row(numbers[j])[i] for j, w in atom) for i in range(D)]
            self.assertClose(D_[k * D : (k + 1) * D], mixture, 1e-5, "atom %d" % k)

    def test_rows_that_are_left_out_keep_their_numbers(self):
        values = small_data(rows=ROWS).values
        values[2 * D] = values[100 * D + 3] = float("nan")
        support.write_npy(self.x, Tensor("F32", [ROWS, D], values))
        tensors, _ = self.train("--skip-bad-rows")
        rows = tensors["points.rows"].values
        self.assertFalse({2, 100} & set(rows))
        self.assertEqual(tensors["dictionary.C"].values, [v for row in rows for v in self.row(row)])
        self.assertGreater(max(rows), 100)
        self.assertFalse({2, 100} & set(tensors["trace.row"].values))


class Starts(Mixtures):
    def started(self, init):
        tensors, metadata = self.train("--lr", "0", "--init-weights", init)
        self.assertEqual(metadata["init"], init)
        numbers = tensors["dictionary.C.number"].values
        return [[(numbers[j], w) for j, w in atom] for atom in self.parts(tensors)]

    def test_on_the_rows_nearest_to_centers_of_k_means(self):
        atoms = self.started("kmeans")
        self.assertEqual({len(atom) for atom in atoms}, {1})
        self.assertEqual(len({atom[0][0] for atom in atoms}), K)

    def test_on_the_first_rows_or_on_random_ones(self):
        self.assertEqual(self.started("eye"), [[(k, 1.0)] for k in range(K)])
        atoms = self.started("permuted")
        self.assertEqual({len(atom) for atom in atoms}, {1})
        self.assertNotEqual([atom[0][0] for atom in atoms], list(range(K)))

    def test_on_mixtures(self):
        self.assertEqual({len(atom) for atom in self.started("random")}, {8})


class NamedPoints(Mixtures):
    """Points that are no rows of the data: the embeddings of words, say."""

    def setUp(self):
        super().setUp()
        self.points = support.write_npy(self.path("points.npy"), Tensor("F32", [30, D], support.Random(3).values(30 * D)))
        self.names = self.write("names.txt", "".join("word %d\n" % j for j in range(30)).encode())

    def test_their_names_come_as_far_as_the_artifact_and_through_a_resumed_run(self):
        flags = ["--points", self.points, "--trace-rows", "0"]
        tensors, metadata = self.train(*flags, "--point-labels", self.names)
        self.assertEqual(metadata["init"], "random")  # in an order that means nothing to the data
        text = bytes(tensors["points.labels"].values)
        self.assertEqual(text, self.read("names.txt"))
        self.good("train", self.x, "--resume", self.out, "-o", self.out, "--steps", "30", "--quiet", "--trace-rows", "0")
        self.assertEqual(bytes(read_safetensors(self.out)[0]["points.labels"].values), text)
        self.good("fuse", self.out, "-o", self.path("fused"))
        for path in [self.out, self.path("fused")]:
            for atom in self.good_json("inspect", path, "--json")["atoms"]:
                self.assertEqual(atom["label_source"], "archetypes")
                for archetype in atom["archetypes"]:
                    self.assertEqual(archetype["label"], "word %d" % archetype["point"])

    def test_dense_dictionaries_keep_them_too(self):
        flags = ["--points", self.points, "--point-labels", self.names, "--mixture", "dense"]
        self.assertEqual(bytes(self.train(*flags)[0]["points.labels"].values), self.read("names.txt"))

    def test_names_that_cannot_be(self):
        few = self.write("few.txt", b"one\ntwo\n")
        command = ["train", self.x, "-o", self.path("o"), "--points", self.points, "--point-labels"]
        self.bad(1, ["few.txt has 2 lines", "30", "points.npy"], *command, few)
        self.bad(1, "no.txt", *command, self.path("no.txt"))
        self.bad(1, "would replace", *command, self.names, "--log", self.names)
        self.bad(2, ["--point-labels", "--points"], "train", self.x, "-o", self.out, "--point-labels", self.names)


class Interrupted(Mixtures):
    def test_while_it_looks_for_rows_to_start_on(self):
        """A run of k-means that is stopped at its first iteration goes on to the bytes of the whole run."""
        flags = ["--kmeans", "minibatch", "--points-iterations", "400"]
        whole = self.train(*flags)
        whole_bytes = self.read("out.safetensors")
        os.remove(self.out)
        # the state that an interrupted run leaves: its settings, no centers yet
        tensors, metadata = whole
        begun = {key: value for key, value in metadata.items() if not key.startswith("train.")}
        begun.update({"train.stage": "points", "train.points": str(ROWS), "delta": "0.5x"})
        for key in ("train.rows", "train.data"):
            begun[key] = metadata[key]
        support.write_safetensors(self.out, {}, begun)
        self.train("--resume", self.out)
        self.assertEqual(self.read("out.safetensors"), whole_bytes)


class Refused(Mixtures):
    def spoil(self, name, change, *texts):
        tensors, metadata = self.train()
        change(tensors[name].values)
        support.write_safetensors(self.out, tensors, metadata)
        self.bad(1, [name, *texts], "train", self.x, "-o", self.path("o"), "--resume", self.out, "--steps", "30")

    def test_numbers_of_rows_that_the_data_does_not_have(self):
        self.spoil("dictionary.C.number", lambda values: values.__setitem__(0, ROWS), "%d rows" % ROWS)

    def test_points_that_are_not_there(self):
        self.spoil("dictionary.W.index", lambda values: values.__setitem__(0, 1000), "1000")

    def test_weights_that_are_none(self):
        self.spoil("dictionary.W.weight", lambda values: values.__setitem__(0, -0.5), "-0.5")

    def test_a_relative_delta_for_what_has_its_points_already(self):
        self.train()
        text = ["delta is 0.3x", "--delta as a number"]
        self.bad(1, text, "train", self.x, "--init", self.out, "-o", self.path("o"), "--delta", "0.3x", "--steps", "2")
        self.bad(1, text, "fuse", self.out, "-o", self.path("o"), "--delta", "0.3x")


if __name__ == "__main__":
    unittest.main()
