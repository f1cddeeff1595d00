"""The README keeps its promises: every command runs as written, in order, in a fresh copy of the tree, and the output
that it shows is compared with the real output.

    ```sh       commands, one per line. A server runs until the next server or the end; 127.0.0.1:8080 in later
                commands becomes the port that it got. `make check` is left out, because it runs this test
    ```json     the output of the command before: for `make demo`, that of the first curl command that it prints.
    ```text     … stands for anything, after a digit for further digits; white space does not count
    ```python   the input of the Python that the command before starts. The recipe for PyTorch runs alone, with a
                stand-in for torch

Other tests compare the picture with the demo's answer, and the flags in the text with --help.
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
PROGRAMS = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"))
SECONDS = 240  # for any one command


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


def blocks(text):
    """(language, text) of each fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.S | re.M)


def environment():
    """Without the variables of an outer make, and without the CUDA plugin, which takes minutes and which the outer make builds.
    Servers take a free port unless a command names one."""
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


def as_pattern(shown):
    """A regular expression for what a block shows of an output."""
    pattern = ""
    for token in re.finditer(r"\s+|…|[^\s…]+", shown.strip()):
        text = token.group()
        if text == "…":
            pattern += r"\d*" if pattern[-1:].isdigit() else r"[\s\S]*?"
        else:
            pattern += r"\s*" if text.isspace() else re.escape(text)
    return pattern


def shell(command, folder, seconds=SECONDS, text=None):
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment(), input=text or "", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=seconds, check=False)


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
        self.address = re.search(r"http://([^\s]+?)[.]?\s", self.output).group(1)

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


class Reader:
    """Does what the blocks say, one after the other."""

    def __init__(self, test, folder):
        self.test, self.folder, self.server, self.output, self.python = test, folder, None, None, None

    def sh(self, text):
        for command in text.splitlines():
            if not command.strip() or command == "make check":
                continue
            self.python = None
            if command == "make demo":
                self.output = self.demo(command)
            elif command.startswith("build/rasaed "):
                self.stop()
                self.server = Foreground(command, self.folder, "serving http://")
            elif re.fullmatch(r"\S+/python", command):
                self.python = command
            else:
                self.output = self.run(command)

    def python_(self, text):
        self.output = self.run(self.python, text)

    def shows(self, text):
        if not re.fullmatch(as_pattern(text), self.output.strip()):
            self.test.fail("the README shows\n%s\nand the output is\n%s" % (text, self.output[:4000]))

    def run(self, command, text=None):
        if self.server:
            command, text = (each and each.replace("127.0.0.1:8080", self.server.address) for each in (command, text))
        done = shell(command, self.folder, text=text)
        self.test.assertEqual(done.returncode, 0, "%s\n%s%s" % (command, done.stdout, done.stderr))
        return done.stdout

    def demo(self, command):
        """All of its curl lines; the output of the first."""
        demo = Foreground(command, self.folder, "Ctrl-C stops it")
        try:
            curls = re.findall(r"^curl .*$", demo.output, re.M)
            self.test.assertEqual(len(curls), 3, demo.output)
            replies = [shell(curl, self.folder).stdout for curl in curls]
            _, together, found = map(json.loads, replies)
            self.test.assertEqual(len(together["partners"]), 5)
            self.test.assertTrue(all(one["lift"] > 1 and one["label"] for one in together["partners"]))
            self.test.assertIn(len(found["atoms"]), (1, 2, 3))  # how many there are depends on rounding
            for one in found["atoms"]:  # in its label, its points, or the rows on which it is strongest
                address = "http://%s/v1/dictionaries/words/atoms/%d?fields=all" % (demo.address, one["atom"])
                with urllib.request.urlopen(address, timeout=5) as reply:
                    self.test.assertIn("music", reply.read().decode())
            opened = re.search(r"in a browser: (http://\S+/)$", demo.output, re.M)[1]
            with urllib.request.urlopen(opened, timeout=5) as page:
                self.test.assertIn("text/html", page.headers["Content-Type"])
        finally:
            status = demo.stop()
        # make itself ends by the signal once its commands have ended.
        self.test.assertIn(status, (0, -signal.SIGINT, 128 + signal.SIGINT), demo.output)
        with self.test.assertRaises(OSError, msg="the daemon is still there"):
            urllib.request.urlopen("http://%s/health/live" % demo.address, timeout=5)
        return replies[0]

    def stop(self):
        if self.server:
            server, self.server = self.server, None
            self.test.assertEqual(server.stop(), 0, "the daemon after Ctrl-C")


class Readme(unittest.TestCase):
    @unittest.skipIf("sanitize" in os.environ.get("RASAE_BUILD", ""), "builds its own, without sanitizers")
    def test_every_command_works_and_says_what_is_shown(self):
        seen = blocks(read("README.md"))
        self.assertIn(("sh", "make demo\n"), seen)
        with tempfile.TemporaryDirectory(prefix="rasae-readme-") as folder:
            copy_of_the_tree(folder)
            reader = Reader(self, folder)
            try:
                for language, text in seen:
                    if language == "sh":
                        reader.sh(text)
                    elif language == "python" and "torch" not in text:
                        reader.python_(text)
                    elif language in ("json", "text"):
                        reader.shows(text)
                reader.stop()
            finally:
                if reader.server:
                    reader.server.stop()

    def test_what_counts_as_shown(self):
        for shown, output, same in (("a b", "a   b\n", True), ("a b", "a c", False), ("0.30…", "0.3051", True),
                                    ("0.30…", "0.31", False), ("[0.30…,2]", "[0.305,2]", True),
                                    ("[0.30…,2]", "[0.305,1,2]", False), ("a … z", "a\nb\nz", True), ("a …", "b", False),
                                    ("(x)", "x", False)):
            with self.subTest(shown=shown, output=output):
                self.assertEqual(bool(re.fullmatch(as_pattern(shown), output.strip())), same)

    def test_the_picture_shows_the_atom_of_the_demo(self):
        shown = next(text for language, text in blocks(read("README.md")) if language == "json")
        points = re.findall(r'"label":"(\w+)","weight":([\d.]+)', shown)
        drawn = re.findall(r">(\w+) (0\.\d+)<", read("tests", "docs", "atom.svg"))
        self.assertEqual(len(points), 5)
        self.assertEqual(sorted(word for word, _ in drawn), sorted(word for word, _ in points))
        for word, weight in points:
            self.assertTrue(dict(drawn)[word].startswith(weight), word)
        self.assertIn(">%s<" % re.search(r'"label":"([^"]+)"', shown).group(1), read("tests", "docs", "atom.svg"))

    def test_flags_exist(self):
        commands = ("train", "fuse", "encode", "reconstruct", "inspect", "eval", "compare", "layout", "trace", "import", "export", "explore", "serve")
        known = set()
        for words in (["rasaed"], ["rasae"], *(["rasae", command] for command in commands)):
            listed = subprocess.run([os.path.join(PROGRAMS, words[0]), *words[1:], "--help"], capture_output=True, text=True,
                                    check=True, timeout=60).stdout
            known |= set(re.findall(r"--[a-z][a-z0-9-]*", listed))
        prose = re.sub(r"^```.*?^```", "", read("README.md"), flags=re.S | re.M)
        named = {flag for words in re.findall(r"`([^`]*)`", prose) for flag in re.findall(r"--[a-z][a-z0-9-]*", words)}
        self.assertGreater(len(named), 10)
        self.assertEqual(named - known, set())


# Enough of torch and of a model for the recipe: tensors are NumPy's, and hooks are called.
STAND_IN = """
import sys, types
import contextlib, numpy

class Tensor:
    def __init__(self, array): self.array, self.shape = array, array.shape
    def detach(self): return self
    def float(self): return Tensor(self.array.astype("float32"))
    def cpu(self): return self
    def reshape(self, *shape): return Tensor(self.array.reshape(*shape))
    def numpy(self): return self.array

class Layer:
    hooks = []
    def register_forward_hook(self, hook):
        self.hooks.append(hook)
        return types.SimpleNamespace(remove=lambda: self.hooks.remove(hook))

def model(batch):
    output = Tensor(numpy.repeat(batch[:, None, :], 2, 1))
    for hook in layer.hooks: hook(layer, (batch,), (output, None) if len(batch) > 2 else output)

sys.modules["torch"] = types.SimpleNamespace(no_grad=contextlib.nullcontext)
layer = Layer()
batches = [numpy.arange(12.0).reshape(3, 4), numpy.arange(8.0).reshape(2, 4)]
"""
AFTER = """
assert not layer.hooks
acts = numpy.load("acts.npy")
assert acts.dtype == numpy.float32 and acts.shape == (10, 4), (acts.dtype, acts.shape)
assert (acts[0] == acts[1]).all() and (acts[4] == [8, 9, 10, 11]).all() and (acts[6] == [0, 1, 2, 3]).all(), acts
"""


class Recipe(unittest.TestCase):
    def test_the_hook_saves_rows(self):
        recipe, = (text for language, text in blocks(read("README.md")) if "import numpy, torch" in text)
        python = subprocess.run(["sh", os.path.join(TOP, "tests", "clients", "venv")], check=True, stdout=subprocess.PIPE,
                                text=True).stdout.strip()
        with tempfile.TemporaryDirectory(prefix="rasae-recipe-") as folder:
            done = subprocess.run([python, "-c", STAND_IN + recipe + AFTER], cwd=folder, capture_output=True, text=True,
                                  timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = os.path.join(folder, "acts.npy")
            done = subprocess.run([os.path.join(PROGRAMS, "rasae"), "inspect", rows], capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertIn("[10, 4]", done.stdout, done.stderr)

    def test_the_shards_of_the_example_train(self):
        """proto/examples/collect.py, with modules and tensors that stand in for those of torch."""
        use = """
import os, sys
sys.path.insert(0, os.path.join(%r, "proto", "examples"))
from collect import Shards
with Shards("shards") as shards:
    shards.most = 100
    shards.watch(layer)
    for batch in batches * 4:
        model(batch)
assert not layer.hooks
names = sorted(os.listdir("shards"))
arrays = [numpy.load(os.path.join("shards", name)) for name in names]
rows = numpy.concatenate(arrays)
assert names[:2] == ["00000.npy", "00001.npy"] and len(names) > 2, names
assert rows.dtype == numpy.float32 and rows.shape == (40, 4) == (shards.rows, 4), rows.shape
assert (rows[0] == rows[1]).all() and (rows[4] == [8, 9, 10, 11]).all()
with Shards("images", dtype="float16", channels=1) as images:
    images.add(numpy.arange(48.0).reshape(2, 3, 2, 4))
image = numpy.load("images/00000.npy")
assert image.dtype == numpy.float16 and image.shape == (16, 3) and image[1].tolist() == [1, 9, 17], image
try:
    Shards("shards")
except FileExistsError:
    pass
else:
    raise AssertionError("old shards were taken for new ones")
""" % TOP
        python = subprocess.run(["sh", os.path.join(TOP, "tests", "clients", "venv")], check=True, stdout=subprocess.PIPE,
                                text=True).stdout.strip()
        with tempfile.TemporaryDirectory(prefix="rasae-shards-") as folder:
            done = subprocess.run([python, "-B", "-c", STAND_IN + use], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            command = os.path.join(PROGRAMS, "rasae") + " train shards/*.npy --concepts 6 --top-k 2 --points 5 --steps 2 -o model.safetensors"
            done = shell(command, folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("40 rows", done.stdout)


if __name__ == "__main__":
    unittest.main()
