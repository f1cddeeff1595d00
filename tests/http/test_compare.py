"""POST .../compare (server/{api,codec/json}/compare.c, lib/metrics/shared_points.c): the figures and the match of `rasae
compare`, bounds, what is not there, a file that changes, and a client that leaves."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import daemon
from daemon import Daemon, golden, wait_for, write_safetensors

RASAE = os.path.join(os.path.dirname(daemon.PROGRAM), "rasae")
A, B = golden("topk-mse.final.safetensors"), golden("topk-mse.init.safetensors")
OF_FILES = {"codes", "starts", "models", "caveat"}


def numbers(count, seed):
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) % 2147483648
        yield seed / 2147483648 - 0.5


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, atoms, width, seed=1):
        path = os.path.join(self.folder, name)
        write_safetensors(path, {"dictionary": ([atoms, width], list(numbers(atoms * width, seed)))}, {})
        return path

    def compared(self, a, b):
        done = subprocess.run([RASAE, "compare", a, b, "--json"], check=True, capture_output=True, timeout=daemon.PATIENCE)
        return {name: value for name, value in json.loads(done.stdout).items() if name not in OF_FILES}

    def ask(self, served, a, b):
        return served.post("/v1/dictionaries/%s/compare" % a, {"with": b})

    def test_it_is_what_rasae_compare_says(self):
        files = {"a": A, "b": B, "x": self.write("x", 40, 24), "y": self.write("y", 40, 24, 7)}
        given = [part for name, path in files.items() for part in ("--dictionary", name + "=" + path)]
        for flags in (), ("--private-below", "0"):
            with Daemon(*given, *flags) as served:
                for a, b in (("a", "b"), ("b", "a"), ("a", "a"), ("x", "y"), ("y", "y")):
                    reply, expected = self.ask(served, a, b), self.compared(files[a], files[b])
                    self.assertEqual(reply.status, 200, reply.body)
                    found = reply.json
                    self.assertEqual((found.pop("dictionary"), found.pop("with")), (a, b))
                    self.assertEqual(found.pop("with_revision"), served.get("/v1/dictionaries/" + b).json["revision"])
                    if a in "xy":  # without points
                        self.assertEqual([found.pop(name) for name in ("shared_points", "shared_points_in_any_order", "points")],
                                         [None] * 3)
                    self.assertEqual(found, expected, (a, b))
                    self.assertEqual(sorted(found["match"]), list(range(found["concepts"])))

    def test_zeros_have_no_direction(self):
        path = os.path.join(self.folder, "zeros")
        write_safetensors(path, {"dictionary": ([3, 2], [0] * 6)}, {})
        with Daemon("--dictionary", "zeros=" + path) as served:
            found, expected = self.ask(served, "zeros", "zeros").json, self.compared(path, path)
            for name in expected:
                self.assertEqual(found[name], expected[name], name)
            self.assertEqual((found["stability_with_flips"], found["share_over_70"], found["hungarian_loss"]), (None, 0, 0))
            self.assertIsNone(found["stability_centered"])

    def test_what_cannot_be_compared(self):
        files = {"x": self.write("x", 40, 24), "other": self.write("other", 41, 24), "wide": self.write("wide", 40, 25),
                 "large": self.write("large", 4097, 2)}
        given = [part for name, path in files.items() for part in ("--dictionary", name + "=" + path)]
        with Daemon(*given) as served:
            for a, b, status, code in (("x", "other", 400, "wrong_shape"), ("x", "wide", 400, "wrong_shape"),
                                       ("x", "none", 404, "unknown_dictionary"), ("none", "x", 404, "unknown_dictionary"),
                                       ("x", "", 404, "unknown_dictionary"), ("x", "../x", 404, "unknown_dictionary"),
                                       ("large", "large", 413, "too_many")):
                reply = self.ask(served, a, b)
                self.assertEqual((reply.status, reply.json["code"]), (status, code), (a, b))
                self.assertEqual(reply.json["pointer"], "/with" if a != "none" else reply.json["pointer"])
            self.assertEqual((reply.json["limit"], reply.json["actual"]), (4096, 4097))
            for body in ("", "{}", '{"with": 3}', '{"with": "x", "more": 1}', '{"with": "x\\u0000"}', '["x"]'):
                self.assertEqual(served.post("/v1/dictionaries/x/compare", body).status, 400, body)
            self.assertEqual(served.get("/v1/dictionaries/x/compare").status, 405)

    def test_many_at_once(self):
        files = {"x": self.write("x", 300, 24), "y": self.write("y", 300, 24, 7)}
        given = [part for name, path in files.items() for part in ("--dictionary", name + "=" + path)]
        with Daemon(*given) as served, concurrent.futures.ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(self.ask, served, *pair) for pair in (("x", "y"), ("y", "x")) * 12]
            expected = {name: self.compared(files[name], files["xy"[name == "x"]])["match"] for name in files}
            done = [one.result() for one in asked]
            for reply in done:
                if reply.status == 200:
                    self.assertEqual(reply.json["match"], expected[reply.json["dictionary"]])
                else:
                    self.assertEqual((reply.status, reply.json["code"]), (503, "overloaded"))
                    self.assertIn("Retry-After", reply.headers)
            self.assertIn(200, [reply.status for reply in done])

    def test_either_file_may_change(self):
        files = {"x": self.write("x", 40, 24), "y": self.write("y", 40, 24, 7)}
        given = [part for name, path in files.items() for part in ("--dictionary", name + "=" + path)]
        for spoiled in "xy":
            with Daemon(*given, "--private-below", "0") as served:
                with open(files[spoiled], "r+b") as file:
                    file.seek(-1, os.SEEK_END)
                    last = file.read(1)
                    file.seek(-1, os.SEEK_END)
                    file.write(bytes([last[0] ^ 1]))
                for _ in range(2):
                    reply = self.ask(served, "x", "y")
                    self.assertEqual((reply.status, reply.json["code"]), (503, "dictionary_changed"), spoiled)
                other = "y" if spoiled == "x" else "x"
                self.assertEqual(self.ask(served, other, other).status, 200)

    def test_nobody_waits_any_more(self):
        files = {"x": self.write("x", 3000, 8), "y": self.write("y", 3000, 8, 7)}
        given = [part for name, path in files.items() for part in ("--dictionary", name + "=" + path)]

        def cpu(served):
            with open("/proc/%d/stat" % served.process.pid, encoding="ascii") as file:
                return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
        with Daemon(*given, "--deadline-ms", "100") as served:
            reply = self.ask(served, "x", "y")
            self.assertEqual((reply.status, reply.json["code"]), (503, "deadline_exceeded"))

            def idle():
                before = cpu(served)
                time.sleep(0.3)
                return cpu(served) - before < 5
            wait_for(idle, "the end of the computation")


if __name__ == "__main__":
    unittest.main()
