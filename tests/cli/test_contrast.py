"""`rasae contrast` (trainer/inspect shows what it saves): the figures of two sets of data, and what is kept of them."""

import math

import support
from support import Case, Tensor, golden, read_npy, read_safetensors

CHECKPOINT = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")
K, D, ROWS = 48, 16, 1280


class Contrast(Case):
    def setUp(self):
        super().setUp()
        self.model = self.path("fused.safetensors")
        self.good("fuse", CHECKPOINT, "-o", self.model)
        self.good("encode", self.model, DATA, "-o", self.path("z.npy"))
        self.z = read_npy(self.path("z.npy")).values
        x = read_npy(DATA).values
        self.rows = [x[D * r : D * r + D] for r in range(ROWS)]
        self.k = max(range(K), key=lambda k: sum(z > 0 for z in self.z[k::K]))
        self.a = [r for r in range(ROWS) if self.z[K * r + self.k] > 0 or r % 3 == 0]
        self.b = [r for r in range(ROWS) if r not in set(self.a)]
        self.file_a, self.file_b = self.write_rows("a.npy", self.a), self.write_rows("b.npy", self.b)

    def write_rows(self, name, rows, shape=None):
        values = [v for r in rows for v in self.rows[r]]
        return support.write_npy(self.path(name), Tensor("F32", shape or [len(rows), D], values))

    def contrast(self, *flags):
        return self.good_json("contrast", self.model, self.file_a, "--", self.file_b, "--json", *flags)

    def test_the_figures_are_those_of_the_codes(self):
        report = self.contrast()
        tensors, _ = read_safetensors(self.model)
        self.assertEqual((report["a"]["rows"], report["b"]["rows"]), (len(self.a), len(self.b)))
        self.assertEqual(sorted(one["atom"] for one in report["latents"]), list(range(K)))
        tested = 0
        for one in report["latents"]:
            k = one["atom"]
            norm = math.hypot(*tensors["dictionary"].values[D * k : D * k + D])
            for side, rows in ("a", self.a), ("b", self.b):
                codes = [self.z[K * r + k] for r in rows]
                self.assertClose([one["energy"][side]], [sum(codes) / len(rows) * norm], 1e-5)
                self.assertClose([one["frequency"][side]], [sum(c != 0 for c in codes) / len(rows)], 1e-5)
            for what in "energy", "frequency":
                figures = one[what]
                self.assertAlmostEqual(figures["difference"], figures["a"] - figures["b"], places=5)
                if figures["low"] is not None:
                    self.assertLessEqual(figures["low"], figures["difference"])
                    self.assertLessEqual(figures["difference"], figures["high"])
            tested += one["energy"]["low"] is not None
        self.assertEqual(report["intervals"], 2 * tested)
        self.assertEqual(report["confidence"], 0.95)

    def test_the_surest_differences_come_first(self):
        report = self.contrast()
        self.assertEqual(report["latents"][0]["atom"], self.k)  # which the sets were chosen by
        least = [max(one["energy"]["low"] or 0, 0) + min(one["energy"]["high"] or 0, 0) for one in report["latents"]]
        self.assertEqual(least, sorted(least, reverse=True))
        self.assertEqual(report["more_in_a"], sum(value > 0 for value in least))
        self.assertEqual(report["more_in_b"], sum(value < 0 for value in least))
        text = self.good("contrast", self.model, self.file_a, "--", self.file_b, "--a", "five", "--latents", "1")
        self.assertIn("five (", text)
        self.assertIn("All %d intervals hold at once" % report["intervals"], text)
        self.assertEqual(text.count("  latent "), (report["more_in_a"] > 0) + (report["more_in_b"] > 0))
        self.assertIn("  latent %d " % self.k, text)

    def test_intervals_that_hold_at_once_are_wider(self):
        at_once, each, surer = [
            {one["atom"]: one["energy"] for one in self.contrast(*flags)["latents"]}
            for flags in [(), ("--each",), ("--each", "--confidence", "0.99")]]
        for k in range(K):
            if each[k]["low"] is None:
                continue
            width = lambda figures: figures["high"] - figures["low"]
            self.assertLess(width(each[k]), width(surer[k]))
            self.assertLess(width(surer[k]), width(at_once[k]))
        self.assertEqual(self.contrast("--each")["intervals"], 1)

    def test_sets_of_the_same_data_do_not_differ(self):
        report = self.good_json("contrast", self.model, DATA, "--", DATA, "--json")
        self.assertEqual((report["more_in_a"], report["more_in_b"]), (0, 0))
        for one in report["latents"]:
            self.assertEqual(one["energy"]["difference"], 0)

    def test_it_is_kept_under_its_name_beside_others(self):
        self.good("eval", self.model, DATA, "--save", self.model, "--basic")
        before, _ = read_safetensors(self.model)
        # flags may stand on either side of the --
        self.good("contrast", self.model, self.file_a, "--name", "first", "--", self.file_b, "-o", self.model)
        self.good("contrast", self.model, self.file_b, "--", self.file_a, "-o", self.model, "--a", "the rest")
        tensors, metadata = read_safetensors(self.model)
        for name, tensor in before.items():
            self.assertEqual(tensors[name].values, tensor.values, name)
        self.assertEqual(metadata["contrasts.first.a"], self.file_a)
        self.assertEqual(metadata["contrasts.contrast.a"], "the rest")
        self.assertEqual(metadata["contrasts.first.rows"], "%d,%d" % (len(self.a), len(self.b)))
        first, second = tensors["contrasts.first.energy"], tensors["contrasts.contrast.energy"]
        self.assertEqual(first.shape, [K, 5])
        self.assertEqual(first.values[::5], second.values[1::5])
        for one, other in zip(first.values[2::5], second.values[2::5]):
            self.assertAlmostEqual(one, -other)
        report = self.good_json("inspect", self.model, "--json", "--atoms", "0")
        self.assertEqual([one["name"] for one in report["contrasts"]], ["contrast", "first"])
        self.assertEqual(report["contrasts"][1]["b"], {"name": self.file_b, "rows": len(self.b), "units": len(self.b)})
        self.assertIn("contrast first: ", self.good("inspect", self.model))
        self.good("fuse", self.model, "-o", self.path("half"), "--dtype", "f16")
        self.assertEqual(read_safetensors(self.path("half"))[0]["contrasts.first.energy"].values, first.values)

    def test_rows_of_an_item_are_one_observation(self):
        """Of [n, tokens, d] the units are the n items, so intervals are wider than for as many rows."""
        items = self.write_rows("items.npy", range(640), [10, 64, D])
        report = self.good_json("contrast", self.model, items, "--", self.file_b, "--json")
        self.assertEqual((report["a"]["rows"], report["a"]["units"]), (640, 10))
        self.assertEqual(report["b"]["units"], len(self.b))
        self.assertIn("640 rows of 10 items", self.good("contrast", self.model, items, "--", self.file_b))

    def test_the_same_for_any_number_of_threads_and_files(self):
        half = len(self.a) // 2
        parts = [self.write_rows("part%d.npy" % i, rows) for i, rows in enumerate([self.a[:half], self.a[half:]])]
        self.good("contrast", self.model, self.file_a, "--", self.file_b, "-o", self.path("one"), "--a", "x", "--threads", 1)
        self.good("contrast", self.model, *parts, "--", self.file_b, "-o", self.path("two"), "--a", "x", "--threads", 3)
        self.assertEqual(self.read("one"), self.read("two"))

    def test_what_is_wrong_is_said(self):
        for arguments in ([self.file_a, self.file_b, DATA], ["--", self.file_a, self.file_b], [self.file_a, self.file_b, "--"],
                          [self.file_a, "--", self.file_b, "--", DATA]):
            self.bad(2, "needs MODEL, the files of A, -- and the files of B", "contrast", self.model, *arguments)
        self.bad(1, ["\"a b\"", "letters"], "contrast", self.model, self.file_a, "--", self.file_b, "--name", "a b")
        b = self.write("b", self.read("b.npy"))
        self.bad(1, "would replace", "contrast", self.model, self.file_a, "--", b, "-o", b)
        self.bad(1, "would replace", "contrast", CHECKPOINT, self.file_a, "--", self.file_b, "-o", CHECKPOINT)
        self.bad(1, "nowhere.npy", "contrast", self.model, self.file_a, "--", self.path("nowhere.npy"))
        self.bad(2, "--confidence", "contrast", self.model, self.file_a, "--", self.file_b, "--confidence", "2")
        before = self.read("fused.safetensors")
        self.bad(1, "fused.safetensors", "contrast", self.model, self.file_a, "--", self.file_b, "-o", self.model,
                 preexec_fn=support.disk_of(4096))
        self.assertEqual(self.read("fused.safetensors"), before)
        bare = support.write_safetensors(self.path("bare"), {"dictionary": Tensor("F32", [1, D], [1.0] * D)})
        self.bad(1, "no encoder", "contrast", bare, self.file_a, "--", self.file_b)
        self.assertIn("Usage", self.good("contrast", "--", "--help"))


if __name__ == "__main__":
    support.main()
