"""Data larger than memory (trainer/training/window.c, trainer/common/spill.c): bytes that are read per pass, the setting `window` in checkpoints, and
whole commands in a control group with a third of the memory that the data would need."""

import os
import random
import struct
import subprocess

import support
from support import Case, RASAE

D = 64


def write_rows(path, rows, seed, tokens=0, d=D):
    """f16 [rows, d] or [rows / tokens, tokens, d]: normal numbers of random bits, in files of many megabytes."""
    block = bytearray(random.Random(seed).randbytes(min(rows, 4096) * d * 2))
    for i in range(1, len(block), 2):
        block[i] = block[i] & 0x87 | 0x30 + 8 * (i % 2)  # exponents of 0.1 to 1
    shape = (rows // tokens, tokens, d) if tokens else (rows, d)
    header = "{'descr': '<f2', 'fortran_order': False, 'shape': %s, }" % (shape,)
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        left = rows * d * 2
        while left > 0:
            left -= file.write(block[:left])
        file.flush()
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def counters(pid):
    """What a process that has ended, and is not reaped, has read: {"rchar": ..., "read_bytes": ...}"""
    with open("/proc/%d/io" % pid) as file:
        return {line.split(":")[0]: int(line.split(":")[1]) for line in file}


class Group:
    """A control group of memory below that of this process; `None` from make() where there may be none."""

    @staticmethod
    def make(limit):
        try:
            with open("/proc/self/cgroup") as file:
                lines = [line.strip().split(":", 2) for line in file]
            first = [path for _, controllers, path in lines if "memory" in controllers.split(",")]
            second = [path for number, controllers, path in lines if number == "0" and not controllers]
            if first:
                above, name = "/sys/fs/cgroup/memory" + first[0], "memory.limit_in_bytes"
            else:
                above, name = "/sys/fs/cgroup" + second[0], "memory.max"
            group = Group()
            group.folder = os.path.join(above, "rasae-test-%d" % os.getpid())
            os.mkdir(group.folder)
            try:
                with open(os.path.join(group.folder, name), "w") as file:
                    file.write(str(limit))
            except OSError:
                os.rmdir(group.folder)
                return None
            return group
        except (OSError, IndexError):
            return None

    def enter(self):
        with open(os.path.join(self.folder, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))

    def remove(self):
        os.rmdir(self.folder)


class Measured(Case):
    def measured(self, *arguments, group=None):
        """(counters, stdout) of a command that must succeed."""
        process = subprocess.Popen(
            [RASAE, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=group.enter if group else None,
        )
        with process.stdout:
            said = process.stdout.read().decode()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        read = counters(process.pid)
        self.assertEqual(process.wait(), 0, said)
        return read, said


class Window(Measured):
    FLAGS = ["--points", "sample:32", "--batch-size", "1024", "--trace-rows", "0", "--quiet"]

    def files(self):
        return [
            write_rows(self.path("a.npy"), 40000, 1),
            write_rows(self.path("b.npy"), 40000, 2, tokens=50),
            write_rows(self.path("c.npy"), 20000, 3),
        ]

    def train(self, files, *flags, out="out.safetensors"):
        return self.measured("train", *files, "-o", self.path(out), "--force", *self.FLAGS, *flags)

    def test_a_pass_reads_the_files_once(self):
        """Windows are read with read(), which counts; the rest of the command reads its mapping, which does not."""
        files = self.files()
        size = sum(map(os.path.getsize, files))
        before = self.train(files, "--window", 16384, "--epochs", 1)[0]["rchar"]
        after = self.train(files, "--window", 16384, "--epochs", 4)[0]["rchar"]
        self.assertGreater((after - before) / 3, 0.98 * size)
        self.assertLess((after - before) / 3, 1.1 * size)
        self.assertLess(before, 1.1 * size + 1e6)

    def test_the_window_is_a_setting_of_the_checkpoint(self):
        files = self.files()
        path = self.path("out.safetensors")
        self.train(files, "--window", 16384, "--steps", 150)
        self.assertEqual(support.read_safetensors(path)[1]["window"], "16384")
        whole = self.read("out.safetensors")
        self.train(files, "--window", 16384, "--steps", 70, out="part.safetensors")  # within a window
        resumed = self.path("part.safetensors")
        self.measured("train", *files, "-o", resumed, "--resume", resumed, *self.FLAGS, "--steps", 150)
        self.assertEqual(self.read("part.safetensors"), whole)
        self.bad(
            1, ["--window says 8192", "16384"], "train", *files, "-o", path, "--resume", path, "--window", 8192
        )
        another = self.path("another.safetensors")
        self.measured("train", *files, "-o", another, "--init", path, "--steps", 5, "--quiet")
        self.assertNotIn("window", support.read_safetensors(another)[1])  # these data fit, and it is another run

    def test_data_that_fit_have_no_window(self):
        files = self.files()
        _, said = self.measured("train", *files, "-o", self.path("out.safetensors"), *self.FLAGS[:-1], "--steps", 5)
        self.assertNotIn("window", said)
        self.assertNotIn("window", support.read_safetensors(self.path("out.safetensors"))[1])


class Limited(Measured):
    """102 MB of data, not in the page cache, in a group with half as much memory: what the disk reads."""

    ROWS, LIMIT = 800000, 50 << 20

    def setUp(self):
        super().setUp()
        if "sanitize" in support.BUILD:
            self.skipTest("a sanitizer takes more memory than there is in this test")
        self.group = Group.make(self.LIMIT)
        if not self.group:
            self.skipTest("no control group of memory can be made here")
        self.addCleanup(self.group.remove)
        self.file = write_rows(self.path("large.npy"), self.ROWS, 5)

    def passes(self, most, *arguments):
        """Runs a command that is to read the file at most so many times; returns what it said."""
        read, said = self.measured(*arguments, "--threads", 2, group=self.group)
        self.assertLess(read["read_bytes"] / os.path.getsize(self.file), 1.1 * most, arguments[0])
        with open(self.file) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return said

    def full_disk(self, model, codes):
        """A disk that is full while codes are gathered: one sentence, and nothing is left."""
        full = support.disk_of(2 << 20)

        def start():
            self.group.enter()
            full()

        result = self.run_rasae("encode", model, self.file, "-o", codes, preexec_fn=start)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot reserve", result.stderr.decode())
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".") or "codes" in name], [])

    def test_every_pass_reads_the_file_once(self):
        """All commands read the file once before they begin, to find numbers that are not finite."""
        flags = ["--batch-size", 1024, "--trace-rows", 0, "--force"]
        model, out = self.path("model.safetensors"), self.path("out.safetensors")
        nearest = 2  # passes: the mean of the rows, and the search
        said = self.passes(
            1 + nearest + 1, "train", self.file, "-o", model, "--points", "sample:32", "--epochs", 1, *flags
        )
        self.assertIn("more than half of the memory", said)
        window = int(support.read_safetensors(model)[1]["window"])
        self.assertGreater(window, 16384)
        self.assertLess(2 * window * 2 * D, self.LIMIT / 2)
        self.passes(  # and the sample, whose pages are most of the file
            1 + 1 + nearest, "train", self.file, "-o", out, "--points", 64, "--points-rows", 10000, "--steps", 1, *flags
        )
        self.passes(1 + 1, "eval", model, self.file)
        codes = self.path("codes.safetensors")
        self.passes(1 + 1 + 0.25, "encode", model, self.file, "-o", codes)  # the codes come from the disk, too
        limited = self.read("codes.safetensors")
        self.measured("encode", model, self.file, "-o", codes)
        self.assertEqual(self.read("codes.safetensors"), limited)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".")], [])
        os.remove(codes)
        self.full_disk(model, codes)
        self.passes(1 + 2, "trace", model, self.file, "--rows", 2, "-o", out)


if __name__ == "__main__":
    support.main()
