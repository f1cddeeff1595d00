"""proto/python as a package: pyproject.toml builds with the flit of today, what is built installs in an environment of its
own, its types hold, and every block of its README runs."""

import environment

environment.enter()

import contextlib
import glob
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import venv
import zipfile

import numpy as np

from environment import PROGRAM, TOP, Daemon

PACKAGE = os.path.join(TOP, "proto", "python")
sys.path.insert(0, PACKAGE)

import rasae  # noqa: E402


def text(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


class Package(unittest.TestCase):
    def test_it_builds_and_installs(self):
        with tempfile.TemporaryDirectory() as folder:
            source, built, fresh = (os.path.join(folder, name) for name in ("source", "built", "fresh"))
            shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
            build = "from flit_core import buildapi; buildapi.build_sdist(%r); buildapi.build_wheel(%r)" % (built, built)
            subprocess.run([sys.executable, "-W", "error", "-c", build], cwd=source, check=True)
            (sdist,), (wheel,) = (glob.glob(os.path.join(built, kind)) for kind in ("*.tar.gz", "*.whl"))
            with zipfile.ZipFile(wheel) as packed:
                names = packed.namelist()
                metadata = packed.read(next(name for name in names if name.endswith("METADATA"))).decode()
            self.assertIn("rasae/py.typed", names)
            self.assertTrue(any(name.endswith("licenses/LICENSE") for name in names))
            for line in ("License-Expression: MIT", "Requires-Dist: numpy>=", "Classifier: Typing :: Typed", "Project-URL: "):
                self.assertIn("\n" + line, metadata)
            # numpy is that of this environment; everything else is new
            venv.create(fresh, with_pip=False)
            site, = glob.glob(os.path.join(fresh, "lib", "python*", "site-packages"))
            with open(os.path.join(site, "numpy.pth"), "w", encoding="utf-8") as file:
                os.makedirs(os.path.join(folder, "only"))
                for name in ("numpy", "numpy.libs"):
                    os.symlink(os.path.join(os.path.dirname(os.path.dirname(np.__file__)), name),
                               os.path.join(folder, "only", name))
                file.write(os.path.join(folder, "only") + "\n")
            for packed in (wheel, sdist):
                subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
                                "--disable-pip-version-check", "--upgrade", "--target", site, packed], check=True)
                told = subprocess.run([os.path.join(fresh, "bin", "python"), "-W", "error", "-c", TRIED], check=True,
                                      stdout=subprocess.PIPE, text=True, cwd=folder).stdout
                self.assertEqual(told.split("\n")[0], rasae.__version__)
                self.assertIn("rasae[async]", told)

    def test_one_version_and_one_license(self):
        version = re.search(r'^version = "(.*)"$', text("proto", "python", "pyproject.toml"), re.M)[1]
        self.assertEqual(version, rasae.__version__)
        self.assertEqual(version, re.search(r'^#define RA_VERSION "(.*)"$', text("lib", "ra.h"), re.M)[1])
        self.assertEqual(text("proto", "python", "LICENSE"), text("LICENSE"))

    def test_its_types_hold(self):
        with tempfile.TemporaryDirectory() as folder:
            caller = os.path.join(folder, "caller.py")
            with open(caller, "w", encoding="utf-8") as file:
                file.write(CALLER)
            subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", folder, os.path.join(PACKAGE, "rasae"),
                            caller], check=True, stdout=sys.stderr, env={**os.environ, "MYPYPATH": PACKAGE})

    def test_all_names_are_there_and_described(self):
        for name in rasae.__all__:
            self.assertTrue(getattr(rasae, name).__doc__, name)


TRIED = """
import rasae
print(rasae.__version__)
rasae.Client("http://127.0.0.1:1").close()
try:
    rasae.AsyncClient("http://127.0.0.1:1")
except ImportError as error:
    print(error)
"""

CALLER = """
import numpy
from rasae import AsyncClient, Client, Codes, Explanation, Match

def work(client: Client) -> float:
    words = client.dictionary("words")
    codes: Codes = words.encode(numpy.zeros((2, 3)))
    explanations: list[Explanation] = words.explain([[1.0, 2.0]], fields=["label"])
    matches: list[list[Match]] = words.search(words.vectors([1, 2]), k=3)
    label: str | None = words[5].label
    labels: list[str | None] = [atom.label for atom in words[1:3]]
    atoms, scores = words.search_arrays(codes.to_dense())
    return float(scores.sum() + len(labels) + len(matches) + len(explanations)) + (0 if label is None else 1)

async def later(client: AsyncClient) -> list[str | None]:
    words = await client.dictionary("words")
    return [atom.label async for atom in words.iter_atoms()]
"""


class Readme(unittest.TestCase):
    def test_every_block_runs(self):
        tool = os.path.join(os.path.dirname(PROGRAM), "rasae")
        data, labels = (os.path.join(TOP, "tests", "data", name) for name in ("digits.npy", "digits.txt"))
        with tempfile.TemporaryDirectory() as folder:
            checkpoint, served = (os.path.join(folder, name) for name in ("checkpoint.safetensors", "words.safetensors"))
            for command in (["train", data, "--labels", labels, "--standardize", "element", "--concepts", "128", "--top-k", "8",
                             "--steps", "400", "-o", checkpoint],
                            ["fuse", checkpoint, "-o", served],
                            ["eval", served, data, "--labels", labels, "--items", "3", "--save", served]):
                subprocess.run([tool, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            blocks = re.findall(r"^```python\n(.*?)^```", text("proto", "python", "README.md"), re.M | re.S)
            self.assertGreaterEqual(len(blocks), 10)
            x = np.load(data).astype(np.float32)
            names = {"x": x}
            keys = os.path.join(folder, "keys")
            with open(keys, "w", encoding="ascii") as file:
                file.write("admin an-admin-key-of-the-tests\n")
            os.chmod(keys, 0o600)
            names["key"] = "an-admin-key-of-the-tests"
            with Daemon("--dictionary", "words=" + served, "--keys", keys, "--state", os.path.join(folder, "state")) as daemon:
                for block in blocks:
                    block = block.replace('"words.safetensors"', repr(os.path.join(folder, "copy.safetensors")))
                    with contextlib.redirect_stdout(io.StringIO()):
                        exec(block.replace('"http://127.0.0.1:8080"', '"http://%s:%d", key=key' % daemon.address), names)
                directions = names["words"].directions([5, 9])
                names["client"].close()
            np.testing.assert_allclose(names["pushed"], x + 2 * directions[0] - directions[1], atol=1e-3)
            self.assertTrue(os.path.exists(os.path.join(folder, "copy.safetensors")))
            K, d = names["words"].info.concepts, x.shape[1]
            self.assertEqual((K, names["codes"].shape, names["x_hat"].shape), (128, (len(x), K), x.shape))
            self.assertGreater(names["r2"], 0.8)
            self.assertEqual((names["D"].shape, names["atoms"].shape, names["pushed"].shape), ((K, d), (K, 3), x.shape))
            self.assertEqual(names["atoms"][:, 0].tolist(), list(range(K)))
            self.assertEqual([len(one) for one in names["found"]], [10] * 20)


if __name__ == "__main__":
    unittest.main()
