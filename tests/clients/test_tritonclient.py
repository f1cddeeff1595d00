"""Triton's own Python client, unmodified, against the daemon: the blocking one (gevent), its asynchronous calls, and
the one for asyncio; JSON and binary, compression, metadata, statistics, repository, errors."""

import json
import os
import shutil
import tempfile
import unittest
import urllib.request

import environment

environment.enter()

import numpy as np  # noqa: E402
import tritonclient.http as blocking  # noqa: E402
import tritonclient.http.aio as asynchronous  # noqa: E402
from environment import Daemon, golden  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402

BASIC = golden("dict-basic.checkpoint.safetensors")
KEY = {"Authorization": "Bearer admin-key-for-tests-0001"}
FORMS = [(binary_in, binary_out, ask) for binary_in in (False, True) for binary_out in (False, True)
         for ask in (False, True)]


def start(case):
    """A daemon with two dictionaries of the golden file, for the tests of a class."""
    folder = tempfile.mkdtemp(prefix="rasaed-test-")
    case.addClassCleanup(shutil.rmtree, folder)
    keys = os.path.join(folder, "keys")
    with open(keys, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write("admin admin-key-for-tests-0001\n")
    case.folder = os.path.join(folder, "files")
    os.mkdir(case.folder)
    for name in ("words", "other"):
        shutil.copy(BASIC, os.path.join(case.folder, name + ".safetensors"))
    daemon = Daemon("--dictionary-dir", case.folder, "--keys", keys)
    case.addClassCleanup(daemon.__exit__, None, None, None)
    case.url = "%s:%d" % daemon.address
    matrix = daemon.get("/v1/dictionaries/words/atoms?limit=1000&fields=vector", headers=KEY).json["atoms"]
    case.atoms = np.array([atom["vector"] for atom in matrix], np.float32)
    case.z = np.random.default_rng(1).standard_normal((5, len(matrix)), np.float32)
    case.z[np.abs(case.z) < 1] = 0
    case.expected = case.z.astype(np.float64) @ case.atoms.astype(np.float64)


def tensor(module, name, datatype, array, binary):
    one = module.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return one


def dense(module, z, binary=True):
    return [tensor(module, "latents", "FP32", z, binary)]


def sparse(module, z, binary=True, datatype=np.int64):
    """Rows of as many entries as the longest has, the others padded."""
    width = int((z != 0).sum(1).max())
    indices = np.full((len(z), width), -1, datatype)
    values = np.zeros((len(z), width), np.float32)
    for row, codes in enumerate(z):
        at = np.flatnonzero(codes)
        indices[row, :len(at)], values[row, :len(at)] = at, codes[at]
    kind = "INT64" if datatype == np.int64 else "INT32"
    return [tensor(module, "indices", kind, indices, binary),
            tensor(module, "values", "FP32", values, binary)]


def outputs(module, binary, ask):
    return [module.InferRequestedOutput("reconstructions", binary_data=binary)] if ask else None


class Checks:
    def close(self, result, expected):
        got = result.as_numpy("reconstructions")
        self.assertEqual((got.dtype, got.shape), (np.float32, expected.shape))
        self.assertLess(np.linalg.norm(got - expected) / np.linalg.norm(expected), 1e-5)

    def refused(self, error, status, part):
        self.assertEqual(error.exception.status(), str(status))
        self.assertIn(part, error.exception.message())


class Blocking(Checks, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        start(cls)
        cls.client = blocking.InferenceServerClient(cls.url, concurrency=4)
        cls.addClassCleanup(cls.client.close)

    def infer(self, inputs, model="words", **more):
        return self.client.infer(model, inputs, headers=dict(KEY), **more)

    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("words", headers=KEY))
        self.assertTrue(self.client.is_model_ready("words", "1", headers=KEY))
        self.assertFalse(self.client.is_model_ready("none", headers=KEY))
        self.assertFalse(self.client.is_model_ready("words", "9", headers=KEY))

    def test_metadata_and_config(self):
        server = self.client.get_server_metadata(headers=KEY)
        self.assertEqual(server["name"], "rasaed")
        self.assertIn("binary_tensor_data", server["extensions"])
        model = self.client.get_model_metadata("words", headers=KEY)
        k, d = self.atoms.shape
        self.assertEqual(model["inputs"][0], {"name": "latents", "datatype": "FP32", "shape": [-1, k]})
        self.assertEqual(model["outputs"],
                         [{"name": "reconstructions", "datatype": "FP32", "shape": [-1, d]}])
        self.assertEqual(self.client.get_model_metadata("words", "1", headers=KEY), model)
        config = self.client.get_model_config("words", headers=KEY)
        self.assertGreater(config["max_batch_size"], 0)
        self.assertEqual(self.client.get_model_config("words", "1", headers=KEY), config)

    def test_dense_in_every_form(self):
        for binary_in, binary_out, ask in FORMS:
            result = self.infer(dense(blocking, self.z, binary_in),
                                outputs=outputs(blocking, binary_out, ask))
            self.close(result, self.expected)

    def test_sparse_in_every_form(self):
        for datatype in (np.int32, np.int64):
            for binary_in, binary_out, ask in FORMS:
                result = self.infer(sparse(blocking, self.z, binary_in, datatype),
                                    outputs=outputs(blocking, binary_out, ask))
                self.close(result, self.expected)

    def test_half_and_double(self):
        half = self.z.astype(np.float16)
        expected = half.astype(np.float64) @ self.atoms.astype(np.float64)
        self.close(self.infer([tensor(blocking, "latents", "FP16", half, True)]), expected)
        for binary in (False, True):
            double = [tensor(blocking, "latents", "FP64", self.z.astype(np.float64), binary)]
            self.close(self.infer(double), self.expected)
        import ml_dtypes
        brain = self.z.astype(ml_dtypes.bfloat16)
        expected = brain.astype(np.float64) @ self.atoms.astype(np.float64)
        self.close(self.infer([tensor(blocking, "latents", "BF16", brain, True)]), expected)

    def test_compression(self):
        for there in (None, "gzip", "deflate"):
            for back in (None, "gzip", "deflate"):
                for binary in (False, True):
                    result = self.infer(dense(blocking, self.z, binary),
                                        outputs=outputs(blocking, binary, True),
                                        request_compression_algorithm=there,
                                        response_compression_algorithm=back)
                    self.close(result, self.expected)

    def test_id_version_parameters(self):
        result = self.infer(dense(blocking, self.z), model_version="1", request_id="seven", priority=3,
                            timeout=1000000, parameters={"note": "x", "flag": True, "number": 1.5})
        response = result.get_response()
        self.assertEqual((response["id"], response["model_name"], response["model_version"]),
                         ("seven", "words", "1"))

    def test_many_at_once(self):
        waiting = [self.client.async_infer("words", dense(blocking, self.z[i % 5:i % 5 + 1]),
                                           headers=dict(KEY)) for i in range(20)]
        for i, one in enumerate(waiting):
            self.close(one.get_result(), self.expected[i % 5:i % 5 + 1])

    def test_a_body_of_our_own(self):
        """The two static halves that people use with other HTTP libraries."""
        body, size = blocking.InferenceServerClient.generate_request_body(dense(blocking, self.z))
        import http.client
        connection = http.client.HTTPConnection(self.url, timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/v2/models/words/infer", body,
                           {**KEY, "Inference-Header-Content-Length": str(size)})
        reply = connection.getresponse()
        result = blocking.InferenceServerClient.parse_response_body(
            reply.read(), header_length=int(reply.headers["Inference-Header-Content-Length"]))
        self.close(result, self.expected)

    def test_statistics(self):
        before = self.client.get_inference_statistics("other", headers=KEY)["model_stats"][0]
        self.infer(dense(blocking, self.z), "other")
        for stats in (self.client.get_inference_statistics("other", "1", headers=KEY),
                      self.client.get_inference_statistics(headers=KEY)):
            entry, = [one for one in stats["model_stats"] if one["name"] == "other"]
            self.assertEqual(entry["version"], "1")
            self.assertEqual(entry["inference_count"] - before["inference_count"], 5)
            self.assertEqual(entry["execution_count"] - before["execution_count"], 1)
            self.assertEqual(entry["inference_stats"]["success"]["count"],
                             before["inference_stats"]["success"]["count"] + 1)

    def test_encode(self):
        shutil.copy(golden("topk-mse.final.safetensors"), os.path.join(self.folder, "coded.safetensors"))
        self.client.load_model("coded", headers=KEY)
        described = self.client.get_model_metadata("coded.encode", headers=KEY)
        x = np.random.default_rng(2).standard_normal((7, described["inputs"][0]["shape"][1]), np.float32)
        for binary in False, True:
            codes = self.infer([tensor(blocking, "inputs", "FP32", x, binary)], "coded.encode", outputs=[
                blocking.InferRequestedOutput(name, binary_data=binary) for name in ("indices", "values")])
            indices, values = codes.as_numpy("indices"), codes.as_numpy("values")
            self.assertEqual((indices.dtype, values.dtype, indices.shape), (np.int64, np.float32, values.shape))
            back = self.infer([tensor(blocking, "indices", "INT64", indices, binary),
                               tensor(blocking, "values", "FP32", values, binary)], "coded")
            request = urllib.request.Request("http://%s/v1/dictionaries/coded/atoms?limit=1000&fields=vector" % self.url,
                                             headers=KEY)
            with urllib.request.urlopen(request) as atoms:
                D = np.array([one["vector"] for one in json.load(atoms)["atoms"]], np.float64)
            z = np.zeros((7, len(D)))
            for row in range(7):
                kept = indices[row] >= 0
                z[row, indices[row][kept]] = values[row][kept]
            self.close(back, z @ D)
        self.client.unload_model("coded", headers=KEY)

    def test_repository(self):
        shutil.copy(BASIC, os.path.join(self.folder, "third.safetensors"))
        with self.assertRaises(InferenceServerException) as error:
            self.client.unload_model("third", headers=KEY)
        self.refused(error, 404, "third")
        self.client.load_model("third", headers=KEY)
        self.assertTrue(self.client.is_model_ready("third", headers=KEY))
        index = {one["name"]: one for one in self.client.get_model_repository_index(headers=KEY)}
        self.assertEqual(index["third"], {"name": "third", "version": "1", "state": "READY", "reason": ""})
        self.close(self.infer(dense(blocking, self.z), "third"), self.expected)
        self.client.load_model("third", headers=KEY)
        self.assertTrue(self.client.is_model_ready("third", "1", headers=KEY))  # the same content
        shutil.copy(BASIC.replace("basic", "tight"), os.path.join(self.folder, "third.new"))
        os.replace(os.path.join(self.folder, "third.new"), os.path.join(self.folder, "third.safetensors"))
        self.client.load_model("third", headers=KEY)
        self.assertTrue(self.client.is_model_ready("third", "2", headers=KEY))
        self.client.unload_model("third", headers=KEY, unload_dependents=True)
        self.assertFalse(self.client.is_model_ready("third", headers=KEY))
        index = {one["name"]: one for one in self.client.get_model_repository_index(headers=KEY)}
        self.assertEqual(index["third"]["state"], "UNAVAILABLE")
        with self.assertRaises(InferenceServerException) as error:
            self.client.load_model("third", headers=KEY, config="{}")
        self.refused(error, 501, "config")

    def test_errors_have_their_sentence(self):
        def fails(status, part, call, *arguments, **more):
            with self.assertRaises(InferenceServerException) as error:
                call(*arguments, **more)
            self.refused(error, status, part)

        fails(404, "none", self.infer, dense(blocking, self.z), "none")
        fails(404, "version '9'", self.infer, dense(blocking, self.z), model_version="9")
        fails(400, "latents", self.infer, dense(blocking, self.z[:, :-1]))
        whole = self.z.astype(np.int64)
        fails(400, "datatype", self.infer, [tensor(blocking, "latents", "INT64", whole, True)])
        fails(400, "NaN", self.infer, dense(blocking, np.full_like(self.z, np.nan)))
        fails(400, "no output", self.infer, dense(blocking, self.z),
              outputs=[blocking.InferRequestedOutput("y")])
        fails(501, "classification", self.infer, dense(blocking, self.z),
              outputs=[blocking.InferRequestedOutput("reconstructions", class_count=3)])
        fails(404, "none", self.client.get_model_metadata, "none", headers=KEY)
        fails(404, "none", self.client.get_model_config, "none", headers=KEY)
        fails(404, "none", self.client.get_inference_statistics, "none", headers=KEY)
        fails(404, "none", self.client.load_model, "none", headers=KEY)
        fails(401, "authentication required", self.client.get_server_metadata)
        fails(404, "nothing", self.client.get_log_settings, headers=KEY)


class Asynchronous(Checks, unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        start(cls)

    async def asyncSetUp(self):
        self.client = asynchronous.InferenceServerClient(self.url)
        self.addAsyncCleanup(self.client.close)

    async def test_metadata_statistics_repository(self):
        client = self.client
        self.assertTrue(await client.is_server_live())
        self.assertTrue(await client.is_server_ready())
        self.assertTrue(await client.is_model_ready("words", headers=KEY))
        self.assertEqual((await client.get_server_metadata(headers=KEY))["name"], "rasaed")
        self.assertEqual((await client.get_model_metadata("words", headers=KEY))["name"], "words")
        self.assertEqual((await client.get_model_config("words", headers=KEY))["name"], "words")
        stats = await client.get_inference_statistics(headers=KEY)
        self.assertEqual({one["name"] for one in stats["model_stats"]}, {"other", "words"})
        await client.unload_model("other", headers=KEY)
        self.assertFalse(await client.is_model_ready("other", headers=KEY))
        await client.load_model("other", headers=KEY)
        index = {one["name"]: one for one in await client.get_model_repository_index(headers=KEY)}
        self.assertEqual(index["other"]["state"], "READY")

    async def test_infer_in_every_form(self):
        for make in (dense, sparse):
            for binary_in, binary_out, ask in FORMS:
                for packed in (None, "gzip", "deflate"):
                    result = await self.client.infer(
                        "words", make(asynchronous, self.z, binary_in), headers=dict(KEY),
                        outputs=outputs(asynchronous, binary_out, ask), request_compression_algorithm=packed,
                        response_compression_algorithm=packed)
                    self.close(result, self.expected)

    async def test_errors(self):
        with self.assertRaises(InferenceServerException) as error:
            await self.client.infer("none", dense(asynchronous, self.z), headers=dict(KEY))
        self.refused(error, 404, "none")
        with self.assertRaises(InferenceServerException) as error:
            await self.client.load_model("none", headers=KEY)
        self.refused(error, 404, "none")


if __name__ == "__main__":
    unittest.main()
