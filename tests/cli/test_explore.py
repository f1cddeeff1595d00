"""`rasae serve` and `rasae explore` (trainer/serve.c, trainer/explore.c, trainer/common/serving.c): the daemon with one's own
files, at an address that is printed."""

import json
import os
import re
import signal
import subprocess
import unittest
import urllib.request

import support
from support import Case, data

DIGITS, LABELS = data("digits.npy"), data("digits.txt")
FREE = ["--listen", "127.0.0.1:0"]


class Serving:
    """A command that serves; its address, and what it wrote to stderr before."""

    def __init__(self, *arguments, **more):
        self.process = subprocess.Popen([support.RASAE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"rasaed: serving (http://\S+)\n", line)
        assert found, line + self.process.stderr.read()
        self.address = found[1]

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.process.kill()
        self.process.communicate()

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=30) as reply:
            return json.load(reply)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=30)[1]
        return self.process.returncode, said


class Explore(Case):
    def setUp(self):
        super().setUp()
        self.good("train", DIGITS, "--labels", LABELS, "-o", self.path("digits.checkpoint.safetensors"), "--concepts", "24",
                  "--top-k", "4", "--steps", "20", "--quiet")

    def test_a_checkpoint_and_its_data_are_shown(self):
        with Serving("explore", self.path("digits.checkpoint.safetensors"), DIGITS, "--labels", LABELS, "--item-shape", "3x1", "--shape", "8x8", *FREE,
                     "--media-url", "/{label}.png") as served:
            told = served.get("/v1/dictionaries/digits")
            self.assertEqual(served.get("/v1/dictionaries/digits/rows?limit=1")["total"], told["row_count"])
            self.assertTrue(told["has_statistics"] and told["has_layout"])
            self.assertEqual(told["shape"], [8, 8])
            self.assertEqual((told["item_count"], told["item_shape"]["rows"], told["media_url"]), (4, 3, "/{label}.png"))
            self.assertEqual(len(served.get("/v1/dictionaries/digits/atoms/1/items?k=9")["items"]), 4)
            self.assertTrue(served.get("/v1/dictionaries/digits/atoms/1/cofiring")["partners"])
            code, said = served.stop()
        self.assertEqual(code, 0, said)
        kept = self.path("digits.explore.safetensors")
        self.assertIn("kept in %s; `rasae serve %s`" % (kept, kept), said)
        self.assertEqual(re.findall(r"^rasae (\w+)$", said, re.M), ["fuse", "eval", "layout"])
        self.assertEqual(sorted(os.listdir(self.folder)), ["digits.checkpoint.safetensors", "digits.explore.safetensors"])
        with Serving("serve", kept, self.path("digits.checkpoint.safetensors"), *FREE) as served:
            self.assertEqual([one["name"] for one in served.get("/v1/dictionaries")["dictionaries"]], ["digits", "digits-2"])
            self.assertEqual(served.stop()[0], 0)
        with Serving("serve", kept, *FREE, "--item-shape", "1+1x2", "--data", DIGITS) as served:
            self.assertGreater(served.get("/v1/dictionaries/digits")["row_count"], 0)
            self.assertEqual(served.get("/v1/dictionaries/digits")["item_shape"], {"rows": 3, "skip": 1, "height": 1, "width": 2})

    def test_what_fails_is_said_once(self):
        done = self.run_rasae("explore", self.path("digits.checkpoint.safetensors"), LABELS, "-o", self.path("o"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.decode(), r"rasae: .*digits.txt is a table of numbers .*\nrasae: rasae eval failed, as it says above\n$")
        self.bad(1, ["would replace"], "explore", self.path("digits.checkpoint.safetensors"), DIGITS, "-o", DIGITS)
        self.bad(1, ["no such file"], "serve", self.path("nothing"))
        self.bad(2, ["at least one FILE"], "serve")

    def test_a_signal_ends_it_in_the_middle(self):
        process = subprocess.Popen([support.RASAE, "explore", self.path("digits.checkpoint.safetensors"), *[DIGITS] * 200, *FREE],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while process.stderr.readline() != "rasae eval\n":
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (143, ""), said)
        self.assertEqual(sorted(os.listdir(self.folder)), ["digits.checkpoint.safetensors", "digits.explore.safetensors"])

    def test_without_a_daemon(self):
        self.good("explore", self.path("digits.checkpoint.safetensors"), DIGITS, "--no-serve", "-o", self.path("made"))
        self.assertIn("atoms.layout", support.read_safetensors(self.path("made"))[0])


if __name__ == "__main__":
    unittest.main()
