"""GET /v1 (server/api/{server.c,limits.h}): what the server says of itself is what it does."""

import unittest

from daemon import Daemon, golden
from test_auth import ADMIN, READ, Keys, bearer

GIVEN = ("--dictionary", "given=" + golden("topk-mse.final.safetensors"))


class Server(unittest.TestCase):
    def test_it_says_what_it_is_and_takes(self):
        with Daemon(*GIVEN, "--max-rows", "3", "--max-body", "5000") as daemon:
            said = daemon.get("/v1").json
            self.assertEqual((said["name"], said["access"], said["key_name"]), ("rasaed", "read", None))
            self.assertEqual(said["version"], daemon.get("/v2").json["version"])
            limits = said["limits"]
            self.assertEqual((limits["rows"], limits["body_bytes"]), (3, 5000))
            self.assertEqual(len(limits), 12)
            self.assertEqual(limits["compared_atoms"], 4096)  # test_compare.py asks for more
            width = daemon.get("/v1/dictionaries/given").json["dimensions"]
            forms = {form["format"]: form["media_type"] for form in said["forms"]}
            self.assertEqual(list(forms), ["json", "raw", "npy", "safetensors", "ndjson", "csv", "dinovision"])
            for path, names in (("atoms?limit=1", ["json", "raw", "npy", "ndjson"]), ("table?columns=index", ["csv"]),
                                ("dictionary", ["safetensors"])):
                for name in names:
                    reply = daemon.get("/v1/dictionaries/given/%s%sformat=%s" % (path, "&" if "?" in path else "?", name))
                    self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, forms[name]))
            row = [0.5] * width
            path = "/v1/dictionaries/given/encode"
            self.assertEqual(daemon.post(path, {"inputs": [row] * limits["rows"]}).status, 200)
            self.assertEqual(daemon.post(path, {"inputs": [row] * (limits["rows"] + 1)}).status, 413)
            self.assertEqual(daemon.post(path, b" " * (limits["body_bytes"] + 1)).status, 413)

    def test_it_names_every_form_of_the_contract(self):
        with Daemon(*GIVEN) as daemon:
            contract, forms = daemon.get("/openapi.json").json, daemon.get("/v1").json["forms"]
        wanted = set()
        for path in contract["paths"].values():
            for operation in path.values():
                for parameter in operation.get("parameters", ()) if isinstance(operation, dict) else ():
                    parameter = contract["components"]["parameters"][parameter["$ref"].split("/")[-1]] if "$ref" in parameter else parameter
                    if parameter["name"] == "format":
                        schema = parameter["schema"]
                        schema = contract["components"]["schemas"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
                        wanted.update(schema["enum"])
        self.assertGreaterEqual(wanted, {"json", "raw", "csv", "dinovision"})
        self.assertEqual(wanted, {form["format"] for form in forms})

    def test_its_other_limits(self):
        with Daemon(*GIVEN) as daemon:
            limits, atoms = daemon.get("/v1").json["limits"], "/v1/dictionaries/given/atoms"
            for n, status in ((limits["query_ids"], 200), (limits["query_ids"] + 1, 413)):
                reply = daemon.get(atoms + "?fields=norm&ids=" + ",".join(["1"] * n))
                self.assertEqual(reply.status, status, n)
            for n, status in ((limits["ids"], 200), (limits["ids"] + 1, 413)):
                self.assertEqual(daemon.post(atoms + "?fields=norm", {"ids": [1] * n}).status, status, n)
            inputs = [[0.5] * daemon.get("/v1/dictionaries/given").json["dimensions"]]
            for n, status in ((limits["steer"], 200), (limits["steer"] + 1, 413)):
                reply = daemon.post("/v1/dictionaries/given/steer",
                                    {"inputs": inputs, "steer": [{"atom": 1, "scale": 0}] * n})
                self.assertEqual(reply.status, status, n)

    def test_the_key_of_the_caller(self):
        keys = Keys(self, "read %s notebook.1\nadmin %s\n" % (READ, ADMIN))
        with Daemon(*GIVEN, "--keys", keys.path) as daemon:
            self.assertEqual(daemon.get("/v1").status, 401)
            for key, access, name in ((READ, "read", "notebook.1"), (ADMIN, "admin", None)):
                said = daemon.get("/v1", headers=bearer(key)).json
                self.assertEqual((said["access"], said["key_name"]), (access, name))

    def test_the_log_names_the_key(self):
        keys = Keys(self, "read %s notebook.1\nadmin %s\n" % (READ, ADMIN))
        with Daemon(*GIVEN, "--keys", keys.path) as daemon:
            daemon.get("/v1/dictionaries", headers={"X-Request-Id": "named", **bearer(READ)})
            daemon.get("/v1/dictionaries", headers={"X-Request-Id": "nameless", **bearer(ADMIN)})
            daemon.says("id=nameless")
            lines = {line.split(" id=")[1].split()[0]: line for line in daemon.log().splitlines() if " id=" in line}
            self.assertIn(" key=notebook.1", lines["named"])
            self.assertNotIn(" key=", lines["nameless"])
            self.assertNotIn(READ, daemon.log())

    def test_a_name_with_other_characters_stops_the_start(self):
        for rest in ("my notebook", "#mine", "n" * 65):
            keys = Keys(self, "read %s %s\n" % (READ, rest))
            with self.assertRaisesRegex(AssertionError, "line 1: the key has a character that is not allowed, or its name"):
                Daemon(*GIVEN, "--keys", keys.path)


if __name__ == "__main__":
    unittest.main()
