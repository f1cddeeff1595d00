"""proto/python against a live daemon: every call answers what the dictionary's own numbers say, whatever form the
latents have, from many threads, over connections that break."""

import environment

environment.enter()

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import numpy as np
import scipy.sparse

from environment import PROGRAM, TOP, Daemon, golden
from daemon import read_safetensors
from tensors import tensor, torch

PACKAGE = os.path.join(TOP, "proto", "python")
sys.path.insert(0, PACKAGE)

from rasae import (Atom, AuthenticationError, BadRequestError, Client, Codes, ConflictError, Match,  # noqa: E402
                   NotFoundError, PermissionDeniedError, RasaeError, StatusError, TooLargeError, exchange, wire)


def close(got, wanted, tolerance=1e-5):
    assert np.shape(got) == np.shape(wanted), (np.shape(got), np.shape(wanted))
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@contextlib.contextmanager
def watched(client):
    """The requests that a client sends meanwhile."""
    send, requests = client._transport.send, []
    client._transport.send = lambda request: requests.append(request) or send(request)
    try:
        yield requests
    finally:
        del client._transport.send


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

    def test_a_dictionary_is_a_sequence_of_its_atoms(self):
        K = len(self.topk)
        self.assertEqual([self.topk[i].atom for i in (5, -1, np.int64(3))], [5, K - 1, 3])
        for which in (slice(2, 5), [2, 3, 4], np.array([2, 3, 4]), range(2, 5)):
            self.assertEqual([one.atom for one in self.topk[which]], [2, 3, 4])
        with watched(self.client) as requests:
            self.assertEqual([one in self.topk for one in (0, K - 1, np.int64(3), K, -1, True, "3", 1.0)],
                             [True] * 3 + [False] * 5)
        self.assertEqual(requests, [])
        with watched(self.client) as requests:
            self.assertEqual([one.atom for one in self.topk.iter_atoms(fields=["label"], page=20)], list(range(K)))
            self.assertEqual(len(requests), 3)
            first = next(iter(self.topk))
            self.assertEqual((first.atom, len(requests)), (0, 4))
        self.assertEqual([one.atom for one in self.topk.iter_atoms([9, 1])], [9, 1])

    def test_vectors_are_rows_of_the_matrix(self):
        close(self.topk.vectors(), self.D)
        close(self.topk.vectors([9, 1, 1]), self.D[[9, 1, 1]])
        close(self.topk.vectors(5), self.D[5])
        close(self.topk.vectors(slice(3, 6)), self.D[3:6])
        close(self.topk.vectors(np.array([[1, 2], [3, 4]])), self.D[[[1, 2], [3, 4]]])
        close(self.topk.vectors([]), self.D[:0])
        close(self.topk.vectors(self.codes.index), self.D[self.codes.index])

    def test_search_as_arrays(self):
        lists = self.topk.search(self.x, 4)
        atoms, scores = self.topk.search_arrays(self.x, 4)
        self.assertEqual(atoms.tolist(), [[one.atom for one in found] for found in lists])
        close(scores, [[one.score for one in found] for found in lists])
        self.assertEqual(self.topk.search_arrays(self.x[0], 4)[0].shape, (4,))
        self.assertEqual(self.topk.search_arrays(self.x.reshape(2, 8, -1), 4)[1].shape, (2, 8, 4))
        self.assertEqual(self.topk.search_arrays(self.x[:0], 4)[0].shape, (0, 4))

    def test_results_have_the_axes_of_the_rows(self):
        cube = self.x.reshape(2, 8, -1)
        codes = self.topk.encode(cube)
        close(codes.to_dense(), self.dense.reshape(2, 8, -1))
        close(self.topk.reconstruct(codes), (self.dense @ self.D).reshape(cube.shape))
        close(self.topk.reconstruct(self.dense.reshape(2, 8, -1)), (self.dense @ self.D).reshape(cube.shape))
        close(self.topk.steer(cube, {5: 2}), cube + 2 * self.D[5])
        self.assertEqual([len(self.topk.explain(rows)) for rows in (cube, self.x, self.x[0], self.x[:0])], [16, 16, 1, 0])
        self.assertEqual([len(self.topk.search(rows)) for rows in (cube, self.x, self.x[0], self.x[:0])], [16, 16, 1, 0])
        row = self.topk.encode(self.x[3])
        self.assertEqual(row.shape, (len(self.D),))
        close(self.topk.reconstruct(row), self.dense[3] @ self.D)
        for empty in (self.x[:0], cube[:, :0]):
            self.assertEqual(self.topk.encode(empty).shape, (*empty.shape[:-1], len(self.D)))
            self.assertEqual(self.topk.steer(empty, {5: 1}).shape, empty.shape)
            self.assertEqual(self.topk.reconstruct(self.topk.encode(empty)).shape, empty.shape)

    def test_tensors_and_arrays_are_the_same(self):
        for dtype in ("float32", "bfloat16", "float64", "float16"):
            given = tensor(self.x, dtype, grad=True, device="cuda")
            rounded = given.detach().float().cpu().numpy()
            self.assertEqual(self.topk.encode(given), self.topk.encode(rounded))
            close(self.topk.steer(given, {5: 1}), rounded + self.D[5])
        close(self.topk.reconstruct(tensor(self.dense, grad=True)), self.dense @ self.D)
        if torch:
            close(self.topk.reconstruct(self.codes.to_torch()), self.dense @ self.D)
        close(self.topk.reconstruct((tensor([[1, 2]], "int64"), tensor([[0.5, 1]], "bfloat16"))),
              [0.5 * self.D[1] + self.D[2]])

    def test_what_comes_back_may_be_written(self):
        for array in (self.topk.matrix(), self.topk.vectors([1]), self.topk.reconstruct(self.codes),
                      *self.topk.search_arrays(self.x), self.topk.steer(self.x, {1: 1}), self.topk.encode(self.x).value):
            array[:1] = 0

    def test_batches_give_the_same_in_several_requests(self):
        for call in (lambda **how: self.topk.encode(self.x, **how), lambda **how: self.topk.reconstruct(self.codes, **how),
                     lambda **how: self.topk.reconstruct(self.dense, **how), lambda **how: self.topk.explain(self.x, **how),
                     lambda **how: self.topk.steer(self.x, {5: 2}, **how), lambda **how: self.topk.search(self.x, **how),
                     lambda **how: self.topk.search_arrays(self.x, **how)):
            whole, seen = call(), []
            with watched(self.client) as requests:
                parts = call(batch_size=5, progress=lambda done, total: seen.append((done, total)))
            self.assertEqual((len(requests), seen), (4, [(5, 16), (10, 16), (15, 16), (16, 16)]))
            if isinstance(whole, Codes):
                close(parts.to_dense(), whole.to_dense())
            elif isinstance(whole, np.ndarray):
                close(parts, whole)
            elif isinstance(whole, tuple):
                self.assertEqual(parts[0].tolist(), whole[0].tolist())
                close(parts[1], whole[1])
            else:
                of_each = [[[one.atom for one in getattr(row, "concepts", row)] for row in rows] for rows in (parts, whole)]
                self.assertEqual(*of_each)

    def test_many_pushes_do_not_end_in_the_address(self):
        scales = {i: 1 / (i + 3) for i in range(len(self.D))}
        wanted = self.x[:3] + np.array(list(scales.values()), np.float32) @ self.D
        with watched(self.client) as requests, mock.patch("rasae.operations._QUERY_BYTES", 100):
            close(self.topk.steer(self.x[:3], scales), wanted, 1e-4)
        self.assertLess(len(requests[-1].path), 200)

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
        close(self.topk.encode(self.x[3]).to_dense(), self.dense[3])

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
        close(self.topk.steer(self.x, {}), self.x)
        close(self.topk.steer(self.x, {}, on="reconstruction"), self.dense @ self.D)

    # ---- what goes wrong

    def test_refusals_carry_the_servers_sentence(self):
        for call, status, kind in ((lambda: self.client.dictionary("none"), 404, NotFoundError),
                                   (lambda: self.client.dictionary("a/../b?c"), 404, NotFoundError),
                                   (lambda: self.topk.atom(5, fields=["nothing"]), 400, BadRequestError),
                                   (lambda: self.topk.reload(), 403, PermissionDeniedError),
                                   (lambda: self.client.dictionary("bare").encode(np.ones(
                                       self.client.dictionary("bare").info.dimensions)), 409, ConflictError)):
            with self.assertRaises(kind) as caught:
                call()
            self.assertIsInstance(caught.exception, StatusError)
            self.assertEqual(caught.exception.status, status, caught.exception)
            self.assertGreater(len(caught.exception.sentence), 10)
            self.assertTrue(caught.exception.request_id)

    def test_refusals_carry_a_code_and_what_it_is_about(self):
        def refusal(body):
            with self.assertRaises(StatusError) as caught:
                exchange.drive(self.topk._handle._known()._post("/encode", body, wire.RAW), self.client._transport)
            return caught.exception
        d = self.x.shape[1]
        error = refusal(wire.write(np.zeros((5000, d), np.float32)))
        self.assertEqual((type(error), error.code, error.limit, error.actual), (TooLargeError, "too_many", 4096, 5000))
        error = refusal(wire.as_json({"inputs": [[0] * d, [1, 2]]}))
        self.assertEqual((type(error), error.code, error.pointer, error.limit, error.actual),
                         (BadRequestError, "wrong_shape", "/inputs/1", d, 2))
        with self.assertRaises(NotFoundError) as caught:
            self.client.dictionary("none")
        self.assertEqual(caught.exception.code, "unknown_dictionary")

    def test_what_the_server_takes_at_once(self):
        server = self.client.server()
        self.assertEqual((server.name, server.access, server.key_name, server.limits.rows), ("rasaed", "read", None, 4096))

    def test_a_name_that_there_is_not_comes_with_those_that_there_are(self):
        with self.assertRaisesRegex(NotFoundError, "topc.*dictionaries here: topk, bare"):
            self.client.dictionary("topc")

    def test_wrong_shapes_are_known_before_anything_is_sent(self):
        for call in (lambda: self.topk.encode(self.x[:, :3]),
                     lambda: self.topk.reconstruct(self.dense[:, :3]),
                     lambda: self.topk.reconstruct(([[1]], [[1, 2]])),
                     lambda: self.topk.reconstruct(scipy.sparse.csr_array((2, 3), dtype=np.float32)),
                     lambda: Client("ftp://nowhere")):
            with self.assertRaises(ValueError):
                call()

    def test_arguments_that_cannot_be_right_are_refused_before_anything_is_sent(self):
        K, x = len(self.D), self.x
        calls = {
            TypeError: (lambda d: d.atom(5.7), lambda d: d.atom(True), lambda d: d.atom("5"), lambda d: d.neighbors(5.0),
                        lambda d: d.point(1.5), lambda d: d.atoms([1.5]), lambda d: d.vectors([True]), lambda d: d[1.0],
                        lambda d: d.encode(x > 0), lambda d: d.encode(x.astype(complex)), lambda d: d.steer(x, {5.5: 1}),
                        lambda d: d.search(x, k=2.5), lambda d: d.encode(x, batch_size=1.5),
                        lambda d: d.reconstruct(([[1.5]], [[1]]))),
            IndexError: (lambda d: d.atom(K), lambda d: d.atom(-1), lambda d: d[K], lambda d: d[-K - 1],
                         lambda d: d.atoms([0, K]), lambda d: d.vectors([-1]), lambda d: d.neighbors(10 ** 30),
                         lambda d: d.steer(x, {K: 1}), lambda d: d.point(-1), lambda d: d.point(d.info.points)),
            ValueError: (lambda d: d.neighbors(5, 0), lambda d: d.neighbors(5, metric="euclid"), lambda d: d.search(x, k=-1),
                         lambda d: d.encode(x * np.nan), lambda d: d.encode(x[:, :3]), lambda d: d.steer(x, {5: np.nan}),
                         lambda d: d.steer(x, {5: 1}, on="output"), lambda d: d.encode(x, batch_size=0),
                         lambda d: d.atom(5, fields=[]), lambda d: d.reconstruct(([[K]], [[1]])),
                         lambda d: d.explain(x, k=0), lambda d: d.reconstruct(self.codes[:2].to_dense()[:, :5]))}
        self.client.server()  # whose limits are asked for once
        with watched(self.client) as requests:
            for error, refused in calls.items():
                for i, call in enumerate(refused):
                    with self.subTest(error=error.__name__, call=i), self.assertRaises(error):
                        call(self.topk)
        self.assertEqual(requests, [])

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


def unknown(record, where=""):
    """The members that the server sends and the client has no name for."""
    if dataclasses.is_dataclass(record):
        where = where or type(record).__name__
        found = [f"{where}.{name}" for name in record.extra]
        return found + [one for field in dataclasses.fields(record) if field.name != "extra"
                        for one in unknown(getattr(record, field.name), f"{where}.{field.name}")]
    return [one for part in record for one in unknown(part, where)] if isinstance(record, (list, tuple)) else []


class Measured(unittest.TestCase):
    def test_statistics_and_layout(self):
        rasae = os.path.join(os.path.dirname(PROGRAM), "rasae")
        x = golden("topk-mse.x.npy")
        with tempfile.TemporaryDirectory() as folder:
            path, tokens = os.path.join(folder, "measured.safetensors"), os.path.join(folder, "tokens.jsonl")
            with open(tokens, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(["t%d" % (item * p) for p in range(60)]) + "\n" for item in range(20))
            for command in (["fuse", golden("topk-mse.final.safetensors"), "-o", path],
                            ["eval", path, x, "--item-shape", "4+60", "--items", "3", "--tokens", tokens, "--save", path], ["layout", path, "-o", path]):
                subprocess.run([rasae, *command], check=True, stdout=subprocess.DEVNULL)
            with Daemon("--dictionary", "topk=" + path, "--item-shape", "topk=4+6x10") as daemon:
                topk = Client("http://%s:%d" % daemon.address).dictionary("topk")
                self.assertTrue(topk.info.has_statistics and topk.info.has_layout)
                rows, client = np.load(x).astype(np.float32)[:3], Client("http://%s:%d" % daemon.address)
                told = [client.server(), client.dictionaries(), topk.info, topk.atom(5, "all"), topk.atoms([5]), topk.point(0),
                        topk.neighbors(5, fields="all"), topk.cofiring(5, fields="all"), topk.items(5), topk.points(fields="all"),
                        topk.search(rows, fields="all"), topk.explain(rows, fields="all")]
                self.assertEqual(unknown(told), [])
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
                self.find(topk)
                self.cofiring(topk, codes)
                self.examples(topk, rows)
                self.points_and_encoder(topk)
                self.quantiles(topk, codes)
                self.items(topk, codes)

    def examples(self, topk, rows):
        """Searches by examples and among some atoms, against all scores."""
        D = topk.matrix().astype(np.float64)
        units, often = D / np.linalg.norm(D, axis=1, keepdims=True), topk.table(["frequency"])["frequency"] >= 0.5
        mean = units[[5, 9]].mean(axis=0) - units[[3]].mean(axis=0)
        score = units @ (mean / np.linalg.norm(mean))
        score[[5, 9, 3, 7]] = -2
        found = topk.search(positive=[5, 9], negative=3, exclude=[7], k=6)
        self.assertEqual([one.atom for one in found[0]], np.argsort(-score)[:6].tolist())
        close([one.score for one in found[0]], np.sort(score)[::-1][:6])
        atoms, scores = topk.search_arrays(positive=[5, 9], negative=3, exclude=[7], k=6)
        self.assertEqual((atoms.tolist(), scores.shape), ([one.atom for one in found[0]], (6,)))
        cosines = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ units.T
        allowed = np.flatnonzero(often & (np.arange(len(D)) != 7))
        best = [sorted(allowed, key=lambda i: -one[i])[:4] for one in cosines]
        for exclude in [7], [7] * 3000:  # in the query, and in the body
            got = topk.search(vectors=rows, k=4, min_frequency=0.5, exclude=exclude)
            self.assertEqual([[one.atom for one in matches] for matches in got], best)
            atoms, scores = topk.search_arrays(vectors=rows, k=4, min_frequency=0.5, exclude=exclude, min_score=0.3)
            keeps = np.array([[one[i] >= 0.3 for i in row] for one, row in zip(cosines, best)])
            self.assertEqual(atoms.tolist(), np.where(keeps, best, -1).tolist())
            self.assertEqual(np.isnan(scores).tolist(), (~keeps).tolist())
        self.assertEqual(topk.search(atoms=[5], point=10 ** 6), [[]])
        for wrong in {"atoms": [5], "negative": [1]}, {"positive": [5], "atoms": [1]}, {}:
            with self.assertRaises(TypeError):
                topk.search(**wrong)

    def points_and_encoder(self, topk):
        """Against the file that is served."""
        held, _ = read_safetensors(golden("topk-mse.final.safetensors"))
        C, E = (np.reshape(held[name][1], held[name][0]) for name in ("dictionary.C", "encoder.final_block.0.weight"))
        close(topk.point_vectors(), C)
        close(topk.point_vectors(3, 4, "location"), C[3:7])  # of data that are not standardized
        self.assertEqual(topk.point_vectors(10 ** 6).shape, (0, C.shape[1]))
        self.assertEqual([point.point for point in topk.points()], list(range(len(C))))
        some = topk.points(5, 3, ["vector", "label"])
        self.assertEqual([(one.point, one.label) for one in some], [(5, None), (6, None), (7, None)])
        close([one.vector for one in some], C[5:8])
        D = topk.matrix()
        for k, atom in enumerate(topk.atoms(fields=["encoder"])):
            close(atom.encoder.vector, E[k])
            close(atom.encoder.cosine, E[k] @ D[k] / np.linalg.norm(E[k]) / np.linalg.norm(D[k]))
        self.assertIsNone(topk.atom(5).encoder)

    def cofiring(self, topk, codes):
        """cofiring() against all pairs of columns."""
        active = (codes != 0).astype(np.float64)
        together, count = active.T @ active, active.sum(axis=0)
        lift = together * len(codes) / np.maximum(np.outer(count, count), 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.nan_to_num(np.corrcoef(codes.astype(np.float64), rowvar=False))
        for measure, value, least in ("count", together, 0), ("pmi", lift, 1), ("correlation", correlation, 0):
            for k in 0, 5, 11:
                found = topk.cofiring(k, 7, measure)
                others = [j for j in range(len(topk)) if j != k and together[k, j] >= 5 and value[k, j] > least]
                close([getattr(one, "lift" if measure == "pmi" else measure) for one in found],
                      sorted(value[k, others], reverse=True)[:7])
                for one in found:
                    self.assertEqual(one.count, together[k, one.atom])
                    close([one.lift, one.pmi], [lift[k, one.atom], np.log(lift[k, one.atom])])
                    close(one.correlation, correlation[k, one.atom])
        with self.assertRaises(ValueError):
            topk.cofiring(5, measure="jaccard")

    def quantiles(self, topk, codes):
        """The parts of the range, and that their rows are of them."""
        for k in 0, 5, 11:
            positive = np.sort(codes[codes[:, k] > 0, k])
            quantiles = topk.atom(k, ["quantiles"]).quantiles
            bounds = [positive[q * len(positive) // 10] for q in range(10)] + [positive[-1]]
            close([one.low for one in quantiles] + [quantiles[-1].high], bounds)
            for q, one in enumerate(quantiles):
                size = (q + 1) * len(positive) // 10 - q * len(positive) // 10
                self.assertEqual(len({row.row for row in one.rows}), min(5, size))
                close([row.value for row in one.rows], codes[[row.row for row in one.rows], k])
                self.assertTrue(all(one.low <= row.value <= one.high for row in one.rows))
        self.assertIsNone(topk.atom(5).quantiles)

    def items(self, topk, codes):
        """items() against all codes."""
        self.assertEqual(topk.info.item_shape, {"rows": 64, "skip": 4, "height": 6, "width": 10})
        self.assertEqual((topk.info.item_count, topk.info.media_url, topk.info.has_tokens), (3, None, True))
        for row in topk.atom(5, "statistics").statistics.top:
            self.assertEqual(row.token, "t%d" % (row.item * (row.position - 4)) if row.position >= 4 else None)
        for k in range(len(topk)):
            parts = codes[:, k].reshape(-1, 64)
            peaks = parts.max(axis=1)
            order = [item for item in np.argsort(-peaks, kind="stable") if peaks[item] > 0]
            for count in 2, 3, 50:
                found = topk.items(k, count)
                self.assertEqual([one.item for one in found], order[:min(count, 3)])
                for one in found:
                    close(one.codes, parts[one.item])
                    close(one.value, peaks[one.item])
                    self.assertEqual(one.tokens, (None, None, None, None, *("t%d" % (one.item * p) for p in range(60))))
                    self.assertEqual((one.position, one.row), (parts[one.item].argmax(), 64 * one.item + parts[one.item].argmax()))

    def find(self, topk):
        """find() and table() against the atoms."""
        every, table = topk.atoms(fields="all"), topk.table()
        energies = [atom.statistics.energy for atom in every]
        close(table["energy"], energies)
        self.assertEqual(table["index"].tolist(), list(range(len(topk))))
        self.assertEqual(table["count"].dtype, np.int64)
        self.assertTrue(np.isnan(table["agreement"]).all())
        self.assertEqual(list(topk.table(["norm", "x"])), ["norm", "x"])
        falling = sorted(range(len(topk)), key=lambda k: (-energies[k], k))
        self.assertEqual([atom.atom for atom in topk.find(sort="energy", limit=7, fields=["norm"])], falling[:7])
        self.assertEqual([atom.atom for atom in topk.find(sort="energy", order="desc", limit=5000)], falling)
        alive = [atom.atom for atom in every if atom.statistics.count]
        self.assertEqual([atom.atom for atom in topk.find(dead=False, limit=1000)], alive)
        often = [atom.atom for atom in every if atom.statistics.frequency >= 0.5]
        self.assertEqual([atom.atom for atom in topk.find(min_frequency=0.5, limit=1000)], often)
        point = every[3].archetypes[0].point
        made = [atom.atom for atom in every if any(one.point == point for one in atom.archetypes)]
        self.assertEqual([atom.atom for atom in topk.find(point=point, limit=1000)], made)
        with self.assertRaises(ConflictError):
            topk.find("red")  # there are no labels
        for wrong in {"order": "up"}, {"min_frequency": 2}, {"limit": 0}:
            with self.assertRaises(ValueError):
                topk.find(**wrong)
        for wrong in {"dead": 1}, {"text": 5}, {"point": 1.5}:
            with self.assertRaises(TypeError):
                topk.find(**wrong)
        with self.assertRaises(ValueError):
            topk.table([])


class Limits(unittest.TestCase):
    def test_a_batch_that_the_server_would_refuse_goes_out_in_several(self):
        x = np.load(golden("topk-mse.x.npy")).astype(np.float32)[:40]
        with Daemon("--dictionary", "topk=" + golden("topk-mse.final.safetensors"), "--max-rows", "7", "--max-body",
                    "2000") as daemon, Client("http://%s:%d" % daemon.address) as client:
            topk = client.dictionary("topk")
            codes = topk.encode(x)
            dense = codes.to_dense()
            self.assertEqual(len(codes), 40)
            self.assertEqual(len(topk.explain(x)), 40)
            wanted = dense @ topk.matrix()
            close(topk.reconstruct(codes), wanted)
            close(topk.reconstruct(dense), wanted)
            close(topk.steer(x, {5: 1}), x + topk.vectors(5))
            self.assertEqual(topk.search_arrays(x)[0].shape, (40, 10))
            close(topk.vectors(range(len(topk))[::-1]), topk.matrix()[::-1])


class Loading(unittest.TestCase):
    def test_unload_and_load(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write("admin an-admin-key-of-24-bytes notebook\nread a-read-key-of-24-bytes..\n")
            keys.flush()
            with Daemon("--dictionary", "bare=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys.name) as daemon:
                url = "http://%s:%d" % daemon.address
                with Client(url, key="an-admin-key-of-24-bytes") as client:
                    self.assertEqual((client.server().access, client.server().key_name), ("admin", "notebook"))
                    info = client.dictionary("bare").info
                    self.assertEqual((info.state, client.unavailable()), ("loaded", []))
                    client.unload("bare")
                    self.assertEqual([(one.name, one.state) for one in client.unavailable()], [("bare", "unloaded")])
                    self.assertEqual(client.dictionaries(), [])
                    self.assertEqual(client.load("bare").concepts, info.concepts)
                    self.assertEqual(client.dictionary("bare").reload().name, "bare")
                with Client(url, key="a-read-key-of-24-bytes..") as client, self.assertRaises(PermissionDeniedError):
                    client.unload("bare")
                with Client(url) as client, self.assertRaises(AuthenticationError):
                    client.dictionaries()


class Connections(unittest.TestCase):
    def test_a_server_under_a_path(self):
        served = "bare=" + golden("dict-basic.checkpoint.safetensors")
        with Daemon("--base-path", "/sae", "--dictionary", served) as daemon, \
                Client("http://%s:%d/sae/" % daemon.address) as client:
            self.assertEqual(client.dictionary("bare").atom(3).atom, 3)

    def test_a_kept_connection_that_the_server_closed_is_replaced(self):
        served = "bare=" + golden("dict-basic.checkpoint.safetensors")
        with Daemon("--idle-seconds", "1", "--dictionary", served) as daemon, \
                Client("http://%s:%d" % daemon.address) as client:
            bare = client.dictionary("bare")
            kept, = client._transport._idle.connections
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


if __name__ == "__main__":
    unittest.main()
