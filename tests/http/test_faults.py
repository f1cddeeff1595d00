"""One call of the system fails, each in its turn, once or from then on (../cli/failing_system.c), while the daemon starts, serves,
reloads and stops (server/http/{acceptor,engine,worker}.c, server/serving/registry/load.c): it ends with one sentence and status 1,
or serves; whatever it answers is from one of the two files that it was given, and SIGTERM ends it.

`make check` tries some calls of each kind; with RASAE_FAULTS=40, so many; with RASAE_FAULTS=all, as `make check-faults` has it, each of them."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from daemon import PATIENCE, PROGRAM, TOP, environment, golden

SOURCE = os.path.join(TOP, "tests", "cli", "failing_system.c")
KINDS = ("memory", "read", "write", "map", "open", "thread", "accept", "send", "receive", "poll")
FILES = [golden(name) for name in ("dict-basic.checkpoint.safetensors", "batchtopk-mse.final.safetensors")]
WANTED = os.environ.get("RASAE_FAULTS", "2")  # calls of each kind
SAMPLE = 1 << 30 if WANTED == "all" else int(WANTED)
SHORT = 5  # seconds for an answer, which may never come
LATENTS = json.dumps({"latents": {"indices": [[0, 5]], "values": [[1.5, 2]]}})
REQUESTS = (("GET", "/health/ready", None), ("GET", "/v1/dictionaries/m/atoms/3?format=raw", None),
            ("POST", "/v1/dictionaries/m/reconstruct", LATENTS), ("GET", "/v1/dictionaries/m/dictionary?format=npy", None))


def spread(count):
    if count <= SAMPLE:
        return range(1, count + 1)
    return sorted({1 + i * (count - 1) // (SAMPLE - 1) for i in range(SAMPLE)})


@unittest.skipIf("sanitize" in PROGRAM, "the sanitizers want to be loaded first")
class Faults(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-faults-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.library, self.armed, self.counts, self.model = (
            os.path.join(self.folder, name) for name in ("failing.so", "armed", "counts", "m.safetensors"))
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", self.library, SOURCE, "-ldl"], check=True,
                       timeout=PATIENCE)
        self.answers = {}  # of each request, those that are right
        self.ready, self.refused = 0, 0

    def place(self, which):
        shutil.copy(FILES[which], self.model + ".new")
        os.rename(self.model + ".new", self.model)

    def ask(self, port, learn):
        """Every request on a connection of its own; False: the daemon is not to be reached."""
        for method, path, body in REQUESTS:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SHORT)
            try:
                connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
                reply = connection.getresponse()
                content = reply.read()
            except (OSError, http.client.HTTPException):
                if learn:
                    raise
                return  # refused, cut or not accepted; a client tries again
            finally:
                connection.close()
            if learn:
                self.assertEqual(reply.status, 200, content)
                self.answers.setdefault(path, set()).add(content)
            elif reply.status == 200:
                self.assertIn(content, self.answers[path], path)
            else:
                self.assertIn(reply.status, (429, 500, 503), content)
                self.assertIn("code", json.loads(content))

    def one(self, late, learn=False, **more):
        """A whole life. late: calls count from the start of serving on, not from that of the program."""
        if os.path.exists(self.armed):
            os.remove(self.armed)
        self.place(0)
        if late:
            more["FAIL_ARMED"] = self.armed
        log = open(os.path.join(self.folder, "log"), "w+b")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [PROGRAM, "--listen", "127.0.0.1:0", "--sandbox", "off", "--dictionary", "m=" + self.model, "--threads", "1", "--compute-threads", "1",
             "--drain-seconds", "1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            env=environment({"LD_PRELOAD": self.library, "OPENBLAS_NUM_THREADS": "1", "FAIL_COUNTS": self.counts, **more}))
        try:
            line = process.stdout.readline().decode()
            if line:
                open(self.armed, "w", encoding="ascii").close()
                port = int(line.rsplit(":", 1)[1])
                self.ask(port, learn)
                self.place(1)
                process.send_signal(signal.SIGHUP)
                time.sleep(1 if learn else 0.1)
                self.ask(port, learn)
                process.send_signal(signal.SIGTERM)
            status = process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        log.seek(0)
        said = log.read().decode(errors="replace")
        if line:
            self.ready += 1
            self.assertIn(status, (0, 1), said)
        else:
            self.refused += 1
            self.assertEqual(status, 1, said)
            self.assertRegex(said, r"rasaed: [^\n]+\n")
        return said

    def each(self, late):
        self.one(late, learn=True)
        with open(self.counts, encoding="ascii") as file:
            counts = dict(row.split() for row in file)
        for kind in KINDS:
            for at in spread(int(counts[kind])):
                for on in "01":
                    with self.subTest(kind=kind, at=at, on=on):
                        self.one(late, FAIL_KIND=kind, FAIL_AT=str(at), FAIL_ON=on)
        if "RASAE_FAULTS" in os.environ:
            print("%s: %d runs served, %d ended with a sentence" % (self.id(), self.ready, self.refused), file=sys.stderr)

    def test_at_the_start(self):
        self.each(late=False)

    def test_while_it_serves(self):
        self.each(late=True)


if __name__ == "__main__":
    unittest.main()
