"""Dictionaries that change while they serve (server/serving/registry): 10,000 requests during 50 reloads, watched files,
and folders that grow."""

import json
import math
import os
import shutil
import signal
import tempfile
import threading
import time
import unittest

from daemon import Daemon, golden, read_safetensors, wait_for, write_safetensors

BASIC = golden("dict-basic.checkpoint.safetensors")
REQUESTS, RELOADS, CLIENTS = 10000, 50, 4
ADMIN = {"Authorization": "Bearer admin-key-for-tests-0001"}


class Reload(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.keys = os.path.join(self.folder, "keys")
        with open(self.keys, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("admin admin-key-for-tests-0001\n")
        self.files = os.path.join(self.folder, "files")
        os.mkdir(self.files)
        self.tensors, self.metadata = read_safetensors(BASIC)
        self.path = self.file("words")
        self.store(1)

    def file(self, name):
        return os.path.join(self.files, name + ".safetensors")

    def store(self, scale, path=None):
        """The golden dictionary times `scale`, so that every atom differs."""
        (shape, (multiplier,)) = self.tensors["dictionary.multiplier"]
        changed = dict(self.tensors)
        changed["dictionary.multiplier"] = (shape, [multiplier + math.log(scale)])
        write_safetensors(path or self.path, changed, self.metadata)

    def body(self):
        """A request for every atom at once: all must come from one dictionary."""
        latents = self.tensors["dictionary.W"][0][0]
        return json.dumps({"inputs": [{"name": "latents", "datatype": "FP32", "shape": [1, latents],
                                       "data": [1] * latents}]})

    def request(self, padding):
        """A request as bytes. Padding makes it heavy, so that a compute thread answers it."""
        body = self.body() + " " * padding
        return ("POST /v2/models/words/infer HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d"
                "\r\n\r\n%s" % (ADMIN["Authorization"], len(body), body)).encode()

    def infer(self, daemon, connection=None):
        reply = daemon.request("POST", "/v2/models/words/infer", self.body(), ADMIN, connection=connection)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json["model_version"], reply.json["outputs"][0]["data"]

    def version(self, daemon, name="words"):
        reply = daemon.get("/v2/models/" + name, headers=ADMIN)
        return reply.json["versions"][0] if reply.status == 200 else None

    def load(self, daemon, status=200):
        reply = daemon.request("POST", "/v2/repository/models/words/load", b"{}", ADMIN)
        self.assertEqual(reply.status, status, reply.body)

    def wait_for_version(self, daemon, version, name="words"):
        wait_for(lambda: self.version(daemon, name) == version, "version %s of %s" % (version, name))

    # ---- under load

    def test_10000_requests_during_50_reloads(self):
        with Daemon("--dictionary", "words=" + self.path, "--keys", self.keys, "--threads", "2",
                    "--log-level", "warning") as daemon:
            answers = [self.infer(daemon)[1]]
            self.store(4)
            self.load(daemon)
            answers.append(self.infer(daemon)[1])
            for one, other in zip(*answers):
                self.assertNotEqual(one, other)
            requests = [self.request(0), self.request(0), self.request(0), self.request(200000)]
            done, stop, faults = [0] * CLIENTS, threading.Event(), []

            def ask(stream, connection, number):
                connection.sendall(requests[number])
                status = stream.readline()
                size = 0
                while (line := stream.readline().strip()):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        size = int(value)
                reply = stream.read(size)
                if b" 200 " not in status:
                    return "%r %r" % (status, reply)
                reply = json.loads(reply)
                expected = answers[(int(reply["model_version"]) + 1) % 2]
                return None if reply["outputs"][0]["data"] == expected else "mixed: %r" % reply

            def client(number):
                try:
                    with daemon.socket() as connection, connection.makefile("rb") as stream:
                        while not stop.is_set() and not faults:
                            fault = ask(stream, connection, number)
                            if fault:
                                faults.append(fault)
                            done[number] += 1
                except (OSError, ValueError) as error:
                    faults.append("client %d: %r" % (number, error))

            threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
            for thread in threads:
                thread.start()
            try:
                for reload in range(RELOADS):
                    before = sum(done)
                    self.store((1, 4)[reload % 2])
                    if reload % 5:
                        self.load(daemon)
                    else:
                        daemon.send(signal.SIGHUP)
                        self.wait_for_version(daemon, str(reload + 3))
                    wait_for(lambda: faults or sum(done) >= before + REQUESTS // RELOADS, "the clients")
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            self.assertEqual(faults, [])
            self.assertGreaterEqual(sum(done), REQUESTS)
            self.assertEqual(self.version(daemon), str(RELOADS + 2))

    def test_unload_and_load_under_requests_is_200_or_404(self):
        with Daemon("--dictionary", "words=" + self.path, "--keys", self.keys) as daemon:
            expected = self.infer(daemon)[1]
            stop, faults, seen = threading.Event(), [], set()

            def client():
                connection = daemon.connect()
                while not stop.is_set():
                    reply = daemon.request("POST", "/v2/models/words/infer", self.body(), ADMIN,
                                           connection=connection)
                    seen.add(reply.status)
                    good = reply.json["outputs"][0]["data"] == expected if reply.status == 200 \
                        else reply.status == 404
                    if not good:
                        faults.append(reply.body)
                connection.close()

            threads = [threading.Thread(target=client) for _ in range(2)]
            for thread in threads:
                thread.start()
            for i in range(40):
                verb = ("unload", "load")[i % 2]
                reply = daemon.request("POST", "/v2/repository/models/words/" + verb, b"{}", ADMIN)
                self.assertEqual(reply.status, 200)
                time.sleep(0.01)
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(faults, [])
            self.assertIn(200, seen)

    # ---- watching

    def test_a_watched_file_is_taken_when_it_changes(self):
        with Daemon("--dictionary", "words=" + self.path, "--watch") as daemon:
            before = self.infer(daemon)[1]
            self.store(4)
            self.wait_for_version(daemon, "2")
            self.assertNotEqual(self.infer(daemon)[1], before)
            with open(self.path + ".new", "wb") as file:
                file.write(b"not a dictionary")
            os.replace(self.path + ".new", self.path)
            wait_for(lambda: "not reloaded" in daemon.log(), "the log")
            self.assertEqual(self.version(daemon), "2")
            self.store(1)
            self.wait_for_version(daemon, "3")
            self.assertEqual(self.infer(daemon)[1], before)
            self.assertEqual(daemon.log().count("not reloaded"), 1)  # a bad file is tried once
            os.unlink(self.path)
            time.sleep(1.5)
            self.assertEqual(self.version(daemon), "3")

    def test_a_file_is_left_alone_while_it_is_written(self):
        self.store(2, self.file("late.tmp"))
        with open(self.file("late.tmp"), "rb") as file:
            content = file.read()
        os.unlink(self.file("late.tmp"))
        with Daemon("--dictionary-dir", self.files, "--watch") as daemon:
            step = len(content) // 25 + 1
            with open(self.file("late"), "wb") as file:
                for at in range(0, len(content), step):
                    file.write(content[at:at + step])
                    file.flush()
                    time.sleep(0.06)
            self.wait_for_version(daemon, "1", "late")
            self.assertNotIn("not loaded", daemon.log())
            self.assertEqual(self.version(daemon), "1")

    def test_without_watching_nothing_is_taken(self):
        with Daemon("--dictionary-dir", self.files) as daemon:
            self.store(4)
            self.store(1, self.file("late"))
            time.sleep(1.5)
            self.assertEqual(self.version(daemon), "1")
            self.assertIsNone(self.version(daemon, "late"))
            daemon.send(signal.SIGHUP)
            self.wait_for_version(daemon, "2")
            self.wait_for_version(daemon, "1", "late")

    def test_what_was_unloaded_stays_so(self):
        with Daemon("--dictionary-dir", self.files, "--watch", "--keys", self.keys) as daemon:
            reply = daemon.request("POST", "/v2/repository/models/words/unload", b"", ADMIN)
            self.assertEqual(reply.status, 200)
            self.store(4)
            self.store(1, self.file("late"))
            daemon.send(signal.SIGHUP)
            self.wait_for_version(daemon, "1", "late")
            time.sleep(1.2)
            self.assertIsNone(self.version(daemon))
            self.load(daemon)
            self.assertEqual(self.version(daemon), "2")


if __name__ == "__main__":
    unittest.main()
