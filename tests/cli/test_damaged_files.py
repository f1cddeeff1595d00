"""Files of ours that were damaged (lib/io/safetensors/digest.c, lib/model/open/open.c): whatever byte of an artifact or of a
checkpoint is another one, or missing, no command works on it, no training continues from it, and no daemon serves it."""

import os
import random
import subprocess

import support
from support import Case, golden, small_data

DAEMON = os.path.join(os.path.dirname(support.RASAE), "rasaed")


class Damaged(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=60))
        self.run = self.path("run.safetensors")
        self.model = self.path("model.safetensors")
        self.train = ["train", self.x, "--concepts", "8", "--points", "12", "--batch-size", "20", "--quiet"]
        self.good(*self.train, "--steps", "3", "-o", self.run)
        self.good("fuse", self.run, "-o", self.model)

    def damaged(self, source, at, change):
        blob = bytearray(self.read(os.path.basename(source)))
        blob[at] ^= change
        path = self.path("damaged.safetensors")
        with open(path, "wb") as file:
            file.write(blob)
        return path

    def places(self, source):
        """Places in the header, in the first tensor and at the end."""
        size = os.path.getsize(source)
        chosen = random.Random(7)
        return [0, 9, 20, size - 1] + [chosen.randrange(size) for _ in range(20)]

    def test_no_command_works_on_a_damaged_file(self):
        for source in (self.run, self.model):
            for at in self.places(source):
                self.bad(1, "damaged", "inspect", self.damaged(source, at, 0x40))
        last = os.path.getsize(self.model) - 1
        out = self.path("out")
        for command in (["encode", "%", self.x, "-o", out], ["eval", "%", self.x], ["compare", "%", self.model]):
            bad = self.damaged(self.model, last, 1)
            self.bad(1, "is damaged: its content", *[bad if word == "%" else word for word in command])

    def test_no_training_continues_from_a_damaged_checkpoint(self):
        for at in self.places(self.run):
            bad = self.damaged(self.run, at, 0x08)
            before = self.read("damaged.safetensors")
            self.bad(1, "damaged", *self.train, "--steps", "5", "--resume", bad, "-o", bad)
            self.assertEqual(self.read("damaged.safetensors"), before)
            self.bad(1, "damaged", "train", self.x, "--steps", "5", "--init", bad, "-o", self.path("out"))

    def test_the_daemon_does_not_start_with_a_damaged_file(self):
        bad = self.damaged(self.model, os.path.getsize(self.model) - 1, 1)
        for more in [], ["--private-below", "0"], ["--verify"]:
            done = subprocess.run([DAEMON, "--listen", "127.0.0.1:0", "--dictionary", "m=" + bad, *more],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("is damaged", done.stderr)

    def test_inspect_tells_verified_from_unverified(self):
        self.assertEqual(self.good_json("inspect", self.model, "--json")["integrity"], "verified")
        self.assertEqual(self.good_json("inspect", self.run, "--json", "--verify")["integrity"], "verified")
        other = golden("topk-mse.final.safetensors")
        self.assertEqual(self.good_json("inspect", other, "--json")["integrity"], "unverified")
        self.assertRegex(self.good("inspect", other), "checkpoint, [^,]*, unverified")


if __name__ == "__main__":
    support.main()
