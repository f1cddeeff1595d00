"""The list of candidate points (server/api/points.c) and the encoder's weights of an atom (fields=encoder, server/api/fields.c),
held against the file that is served."""

import json
import math
import os
import struct
import tempfile
import unittest

from daemon import Daemon, golden, read_safetensors, write_safetensors

PATH, FILE = "/v1/dictionaries/topk", golden("topk-mse.final.safetensors")


def rows_of(tensor):
    (count, width), numbers = tensor
    return [numbers[i * width:(i + 1) * width] for i in range(count)]


class PointList(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="rasaed-points-")
        cls.addClassCleanup(folder.cleanup)
        cls.tensors, metadata = read_safetensors(FILE)
        cls.points, cls.encoder = (rows_of(cls.tensors[name]) for name in ("dictionary.C", "encoder.final_block.0.weight"))
        cls.scale = [0.5 + j / 8 for j in range(len(cls.points[0]))]
        cls.mean = [j - 3.0 for j in range(len(cls.scale))]
        scaled, bare, silent = (os.path.join(folder.name, name) for name in ("scaled", "bare", "silent"))
        write_safetensors(scaled, {**cls.tensors, "input.mean": ([len(cls.mean)], cls.mean),
                                   "input.scale": ([len(cls.scale)], cls.scale)}, metadata)
        write_safetensors(bare, {"dictionary": ([3, 2], [1, 2, 3, 4, 5, 6])}, {})
        write_safetensors(silent, {"dictionary": ([3, 2], [1, 2, 3, 4, 5, 6])}, {"points": "7"})
        cls.daemon = Daemon("--dictionary", "topk=" + FILE, "--dictionary", "scaled=" + scaled, "--dictionary", "bare=" + bare,
                            "--dictionary", "silent=" + silent)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)

    def near(self, got, expected):
        self.assertEqual(len(got), len(expected))
        for a, b in zip(got, expected):
            self.assertAlmostEqual(a, b, delta=1e-5 * max(1, abs(b)))

    def test_pages_have_every_point_once(self):
        seen, path = [], PATH + "/points?limit=7&fields=vector,label"
        while path:
            reply = self.daemon.get(path)
            seen += reply.json["points"]
            self.assertEqual(reply.json["total"], len(self.points))
            links = dict(reversed(link.split("; rel=")) for link in reply.headers["Link"].split(", "))
            path = links.get('"next"', "").strip("<>")
        self.assertEqual([one["point"] for one in seen], list(range(len(self.points))))
        for one in seen:
            self.assertEqual(set(one), {"point", "label", "vector"})
            self.near(one["vector"], self.points[one["point"]])
        self.assertEqual(self.daemon.get(PATH + "/points?offset=1000").json["points"], [])
        self.assertEqual(self.daemon.get(PATH + "/points?limit=1").json["points"], [{"point": 0, "label": None}])

    def test_each_is_as_it_is_alone(self):
        for name in "topk", "scaled":
            whole = self.daemon.get("/v1/dictionaries/%s/points?fields=all&limit=100" % name).json
            for one in whole["points"][::9]:
                alone = self.daemon.get("/v1/dictionaries/%s/points/%d" % (name, one["point"])).json
                self.assertEqual({**one, "units": whole["units"]}, {key: alone[key] for key in alone if key != "atoms"})
        self.near(one["location"], [x * s + m for x, s, m in zip(self.points[one["point"]], self.scale, self.mean)])

    def test_binary_pages_and_lines(self):
        d = len(self.scale)
        reply = self.daemon.get(PATH + "/points?offset=3&limit=5&format=raw")
        self.assertEqual(reply.headers["X-Tensor-Shape"], "5, %d" % d)
        self.near(struct.unpack("<%df" % (5 * d), reply.body), sum(self.points[3:8], []))
        both = self.daemon.get("/v1/dictionaries/scaled/points?offset=3&limit=5&fields=location,vector&format=raw")
        values = struct.unpack("<%df" % (10 * d), both.body)
        self.near(values[:5 * d], sum(self.points[3:8], []))
        self.near(values[5 * d:], [self.points[3 + i // d][i % d] * self.scale[i % d] + self.mean[i % d] for i in range(5 * d)])
        lines = self.daemon.get(PATH + "/points?limit=4&format=ndjson").body.decode().splitlines()
        self.assertEqual([json.loads(line).get("point") for line in lines], [0, 1, 2, 3, None])
        again = self.daemon.get(PATH + "/points", headers={"If-None-Match": self.daemon.get(PATH + "/points").headers["ETag"]})
        self.assertEqual(again.status, 304)

    def test_refusals(self):
        for target, status, code in ((PATH + "/points?fields=atoms", 400, "invalid_value"), (PATH + "/points?limit=0", 400, "out_of_range"),
                                     (PATH + "/points?fields=label&format=npy", 400, "conflicting_parameters"),
                                     ("/v1/dictionaries/bare/points", 409, "not_held"),
                                     ("/v1/dictionaries/silent/points?format=npy", 409, "not_held")):
            reply = self.daemon.get(target)
            self.assertEqual((reply.status, reply.json["code"]), (status, code), target)
        self.assertEqual(self.daemon.get("/v1/dictionaries/silent/points?fields=all&limit=1").json["points"],
                         [{"point": 0, "label": None, "rows": None, "vector": None, "location": None}])

    # ---- the encoder

    def test_the_encoder_of_an_atom(self):
        """In the units of the data; the cosine is that of the space of the dictionary."""
        for name, scale in ("topk", [1.0] * len(self.scale)), ("scaled", self.scale):
            for atom in self.daemon.get("/v1/dictionaries/%s/atoms?limit=100&fields=encoder,vector" % name).json["atoms"]:
                weights, D = self.encoder[atom["atom"]], atom["vector"]
                self.near(atom["encoder"]["vector"], [w / s for w, s in zip(weights, scale)])
                cosine = math.fsum(a * b for a, b in zip(weights, D)) / math.hypot(*weights) / math.hypot(*D)
                self.assertAlmostEqual(atom["encoder"]["cosine"], cosine, places=5)
        self.assertNotIn("encoder", self.daemon.get(PATH + "/atoms/5").json)
        self.assertIsNone(self.daemon.get("/v1/dictionaries/bare/atoms/1?fields=encoder").json["encoder"])
        one = self.daemon.get(PATH + "/atoms/5/neighbors?k=1&fields=encoder").json["neighbors"][0]
        self.near(one["encoder"]["vector"], self.encoder[one["atom"]])


if __name__ == "__main__":
    unittest.main()
