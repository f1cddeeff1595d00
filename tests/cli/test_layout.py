"""`rasae layout`: places on a map that are reproducible and keep neighbors together."""

import support
from support import Case, data, golden, read_safetensors

CHECKPOINT = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")
K = 48


class Layout(Case):
    def setUp(self):
        super().setUp()
        self.model = self.path("fused.safetensors")
        self.good("fuse", CHECKPOINT, "-o", self.model)

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

    def test_a_terminal_shows_how_far_it_is(self):
        shown = self.run_on_terminal(80, "layout", self.model, "-o", self.path("out"))
        self.assertRegex(shown, r"placing the atoms +\d+%")
        self.assertNotIn("placing the atoms", self.good("layout", self.model, "-o", self.path("out")))

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
        self.assertTrue(0.5 < report["trustworthiness"] <= 1)
        self.assertEqual(report["measured_on"], K)
        tensors, _ = read_safetensors(self.model)
        self.assertIn("latents.count", tensors)
        self.assertIn("atoms.layout", tensors)

    def test_words_keep_their_neighbors_better_than_in_a_projection(self):
        self.good("train", data("words.safetensors"), "--concepts", 400, "--points", 400, "--top-k", 16, "--steps",
                  20, "--delta", 1, "--quiet", "--seed", 1, "-o", self.path("words"))
        report = {}
        for method in "neighbors", "pca":
            report[method] = self.good_json("layout", self.path("words"), "-o", self.path("map"), "--method", method,
                                            "--json")
        # builds whose sums have another order come to 4 times as many, or a little less
        self.assertGreater(report["neighbors"]["preserved_neighbors"], 3.5 * report["pca"]["preserved_neighbors"], report)
        self.assertGreater(report["neighbors"]["trustworthiness"], report["pca"]["trustworthiness"], report)

    def test_what_cannot_be_placed(self):
        self.bad(1, "would replace", "layout", CHECKPOINT, "-o", CHECKPOINT)
        self.bad(2, "-o", "layout", self.model)
        self.bad(2, "--method", "layout", self.model, "-o", self.path("x"), "--method", "tsne")


if __name__ == "__main__":
    support.main()
