"""Rows of the data that --data shows (server/api/rows.c, server/serving/rows.c), against the numbers that the test writes."""

import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from daemon import PROGRAM, Daemon, golden, write_safetensors
from test_forms import npy, read_npy

D, ROWS = 16, 25
PATH = "/v1/dictionaries/topk/rows"


class Rows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-rows-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.rows = [[(i * D + j) / 8 for j in range(D)] for i in range(ROWS)]
        first, second = cls.rows[:10], cls.rows[10:]
        cls.files = [os.path.join(cls.folder, name) for name in ("first.npy", "second.safetensors", "narrow.npy")]
        with open(cls.files[0], "wb") as file:
            file.write(npy([10, D], "f", sum(first, [])))
        write_safetensors(cls.files[1], {"acts": ([3, 5, D], sum(second, []))}, {})  # [n, tokens, d]
        with open(cls.files[2], "wb") as file:
            file.write(npy([4, 3], "f", range(12)))
        cls.served = golden("topk-mse.final.safetensors")
        cls.daemon = cls.enterClassContext(Daemon(
            "--dictionary", "topk=" + cls.served, "--dictionary", "none=" + cls.served, "--dictionary", "other=" + cls.served,
            "--data", "topk=" + cls.files[0], "--data", "other=" + cls.files[2], "--data", "topk=" + cls.files[1]))

    def test_pages_have_every_row_once_over_all_files(self):
        seen, path = [], PATH + "?limit=7"
        while path:
            reply = self.daemon.get(path)
            seen += reply.json["rows"]
            self.assertEqual((reply.status, reply.json["total"]), (200, ROWS))
            links = dict(reversed(link.split("; rel=")) for link in reply.headers["Link"].split(", "))
            path = links.get('"next"', "").strip("<>")
        self.assertEqual(seen, [{"row": i, "item": None, "position": None, "media": None, "vector": row} for i, row in enumerate(self.rows)])
        self.assertEqual(self.daemon.get(PATH + "?offset=100").json["rows"], [])
        self.assertEqual(len(self.daemon.get(PATH).json["rows"]), 10)

    def test_they_are_parts_of_items(self):
        with Daemon("--dictionary", "topk=" + self.served, "--data", "topk=" + self.files[0], "--item-shape", "topk=1+2x2",
                    "--media-url", "topk=https://example.org/{item}.png") as daemon:
            rows = daemon.get(PATH + "?limit=10").json["rows"]
        self.assertEqual([(row["item"], row["position"]) for row in rows], [divmod(i, 5) for i in range(10)])
        self.assertEqual([row["media"] for row in rows], ["https://example.org/%d.png" % (i // 5) for i in range(10)])

    def test_every_window_over_the_border(self):
        for offset in range(ROWS):
            for limit in (1, 2, 12, 100):
                reply = self.daemon.get("%s?offset=%d&limit=%d&format=raw" % (PATH, offset, limit))
                numbers = struct.unpack("<%df" % (len(reply.body) // 4), reply.body)
                self.assertEqual(list(numbers), sum(self.rows[offset:offset + limit], []), (offset, limit))

    def test_forms(self):
        ((shape, numbers),) = read_npy(self.daemon.get(PATH + "?offset=8&limit=4&format=npy").body)
        self.assertEqual((list(shape), list(numbers)), ([4, D], sum(self.rows[8:12], [])))
        lines = self.daemon.get(PATH + "?limit=2&format=ndjson").body.splitlines()
        self.assertEqual(len(lines), 3)

    def test_they_are_inputs(self):
        import json
        row = self.daemon.get(PATH + "?offset=12&limit=1").json["rows"][0]["vector"]
        told = self.daemon.request("POST", "/v1/dictionaries/topk/explain", json.dumps({"inputs": [row]}), {"Content-Type": "application/json"})
        self.assertEqual(told.status, 200)

    def test_refusals(self):
        for name, why in (("none", "--data none=FILE"), ("other", "have 3 dimensions, but the dictionary has 16")):
            reply = self.daemon.get("/v1/dictionaries/%s/rows" % name)
            self.assertEqual((reply.status, reply.json["code"]), (409, "not_held"))
            self.assertIn(why, reply.json["detail"])
        for query in ("?offset=-1", "?limit=0", "?limit=x", "?row=5"):
            self.assertEqual(self.daemon.get(PATH + query).status, 400, query)
        self.assertEqual(self.daemon.get("/v1/dictionaries/topk").json["row_count"], ROWS)
        self.assertIsNone(self.daemon.get("/v1/dictionaries/none").json["row_count"])

    def test_a_file_that_shrinks_is_one_failure(self):
        path = os.path.join(self.folder, "short.npy")
        shutil.copy(self.files[0], path)
        with Daemon("--dictionary", "topk=" + self.served, "--data", "topk=" + path) as daemon:
            os.truncate(path, os.path.getsize(path) - 8)
            reply = daemon.get(PATH + "?offset=9&limit=1")
            self.assertEqual(reply.status, 500)
            self.assertNotIn(self.folder, reply.body.decode())
            self.assertEqual(daemon.get(PATH + "?offset=8&limit=1").json["rows"][0]["vector"], self.rows[8])

    def test_rows_that_are_not_finite_are_not_shown(self):
        path = os.path.join(self.folder, "bad.npy")
        with open(path, "wb") as file:
            file.write(npy([2, D], "f", [float("nan")] * D + [1.0] * D))
        with Daemon("--dictionary", "topk=" + self.served, "--data", "topk=" + path) as daemon:
            self.assertIn(daemon.get(PATH + "?limit=1").status, (400, 409, 422, 500))
            self.assertEqual(daemon.get(PATH + "?offset=1&limit=1").json["rows"][0]["vector"], [1] * D)

    def test_what_cannot_be_shown_fails_at_the_start(self):
        flat, empty = (os.path.join(self.folder, name) for name in ("flat.npy", "empty"))
        with open(flat, "wb") as file:
            file.write(npy([5], "f", range(5)))
        open(empty, "wb").close()
        for given, why in ((["topk"], "expected NAME=FILE"), (["topk=" + flat], "[rows, d]"), (["topk=" + empty], "empty"),
                           (["topk=" + self.files[0], "topk=" + self.files[2]], "16 and 3 dimensions"), (["topk=/nowhere.npy"], "nowhere.npy")):
            flags = [part for one in given for part in ("--data", one)]
            for more in ([], ["--check-config"]):
                done = subprocess.run([PROGRAM, "--listen", "127.0.0.1:0", "--dictionary", "topk=" + self.served, *flags, *more],
                                      capture_output=True, text=True, timeout=60)
                self.assertIn(done.returncode, (1, 2), given)
                self.assertIn(why, done.stderr)


if __name__ == "__main__":
    unittest.main()
