"""Files that somebody writes in place while a command reads them (lib/io/mapping.c, trainer/common/command.c): it ends with
one sentence and status 1, and nothing is written from what it read."""

import array
import math
import os
import struct
import subprocess
import time

import support
from support import Case, small_data

PATIENCE, STEADY, BLOCKS = 60, 0.1, 4000


class ChangedFiles(Case):
    def setUp(self):
        super().setUp()
        self.x = self.path("x.npy")
        self.write_data()
        self.out = self.path("out.safetensors")

    def write_data(self):
        support.write_npy(self.x, small_data(rows=3000))

    def write_large_data(self):
        """Enough for a second."""
        block = array.array("f", [math.sin(i) for i in range(120 * 12)])
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 12), }" % (120 * BLOCKS)
        header += b" " * (117 - len(header)) + b"\n"
        with open(self.x, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + block.tobytes() * BLOCKS)

    def wait_until_it_is_read(self, process):
        """A command maps it for a moment first, to see what it is, and then for as long as it works on it."""
        begun = time.monotonic()
        since = None
        while process.poll() is None and time.monotonic() - begun < PATIENCE:
            with open("/proc/%d/maps" % process.pid, encoding="utf-8") as file:
                mapped = [line.split()[0] for line in file if self.x in line]
            if not since or since[0] != mapped:
                since = mapped, time.monotonic()
            if mapped and time.monotonic() - since[1] > STEADY:
                return

    def shorten(self):
        os.truncate(self.x, 4096)

    def overwrite(self):
        with open(self.x, "r+b") as file:
            file.seek(5000)
            file.write(b"\0" * 64)

    def start(self, *arguments):
        return subprocess.Popen([support.RASAE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def ends_with_one_sentence(self, process):
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1, err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertRegex(err, r"^rasae: \S*x\.npy was (written|shortened, or could no longer be read,) while it was in use")
        return out

    def test_training_ends_and_keeps_its_checkpoint(self):
        for i, change in enumerate((self.shorten, self.overwrite)):
            self.write_data()
            out = self.path("out%d.safetensors" % i)
            process = self.start("train", self.x, "-o", out, "--concepts", "16", "--points", "20", "--steps", "100000000",
                                 "--checkpoint-steps", "50", "--quiet")
            end = time.monotonic() + PATIENCE
            while not os.path.exists(out) and time.monotonic() < end:
                time.sleep(0.01)
            change()
            self.ends_with_one_sentence(process)
            self.good("inspect", out)
            self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".")], [])

    def test_every_command_that_reads_data_ends(self):
        model = self.path("model.safetensors")
        self.good("train", self.x, "-o", model, "--concepts", "600", "--points", "20", "--steps", "5", "--quiet")
        for change in (self.shorten, self.overwrite):
            for command in (("eval", model, self.x), ("encode", model, self.x, "-o", self.out),
                            ("trace", model, self.x, "-o", self.out)):
                self.write_large_data()
                process = self.start(*command)
                self.wait_until_it_is_read(process)
                change()
                self.assertEqual(self.ends_with_one_sentence(process), "")
                self.assertEqual(sorted(os.listdir(self.folder)), ["model.safetensors", "x.npy"])


if __name__ == "__main__":
    support.main()
