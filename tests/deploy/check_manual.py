"""groff and man format the manual pages without a complaint. Part of make check-deploy; test_manual.py asks
mandoc."""

import unittest

from support import Installation, environment, run
from test_manual import PAGES


class Groff(unittest.TestCase):
    def test_man_has_no_warning(self):
        with Installation() as there:
            for path in PAGES.values():
                env = environment(LC_ALL="C.UTF-8", MANROFFSEQ="", MANWIDTH="80")
                done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-P", "cat", there.path(path), env=env)
                self.assertGreater(len(done.stdout), 2000)
                self.assertNotIn("warning:", done.stdout)


if __name__ == "__main__":
    unittest.main()
