"""One call of the system fails, each in its turn, once or from then on (../cli/failing_system.c): those of the daemon, and those
that libmicrohttpd and SQLite make for it. While the daemon starts and stops (server/http/{acceptor,engine,worker}.c,
server/serving/registry/load.c) it ends with one sentence and status 1, or serves; while it serves, reloads and keeps labels
(server/state/store.c), whatever it answers is right, a label that was confirmed is there, and SIGTERM ends it. Nothing is lost:
at its end LeakSanitizer looks at what is still held, and a daemon that goes on has its descriptors and its memory as before.

`make check` tries some calls of each kind; with RASAE_FAULTS=40, so many; with RASAE_FAULTS=all, as `make check-faults` has it, each of them."""

import http.client
import json
import mmap
import os
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from daemon import PATIENCE, PROGRAM, TOP, environment, golden, wait_for

SOURCE = os.path.join(TOP, "tests", "cli", "failing_system.c")
FILES = [golden(name) for name in ("dict-basic.checkpoint.safetensors", "topk-mse.final.safetensors")]
WANTED = os.environ.get("RASAE_FAULTS", "2")  # calls of each kind
SAMPLE = 1 << 30 if WANTED == "all" else int(WANTED)
SHORT = 1  # seconds for an answer that may never come
KEY = "0123456789abcdef0123456789abcdef"
LEAKED = 99  # the status of a program that lost memory
FEW = {"latents": {"indices": [[0, 5]], "values": [[1.5, 2]]}}
MANY = {"latents": {"indices": [[row % 20, 20] for row in range(500)], "values": [[row, 2] for row in range(500)]}}
LABEL = "/v1/dictionaries/m/atoms/3/label"
REQUESTS = (("GET", "/health/ready", None), ("GET", "/v1/dictionaries/m/atoms/3?format=raw", None),
            ("POST", "/v1/dictionaries/m/reconstruct", FEW), ("POST", "/v1/dictionaries/m/reconstruct?format=raw", MANY),
            ("GET", "/v1/dictionaries/m/dictionary?format=npy", None), ("GET", "/v1/dictionaries/m/atoms?offset=4&limit=16&format=ndjson", None))


class Control:
    """What failing_system.c calls `struct control`, mapped into both processes."""

    def __init__(self, path):
        with open(SOURCE, encoding="utf-8") as file:
            rows = [line.split("(")[1].split(",")[0] for line in file if line.startswith("    X(")]
        self.kinds = rows
        with open(path, "w+b") as file:
            file.truncate(8 * (4 + len(rows)))
            self.memory = mmap.mmap(file.fileno(), 0)
        self.let(None)

    def put(self, word, value):
        self.memory[8 * word:8 * word + 8] = struct.pack("<q", value)

    def get(self, word):
        return struct.unpack("<q", self.memory[8 * word:8 * word + 8])[0]

    def let(self, kind, at=0, on=0):
        """The at-th call from now on fails, and with `on` all after it; None: none fails."""
        self.put(0, -1)
        for i in range(len(self.kinds)):
            self.put(4 + i, 0)
        self.put(1, at)
        self.put(2, on)
        if kind:
            self.put(0, self.kinds.index(kind))

    def counts(self):
        return {kind: self.get(4 + i) for i, kind in enumerate(self.kinds)}

    def blocks(self):
        return self.get(3)


def spread(count):
    if count <= SAMPLE:
        return range(1, count + 1)
    return sorted({1 + i * (count - 1) // (SAMPLE - 1) for i in range(SAMPLE)})


def leak_finder():
    """The path of gcc's library, or None."""
    done = subprocess.run(["gcc", "-print-file-name=liblsan.so.0"], capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout.strip() if done.returncode == 0 and os.path.isabs(done.stdout.strip()) else None


@unittest.skipIf("sanitize" in PROGRAM, "the sanitizers want to be loaded first")
class Faulty(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-faults-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.model, self.state = os.path.join(self.folder, "m.safetensors"), os.path.join(self.folder, "state")
        self.keys = os.path.join(self.folder, "keys")
        with open(self.keys, "w", encoding="ascii") as file:
            file.write("admin %s\n" % KEY)
        self.control = Control(os.path.join(self.folder, "control"))
        self.answers = {}  # of each request, those that are right
        self.labels, self.log = 0, None
        self.ready, self.refused = 0, 0

    def build(self, *flags):
        library = os.path.join(self.folder, "failing.so")
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", *flags, "-o", library, SOURCE, "-ldl"], check=True,
                       timeout=PATIENCE)
        return library

    def place(self, which):
        shutil.copy(FILES[which], self.model + ".new")
        os.rename(self.model + ".new", self.model)

    def start(self, preload):
        if self.log:
            self.log.close()
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.process = subprocess.Popen(
            [PROGRAM, "--listen", "127.0.0.1:0", "--sandbox", "off", "--dictionary", "m=" + self.model, "--state", self.state,
             "--keys", self.keys, "--threads", "1", "--compute-threads", "1", "--drain-seconds", "1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
            env=environment({"LD_PRELOAD": preload, "OPENBLAS_NUM_THREADS": "1", "LSAN_OPTIONS": "exitcode=%d" % LEAKED,
                             "FAIL_CONTROL": os.path.join(self.folder, "control")}))
        line = self.process.stdout.readline().decode()
        self.port = int(line.rsplit(":", 1)[1]) if line else None

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def connect(self, right):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE if right else SHORT)

    def request(self, right, method, path, value=None, connection=None):
        """(status, content), or None: there was no answer. right: nothing fails now."""
        own = connection or self.connect(right)
        try:
            headers = {"Authorization": "Bearer " + KEY, **({"Content-Type": "application/json"} if value else {})}
            own.request(method, path, json.dumps(value) if value else None, headers)
            reply = own.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            if not connection:
                own.close()

    def check(self, path, answer, right):
        status, content = answer
        if status == 200:
            self.assertTrue(content in self.answers[path], (path, content[:200]))
        else:
            self.assertFalse(right, (path, status, content))
            self.refusal(status, content)

    def refusal(self, status, content):
        """Without any memory there are no words."""
        self.assertIn(status, (429, 500, 503), content)
        if content:
            self.assertIn("code", json.loads(content))

    def ask(self, right):
        """Every request on a connection of its own, and some on one that is kept."""
        for method, path, value in REQUESTS:
            answer = self.request(right, method, path, value)
            if not answer:
                self.assertFalse(right, path)
                return  # refused, cut or not accepted; a client tries again
            self.check(path, answer, right)
        kept = self.connect(right)
        for method, path, value in REQUESTS[:3]:
            answer = self.request(right, method, path, value, kept)
            if not answer:
                self.assertFalse(right, path)
                break
            self.check(path, answer, right)
        kept.close()

    def label(self, right):
        """Sets a label; one that was confirmed is shown."""
        self.labels += 1
        words = "label %d" % self.labels
        answer = self.request(right, "PUT", LABEL, {"label": words})
        if not answer or answer[0] != 200:
            self.assertFalse(right, answer)
            if answer:
                self.refusal(*answer)
            return
        self.assertEqual(json.loads(answer[1])["label"], words)
        shown = self.request(right, "GET", LABEL)
        if shown and shown[0] == 200:
            self.assertEqual(json.loads(shown[1])["label"], words)
        else:
            self.assertFalse(right, shown)

    def learn(self):
        for method, path, value in REQUESTS:
            status, content = self.request(True, method, path, value)
            self.assertEqual(status, 200, content)
            self.answers.setdefault(path, set()).add(content)
        self.label(right=True)

    def sites(self, counts):
        for kind, count in counts.items():
            for at in spread(count):
                for on in 0, 1:
                    yield kind, at, on

    def tearDown(self):
        if self.log:
            self.log.close()
        if "RASAE_FAULTS" in os.environ:
            print("%s: %d runs served, %d ended with a sentence" % (self.id(), self.ready, self.refused), file=sys.stderr)


class Lives(Faulty):
    """A daemon for each failure, from its start to its end."""

    def setUp(self):
        super().setUp()
        finder = leak_finder()
        self.library = ":".join([self.build("-DFAIL_LEAVES_MALLOC"), finder]) if finder else self.build()

    def life(self, late, kind=None, at=0, on=0, learn=False):
        """late: calls count from the start of serving on, not from that of the program."""
        self.place(0)
        self.control.let(None if late else kind, at, on)
        self.start(self.library)
        try:
            if self.port:
                if late:
                    self.control.let(kind, at, on)
                self.learn() if learn else self.ask(False)
                self.label(learn)  # before the other file comes, which has labels of its own
                self.place(1)
                self.process.send_signal(signal.SIGHUP)
                time.sleep(1 if learn else 0.1)
                self.learn() if learn else self.ask(False)
                self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        said = self.said()
        self.assertNotEqual(status, LEAKED, said)
        if self.port:
            self.ready += 1
            self.assertIn(status, (0, 1), said)
        else:
            self.refused += 1
            self.assertEqual(status, 1, said)
            self.assertRegex(said, r"rasaed: [^\n]+\n")

    def each(self, late):
        self.life(late, learn=True)
        for kind, at, on in self.sites(self.control.counts()):
            with self.subTest(kind=kind, at=at, on=on):
                self.life(late, kind, at, on)

    def test_at_the_start(self):
        self.each(late=False)

    def test_while_it_serves_and_stops(self):
        self.each(late=True)

    def test_it_stops_with_a_request_under_way_when_every_wait_is_interrupted(self):
        """The request waits for the database, which another program holds; its thread is never told by poll() that it is done."""
        self.place(0)
        self.control.let(None)
        self.start(self.library)
        holder = sqlite3.connect(os.path.join(self.state, "rasaed.sqlite"), isolation_level=None)
        try:
            self.learn()
            holder.execute("BEGIN IMMEDIATE")
            body = b'{"label":"late"}'
            client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            client.sendall(b"PUT %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (LABEL.encode(), KEY.encode(), len(body), body))
            both = b'rasaed_connections{address="main",state="answer"} 2\n'  # it, and the one that asks
            wait_for(lambda: both in self.request(True, "GET", "/metrics")[1], "the request to be under way")
            self.control.let("wait", 1, 1)
            holder.execute("ROLLBACK")
            self.process.send_signal(signal.SIGTERM)
            self.assertIn(self.process.wait(PATIENCE), (0, 1), self.said())
            client.close()
        finally:
            holder.close()
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


class OneLife(Faulty):
    """One daemon that goes through all failures: after each it is what it was before. What it keeps for later requests may grow a
    little, but not with each repetition of the same failure."""

    def descriptors(self):
        """What the daemon has open, sorted."""
        folder = "/proc/%d/fd" % self.process.pid
        found = []
        for name in os.listdir(folder):
            try:
                found.append(os.readlink(os.path.join(folder, name)).split(":[")[0])
            except OSError:
                pass  # closed meanwhile
        return sorted(found)

    def round(self, which, right):
        """All requests, a reload to the file `which`, and all again; ends with every connection closed."""
        self.ask(right)
        self.label(right)
        self.place(which)
        answer = self.request(right, "POST", "/v1/dictionaries/m/reload")
        if right:
            self.assertEqual(answer[0], 200, answer)
        self.ask(right)

    def rests(self):
        """(descriptors, blocks of memory) once they have stopped to change."""
        seen, same = None, 0
        for _ in range(PATIENCE * 50):
            now = (self.descriptors(), self.control.blocks())
            same = same + 1 if now == seen else 0
            seen = now
            if same == 3:
                return now
            time.sleep(0.02)
        return seen

    def test_it_is_what_it_was(self):
        self.place(0)
        self.start(self.build())
        try:
            self.learn()
            self.place(1)
            answer = self.request(True, "POST", "/v1/dictionaries/m/reload")
            self.assertEqual(answer[0], 200, answer)
            self.learn()
            for i in range(4):  # until it has all that it keeps
                self.round(i % 2, right=True)
            self.control.let(None)
            self.round(0, right=True)
            counts = self.control.counts()
            if "RASAE_FAULTS" in os.environ:
                print(counts, file=sys.stderr)
            # One connection to the database changes labels, one looks for the changes of others.
            wait_for(lambda: sum(name.endswith("rasaed.sqlite") for name in self.descriptors()) == 2, "both connections")
            descriptors, highest = self.rests()
            for kind, at, on in self.sites(counts):
                with self.subTest(kind=kind, at=at, on=on):
                    grown = 0
                    while grown < 4:
                        self.control.let(kind, at, on)
                        self.round(1, right=False)
                        self.control.let(None)
                        self.round(0, right=True)
                        self.ready += 1
                        now, blocks = self.rests()
                        self.assertEqual(now, descriptors)
                        if blocks <= highest:
                            break
                        grown, highest = grown + 1, blocks
                    self.assertLess(grown, 4, "memory is lost each time")
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.process.wait(PATIENCE), 0, self.said())
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


if __name__ == "__main__":
    unittest.main()
