"""What the server computes for a dashboard, through the Python client, against NumPy on the same codes and vectors: the query and
the table of atoms, searches of every kind, co-firing, quantiles, items, contrasts, points."""

import environment

environment.enter()

import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from environment import PROGRAM, TOP, Daemon

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

from rasae import Client  # noqa: E402

from daemon import golden  # noqa: E402

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
WORDS = ("red fox", "telescope", "telephone", "blue", "green fox")
PARTS, ITEMS, QUANTILES, LEAST = 16, 3, 4, 5  # rows of an item; what is kept; the fewest common rows


class BruteForce(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="rasaed-brute-"))
        cls.x = np.load(golden("topk-mse.x.npy")).astype("f4")
        cls.labels = np.array([WORDS[(row // 7) % len(WORDS)] for row in range(len(cls.x))])
        path, rows, text = (os.path.join(folder, name) for name in ("topk.safetensors", "rows.npy", "labels.txt"))
        sides = [os.path.join(folder, name) for name in ("a.npy", "b.npy")]
        np.save(rows, cls.x.reshape(-1, PARTS, cls.x.shape[1]))
        cls.in_a = cls.x[:, 0] > 0.3
        for side, chosen in zip(sides, (cls.in_a, ~cls.in_a)):
            np.save(side, cls.x[chosen])
        with open(text, "w", encoding="utf-8") as file:
            file.write("\n".join(cls.labels) + "\n")
        for command in (["fuse", golden("topk-mse.final.safetensors"), "-o", path], ["layout", path, "-o", path, "--method", "pca"],
                        ["eval", path, rows, "--layout", "rows", "--labels", text, "--item-shape", "4x4", "--items", ITEMS,
                         "--quantiles", QUANTILES, "--basic", "--save", path],
                        ["contrast", path, sides[0], "--", sides[1], "--name", "sides", "-o", path]):
            subprocess.run([RASAE, *map(str, command)], check=True, capture_output=True, timeout=240)
        daemon = cls.enterClassContext(Daemon("--dictionary", "topk=" + path))
        cls.client = cls.enterClassContext(Client("http://%s:%d" % daemon.address))
        cls.topk = cls.client.dictionary("topk")
        cls.D = cls.topk.matrix()
        cls.norms = np.linalg.norm(cls.D.astype("f8"), axis=1)
        codes = cls.topk.encode(cls.x)
        cls.z = codes.to_dense().astype("f8")
        cls.count = (cls.z != 0).sum(axis=0)
        cls.energy = np.abs(cls.z).mean(axis=0) * cls.norms
        cls.K = len(cls.D)
        cls.atoms = cls.topk.atoms()

    def matches(self, words):
        """Where each atom has them: 0 its own label, 1 its archetypes, 2 its rows; 3 nowhere."""
        def has(label):
            found = (label or "").replace(",", " ").replace("+", " ").lower().split()
            return all(any(one.startswith(word) for one in found) for word in words.lower().split())
        places = []
        for atom in self.atoms:
            kinds = ([atom.label], [one.label for one in atom.archetypes], [one.label for one in (*atom.trace.rows, *atom.statistics.top)]
                     if atom.trace else [one.label for one in atom.statistics.top])
            places.append(next((kind for kind, labels in enumerate(kinds) if any(map(has, labels))), 3))
        return np.array(places)

    def test_the_table(self):
        table = self.topk.table()
        largest = self.z.max(axis=0)
        mean = np.divide(self.z.sum(axis=0), self.count, out=np.zeros(self.K), where=self.count > 0)
        for name, wanted in (("index", np.arange(self.K)), ("count", self.count), ("frequency", self.count / len(self.z)),
                             ("energy", self.energy), ("max", largest), ("mean", mean), ("norm", self.norms)):
            np.testing.assert_allclose(table[name].astype("f8"), wanted, rtol=2e-5, atol=1e-9, err_msg=name)
        self.assertEqual(list(table["label"]), [atom.label for atom in self.atoms])
        np.testing.assert_allclose(np.stack([table["x"], table["y"]], axis=1), [atom.layout for atom in self.atoms], rtol=1e-6)

    def test_queries(self):
        frequency = self.count / len(self.z)
        places = {words: self.matches(words) for words in ("fox", "tele", "fox red", "blue", "nothing")}
        self.assertGreater(sum((found < 3).any() and (found == 3).any() for found in places.values()), 1)
        asked = 0
        for words in (None, *places):
            for least in (None, 0.02, 0.2):
                for point in (None, 3, 20):
                    keep = np.ones(self.K, bool) if words is None else places[words] < 3
                    if least is not None:
                        keep &= frequency >= least
                    if point is not None:
                        keep &= [any(one.point == point for one in atom.archetypes) for atom in self.atoms]
                    left = np.flatnonzero(keep)
                    more = {"min_frequency": least, "point": point, "limit": self.K, "fields": "label"}
                    for sort, values in (("energy", self.energy), ("norm", self.norms), ("frequency", frequency)):
                        wanted = left[np.argsort(-values[left], kind="stable")]
                        got = [atom.atom for atom in self.topk.find(words, sort=sort, **more)]
                        np.testing.assert_allclose(values[got], values[wanted], rtol=1e-5)
                        self.assertEqual(sorted(got), left.tolist())
                    got = [(atom.atom, atom.matched) for atom in self.topk.find(words, **more)]
                    if words is not None:
                        left = left[np.argsort(places[words][left], kind="stable")]
                        self.assertEqual([name for _, name in got], [("label", "archetypes", "rows")[places[words][k]] for k in left])
                    self.assertEqual([atom for atom, _ in got], left.tolist())
                    asked += 1
        self.assertEqual(asked, 54)

    def best(self, scores, keep, k, least=-np.inf):
        left = np.flatnonzero(keep & (scores >= least))
        return left[np.argsort(-scores[left], kind="stable")][:k]

    def test_searches(self):
        unit = self.D / self.norms[:, None]
        places, every = self.matches("fox") < 3, np.ones(self.K, bool)
        often = self.count / len(self.z) >= 0.1
        vectors = np.random.default_rng(5).standard_normal((3, self.D.shape[1])).astype("f4")
        example = unit[[4, 9]].mean(axis=0) - unit[[2]].mean(axis=0)

        def without(*atoms):
            keep = every.copy()
            keep[list(atoms)] = False
            return keep
        cases = [({"vectors": vectors}, vectors, every), ({"inputs": vectors}, vectors, every),
                 ({"vectors": vectors, "exclude": [1, 7, 30]}, vectors, without(1, 7, 30)),
                 ({"vectors": vectors, "text": "fox"}, vectors, places), ({"vectors": vectors, "min_frequency": 0.1}, vectors, often),
                 ({"vectors": vectors, "text": "fox", "min_frequency": 0.1, "exclude": [5]}, vectors, places & often & without(5)),
                 ({"positive": [4, 9], "negative": [2]}, example[None], without(4, 9, 2)),
                 ({"positive": [4, 9], "negative": [2], "min_frequency": 0.1}, example[None], without(4, 9, 2) & often)]
        for asked, queries, keep in cases:
            for metric, rows in (("cosine", unit), ("dot", self.D)):
                scores = queries.astype("f8") @ rows.T.astype("f8")
                if metric == "cosine":
                    scores /= np.linalg.norm(queries.astype("f8"), axis=1, keepdims=True)
                lists = self.topk.search(k=9, metric=metric, **asked)
                for got, row in zip(lists, scores):
                    np.testing.assert_allclose([one.score for one in got], row[self.best(row, keep, 9)], rtol=1e-5, atol=1e-6, err_msg=str(asked))
                    self.assertTrue(all(keep[one.atom] for one in got))
                    np.testing.assert_allclose([one.score for one in got], row[[one.atom for one in got]], rtol=1e-5, atol=1e-6)
                least = float(np.median(scores[0]))
                few = self.topk.search(k=9, metric=metric, min_score=least, **asked)[0]
                self.assertEqual(len(few), len(self.best(scores[0], keep, 9, least)))
        own = unit.astype("f8") @ unit.T
        for atom, got in zip((3, 8), self.topk.search(atoms=[3, 8], k=6, exclude_self=True)):
            np.testing.assert_allclose([one.score for one in got], own[atom][self.best(own[atom], without(atom), 6)], rtol=1e-5)
            self.assertEqual([one.atom for one in got], [one.atom for one in self.topk.neighbors(atom, 6)])

    def test_what_fires_together(self):
        active = self.z != 0
        both = active.T.astype(int) @ active
        lift = both * len(self.z) / np.maximum(np.outer(self.count, self.count), 1)
        with np.errstate(invalid="ignore"):
            related = np.nan_to_num(np.corrcoef(self.z.T))
        enough = (both >= LEAST) & ~np.eye(self.K, dtype=bool)
        seen = 0
        for measure, values, keep in (("count", both, enough), ("pmi", lift, enough & (lift > 1)),
                                      ("correlation", related, enough & (related > 0))):
            for atom in range(0, self.K, 3):
                got = self.topk.cofiring(atom, 8, measure)
                np.testing.assert_allclose([getattr(one, "lift" if measure == "pmi" else measure) for one in got],
                                           values[atom][self.best(values[atom], keep[atom], 8)], rtol=1e-4)
                for one in got:
                    self.assertEqual(one.count, both[atom, one.atom])
                    np.testing.assert_allclose((one.lift, one.pmi, one.correlation),
                                               (lift[atom, one.atom], np.log(lift[atom, one.atom]), related[atom, one.atom]), rtol=1e-4, atol=1e-5)
                    seen += 1
        self.assertGreater(seen, 100)

    def test_quantiles_and_examples(self):
        for k, atom in enumerate(self.topk.atoms(fields=["quantiles", "statistics"])):
            column = self.z[:, k]
            codes = np.sort(column[column > 0])
            best = self.best(column, column > 0, len(atom.statistics.top))
            np.testing.assert_allclose([one.value for one in atom.statistics.top], column[best], rtol=1e-6)
            for one in atom.statistics.top:
                self.assertEqual((one.item, one.position, one.label), (one.row // PARTS, one.row % PARTS, self.labels[one.row]))
            if len(codes) < QUANTILES:
                continue
            self.assertEqual(len(atom.quantiles), QUANTILES)
            for q, part in enumerate(atom.quantiles):
                low, end = len(codes) * q // QUANTILES, len(codes) * (q + 1) // QUANTILES
                np.testing.assert_allclose((part.low, part.high), (codes[low], codes[min(end, len(codes) - 1)]), rtol=1e-6)
                for one in part.rows:
                    self.assertAlmostEqual(one.value, column[one.row], places=5)
                    self.assertTrue(part.low <= one.value <= part.high)
                    self.assertEqual((one.item, one.position, one.label), (one.row // PARTS, one.row % PARTS, self.labels[one.row]))

    def test_items(self):
        images = self.z.reshape(-1, PARTS, self.K)
        for k in range(0, self.K, 5):
            strongest = images[:, :, k].max(axis=1)
            got = self.topk.items(k, ITEMS)
            np.testing.assert_allclose([one.value for one in got], strongest[self.best(strongest, strongest > 0, ITEMS)], rtol=1e-6)
            for one in got:
                np.testing.assert_allclose(one.codes, images[one.item, :, k], rtol=1e-6)
                self.assertEqual((one.position, one.row), (images[one.item, :, k].argmax(), one.item * PARTS + one.position))

    def test_contrasts(self):
        for one in self.topk.contrast("sides", None).atoms:
            k = one.atom
            sides = [self.z[chosen, k] for chosen in (self.in_a, ~self.in_a)]
            self.assertEqual((one.count_a, one.count_b), tuple(int((side != 0).sum()) for side in sides))
            energy = [np.abs(side).mean() * self.norms[k] for side in sides]
            share = [(side != 0).mean() for side in sides]
            for figures, values in ((one.energy, energy), (one.frequency, share)):
                np.testing.assert_allclose((figures.a, figures.b, figures.difference), (*values, values[0] - values[1]), rtol=1e-4, atol=1e-6)
            total = sum(energy)
            self.assertAlmostEqual(one.relative, (energy[0] - energy[1]) / total if total else 0, places=4)

    def test_points(self):
        uses = {}
        for k, atom in enumerate(self.atoms):
            for one in atom.archetypes:
                uses.setdefault(one.point, []).append((k, one.weight))
        for number, point in enumerate(self.topk.points(fields=["vector"])):
            alone = self.topk.point(number)
            np.testing.assert_array_equal(point.vector, alone.vector)
            wanted = sorted(uses.get(number, ()), key=lambda use: (-use[1], use[0]))
            self.assertEqual([use.atom for use in alone.atoms], [atom for atom, _ in wanted])
            np.testing.assert_allclose([use.weight for use in alone.atoms], [weight for _, weight in wanted])


if __name__ == "__main__":
    unittest.main()
