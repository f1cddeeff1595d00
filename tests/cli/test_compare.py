"""`rasae compare` (trainer/compare, trainer/training/start.c, lib/metrics/{overlap,floor}.c): two dictionaries and several, permutations and signs, how each began."""

import math

import support
from support import Case, Tensor, data, decode, encode, golden, read_safetensors

CHECKPOINT = golden("topk-mse.final.safetensors")


class Compare(Case):
    def test_a_dictionary_is_itself(self):
        self.good("fuse", CHECKPOINT, "-o", self.path("fused"))
        result = self.good_json("compare", CHECKPOINT, self.path("fused"), "--json")
        for name in ["stability_with_flips", "stability_without_flips", "stability_centered"]:
            self.assertAlmostEqual(result[name], 1, places=5)
        self.assertEqual((result["share_over_90"], result["share_over_70"]), (1, 1))
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
        self.assertAlmostEqual(result["stability_with_flips"], 1, places=5)
        self.assertLess(result["stability_without_flips"], 1 - 1e-3)
        self.assertAlmostEqual(result["share_over_90"], 1, delta=0.1)
        self.assertLess(result["share_over_90"], 1)
        self.assertNotIn("shared_points", result)
        self.assertIn("PW-MCC", self.good("compare", self.path("a"), self.path("b")))

    def test_the_agreement_with_the_others_can_be_kept(self):
        other = golden("topk-mse-tied.final.safetensors")
        for level in ["0.7", "0.2"]:
            self.good("compare", CHECKPOINT, CHECKPOINT, other, "-o", self.path("kept"), "--level", level)
            tensors, metadata = read_safetensors(self.path("kept"))
            cosines = self.good_json("compare", CHECKPOINT, other, "--json")["match_cosine"]
            self.assertEqual((metadata["agreement.runs"], float(metadata["agreement.level"])), ("2", float(level)))
            self.assertClose(tensors["agreement.cosine"].values, [(1 + c) / 2 for c in cosines], 1e-5)
            self.assertEqual(tensors["agreement.share"].values, [(1 + (c >= float(level))) / 2 for c in cosines])
        self.bad(1, ["topk-mse.final"], "compare", CHECKPOINT, other, "-o", CHECKPOINT)

    def test_a_terminal_shows_how_far_it_is(self):
        other = golden("topk-mse-tied.final.safetensors")
        shown = self.run_on_terminal(80, "compare", CHECKPOINT, other, CHECKPOINT)
        for pair in 1, 2, 3:
            self.assertRegex(shown, r"comparing pair %d of 3 +\d+%%" % pair)
        self.assertNotIn("comparing pair", self.good("compare", CHECKPOINT, other))

    def test_the_caveat_is_always_said(self):
        text = self.good("compare", CHECKPOINT, CHECKPOINT)
        for part in [
            "a shared start",
            "--floor",
            "stability_centered",
            "60 of 60 candidate points are the same",
        ]:
            self.assertIn(part, text.replace("\n  ", " "))
        self.assertIn("a shared start", self.good_json("compare", CHECKPOINT, CHECKPOINT, "--json")["caveat"])

    def test_the_floor_is_that_of_untrained_dictionaries(self):
        """Two sets of as many random directions as there are atoms, and of random rows of the data."""
        model, x = golden("topk-mse.final.safetensors"), golden("topk-mse.x.npy")
        report = self.good_json("compare", model, model, "--json")
        self.assertNotIn("floor", report)
        floor = self.good_json("compare", model, model, "--json", "--floor")["floor"]
        self.assertTrue(0.2 < floor["random_directions"] < 0.6, floor)  # 48 directions in 16 dimensions
        self.assertIsNone(floor["random_rows"])
        again = self.good_json("compare", model, model, "--json", "--floor", "--data", x)["floor"]
        self.assertEqual(again["random_directions"], floor["random_directions"])
        self.assertTrue(floor["random_directions"] < again["random_rows"] < 1, again)  # sets of rows overlap
        self.assertIn("for as many random rows", self.good("compare", model, model, "--floor", "--data", x))

    def test_codes_on_data_are_compared(self):
        x, other = golden("topk-mse.x.npy"), golden("topk-mse-tied.final.safetensors")
        same = self.good_json("compare", CHECKPOINT, CHECKPOINT, "--data", x, "--json")
        self.assertEqual(same["codes"], 1)
        report = self.good_json("compare", CHECKPOINT, other, "--data", x, "--json")
        active = []
        for model in CHECKPOINT, other:
            self.good("encode", model, x, "-o", self.path("z.npy"))
            z = support.read_npy(self.path("z.npy"))
            active.append([{r for r in range(z.shape[0]) if z.values[r * 48 + k]} for k in range(48)])
        pairs = [(active[0][k], active[1][j]) for k, j in enumerate(report["match"])]
        shares = [len(a & b) / len(a | b) for a, b in pairs if a | b]
        self.assertAlmostEqual(report["codes"], sum(shares) / len(shares), places=6)
        self.assertIn("both are on ", self.good("compare", CHECKPOINT, other, "--data", x))
        self.assertIsNone(self.good_json("compare", CHECKPOINT, other, "--json")["codes"])
        self.bad(1, ["nothing.npy"], "compare", CHECKPOINT, other, "--data", "nothing.npy")

    def test_how_alike_runs_began_is_said(self):
        x = support.write_npy(self.path("x.npy"), support.small_data(rows=200))
        for name, flags in [("a", []), ("b", ["--points-seed", "1"]), ("c", ["--seed", "2"])]:
            self.good("train", x, "-o", self.path(name), "--dictionary-kind", "l2", "--init-weights", "points", "--points", "12",
                      "--concepts", "12", "--top-k", "3", "--steps", "30", "--quiet", *flags)
        same = self.good_json("compare", self.path("a"), self.path("c"), "--json")
        self.assertAlmostEqual(same["starts"], 1, places=5)  # the same points in another order
        self.assertLess(same["stability_without_flips"], 1)
        other = self.good_json("compare", self.path("a"), self.path("b"), "--json")
        self.assertLess(other["starts"], 1 - 1e-4)
        self.assertIn("before the first step the mean cosine of matched atoms was 1.0", self.good("compare", self.path("a"), self.path("c")))
        self.assertIsNone(self.good_json("compare", CHECKPOINT, CHECKPOINT, "--json")["starts"])

    def test_what_cannot_be_compared(self):
        other = golden("dict-basic.checkpoint.safetensors")
        self.bad(1, ["48 atoms of 16", "24 of 16"], "compare", CHECKPOINT, other)


class Several(Case):
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
        for name in "stability_with_flips", "stability_without_flips", "stability_centered":
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
        self.assertIn("stability_with_flips: %.4f +- %.4f over 3 pairs" % (report["mean"]["stability_with_flips"],
                                                               report["deviation"]["stability_with_flips"]), text)

    def test_how_each_began_is_said(self):
        values = support.Random(1).values(24)
        a = self.dictionary("a", values, {"init": "permuted", "seed": "7"}, [1.0, 2, 3, 4, 5, 6, 7, 8])
        b = self.dictionary("b", values, {"seed": "8"}, [5.0, 6, 7, 8, 1, 2, 3, 4])
        text = self.good("compare", a, b)
        self.assertIn("init permuted, seed 7, 2 points", text)
        self.assertIn("init unknown, seed 8", text)
        self.assertIn("0 of 2 candidate points are the same in both, and 2 more are in both at different positions", text)
        report = self.good_json("compare", a, b, "--json")
        self.assertEqual([(one["init"], one["seed"]) for one in report["models"]],
                         [("permuted", "7"), (None, "8")])
        self.assertEqual((report["shared_points"], report["shared_points_in_any_order"]), (0, 2))
        self.good("fuse", a, "-o", self.path("again"))
        self.assertIn("init permuted, seed 7", self.good("compare", self.path("again"), b))
        bare = self.dictionary("c", values)
        self.assertIn("points is unknown", self.good("compare", a, bare))

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
