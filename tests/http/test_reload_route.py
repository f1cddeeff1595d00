"""POST /v1/dictionaries/{d}/reload (server/api/loading.c): the new generation, or the reason and the old one."""

import os
import shutil
import tempfile
import unittest

from daemon import Daemon, golden

BASIC = "/v1/dictionaries/basic"
KEYS = "read reading-key-for-this-test-0\nadmin admin-key-for-this-test-000\n"


class ReloadRoute(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-reload-")
        self.path = os.path.join(self.folder, "basic.safetensors")
        self.keys = os.path.join(self.folder, "keys")
        with open(os.open(self.keys, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(KEYS)
        self.replace(golden("dict-basic.checkpoint.safetensors"))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def replace(self, source):
        shutil.copy(source, self.path + ".new")
        os.replace(self.path + ".new", self.path)

    def post(self, daemon, key="admin-key-for-this-test-000"):
        return daemon.request("POST", BASIC + "/reload", headers={"Authorization": "Bearer " + key})

    def info(self, daemon):
        return daemon.get(BASIC, headers={"Authorization": "Bearer reading-key-for-this-test-0"}).json

    def test_reload(self):
        with Daemon("--dictionary", "basic=" + self.path, "--keys", self.keys) as daemon:
            before = self.info(daemon)
            self.assertEqual(self.post(daemon, "reading-key-for-this-test-0").status, 403)
            reply = self.post(daemon)
            self.assertEqual((reply.status, reply.json["generation"]), (200, 1), reply.body)  # the same content
            self.assertEqual(reply.json["digest"], before["digest"])
            self.assertEqual(reply.json["revision"], before["revision"])
            self.replace(golden("dict-tight.checkpoint.safetensors"))
            reply = self.post(daemon)
            self.assertEqual((reply.status, reply.json["generation"]), (200, 2))
            self.assertNotEqual(reply.json["digest"], before["digest"])
            self.assertNotEqual(reply.json["revision"], before["revision"])
            self.assertEqual(reply.headers["X-Dictionary-Revision"], reply.json["revision"])

            now = self.info(daemon)
            self.replace(__file__)
            reply = self.post(daemon)
            self.assertEqual(reply.status, 422, reply.body)
            self.refused(daemon, reply, now)
            os.remove(self.path)
            reply = self.post(daemon)
            self.assertEqual(reply.status, 409, reply.body)
            self.refused(daemon, reply, now)

            self.replace(golden("dict-basic.checkpoint.safetensors"))
            self.assertEqual(self.post(daemon).json["digest"], before["digest"])
            missing = daemon.request("POST", "/v1/dictionaries/none/reload",
                                     headers={"Authorization": "Bearer admin-key-for-this-test-000"})
            self.assertEqual(missing.status, 404)

    def refused(self, daemon, reply, before):
        self.assertIn("keeps serving: ", reply.json["error"])
        self.assertGreater(len(reply.json["error"].split("keeps serving: ")[1]), 10)
        self.assertNotIn(self.folder, reply.json["error"])
        after = self.info(daemon)
        self.assertEqual((after["generation"], after["digest"]), (before["generation"], before["digest"]))


if __name__ == "__main__":
    unittest.main()
