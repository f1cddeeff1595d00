"""server/http/deferred.c, server/serving/batcher.c and server/serving/registry/ in every order of their locks that one preemption
allows (tests/schedules); make check-schedules tries more."""

import os
import subprocess
import unittest

from daemon import PATIENCE, TOP

SCHEDULES = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"), "tests", "schedules")


@unittest.skipUnless(os.path.exists(SCHEDULES), "sanitizers have their own idea of atomic operations")
class Schedules(unittest.TestCase):
    def test_every_schedule_is_right(self):
        done = subprocess.run([SCHEDULES, "1"], cwd=TOP, capture_output=True, text=True, timeout=5 * PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\n\d{4,} schedules, all of them right\n$")


if __name__ == "__main__":
    unittest.main()
