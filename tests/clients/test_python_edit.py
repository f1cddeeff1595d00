"""Edited codes and the methods of steering (lib/model/{edit,steer}.c, server/api/{edit,steer}.c) through the Python client,
against their formulas in numpy and against differences of their own answers. The dictionary has a standardization and a bias
of its decoder, so a mean or a bias that is applied twice, or not at all, shows."""

import environment

environment.enter()

import json
import os
import sys
import tempfile
import unittest

import numpy as np

from environment import TOP, Daemon

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

from rasae import BadRequestError, Client, ConflictError  # noqa: E402

import daemon as http  # noqa: E402

K, POINTS, D, ROWS = 24, 12, 8, 300


def write_dictionary(path, rng, encoder=True):
    def tensor(*shape):
        return list(shape), rng.normal(size=shape).ravel().tolist()
    tensors = {"dictionary.W": tensor(K, POINTS), "dictionary.C": tensor(POINTS, D), "dictionary.Relax": tensor(K, D),
               "dictionary.multiplier": ([], [0.0]), "input.mean": tensor(D), "output.bias": tensor(D),
               "input.scale": ([D], rng.uniform(0.3, 3, D).tolist())}
    if encoder:
        tensors["encoder.final_block.0.weight"] = tensor(K, D)
        tensors["encoder.final_block.0.bias"] = tensor(K)
    http.write_safetensors(path, tensors, {"sae": "topk", "top_k": "6", "delta": "0.5", "center_input": "true"})


class Edited(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        rng = np.random.default_rng(5)
        paths = {name: os.path.join(folder.name, name) for name in ("words", "bare")}
        for name, path in paths.items():
            write_dictionary(path, rng, name == "words")
        cls.daemon = Daemon(*(part for name, path in paths.items() for part in ("--dictionary", name + "=" + path)))
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        cls.client = Client("http://%s:%d" % cls.daemon.address)
        cls.addClassCleanup(cls.client.close)
        cls.words = cls.client.dictionary("words")
        cls.x = rng.normal(size=(ROWS, D)).astype(np.float32) * 2
        cls.V = cls.words.directions().astype(np.float64)
        cls.z = cls.words.encode(cls.x).to_dense().astype(np.float64)
        cls.x_hat = cls.words.reconstruct(cls.words.encode(cls.x)).astype(np.float64)
        cls.strong = [int(k) for k in np.argsort(-np.count_nonzero(cls.z, 0))[:3]]

    def close(self, got, wanted, tolerance=2e-5):
        self.assertEqual(np.shape(got), np.shape(wanted))
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)

    OPERATIONS = {"set": lambda z, v: np.full_like(z, v), "scale": lambda z, v: v * z, "add": lambda z, v: z + v,
                  "clamp": np.minimum}

    def wanted(self, edits):
        z = self.z.copy()
        for atom, one in edits.items():
            op, value = one if isinstance(one, tuple) else ("set", 0.0 if one == "ablate" else one)
            z[:, atom] = self.OPERATIONS[op](z[:, atom], value)
        return z

    def test_the_closed_form(self):
        a, b, c = self.strong
        for edits in ({a: 2.5}, {a: ("scale", 2.0)}, {a: ("add", -0.75)}, {a: "ablate"}, {a: ("clamp", 0.5)},
                      {a: ("scale", -1.5), b: "ablate", c: 3.0}, {k: ("add", 0.125) for k in range(K)}):
            with self.subTest(edits=edits):
                z = self.wanted(edits)
                edited = self.words.edit(self.x, edits)
                self.close(edited.outputs, self.x + (z - self.z) @ self.V)
                self.close(self.words.edit(self.x, edits, keep_error=False).outputs, self.x_hat + (z - self.z) @ self.V)
                atoms = list(edits)
                self.assertEqual(edited.atoms.tolist(), atoms)
                np.testing.assert_array_equal(edited.before, self.z[:, atoms].astype(np.float32))
                self.close(edited.after, z[:, atoms])

    def test_what_does_not_change_stays_to_the_bit(self):
        silent = self.z[:, self.strong[0]] == 0
        self.assertTrue(silent.any() and not silent.all())
        for edits in ({self.strong[0]: "ablate"}, {self.strong[0]: ("scale", 3.0)}, {self.strong[0]: ("clamp", 0.0)}):
            np.testing.assert_array_equal(self.words.edit(self.x, edits).outputs[silent], self.x[silent])
        same = self.words.edit(self.x, {k: ("scale", 1.0) for k in range(K)})
        np.testing.assert_array_equal(same.outputs, self.x)

    def test_decoding_the_codes_oneself_gives_the_same(self):
        """What edit does without the error is what reconstruct makes of the changed codes, bias and mean included."""
        z = self.wanted({self.strong[0]: 4.0, self.strong[1]: "ablate"})
        edited = self.words.edit(self.x, {self.strong[0]: 4.0, self.strong[1]: "ablate"}, keep_error=False)
        self.close(edited.outputs, self.words.reconstruct(z.astype(np.float32)))

    def test_finite_differences(self):
        """The output's derivative by the value of an edit: the direction for set and add, code times direction for scale."""
        atom, step = self.strong[0], 0.25
        x, z = self.x[:20], self.z[:20, atom]
        for op, wanted in (("set", np.ones(20)), ("add", np.ones(20)), ("scale", z)):
            for keep in (True, False):
                up, down = (self.words.edit(x, {atom: (op, 1 + sign * step)}, keep).outputs.astype(np.float64)
                            for sign in (1, -1))
                self.close((up - down) / (2 * step), np.outer(wanted, self.V[atom]), 1e-4)

    def test_edits_of_one_atom_apply_in_order(self):
        atom = self.strong[0]
        body = {"inputs": self.x[:3].tolist(), "set": [{"atom": atom, "op": "set", "value": 3},
                                                       {"atom": atom, "op": "scale", "value": 2}]}
        reply = self.daemon.post("/v1/dictionaries/words/edit", body).json
        first, second = reply["edits"]
        self.assertEqual((first["atom"], first["after"], second["before"], second["after"]),
                         (atom, [3] * 3, [3] * 3, [6] * 3))
        self.close(reply["outputs"], self.words.edit(self.x[:3], {atom: 6.0}).outputs)

    def test_every_form_says_the_same(self):
        atom, path = self.strong[0], "/v1/dictionaries/words/edit"
        body = {"inputs": self.x[:4].tolist(), "set": [{"atom": atom, "op": "add", "value": 1.5}, {"atom": 2, "op": "ablate"}],
                "keep_error": False}
        wanted = self.daemon.post(path, body).json
        query = "?set=%d:add:1.5,2:ablate&keep_error=false" % atom
        self.assertEqual(self.daemon.post(path + query, body).json, wanted)
        rest = {"inputs": body["inputs"]}
        self.assertEqual(self.daemon.post(path + query, rest).json, wanted)
        for form in ("raw", "npy"):
            reply = self.daemon.post(path + query + "&format=" + form, self.x[:4].tobytes(),
                                     headers={"Content-Type": "application/octet-stream"})
            self.assertEqual(reply.status, 200, reply.body)
            numbers = np.frombuffer(reply.body[-4 * 8:], np.float32) if form == "raw" else None
            if form == "raw":
                self.assertEqual(reply.headers["X-Tensor-Shape"].replace(" ", ""), "4,%d;4,2;4,2" % D)
                self.close(numbers.reshape(4, 2), np.transpose([one["after"] for one in wanted["edits"]]))

    def test_axes_and_parts(self):
        cube = self.x.reshape(3, 100, D)
        edits = {self.strong[0]: 2.0, self.strong[1]: "ablate"}
        edited = self.words.edit(cube, edits, batch_size=70)
        self.assertEqual((edited.outputs.shape, edited.before.shape), (cube.shape, (3, 100, 2)))
        self.close(edited.outputs.reshape(-1, D), self.words.edit(self.x, edits).outputs)
        self.assertEqual(self.words.edit(self.x[0], edits).after.shape, (2,))
        self.assertEqual(self.words.edit(self.x[:0], edits).outputs.shape, (0, D))

    # ---- steer

    def test_orthogonal_and_cap(self):
        atoms = self.strong[:2]
        for on, base in (("input", self.x.astype(np.float64)), ("reconstruction", self.x_hat)):
            for method in ("orthogonal", "cap"):
                for scales in ({atoms[0]: 0.0}, {atoms[0]: 1.0}, {atoms[0]: -2.5}, {atoms[0]: 0.5, atoms[1]: 0.25}):
                    wanted = base.copy()
                    for atom, scale in scales.items():
                        u = self.V[atom] / np.linalg.norm(self.V[atom])
                        along = wanted @ u
                        move = (scale - 1) * along if method == "orthogonal" else np.minimum(scale - along, 0)
                        wanted += np.outer(move, u)
                    with self.subTest(on=on, method=method, scales=scales):
                        self.close(self.words.steer(self.x, scales, on, method=method), wanted)

    def test_what_the_methods_promise(self):
        atom = self.strong[0]
        u = self.V[atom] / np.linalg.norm(self.V[atom])
        np.testing.assert_array_equal(self.words.steer(self.x, {atom: 1.0}, method="orthogonal"), self.x)
        self.close(self.words.steer(self.x, {atom: 0.0}, method="orthogonal") @ u, np.zeros(ROWS))
        capped = self.words.steer(self.x, {atom: 0.5}, method="cap")
        self.close(capped @ u, np.minimum(self.x @ u, 0.5))
        below = self.x.astype(np.float64) @ u < 0.5 - 1e-6
        np.testing.assert_array_equal(capped[below], self.x[below])
        self.close(self.words.steer(capped, {atom: 0.5}, method="cap"), capped)
        step = 0.25  # the derivative by the scale
        up, down = (self.words.steer(self.x, {atom: 1 + s * step}, method="orthogonal").astype(np.float64) for s in (1, -1))
        self.close((up - down) / (2 * step), np.outer(self.x @ u, u), 1e-4)

    # ---- what goes wrong

    def test_refusals(self):
        for body, code, pointer in (
                ({"set": []}, "missing_parameter", "set"), ({}, "missing_parameter", "set"),
                ({"set": [{"atom": 1, "op": "scale"}]}, "missing_parameter", "/set/0/value"),
                ({"set": [{"atom": 1, "value": 2}]}, "missing_parameter", "/set/0/op"),
                ({"set": [{"atom": 1, "op": "double", "value": 2}]}, "invalid_value", "/set/0/op"),
                ({"set": [{"atom": K, "op": "ablate"}]}, "out_of_range", "/set/0/atom"),
                ({"set": [{"atom": 1, "op": "set", "value": 1e99}]}, "not_finite", "/set/0/value"),
                ({"set": [{"atom": 1, "op": "ablate"}], "keep_error": 1}, "invalid_value", "/keep_error"),
                ({"set": [{"atom": 1, "op": "ablate", "no": 1}]}, "unknown_parameter", "/set/0/no")):
            reply = self.daemon.post("/v1/dictionaries/words/edit", {"inputs": [[1] * D], **body})
            self.assertEqual((reply.status, reply.json["code"], reply.json["pointer"]), (400, code, pointer), body)
        for query in ("set=1", "set=1:scale", "set=1:scale:x", "set=x:ablate", "set=1:double:2", "set=99:ablate",
                      "set=1:set:1e99", "set=1:ablate&keep_error=yes"):
            reply = self.daemon.post("/v1/dictionaries/words/edit?" + query, {"inputs": [[1] * D]})
            self.assertEqual(reply.status, 400, query)
        reply = self.daemon.post("/v1/dictionaries/words/edit?set=1:ablate",
                                 {"inputs": [[1] * D], "set": [{"atom": 2, "op": "ablate"}]})
        self.assertEqual(reply.json["code"], "conflicting_parameters")
        reply = self.daemon.post("/v1/dictionaries/words/steer?method=rotate&steer=1:1", {"inputs": [[1] * D]})
        self.assertEqual((reply.status, reply.json["pointer"]), (400, "method"))
        with self.assertRaises(ConflictError):
            self.client.dictionary("bare").edit(self.x, {1: "ablate"})
        with self.assertRaises(ValueError):
            self.words.edit(self.x, {})
        with self.assertRaises(ValueError):
            self.words.edit(self.x, {1: "double"})
        with self.assertRaises(ValueError):
            self.words.steer(self.x, {1: 1.0}, method="rotate")
        with self.assertRaises(BadRequestError):
            self.words.edit(self.x, {1: ("scale", 1e38), 2: 3e38}).outputs

    def test_work_has_a_bound(self):
        inputs = np.zeros((300, D)).tolist()
        many = [{"atom": i % K, "op": "ablate"} for i in range(4096)]
        reply = self.daemon.post("/v1/dictionaries/words/edit", {"inputs": inputs, "set": many})
        self.assertEqual((reply.status, reply.json["code"], reply.json["limit"]), (413, "too_many", 1 << 20))
        reply = self.daemon.post("/v1/dictionaries/words/edit", {"inputs": inputs[:2], "set": many + many[:1]})
        self.assertEqual((reply.status, reply.json["limit"]), (413, 4096))
        pushes = [{"atom": i % K, "scale": 0.5} for i in range(4096)]
        for method, status in (("add", 200), ("cap", 413), ("orthogonal", 413)):
            body = json.dumps({"inputs": inputs, "steer": pushes, "method": method}).encode()
            self.assertEqual(self.daemon.post("/v1/dictionaries/words/steer", body).status, status, method)


if __name__ == "__main__":
    unittest.main()
