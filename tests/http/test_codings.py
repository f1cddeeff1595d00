"""gzip, deflate and zstd, both ways (server/codec/coding_{table,zlib,zstd}.c)."""

import gzip
import json
import shutil
import subprocess
import unittest
import zlib

from daemon import Daemon, golden

TOPK = "/v1/dictionaries/topk"


class Gzip(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "topk=" + golden("topk-mse.final.safetensors"),
                            "--max-body", "100000")
        cls.body = json.dumps({"inputs": [[0.25 * i for i in range(16)]] * 20}).encode()
        cls.wanted = cls.daemon.post(TOPK + "/encode", cls.body).json

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def post(self, body, coding, path=TOPK + "/encode", **headers):
        return self.daemon.post(path, body, headers={"Content-Encoding": coding, **headers})

    def test_packed_requests(self):
        for coding, pack in (("gzip", gzip.compress), ("GZIP", gzip.compress), ("x-gzip", gzip.compress),
                             ("deflate", zlib.compress), ("identity", bytes)):
            reply = self.post(pack(self.body), coding)
            self.assertEqual((reply.status, reply.json), (200, self.wanted), coding)

    def test_binary_packed_requests(self):
        reply = self.post(gzip.compress(b"\0" * 128), "gzip", **{"Content-Type": "application/octet-stream"})
        self.assertEqual((reply.status, len(reply.json["indices"])), (200, 2))

    def test_bombs(self):
        for coding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
            reply = self.post(pack(b" " * 50_000_000), coding)
            self.assertEqual(reply.status, 413)
            self.assertIn("the limit of 100000 bytes", reply.json["error"])

    def test_broken(self):
        packed = gzip.compress(self.body)
        for body, coding, status in ((packed[:-1], "gzip", 400), (packed + b"x", "gzip", 400),
                                     (self.body, "gzip", 400), (packed, "deflate", 400), (b"", "gzip", 400),
                                     (packed, "br", 415),
                                     (packed, "gzip, gzip", 415)):
            self.assertEqual(self.post(body, coding).status, status)
        self.assertEqual(self.daemon.post(TOPK + "/encode", self.body).json, self.wanted)

    def test_packed_replies(self):
        plain = self.daemon.get(TOPK + "/atoms?limit=48")
        packed = self.daemon.get(TOPK + "/atoms?limit=48", headers={"Accept-Encoding": "deflate, gzip"})
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertLess(len(packed.body), len(plain.body) * 0.6)
        self.assertTrue(plain.body.endswith(b"}\n"))
        head = self.daemon.request("HEAD", TOPK + "/atoms?limit=48", headers={"Accept-Encoding": "gzip"})
        self.assertEqual(head.headers["Content-Length"], str(len(packed.body)))
        posted = self.daemon.post(TOPK + "/encode", self.body, headers={"Accept-Encoding": "gzip"})
        self.assertEqual(json.loads(gzip.decompress(posted.body)), self.wanted)

    @unittest.skipUnless(shutil.which("zstd"), "there is no zstd command")
    def test_zstd_both_ways(self):
        def zstd(flag, data):
            return subprocess.run(["zstd", "-q", flag], input=data, stdout=subprocess.PIPE, check=True).stdout

        plain = self.daemon.get(TOPK + "/atoms?limit=48")
        packed = self.daemon.get(TOPK + "/atoms?limit=48", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
        self.assertEqual(packed.headers["Content-Encoding"], "zstd")
        self.assertEqual(zstd("-dc", packed.body), plain.body)
        self.assertNotEqual(packed.headers["ETag"], plain.headers["ETag"])
        again = self.daemon.get(TOPK + "/atoms?limit=48", headers={"Accept-Encoding": "zstd",
                                                                  "If-None-Match": packed.headers["ETag"]})
        self.assertEqual(again.status, 304)
        body = zstd("-c", self.body)
        self.assertEqual(self.post(body, "zstd").json, self.wanted)
        for broken, status in ((body[:-1], 400), (body + b"x", 400), (self.body, 400), (b"", 400),
                               (zstd("-c", b" " * 50_000_000), 413)):
            self.assertEqual(self.post(broken, "zstd").status, status)

    def test_what_is_not_packed(self):
        for path, accept in (("/v1", "identity"), (TOPK + "/atoms/0/label", "gzip"), (TOPK + "/atoms?limit=48", "gzip;q=0"),
                             (TOPK + "/atoms?limit=48", "br"), (TOPK + "/dictionary", "gzip"),
                             (TOPK + "/atoms?limit=48&format=raw", "gzip")):
            reply = self.daemon.get(path, headers={"Accept-Encoding": accept})
            self.assertNotIn("Content-Encoding", reply.headers, path)


if __name__ == "__main__":
    unittest.main()
