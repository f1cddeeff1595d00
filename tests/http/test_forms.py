"""The same numbers as JSON, raw tensors and npy, in both directions, as proto/tensors.md specifies
(server/api/{forms,neuronpedia,steer,edit}.c)."""

import array
import ast
import struct
import unittest

from daemon import Daemon, golden, read_safetensors, relative_error, rows

BASIC, TOPK = "/v1/dictionaries/basic", "/v1/dictionaries/topk"
RAW, NPY, SAFETENSORS = "application/octet-stream", "application/x-npy", "application/x-safetensors"
CODES = {"F32": ("f", 4), "I32": ("i", 4), "I64": ("q", 8)}
DESCR = {"<f4": "f", "<i4": "i", "<i8": "q"}


def pack(code, numbers):
    return struct.pack("<%d%s" % (len(numbers), code), *numbers)


def flat(matrix):
    return [x for row in matrix for x in row]


def npy(shape, code, numbers):
    descr = {value: key for key, value in DESCR.items()}[code]
    header = ("{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, tuple(shape))).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pack(code, numbers)


def read_npy(data):
    """[(shape, numbers)] of arrays that follow each other."""
    arrays = []
    while data:
        assert data[:8] == b"\x93NUMPY\x01\x00", data[:16]
        size = struct.unpack("<H", data[8:10])[0]
        assert (10 + size) % 64 == 0
        header = ast.literal_eval(data[10:10 + size].decode().strip())
        assert not header["fortran_order"]
        count = 1
        for n in header["shape"]:
            count *= n
        code = DESCR[header["descr"]]
        end = 10 + size + count * struct.calcsize("<" + code)
        numbers = struct.unpack("<%d%s" % (count, code), data[10 + size:end])
        arrays.append((list(header["shape"]), list(numbers)))
        data = data[end:]
    return arrays


def read_raw(reply):
    shapes = [[int(n) for n in part.split(",")] for part in reply.headers["X-Tensor-Shape"].split(";")]
    types = [part.strip() for part in reply.headers["X-Tensor-Dtype"].split(";")]
    assert len(shapes) == len(types)
    arrays, data = [], reply.body
    for shape, dtype in zip(shapes, types):
        code, size = CODES[dtype]
        count = 1
        for n in shape:
            count *= n
        arrays.append((shape, list(struct.unpack("<%d%s" % (count, code), data[:count * size]))))
        data = data[count * size:]
    assert not data
    return arrays


def read(reply):
    return read_npy(reply.body) if reply.headers["Content-Type"] == NPY else read_raw(reply)


class Forms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expected, _ = read_safetensors(golden("topk-mse.expected.safetensors"))
        cls.codes = rows(cls.expected["eval.codes"])
        with open(golden("topk-mse.x.npy"), "rb") as file:
            data = file.read()
        numbers = array.array("f", data[10 + struct.unpack("<H", data[8:10])[0]:]).tolist()
        cls.width = cls.expected["eval.x_hat"][0][1]
        cls.inputs = [numbers[i * cls.width:(i + 1) * cls.width] for i in range(len(cls.codes))]
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"),
                            "--dictionary", "topk=" + golden("topk-mse.final.safetensors"))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def get(self, path, accept=None, status=200):
        reply = self.daemon.get(path, headers={"Accept": accept} if accept else {})
        self.assertEqual(reply.status, status, reply.body[:500])
        return reply

    def post(self, path, body, status=200, **headers):
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        reply = self.daemon.post(path, body, headers=headers)
        self.assertEqual(reply.status, status, reply.body[:500])
        return reply

    def bodies(self, matrix):
        """The same matrix in every form: body, headers."""
        shape, numbers = [len(matrix), len(matrix[0])], flat(matrix)
        raw = pack("f", numbers)
        yield raw, {"Content_Type": RAW, "X_Tensor_Shape": "%d, %d" % tuple(shape), "X_Tensor_Dtype": "F32"}
        yield raw, {"Content_Type": RAW}
        yield npy(shape, "f", numbers), {"Content_Type": NPY}
        yield pack("d", numbers), {"Content_Type": RAW, "X_Tensor_Shape": "%d,%d" % tuple(shape),
                                   "X_Tensor_Dtype": "f64"}

    # ---- replies

    def test_vectors_of_atoms(self):
        page = self.get(BASIC + "/atoms?offset=3&limit=4").json["atoms"]
        vectors = [atom["vector"] for atom in page]
        for accept in (RAW, NPY):
            shape, numbers = read(self.get(BASIC + "/atoms/3", accept))[0]
            self.assertEqual((shape, numbers), ([len(vectors[0])], self.floats(vectors[0])))
            shape, numbers = read(self.get(BASIC + "/atoms?offset=3&limit=4", accept))[0]
            self.assertEqual((shape, numbers), ([4, len(vectors[0])], self.floats(flat(vectors))))
            shape, numbers = read(self.get(BASIC + "/atoms?ids=6,3", accept))[0]
            self.assertEqual((shape, numbers), ([2, len(vectors[0])], self.floats(vectors[3] + vectors[0])))
            shape, numbers = read(self.get(BASIC + "/points/2", accept))[0]
            self.assertEqual(numbers, self.floats(self.get(BASIC + "/points/2").json["vector"]))

    def floats(self, numbers):
        return array.array("f", numbers).tolist()

    def test_format_is_the_last_word(self):
        self.assertEqual(self.get(BASIC + "/atoms/1?format=npy", RAW).headers["Content-Type"], NPY)
        self.assertEqual(self.get(BASIC + "/atoms/1?format=json", "image/png").headers["Content-Type"],
                         "application/json")
        for path in (BASIC + "/atoms/1?format=xml", BASIC + "/atoms/1?format=safetensors",
                     BASIC + "/dictionary?format=json"):
            self.assertIn("available as", self.get(path, status=406).json["error"])

    def test_accept(self):
        for accept in ("*/*", "application/*", "text/html,*/*;q=0.1", RAW + ";q=0.1, application/json"):
            self.assertEqual(self.get(BASIC + "/atoms/1", accept).headers["Content-Type"], "application/json")
        self.assertEqual(self.get(BASIC + "/dictionary", "*/*").headers["Content-Type"], SAFETENSORS)
        self.assertIn("Accept excludes", self.get(BASIC + "/atoms/1", "image/png", 406).json["error"])
        self.get(BASIC, "image/png")  # a route with one form always sends it

    def test_binary_has_only_the_vector(self):
        self.get(BASIC + "/atoms/1?fields=vector,norm", RAW)
        self.assertIn("fields leaves out", self.get(BASIC + "/atoms/1?fields=norm", RAW, 400).json["error"])

    # ---- requests

    def test_inputs_in_every_form(self):
        wanted = self.post(TOPK + "/encode", {"inputs": self.inputs}).json
        explained = self.post(TOPK + "/explain", {"inputs": self.inputs}).json
        for body, headers in self.bodies(self.inputs):
            self.assertEqual(self.post(TOPK + "/encode", body, **headers).json, wanted)
            self.assertEqual(self.post(TOPK + "/explain", body, **headers).json, explained)

    def test_codes_there_and_back(self):
        wanted = self.post(TOPK + "/encode", {"inputs": self.inputs}).json
        x_hat = self.post(TOPK + "/reconstruct", {"latents": wanted}).json["reconstructions"]
        for accept in (RAW, NPY):
            reply = self.post(TOPK + "/encode", {"inputs": self.inputs}, Accept=accept)
            (s, start), (i, index), (v, value) = read(reply)
            self.assertEqual((s, i, v), ([len(self.inputs) + 1], [start[-1]], [start[-1]]))
            for row, (a, b) in enumerate(zip(start, start[1:])):
                self.assertEqual(index[a:b], wanted["indices"][row])
                self.assertEqual(value[a:b], self.floats(wanted["values"][row]))
            headers = {"Content_Type": accept}
            if accept == RAW:
                headers["X_Tensor_Shape"] = reply.headers["X-Tensor-Shape"]
                headers["X_Tensor_Dtype"] = reply.headers["X-Tensor-Dtype"]
            same = self.post(TOPK + "/reconstruct", reply.body, **headers)
            self.assertEqual(same.json["reconstructions"], x_hat)
            back = read(self.post(TOPK + "/reconstruct", reply.body, Accept=accept, **headers))[0]
            self.assertEqual(back, ([len(x_hat), self.width], self.floats(flat(x_hat))))

    def test_dense_latents_in_every_form(self):
        wanted = self.post(TOPK + "/reconstruct", {"latents": self.codes}).json
        for body, headers in self.bodies(self.codes):
            self.assertEqual(self.post(TOPK + "/reconstruct", body, **headers).json, wanted)

    def test_search_in_every_form(self):
        wanted = self.post(TOPK + "/search", {"vectors": self.inputs, "k": 3, "metric": "dot"}).json
        for body, headers in self.bodies(self.inputs):
            self.assertEqual(self.post(TOPK + "/search?k=3&metric=dot", body, **headers).json, wanted)
        for accept in (RAW, NPY):
            reply = self.post(TOPK + "/search?k=3&metric=dot", {"vectors": self.inputs}, Accept=accept)
            (shape, ids), (_, scores) = read(reply)
            found = flat(wanted["results"])
            self.assertEqual(shape, [len(self.inputs), 3])
            self.assertEqual(ids, [one["atom"] for one in found])
            self.assertEqual(scores, self.floats([one["score"] for one in found]))
        reply = self.post(TOPK + "/search?k=2", {"vectors": self.inputs[:1]})
        self.assertEqual(len(reply.json["results"][0]), 2)
        self.post(TOPK + "/search?k=2", {"vectors": self.inputs[:1], "k": 5}, status=400)
        self.post(TOPK + "/search?k=0", {"vectors": self.inputs[:1]}, status=400)
        self.post(TOPK + "/search?metric=far", {"vectors": self.inputs[:1]}, status=400)

    def test_malformed_bodies(self):
        good = pack("f", flat(self.inputs[:2]))
        nan = pack("f", self.inputs[0][:-1] + [float("nan")])
        cases = [(good[:-1], {}, 400, "not a multiple"), (b"", {}, 400, "empty"),
                 (nan, {}, 400, "inputs[0][15] is NaN"),
                 (good, {"X_Tensor_Shape": "2,15"}, 400, "takes 120"),
                 (good, {"X_Tensor_Shape": "3,16"}, 400, "fewer than"),
                 (good, {"X_Tensor_Shape": "4,8"}, 400, "[rows, 16]"),
                 (good, {"X_Tensor_Shape": "2,-16"}, 400, "X-Tensor-Shape"),
                 (good, {"X_Tensor_Dtype": "U9"}, 400, "X-Tensor-Dtype"),
                 (good, {"X_Tensor_Shape": "2,16", "X_Tensor_Dtype": "I32"}, 400, "type I32"),
                 (good, {"Content_Type": NPY}, 400, "not an npy"),
                 (npy([16, 2], "f", flat(self.inputs[:2])), {"Content_Type": NPY}, 400, "[16, 2]"),
                 (npy([2, 16], "f", flat(self.inputs[:2]))[:-3], {"Content_Type": NPY}, 400, "truncated"),
                 (npy([2, 16], "i", [1] * 32), {"Content_Type": NPY}, 400, "type I32"),
                 (good, {"Content_Type": "image/png"}, 415, "json, raw and npy"),
                 (good, {"Content_Type": SAFETENSORS}, 415, "json, raw and npy")]
        for body, headers, status, part in cases:
            headers = {"Content_Type": RAW, **headers}
            self.assertIn(part, self.post(TOPK + "/encode", body, status, **headers).json["error"])
        self.post("/v1/util/sae-vector", good, 415, Content_Type=RAW)

    # ---- steer

    def test_steer(self):
        atoms = {i: self.get(TOPK + "/atoms/%d" % i).json["vector"] for i in (5, 7)}
        push = [2 * a - 0.5 * b for a, b in zip(atoms[5], atoms[7])]
        steer = [{"atom": 5, "scale": 2}, {"atom": 7, "scale": -0.5}]
        codes = self.post(TOPK + "/encode", {"inputs": self.inputs}).json
        x_hat = self.post(TOPK + "/reconstruct", {"latents": codes}).json["reconstructions"]
        for on, base in (("input", self.inputs), ("reconstruction", x_hat)):
            wanted = [[x + p for x, p in zip(row, push)] for row in base]
            body = {"inputs": self.inputs, "steer": steer, "on": on}
            got = self.post(TOPK + "/steer", body).json["outputs"]
            for row, expected in zip(got, wanted):
                for a, b in zip(row, expected):
                    self.assertAlmostEqual(a, b, places=5)
            for body, headers in self.bodies(self.inputs):
                reply = self.post(TOPK + "/steer?steer=5:2,7:-5e-1&on=" + on, body, Accept=RAW, **headers)
                self.assertEqual(read(reply)[0], ([len(got), self.width], self.floats(flat(got))))

    def test_steer_refuses(self):
        one = {"inputs": self.inputs[:1]}
        for path, body, status, part in (
                ("", one, 400, "no atoms to steer along"),
                ("?steer=5", one, 400, "5:2.0"),
                ("?steer=5:2x", one, 400, "5:2x"),
                ("?steer=:2", one, 400, "the atom in steer"),
                ("?steer=5:1e99", one, 400, "5:1e99"),
                ("?steer=5:nan", one, 400, "5:nan"),
                ("?steer=99:1", one, 400, "no atom 99"),
                ("?steer=5:1&on=nothing", one, 400, "on is"),
                ("", {**one, "steer": [{"atom": 99, "scale": 1}]}, 400, "no atom 99")):
            self.assertIn(part, self.post(TOPK + "/steer" + path, body, status).json["error"])
        d = len(self.get(BASIC + "/atoms/0").json["vector"])
        reply = self.post(BASIC + "/steer", {"inputs": [[1] * d], "steer": [{"atom": 0, "scale": 1}],
                                             "on": "reconstruction"}, 409)
        self.assertIn("no encoder", reply.json["error"])
        self.post(BASIC + "/steer", {"inputs": [[1] * d], "steer": [{"atom": 0, "scale": 1}]})

    # ---- pages

    def links(self, reply):
        found = {}
        for part in reply.headers["Link"].split(", "):
            target, relation = part.split("; rel=")
            found[relation.strip('"')] = target[1:-1]
        return found

    def test_links_lead_over_every_atom_once(self):
        total = self.get(BASIC).json["concepts"]
        for first in ("?limit=7", "?limit=7&offset=3", "?limit=1000", "?limit=%d" % total):
            path, seen = BASIC + "/atoms" + first + "&fields=norm", []
            while path:
                reply = self.get(path)
                seen += [atom["atom"] for atom in reply.json["atoms"]]
                links = self.links(reply)
                self.assertEqual(self.links(self.get(links["last"])).get("next"), None)
                self.assertNotIn("prev", self.links(self.get(links["first"])))
                path = links.get("next")
                if path:
                    self.assertIn("fields=norm", path)
            self.assertEqual(seen, list(range(seen[0], total)))
            path, seen = self.links(reply)["last"], []
            while path:
                reply = self.get(path)
                seen = [atom["atom"] for atom in reply.json["atoms"]] + seen
                path = self.links(reply).get("prev")
            self.assertEqual(seen, list(range(total)))

    # ---- Neuronpedia's calls

    def test_neuronpedias_vector(self):
        tensors, _ = read_safetensors(golden("topk-mse.final.safetensors"))
        columns = rows(tensors["encoder.final_block.0.weight"])
        feature = {"model": "gpt2-small", "source": "topk", "index": 5}
        for query in ("", "?which=encoder"):
            reply = self.post("/v1/util/sae-vector" + query, feature).json
            self.assertEqual(list(reply), ["vector", "hookName"])
            self.assertEqual(reply["hookName"], "")
            self.assertLess(relative_error([reply["vector"]], [columns[5]]), 1e-7)
        reply = self.post("/v1/util/sae-vector?which=decoder", feature).json
        self.assertEqual(reply["vector"], self.get(TOPK + "/atoms/5").json["vector"])
        for query, given, status, part in (("?which=nothing", {}, 400, "expected encoder or decoder"),
                                           ("", {"source": "basic"}, 409, "which=decoder"),
                                           ("", {"source": "nowhere"}, 400, "Invalid SAE ID"),
                                           ("", {"index": 4000}, 400, "out of range"),
                                           ("", {"model": "\u00e9" * 128}, 400, "127 characters"),
                                           ("", {"model": "a\0b"}, 400, "without a NUL")):
            self.assertIn(part, self.post("/v1/util/sae-vector" + query, {**feature, **given}, status).json["error"])
        self.post("/v1/util/sae-vector", {**feature, "model": "\U0001d11e" * 127})
        basic = self.post("/v1/util/sae-vector?which=decoder", {**feature, "source": "basic"}).json
        self.assertEqual(basic["vector"], self.get(BASIC + "/atoms/5").json["vector"])

    def test_neuronpedias_capabilities(self):
        reply = self.get("/v1/capabilities").json
        names = [one["name"] for one in self.get("/v1/dictionaries").json["dictionaries"]]
        self.assertEqual((reply["sae_sets"], reply["model"], reply["device"]), (names, "", "cpu"))
        self.assertEqual([name for name, works in reply["endpoints"].items() if works],
                         ["sae_vector", "sae_topk_by_decoder_cossim"])

    def test_neuronpedias_nearest(self):
        feature = {"model": "gpt2-small", "source": "topk", "index": 5}
        asked = {"feature": feature, "model": "gpt2-small", "source": "topk", "num_results": 4}
        reply = self.post("/v1/util/sae-topk-by-decoder-cossim", asked).json
        self.assertEqual(reply["feature"], feature)
        nearest = reply["topk_decoder_cossim_features"]
        self.assertEqual(nearest[0]["feature"], feature)
        self.assertAlmostEqual(nearest[0]["cosine_similarity"], 1, places=6)
        neighbors = self.get(TOPK + "/atoms/5/neighbors?k=3").json["neighbors"]
        self.assertEqual([one["feature"]["index"] for one in nearest[1:]], [one["atom"] for one in neighbors])
        vector = {"vector": self.get(TOPK + "/atoms/5").json["vector"], "model": "m", "source": "topk",
                  "numResults": 9999}
        reply = self.post("/v1/util/sae-topk-by-decoder-cossim", vector).json
        self.assertIsNone(reply["feature"])
        self.assertEqual(len(reply["topkDecoderCossimFeatures"]), self.get(TOPK).json["concepts"])
        for body, part in (({**asked, "vector": [1]}, "exactly one of feature or vector"),
                           ({**asked, "source": "nowhere"}, "Invalid SAE ID or type: nowhere"),
                           ({**asked, "feature": {**feature, "index": 4000}}, "out of range")):
            self.assertIn(part, self.post("/v1/util/sae-topk-by-decoder-cossim", body, 400).json["error"])


if __name__ == "__main__":
    unittest.main()
