"""Every script of proto/examples runs against a live daemon (server/api/api.c) and prints what its comments show: the
output contains each member, header and metric that they name."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from daemon import PATIENCE, PROGRAM, TOP, Daemon, golden

KEY = "an-admin-key-of-the-tests"
SHOWN = re.compile(r'"(\w+)":|^# (X-[\w-]+):|^# (\w+)\{|^# ([A-Z]+)$', re.MULTILINE)


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Its archetypes, labels and encoder are those of a real file; the names in the comments are.
        folder, rasae = tempfile.mkdtemp(prefix="rasaed-examples-"), os.path.join(os.path.dirname(PROGRAM), "rasae")
        cls.addClassCleanup(shutil.rmtree, folder)
        fused, words, labels, pictures = (os.path.join(folder, name) for name in ("fused", "words", "labels", "pictures"))
        with open(labels, "w", encoding="utf-8") as file:
            file.write("dog.png\n" * 1280)
        os.mkdir(pictures)
        with open(os.path.join(pictures, "dog.png"), "wb") as file:
            file.write(b"\x89PNG\r\n")
        for command in (["fuse", golden("topk-mse.final.safetensors"), "-o", fused],
                        ["eval", fused, golden("topk-mse.x.npy"), "--save", words, "--labels", labels, "--basic", "--items", "3", "--item-shape", "4x4"],
                        ["contrast", words, golden("topk-mse.x.npy"), "--", golden("topk-mse.x.npy"), "--name", "heat", "-o", words]):
            subprocess.run([rasae, *command], check=True, capture_output=True, timeout=PATIENCE)
        cls.daemon = Daemon("--dictionary", "words=" + words, "--media", "words=" + pictures)
        keys = os.path.join(cls.daemon.folder, "keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write("admin %s\n" % KEY)
        os.chmod(keys, 0o600)
        cls.guarded = Daemon("--dictionary", "words=" + golden("topk-mse.final.safetensors"), "--keys", keys,
                             "--state", os.path.join(cls.daemon.folder, "state"))

    @classmethod
    def tearDownClass(cls):
        cls.guarded.__exit__(None, None, None)
        cls.daemon.__exit__(None, None, None)

    def run_example(self, path):
        admin = os.path.basename(path) in ("administer.sh", "labels.sh")
        server = self.guarded if admin else self.daemon
        arguments = ["http://%s:%d" % server.address, "words"] + ([KEY] if admin else [])
        ran = subprocess.run(["sh", path, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=PATIENCE)
        output = ran.stdout.decode("utf-8", "replace")
        self.assertEqual(ran.returncode, 0, ran.stderr.decode() + output[-2000:])
        return output

    def test_all_of_them(self):
        paths = sorted(glob.glob(os.path.join(TOP, "proto", "examples", "*.sh")))
        self.assertGreater(len(paths), 7)
        for path in paths:
            with self.subTest(os.path.basename(path)):
                output = self.run_example(path)
                with open(path, encoding="utf-8") as file:
                    comments = "".join(line for line in file if line.startswith("#"))
                for found in SHOWN.finditer(comments):
                    name = next(filter(None, found.groups()))
                    self.assertIn(name, output, "the comments of %s show it" % os.path.basename(path))
                if os.path.basename(path) == "atoms.sh":
                    self.assertIn('"picture": "image/png"', output)
                    self.assertIn('"difference":', output)


if __name__ == "__main__":
    unittest.main()
