"""Node's fetch and Python's requests, unmodified, get the answers that rasaed gives before it has read a body: 40 of 40
each (server/http/lingering.c)."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

import environment

environment.enter()

import requests  # noqa: E402

from environment import FOLDER, PATIENCE, Daemon, golden  # noqa: E402

KEY = "k" * 32
JSON = {"Content-Type": "application/json", "Authorization": "Bearer " + KEY}
REFUSED = ((401, "/v1/dictionaries/basic/reconstruct", {"Content-Type": "application/json"}), (404, "/nothing", JSON),
           (405, "/v1/dictionaries/basic", JSON), (413, "/v1/dictionaries/basic/reconstruct", JSON),
           (415, "/v1/dictionaries/basic/reconstruct", {**JSON, "Content-Type": "text/csv"}))


class EarlyAnswers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        keys = os.path.join(self.folder, "keys")
        with open(keys, "w", encoding="ascii") as file:
            file.write("admin %s\n" % KEY)
        self.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys,
                             "--max-body", "200000")
        self.addCleanup(self.daemon.__exit__, None, None, None)
        self.url = "http://%s:%d" % self.daemon.address

    @unittest.skipUnless(shutil.which("node"), "no node")
    def test_fetch_of_node(self):
        done = subprocess.run(["node", os.path.join(FOLDER, "early_answers.js"), self.url, KEY], capture_output=True,
                              text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        seen = json.loads(done.stdout)
        self.assertEqual(len(seen), 40)
        self.assertEqual([pair for pair in seen if pair[0] != pair[1]], [])

    def test_requests_of_python(self):
        for size in (300000, 3000000, 9000000, 50000000):
            for status, path, headers in REFUSED:
                for body in (b" " * size, iter([b" " * 65536] * (size // 65536))):
                    reply = requests.post(self.url + path, headers=headers, data=body, timeout=PATIENCE)
                    self.assertEqual((reply.status_code, bool(reply.json()["error"])), (status, True), (path, size))


if __name__ == "__main__":
    unittest.main()
