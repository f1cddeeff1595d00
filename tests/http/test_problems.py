"""Every code of server/codec/problems.c over a real socket: its status, what it points at, and its limits. A code that
nobody provokes fails the last test; those that need a lost device, a deadline or a stop are in the tests of these."""

import json
import os
import struct
import tempfile
import unittest

from daemon import Daemon, golden, read_all, wait_for
from test_auth import ADMIN, OTHER, READ, Keys, bearer
from test_changed_files import content

BASIC, TOPK = "/v1/dictionaries/basic", "/v1/dictionaries/topk"
D, K, POINTS, ROWS = 16, 24, 40, 8
RAW = {"Content-Type": "application/octet-stream"}
TESTED_ELSEWHERE = {"internal_error": "test_device.py", "deadline_exceeded": "test_heavy.py", "stopping": "test_heavy.py"}


class Problems(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="rasaed-problems-"))
        cls.seen = set()
        cls.daemon = cls.enterClassContext(Daemon(
            "--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"),
            "--dictionary", "topk=" + golden("topk-mse.final.safetensors"),
            "--max-rows", str(ROWS), "--max-body", "100000", "--max-body-memory", "150000"))
        cls.table = {row["code"]: row for row in cls.daemon.get("/problems").json["problems"]}

    def check(self, reply, code, pointer=None, limit=None, actual=None):
        """The reply is this problem, as the table has it, in the header and in the body."""
        self.assertEqual(reply.headers["X-Error-Code"], code, reply.body[:500])
        self.assertEqual(reply.status, self.table[code]["status"], code)
        self.assertEqual("Retry-After" in reply.headers, reply.status in (429, 503), code)
        said = reply.json
        self.assertEqual(said["type"], "/problems#" + code)
        self.assertEqual((said["code"], said["status"]), (code, reply.status))
        self.assertEqual(said["request_id"], reply.headers["X-Request-Id"])
        self.assertEqual(said["error"], said["detail"])
        self.assertEqual((said["pointer"], said["limit"], said["actual"]), (pointer, limit, actual), said["detail"])
        self.seen.add(code)

    def get(self, path, code, *facts, **more):
        self.check(self.daemon.get(path, **more), code, *facts)

    def post(self, path, body, code, *facts, **more):
        self.check(self.daemon.post(path, body, **more), code, *facts)

    # ---- 400

    def test_malformed(self):
        self.get("/v1/%zz", "malformed_request")
        self.get("/v1/dictionaries", "malformed_request", headers={"Transfer-Encoding": "gzip"})
        for body in (b"", b"{", b"[1,", b'{"inputs": [[01]]}'):
            self.post(TOPK + "/encode", body, "malformed_body")
        self.post(TOPK + "/encode", b"\x93NUMPY", "malformed_body", headers={"Content-Type": "application/x-npy"})
        self.post(TOPK + "/encode", b"{}", "malformed_body", headers={"Content-Encoding": "gzip"})
        self.post(TOPK + "/encode", bytes(4 * D), "malformed_body", "X-Tensor-Shape",
                  headers={**RAW, "X-Tensor-Shape": "1; x"})

    def test_parameters(self):
        inputs = {"inputs": [[1] * D]}
        self.post(TOPK + "/encode", {}, "missing_parameter", "/inputs")
        self.post(TOPK + "/steer", inputs, "missing_parameter", "steer")
        self.post(TOPK + "/steer", {**inputs, "steer": [{"atom": 1}]}, "missing_parameter", "/steer/0/scale")
        self.post(BASIC + "/search?k=3", {"vectors": [[1] * D], "k": 4}, "conflicting_parameters", "k")
        self.post(TOPK + "/encode", {**inputs, "a/b": 1}, "unknown_parameter", "/a~1b")
        self.get(BASIC + "/atoms?limt=3", "unknown_parameter", "limt")
        self.get(BASIC + "/atoms?limit=3&limit=4", "conflicting_parameters", "limit")
        self.get(BASIC + "/atoms?ids=3&limit=4", "conflicting_parameters", "ids")
        self.post(TOPK + "/search", b'{"k": 1, "k": 2}', "conflicting_parameters", "/k")

    def test_values(self):
        self.post(TOPK + "/encode", {"inputs": [[1] * D, "x"]}, "invalid_value", "/inputs/1")
        self.post(TOPK + "/encode", {"inputs": [[0, 0, "x"] + [0] * (D - 3)]}, "invalid_value", "/inputs/0/2")
        self.post(BASIC + "/reconstruct", {"latents": [[0] * 5 + [None] + [0] * (K - 6)]}, "invalid_value", "/latents/0/5")
        self.post(BASIC + "/search", {"vectors": [[1] * D], "metric": "l2"}, "invalid_value", "/metric")
        self.get(BASIC + "/atoms/1/neighbors?metric=l2", "invalid_value", "metric")
        self.get(BASIC + "/atoms?limit=x", "invalid_value", "limit")
        self.get(BASIC + "/atoms?fields=color", "invalid_value", "fields")
        self.post(BASIC + "/search", {"vectors": [[1] * D], "k": 0}, "out_of_range", "/k")
        self.get(BASIC + "/atoms/1/neighbors?k=0", "out_of_range", "k")
        self.post(TOPK + "/encode", {"inputs": [[1] * (D + 1)]}, "wrong_shape", "/inputs/0", D, D + 1)
        self.post(TOPK + "/encode", {"inputs": []}, "wrong_shape", "/inputs")
        self.post(TOPK + "/encode", struct.pack("<%di" % D, *range(D)), "wrong_dtype",
                  headers={**RAW, "X-Tensor-Shape": "1, %d" % D, "X-Tensor-Dtype": "I32"})
        self.post(TOPK + "/encode", json.dumps({"inputs": [[1] * 3 + [float("nan")]]}), "not_finite", "/inputs/0/3")

    def test_an_atom_out_of_range(self):
        """404 where the path names it, 400 in a query and in a body."""
        facts = K - 1, K
        for path in ("/atoms/24", "/atoms/24/neighbors"):
            self.get(BASIC + path, "unknown_atom", "atom", *facts)
        self.get(BASIC + "/atoms?ids=1,24", "out_of_range", "ids", *facts)
        self.post(BASIC + "/atoms", {"ids": [1, 24]}, "out_of_range", "/ids/1", *facts)
        self.post(BASIC + "/search", {"atoms": [1, 2, 24]}, "out_of_range", "/atoms/2", *facts)
        self.post(BASIC + "/steer?steer=24:1", {"inputs": [[1] * D]}, "out_of_range", "steer", *facts)
        push = {"inputs": [[1] * D], "steer": [{"atom": 1, "scale": 1}, {"atom": 24, "scale": 1}]}
        self.post(BASIC + "/steer", push, "out_of_range", "/steer/1/atom", *facts)
        self.post(BASIC + "/reconstruct", {"latents": {"indices": [[1, 24]], "values": [[1, 1]]}}, "out_of_range",
                  "/latents/indices/0/1", K - 1)
        feature = {"model": "m", "source": "basic", "index": 24}
        self.post("/v1/util/sae-vector", feature, "out_of_range", "/index", *facts)

    # ---- keys

    def test_keys(self):
        with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"),
                    "--keys", Keys(self).path) as daemon:
            self.check(daemon.get(BASIC), "missing_key")
            self.check(daemon.get(BASIC, headers=bearer(OTHER)), "invalid_key")
            self.check(daemon.post(BASIC + "/reload", b"", headers=bearer(READ)), "admin_key_required")
            self.check(daemon.get(BASIC, headers={**bearer(READ), "X-API-Key": READ}), "conflicting_parameters")
        self.post(BASIC + "/reload", b"", "changes_disabled")

    # ---- what there is, and in which form

    def test_what_there_is_not(self):
        self.get("/v1/nothing", "unknown_path")
        self.get("/v1/dictionaries/none/atoms", "unknown_dictionary", "dictionary")
        self.get(BASIC + "/points/40", "unknown_point", "point", POINTS - 1, POINTS)
        self.get(BASIC + "/media/dog.png", "unknown_media", "path")
        self.get(BASIC + "/atoms/1/items", "not_held")
        self.check(self.daemon.request("DELETE", BASIC), "method_not_allowed")

    def test_what_is_kept(self):
        keys, state = Keys(self), os.path.join(self.folder, "state")
        admin = bearer(ADMIN)
        with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys.path) as daemon:
            self.check(daemon.request("PUT", BASIC + "/atoms/1/label", '{"label": "a"}', headers=admin), "state_disabled")
        with open(state, "wb"):
            with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys.path,
                        "--state", state) as daemon:
                self.check(daemon.request("PUT", BASIC + "/atoms/1/label", '{"label": "a"}', headers=admin), "state_unavailable")
        os.remove(state)
        with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys.path,
                    "--state", state) as daemon:
            self.check(daemon.get(BASIC + "/lists/zoo", headers=admin), "unknown_list", "list_name")
        self.get(BASIC + "/contrasts/heat", "unknown_contrast", "contrast")

    def test_forms(self):
        self.get(BASIC + "/atoms/1?format=xml", "not_acceptable", "format")
        self.get(BASIC + "/atoms/1", "not_acceptable", "Accept", headers={"Accept": "text/html"})
        for name, value in (("Content-Type", "text/html"), ("Content-Encoding", "br")):
            self.post(TOPK + "/encode", b"{}", "unsupported_media_type", name, headers={name: value})
        self.get(BASIC + "/dictionary", "range_not_satisfiable", headers={"Range": "bytes=999999999-"})
        self.get(BASIC + "/atoms/1", "precondition_failed", headers={"If-Match": '"other"'})

    def test_what_this_dictionary_cannot(self):
        for route in ("encode", "explain"):
            self.post(BASIC + "/" + route, {"inputs": [[1] * D]}, "no_encoder")
        path = os.path.join(self.folder, "fused.safetensors")
        with open(path, "wb") as file:
            file.write(content(1))
        with Daemon("--dictionary", "fused=" + path) as daemon:
            self.check(daemon.get("/v1/dictionaries/fused/points/1?format=raw"), "not_held")

    # ---- sizes

    def test_what_is_too_large(self):
        self.post(TOPK + "/encode", b" " * 100001, "body_too_large", None, 100000, 100001)
        self.post(TOPK + "/encode", {"inputs": [[1] * D] * (ROWS + 1)}, "too_many", "/inputs", ROWS, ROWS + 1)
        self.post(TOPK + "/encode", bytes(4 * D * (ROWS + 1)), "too_many", None, ROWS, ROWS + 1, headers=RAW)
        self.get(BASIC + "/atoms?ids=" + "1," * 1000 + "1", "too_many", "ids", 1000)
        self.get("/" + "a" * 8192, "target_too_long", None, 8192, 8193)
        self.get("/v1", "headers_too_large", None, 16384, headers={"X-%d" % i: "x" for i in range(101)})

    def test_a_reply_that_is_too_large(self):
        path = os.path.join(self.folder, "wide.safetensors")
        with open(path, "wb") as file:
            file.write(content(1, 4, 1056))
        with Daemon("--dictionary", "wide=" + path) as daemon:
            reply = daemon.post("/v1/dictionaries/wide/atoms?format=raw", {"ids": [1] * 65536})
            self.check(reply, "reply_too_large", None, 256 << 20)
            self.assertNotIn("X-Tensor-Shape", reply.headers)

    # ---- files

    def test_files(self):
        name, keys = os.path.join(self.folder, "words.safetensors"), Keys(self)
        with open(name, "wb") as file:
            file.write(content(1))
        with Daemon("--dictionary", "words=" + name, "--private-below", "0", "--keys", keys.path) as daemon:
            def post(path, code, *facts):
                self.check(daemon.post(path, b"", headers=bearer(ADMIN)), code, *facts)
            os.truncate(name, 4096)
            self.check(daemon.get("/v1/dictionaries/words", headers=bearer(READ)), "dictionary_changed")
            post("/v1/dictionaries/words/reload", "file_not_servable")
            os.remove(name)
            post("/v1/dictionaries/words/reload", "file_unreadable")
            with open(name, "wb") as file:
                file.write(content(1))
            self.assertEqual(daemon.post("/v1/dictionaries/words/reload", {}, headers=bearer(ADMIN)).status, 200)
            reply = daemon.post("/v1/dictionaries/words/reload", {"a": 1}, headers=bearer(ADMIN))
            self.check(reply, "unknown_parameter", "/a")
            daemon.post("/v2/repository/models/words/unload", {}, headers=bearer(ADMIN))
            self.check(daemon.get("/v1/dictionaries/words", headers=bearer(READ)), "not_loaded", "dictionary")

    # ---- too much at once

    def test_no_room(self):
        head = ("POST %s/encode HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 90000\r\n\r\n" % TOPK).encode()
        with self.daemon.socket() as first:
            first.sendall(head + b" " * 50000)
            taken = 'rasaed_resource_used{resource="body_bytes"} 90000\n'
            wait_for(lambda: taken in self.daemon.get("/metrics").body.decode(), "the memory to be taken")
            self.post(TOPK + "/encode", b" " * 90000, "overloaded")
            first.sendall(b" " * 40000)
            read_all(first)

    def test_no_room_for_a_client(self):
        proxied = {"X-Forwarded-For": "192.0.2.1"}
        head = ("POST /v1/dictionaries/basic/reconstruct HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n"
                "Connection: close\r\nContent-Length: 9\r\n\r\n").encode()
        with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--trusted-proxy", "127.0.0.1",
                    "--max-connections-per-address", "1") as daemon, daemon.socket() as first:
            first.sendall(head)
            wait_for(lambda: "\nrasaed_requests_in_flight 2\n" in daemon.get("/metrics").body.decode(), "the request")
            reply = daemon.get(BASIC, headers=proxied)
            self.check(reply, "too_many_requests")
            self.assertEqual(reply.headers["Retry-After"], "1")
            first.sendall(b" " * 9)
            read_all(first)

    # ---- the other protocol keeps its form

    def test_the_codes_of_the_other_protocol(self):
        for path, body, code in (("/v2/models/none", None, "unknown_dictionary"),
                                 ("/v2/models/basic/versions/9", None, "unknown_version"),
                                 ("/v2/models/basic/infer", {"inputs": []}, "invalid_value"),
                                 ("/v2/repository/models/none/load", {}, "changes_disabled")):
            reply = self.daemon.get(path) if body is None else self.daemon.post(path, body)
            self.assertEqual((list(reply.json), reply.headers["X-Error-Code"]), (["error"], code), path)
            self.assertEqual(reply.status, self.table[code]["status"])
            self.seen.add(code)
        reply = self.daemon.post("/v2/models/basic/infer", {}, headers={"Content-Encoding": "br"})
        self.assertEqual((list(reply.json), reply.headers["X-Error-Code"]), (["error"], "not_supported"))
        self.seen.add("not_supported")

    def test_z_every_code_was_seen(self):
        for code, file in TESTED_ELSEWHERE.items():
            with open(os.path.join(os.path.dirname(__file__), file), encoding="utf-8") as text:
                self.assertIn('"%s"' % code, text.read())
        self.assertEqual(set(self.table) - self.seen - set(TESTED_ELSEWHERE), set())


if __name__ == "__main__":
    unittest.main()
