"""proto/python/rasae/operations.py with a standardized dictionary: inputs and directions are in the units of the data, vectors
in those of the dictionary, and the two are never taken for each other."""

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


def close(got, wanted, tolerance=1e-4):
    assert np.shape(got) == np.shape(wanted), (np.shape(got), np.shape(wanted))
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


class Standardized(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        tool = os.path.join(os.path.dirname(PROGRAM), "rasae")
        data, checkpoint = os.path.join(TOP, "tests", "data", "digits.npy"), os.path.join(folder.name, "c.safetensors")
        subprocess.run([tool, "train", data, "--standardize", "element", "--concepts", "128", "--top-k", "8", "--steps", "200",
                        "-o", checkpoint], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        daemon = Daemon("--dictionary", "digits=" + checkpoint)
        cls.addClassCleanup(daemon.__exit__, None, None, None)
        client = Client("http://%s:%d" % daemon.address)
        cls.addClassCleanup(client.close)
        cls.digits = client.dictionary("digits")
        cls.x = np.load(data).astype(np.float32)[:50]
        cls.D, (cls.mean, cls.scale) = cls.digits.matrix(), cls.digits.standardization()

    def test_standardization_and_directions(self):
        self.assertTrue(self.digits.info.standardized)
        d = self.x.shape[1]
        self.assertEqual((self.mean.shape, self.scale.shape), ((d,), (d,)))
        close(self.digits.directions(), self.D * self.scale)
        close(self.digits.directions([[5, 1]]), self.D[[[5, 1]]] * self.scale)
        atom = self.digits.atom(5, "all")
        close(atom.direction, self.D[5] * self.scale)
        close(atom.vector, self.D[5])
        self.assertEqual(atom.units, "standardized")

    def test_what_directions_are_for(self):
        codes, x = self.digits.encode(self.x), self.x
        close(self.digits.reconstruct(codes), codes.to_dense() @ self.digits.directions() + self.mean, 1e-3)
        close(self.digits.steer(x, {5: 2.0, 9: -1.0}), x + 2 * self.digits.directions(5) - self.digits.directions(9))
        alone = self.mean + 8 * self.digits.directions()
        found = self.digits.encode(alone).top(1).atoms[:, 0]
        self.assertGreater(np.mean(found == np.arange(len(self.D))), 0.9)

    def test_searching_with_inputs_and_with_vectors(self):
        standard = (self.x - self.mean) / self.scale
        for metric in ("cosine", "dot"):
            atoms, scores = self.digits.search_arrays(inputs=self.x, metric=metric, k=5)
            wanted, same = self.digits.search_arrays(standard, metric=metric, k=5)
            self.assertEqual(atoms.tolist(), wanted.tolist())
            close(scores, same)
            lists = self.digits.search(inputs=self.x, metric=metric, k=5)
            self.assertEqual([[one.atom for one in found] for found in lists], atoms.tolist())

    def test_searching_with_atoms(self):
        atoms, _ = self.digits.search_arrays(atoms=range(20), k=3)
        self.assertEqual(atoms[:, 0].tolist(), list(range(20)))
        others, _ = self.digits.search_arrays(atoms=range(20), k=3, exclude_self=True)
        self.assertEqual(others.tolist(), [[one.atom for one in self.digits.neighbors(i, 3)] for i in range(20)])
        self.assertEqual(self.digits.search(atoms=5, k=3, exclude_self=True)[0][0].atom, int(others[5, 0]))
        self.assertEqual(len(self.digits.search(atoms=[5], k=10 ** 6, exclude_self=True)[0]), len(self.D) - 1)
        for wrong in ({}, {"atoms": 5, "inputs": self.x}, {"inputs": self.x, "exclude_self": True}):
            with self.assertRaises(TypeError):
                self.digits.search(**wrong)

    def test_fields_of_what_is_found_and_of_concepts(self):
        match = self.digits.search(self.D[5], k=1, fields=["direction", "norm"])[0][0]
        close(match.direction, self.D[5] * self.scale)
        self.assertIsNone(match.label)
        explanation = self.digits.explain(self.x[0], k=2, fields=["archetypes"])[0]
        self.assertEqual((len(explanation.concepts), explanation.active, explanation.units), (2, 8, "standardized"))
        self.assertGreater(len(explanation.concepts[0].archetypes), 0)
        self.assertEqual(self.digits.neighbors(5, 2, fields=["norm"])[0].norm,
                         self.digits.atom(self.digits.neighbors(5, 2)[0].atom).norm)

    def test_points_have_a_place_in_the_data(self):
        point = self.digits.point(3)
        close(point.location, point.vector * self.scale + self.mean)


if __name__ == "__main__":
    unittest.main()
