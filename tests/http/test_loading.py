"""POST /v1/dictionaries/{d}/load and unload (server/api/loading.c): what is loaded, what is not and why, and who may
change it. test_reload_route.py has the reload."""

import os
import shutil
import tempfile
import unittest

from daemon import Daemon, golden
from test_auth import ADMIN, READ, Keys, bearer

PATH = "/v1/dictionaries/words"


class Loading(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="rasaed-loading-"))
        self.file = os.path.join(self.folder, "words.safetensors")
        shutil.copy(golden("dict-basic.checkpoint.safetensors"), self.file)
        shutil.copy(self.file, os.path.join(self.folder, "other.safetensors"))
        self.daemon = self.enterContext(Daemon("--dictionary-dir", self.folder, "--keys", Keys(self).path))

    def post(self, path, body=b"", key=ADMIN):
        return self.daemon.post(path, body, headers=bearer(key))

    def unavailable(self):
        return self.daemon.get("/v1/dictionaries?state=all", headers=bearer(READ)).json["unavailable"]

    def status(self):
        return self.daemon.get(PATH, headers=bearer(READ)).status

    def test_unload_and_load(self):
        for body in (b"", {}):
            before = self.daemon.get(PATH, headers=bearer(READ)).json
            reply = self.post(PATH + "/unload", body)
            self.assertEqual(reply.status, 200)
            self.assertEqual(reply.json, {"name": "words", "state": "unloaded", "reason": None,
                                          "loaded_at": before["loaded_at"], "generation": before["generation"]})
            self.assertEqual(self.unavailable(), [reply.json])
            self.assertEqual(self.status(), 404)
            self.assertEqual(self.post(PATH + "/reload").json["code"], "not_loaded")
            self.assertEqual(self.post(PATH + "/unload").status, 200)
            reply = self.post(PATH + "/load", body)
            self.assertEqual((reply.status, reply.json["state"]), (200, "loaded"))
            self.assertEqual(reply.json["generation"], before["generation"])  # the same content
            self.assertIn("settings", reply.json)
            self.assertEqual((self.status(), self.unavailable()), (200, []))

    def test_a_load_that_fails_says_why(self):
        with open(self.file + ".new", "wb") as file:
            file.write(b"no dictionary")
        os.replace(self.file + ".new", self.file)
        reply = self.post(PATH + "/load")
        self.assertEqual((reply.status, reply.json["code"]), (422, "file_not_servable"))
        self.assertIn("words was not loaded and keeps serving: words.safetensors", reply.json["detail"])
        self.assertNotIn(self.folder, reply.json["detail"])
        kept = self.daemon.get(PATH, headers=bearer(READ)).json
        self.assertEqual(kept["state"], "loaded")
        self.assertIn(kept["reason"], reply.json["detail"])
        self.post(PATH + "/unload")
        os.remove(self.file)
        reply = self.post(PATH + "/load")
        self.assertEqual((reply.status, reply.json["code"]), (409, "file_unreadable"))
        self.assertIn("is not available", reply.json["detail"])

    def test_a_new_file_of_the_folder(self):
        self.assertEqual(self.post("/v1/dictionaries/new/load").json["code"], "unknown_dictionary")
        shutil.copy(self.file, os.path.join(self.folder, "new.safetensors"))
        self.assertEqual(self.post("/v1/dictionaries/new/load").json["name"], "new")
        self.assertEqual(self.post("/v1/dictionaries/none/unload").json["code"], "unknown_dictionary")

    def test_who_may(self):
        for leaf in ("load", "unload"):
            self.assertEqual(self.daemon.post(PATH + "/" + leaf, b"").status, 401)
            self.assertEqual(self.post(PATH + "/" + leaf, key=READ).json["code"], "admin_key_required")
            self.assertEqual(self.post(PATH + "/" + leaf, {"a": 1}).json["pointer"], "/a")
        self.assertEqual(self.status(), 200)


if __name__ == "__main__":
    unittest.main()
