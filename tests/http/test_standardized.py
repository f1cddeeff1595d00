"""A dictionary that was trained on standardized activations, from the digits to the answers
(lib/sae/standardization.c): the programs train, fuse and serve it, and this test computes its codes and
reconstructions again from the numbers in the file."""

import json
import math
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

import daemon
from daemon import Daemon, dense, read_safetensors, relative_error, rows

RASAE = os.path.join(os.path.dirname(daemon.PROGRAM), "rasae")
DIGITS = os.path.join(daemon.TOP, "tests", "data", "digits.npy")
URL = "/v1/dictionaries/digits"
COUNT, TOP_K = 12, 6


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<H", data[8:10])[0]
    header = eval(data[10:10 + size], {"__builtins__": {}})  # the format defines it as a literal
    count, width = header["shape"]
    assert header["descr"] == "<f4" and not header["fortran_order"]
    numbers = struct.unpack("<%df" % (count * width), data[10 + size:])
    return [list(numbers[i * width:(i + 1) * width]) for i in range(count)]


def product(matrix, vector):
    return [math.fsum(a * b for a, b in zip(row, vector)) for row in matrix]


def norm(vector):
    return math.sqrt(math.fsum(x * x for x in vector))


class Standardized(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasae-standardized-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        checkpoint, fused = (os.path.join(cls.folder, n + ".safetensors") for n in ("checkpoint", "fused"))
        for command in (
            ["train", DIGITS, "-o", checkpoint, "--standardize", "element", "--concepts", "96", "--points",
             "128", "--top-k", str(TOP_K), "--epochs", "3", "--batch-size", "128", "--lr", "5e-3", "--seed",
             "1", "--quiet"],
            ["fuse", checkpoint, "-o", fused],
        ):
            subprocess.run([RASAE, *command], check=True, stdout=subprocess.DEVNULL, timeout=daemon.PATIENCE)
        tensors, cls.settings = read_safetensors(fused)
        cls.mean, cls.scale = tensors["input.mean"][1], tensors["input.scale"][1]
        cls.D, cls.E = rows(tensors["dictionary"]), rows(tensors["encoder.final_block.0.weight"])
        cls.bias = tensors["encoder.final_block.0.bias"][1]
        cls.data = read_npy(DIGITS)
        cls.x = cls.data[:COUNT]
        cls.z = [cls.encode(x) for x in cls.x]
        cls.daemon = Daemon("--dictionary", "digits=" + fused)
        cls.daemon.__enter__()
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)

    # ---- the method, number by number

    @classmethod
    def standardize(cls, x):
        return [(a - m) / s for a, m, s in zip(x, cls.mean, cls.scale)]

    @classmethod
    def encode(cls, x):
        pre = [max(a + b, 0) for a, b in zip(product(cls.E, cls.standardize(x)), cls.bias)]
        kept = sorted(range(len(pre)), key=lambda k: (-pre[k], k))[:TOP_K]
        return [value if k in kept else 0.0 for k, value in enumerate(pre)]

    @classmethod
    def decode(cls, z):
        """In the space of the dictionary."""
        x_hat = [0.0] * len(cls.mean)
        for value, atom in zip(z, cls.D):
            if value:
                x_hat = [a + value * b for a, b in zip(x_hat, atom)]
        return x_hat

    @classmethod
    def units(cls, x_hat):
        return [a * s + m for a, m, s in zip(x_hat, cls.mean, cls.scale)]

    def post(self, path, value):
        reply = self.daemon.post(path, value)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json

    # ---- the file

    def test_the_file_holds_what_the_data_say(self):
        columns = list(zip(*self.data))
        mean = [math.fsum(c) / len(c) for c in columns]
        scale = [math.sqrt(math.fsum((x - m) ** 2 for x in c) / len(c)) or 1.0 for c, m in zip(columns, mean)]
        self.assertLess(relative_error([self.mean], [mean]), 1e-6)
        self.assertLess(relative_error([self.scale], [scale]), 1e-6)
        self.assertIn(0.0, self.mean)  # pixels that are always empty,
        self.assertEqual(self.scale[self.mean.index(0.0)], 1.0)  # whose scale is 1

    def test_the_daemon_says_so(self):
        self.assertIs(self.daemon.get(URL).json["standardized"], True)

    # ---- the answers

    def test_codes_are_those_of_standardized_inputs(self):
        reply = self.post(URL + "/encode", {"inputs": self.x})
        self.assertLess(relative_error(dense(reply, len(self.D)), self.z), 1e-5)

    def test_reconstructions_are_in_the_units_of_the_data(self):
        expected = [self.units(self.decode(z)) for z in self.z]
        reply = self.post(URL + "/encode", {"inputs": self.x})
        got = self.post(URL + "/reconstruct", {"latents": reply})["reconstructions"]
        self.assertLess(relative_error(got, expected), 1e-5)
        got = self.post(URL + "/reconstruct", {"latents": self.z})["reconstructions"]  # dense
        self.assertLess(relative_error(got, expected), 1e-5)
        flat = [value for row in self.z for value in row]
        tensor = {"name": "latents", "datatype": "FP32", "shape": [COUNT, len(self.D)], "data": flat}
        output = self.post("/v2/models/digits/infer", {"inputs": [tensor]})["outputs"][0]
        self.assertEqual(output["shape"], [COUNT, len(self.mean)])
        width = len(self.mean)
        got = [output["data"][i * width:(i + 1) * width] for i in range(COUNT)]
        self.assertLess(relative_error(got, expected), 1e-5)
        # and they are near the data, which they would not be without scale and mean
        self.assertLess(relative_error(expected, self.x), 0.7)

    def test_no_latents_give_the_mean(self):
        reply = self.post(URL + "/reconstruct", {"latents": {"indices": [[]], "values": [[]]}})
        self.assertLess(relative_error(reply["reconstructions"], [self.mean]), 1e-7)

    def test_raw_tensors_go_the_same_way(self):
        width = len(self.mean)
        body = struct.pack("<%df" % width, *self.x[0])
        headers = {"Content-Type": "application/octet-stream", "X-Tensor-Shape": "1,%d" % width,
                   "X-Tensor-Dtype": "F32"}
        push = [{"atom": 3, "scale": 0.5}]
        json_way = self.post(URL + "/steer", {"inputs": self.x[:1], "steer": push, "on": "reconstruction"})
        path = URL + "/steer?on=reconstruction&format=json&steer=3:0.5"
        reply = self.daemon.request("POST", path, body, headers)
        self.assertEqual(reply.status, 200, reply.body)
        self.assertEqual(json.loads(reply.body)["outputs"], json_way["outputs"])

    def test_explanations_are_in_standardized_space(self):
        reply = self.post(URL + "/explain", {"inputs": self.x})["explanations"]
        for x, z, one in zip(self.x, self.z, reply):
            x = self.standardize(x)
            residual = [a - b for a, b in zip(x, self.decode(z))]
            center = sum(x) / len(x)
            r2 = 1 - norm(residual) ** 2 / norm([a - center for a in x]) ** 2
            self.assertAlmostEqual(one["input"]["norm"], norm(x), places=4)
            self.assertAlmostEqual(one["residual"]["norm"], norm(residual), places=4)
            self.assertAlmostEqual(one["r2"], r2, places=4)
            for entry in one["concepts"]:
                self.assertAlmostEqual(entry["code"], z[entry["atom"]], places=4)

    def test_steering_pushes_in_the_units_of_the_data(self):
        reply = self.post(URL + "/steer", {"inputs": self.x[:2], "steer": [{"atom": 7, "scale": 1.5}]})
        expected = [[a + 1.5 * b * s for a, b, s in zip(x, self.D[7], self.scale)] for x in self.x[:2]]
        self.assertLess(relative_error(reply["outputs"], expected), 1e-6)

    def test_an_encoder_vector_times_a_row_is_its_pre_code(self):
        body = {"model": "m", "source": "digits", "index": 7}
        vector = self.daemon.post("/v1/util/sae-vector", body).json["vector"]
        shift = math.fsum(e * m / s for e, m, s in zip(self.E[7], self.mean, self.scale))
        for x in self.x[:3]:
            pre = product([self.E[7]], self.standardize(x))[0]
            self.assertAlmostEqual(product([vector], x)[0] - shift, pre, places=3)

    def test_search_is_among_atoms_as_they_are(self):
        found = self.post(URL + "/search", {"vectors": [self.D[11]], "k": 1})["results"][0][0]
        self.assertEqual(found["atom"], 11)
        self.assertAlmostEqual(found["score"], 1, places=5)


if __name__ == "__main__":
    unittest.main()
