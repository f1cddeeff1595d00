"""proto/python/rasae/handle.py while the server loads another content: a call is about one content, checked by what that is;
a dictionary that was opened at a revision stays at it; a download is whole, and answers as the original does."""

import environment

environment.enter()

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np

from environment import PATIENCE, PROGRAM, TOP, Daemon, golden

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

from rasae import AsyncClient, Client, ConflictError, NotFoundError, ReplyError, Response  # noqa: E402

KEY = "an-admin-key-of-24-bytes"
FIRST, SECOND = golden("topk-mse.final.safetensors"), golden("topk-mse.init.safetensors")


class Reloads(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.file, keys = os.path.join(self.folder, "served.safetensors"), os.path.join(self.folder, "keys")
        shutil.copy(FIRST, self.file)
        with open(keys, "w", encoding="utf-8") as out:
            out.write("admin %s\n" % KEY)
        daemon = Daemon("--dictionary", "d=" + self.file, "--keys", keys)
        self.addCleanup(daemon.__exit__, None, None, None)
        self.client = Client("http://%s:%d" % daemon.address, key=KEY)
        self.addCleanup(self.client.close)
        self.d = self.client.dictionary("d")
        self.x = np.load(golden("topk-mse.x.npy")).astype(np.float32)[:12]

    def serve(self, path):
        shutil.copy(path, self.file + ".new")
        os.replace(self.file + ".new", self.file)
        return self.client.dictionary("d").reload()

    def test_a_call_follows_what_the_server_loads(self):
        before, was = self.d.info.revision, self.d.matrix()
        self.assertRegex(before, "^[0-9a-f]{32}$")
        after = self.serve(SECOND).revision
        self.assertNotEqual(before, after)
        self.assertEqual(self.d.info.revision, before)
        self.assertFalse(np.allclose(self.d.matrix(), was))
        self.assertEqual(self.d.info.revision, after)

    def test_the_batches_of_a_call_are_about_one_content(self):
        def replace(done, total):
            if done == 4 and self.d.info.revision == before:
                self.serve(SECOND)
        before = self.d.info.revision
        codes = self.d.encode(self.x, batch_size=4, progress=replace)
        self.assertNotEqual(self.d.info.revision, before)
        self.assertEqual(codes, self.client.dictionary("d").encode(self.x, batch_size=4))
        self.assertEqual([one.atom for one in self.d.atoms(iter([3, 1]))], [3, 1])

    def test_numbers_from_an_iterator_are_there_for_a_second_look(self):
        self.serve(SECOND)
        self.assertEqual([one.atom for one in self.d.atoms(iter([3, 1]))], [3, 1])
        self.serve(FIRST)
        self.assertEqual(self.d.vectors(i for i in (3, 1)).shape, (2, self.d.info.dimensions))
        self.serve(SECOND)
        self.assertEqual(self.d.reconstruct((iter([[1], [2]]), iter([[0.5], [1]]))).shape, (2, self.d.info.dimensions))

    def test_one_that_is_pinned_stays_or_fails(self):
        first = self.d.info.revision
        pinned = self.client.dictionary("d", revision=first)
        pinned.atom(5)
        self.serve(SECOND)
        for call in (lambda: pinned.atom(5), lambda: pinned.encode(self.x), pinned.refresh, pinned.matrix,
                     lambda: pinned.download(os.path.join(self.folder, "x")),
                     lambda: self.client.dictionary("d", revision=first)):
            with self.assertRaises(ConflictError) as caught:
                call()
            self.assertEqual(caught.exception.status, 412)
        self.serve(FIRST)
        self.assertEqual(pinned.atom(5).atom, 5)

    def test_going_through_the_atoms_never_mixes_two_contents(self):
        self.serve(SECOND)
        atoms = self.d.iter_atoms(fields=["norm"], page=20)
        self.assertEqual(next(atoms).atom, 0)  # the first page finds out what is served
        self.serve(FIRST)
        with self.assertRaises(ConflictError):
            list(atoms)

    def test_a_download_answers_as_the_original_does(self):
        copy, seen = os.path.join(self.folder, "copy.safetensors"), []
        with mock.patch("rasae.handle._PIECE", 5000):
            self.d.download(copy, progress=lambda done, total: seen.append((done, total)))
        self.assertGreater(len(seen), 2)
        self.assertEqual(seen[-1], (os.path.getsize(copy),) * 2)
        with Daemon("--dictionary", "d=" + copy) as daemon, Client("http://%s:%d" % daemon.address) as client:
            other = client.dictionary("d")
            self.assertEqual(other.info.revision, self.d.info.revision)
            self.assertEqual(other.encode(self.x), self.d.encode(self.x))
            np.testing.assert_array_equal(other.reconstruct(other.encode(self.x)), self.d.reconstruct(self.d.encode(self.x)))

    def test_a_download_that_fails_leaves_nothing(self):
        before = sorted(os.listdir(self.folder))

        def replace(done, total):
            if self.d.info.revision == self.client.dictionary("d").info.revision:
                self.serve(SECOND)
        with mock.patch("rasae.handle._PIECE", 5000), self.assertRaises(ConflictError):
            self.d.download(os.path.join(self.folder, "copy"), replace)
        self.assertEqual(sorted(os.listdir(self.folder)), before)


class Artifacts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.fused, self.copy, keys = (os.path.join(self.folder, name) for name in ("fused", "copy", "keys"))
        self.fuse(FIRST)
        with open(keys, "w", encoding="utf-8") as out:
            out.write("admin %s\n" % KEY)
        daemon = Daemon("--dictionary", "fused=" + self.fused, "--dictionary", "checkpoint=" + FIRST, "--keys", keys)
        self.addCleanup(daemon.__exit__, None, None, None)
        self.url = "http://%s:%d" % daemon.address

    def fuse(self, checkpoint):
        rasae = os.path.join(os.path.dirname(PROGRAM), "rasae")
        subprocess.run([rasae, "fuse", checkpoint, "-o", self.fused], check=True, capture_output=True, timeout=PATIENCE)

    def content(self, path):
        with open(path, "rb") as file:
            return file.read()

    def test_it_is_the_file_of_the_server(self):
        seen = []
        with Client(self.url, key=KEY) as client, mock.patch("rasae.handle._PIECE", 5000):
            client.dictionary("fused").download_artifact(self.copy, progress=lambda done, total: seen.append((done, total)))
            self.assertEqual(self.content(self.copy), self.content(self.fused))
            self.assertEqual(seen[-1], (os.path.getsize(self.fused),) * 2)
            self.assertGreater(len(seen), 2)
            os.unlink(self.copy)
            with self.assertRaises(ConflictError) as caught:
                client.dictionary("checkpoint").download_artifact(self.copy)
            self.assertEqual(caught.exception.status, 409)
            self.assertEqual(sorted(os.listdir(self.folder)), ["fused", "keys"])

    def test_one_that_is_pinned_never_gets_another_file(self):
        with Client(self.url, key=KEY) as client:
            pinned = client.dictionary("fused", revision=client.dictionary("fused").info.revision)

            def replace(done, total):
                self.fuse(SECOND)
                client.dictionary("fused").reload()
            with mock.patch("rasae.handle._PIECE", 5000), self.assertRaises(ConflictError) as caught:
                pinned.download_artifact(self.copy, progress=replace)
            self.assertEqual(caught.exception.status, 412)
            with self.assertRaises(ConflictError):
                pinned.download_artifact(self.copy)
            self.assertEqual(sorted(os.listdir(self.folder)), ["fused", "keys"])

    def test_also_without_blocking(self):
        async def work():
            async with AsyncClient(self.url, key=KEY) as client:
                await (await client.dictionary("fused")).download_artifact(self.copy)
        asyncio.run(work())
        self.assertEqual(self.content(self.copy), self.content(self.fused))


class Comparisons(unittest.TestCase):
    def test_with_numpy_and_without_blocking(self):
        names = {"first": FIRST, "second": SECOND}
        with Daemon(*(part for name, file in names.items() for part in ("--dictionary", name + "=" + file))) as daemon:
            url = "http://%s:%d" % daemon.address
            with Client(url) as client:
                first, second = (client.dictionary(name) for name in names)
                found = first.compare("second")
                unit = [D / np.linalg.norm(D, axis=1, keepdims=True) for D in (first.matrix(), second.matrix())]
                cosine = (unit[0] * unit[1][list(found.match)]).sum(1)
                np.testing.assert_allclose(found.match_cosine, cosine, atol=1e-5)
                self.assertAlmostEqual(found.stability_without_flips, cosine.mean(), places=5)
                self.assertEqual((found.dictionary, found.other, found.other_revision, found.concepts),
                                 ("first", "second", second.info.revision, len(first)))
                self.assertEqual(first.compare("first").stability_with_flips, 1)
                with self.assertRaises(NotFoundError):
                    first.compare("none")

            async def work():
                async with AsyncClient(url) as client:
                    return await (await client.dictionary("first")).compare("second")
            self.assertEqual(asyncio.run(work()), found)


class OlderServers(unittest.TestCase):
    def test_without_revisions_nothing_is_pinned(self):
        info = b'{"name": "d", "concepts": 4, "dimensions": 2}'

        class Old:
            requests = []

            def send(self, request):
                self.requests.append(request)
                return Response(200, {}, info if request.path.endswith("/d") else b'{"atom": 1}')

            def close(self):
                pass
        client = Client("http://old", transport=Old())
        self.assertEqual(client.dictionary("d").atom(1).atom, 1)
        self.assertTrue(all("if-match" not in request.headers for request in Old.requests))
        with self.assertRaises(ReplyError):
            client.dictionary("d", revision="5f0c")


if __name__ == "__main__":
    unittest.main()
