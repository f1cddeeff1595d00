"""A dictionary that was trained on standardized activations, from the digits to the answers
(lib/sae/standardization.c): the programs train, fuse and serve it, and this test computes its codes and
reconstructions again from the numbers in the file."""

import array
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
COUNT, TOP_K, SEARCHED = 12, 6, 500


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


def float32(numbers):
    return array.array("f", numbers).tolist()


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
        cls.fused = fused
        tensors, cls.settings = read_safetensors(fused)
        cls.mean, cls.scale = tensors["input.mean"][1], tensors["input.scale"][1]
        cls.D, cls.E = rows(tensors["dictionary"]), rows(tensors["encoder.final_block.0.weight"])
        cls.bias = tensors["encoder.final_block.0.bias"][1]
        cls.data = read_npy(DIGITS)
        cls.norms = [norm(atom) for atom in cls.D]
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

    # ---- units: what is in those of the data, and what is standardized

    def best(self, x):
        """The atom nearest to a row of data by the cosine, in float64."""
        x = self.standardize(x)
        scores = [dot / length for dot, length in zip(product(self.D, x), self.norms)]
        return max(range(len(scores)), key=scores.__getitem__)

    def test_search_by_inputs_finds_the_atom_that_float64_finds(self):
        wanted = [self.best(x) for x in self.data[:SEARCHED]]
        results = self.post(URL + "/search", {"inputs": self.data[:SEARCHED], "k": 1})["results"]
        self.assertEqual([one[0]["atom"] for one in results], wanted)
        # the same rows as vectors are taken for standardized ones, which is another question
        results = self.post(URL + "/search", {"vectors": self.data[:SEARCHED], "k": 1})["results"]
        self.assertGreater(sum(one[0]["atom"] != atom for one, atom in zip(results, wanted)), SEARCHED // 10)
        standardized = [self.standardize(x) for x in self.x]
        by_vectors = self.post(URL + "/search", {"vectors": standardized, "k": 3, "metric": "dot"})
        by_inputs = self.post(URL + "/search", {"inputs": self.x, "k": 3, "metric": "dot"})
        for left, right in zip(by_vectors["results"], by_inputs["results"]):
            self.assertEqual([one["atom"] for one in left], [one["atom"] for one in right])
            for a, b in zip(left, right):
                self.assertAlmostEqual(a["score"], b["score"], places=3)
        self.assertEqual(by_inputs["units"], "standardized")  # of dot products

    def test_binary_search_by_inputs(self):
        width = len(self.mean)
        body = struct.pack("<%df" % (width * COUNT), *[value for x in self.x for value in x])
        headers = {"Content-Type": "application/octet-stream"}
        for kind in "inputs", "vectors":
            wanted = self.post(URL + "/search", {kind: self.x, "k": 2})
            reply = self.daemon.request("POST", URL + "/search?k=2&format=json&as=" + kind, body, headers)
            self.assertEqual(reply.json, wanted)
        reply = self.daemon.request("POST", URL + "/search?as=atoms", body, headers)
        self.assertEqual((reply.status, reply.json["error"]), (400, "as is 'atoms', expected vectors or inputs"))

    def test_standardized_numbers_beyond_float32_are_refused(self):
        x = list(self.x[0])
        thin = min(range(len(self.scale)), key=self.scale.__getitem__)
        if self.scale[thin] < 0.5:
            x[thin] = 3e38
            reply = self.daemon.post(URL + "/search", {"inputs": [x]})
            self.assertEqual(reply.status, 400, reply.body)
            self.assertIn("beyond float32 at position %d" % thin, reply.json["error"])

    def test_mean_and_scale(self):
        reply = self.daemon.get(URL + "/standardization")
        self.assertEqual((list(reply.json), reply.json["standardized"]), (["standardized", "mean", "scale"], True))
        for name, numbers in ("mean", self.mean), ("scale", self.scale):
            self.assertEqual(float32(reply.json[name]), numbers)
        again = self.daemon.get(URL + "/standardization", headers={"If-None-Match": reply.headers["ETag"]})
        self.assertEqual(again.status, 304)
        width = len(self.mean)
        raw = self.daemon.get(URL + "/standardization?format=raw")
        self.assertEqual(raw.headers["X-Tensor-Shape"], "%d; %d" % (width, width))
        self.assertEqual(list(struct.unpack("<%df" % (2 * width), raw.body)), self.mean + self.scale)
        self.assertEqual(self.daemon.get(URL + "/standardization?format=npy").body.count(b"\x93NUMPY"), 2)

    def test_without_a_standardization_it_is_the_one_that_changes_nothing(self):
        with Daemon("--dictionary", "plain=" + daemon.golden("topk-mse.final.safetensors")) as plain:
            url = "/v1/dictionaries/plain"
            width = plain.get(url).json["dimensions"]
            self.assertEqual(plain.get(url + "/standardization").json,
                             {"standardized": False, "mean": [0] * width, "scale": [1] * width})
            self.assertNotIn("direction", plain.get(url + "/atoms/3").json)
            atom = plain.get(url + "/atoms/3?fields=all").json
            self.assertEqual((atom["direction"], atom["units"]), (atom["vector"], "data"))
            query = [atom["vector"]]
            self.assertEqual(plain.post(url + "/search", {"inputs": query}).json,
                             plain.post(url + "/search", {"vectors": query}).json)

    def test_a_direction_is_what_steering_adds(self):
        for k in (7, 31):
            atom = self.daemon.get(URL + "/atoms/%d?fields=all" % k).json
            self.assertEqual(atom["units"], "standardized")
            self.assertEqual(self.daemon.get(URL + "/atoms/%d?fields=units" % k).json,
                             {"atom": k, "units": "standardized"})
            expected = [a * s for a, s in zip(self.D[k], self.scale)]
            self.assertLess(relative_error([atom["direction"]], [expected]), 1e-7)
            for strength in (1.5, -20):
                steered = self.post(URL + "/steer", {"inputs": self.x, "steer": [{"atom": k, "scale": strength}]})
                wanted = [[a + strength * b for a, b in zip(x, atom["direction"])] for x in self.x]
                self.assertLess(relative_error(steered["outputs"], wanted), 1e-6)
        # a latent adds its direction to a reconstruction
        latents = {"indices": [[], [7]], "values": [[], [2]]}
        base, moved = self.post(URL + "/reconstruct", latents)["reconstructions"]
        direction = self.daemon.get(URL + "/atoms/7?fields=direction").json["direction"]
        self.assertLess(relative_error([moved], [[a + 2 * b for a, b in zip(base, direction)]]), 1e-6)

    def test_directions_in_lists_and_in_binary(self):
        page = self.daemon.get(URL + "/atoms?limit=3").json["atoms"]
        self.assertNotIn("direction", page[0])  # it follows from the vector
        self.assertEqual(page[0]["units"], "standardized")
        page = self.daemon.get(URL + "/atoms?limit=3&fields=direction").json["atoms"]
        both = self.daemon.get(URL + "/atoms?limit=3&fields=direction,vector&format=raw")
        width = len(self.mean)
        self.assertEqual(both.headers["X-Tensor-Shape"], "3, %d; 3, %d" % (width, width))
        numbers = struct.unpack("<%df" % (6 * width), both.body)
        self.assertEqual(list(numbers[:width]), self.D[0])
        self.assertEqual(list(numbers[3 * width:4 * width]), float32(page[0]["direction"]))
        one = self.daemon.get(URL + "/atoms/2?fields=direction&format=raw")
        self.assertEqual(one.headers["X-Tensor-Shape"], "%d" % width)
        self.assertEqual(list(struct.unpack("<%df" % width, one.body)), float32(page[2]["direction"]))
        self.assertEqual(self.daemon.get(URL + "/atoms/2?format=raw").body, struct.pack("<%df" % width, *self.D[2]))

    def test_an_input_along_a_direction_leads_back_to_its_atom(self):
        atoms = self.daemon.get(URL + "/atoms?limit=1000&fields=direction,vector").json["atoms"]
        inputs = [[m + 8 * value for m, value in zip(self.mean, atom["direction"])] for atom in atoms]
        found = self.post(URL + "/search", {"inputs": inputs, "k": 1})["results"]
        self.assertEqual([one[0]["atom"] for one in found], [atom["atom"] for atom in atoms])
        explained = self.post(URL + "/explain", {"inputs": inputs, "k": 1})["explanations"]
        right = 0
        for k, (x, one) in enumerate(zip(inputs, explained)):
            z = self.encode(x)
            shares = [value * dot for value, dot in zip(z, product(self.D, self.standardize(x)))]
            self.assertEqual(one["concepts"][0]["atom"], max(range(len(z)), key=lambda i: abs(shares[i])))
            self.assertEqual((one["active"], one["units"]), (sum(1 for value in z if value), "standardized"))
            right += one["concepts"][0]["atom"] == k
        self.assertGreater(right, 0.9 * len(atoms))  # the encoder is trained, and not exact
        # the vectors themselves are no inputs
        explained = self.post(URL + "/explain", {"inputs": [atom["vector"] for atom in atoms], "k": 1})["explanations"]
        wrong = sum(one["concepts"][0]["atom"] != k for k, one in enumerate(explained) if one["concepts"])
        self.assertGreater(wrong, 0.5 * len(atoms))

    def test_the_examples_are_right_about_units(self):
        measured = os.path.join(self.folder, "measured.safetensors")  # a filter by frequency needs statistics
        subprocess.run([RASAE, "eval", self.fused, DIGITS, "--save", measured, "--basic"], check=True,
                       stdout=subprocess.DEVNULL, timeout=daemon.PATIENCE)
        with Daemon("--dictionary", "digits=" + measured) as served:
            self.try_examples(served)

    def try_examples(self, served):
        for name in "encode", "search":
            path = os.path.join(daemon.TOP, "proto", "examples", name + ".sh")
            ran = subprocess.run(["sh", path, "http://%s:%d" % served.address, "digits"], check=True,
                                 stdin=subprocess.DEVNULL, capture_output=True, timeout=daemon.PATIENCE)
            replies = [json.loads(line) for line in ran.stdout.decode().splitlines()]
            if name == "search":
                self.assertEqual(replies[0]["results"][0][0]["atom"], 5)  # by inputs
                self.assertEqual(replies[1]["results"][0], self.daemon.get(
                    URL + "/atoms/5/neighbors?k=2&fields=label,norm").json["neighbors"])
                self.assertEqual(replies[3]["units"], "standardized")
                continue
            direction, statistics, codes, explained = replies[:4]
            self.assertEqual(direction["atom"], 5)
            self.assertTrue(statistics["standardized"])
            self.assertIn(5, codes["indices"][0])
            self.assertEqual(explained["explanations"][0]["concepts"][0]["atom"], 5)

    def test_a_point_has_its_location_in_the_data(self):
        point = self.daemon.get(URL + "/points/5").json
        self.assertEqual(point["units"], "standardized")
        self.assertLess(relative_error([point["location"]], [self.units(point["vector"])]), 1e-6)
        # the rows that are nearest to it in the data are at these distances, in standardized units
        for near in point["rows"][:2]:
            row = self.standardize(self.data[near["row"]])
            gap = norm([a - b for a, b in zip(row, point["vector"])])
            self.assertAlmostEqual(near["distance"], gap, places=3)

    def test_vectors_of_other_tools_are_in_the_units_of_the_data(self):
        feature = {"model": "m", "source": "digits", "index": 31}
        vector = self.post("/v1/util/sae-vector?which=decoder", feature)["vector"]
        self.assertEqual(vector, self.daemon.get(URL + "/atoms/31?fields=direction").json["direction"])
        wanted = self.daemon.get(URL + "/atoms/31/neighbors?k=3").json["neighbors"]
        body = {"model": "m", "source": "digits", "num_results": 4}
        for query in {"feature": feature}, {"vector": vector}:
            found = self.post("/v1/util/sae-topk-by-decoder-cossim", {**body, **query})["topk_decoder_cossim_features"]
            self.assertEqual([one["feature"]["index"] for one in found], [31] + [one["atom"] for one in wanted])
            for one, score in zip(found, [1] + [one["score"] for one in wanted]):
                self.assertAlmostEqual(one["cosine_similarity"], score, places=6)

    def test_search_is_among_atoms_as_they_are(self):
        found = self.post(URL + "/search", {"vectors": [self.D[11]], "k": 1})["results"][0][0]
        self.assertEqual(found["atom"], 11)
        self.assertAlmostEqual(found["score"], 1, places=5)


if __name__ == "__main__":
    unittest.main()
