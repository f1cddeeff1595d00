"""Every mistake of a client (server/routes.c, server/http/target.c, server/codec/json/requests/) gets the right
status and one sentence that says what is wrong."""

import json
import unittest

from daemon import Daemon, golden

BASIC, TOPK = "/v1/dictionaries/basic", "/v1/dictionaries/topk"
K, D = 24, 16  # of dict-basic


class BadRequests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"),
                            "--dictionary", "topk=" + golden("topk-mse.final.safetensors"),
                            "--max-rows", "8")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def check(self, reply, status, *parts):
        self.assertEqual(reply.status, status, reply.body)
        self.assertEqual(reply.headers["Content-Type"], "application/problem+json")
        problem = reply.json
        self.assertEqual(set(problem), {"type", "title", "status", "code", "detail", "pointer", "limit", "actual",
                                        "instance", "request_id", "error"})
        self.assertEqual(problem["code"], reply.headers["X-Error-Code"])
        self.assertEqual(problem["request_id"], reply.headers["X-Request-Id"])
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["error"], problem["detail"])
        for part in parts:
            self.assertIn(part, problem["error"])
        self.assertNotIn("safetensors", problem["error"])  # no file of the server is ever named
        return problem

    def get(self, path, status, *parts):
        problem = self.check(self.daemon.get(path), status, *parts)
        self.assertEqual(problem["instance"], path.split("?")[0])
        return problem

    def post(self, path, value, status, *parts):
        return self.check(self.daemon.post(path, value), status, *parts)

    # ---- paths

    def test_unknown_paths(self):
        for path in ("/v3", "/health", "/health/live%2F", "/v1/dictionaries%2Fbasic",
                     BASIC + "/atom", BASIC + "/atoms/1/2/3/4/5/6"):
            self.get(path, 404, path)

    def test_unknown_dictionary(self):
        for path in ("", "/atoms", "/atoms/0", "/points/0"):
            self.get("/v1/dictionaries/nope" + path, 404, "no dictionary named 'nope'")
        self.post("/v1/dictionaries/nope/search", {"vectors": [[1]]}, 404, "'nope'")

    def test_atom_out_of_range(self):
        for path in ("/atoms/24", "/atoms/99999999999999999999999", "/atoms/24/neighbors"):
            self.get(BASIC + path, 404, "there is no atom", "has 24")
        self.get(BASIC + "/atoms?ids=1,24", 400, "there is no atom 24", "has 24")

    def test_atom_that_is_no_number(self):
        for number in ("x", "-1", "1.5", "1e3", "%20", "0x1", "%2B1"):
            self.get(BASIC + "/atoms/" + number, 400, "whole number")

    def test_point_out_of_range(self):
        self.get(BASIC + "/points/40", 404, "there is no point 40", "has 40")
        self.get(BASIC + "/points/x", 400, "whole number")

    # ---- queries

    def test_page_out_of_range(self):
        self.get(BASIC + "/atoms?limit=0", 400, "limit is 0", "at least 1")
        self.get(BASIC + "/atoms?limit=x", 400, "limit is 'x'")
        self.get(BASIC + "/atoms?offset=-1", 400, "offset is '-1'")

    def test_ids(self):
        for ids in ("", "1,", ",1", "1,,2", "1;2", "a", "1,-1"):
            self.get(BASIC + "/atoms?ids=" + ids, 400, "whole number")
        self.get(BASIC + "/atoms?ids=1&limit=5", 400, "ids")
        self.get(BASIC + "/atoms?ids=" + ",".join(["1"] * 1001), 413, "1000")

    def test_fields(self):
        for fields in ("color", "norm,", "", "Norm", "norm,color"):
            self.get(BASIC + "/atoms?fields=" + fields, 400, "fields", "norm, label, explanation, archetypes")

    def test_unknown_and_repeated_parameters(self):
        self.get(BASIC + "/atoms?limt=5", 400, "'limt'", "offset limit ids q ", " fields format")
        self.get(BASIC + "/atoms?limit=5&limit=6", 400, "limit", "twice")
        self.get("/v1/dictionaries?x", 400, "'x'", "offset limit state")
        self.get("/v1?x", 400, "'x'", "none")

    def test_neighbors(self):
        self.get(BASIC + "/atoms/1/neighbors?k=0", 400, "k is 0", "at least 1")
        self.get(BASIC + "/atoms/1/neighbors?k=x", 400, "k is 'x'")
        self.get(BASIC + "/atoms/1/neighbors?metric=l2", 400, "'l2'", "cosine or dot")

    # ---- bodies

    def test_not_json(self):
        for body in ("", "{", "hello", '{"latents": [[1]', '{"latents": [[1]]} x', "\0",
                     '{"latents": [[01]]}', b"\xff\xfe", '[[1]]', '"x"', "null"):
            for route in ("reconstruct", "search"):
                self.check(self.daemon.request("POST", "%s/%s" % (BASIC, route), body), 400)
            self.check(self.daemon.request("POST", TOPK + "/encode", body), 400)

    def test_missing_unknown_and_repeated_members(self):
        self.post(BASIC + "/reconstruct", {"latent": [[0] * K]}, 400, "latent")
        self.post(BASIC + "/search", {"k": 3}, 400, "vectors")
        self.post(BASIC + "/reconstruct", '{"latents": [[1]], "latents": [[1]]}', 400)

    def test_wrong_width_says_expected_and_actual(self):
        latents = [[0] * K, [0] * (K + 1)]
        self.post(BASIC + "/reconstruct", {"latents": latents}, 400, "latents[1]", "25", "24")
        self.post(BASIC + "/search", {"vectors": [[0] * (D - 1)]}, 400, "vectors[0]", "15", "16")
        self.post(TOPK + "/encode", {"inputs": [[1, 2]]}, 400, "inputs[0]", "2", "16")
        self.post(TOPK + "/explain", {"inputs": [[1] * 17]}, 400, "inputs[0]", "17", "16")

    def test_flat_rows_and_empty_batches(self):
        self.post(BASIC + "/reconstruct", {"latents": [0] * K}, 400, "flat")
        self.post(BASIC + "/reconstruct", {"latents": []}, 400, "empty")
        self.post(BASIC + "/reconstruct", {"latents": {"indices": [], "values": []}}, 400, "empty")
        self.post(BASIC + "/search", {"vectors": []}, 400, "empty")
        self.post(TOPK + "/encode", {"inputs": []}, 400, "empty")

    def test_sparse_latents(self):
        def sparse(indices, values, *parts):
            body = {"latents": {"indices": indices, "values": values}}
            self.post(BASIC + "/reconstruct", body, 400, *parts)
        sparse([[0, 24]], [[1, 1]], "24")
        sparse([[-1]], [[1]], "-1")
        sparse([[3, 1, 3]], [[1, 1, 1]], "3 twice")
        sparse([[1, 2]], [[1]], "2", "1")
        sparse([[1], [2]], [[1]], "2 rows", "1")
        sparse([[1.5]], [[1]])
        sparse([["1"]], [[1]])

    def test_numbers_that_are_none(self):
        row = [0.0] * D
        for bad in (float("nan"), float("inf"), float("-inf")):
            row[3] = bad
            self.post(BASIC + "/search", json.dumps({"vectors": [row]}), 400)
            self.post(TOPK + "/encode", json.dumps({"inputs": [row]}), 400)
            self.post(TOPK + "/explain", json.dumps({"inputs": [row]}), 400)
            self.post(BASIC + "/reconstruct", json.dumps({"latents": [[bad] + [0] * (K - 1)]}), 400)
        self.post(BASIC + "/search", '{"vectors": [[1e999' + ",0" * (D - 1) + "]]}", 400)

    def test_more_than_there_are_is_all_of_them(self):
        daemon = self.daemon
        for k in (K - 1, K, 10 ** 9):
            found = daemon.get(BASIC + "/atoms/1/neighbors?k=%d" % k).json["neighbors"]
            self.assertEqual(sorted(one["atom"] for one in found), [i for i in range(K) if i != 1])
            found = daemon.post(BASIC + "/search", {"vectors": [[1] * D] * 2, "k": k + 1}).json["results"]
            self.assertEqual([sorted(one["atom"] for one in row) for row in found], [list(range(K))] * 2)
            found = daemon.post(BASIC + "/search?exclude_self=true", {"atoms": [3], "k": k}).json["results"]
            self.assertEqual([one["atom"] for one in found[0]],
                             [one["atom"] for one in daemon.get(BASIC + "/atoms/3/neighbors?k=%d" % k).json["neighbors"]])

    def test_results_beyond_float32(self):
        indices = [list(range(K))]
        latents = {"indices": indices, "values": [[3e38] * K]}
        self.post(BASIC + "/reconstruct", {"latents": latents}, 400, "float32")

    def test_search_settings(self):
        vectors = [[1] * D]
        self.post(BASIC + "/search", {"vectors": vectors, "k": 0}, 400, "k is 0")
        self.post(BASIC + "/search", {"vectors": vectors, "metric": "l2"}, 400, "l2")
        self.post(BASIC + "/search", {"vectors": vectors, "k": "5"}, 400)

    def test_too_many_rows(self):
        self.post(BASIC + "/search", {"vectors": [[1] * D] * 9}, 413, "9 rows", "8")
        self.post(BASIC + "/reconstruct", {"latents": [[0] * K] * 9}, 413, "9 rows", "8")

    def test_without_an_encoder(self):
        for route in ("encode", "explain"):
            self.post("%s/%s" % (BASIC, route), {"inputs": [[1] * D]}, 409, "no encoder", "latents")

    def test_types_and_encodings_that_are_not_taken(self):
        body = json.dumps({"latents": [[0] * K]})
        for headers in ({"Content-Type": "image/png"}, {"Content-Type": "multipart/form-data; boundary=x"},
                        {"Content-Type": "application/json", "Content-Encoding": "br"},
                        {"Content-Type": "application/x-npy", "Content-Encoding": "gzip, gzip"}):
            reply = self.daemon.request("POST", BASIC + "/reconstruct", body, headers)
            self.check(reply, 415)
        for kind in ("application/json", "application/json; charset=utf-8", "APPLICATION/JSON",
                     "application/x-www-form-urlencoded"):
            reply = self.daemon.request("POST", BASIC + "/reconstruct", body, {"Content-Type": kind})
            self.assertEqual(reply.status, 200)

    def test_the_server_still_serves(self):
        self.assertEqual(self.daemon.get("/health/ready").status, 200)


if __name__ == "__main__":
    unittest.main()
