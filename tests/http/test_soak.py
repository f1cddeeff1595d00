"""Some seconds of soak.py (server/daemon.c and all below it): mixed traffic, every answer checked, the same descriptors and threads at
every rest. What memory does shows only in a long run: make soak."""

import unittest

from soak import Soak

SECONDS = 8


class Short(unittest.TestCase):
    def test_mixed_traffic_for_some_seconds(self):
        soak = Soak(SECONDS)
        self.assertEqual(soak.run(), [])
        for what in ("answers", "curl", "reloads", "written in place", "labels", "broken off", "hostile"):
            self.assertGreater(soak.counts.get(what, 0), 0, what)


if __name__ == "__main__":
    unittest.main()
