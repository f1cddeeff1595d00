"""Threads in orders that they seldom have by themselves.

server/http/deferred.c, server/serving/batcher.c and server/serving/registry/ in every order of their locks that one preemption
allows (tests/schedules); make check-schedules tries more."""

import os
import re
import subprocess
import tempfile
import unittest

from daemon import PATIENCE, TOP

SCHEDULES = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"), "tests", "schedules")


@unittest.skipUnless(os.path.exists(SCHEDULES), "sanitizers have their own idea of atomic operations")
class Schedules(unittest.TestCase):
    def test_every_schedule_is_right(self):
        done = subprocess.run([SCHEDULES, "1"], cwd=TOP, capture_output=True, text=True, timeout=5 * PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\n\d{4,} schedules, all of them right\n$")


LOST = """#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int value;
static void *add(void *argument) {
    pthread_mutex_lock(&lock);
    int seen = value;
    pthread_mutex_unlock(&lock); /* another thread seldom comes here */
    pthread_mutex_lock(&lock);
    value = seen + 1;
    pthread_mutex_unlock(&lock);
    return argument;
}
int main(void) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, add, 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
    return value != 2;
}
"""


class Perturbed(unittest.TestCase):
    """tests/schedules/perturb.c, which make tsan PERTURB=SEED links into the programs."""

    def test_some_seed_finds_what_is_seldom(self):
        source = os.path.join(TOP, "tests", "schedules", "perturb.c")
        with open(source, encoding="utf-8") as file:
            wrapped = re.findall(r"^WRAP\(\w+, (pthread_\w+)", file.read(), re.M)
        with tempfile.TemporaryDirectory(prefix="rasae-perturb-") as folder:
            path = os.path.join(folder, "lost.c")
            with open(path, "w", encoding="ascii") as file:
                file.write(LOST)
            program = os.path.join(folder, "lost")
            subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O1", "-pthread", "-DPERTURB_LOCKS_ALONE",
                            *("-Wl,--wrap=" + name for name in wrapped), "-o", program, path, source], check=True, timeout=PATIENCE)
            found = 0
            for seed in range(1, 1000):
                found += subprocess.run([program], env={"PERTURB": str(seed)}, timeout=PATIENCE).returncode
                if found == 3:
                    return
        self.fail("of 999 seeds, %d found it" % found)


if __name__ == "__main__":
    unittest.main()
