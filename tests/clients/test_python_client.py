"""proto/python against a live daemon: every call answers what the dictionary's own numbers say, whatever form the
latents have, from many threads, over connections that break. The package installs and is typed."""

import environment

environment.enter()

import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import numpy as np
import scipy.sparse

from environment import PROGRAM, TOP, Daemon, golden

PACKAGE = os.path.join(TOP, "proto", "python")
sys.path.insert(0, PACKAGE)

from rasae import Atom, Client, Codes, Match, RasaeError  # noqa: E402


def close(got, wanted, tolerance=1e-5):
    assert np.shape(got) == np.shape(wanted), (np.shape(got), np.shape(wanted))
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "topk=" + golden("topk-mse.final.safetensors"),
                            "--dictionary", "bare=" + golden("dict-basic.checkpoint.safetensors"))
        cls.client = Client("http://%s:%d" % cls.daemon.address)
        cls.topk = cls.client.dictionary("topk")
        cls.D = cls.topk.matrix()
        cls.x = np.load(golden("topk-mse.x.npy")).astype(np.float32)[:16]
        cls.codes = cls.topk.encode(cls.x)
        cls.dense = cls.codes.to_dense()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.__exit__(None, None, None)

    def test_what_is_served(self):
        self.assertTrue(self.client.ready())
        self.assertFalse(self.topk.info.has_statistics or self.topk.info.has_layout)
        self.assertEqual([one.name for one in self.client.dictionaries()], ["topk", "bare"])
        info = self.topk.info
        self.assertEqual((info.concepts, info.dimensions), self.D.shape)
        self.assertEqual((info.sae, info.has_encoder, info.generation), ("topk", True, 1))
        self.assertEqual(info.settings["sae"], "topk")
        self.assertEqual(len(self.topk), info.concepts)

    def test_atoms_are_the_rows_of_the_matrix(self):
        self.assertEqual(self.D.dtype, np.float32)
        close([one.vector for one in self.topk.atoms()], self.D)
        self.assertEqual([one.atom for one in self.topk.atoms([9, 1, 5])], [9, 1, 5])
        self.assertEqual([one.atom for one in self.topk.atoms(slice(3, 9))], list(range(3, 9)))
        self.assertEqual([one.atom for one in self.topk.atoms(slice(None, None, -3))],
                         list(range(len(self.D)))[::-3])
        self.assertEqual(self.topk.atoms([]), [])

    def test_an_atom_and_its_parts(self):
        atom = self.topk.atom(5)
        close(atom.vector, self.D[5])
        close(atom.norm, np.linalg.norm(self.D[5]))
        shares = [one.contribution for one in atom.archetypes]
        self.assertEqual(shares, sorted(shares, reverse=True))
        self.assertAlmostEqual(atom.coverage, sum(one.weight for one in atom.archetypes), places=5)
        self.assertIsNone(atom.trace)
        self.assertIsNone(atom.agreement)
        known = Atom.read({"atom": 5, "agreement": {"runs": 8, "share": 0.75, "cosine": 0.8}})
        self.assertEqual((known.agreement.runs, known.agreement.share, known.agreement.cosine), (8, 0.75, 0.8))
        self.assertEqual(self.topk.atom(5, fields=["norm"]), Atom(5, atom.norm, None, None, None, None))

    def test_a_point_knows_its_atoms(self):
        point = self.topk.point(self.topk.atom(5).archetypes[0].point)
        self.assertIn(5, [use.atom for use in point.atoms])
        self.assertEqual(point.vector.shape, self.D[0].shape)

    def test_neighbors_and_search_agree(self):
        unit = self.D / np.linalg.norm(self.D, axis=1, keepdims=True)
        for metric, scores in (("cosine", unit @ unit[5]), ("dot", self.D @ self.D[5])):
            found = self.topk.neighbors(5, 4, metric)
            wanted = [i for i in np.argsort(-scores, kind="stable") if i != 5][:4]
            self.assertEqual([one.atom for one in found], wanted)
            close([one.score for one in found], scores[wanted], 1e-4)
            lists = self.topk.search(self.D[[5, 7]], 3, metric)
            self.assertEqual([len(one) for one in lists], [3, 3])
            self.assertIsInstance(lists[0][0], Match)
        self.assertEqual(self.topk.search(self.D[5])[0][0].atom, 5)
        self.assertEqual(len(self.topk.search(self.D[5], k=10 ** 6)[0]), len(self.D))

    def test_codes_in_all_their_shapes(self):
        codes = self.codes
        self.assertEqual((len(codes), codes.shape), (16, (16, len(self.D))))
        self.assertEqual([len(row) for row in codes.indices], [len(row) for row in codes.values])
        close(codes.to_scipy().toarray(), self.dense)
        again = Codes.from_rows(codes.indices, codes.values, codes.concepts)
        close(again.to_dense(), self.dense)
        close(self.topk.encode(self.x[3]).to_dense(), self.dense[3:4])

    def test_reconstructions_are_the_same_from_every_form(self):
        wanted = self.dense @ self.D
        sparse = self.codes.to_scipy()
        for latents in (self.codes, self.dense, self.dense.astype(np.float64), self.dense.tolist(), sparse,
                        sparse.tocoo(), sparse.tocsc(), scipy.sparse.csr_matrix(sparse),
                        (self.codes.indices, self.codes.values)):
            close(self.topk.reconstruct(latents), wanted)
        close(self.topk.reconstruct(self.dense[2]), wanted[2])
        nothing = self.topk.reconstruct(([[], [0]], [[], [2]]))
        close(nothing, [np.zeros(self.D.shape[1]), 2 * self.D[0]])

    def test_explanations_add_up(self):
        for x, z, one in zip(self.x, self.dense, self.topk.explain(self.x)):
            self.assertEqual({concept.atom for concept in one.concepts}, set(np.flatnonzero(z)))
            close(sum(concept.contribution for concept in one.concepts), (z @ self.D) @ x / (x @ x), 1e-4)
            close(one.residual, np.linalg.norm(x - z @ self.D), 1e-4)

    def test_steering(self):
        push = 2 * self.D[5] - 0.5 * self.D[7]
        close(self.topk.steer(self.x, {5: 2, 7: -0.5}), self.x + push)
        close(self.topk.steer(self.x[0], {5: 2, 7: -0.5}), self.x[0] + push)
        close(self.topk.steer(self.x, {5: 2, 7: -0.5}, on="reconstruction"), self.dense @ self.D + push)

    # ---- what goes wrong

    def test_refusals_carry_the_servers_sentence(self):
        for call, status in ((lambda: self.topk.atom(10 ** 9), 404),
                             (lambda: self.client.dictionary("none"), 404),
                             (lambda: self.topk.neighbors(5, 0), 400),
                             (lambda: self.client.dictionary("a/../b?c"), 404),
                             (lambda: self.client.dictionary("bare").encode(np.ones(
                                 self.client.dictionary("bare").info.dimensions)), 409)):
            with self.assertRaises(RasaeError) as caught:
                call()
            self.assertEqual(caught.exception.status, status, caught.exception)
            self.assertGreater(len(caught.exception.sentence), 10)
            self.assertTrue(caught.exception.request_id)

    def test_wrong_shapes_are_known_before_anything_is_sent(self):
        for call in (lambda: self.topk.encode(self.x[:, :3]),
                     lambda: self.topk.reconstruct(self.dense[:, :3]),
                     lambda: self.topk.reconstruct(([[1]], [[1, 2]])),
                     lambda: self.topk.reconstruct(scipy.sparse.csr_array((2, 3), dtype=np.float32)),
                     lambda: Client("ftp://nowhere")):
            with self.assertRaises(ValueError):
                call()

    def test_numbers_that_are_none_are_refused(self):
        with self.assertRaises(RasaeError) as caught:
            self.topk.encode(np.full(self.D.shape[1], np.nan))
        self.assertEqual(caught.exception.status, 400)

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        client = Client("127.0.0.1:%d" % port)
        self.assertFalse(client.ready())
        with self.assertRaises(RasaeError) as caught:
            client.dictionaries()
        self.assertEqual(caught.exception.status, 0)

    def test_no_answer_in_time(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            client = Client("http://127.0.0.1:%d" % silent.getsockname()[1], timeout=0.2)
            with self.assertRaises(RasaeError) as caught:
                client.dictionaries()
            self.assertIn("0.2 seconds", str(caught.exception))

    def test_threads_share_a_client(self):
        failed = []

        def work(row):
            try:
                for _ in range(20):
                    close(self.topk.reconstruct(self.codes)[row], self.dense[row] @ self.D)
            except Exception as error:  # noqa: BLE001  (whatever it is, the test wants to know)
                failed.append(error)
        threads = [threading.Thread(target=work, args=(row,)) for row in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])


class Measured(unittest.TestCase):
    def test_statistics_and_layout(self):
        rasae = os.path.join(os.path.dirname(PROGRAM), "rasae")
        x = golden("topk-mse.x.npy")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "measured.safetensors")
            for command in (["fuse", golden("topk-mse.final.safetensors"), "-o", path],
                            ["eval", path, x, "--save", path], ["layout", path, "-o", path]):
                subprocess.run([rasae, *command], check=True, stdout=subprocess.DEVNULL)
            with Daemon("--dictionary", "topk=" + path) as daemon:
                topk = Client("http://%s:%d" % daemon.address).dictionary("topk")
                self.assertTrue(topk.info.has_statistics and topk.info.has_layout)
                codes = topk.encode(np.load(x)).to_dense()
                for atom in topk.atoms(fields=["statistics", "layout"]):
                    column = codes[:, atom.atom]
                    self.assertEqual(atom.statistics.count, np.count_nonzero(column))
                    self.assertEqual(sum(atom.statistics.histogram), atom.statistics.count)
                    close(atom.statistics.max, column.max())
                    close([example.value for example in atom.statistics.top],
                          np.sort(column)[::-1][:len(atom.statistics.top)])
                    self.assertEqual(len(atom.layout), 2)
                    self.assertIsNone(atom.vector)


class Connections(unittest.TestCase):
    def test_a_kept_connection_that_the_server_closed_is_replaced(self):
        served = "bare=" + golden("dict-basic.checkpoint.safetensors")
        with Daemon("--idle-seconds", "1", "--dictionary", served) as daemon, \
                Client("http://%s:%d" % daemon.address) as client:
            bare = client.dictionary("bare")
            kept, = client._transport._pool.idle
            kept.sock.settimeout(30)
            self.assertEqual(kept.sock.recv(1, socket.MSG_PEEK), b"")  # the server has closed it
            self.assertEqual(bare.atom(3).atom, 3)

    def test_a_server_that_hangs_up_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def hang_up():
                for _ in range(3):
                    server.accept()[0].close()
            thread = threading.Thread(target=hang_up)
            thread.start()
            with self.assertRaises(RasaeError) as caught:
                Client("http://127.0.0.1:%d" % server.getsockname()[1], retries=2).dictionaries()
            self.assertIn("broke", str(caught.exception))
            thread.join()


class Package(unittest.TestCase):
    def test_it_installs(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                            "--no-build-isolation", "--disable-pip-version-check", "--target", folder,
                            PACKAGE], check=True)
            self.assertTrue(os.path.exists(os.path.join(folder, "rasae", "py.typed")))
            subprocess.run([sys.executable, "-c", "import rasae; rasae.Client('http://127.0.0.1:1')"],
                           check=True, cwd=folder, env={**os.environ, "PYTHONPATH": folder})

    def test_its_types_hold(self):
        with tempfile.TemporaryDirectory() as cache:
            subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache,
                            os.path.join(PACKAGE, "rasae")], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    unittest.main()
