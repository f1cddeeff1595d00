"""rasae eval --save, --classes, --directions and --memory, rasae layout, and rasae compare of several: held
against plain loops over what `rasae encode` says."""

import math
import os
import unittest

import support
from support import Case, Tensor, data, decode, encode, golden, read_npy, read_safetensors

CHECKPOINT = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")
ROWS, K = 1280, 48


class Saved(Case):
    """The golden model, fused, with the statistics of its latents."""

    def setUp(self):
        super().setUp()
        self.model = self.path("fused.safetensors")
        self.good("fuse", CHECKPOINT, "-o", self.model)
        self.good("encode", self.model, DATA, "-o", self.path("z.npy"))
        self.z = read_npy(self.path("z.npy")).values

    def column(self, k):
        return self.z[k::K]


class Statistics(Saved):
    def test_the_saved_statistics_are_those_of_the_codes(self):
        self.good("eval", self.model, DATA, "--save", self.path("measured"), "--examples", "5")
        tensors, metadata = read_safetensors(self.path("measured"))
        self.assertEqual(metadata["latents.rows"], str(ROWS))
        norms = [math.hypot(*tensors["dictionary"].values[16 * k : 16 * k + 16]) for k in range(K)]
        self.assertEqual(tensors["latents.top_row"].shape, [K, 5])
        for k in range(K):
            column = self.column(k)
            active = [value for value in column if value]
            self.assertEqual(tensors["latents.count"].values[k], len(active))
            mean, energy = sum(active) / max(len(active), 1), sum(column) / ROWS * norms[k]
            self.assertClose([tensors["latents.mean"].values[k]], [mean], 1e-5)
            self.assertClose([tensors["latents.max"].values[k]], [max(column)], 0)
            self.assertClose([tensors["latents.energy"].values[k]], [energy], 1e-5)
            order = sorted(range(ROWS), key=lambda row: (-column[row], row))[: min(5, len(active))]
            rows = tensors["latents.top_row"].values[5 * k : 5 * k + 5]
            self.assertEqual(rows, order + [-1] * (5 - len(order)))
            top, bins = tensors["latents.histogram_top"].values[k], [0] * 50
            for value in active:
                bins[int(value * 50 / top)] += 1
            self.assertEqual(tensors["latents.histogram"].values[50 * k : 50 * k + 50], bins)

    def test_an_artifact_takes_its_statistics_in_place(self):
        before, _ = read_safetensors(self.model)
        report = self.good_json("eval", self.model, DATA, "--save", self.model, "--json")
        after, _ = read_safetensors(self.model)
        for name, tensor in before.items():
            self.assertEqual(after[name].values, tensor.values, name)
        self.assertIn("latents.count", after)
        self.assertEqual(sorted(os.listdir(self.folder)), ["fused.safetensors", "z.npy"])
        again = self.good_json("eval", self.model, DATA, "--json")
        self.assertEqual(report, again)
        self.good("fuse", self.model, "-o", self.path("half"), "--dtype", "f16")
        self.assertEqual(read_safetensors(self.path("half"))[0]["latents.count"].values,
                         after["latents.count"].values)

    def test_examples_carry_labels(self):
        self.write("labels", "".join("row %d\n" % row for row in range(ROWS)).encode())
        self.good("eval", self.model, DATA, "--labels", self.path("labels"), "--save", self.path("measured"))
        tensors, _ = read_safetensors(self.path("measured"))
        lines = bytes(tensors["latents.top_labels"].values).decode().split("\n")
        for k in range(K):
            rows = tensors["latents.top_row"].values[16 * k : 16 * k + 16]
            self.assertEqual(lines[k].split("\t"), ["row %d" % row if row >= 0 else "" for row in rows])

    def test_rows_that_are_skipped_keep_their_numbers(self):
        x = read_npy(DATA).values[: 40 * 16]
        for row in 0, 7, 8:
            x[16 * row] = math.nan
        support.write_npy(self.path("x.npy"), Tensor("F32", [40, 16], x))
        self.write("labels", "".join("row %d\n" % row for row in range(40)).encode())
        self.write("classes", ("a\n" * 8 + "b\n" * 32).encode())
        report = self.good_json("eval", self.model, self.path("x.npy"), "--skip-bad-rows", "--save",
                                self.path("m"), "--labels", self.path("labels"), "--classes",
                                self.path("classes"), "--json")
        tensors, metadata = read_safetensors(self.path("m"))
        self.assertEqual((report["rows"], metadata["latents.rows"]), (37, "37"))
        lines = bytes(tensors["latents.top_labels"].values).decode().split("\n")
        seen = set()
        for k in range(K):
            rows = [row for row in tensors["latents.top_row"].values[16 * k : 16 * k + 16] if row >= 0]
            self.assertEqual([one for one in lines[k].split("\t") if one], ["row %d" % row for row in rows])
            for row, value in zip(rows, tensors["latents.top_value"].values[16 * k :]):
                self.assertAlmostEqual(value, self.column(k)[row], places=5)
            seen.update(rows)
        self.assertFalse(seen & {0, 7, 8})
        self.assertIn(39, seen)

    def test_what_cannot_be_saved(self):
        self.bad(1, "would replace", "eval", CHECKPOINT, DATA, "--save", CHECKPOINT)
        self.bad(1, "would replace", "eval", self.model, DATA, "--save", DATA)
        self.bad(1, "nowhere", "eval", self.model, DATA, "--save", self.path("nowhere/file"))
        self.write("labels", b"one\ntwo\n")
        self.bad(1, ["2 lines", "1280"], "eval", self.model, DATA, "--labels", self.path("labels"))

    def test_the_strongest_are_listed(self):
        report = self.good_json("eval", self.model, DATA, "--json")
        energies = [one["energy"] for one in report["strongest"]]
        self.assertEqual(energies, sorted(energies, reverse=True))
        self.assertEqual(len(energies), 10)
        first = report["strongest"][0]
        active = [value for value in self.column(first["latent"]) if value]
        self.assertAlmostEqual(first["frequency"], len(active) / ROWS)
        self.assertIn("latent %d " % first["latent"], self.good("eval", self.model, DATA))


class Metrics(Saved):
    def test_pairs_of_latents(self):
        tensors, _ = read_safetensors(self.model)
        D = [tensors["dictionary"].values[16 * k : 16 * k + 16] for k in range(K)]
        columns = [self.column(k) for k in range(K)]
        dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        together = correlation = interference = 0
        means = [sum(column) / ROWS for column in columns]
        G = [[dot(columns[i], columns[j]) for j in range(K)] for i in range(K)]
        deviations = [math.sqrt(max(G[i][i] - ROWS * means[i] ** 2, 0) / (ROWS - 1)) for i in range(K)]
        for i in range(K):
            for j in range(K):
                together += G[i][j] != 0
                interference += max(-G[i][j] * dot(D[i], D[j]), 0) ** 2
                if i != j:
                    covariance = (G[i][j] - ROWS * means[i] * means[j]) / (ROWS - 1)
                    correlation = max(correlation, abs(covariance) / (deviations[i] * deviations[j] + 1e-6))
        for memory in "1024", "1":
            report = self.good_json("eval", self.model, DATA, "--json", "--memory", memory)
            self.assertClose([report["connectivity"]], [1 - together / K**2], 1e-12)
            self.assertClose([report["negative_interference_frobenius"]], [math.sqrt(interference)], 1e-5)
            self.assertClose([report["max_correlation"]], [correlation], 1e-6)
            self.assertLessEqual(report["negative_interference"], math.sqrt(interference) * (1 + 1e-5))

    def test_several_passes_give_the_same(self):
        """1 MiB holds less than half of the products of 400 latents."""
        words = data("words.safetensors")
        self.good("train", words, "--concepts", 400, "--points", 400, "--top-k", 8, "--steps", 3, "--delta", 1,
                  "--quiet", "-o", self.path("c"))
        whole = self.good_json("eval", self.path("c"), words, "--json")
        pieces = self.good_json("eval", self.path("c"), words, "--json", "--memory", "1")
        for name in "connectivity", "max_correlation", "negative_interference_frobenius", "r2", "ood", "l0":
            self.assertClose([pieces[name]], [whole[name]], 1e-9, name)
        self.assertIsNone(pieces["negative_interference"])
        self.assertIn("80200 products", pieces["skipped"]["negative_interference"])
        self.assertLess(pieces["wasserstein_rows"], whole["wasserstein_rows"])
        self.assertIn("skipped", self.good("eval", self.path("c"), words, "--memory", "1"))

    def test_classes_and_directions(self):
        names = ["even" if row % 2 == 0 else "odd" for row in range(ROWS)]
        self.write("classes", "\n".join(names).encode())
        tensors, _ = read_safetensors(self.model)
        directions = Tensor("F32", [2, 16], tensors["dictionary"].values[: 16] + [0.0] * 15 + [1.0])
        support.write_npy(self.path("directions.npy"), directions)
        report = self.good_json("eval", self.model, DATA, "--json", "--classes", self.path("classes"),
                                "--directions", self.path("directions.npy"))
        self.assertEqual(report["skipped"], {})
        best = max(tensors["dictionary"].values[16 * k + 15] /
                   math.hypot(*tensors["dictionary"].values[16 * k : 16 * k + 16]) for k in range(K))
        self.assertClose([report["plausibility"]], [(1 + best) / 2], 1e-5)
        self.assertEqual([one["class"] for one in report["classes"]], ["even", "odd"])
        for one in report["classes"]:
            if one["threshold"] is None:
                continue
            told = [value > one["threshold"] for value in self.column(one["latent"])]
            right = sum(a == (name == one["class"]) for a, name in zip(told, names)) / ROWS
            self.assertAlmostEqual(right, one["accuracy"], places=9)
        mean = sum(one["accuracy"] for one in report["classes"]) / 2
        self.assertAlmostEqual(report["identifiability"], mean, places=12)
        self.assertIn("even: ", self.good("eval", self.model, DATA, "--classes", self.path("classes")))

    def test_digits_are_told_by_single_latents(self):
        digits = data("digits.npy")
        self.good("train", digits, "--concepts", 64, "--points", 64, "--top-k", 8, "--steps", 40, "--delta", 1,
                  "--seed", 1, "--quiet", "-o", self.path("c"))
        report = self.good_json("eval", self.path("c"), digits, "--classes", data("digits.txt"), "--json")
        self.assertEqual([one["class"] for one in report["classes"]], list("0123456789"))
        for one in report["classes"]:
            self.assertGreaterEqual(one["accuracy"], 0.89)  # nine tenths of the rows are not of a class

    def test_what_does_not_fit(self):
        self.write("classes", b"a\nb\n")
        self.bad(1, ["2 lines", "1280"], "eval", self.model, DATA, "--classes", self.path("classes"))
        self.write("classes", b"a\n" * 7 + b"\n" + b"a\n" * (ROWS - 8))
        self.bad(1, ["line 8 is empty"], "eval", self.model, DATA, "--classes", self.path("classes"))
        support.write_npy(self.path("narrow.npy"), Tensor("F32", [1, 3], [1.0] * 3))
        self.bad(1, ["narrow.npy", "3 dimensions"], "eval", self.model, DATA, "--directions",
                 self.path("narrow.npy"))
        self.bad(2, "--memory", "eval", self.model, DATA, "--memory", "0")

    def test_the_basic_ones_are_enough_for_some(self):
        report = self.good_json("eval", self.model, DATA, "--json", "--basic")
        whole = self.good_json("eval", self.model, DATA, "--json")
        for name in "connectivity", "wasserstein_1d", "frechet_distance", "effective_rank":
            self.assertIsNone(report[name])
            self.assertIn("basic", report["skipped"][name])
            self.assertIsNotNone(whole[name])
        self.assertEqual(report["r2"], whole["r2"])


class Layout(Saved):
    def places(self, path):
        tensors, _ = read_safetensors(path)
        self.assertEqual(tensors["atoms.layout"].shape, [K, 2])
        return tensors["atoms.layout"].values

    def test_neighbors_and_pca(self):
        for method in "neighbors", "pca":
            text = self.good("layout", self.model, "-o", self.path(method), "--method", method)
            self.assertIn("48 atoms placed by " + method, text)
            places = self.places(self.path(method))
            self.assertEqual(max(map(abs, places)), 1)
            self.assertAlmostEqual(sum(places[::2]), 0, places=4)
        self.assertNotEqual(self.places(self.path("neighbors")), self.places(self.path("pca")))

    def test_the_same_seed_gives_the_same_file(self):
        for name, seed, threads in ("a", 1, 1), ("b", 1, 3), ("c", 2, 1):
            self.good("layout", CHECKPOINT, "-o", self.path(name), "--seed", seed, "--threads", threads)
        self.assertEqual(self.read("a"), self.read("b"))
        self.assertNotEqual(self.read("a"), self.read("c"))

    def test_in_place_beside_the_statistics(self):
        self.good("eval", self.model, DATA, "--save", self.model)
        report = self.good_json("layout", self.model, "-o", self.model, "--json")
        self.assertEqual((report["concepts"], report["method"]), (K, "neighbors"))
        self.assertTrue(0 < report["preserved_neighbors"] <= 1)
        tensors, _ = read_safetensors(self.model)
        self.assertIn("latents.count", tensors)
        self.assertIn("atoms.layout", tensors)

    def test_words_keep_their_neighbors_better_than_in_a_projection(self):
        self.good("train", data("words.safetensors"), "--concepts", 400, "--points", 400, "--top-k", 16, "--steps",
                  20, "--delta", 1, "--quiet", "--seed", 1, "-o", self.path("words"))
        kept = {}
        for method in "neighbors", "pca":
            report = self.good_json("layout", self.path("words"), "-o", self.path("map"), "--method", method,
                                    "--json")
            kept[method] = report["preserved_neighbors"]
        self.assertGreater(kept["neighbors"], 2 * kept["pca"], kept)

    def test_what_cannot_be_placed(self):
        self.bad(1, "would replace", "layout", CHECKPOINT, "-o", CHECKPOINT)
        self.bad(2, "-o", "layout", self.model)
        self.bad(2, "--method", "layout", self.model, "-o", self.path("x"), "--method", "tsne")


class Compare(Case):
    def dictionary(self, name, values, metadata=None, points=None):
        tensors = {"dictionary": Tensor("F32", [len(values) // 4, 4], decode("F32", encode("F32", values)))}
        if points:
            tensors["points.vectors"] = Tensor("F32", [len(points) // 4, 4], points)
        return support.write_safetensors(self.path(name), tensors, metadata)

    def test_several_give_the_matrix(self):
        random = support.Random(3)
        paths = [self.dictionary(name, random.values(24)) for name in "abc"]
        report = self.good_json("compare", *paths, "--json")
        pairs = [(0, 1), (0, 2), (1, 2)]
        self.assertEqual([(pair["a"], pair["b"]) for pair in report["pairs"]], pairs)
        for name in "stability", "stability_unsigned", "stability_centered":
            values = []
            for pair, (a, b) in zip(report["pairs"], pairs):
                two = self.good_json("compare", paths[a], paths[b], "--json")
                self.assertEqual(pair[name], two[name])
                self.assertEqual(pair["match"], two["match"])
                for i, j in (a, b), (b, a):
                    self.assertEqual(report["matrix"][name][i][j], two[name])
                values.append(two[name])
            self.assertEqual([report["matrix"][name][i][i] for i in range(3)], [1, 1, 1])
            mean = sum(values) / 3
            self.assertAlmostEqual(report["mean"][name], mean, places=12)
            deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
            self.assertAlmostEqual(report["deviation"][name], deviation, places=12)
        text = self.good("compare", *paths)
        self.assertIn("stability: %.4f +- %.4f over 3 pairs" % (report["mean"]["stability"],
                                                               report["deviation"]["stability"]), text)

    def test_how_each_began_is_said(self):
        values = support.Random(1).values(24)
        a = self.dictionary("a", values, {"init": "permuted", "seed": "7"}, [1.0, 2, 3, 4, 5, 6, 7, 8])
        b = self.dictionary("b", values, {"seed": "8"}, [5.0, 6, 7, 8, 1, 2, 3, 4])
        text = self.good("compare", a, b)
        self.assertIn("init permuted, seed 7, 2 points", text)
        self.assertIn("init not said in the file, seed 8", text)
        self.assertIn("0 of 2 candidate points are the same in both, and 2 more stand at other places", text)
        report = self.good_json("compare", a, b, "--json")
        self.assertEqual([(one["init"], one["seed"]) for one in report["models"]],
                         [("permuted", "7"), (None, "8")])
        self.assertEqual((report["shared_points"], report["shared_points_in_any_order"]), (0, 2))
        self.good("fuse", a, "-o", self.path("again"))
        self.assertIn("init permuted, seed 7", self.good("compare", self.path("again"), b))
        bare = self.dictionary("c", values)
        self.assertIn("cannot be told", self.good("compare", a, bare))

    def test_a_trained_model_says_its_seed_through_the_fuse(self):
        self.good("train", data("digits.npy"), "--concepts", 16, "--points", 16, "--top-k", 4, "--steps", 2,
                  "--delta", 1, "--seed", 5, "--quiet", "-o", self.path("c"))
        self.good("fuse", self.path("c"), "-o", self.path("f"))
        models = self.good_json("compare", self.path("c"), self.path("f"), "--json")["models"]
        self.assertEqual([one["seed"] for one in models], ["5", "5"])

    def test_all_have_the_same_shape(self):
        values = support.Random(1).values(24)
        a, b = self.dictionary("a", values), self.dictionary("b", values)
        c = self.dictionary("c", values[:20])
        self.bad(1, ["6 atoms of 4", "5 of 4"], "compare", a, b, c)
        self.bad(2, "two dictionaries or more", "compare", a)


if __name__ == "__main__":
    support.main()
