"""Files that hold a large number where a small one is expected, in their metadata or in a tensor of integers: no size is taken
from it, so memory stays small, and the answer is soon there (lib/model/open, lib/sae/checkpoint.c, lib/io/zip.c)."""

import os
import resource
import struct
import subprocess
import unittest
import zlib

import support
from support import Case, read_safetensors, safetensors_bytes, small_data

PATIENCE = 60
LIMIT = 2 << 30
LARGE = ["2147483647", "9223372036854775807", "1e300"]


@unittest.skipIf("sanitize" in support.BUILD, "sanitizers need all addresses")
class LargeNumbers(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=120))
        self.rows = 0

    def limited(self, *arguments, what=""):
        done = subprocess.run([support.RASAE, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)))
        self.assertIn(done.returncode, (0, 1), (what, arguments, done))
        self.assertNotIn("memory", done.stderr, (what, arguments))
        return done

    def variants(self, name):
        """(what is large, path) for each number of a file."""
        tensors, metadata = read_safetensors(self.path(name))
        path = self.path("large.safetensors")
        for key, value in metadata.items():
            if value.replace(".", "").replace("e-", "").isdigit():
                for large in LARGE:
                    self.write("large.safetensors", safetensors_bytes(tensors, {**metadata, key: large}))
                    yield "%s = %s" % (key, large), path
        for key, tensor in tensors.items():
            if tensor.dtype in ("I32", "I64") and tensor.values:
                for at in (0, len(tensor.values) - 1):
                    kept = tensor.values[at]
                    tensor.values[at] = 2147483646 if tensor.dtype == "I32" else 2**62
                    for left_out in ("", "points"):
                        kept_metadata = {k: v for k, v in metadata.items() if k != left_out}
                        self.write("large.safetensors", safetensors_bytes(tensors, kept_metadata))
                        yield "%s[%d]" % (key, at), path
                    tensor.values[at] = kept

    def all_commands(self, name, *more):
        out = self.path("written.safetensors")
        for what, path in self.variants(name):
            for command in (("inspect", path), ("eval", path, self.x), ("encode", path, self.x, "-o", out), *more):
                arguments = [path if word is None else word for word in command]
                self.limited(*arguments, what=what)

    def test_artifacts(self):
        with open(self.path("labels"), "w", encoding="ascii") as file:
            file.writelines("row %d\n" % i for i in range(120))
        for sae in ("topk", "mp"):
            fused = self.path("fused.safetensors")
            self.good("train", self.x, "-o", self.path("c.safetensors"), "--concepts", "16", "--points", "20", "--steps",
                      "4", "--quiet", "--sae", sae, "--top-k", "3", "--force", "--labels", self.path("labels"))
            self.good("fuse", self.path("c.safetensors"), "-o", fused)
            self.good("eval", fused, self.x, "--save", fused)
            self.good("layout", fused, "-o", fused)
            self.good("trace", fused, self.x, "-o", fused)
            self.good("compare", fused, self.path("c.safetensors"), "-o", self.path("all.safetensors"))
            self.all_commands("all.safetensors")

    def test_checkpoints(self):
        out = self.path("next.safetensors")
        flags = ("--steps", "8", "--quiet", "--force")
        for mixture in ("3", "dense"):
            self.good("train", self.x, "-o", self.path("c.safetensors"), "--concepts", "16", "--points", "20", "--quiet",
                      "--mixture", mixture, "--steps", "4", "--batch-size", "16", "--top-k", "3", "--force")
            self.all_commands("c.safetensors", ("fuse", None, "-o", out),
                              ("train", self.x, "-o", out, "--init", None, *flags),
                              ("train", self.x, "-o", out, "--resume", None, *flags))

    def test_codes(self):
        self.good("train", self.x, "-o", self.path("c.safetensors"), "--concepts", "16", "--points", "20", "--steps", "4",
                  "--quiet", "--top-k", "3")
        self.good("encode", self.path("c.safetensors"), self.x, "-o", self.path("codes.safetensors"))
        for what, path in self.variants("codes.safetensors"):
            self.limited("reconstruct", self.path("c.safetensors"), path, "-o", self.path("x_hat.npy"), what=what)

    def test_arrays_without_numbers(self):
        for shape in ("0, 4611686018427387904", "1152921504606846976, 0", "0, 0, 9223372036854775807"):
            header = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }" % shape).encode()
            header += b" " * (117 - len(header)) + b"\n"
            self.write("empty.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
            self.limited("inspect", self.path("empty.npy"), what=shape)
            self.limited("train", self.path("empty.npy"), "-o", self.path("o.safetensors"), "--quiet", what=shape)

    def test_an_archive_that_promises_more_than_it_packs(self):
        packed = zlib.compressobj(wbits=-15)
        data = packed.compress(b"\x93NUMPY") + packed.flush()
        for size in (1 << 30, (1 << 32) - 2):
            local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(data), size, 5, 0) + b"a.npy"
            entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, 0, len(data), size, 5, 0, 0, 0, 0, 0,
                                0) + b"a.npy"
            end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local) + len(data), 0)
            self.write("bomb.npz", local + data + entry + end)
            done = self.limited("train", self.path("bomb.npz"), "-o", self.path("o.safetensors"), "--quiet", what=size)
            self.assertEqual(done.returncode, 1)
            self.assertIn("is a damaged zip archive", done.stderr)


if __name__ == "__main__":
    support.main()
