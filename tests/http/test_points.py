"""Delays at the moments between two steps (server/http/points.c), in sanitized builds: stops under load, reloads, and
clients that leave, with a sleep at each of them. ThreadSanitizer and AddressSanitizer look on."""

import concurrent.futures
import http.client
import os
import re
import shutil
import tempfile
import threading
import time
import unittest

import test_heavy
from daemon import PROGRAM, TOP, Daemon, golden

BASIC = golden("dict-basic.checkpoint.safetensors")


def names():
    with open(os.path.join(TOP, "server", "http", "points.h"), encoding="utf-8") as file:
        return re.findall(r"^    X\((\w+)\)", file.read(), re.M)


@unittest.skipUnless("sanitize" in PROGRAM, "only sanitized builds sleep")
class Points(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.big = os.path.join(self.folder, "big.safetensors")
        test_heavy.write_artifact(self.big)
        self.keys = os.path.join(self.folder, "keys")
        with open(self.keys, "w", encoding="ascii") as file:
            file.write("admin " + "k" * 32 + "\n")

    def ask(self, daemon, method, path, body=None, leave=False):
        headers = {"Authorization": "Bearer " + "k" * 32, "Content-Type": "application/json"}
        connection = daemon.connect()
        try:
            if leave:
                connection.request(method, path, body, headers)
                time.sleep(0.01)
                return None
            return daemon.request(method, path, body, headers=headers, connection=connection).status
        except (OSError, http.client.HTTPException):
            return None  # the server has stopped
        finally:
            connection.close()

    def load(self, daemon, over):
        body, wrong = test_heavy.search_body(4), []
        work = ([("POST", test_heavy.SEARCH, body, False)] * 3 + [("POST", test_heavy.SEARCH, body, True)] +
                [("POST", "/v1/dictionaries/big/reload", None, False), ("GET", "/health/live", None, False)])

        def run(i):
            while not over.is_set():
                status = self.ask(daemon, *work[i % len(work)][:3], leave=work[i % len(work)][3])
                if status not in (None, 200, 503):
                    wrong.append(status)

        with concurrent.futures.ThreadPoolExecutor(2 * len(work)) as pool:
            list(pool.map(run, range(2 * len(work))))
        return wrong

    def test_a_stop_under_load_with_a_sleep_at_each(self):
        # a computation that does not end in time is left to the end of the process, with its thread
        options = os.environ.get("TSAN_OPTIONS", "") + " report_thread_leaks=0"
        for name in names():
            with Daemon("--dictionary", "big=" + self.big, "--dictionary", "basic=" + BASIC, "--keys", self.keys,
                        "--threads", "2", "--drain-seconds", "1", "--log-level", "warning",
                        env={"SLEEP_AT": name + "=30000", "TSAN_OPTIONS": options}) as daemon:
                over, wrong = threading.Event(), []
                clients = threading.Thread(target=lambda: wrong.extend(self.load(daemon, over)))
                clients.start()
                time.sleep(2)
                status = daemon.stop()
                over.set()
                clients.join()
                self.assertEqual((name, status, wrong), (name, 0, []), daemon.log())
                self.assertNotIn("Sanitizer", daemon.log())


if __name__ == "__main__":
    unittest.main()
