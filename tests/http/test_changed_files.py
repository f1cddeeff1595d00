"""Files that somebody writes in place while they are served (lib/io/{guard,mapping}.c, server/http/careful.c): the daemon
stays, no reply has a wrong byte, and the other dictionary never misses an answer. RASAE_REWRITES is how often the files
are rewritten (default: 60)."""

import array
import http.client
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from daemon import Daemon, wait_for

REWRITES = int(os.environ.get("RASAE_REWRITES", "60"))
K, D, T = 600, 64, 4
MAPPED = ("--private-below", "0")


def content(value, atoms=K, dimensions=D):
    """An artifact whose atoms have this number everywhere."""
    tensors = [("dictionary", "F32", [atoms, dimensions], array.array("f", [value]) * (atoms * dimensions)),
               ("archetypes.index", "I32", [atoms, T], array.array("i", range(T)) * atoms),
               ("archetypes.weight", "F32", [atoms, T], array.array("f", [0.25]) * (atoms * T))]
    header, data = {"__metadata__": {"format": "rasae.fused.v1", "points": "9"}}, b""
    for name, dtype, shape, numbers in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(numbers)]}
        data += numbers.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    return struct.pack("<Q", len(text)) + text + data


def write(path, data):
    """As cp does: shortens the file, then writes it from the start."""
    with open(path, "wb") as file:
        file.write(data)


# Ways to spoil a file in place; each gets the path and its next content.

def copy_over(path, data):
    write(path, data)


def copy_slowly(path, data):
    with open(path, "wb", buffering=0) as file:
        for at in range(0, len(data), len(data) // 4):
            file.write(data[at:at + len(data) // 4])
            time.sleep(0.002)


def overwrite(path, data):
    with open(path, "r+b") as file:
        file.write(data)


def overwrite_and_set_the_time_back(path, data):
    before = os.stat(path)
    overwrite(path, data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def shorten(path, data):
    os.truncate(path, random.choice([0, 4096, len(data) // 2]))
    time.sleep(0.003)


def fill_with_noise(path, data):
    overwrite(path, random.randbytes(len(data)))
    time.sleep(0.003)


WAYS = [copy_over, copy_slowly, overwrite, overwrite_and_set_the_time_back, shorten, fill_with_noise]


class Client(threading.Thread):
    """Asks for one dictionary in turn, until it is stopped, and checks each reply on its own."""

    def __init__(self, daemon, name, seen):
        super().__init__()
        self.daemon_under_test, self.dictionary, self.seen = daemon, name, seen
        self.ended, self.statuses, self.problems = False, {}, []
        self.start()

    def values(self, connection):
        base = "/v1/dictionaries/" + self.dictionary
        which = random.randrange(4)
        if which == 0:
            reply = self.daemon_under_test.get(base + "/dictionary?format=raw", connection=connection)
            return reply, lambda: array.array("f", reply.body)
        if which == 1:
            reply = self.daemon_under_test.get(base + "/atoms?limit=200&fields=vector,archetypes", connection=connection)
            return reply, lambda: [x for atom in reply.json["atoms"] for x in atom["vector"]]
        if which == 2:
            reply = self.daemon_under_test.post(base + "/reconstruct", {"latents": [[1] + [0] * (K - 1)] * 3},
                                                connection=connection)
            return reply, lambda: [x for row in reply.json["reconstructions"] for x in row]
        reply = self.daemon_under_test.post(base + "/search", {"vectors": [[1] + [0] * (D - 1)], "k": 3, "metric": "dot"},
                                            connection=connection)
        return reply, lambda: [match["score"] for match in reply.json["results"][0]]

    def run(self):
        connection = self.daemon_under_test.connect()
        while not self.ended:
            try:
                reply, values = self.values(connection)
            except http.client.IncompleteRead:  # a file that changed while it was sent
                self.statuses["cut"] = self.statuses.get("cut", 0) + 1
                connection.close()
                continue
            except (OSError, http.client.HTTPException) as problem:
                self.problems.append(repr(problem))
                return
            self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
            if reply.status != 200:
                continue
            numbers = set(values())
            if len(numbers) != 1:
                self.problems.append("one reply has %s" % sorted(numbers)[:5])
            tag = reply.headers["ETag"]
            if tag and len(numbers) == 1:
                number = numbers.pop()
                known = self.seen.setdefault((reply.headers["Content-Type"], tag), number)
                if known != number:
                    self.problems.append("the tag %s stands for %s and %s" % (tag, known, number))
        connection.close()

    def end(self):
        self.ended = True
        self.join()


class ChangedFiles(unittest.TestCase):
    def setUp(self):
        random.seed(7)
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path, self.other = (os.path.join(self.folder, name) for name in ("words.safetensors", "other.safetensors"))
        self.keys = os.path.join(self.folder, "keys")
        with open(self.keys, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("admin admin-key-for-tests-0001\n")
        write(self.path, content(1))
        write(self.other, content(7))

    def daemon(self, *more):
        daemon = Daemon("--dictionary", "words=" + self.path, "--dictionary", "other=" + self.other, "--keys", self.keys,
                        *more)
        ask = daemon.request
        admin = {"Authorization": "Bearer admin-key-for-tests-0001"}
        daemon.request = lambda method, path, body=None, headers=(), connection=None: ask(
            method, path, body, {**admin, **dict(headers)}, connection)
        return daemon

    def reload(self, daemon):
        return daemon.post("/v1/dictionaries/words/reload", "")

    def metric(self, daemon, name):
        for line in daemon.get("/metrics").body.decode().splitlines():
            if line.startswith(name):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError("no metric " + name)

    def rewrite_under_load(self, expected, *flags, way_of=lambda i: WAYS[i % len(WAYS)]):
        with self.daemon(*flags) as daemon:
            seen = {}
            clients = [Client(daemon, "words", seen) for _ in range(2)]
            others = [Client(daemon, "other", {}) for _ in range(2)]
            for i in range(REWRITES):
                data = content(2 + i)
                way_of(i)(self.path, data)
                time.sleep(0.004)
                write(self.path, data)
                reply = self.reload(daemon)
                self.assertEqual(reply.status, 200, reply.body)
            for client in clients + others:
                client.end()
            for client in clients + others:
                self.assertEqual(client.problems, [])
            for client in others:
                self.assertEqual(list(client.statuses), [200])
                self.assertGreater(client.statuses[200], REWRITES / 4)
            for client in clients:
                self.assertLessEqual(set(client.statuses), expected, client.statuses)
                self.assertIn(200, client.statuses)
            self.assertEqual(set(daemon.get("/v1/dictionaries/words/atoms/3").json["vector"]), {1 + REWRITES})
            return sum(client.statuses.get(503, 0) for client in clients)

    def test_a_mapped_file_is_rewritten_under_load(self):
        self.assertGreater(self.rewrite_under_load({200, 503, "cut"}, *MAPPED), 0)

    def test_a_private_file_is_rewritten_under_load(self):
        self.rewrite_under_load({200})

    def test_a_lost_dictionary_is_503_named_and_reloaded(self):
        with self.daemon(*MAPPED) as daemon:
            os.truncate(self.path, 4096)
            for path in ("/v1/dictionaries/words/atoms?limit=500", "/v1/dictionaries/words", "/v2/models/words/ready"):
                reply = daemon.get(path)
                self.assertEqual(reply.status, 503, path)
                self.assertIn("dictionary words is not available: its file was changed while it was served",
                              reply.json["error"])
                self.assertNotIn(self.folder, reply.json["error"])
            source = {"model": "m", "source": "words", "index": 1}
            self.assertEqual(daemon.post("/v1/util/sae-vector", source).status, 503)
            self.assertEqual(daemon.get("/v1/dictionaries/other/atoms/1").status, 200)
            self.assertEqual(daemon.log().count("dictionary words: generation 1 is given up, load it again: " + self.path), 1)
            self.assertEqual(self.metric(daemon, 'rasaed_dictionary_losses_total{dictionary="words"}'), 1)
            self.assertEqual(self.metric(daemon, 'rasaed_dictionary_ready{dictionary="words"}'), 0)
            self.assertEqual(self.metric(daemon, 'rasaed_dictionary_ready{dictionary="other"}'), 1)
            self.assertEqual([one["name"] for one in daemon.get("/v1/dictionaries").json["dictionaries"]], ["other"])
            index = daemon.post("/v2/repository/index", "{}").json[0]
            self.assertEqual((index["name"], index["state"]), ("words", "UNAVAILABLE"))
            self.assertRegex(index["reason"], r"^words\.safetensors was ")
            reply = self.reload(daemon)  # the file is still short
            self.assertEqual(reply.status, 422)
            self.assertIn("was not reloaded and is not available", reply.json["error"])
            write(self.path, content(5))
            self.assertEqual(self.reload(daemon).json["generation"], 2)
            self.assertEqual(set(daemon.get("/v1/dictionaries/words/atoms/1").json["vector"]), {5})

    def test_a_reload_that_fails_says_why_and_not_that_the_old_one_is_lost(self):
        with self.daemon(*MAPPED) as daemon, open(self.path, "r+b", buffering=0) as file:
            file.write(content(4))  # nobody has asked since
            reply = self.reload(daemon)
            self.assertEqual((reply.status, reply.json["code"]), (409, "file_unreadable"), reply.body)
            self.assertRegex(reply.json["error"],
                             "was not reloaded and is not available: words.safetensors (is open for writing|was written)")
            self.assertEqual(daemon.get("/v1/dictionaries/words").status, 503)
            file.close()
            self.assertEqual(self.reload(daemon).status, 200)
            self.assertEqual(set(daemon.get("/v1/dictionaries/words/atoms/1").json["vector"]), {4})

    def test_what_is_private_stays_as_it_was(self):
        with self.daemon() as daemon:
            before = daemon.get("/v1/dictionaries/words/dictionary?format=raw")
            for way in WAYS:
                way(self.path, content(9))
                after = daemon.get("/v1/dictionaries/words/dictionary?format=raw")
                self.assertEqual((after.status, after.body, after.headers["ETag"]),
                                 (200, before.body, before.headers["ETag"]))

    def test_a_new_name_mode_or_time_costs_nothing(self):
        with self.daemon(*MAPPED) as daemon:
            for change in (lambda: os.chmod(self.path, 0o600), lambda: os.utime(self.path),
                           lambda: os.link(self.path, self.path + ".link"), lambda: os.remove(self.path + ".link"),
                           lambda: os.remove(self.path)):
                change()
                self.assertEqual(set(daemon.get("/v1/dictionaries/words/atoms/1").json["vector"]), {1})

    def test_watching_brings_a_lost_dictionary_back(self):
        with self.daemon(*MAPPED, "--watch") as daemon:
            overwrite(self.path, content(4))
            self.assertEqual(daemon.get("/v1/dictionaries/words/atoms/1").status, 503)
            wait_for(lambda: daemon.get("/v1/dictionaries/words/atoms/1").status == 200, "the reload")
            self.assertEqual(set(daemon.get("/v1/dictionaries/words/atoms/1").json["vector"]), {4})

    def send_and_change(self, way, *flags):
        """The part of a large dictionary that a client gets that reads the rest after the change."""
        large = content(3, 16384, 256)
        write(self.path, large)
        with self.daemon(*MAPPED, *flags) as daemon:
            connection = daemon.connect()
            connection.request("GET", "/v1/dictionaries/words/dictionary?format=raw",
                               headers={"Authorization": "Bearer admin-key-for-tests-0001"})
            reply = connection.getresponse()
            self.assertEqual(int(reply.headers["Content-Length"]), 4 * 16384 * 256)
            got = reply.read(1 << 16)
            way(self.path, content(8, 16384, 256))
            try:
                got += reply.read()
            except (http.client.IncompleteRead, ConnectionError) as cut:
                got += getattr(cut, "partial", b"")
            connection.close()
            self.assertEqual(daemon.get("/v1/dictionaries/words").status, 503)
            return got

    def test_a_dictionary_that_changes_while_it_is_sent_is_cut(self):
        for way in (overwrite, overwrite_and_set_the_time_back, shorten):
            got = self.send_and_change(way)
            self.assertLess(len(got), 4 * 16384 * 256, way)
            self.assertEqual(set(array.array("f", got[:len(got) // 4 * 4])), {3}, way)

    def test_the_same_over_https(self):
        files = [os.path.join(self.folder, name) for name in ("cert.pem", "key.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "1", "-subj", "/CN=localhost", "-out", files[0], "-keyout", files[1]], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        got = self.send_and_change(overwrite, "--tls-certificate", files[0], "--tls-key", files[1])
        self.assertLess(len(got), 4 * 16384 * 256)
        self.assertEqual(set(array.array("f", got[:len(got) // 4 * 4])), {3})

    def test_ranges_of_a_mapped_dictionary(self):
        with self.daemon(*MAPPED) as daemon:
            path = "/v1/dictionaries/words/dictionary"
            whole = daemon.get(path).body
            for first, last in ((0, 9), (100, 1000), (len(whole) - 5, len(whole) - 1), (3, 90000)):
                part = daemon.get(path, headers={"Range": "bytes=%d-%d" % (first, last)})
                self.assertEqual((part.status, part.body), (206, whole[first:last + 1]))
            self.assertEqual(daemon.request("HEAD", path).headers["Content-Length"], str(len(whole)))
            tag = daemon.get(path).headers["ETag"]
            self.assertEqual(daemon.get(path, headers={"If-None-Match": tag}).status, 304)


if __name__ == "__main__":
    unittest.main()
