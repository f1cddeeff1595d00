"""Labels, lists and contrasts through the Python client (proto/python/rasae/), blocking and asynchronous, against the server's own
replies."""

import environment

environment.enter()

import asyncio
import os
import sys
import unittest

import numpy as np

from environment import TOP

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

from rasae import AsyncClient, Client, ConflictError, NotFoundError, PermissionDeniedError  # noqa: E402

import contract  # noqa: E402

SAID = {"explanation": "any dog", "source": "me", "score": 0.5}


class Changes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = contract.Server()
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        cls.client = Client(cls.server.url, key=contract.ADMIN_KEY)
        cls.addClassCleanup(cls.client.close)
        cls.words = cls.client.dictionary("words")

    def test_labels(self):
        self.assertTrue(self.client.server().keeps_changes)
        before = self.words.label(6)
        made = self.words.set_label(6, "cat", **SAID, only_if="new")
        self.assertEqual((made.label, made.label_source, made.explanation, made.source, made.score),
                         ("cat", "set", *SAID.values()))
        self.assertEqual(self.words.label(6), made)
        atom = self.words.atom(6)
        self.assertEqual((atom.label, atom.label_source, atom.explanation.text, atom.explanation.score),
                         ("cat", "set", "any dog", 0.5))
        self.assertEqual([one.atom for one in self.words.find("cat")], [6])
        for change in (lambda: self.words.set_label(6, "x", only_if="new"), lambda: self.words.set_label(6, "x", only_if=before.tag),
                       lambda: self.words.delete_label(6, only_if=before.tag)):
            with self.assertRaises(ConflictError):
                change()
        self.assertEqual(self.words.set_label(6, "tomcat", only_if=made.tag).label, "tomcat")
        self.assertEqual(self.words.set_labels([{"atom": 2, "label": "b", **SAID}, {"atom": 1, "label": "a"}]), 2)
        self.assertEqual([(one.atom, one.label) for one in self.words.labels()], [(1, "a"), (2, "b"), (5, "dog"), (6, "tomcat")])
        self.words.set_labels([{"atom": atom, "label": None} for atom in (1, 2)])
        self.assertEqual(self.words.delete_label(6), before)
        self.assertEqual([one.atom for one in self.words.labels()], [5])
        with Client(self.server.url, key=contract.READ_KEY) as reader, self.assertRaises(PermissionDeniedError):
            reader.dictionary("words").set_label(1, "a")

    def test_lists(self):
        made = self.words.set_atom_list("park", np.array([3, 1]), "trees", only_if="new")
        self.assertEqual((made.name, made.atoms, made.description), ("park", (3, 1), "trees"))
        self.assertEqual(self.words.atom_list("park"), made)
        self.assertEqual([one.name for one in self.words.atom_lists()], ["park", "zoo"])
        with self.assertRaises(ConflictError):
            self.words.set_atom_list("park", [1], only_if="new")
        self.words.delete_atom_list("park", only_if=made.tag)
        with self.assertRaises(NotFoundError):
            self.words.atom_list("park")

    def test_contrasts(self):
        (heat,) = self.words.contrasts()
        self.assertEqual((heat.name, heat.a.name, heat.b.rows, heat.atoms), ("heat", "warm", 40, None))
        everything = self.words.contrast("heat", None)
        differences = [one.energy.difference for one in everything.atoms]
        self.assertEqual((len(differences), differences), (8, sorted(differences, reverse=True)))
        least = self.words.contrast("heat", 3, order="asc", fields=["norm"]).atoms
        self.assertEqual([one.atom for one in least], [one.atom for one in everything.atoms[:-4:-1]])
        self.assertIsNotNone(least[0].norm)
        column = self.words.table(["index", "contrast:heat"])["contrast:heat"]
        np.testing.assert_allclose([column[one.atom] for one in everything.atoms], differences, rtol=1e-6)
        with self.assertRaises(ValueError):
            self.words.contrast("heat", sort="color")

    def test_the_course_of_the_training(self):
        course = self.words.training()
        self.assertEqual(list(course["step"]), [8, 16])
        self.assertTrue(np.isnan(course["r2"][1]))
        self.assertEqual({name: list(values) for name, values in self.words.training(["loss", "step"]).items()},
                         {"loss": [0.5, 0.25], "step": [8, 16]})
        self.assertTrue(self.words.info.has_training)

    def test_rows_of_the_data(self):
        self.assertEqual(self.words.info.row_count, 2)
        np.testing.assert_array_equal(self.words.rows(), [[1, 2, 3], [4, 5, 6]])
        np.testing.assert_array_equal(self.words.rows(1, 5), [[4, 5, 6]])
        self.assertEqual(self.words.rows(7).shape, (0, 3))

    def test_the_same_in_asyncio(self):
        async def work():
            async with AsyncClient(self.server.url, key=contract.ADMIN_KEY) as client:
                words = await client.dictionary("words")
                made = await words.set_label(7, "emu", score=1)
                self.assertEqual(await words.label(7), made)
                await words.set_labels([{"atom": 7, "label": "emus"}])
                self.assertEqual([one.label for one in await words.labels()], ["dog", "emus"])
                await words.delete_label(7)
                await words.set_atom_list("pond", [2])
                self.assertEqual((await words.atom_list("pond")).atoms, (2,))
                self.assertEqual([one.name for one in await words.atom_lists()], ["pond", "zoo"])
                await words.delete_atom_list("pond")
                self.assertEqual([one.name for one in await words.contrasts()], ["heat"])
                self.assertEqual(await words.contrast("heat", 2), self.words.contrast("heat", 2))
                self.assertEqual(list((await words.training(["step"]))["step"]), [8, 16])
                self.assertEqual((await words.rows(0, 1)).tolist(), [[1, 2, 3]])
        asyncio.run(work())


if __name__ == "__main__":
    unittest.main()
