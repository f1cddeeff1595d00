"""The Open Inference Protocol over a real socket, to the letter
(server/api/{oip_infer,oip_models}.c): what tests/clients/test_tritonclient.py does with a real
client, and everything that such a client never sends."""

import array
import gzip
import json
import os
import shutil
import tempfile
import unittest
import zlib

from daemon import Daemon, golden, read_all, read_safetensors, relative_error, rows, write_safetensors

BASIC = golden("dict-basic.checkpoint.safetensors")
MODEL = "/v2/models/basic"
INFER = MODEL + "/infer"
LENGTH = "Inference-Header-Content-Length"
ADMIN = {"Authorization": "Bearer admin-key-for-tests-0001"}


def floats(numbers):
    return array.array("f", numbers).tobytes()


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        keys = os.path.join(cls.folder, "keys")
        with open(keys, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("admin admin-key-for-tests-0001\n")
        cls.atoms = rows(read_safetensors(golden("dict-basic.expected.safetensors"))[0]["fused"])
        cls.latents, cls.dimensions = len(cls.atoms), len(cls.atoms[0])
        cls.files = os.path.join(cls.folder, "files")
        os.mkdir(cls.files)
        for name in ("basic", "other"):
            shutil.copy(BASIC, os.path.join(cls.files, name + ".safetensors"))
        cls.daemon = Daemon("--dictionary-dir", cls.files, "--max-rows", "16", "--max-body", "200000",
                            "--keys", keys)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)

    def get(self, path, status=200):
        reply = self.daemon.get(path, headers=ADMIN)
        self.assertEqual(reply.status, status, reply.body)
        return reply

    def post(self, path, body=b"", status=200, **headers):
        body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self.daemon.request("POST", path, body, {**ADMIN, **names})
        self.assertEqual(reply.status, status, reply.body)
        return reply

    def sentence(self, reply):
        """An error is {"error": "..."} and nothing else."""
        self.assertEqual(reply.headers["Content-Type"], "application/json")
        self.assertEqual(list(reply.json), ["error"])
        return reply.json["error"]

    def dense(self, count=1):
        """Rows of latents, and what they stand for."""
        latents = [[0.0] * self.latents for _ in range(count)]
        expected = []
        for row in range(count):
            latents[row][row] = 1.5
            latents[row][self.latents - 1] = -0.5
            expected.append([1.5 * a - 0.5 * b for a, b in zip(self.atoms[row], self.atoms[-1])])
        return latents, expected

    def tensor(self, count=1, **more):
        return {"name": "latents", "datatype": "FP32", "shape": [count, self.latents], **more}

    def check(self, reply, expected):
        answer = reply.json
        output, = answer["outputs"]
        self.assertEqual((answer["model_name"], output["name"], output["datatype"]),
                         ("basic", "reconstructions", "FP32"))
        self.assertEqual(output["shape"], [len(expected), self.dimensions])
        width = self.dimensions
        got = [output["data"][i * width:(i + 1) * width] for i in range(len(expected))]
        self.assertLess(relative_error(got, expected), 1e-5)
        return answer

    def check_binary(self, reply, expected):
        self.assertEqual(reply.headers["Content-Type"], "application/octet-stream")
        size = int(reply.headers[LENGTH])
        answer = json.loads(reply.body[:size])
        output, = answer["outputs"]
        self.assertEqual(output["parameters"], {"binary_data_size": len(reply.body) - size})
        self.assertNotIn("data", output)
        got = array.array("f", reply.body[size:]).tolist()
        width = self.dimensions
        self.assertEqual(output["shape"], [len(got) // width, width])
        got = [got[i * width:(i + 1) * width] for i in range(len(expected))]
        self.assertLess(relative_error(got, expected), 1e-5)
        return answer


class Metadata(Served):
    def test_health(self):
        self.assertEqual(self.get("/v2/health/live").json, {"live": True})
        self.assertEqual(self.get("/v2/health/ready").json, {"ready": True})
        for path in (MODEL + "/ready", MODEL + "/versions/1/ready"):
            self.assertEqual(self.get(path).body, b"")

    def test_server(self):
        server = self.get("/v2").json
        self.assertEqual(server["name"], "rasaed")
        self.assertRegex(server["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(server["extensions"], ["binary_tensor_data", "model_repository", "statistics",
                                                "parameters", "model_configuration"])

    def test_model(self):
        for path in (MODEL, MODEL + "/versions/1", "/v2/models/b%61sic"):
            model = self.get(path).json
            self.assertEqual((model["name"], model["versions"]), ("basic", ["1"]))
            self.assertEqual(model["inputs"][0],
                             {"name": "latents", "datatype": "FP32", "shape": [-1, self.latents]})
            self.assertEqual([one["name"] for one in model["inputs"]], ["latents", "indices", "values"])
            self.assertEqual(model["outputs"], [{"name": "reconstructions", "datatype": "FP32",
                                                 "shape": [-1, self.dimensions]}])

    def test_config(self):
        config = self.get(MODEL + "/config").json
        self.assertEqual((config["name"], config["max_batch_size"]), ("basic", 16))
        self.assertEqual(config["input"][0]["dims"], [self.latents])
        self.assertEqual(config["output"][0]["data_type"], "TYPE_FP32")
        self.assertIn("string_value", config["parameters"]["delta"])

    def test_replies_are_never_compressed(self):
        for path in ("/v2", MODEL, MODEL + "/config", "/v2/models/stats", "/v2/models/none"):
            reply = self.daemon.get(path, headers={**ADMIN, "Accept-Encoding": "gzip, deflate"})
            self.assertNotIn("Content-Encoding", reply.headers, path)
            reply.json
        reply = self.post("/v2/repository/index", Accept_Encoding="gzip")
        self.assertNotIn("Content-Encoding", reply.headers)

    def test_what_is_not_there_is_404(self):
        for path in ("/v2/models/none", "/v2/models/none/ready", MODEL + "/versions/2",
                     MODEL + "/versions/01", MODEL + "/versions/x/ready",
                     "/v2/nothing", "/v2/models"):
            self.assertTrue(self.sentence(self.get(path, 404)))
        reply = self.post("/v2/models/none/infer", {}, 404)
        self.assertIn("'none'", self.sentence(reply))

    def test_the_wrong_method_is_405(self):
        reply = self.get(INFER, 405)
        self.assertEqual(reply.headers["Allow"], "POST, OPTIONS")
        self.sentence(reply)
        self.sentence(self.post("/v2", b"", 405))
        self.assertEqual(self.daemon.request("HEAD", "/v2/health/live").status, 200)


class Infer(Served):
    def test_json_flat_and_nested(self):
        for count in (1, 3):
            latents, expected = self.dense(count)
            flat = [number for row in latents for number in row]
            for data in (flat, latents):
                answer = self.check(self.post(INFER, {"inputs": [self.tensor(count, data=data)]}), expected)
                self.assertEqual(answer["model_version"], "1")
                self.assertNotIn("id", answer)

    def test_a_version_and_an_id(self):
        latents, expected = self.dense()
        body = {"id": "é\"\\ 7", "inputs": [self.tensor(data=latents)]}
        answer = self.check(self.post(MODEL + "/versions/1/infer", body), expected)
        self.assertEqual(answer["id"], "é\"\\ 7")
        self.sentence(self.post(MODEL + "/versions/2/infer", body, 404))

    def test_sparse(self):
        _, expected = self.dense(2)
        last = self.latents - 1
        for datatype in ("INT32", "INT64"):
            body = {"inputs": [
                {"name": "indices", "datatype": datatype, "shape": [2, 3],
                 "data": [last, -1, 0, 1, last, -1]},
                {"name": "values", "datatype": "FP32", "shape": [2, 3],
                 "data": [[-0.5, 99, 1.5], [1.5, -0.5, 7]]}]}
            self.check(self.post(INFER, body), expected)

    def test_binary_both_ways(self):
        latents, expected = self.dense(2)
        data = floats(number for row in latents for number in row)
        for ask in ({"parameters": {"binary_data_output": True}},
                    {"outputs": [{"name": "reconstructions", "parameters": {"binary_data": True}}]}):
            head = json.dumps({"inputs": [self.tensor(2, parameters={"binary_data_size": len(data)})], **ask})
            reply = self.post(INFER, head.encode() + data, **{LENGTH: str(len(head))})
            self.check_binary(reply, expected)
        head = json.dumps({"inputs": [self.tensor(2, parameters={"binary_data_size": len(data)})]})
        self.check(self.post(INFER, head.encode() + data, **{LENGTH: str(len(head))}), expected)

    def test_a_raw_body(self):
        latents, expected = self.dense(2)
        reply = self.post(INFER, floats(latents[0] + latents[1]), **{LENGTH: "0"})
        self.check_binary(reply, expected)
        self.assertIn("raw body", self.sentence(self.post(INFER, b"abc", 400, **{LENGTH: "0"})))

    def test_compressed_both_ways(self):
        latents, expected = self.dense(2)
        data = floats(number for row in latents for number in row)
        head = json.dumps({"parameters": {"binary_data_output": True},
                           "inputs": [self.tensor(2, parameters={"binary_data_size": len(data)})]})
        for name, pack, unpack in (("gzip", gzip.compress, gzip.decompress),
                                   ("deflate", zlib.compress, zlib.decompress)):
            reply = self.post(INFER, pack(head.encode() + data), Content_Encoding=name, Accept_Encoding=name,
                              **{LENGTH: str(len(head))})
            self.assertEqual(reply.headers["Content-Encoding"], name)
            reply.body = unpack(reply.body)
            self.check_binary(reply, expected)
            body = {"inputs": [self.tensor(2, data=latents)]}
            reply = self.post(INFER, body, Accept_Encoding=name)
            reply.body = unpack(reply.body)
            self.check(reply, expected)
        body = json.dumps({"inputs": [self.tensor(2, data=latents)]})
        for accept in ("", "br", "zstd, br", "identity", "gzip;q=0", "gzip;q=0.000, br"):
            reply = self.post(INFER, body, Accept_Encoding=accept)
            self.assertNotIn("Content-Encoding", reply.headers)
        for accept, name in (("deflate, gzip", "gzip"), ("GZIP;q=0.5", "gzip"),
                             ("gzip;q=0,deflate", "deflate")):
            self.assertEqual(self.post(INFER, body, Accept_Encoding=accept).headers["Content-Encoding"], name)

    def test_bad_compression(self):
        body = json.dumps({"inputs": []})
        self.assertIn("'br'", self.sentence(self.post(INFER, body, 501, Content_Encoding="br")))
        self.sentence(self.post(INFER, body, 400, Content_Encoding="gzip"))
        self.sentence(self.post(INFER, gzip.compress(b" " * 10000000), 413, Content_Encoding="gzip"))
        reply = self.daemon.request("POST", INFER, "{", {**ADMIN, "Accept-Encoding": "gzip"})
        self.assertEqual(reply.status, 400)
        self.assertNotIn("Content-Encoding", reply.headers)

    def test_bad_requests_are_400_with_a_sentence(self):
        latents, _ = self.dense()
        fine = {"inputs": [self.tensor(data=latents)]}
        for body, part in ((b"", "empty"), ("{", "not JSON"), ({}, "missing"),
                           ({"inputs": [self.tensor(data=[1])]}, "1 numbers"),
                           ({"inputs": [self.tensor(2, data=latents)]}, "1 rows"),
                           ({"inputs": [self.tensor(data=latents, datatype="INT8")]}, "INT8"),
                           ({**fine, "outputs": [{"name": "y"}]}, "\"y\"")):
            self.assertIn(part, self.sentence(self.post(INFER, body, 400)))
        for length in ("-1", "x", "1000000", ""):
            self.assertIn(LENGTH, self.sentence(self.post(INFER, fine, 400, **{LENGTH: length})))
        self.sentence(self.post(INFER, {"inputs": [self.tensor(17, data=latents * 17)]}, 413))
        self.sentence(self.post(INFER, b" " * 200001, 413))

    def test_whatever_the_media_type(self):
        latents, expected = self.dense()
        body = {"inputs": [self.tensor(data=latents)]}
        for media in ("application/json", "application/octet-stream", "text/html", "x"):
            self.check(self.post(INFER, body, Content_Type=media, Accept="text/html"), expected)

    def test_the_gevent_and_c_clients_on_the_wire(self):
        """No Content-Type, no Accept, no Content-Length on an empty POST; an empty Expect."""
        key = "Authorization: %s\r\n" % ADMIN["Authorization"]
        head = "POST /v2/repository/index HTTP/1.1\r\nHost: x\r\n%s\r\n" % key
        with self.daemon.socket() as connection:
            connection.sendall(head.encode())
            self.assertIn(b"200 OK", connection.recv(65536))
        latents, _ = self.dense()
        body = json.dumps({"inputs": [self.tensor(data=latents)]}).encode()
        head = ("POST %s HTTP/1.1\r\nHost: x\r\nExpect:\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n"
                % (INFER, key, len(body)))
        with self.daemon.socket() as connection:
            connection.sendall(head.encode() + body)
            self.assertIn(b"200 OK", read_all(connection))

    def test_statistics_count(self):
        def stats():
            one, = self.get("/v2/models/other/stats").json["model_stats"]
            every = self.get("/v2/models/stats").json["model_stats"]
            self.assertEqual([entry["name"] for entry in every], ["basic", "other"])
            self.assertEqual(every[1], one)
            return one

        before = stats()
        self.assertEqual((before["name"], before["version"]), ("other", "1"))
        latents, _ = self.dense(3)
        for _ in range(4):
            self.post("/v2/models/other/infer", {"inputs": [self.tensor(3, data=latents)]})
        self.post("/v2/models/other/infer", {}, 400)
        after = stats()
        self.assertEqual(after["inference_count"] - before["inference_count"], 12)
        self.assertEqual(after["execution_count"] - before["execution_count"], 4)
        self.assertGreater(after["last_inference"], 1.6e12)
        counted = {name: after["inference_stats"][name]["count"] - before["inference_stats"][name]["count"]
                   for name in after["inference_stats"]}
        self.assertEqual(counted, {"success": 4, "fail": 1, "queue": 4, "compute_input": 4,
                                   "compute_infer": 4, "compute_output": 4, "cache_hit": 0, "cache_miss": 0})
        took = [stats["inference_stats"]["success"]["ns"] for stats in (before, after)]
        self.assertGreater(took[1], took[0])


class Repository(Served):
    def index(self, body=b""):
        return {entry["name"]: entry for entry in self.post("/v2/repository/index", body).json}

    def control(self, name, verb, status=200, body=b"{}"):
        return self.post("/v2/repository/models/%s/%s" % (name, verb), body, status)

    def path(self, name):
        return os.path.join(self.files, name + ".safetensors")

    def test_load_and_unload(self):
        self.assertEqual(self.index()["basic"],
                         {"name": "basic", "version": "1", "state": "READY", "reason": ""})
        reply = self.control("other", "unload")
        self.assertEqual(reply.body, b"")
        self.assertEqual(self.index()["other"]["state"], "UNAVAILABLE")
        self.assertEqual(self.index()["other"]["reason"], "unloaded")
        self.assertEqual(list(self.index({"ready": True})), ["basic"])
        for path in ("/v2/models/other", "/v2/models/other/ready", "/v1/dictionaries/other"):
            self.assertIn("not loaded", self.get(path, 404).json["error"])
        listed = self.get("/v1/dictionaries").json["dictionaries"]
        self.assertEqual([one["name"] for one in listed], ["basic"])
        self.control("other", "unload")  # unloading twice is fine
        self.assertEqual(self.control("other", "load", body=b"").body, b"")
        self.assertEqual(self.get("/v2/models/other").json["versions"], ["1"])  # the same content
        shutil.copy(BASIC.replace("basic", "tight"), self.path("other") + ".new")
        os.replace(self.path("other") + ".new", self.path("other"))
        self.control("other", "load")
        self.assertEqual(self.index()["other"]["version"], "2")
        self.get("/v2/models/other/versions/1", 404)
        self.get("/v2/models/other/versions/2")

    def test_a_new_file_is_loaded_by_name(self):
        self.assertIn("'fresh'", self.sentence(self.control("fresh", "load", 404)))
        shutil.copy(BASIC, self.path("fresh"))
        self.control("fresh", "load")
        self.assertEqual(self.get("/v2/models/fresh").json["versions"], ["1"])
        self.control("fresh", "unload")

    def test_a_bad_file_leaves_the_old_one_serving(self):
        shutil.copy(BASIC, self.path("spoilt"))
        self.control("spoilt", "load")
        with open(self.path("spoilt") + ".new", "wb") as file:
            file.write(b"not a dictionary")
        os.replace(self.path("spoilt") + ".new", self.path("spoilt"))
        said = self.sentence(self.control("spoilt", "load", 400))
        self.assertIn("version 1 keeps serving", said)
        self.assertIn("spoilt.safetensors", said)
        self.assertNotIn(self.folder, said)
        entry = self.index()["spoilt"]
        self.assertEqual((entry["state"], entry["version"]), ("READY", "1"))
        self.assertIn("spoilt.safetensors", entry["reason"])
        self.get("/v2/models/spoilt/ready")
        self.daemon.says(self.path("spoilt"))
        self.control("spoilt", "unload")
        self.assertIn("was not loaded", self.sentence(self.control("spoilt", "load", 400)))
        self.assertEqual(self.index()["spoilt"]["state"], "UNAVAILABLE")

    def test_no_path_comes_from_a_request(self):
        shutil.copy(BASIC, os.path.join(self.folder, "outside.safetensors"))
        for name in ("..%2Foutside", "%2e%2e%2Foutside", "outside", "..", ".", "a%2Fb", "basic%00", "%20"):
            reply = self.daemon.request("POST", "/v2/repository/models/%s/load" % name, b"", ADMIN)
            self.assertIn(reply.status, (400, 404), name)
        self.assertNotIn("outside", self.index())

    def test_what_is_not_offered(self):
        self.sentence(self.control("basic", "load", 501, json.dumps({"parameters": {"config": "{}"}})))
        self.sentence(self.control("none", "unload", 404))
        self.sentence(self.control("basic", "load", 400, "["))
        self.control("other", "unload", body=json.dumps({"parameters": {"unload_dependents": True}}))
        self.control("other", "load")

    def test_changes_need_the_admin_key(self):
        for verb in ("load", "unload"):
            reply = self.daemon.request("POST", "/v2/repository/models/basic/" + verb, b"{}")
            self.assertEqual(reply.status, 401)
            self.sentence(reply)


class Folder(unittest.TestCase):
    def test_a_bad_file_among_good_ones_and_an_empty_folder(self):
        folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, folder)
        with Daemon("--dictionary-dir", folder) as daemon:
            self.assertEqual(daemon.request("POST", "/v2/repository/index").json, [])
        tensors, metadata = read_safetensors(BASIC)
        write_safetensors(os.path.join(folder, "good.safetensors"), tensors, metadata)
        for name in ("bad.safetensors", ".hidden.safetensors", "a b.safetensors", "notes.txt"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b"junk")
        with Daemon("--dictionary-dir", folder) as daemon:
            index = {entry["name"]: entry for entry in daemon.request("POST", "/v2/repository/index").json}
            self.assertEqual({name: entry["state"] for name, entry in index.items()},
                             {"bad": "UNAVAILABLE", "good": "READY"})
            self.assertEqual(index["bad"]["version"], "")
            self.assertIn("bad.safetensors", index["bad"]["reason"])
            self.assertEqual(daemon.get("/v2/models/bad").status, 404)
            daemon.says("dictionary bad: not loaded")


class Encode(unittest.TestCase):
    """NAME.encode, the encoder of a dictionary as a model of its own."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for name, file in (("words", "topk-mse.final"), ("relu", "relu-mse_l1.final"), ("bare", "dict-basic.checkpoint")):
            shutil.copy(golden(file + ".safetensors"), os.path.join(cls.folder, name + ".safetensors"))
        cls.daemon = Daemon("--dictionary-dir", cls.folder, "--max-rows", "700")
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        cls.width = cls.daemon.get("/v1/dictionaries/words").json["dimensions"]
        cls.rows = [[((5 * i + 3 * j) % 13 - 6) / 4 for j in range(cls.width)] for i in range(600)]
        cls.rows[3] = [0.0] * cls.width

    def infer(self, model, body, status=200, **headers):
        body = body if isinstance(body, bytes) else json.dumps(body)
        reply = self.daemon.request("POST", "/v2/models/%s/infer" % model, body,
                                    {name.replace("_", "-"): value for name, value in headers.items()})
        self.assertEqual(reply.status, status, reply.body[:300])
        return reply

    def tensor(self, rows, **more):
        return {"name": "inputs", "datatype": "FP32", "shape": [len(rows), self.width], **more}

    def flat(self, rows):
        return [x for row in rows for x in row]

    def unpadded(self, indices, values):
        """As /v1 has the codes of rows."""
        (rows, width), other = indices["shape"], values["shape"]
        self.assertEqual([rows, width], other)
        found = {"indices": [], "values": []}
        for row in range(rows):
            pairs = [(i, v) for i, v in zip(indices["data"][row * width:(row + 1) * width],
                                            values["data"][row * width:(row + 1) * width])]
            count = sum(1 for i, _ in pairs if i >= 0)
            self.assertEqual(pairs[count:], [(-1, 0)] * (width - count))  # padding comes last
            found["indices"].append([i for i, _ in pairs[:count]])
            found["values"].append([v for _, v in pairs[:count]])
        self.assertTrue(width == 1 or any(len(row) == width for row in found["indices"]))
        return found

    def test_codes_are_those_of_encode(self):
        for model in "words", "relu":
            wanted = self.daemon.post("/v1/dictionaries/%s/encode" % model, {"inputs": self.rows}).json
            body = {"id": "7", "inputs": [self.tensor(self.rows, data=self.rows)]}
            reply = self.infer(model + ".encode", body).json
            self.assertEqual((reply["model_name"], reply["model_version"], reply["id"]), (model + ".encode", "1", "7"))
            indices, values = reply["outputs"]
            self.assertEqual((indices["name"], indices["datatype"], values["name"], values["datatype"]),
                             ("indices", "INT64", "values", "FP32"))
            self.assertEqual(self.unpadded(indices, values), wanted)
            # what it gives is what the other model takes
            again = {"inputs": [{key: one[key] for key in ("name", "datatype", "shape", "data")} for one in (indices, values)]}
            x_hat = self.infer(model, again).json["outputs"][0]["data"]
            self.assertEqual(x_hat, self.flat(self.daemon.post("/v1/dictionaries/%s/reconstruct" % model,
                                                               wanted).json["reconstructions"]))

    def test_binary_both_ways(self):
        rows = self.rows[:5]
        plain = self.infer("words.encode", {"inputs": [self.tensor(rows, data=self.flat(rows))]}).json["outputs"]
        data = floats(self.flat(rows))
        head = json.dumps({"inputs": [self.tensor(rows, parameters={"binary_data_size": len(data)})],
                           "outputs": [{"name": "values", "parameters": {"binary_data": True}}, {"name": "indices"}]}).encode()
        reply = self.infer("words.encode", head + data, Inference_Header_Content_Length=str(len(head)))
        size = int(reply.headers[LENGTH])
        indices, values = json.loads(reply.body[:size])["outputs"]
        self.assertEqual(indices, plain[0])
        self.assertEqual(array.array("f", reply.body[size:]).tolist(), array.array("f", plain[1]["data"]).tolist())
        self.assertEqual(values["parameters"]["binary_data_size"], len(reply.body) - size)
        raw = self.infer("words.encode", data, Inference_Header_Content_Length="0")  # only FP32 inputs
        size, count = int(raw.headers[LENGTH]), plain[0]["shape"][0] * plain[0]["shape"][1]
        self.assertEqual(array.array("q", raw.body[size:size + 8 * count]).tolist(), plain[0]["data"])
        only = self.infer("words.encode", {"inputs": [self.tensor(rows, data=rows)], "outputs": [{"name": "values"}]})
        self.assertEqual(only.json["outputs"], plain[1:])

    def test_it_describes_itself(self):
        model = self.daemon.get("/v2/models/words.encode").json
        self.assertEqual(model["inputs"], [{"name": "inputs", "datatype": "FP32", "shape": [-1, self.width]}])
        self.assertEqual([(one["name"], one["datatype"], one["shape"]) for one in model["outputs"]],
                         [("indices", "INT64", [-1, -1]), ("values", "FP32", [-1, -1])])
        config = self.daemon.get("/v2/models/words.encode/config").json
        self.assertEqual((config["name"], config["max_batch_size"]), ("words.encode", 700))
        self.assertEqual([one["name"] for one in config["output"]], ["indices", "values"])
        other = self.daemon.get("/v2/models/words").json["inputs"]
        self.assertEqual([one.get("optional", False) for one in other], [False, True, True])
        for path in "", "/ready", "/versions/1", "/versions/1/ready", "/versions/1/config", "/versions/1/stats":
            reply = self.daemon.get("/v2/models/words.encode" + path)
            self.assertEqual(reply.status, 200, path)
            self.assertEqual(reply.headers["X-Dictionary-Revision"], self.daemon.get("/v1/dictionaries/words").json["revision"])
        for path in "/v2/models/bare.encode", "/v2/models/none.encode", "/v2/models/.encode", "/v2/models/words.encode/versions/2":
            self.assertEqual(self.daemon.get(path).status, 404, path)
        self.assertIn("has no encoder", self.daemon.get("/v2/models/bare.encode").json["error"])
        self.assertEqual(self.daemon.get("/v1/dictionaries/words.encode").status, 404)

    def test_it_counts_and_is_listed(self):
        def count(name):
            one, = [one for one in self.daemon.get("/v2/models/stats").json["model_stats"] if one["name"] == name]
            self.assertEqual(self.daemon.get("/v2/models/%s/stats" % name).json["model_stats"], [one])
            return one["inference_count"], one["inference_stats"]["fail"]["count"]

        before, other = count("relu.encode"), count("relu")
        self.infer("relu.encode", {"inputs": [self.tensor(self.rows[:3], data=self.rows[:3])]})
        self.infer("relu.encode", {"inputs": []}, 400)
        self.assertEqual(count("relu.encode"), (before[0] + 3, before[1] + 1))
        self.assertEqual(count("relu"), other)
        index = [one["name"] for one in self.daemon.post("/v2/repository/index", "").json]
        self.assertEqual(index, ["bare", "relu", "relu.encode", "words", "words.encode"])

    def test_a_dictionary_of_that_name_is_that_dictionary(self):
        files = {"words": "topk-mse.final", "words.encode": "dict-basic.checkpoint"}
        given = [part for name, file in files.items() for part in ("--dictionary", name + "=" + golden(file + ".safetensors"))]
        with Daemon(*given) as served:
            self.assertEqual(served.get("/v2/models/words.encode").json["inputs"][0]["name"], "latents")
            self.assertEqual([one["name"] for one in served.post("/v2/repository/index", "").json], list(files))
            self.assertEqual(served.get("/v2/models/words.encode.encode").status, 404)

    def test_it_comes_and_goes_with_its_dictionary(self):
        keys = os.path.join(self.folder, "keys")
        with open(keys, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("admin admin-key-for-tests-0001\n")
        with Daemon("--dictionary-dir", self.folder, "--keys", keys) as served:
            for action in "load", "unload":
                reply = served.request("POST", "/v2/repository/models/words.encode/" + action, headers=ADMIN)
                self.assertEqual((reply.status, "comes and goes" in reply.json["error"]), (400, True), reply.body)
            served.request("POST", "/v2/repository/models/words/unload", headers=ADMIN)
            self.assertIn("words is not loaded", served.get("/v2/models/words.encode", headers=ADMIN).json["error"])
            names = [one["name"] for one in served.request("POST", "/v2/repository/index", headers=ADMIN).json]
            self.assertNotIn("words.encode", names)


if __name__ == "__main__":
    unittest.main()
