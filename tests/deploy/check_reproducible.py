"""The same sources give the same bytes, in whatever folder they are built. Part of make check-deploy."""

import filecmp
import os
import shutil
import tempfile
import unittest

from support import TOP, environment, run

OUTPUTS = ("rasae", "rasaed", "librasae.a")


class Reproducible(unittest.TestCase):
    def test_two_builds_are_the_same(self):
        with tempfile.TemporaryDirectory(prefix="rasae-twice-") as folder:
            builds = []
            for name, umask in (("one", 0o022), ("another-with-a-longer-name/below", 0o077)):
                tree = os.path.join(folder, name)
                os.makedirs(tree)
                self.copy(tree)
                os.umask(umask)
                # with another user's habits; what nvcc makes is not part of the promise
                run("make", "-j2", "NVCC=", cwd=tree, env=environment(LC_ALL="C.UTF-8", TZ=name[0].upper() + "XX-5"),
                    seconds=900)
                builds.append(os.path.join(tree, "build"))
            os.umask(0o022)
            for output in OUTPUTS:
                first, second = (os.path.join(build, output) for build in builds)
                self.assertTrue(filecmp.cmp(first, second, shallow=False), output)
                with open(first, "rb") as file:
                    content = file.read()
                self.assertNotIn(folder.encode(), content, output)
                self.assertNotIn(TOP.encode(), content, output)

    @staticmethod
    def copy(tree):
        listed = run("git", "ls-files", "-co", "--exclude-standard", "lib", "server", "trainer", "proto", "Makefile")
        for path in listed.stdout.splitlines():
            if os.path.exists(os.path.join(TOP, path)):
                os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
                shutil.copy(os.path.join(TOP, path), os.path.join(tree, path))


if __name__ == "__main__":
    unittest.main()
