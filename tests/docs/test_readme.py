"""Every command of the README, run as written in a fresh copy of the tree: `make`, `make demo` with the curl lines it prints,
the path from activations to a served dictionary. `make check` is left out: it is what runs this.

Commands that stay in the foreground (the demo, the daemon) are waited for, asked, and stopped with SIGINT, as Ctrl-C does.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECONDS = 240  # for any one command


def commands():
    """The lines of the README's sh blocks, in order."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.S | re.M)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def environment():
    """Without what an outer make hands down, and without the CUDA plugin, which takes minutes and is built by the outer
    one; servers take a free port unless a command names one."""
    kept = {name: value for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "BUILD", "SANITIZE", "DEVELOPER")}
    return {**kept, "NVCC": "", "PORT": "0", "RASAED_LISTEN": "127.0.0.1:0", "MAKEFLAGS": "-j2"}


def copy_of_the_tree(folder):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TOP, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = os.path.join(TOP, name), os.path.join(folder, name)
        if os.path.exists(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)


class Foreground:
    """A command that serves until it is interrupted."""

    def __init__(self, command, folder, ready):
        self.process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=environment(), text=True,
                                        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.output, end = "", time.monotonic() + SECONDS
        while ready not in self.output:
            line = self.process.stdout.readline()
            self.output += line
            if not line or time.monotonic() > end:
                self.stop()
                raise AssertionError("%r did not say %r:\n%s" % (command, ready, self.output))

    def stop(self):
        """Ctrl-C: the signal goes to everything the command started. Returns its exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
        return self.process.returncode


class Readme(unittest.TestCase):
    def demo(self, command, folder):
        demo = Foreground(command, folder, "Ctrl-C stops it")
        try:
            curls = re.findall(r"^curl .*$", demo.output, re.M)
            self.assertEqual(len(curls), 3, demo.output)
            atom, neighbors, reconstruction = (
                json.loads(subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout)
                for curl in curls)
            self.assertGreater(len(atom["archetypes"]), 0)
            self.assertTrue(all(point["label"] for point in atom["archetypes"]), atom)
            self.assertAlmostEqual(sum(point["weight"] for point in atom["archetypes"]), 1, delta=0.2)
            self.assertEqual(len(neighbors["neighbors"]), 5)
            self.assertEqual(len(reconstruction["reconstructions"][0]), 384)
        finally:
            status = demo.stop()
        # make itself ends by the signal once its commands have ended
        self.assertIn(status, (0, -signal.SIGINT, 128 + signal.SIGINT), demo.output)
        address = re.search(r"serves at (http://[^ ]+)\.", demo.output).group(1)
        with self.assertRaises(OSError, msg="the daemon is still there"):
            urllib.request.urlopen(address + "/health/live", timeout=5)

    def daemon(self, command, folder):
        daemon = Foreground(command, folder, "serving http://")
        try:
            address = re.search(r"http://\S+", daemon.output).group()
            with urllib.request.urlopen(address + "/v1/dictionaries", timeout=10) as reply:
                self.assertEqual(len(json.load(reply)["dictionaries"]), 1)
        finally:
            status = daemon.stop()
        self.assertEqual(status, 0, "the daemon after Ctrl-C")

    @unittest.skipIf("sanitize" in os.environ.get("RASAE_BUILD", ""), "builds its own, without sanitizers")
    def test_every_command_works_as_written(self):
        seen = commands()
        self.assertIn("make demo", seen)
        with tempfile.TemporaryDirectory(prefix="rasae-readme-") as folder:
            copy_of_the_tree(folder)
            for command in seen:
                if command == "make check":
                    continue
                if command == "make demo":
                    self.demo(command, folder)
                elif command.startswith("build/rasaed "):
                    self.daemon(command, folder)
                else:
                    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment(), capture_output=True,
                                          text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
                    self.assertEqual(done.returncode, 0, "%s\n%s%s" % (command, done.stdout, done.stderr))


if __name__ == "__main__":
    unittest.main()
