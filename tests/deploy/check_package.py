"""The Debian packages: they build, lintian finds no fault, and together they contain what make install installs. Part
of make check-deploy; machine.py installs and runs them."""

import glob
import os
import tempfile
import unittest

from support import BUILD, TOP, Installation, bill_of, environment, run, version

FOLDER = os.path.join(TOP, BUILD, "deb")
NAMES = ("rasae", "rasaed", "librasae-dev")


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run("sh", "deploy/make-deb", FOLDER, env=environment(DEB_BUILD_OPTIONS="nocheck"), seconds=1200)

    def test_lintian(self):
        changes = glob.glob(os.path.join(FOLDER, "*.changes"))
        done = run("lintian", "--fail-on", "error,warning", "--display-info", "--allow-root", *changes)
        self.assertEqual(done.stdout, "")

    def test_their_files(self):
        inside = []
        for name in NAMES:
            path = glob.glob(os.path.join(FOLDER, "%s_%s_*.deb" % (name, version())))[0]
            for line in run("dpkg-deb", "--contents", path).stdout.splitlines():
                mode, owner, *_, file = line.split()
                self.assertEqual(owner, "root/root")
                if not mode.startswith("d"):
                    inside.append(os.path.basename(file).removesuffix(".gz"))
        with Installation() as there:
            installed = [os.path.basename(file) for file in there.files() if not file.endswith((".so", "LICENSE"))]
        papers = ["changelog", "copyright"] * len(NAMES) + ["rasae.cdx.json", "rasaed.cdx.json"]
        self.assertEqual(sorted(inside), sorted(installed + papers + ["rasaed"]))  # its lintian-overrides

    def test_their_bills_of_materials(self):
        for program in "rasae", "rasaed":
            path = glob.glob(os.path.join(FOLDER, "%s_%s_*.deb" % (program, version())))[0]
            with tempfile.TemporaryDirectory(prefix="rasae-package-") as there:
                run("dpkg-deb", "--extract", path, there)
                _, wrong = bill_of(os.path.join(there, "usr/share/doc", program, program + ".cdx.json"),
                                   os.path.join(there, "usr/bin", program))
                self.assertEqual(wrong, [], program)


if __name__ == "__main__":
    unittest.main()
