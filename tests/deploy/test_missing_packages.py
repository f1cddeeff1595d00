"""make on a machine without the packages that the build needs: one sentence names them, and no compiler is started."""

import os
import subprocess
import tempfile
import unittest

from support import TOP

ABSENT = ("gcc", "g++", "cc", "c++", "pkg-config", "dpkg-query")


class MissingPackages(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="rasae-packages-")
        self.addCleanup(self.folder.cleanup)
        self.programs = os.path.join(self.folder.name, "bin")
        os.mkdir(self.programs)
        for folder in ("/usr/bin", "/bin"):
            for name in os.listdir(folder):
                place = os.path.join(self.programs, name)
                if name not in ABSENT and not os.path.lexists(place):
                    os.symlink(os.path.join(folder, name), place)

    def run_here(self, *command):
        """Runs it without the absent programs, and without the variables of an outer make."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "CC"))}
        return subprocess.run(command, cwd=TOP, env={**kept, "PATH": self.programs, "NVCC": ""}, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def test_make_names_them_before_it_compiles(self):
        build = os.path.join(self.folder.name, "build")
        done = self.run_here("make", "CC=gcc", "BUILD=" + build)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], r"^These packages are missing: gcc g\+\+ .*pkg-config.*\. `make install-deps` installs them\.$")
        self.assertEqual([line for line in lines[1:] if not line.startswith("make")], [])
        self.assertFalse(os.path.exists(os.path.join(build, "obj", "lib")))

    def test_a_header_elsewhere_counts_where_the_compiler_finds_it(self):
        compiler = os.path.join(self.programs, "gcc")
        with open(compiler, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\ncase $1 in -print-file-name=*) echo /elsewhere/lib.so ;; *) cat >/dev/null ;; esac\n")
        os.chmod(compiler, 0o755)
        done = self.run_here("sh", "deploy/install-deps", "--missing")
        self.assertEqual(done.stdout.strip(), "These packages are missing: g++ pkg-config. `make install-deps` installs them.")

    def test_another_option_is_refused(self):
        done = self.run_here("sh", "deploy/install-deps", "--everything")
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("'--everything' is not an option", done.stdout)


if __name__ == "__main__":
    unittest.main()
