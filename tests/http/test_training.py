"""The course of a training (server/api/training.c), against the log of the training itself, from the checkpoint and from the
artifact that was made of it."""

import csv
import io
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from daemon import PROGRAM, Daemon, golden
from test_forms import read_npy

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
NAMES = ["step", "rows", "loss", "r2", "l0", "grad_norm", "dead", "lr", "r2_per_dimension"]
STEPS = 30


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="rasaed-training-")
        cls.addClassCleanup(shutil.rmtree, folder)
        at = lambda name: os.path.join(folder, name)
        for arguments in (["train", golden("topk-mse.x.npy"), "--concepts", "12", "--top-k", "3", "--points", "20", "--steps", str(STEPS),
                           "--batch-size", "64", "-o", at("made"), "--log", at("log"), "--quiet"],
                          ["fuse", at("made"), "-o", at("fused"), "--quiet"]):
            subprocess.run([RASAE, *arguments], check=True, capture_output=True, timeout=240)
        with open(at("log"), encoding="utf-8") as file:
            cls.log = [one for one in map(json.loads, file) if "step" in one]
        cls.daemon = cls.enterClassContext(Daemon("--dictionary", "made=" + at("made"), "--dictionary", "fused=" + at("fused"),
                                                  "--dictionary", "other=" + golden("topk-mse.final.safetensors")))

    def columns(self, query="", name="fused"):
        return self.daemon.get("/v1/dictionaries/%s/training%s" % (name, query)).json["columns"]

    def test_every_step_of_a_short_run(self):
        reply = self.daemon.get("/v1/dictionaries/fused/training").json
        self.assertEqual((list(reply["columns"]), reply["total"]), (NAMES, STEPS))
        self.assertEqual(len(self.log), STEPS)
        for i, step in enumerate(self.log):
            self.assertEqual(reply["columns"]["step"][i], step["step"])
            for name in ("loss", "r2", "r2_per_dimension", "l0", "dead", "lr"):
                self.assertAlmostEqual(reply["columns"][name][i], single(step[name]), delta=1e-6 * abs(step[name]), msg=name)
        self.assertEqual(set(reply["columns"]["rows"]), {64})

    def test_the_checkpoint_has_the_same(self):
        self.assertEqual(self.columns(), self.columns(name="made"))
        revisions = {self.daemon.get("/v1/dictionaries/" + name).json["revision"] for name in ("made", "fused")}
        self.assertEqual(len(revisions), 1)

    def test_columns_are_chosen(self):
        everything = self.columns()
        self.assertEqual(self.columns("?columns=loss,step"), {"loss": everything["loss"], "step": everything["step"]})
        self.assertEqual(list(self.columns("?columns=loss,step")), ["loss", "step"])

    def test_csv_and_npy_have_the_same_numbers(self):
        everything = self.columns()
        reply = self.daemon.get("/v1/dictionaries/fused/training?format=csv")
        head, *rows = list(csv.reader(io.StringIO(reply.body.decode())))
        self.assertEqual(head, NAMES)
        self.assertEqual([[float(value) for value in row] for row in rows], [list(map(float, row)) for row in zip(*everything.values())])
        reply = self.daemon.get("/v1/dictionaries/fused/training?columns=loss,step&format=npy")
        self.assertEqual(reply.headers["X-Table-Columns"], "loss,step")
        for (shape, numbers), name in zip(read_npy(reply.body), ("loss", "step"), strict=True):
            self.assertEqual((tuple(shape), list(numbers)), ((STEPS,), [single(value) for value in everything[name]]))

    def test_refusals(self):
        for query in ("?columns=color", "?columns=", "?columns=loss,loss", "?offset=1", "?columns=loss,"):
            self.assertEqual(self.daemon.get("/v1/dictionaries/fused/training" + query).status, 400, query)
        self.assertEqual(self.daemon.get("/v1/dictionaries/fused/training?format=dinovision").status, 406)
        reply = self.daemon.get("/v1/dictionaries/other/training")
        self.assertEqual((reply.status, reply.json["code"]), (409, "not_held"))
        self.assertIn("rasae fuse", reply.json["detail"])
        self.assertEqual(self.daemon.get("/v1/dictionaries/none/training").status, 404)

    def test_the_description_says_whether_there_is_one(self):
        self.assertTrue(self.daemon.get("/v1/dictionaries/fused").json["has_training"])
        self.assertFalse(self.daemon.get("/v1/dictionaries/other").json["has_training"])

    def test_an_answer_can_be_kept(self):
        reply = self.daemon.get("/v1/dictionaries/fused/training")
        again = self.daemon.request("GET", "/v1/dictionaries/fused/training", headers={"If-None-Match": reply.headers["ETag"]})
        self.assertEqual(again.status, 304)


if __name__ == "__main__":
    unittest.main()
