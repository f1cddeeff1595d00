"""--device: rasaed ends with one sentence when the device that it is told to use is not there; `auto` serves on the CPU
and logs why."""

import os
import shutil
import tempfile
import unittest

import daemon
from daemon import Daemon, golden

EMULATED = os.path.join(os.path.dirname(daemon.PROGRAM), "tests", "librasae-cuda-emulated.so")
GIVEN = ["--dictionary", "given=" + golden("dict-basic.checkpoint.safetensors")]


class Device(unittest.TestCase):
    def program_with(self, plugin):
        folder = tempfile.mkdtemp(prefix="rasaed-device-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        program = shutil.copy2(daemon.PROGRAM, folder)
        if plugin:
            os.symlink(plugin, os.path.join(folder, "librasae-cuda.so"))
        original, daemon.PROGRAM = daemon.PROGRAM, program
        self.addCleanup(setattr, daemon, "PROGRAM", original)

    def check(self, refusal, reason):
        ended = daemon.run("--listen", "127.0.0.1:0", *GIVEN, "--device", "cuda")
        self.assertNotEqual(ended.returncode, 0)
        self.assertRegex(ended.stderr.splitlines()[-1], "^rasaed: .*" + refusal)
        with Daemon(*GIVEN, "--device", "auto") as served:
            reply = served.get("/v1/dictionaries/given")
            self.assertEqual((reply.status, reply.json["device"]), (200, "cpu"))
            self.assertEqual([line.count(reason) for line in served.log().splitlines() if "using the CPU" in line], [1])

    def test_without_the_plugin(self):
        missing = "the device cuda needs the plugin librasae-cuda.so, which is not installed"
        self.program_with(None)
        self.check(missing, "using the CPU: " + missing)

    def test_with_a_device_whose_memory_is_its_own(self):
        self.program_with(EMULATED)
        self.check("the device cuda has memory of its own",
                   "using the CPU: the device cuda works, but models are served and trained in ordinary memory")


if __name__ == "__main__":
    unittest.main()
