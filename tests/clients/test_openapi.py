"""proto/openapi.json against a live daemon: it is valid OpenAPI; the daemon answers its examples as it says, and one
request for every status, form and header that it names. tests/unit/server/test_openapi.c checks that routing table
and document name the same routes."""

import environment

environment.enter()

import copy
import gzip
import json
import os
import re
import struct
import sys
import unittest

import jsonschema
import openapi_spec_validator

import contract

D = "/v1/dictionaries/words"
BATCH = {"inputs": [[1, 2, 3], [0.5, -1, 0]]}
RAW = {"Content-Type": "application/octet-stream"}
OIP_BODIES = ("/v2/models/words/infer", "/v2/models/words/versions/1/infer", "/v2/repository/index",
              "/v2/repository/models/spare/load", "/v2/repository/models/spare/unload")
UTILITIES = ("/v1/util/sae-vector", "/v1/util/sae-topk-by-decoder-cossim")
GENERAL = {"Date", "Content-Length", "Content-Type", "Content-Encoding", "Connection", "Vary", "X-Request-Id"}


def close_objects(schema):
    """Refuses members of replies that the document does not describe."""
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict):
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            close_objects(value)
    elif isinstance(schema, list):
        for value in schema:
            close_objects(value)


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.document = contract.document()
        cls.closed = copy.deepcopy(cls.document)
        close_objects(cls.closed["components"]["schemas"])
        cls.server = contract.Server()
        cls.seen = set()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)
        if len(sys.argv) == 1:
            cls.check_that_all_was_seen()

    @classmethod
    def check_that_all_was_seen(cls):
        """Checks that every status of every operation appeared, except those that need a broken or overwhelmed server or client."""
        spared = {"414", "429", "431", "500", "503"}
        missing = [(operation["x-route"], status) for _, _, operation in contract.operations(cls.document)
                   for status in operation["responses"]
                   if status not in spared and (operation["x-route"], status) not in cls.seen]
        # sizes and settings of other tests
        spared = [("atoms", "413"), ("items", "413"), ("media", "413"), ("metrics", "401"), ("metrics", "403")]
        assert sorted(missing) == spared, "never seen: %s" % sorted(missing)

    # ---- from a request to the operation that describes it, and the reply against it

    def follow(self, item):
        while "$ref" in item:
            reference, item = item["$ref"], self.closed
            for name in reference[2:].split("/"):
                item = item[name]
        return item

    def operation_at(self, method, path):
        found = []
        for template, one, operation in contract.operations(self.closed):
            if one == method.lower() and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                found.append((template.count("{"), operation))
        return min(found, key=lambda pair: pair[0])[1]

    def check_schema(self, schema, value, document=None):
        components = (document or self.closed)["components"]
        jsonschema.Draft202012Validator({**schema, "components": components}).validate(value)

    def check_reply(self, operation, reply, what):
        described = operation["responses"].get(str(reply.status))
        self.assertIsNotNone(described, "%s: the status %d is not described: %s" %
                             (what, reply.status, reply.body[:300]))
        described = self.follow(described)
        headers = described.get("headers", {})
        for name, header in headers.items():
            header = self.follow(header)
            if name in reply.headers:
                self.check_schema(header["schema"], reply.headers[name])
            else:
                self.assertFalse(header.get("required"), "%s: no header %s" % (what, name))
        for name in reply.headers:
            self.assertIn(name, GENERAL | set(headers), what)
        content = described.get("content", {})
        if not reply.body:
            return
        media = reply.headers["Content-Type"].split(";")[0]
        self.assertIn(media, content, what)
        if media == "application/x-ndjson":
            self.assertEqual(json.loads(reply.body.splitlines()[-1])["complete"], True, what)
            self.check_schema(content[media]["schema"], reply.body.decode())
        elif media.endswith("json"):
            packed = reply.headers.get("Content-Encoding") == "gzip"
            value = json.loads(gzip.decompress(reply.body) if packed else reply.body)
            self.check_schema(content[media]["schema"], value)

    def call(self, method, target, body=None, headers=(), status=200, key=contract.ADMIN_KEY):
        sent = dict(headers)
        if key:
            sent["Authorization"] = "Bearer " + key
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        reply = self.server.request(method, target, body, sent)
        what = "%s %s" % (method, target)
        self.assertEqual(reply.status, status, "%s: %s" % (what, reply.body[:300]))
        operation = self.operation_at(method, target.split("?")[0].rstrip("/") or "/")
        self.check_reply(operation, reply, what)
        self.seen.add((operation["x-route"], str(status)))
        return reply

    def get(self, target, status=200, **more):
        return self.call("GET", target, status=status, **more)

    def post(self, target, body=None, status=200, **more):
        return self.call("POST", target, body, status=status, **more)

    # ---- the document

    def test_the_limit_of_a_client_is_described(self):
        """Health and metrics have none."""
        for path, _, operation in contract.operations(self.document):
            vital = "/health/" in path or path == "/metrics"
            self.assertEqual("429" in operation["responses"], not vital, path)

    def test_it_is_valid(self):
        openapi_spec_validator.validate(self.document)

    def test_its_codes_are_those_of_the_server(self):
        """And each has an example among those of its status."""
        schemas, responses = self.document["components"]["schemas"], self.document["components"]["responses"]
        table = self.get("/problems").json["problems"]
        self.assertEqual([row["code"] for row in table], schemas["ProblemCode"]["enum"])
        for row in table:
            self.assertIn("- `%(code)s` (%(status)d): %(meaning)s" % row, schemas["ProblemCode"]["description"].split("\n"))
        shown = {code: one["value"] for response in responses.values()
                 for code, one in response.get("content", {}).get("application/problem+json", {}).get("examples", {}).items()}
        self.assertEqual({row["code"] for row in table} - set(shown),
                         {"unknown_version", "not_supported", "method_not_allowed"})  # only under /v2; of no operation
        for row in table:
            if row["code"] in shown:
                self.check_schema(schemas["Problem"], shown[row["code"]])
                self.assertEqual((shown[row["code"]]["code"], shown[row["code"]]["status"]), (row["code"], row["status"]))

    def test_it_is_what_the_server_serves(self):
        self.assertEqual(self.get("/openapi.json").json, self.document)

    def test_its_examples_of_replies_fit_its_schemas(self):
        for _, _, operation in contract.operations(self.closed):
            for response in operation["responses"].values():
                for media in self.follow(response).get("content", {}).values():
                    if "example" in media:
                        self.check_schema(media["schema"], media["example"])

    def test_its_examples_of_requests_work(self):
        for path, method, operation in contract.operations(self.closed):
            parameters = [self.follow(one) for one in operation.get("parameters", [])]
            examples = {one["name"]: one["example"] for one in parameters if one["in"] == "path"}
            if operation["x-route"] in ("v2_load", "v2_unload"):
                examples["model"] = "spare"
            if operation["x-route"] in ("load", "unload"):
                examples["dictionary"] = "spare"
            if operation["x-route"] == "reload":
                examples["dictionary"] = "bare"
            target = re.sub(r"\{(\w+)\}", lambda name: str(examples[name[1]]), path)
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if "example" in content:
                self.check_schema(content["schema"], content["example"], self.document)
            with self.subTest(operation["operationId"]):
                self.call(method.upper(), target, content.get("example"),
                          status=204 if "204" in operation["responses"] else 200)

    # ---- what else a route may be asked

    def test_every_query_parameter(self):
        for target in (D + "/atoms?offset=3&limit=2", D + "/atoms?ids=5,1", D + "/atoms?fields=norm,label",
                       D + "/atoms/5?fields=vector", D + "/atoms/5/neighbors?k=3&metric=dot"):
            self.get(target)
        self.post(D + "/search?k=3&metric=dot", {"vectors": [[1, 2, 3]]})
        self.post(D + "/search?fields=all&as=inputs", {"inputs": [[1, 2, 3]]})
        self.post(D + "/search?fields=norm,units&exclude_self=true", {"atoms": [5, 1], "metric": "dot"})
        self.post(D + "/search?exclude=1,2&min_score=0.1&min_frequency=0.01&dead=false&point=3", {"vectors": [[1, 2, 3]]})
        self.post(D + "/search", {"positive": [5, 1], "negative": [2], "exclude": [3], "min_score": -0.5, "k": 2,
                                  "filter": {"min_frequency": 0.01, "dead": False, "point": 3}})
        self.post(D + "/explain?k=2&fields=all", BATCH)
        self.get(D + "/atoms/5/neighbors?fields=all&metric=dot")
        for measure in ("count", "pmi", "correlation"):
            self.get(D + "/atoms/5/cofiring?k=3&fields=all&measure=" + measure)
        self.get(D + "/atoms?fields=all")
        self.get(D + "/atoms/5/items?k=2")
        self.post("/v1/util/sae-vector?which=decoder", {"model": "m", "source": "bare", "index": 5})
        self.post(D + "/steer?steer=5:2.0,7:-1e-1&on=reconstruction&method=cap", {"inputs": [[1, 2, 3]]})
        self.post(D + "/edit?set=5:scale:2,7:ablate&keep_error=false", {"inputs": [[1, 2, 3]]})

    def test_labels_and_lists(self):
        label, zoo = D + "/atoms/6/label", D + "/lists/park"
        lines = {"Content-Type": "application/x-ndjson"}
        self.call("PUT", D + "/lists/zoo", {"atoms": [5, 1]})
        tag = self.get(label).headers["ETag"]
        self.get(label, status=304, headers={"If-None-Match": tag})
        self.get(label, status=412, headers={"If-Match": '"another"'})
        self.get(D + "/labels?limit=1&offset=0&format=json")
        self.get(D + "/labels?format=ndjson")
        self.get(D + "/labels", status=406, headers={"Accept": "text/html"})
        self.get(D + "/labels", status=412, headers={"If-Match": '"another"'})
        self.get(D + "/labels", status=304, headers={"If-None-Match": self.get(D + "/labels").headers["ETag"]})
        self.post(D + "/labels", b'{"atom": 7, "label": "cat"}\n{"complete": true, "lines": 1}\n', headers=lines)
        for target, body in ((label, {"label": "a"}), (zoo, {"atoms": [1]})):
            self.call("PUT", target, body)
            tag = self.get(target).headers["ETag"]
            self.get(target, status=304, headers={"If-None-Match": tag})
            self.get(target, status=412, headers={"If-Match": '"another"'})
            for method in ("PUT", "DELETE"):
                sent = body if method == "PUT" else None
                self.call(method, target, sent, status=412, headers={"If-Match": '"another"'})
                self.call(method, target, sent, status=415, headers={"Content-Encoding": "br"})
                self.call(method, target, sent, status=403, key=contract.READ_KEY)
                self.call(method, target.replace("/6/", "/8/").replace("words/lists", "none/lists"), sent, status=404)
            self.call("PUT", target, {}, status=400)
            self.call("DELETE", target, {"no": 1}, status=400)
            self.call("DELETE", target, status=204 if target == zoo else 200)
        self.get(zoo, status=404)
        self.get(D + "/atoms/8/label", status=404)
        self.get(D + "/contrasts/none", status=404)
        self.post(D + "/labels", {"labels": 5}, status=400)
        self.post(D + "/labels", {"labels": []}, status=412, headers={"If-Match": '"another"'})
        self.post(D + "/labels", {"labels": []}, status=415, headers={"Content-Type": "text/html"})
        self.post(D + "/labels", {"labels": []}, status=403, key=contract.READ_KEY)
        self.post("/v1/dictionaries/none/labels", {"labels": []}, status=404)
        for target in ("/labels", "/lists", "/lists/zoo", "/contrasts", "/contrasts/heat"):
            self.get("/v1/dictionaries/none" + target, status=404)
        for target in ("/lists", "/lists/zoo", "/contrasts", "/contrasts/heat"):
            tag = self.get(D + target).headers["ETag"]
            self.get(D + target, status=304, headers={"If-None-Match": tag})
            self.get(D + target, status=412, headers={"If-Match": '"another"'})
        self.get(D + "/contrasts/heat?sort=relative&order=asc&offset=1&limit=2&fields=norm,explanation")
        self.get(D + "/contrasts/heat?format=csv")
        self.get(D + "/contrasts/heat?format=npy")
        self.get(D + "/contrasts/heat", status=406, headers={"Accept": "text/html"})
        self.get(D + "/table?columns=index,contrast:heat")

    def test_labels_without_a_state_directory(self):
        with contract.Server.without_state() as bare:
            everything, self.server = self.server, bare
            try:
                for target in ("/lists", "/lists/zoo"):
                    self.get("/v1/dictionaries/bare" + target, status=403)
                self.call("PUT", "/v1/dictionaries/bare/atoms/5/label", {"label": "a"}, status=403)
            finally:
                self.server = everything

    def test_the_server_and_the_key(self):
        self.assertEqual(self.get("/v1", key=contract.READ_KEY).json["access"], "read")
        self.assertEqual(self.get("/v1").json["access"], "admin")

    def test_every_form(self):
        raw = struct.pack("<3f", 1, 2, 3)
        for form in ("json", "raw", "npy"):
            self.post(D + "/atoms?format=" + form, {"ids": [5, 1]})
            for target in (D + "/atoms?limit=2&format=", D + "/points?fields=vector,location&limit=3&format=", D + "/atoms/5?format=", D + "/points/12?format=",
                           D + "/standardization?format=", D + "/atoms/5?fields=vector,direction&format="):
                self.get(target + form)
            for route in ("encode", "search", "steer", "edit"):
                query = {"steer": "&steer=5:2", "edit": "&set=5:set:2"}.get(route, "")
                self.post("%s/%s?format=%s%s" % (D, route, form, query), raw, headers=RAW)
            self.post(D + "/reconstruct?format=" + form, struct.pack("<8f", *range(8)), headers=RAW)
        self.post(D + "/explain?format=json", raw,
                  headers={**RAW, "X-Tensor-Shape": "1, 3", "X-Tensor-Dtype": "F32"})
        for form in ("safetensors", "raw", "npy"):
            self.get(D + "/dictionary?format=" + form)
        for form in ("json", "csv", "npy", "dinovision"):
            self.get(D + "/table?format=" + form)
        self.get(D + "/table?columns=index,label,energy")
        self.get(D + "/atoms?sort=energy&order=asc&point=12")
        lines = {"Accept": "application/x-ndjson"}
        self.get(D + "/atoms", headers=lines)
        self.get(D + "/points?fields=all", headers=lines)
        self.get(D + "/points?fields=all&offset=3&limit=20")
        self.post(D + "/atoms", {"ids": [5, 1]}, headers=lines)
        self.post(D + "/search", {"inputs": [[1, 2, 3]]}, headers=lines)
        self.post(D + "/explain", BATCH, headers=lines)
        self.post(D + "/reconstruct", self.post(D + "/encode", BATCH).json)
        self.get(D + "/atoms/5", headers={"Accept": "application/x-npy"})

    def test_what_the_client_has_already(self):
        for target in (D + "/atoms", D + "/atoms/5", D + "/atoms/5/neighbors", D + "/atoms/5/cofiring", D + "/atoms/5/items", D + "/media/dog.png", D + "/points/12", D + "/points",
                       D + "/dictionary", D + "/artifact", D + "/standardization", D + "/table",
                       "/openapi.json", "/problems"):
            tag = self.get(target).headers["ETag"]
            self.get(target, status=304, headers={"If-None-Match": tag})
            self.get(target, headers={"If-Match": tag})
            self.get(target, status=412, headers={"If-Match": '"another"'})
        for target in (D, "/v1/dictionaries"):
            tag = self.get(target).headers["ETag"]
            self.get(target, status=304, headers={"If-None-Match": tag})
            self.get(target, status=412, headers={"If-Match": '"another"'})

    def test_the_course_of_a_training(self):
        target = D + "/training"
        self.assertEqual(self.get(target).json["columns"]["step"], [8, 16])
        self.get(target + "?columns=loss,step&format=csv")
        self.get(target + "?format=npy")
        self.get(target + "?columns=color", status=400)
        self.get(target, status=304, headers={"If-None-Match": self.get(target).headers["ETag"]})
        self.get(target, status=406, headers={"Accept": "text/html"})
        self.get(target, status=412, headers={"If-Match": '"another"'})
        self.get("/v1/dictionaries/none/training", status=404)
        self.get("/v1/dictionaries/bare/training", status=409)

    def test_rows_of_the_data(self):
        target = D + "/rows"
        (row,) = self.get(target + "?offset=1&limit=1").json["rows"]
        self.assertEqual((row["row"], row["item"], row["position"], row["vector"]), (1, 0, 1, [4, 5, 6]))
        for form in ("raw", "npy", "ndjson"):
            self.get(target + "?format=" + form)
        self.get(target + "?limit=0", status=400)
        self.get(target, status=304, headers={"If-None-Match": self.get(target).headers["ETag"]})
        self.get(target, status=406, headers={"Accept": "text/html"})
        self.get(target, status=412, headers={"If-Match": '"another"'})
        self.get("/v1/dictionaries/none/rows", status=404)
        self.get("/v1/dictionaries/bare/rows", status=409)

    def test_two_dictionaries(self):
        self.assertEqual(self.post(D + "/compare", {"with": "words"}).json["points"], 16)
        self.post(D + "/compare", {"with": "plain"}, status=400)
        self.post(D + "/compare", {"with": "none"}, status=404)
        self.post(D + "/compare", b'{"with": "\\u0000"}', status=400)
        self.post(D + "/compare", {"with": "words"}, status=412, headers={"If-Match": '"another"'})
        self.post(D + "/compare", {"with": "words"}, status=415, headers={"Content-Type": "text/html"})

    def test_the_revision_as_a_condition(self):
        revision = self.get(D).json["revision"]
        targets = {target: json.dumps(body) for target, body in (
            ("/search", {"vectors": [[1, 2, 3]]}), ("/encode", BATCH), ("/explain", BATCH), ("/atoms", {"ids": [1]}),
            ("/steer?steer=5:1", BATCH), ("/edit?set=5:ablate", BATCH), ("/reconstruct", {"latents": [[0] * 8]}))}
        for target, body in targets.items():
            self.post(D + target, body.encode(), headers={"If-Match": '"%s"' % revision})
            self.post(D + target, body.encode(), status=412, headers={"If-Match": '"another"'})
        for target in ("/v1/dictionaries/bare/reload", "/v1/dictionaries/bare/load", "/v1/dictionaries/bare/unload",
                       "/v2/repository/models/bare/load", "/v2/repository/models/bare/unload"):
            self.post(target, status=412, headers={"If-Match": '"another"'})
        feature = {"model": "m", "source": "words", "index": 5}
        self.post(UTILITIES[0], feature, status=412, headers={"If-Match": '"another"'})
        self.post(UTILITIES[1], {"feature": feature, "model": "m", "source": "words", "num_results": 1}, status=412,
                  headers={"If-Match": '"another"'})
        for model in "/v2/models/words", "/v2/models/words/versions/1":
            for target in "", "/ready", "/config", "/stats":
                self.get(model + target, status=412, headers={"If-Match": '"another"'})
            self.post(model + "/infer", {}, status=412, headers={"If-Match": '"another"'})

    def test_parts_of_the_dictionary(self):
        whole = self.get(D + "/dictionary").body
        self.assertEqual(self.get(D + "/dictionary", status=206,
                         headers={"Range": "bytes=8-15"}).body, whole[8:16])
        self.get(D + "/dictionary", status=416, headers={"Range": "bytes=1000000-"})
        whole = self.get(D + "/artifact").body
        self.assertEqual(self.get(D + "/artifact", status=206, headers={"Range": "bytes=8-15"}).body, whole[8:16])
        self.get(D + "/artifact", status=416, headers={"Range": "bytes=1000000-"})
        self.get(D + "/media/dog.png", status=206, headers={"Range": "bytes=2-5"})
        self.get(D + "/media/dog.png", status=416, headers={"Range": "bytes=1000000-"})

    def test_packed_replies(self):
        reply = self.get(D + "/atoms", headers={"Accept-Encoding": "gzip"})
        self.assertEqual(reply.headers["Content-Encoding"], "gzip")

    def test_inference_in_binary(self):
        head = json.dumps({"inputs": [{"name": "latents", "datatype": "FP32", "shape": [1, 8],
                                       "parameters": {"binary_data_size": 32}}],
                           "parameters": {"binary_data_output": True}}).encode()
        for route in ("/v2/models/words/infer", "/v2/models/words/versions/1/infer"):
            reply = self.post(route, head + bytes(32),
                              headers={**RAW, "Inference-Header-Content-Length": str(len(head))})
            self.assertEqual(reply.headers["Content-Type"], "application/octet-stream")
            self.post(route, bytes(32), headers={**RAW, "Inference-Header-Content-Length": "0"})

    # ---- what goes wrong

    def test_keys(self):
        for path, method, operation in contract.operations(self.document):
            target = re.sub(r"\{(?:dictionary|model)\}", "words",
                            re.sub(r"\{(?:atom|point|version)\}", "1", path))
            security = operation.get("security", self.document["security"])
            if security and operation["x-route"] != "metrics":
                self.call(method.upper(), target, status=401, key=None)
                self.call(method.upper(), target, status=401, key="some-other-key-of-nobody")
            if security == [{"admin": []}, {"key": []}]:
                self.call(method.upper(), target, status=403, key=contract.READ_KEY)

    def test_what_there_is_not(self):
        for target in ("/v1/dictionaries/none", "/v1/dictionaries/none/atoms", D + "/atoms/8",
                       D + "/atoms/8/neighbors", D + "/atoms/8/cofiring", D + "/atoms/8/items", D + "/media/cat.png", D + "/points/16", "/v1/dictionaries/none/dictionary", "/v1/dictionaries/none/artifact",
                       "/v1/dictionaries/none/standardization", "/v1/dictionaries/none/table", "/v1/dictionaries/none/points",
                       "/v2/models/none", "/v2/models/none/ready",
                       "/v2/models/none/config", "/v2/models/none/stats"):
            self.get(target, status=404)
        for target in ("", "/ready", "/config", "/stats"):
            self.get("/v2/models/words/versions/9" + target, status=404)
        for target in ("search", "reconstruct", "encode", "explain", "steer", "edit", "reload", "load", "unload"):
            self.post("/v1/dictionaries/none/" + target, status=404)
        self.post(D + "/atoms", {"ids": [8]}, status=400)
        self.get(D + "/atoms?ids=8", status=400)
        self.post("/v1/dictionaries/none/atoms", {"ids": [0]}, status=404)
        for target in ("/v2/models/none/infer", "/v2/models/words/versions/9/infer",
                       "/v2/repository/models/none/load", "/v2/repository/models/none/unload"):
            self.post(target, {}, status=404)

    def test_what_is_malformed(self):
        for path, method, operation in contract.operations(self.document):
            target = re.sub(r"\{(?:dictionary|model)\}", "words",
                            re.sub(r"\{(?:atom|point|version)\}", "1", path))
            self.call(method.upper(), target + "?no=such", status=400)
        for target in ("search", "reconstruct", "encode", "explain", "steer", "edit"):
            for body in (b"", b"{", {}, {"no": 1}, {"inputs": [[1]]}, {"latents": [[1]]}, {"vectors": 3}):
                self.post(D + "/" + target, body, status=400)
        for target in ("/v2/models/words/infer",) + UTILITIES:
            for body in (b"", b"{", {}, {"inputs": []}):
                self.post(target, body, status=400)

    def test_what_does_not_fit(self):
        for target in ("search", "reconstruct", "encode", "explain", "steer", "edit"):
            self.post(D + "/" + target, BATCH, status=415, headers={"Content-Type": "text/html"})
            self.post(D + "/" + target, BATCH, status=406, headers={"Accept": "text/html"})
        self.post(D + "/atoms", {"ids": [5]}, status=415, headers={"Content-Type": "text/html"})
        self.post(D + "/atoms", {"ids": [5]}, status=406, headers={"Accept": "text/html"})
        for target in ("/atoms", "/atoms/5", "/atoms/5/items", "/points", "/points/12", "/dictionary", "/standardization", "/table"):
            self.get(D + target, status=406, headers={"Accept": "text/html"})
        self.post("/v1/dictionaries/bare/encode", BATCH, status=409)
        self.get("/v1/dictionaries/bare/atoms?dead=true", status=409)
        self.post("/v1/dictionaries/bare/search", {"atoms": [5], "filter": {"dead": True}}, status=409)
        self.get("/v1/dictionaries/bare/atoms/5/cofiring", status=409)
        self.get("/v1/dictionaries/bare/atoms/5/items", status=409)
        self.get("/v1/dictionaries/plain/points", status=409)
        self.get("/v1/dictionaries/bare/artifact", status=409)
        self.get("/v1/dictionaries/bare/table?format=dinovision", status=409)
        self.post("/v1/dictionaries/bare/explain", BATCH, status=409)
        self.post("/v1/dictionaries/bare/edit", BATCH, status=409)
        self.post("/v1/util/sae-vector", {"model": "m", "source": "bare", "index": 5}, status=409)
        self.post("/v1/dictionaries/bare/steer?on=reconstruction&steer=5:1",
                  {"inputs": [[1, 2, 3]]}, status=409)
        for target in ("/reload", "/load", "/unload"):
            self.post(D + target, status=415, headers={"Content-Encoding": "br"})
        for target in UTILITIES:
            self.post(target, {}, status=415, headers={"Content-Type": "text/html"})
        for target in OIP_BODIES:
            self.post(target, {}, status=501, headers={"Content-Encoding": "br"})

    def test_what_is_too_large(self):
        with contract.Server("--max-body", "1000", "--max-rows", "1") as small:
            everything, self.server = self.server, small
            try:
                for target in ("search", "reconstruct", "encode", "explain", "steer", "edit", "compare", "atoms", "reload", "load", "unload"):
                    self.post(D + "/" + target, b" " * 1001, status=413)
                self.post(D + "/encode", BATCH, status=413)
                for target in OIP_BODIES + UTILITIES + (D + "/labels",):
                    self.post(target, b" " * 1001, status=413)
                for target in (D + "/atoms/5/label", D + "/lists/zoo"):
                    self.call("PUT", target, b" " * 1001, status=413)
                    self.call("DELETE", target, b" " * 1001, status=413)
            finally:
                self.server = everything

    def test_what_cannot_be_reloaded(self):
        with contract.Server() as server:
            everything, self.server = self.server, server
            try:
                before = self.get(D).json
                self.assertEqual(self.post(D + "/reload").json["revision"], before["revision"])
                self.assertEqual(self.get(D).json["generation"], before["generation"])  # the same content
                os.remove(server.file("words"))
                self.post(D + "/reload", status=409)
                self.post(D + "/load", status=409)
                with open(server.file("spare.new"), "wb") as file:
                    file.write(b"no dictionary")
                os.rename(server.file("spare.new"), server.file("spare"))
                self.post("/v1/dictionaries/spare/reload", status=422)
                self.post("/v1/dictionaries/spare/load", status=422)
                self.post("/v2/repository/models/spare/load", {}, status=400)
                self.assertEqual(self.get("/v1/dictionaries/spare").json["generation"], 1)
            finally:
                self.server = everything


if __name__ == "__main__":
    unittest.main()
