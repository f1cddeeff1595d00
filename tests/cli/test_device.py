"""--device (trainer/common/command.c): the sentence when there is no device to compute on, and that `auto` falls back
to the CPU.

A program looks for a plugin beside itself, so each case has a folder with a copy of the program: alone, with the
CUDA plugin over an emulated device (tests/emulation), and with the real plugin where it has been built."""

import os
import re
import shutil
import subprocess
import unittest

import support
from support import Case, golden

EMULATED = os.path.join(support.BUILD, "tests", "librasae-cuda-emulated.so")
REAL = os.path.join(support.BUILD, "librasae-cuda.so")
WORDS = ["encode", golden("topk-mse.final.safetensors"), golden("topk-mse.x.npy")]


class Device(Case):
    def program_with(self, plugin):
        folder = self.path("bin")
        os.mkdir(folder)
        program = shutil.copy2(support.RASAE, folder)
        if plugin:
            os.symlink(plugin, os.path.join(folder, "librasae-cuda.so"))
        original, support.RASAE = support.RASAE, program
        self.addCleanup(setattr, support, "RASAE", original)

    def encode(self, device):
        target = self.path(device + ".npy")
        self.good(*WORDS, "--device", device, "--output", target)
        return self.read(target)

    def check_auto_is_the_cpu(self):
        self.assertEqual(self.encode("auto"), self.encode("cpu"))

    def test_without_the_plugin(self):
        self.program_with(None)
        self.bad(1, "the device cuda needs the plugin librasae-cuda.so, which is not installed",
                 *WORDS, "--device", "cuda", "--output", self.path("x.npy"))
        self.check_auto_is_the_cpu()

    def codes(self, device):
        target = self.path(device + ".safetensors")
        self.good(*WORDS, "--device", device, "--output", target)
        return support.read_safetensors(target)[0]

    def test_with_an_emulated_device(self):
        self.program_with(EMULATED)
        self.bad(1, "there is no device cuda:4: this machine has 1 GPU, numbered from 0",
                 *WORDS, "--device", "cuda:4", "--output", self.path("x.npy"))
        on_cpu = self.codes("cpu")
        for device in ["cuda", "auto"]:
            got = self.codes(device)
            self.assertEqual([got[part].values for part in ["codes.start", "codes.index"]],
                             [on_cpu[part].values for part in ["codes.start", "codes.index"]])
            for value, expected in zip(got["codes.value"].values, on_cpu["codes.value"].values, strict=True):
                self.assertAlmostEqual(value, expected, places=5)

    def test_measures_on_a_device(self):
        self.program_with(EMULATED)
        both = [self.good_json("eval", WORDS[1], WORDS[2], "--json", "--device", device) for device in ["cpu", "cuda"]]
        self.assertAlmostEqual(both[0]["r2"], both[1]["r2"], places=5)
        self.assertEqual(self.good("compare", WORDS[1], WORDS[1], "--json", "--device", "cuda"),
                         self.good("compare", WORDS[1], WORDS[1], "--json", "--device", "cpu"))

    @unittest.skipUnless(os.path.exists(REAL), "built without nvcc")
    def test_with_the_plugin(self):
        self.program_with(REAL)
        sentence = self.bad(1, "cuda", *WORDS, "--device", "cuda", "--output", self.path("x.npy"))
        self.assertRegex(sentence, "no NVIDIA driver|no GPU that it can use|the NVIDIA driver supports")
        self.check_auto_is_the_cpu()

    @unittest.skipUnless(os.path.exists(REAL) and shutil.which("readelf"), "built without nvcc")
    def test_what_the_plugin_needs(self):
        """Nothing but the C library: it brings its CUDA runtime and needs none of C++. It looks for cuBLAS beside itself and in
        the toolkit of the machine that it is on, not of the one that built it."""
        listed = subprocess.run(["readelf", "-d", REAL], check=True, capture_output=True, text=True).stdout
        self.assertLessEqual(set(re.findall(r"Shared library: \[([a-z-]*)", listed)), {"libc", "ld-linux-x", "libm", "libdl", "libpthread", "librt"})
        self.assertEqual(re.findall(r"(?:RUNPATH|RPATH).*\[(.*)\]", listed), ["$ORIGIN:/usr/local/cuda/lib64"])


if __name__ == "__main__":
    support.main()
