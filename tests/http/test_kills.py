"""A daemon that is stopped or killed at any moment (server/{stop,daemon}.c, server/state/store.c, lib/io/atomic_file.c): SIGTERM loses nothing
that was accepted, SIGKILL nothing that was promised. RASAE_KILLS says how often each (200 in make check-kills)."""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import test_http_table
from daemon import PATIENCE, TOP, Daemon, environment, golden

KILLS = int(os.environ.get("RASAE_KILLS", "6"))
SOURCE = golden("dict-basic.checkpoint.safetensors")
RASAE = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"), "rasae")
KEY = {"Authorization": "Bearer " + "k" * 32}
BODY, TARGET = test_http_table.BODY, test_http_table.TARGET.decode().replace("basic", "m")
REQUEST = ("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
           % (TARGET, len(BODY))).encode() + BODY


def one_reply(connection):
    """The bytes of one reply, or what came of it before the end."""
    data = b""
    while True:
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank:
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            if len(body) >= length:
                return data, True
        part = connection.recv(65536)
        if not part:
            return data, False
        data += part


class Stopped(unittest.TestCase):
    def strangers(self, daemon, whole, lost, done):
        """A connection per request: accepted, it is answered."""
        while True:
            try:
                connection = socket.create_connection(daemon.address, timeout=PATIENCE)
            except ConnectionRefusedError:
                return
            except OSError as problem:
                lost.append("connect: %s" % problem)
                return
            with connection:
                try:
                    connection.sendall(REQUEST)
                    data, complete = one_reply(connection)
                except ConnectionResetError:
                    # It was in the queue of the kernel when the listening socket closed: nobody had accepted it.
                    data, complete = b"", False
                if complete and whole not in data and b" 503 " not in data[:16]:
                    lost.append("another answer: %r" % data[:300])
                elif not complete and (data or not done.is_set()):
                    lost.append("cut off: %r" % data[:300])

    def keepers(self, daemon, whole, lost, done):
        """One connection for all: an answer that was begun is whole. Some time after an answer (HTTP_NEXT_REQUEST_US) the server may close
        it, and a request that crosses that has no answer, which every client of HTTP has to expect (RFC 9112, 9.3.1)."""
        with socket.create_connection(daemon.address, timeout=PATIENCE) as connection:
            last = False
            while not last:
                try:
                    connection.sendall(REQUEST)
                    data, complete = one_reply(connection)
                except (ConnectionResetError, BrokenPipeError):
                    data, complete = b"", False
                if not complete:
                    if data or not done.is_set():
                        lost.append("cut off: %r" % data[:300])
                    return
                if whole not in data and b" 503 " not in data[:16]:
                    lost.append("another answer: %r" % data[:300])
                last = b"connection: close" in data.lower()

    def test_a_client_that_goes_on_has_an_answer_that_ends_its_connection(self):
        grace = 0.2  # HTTP_NEXT_REQUEST_US
        for _ in range(KILLS):
            with Daemon("--dictionary", "m=" + SOURCE, "--log-level", "error") as daemon:
                with socket.create_connection(daemon.address, timeout=PATIENCE) as connection:
                    connection.sendall(REQUEST)
                    asked = time.monotonic()
                    _, complete = one_reply(connection)
                    self.assertTrue(complete)
                    daemon.send(signal.SIGTERM)
                    time.sleep(grace / 4)  # it is stopping by now
                    try:
                        connection.sendall(REQUEST)
                        in_time = time.monotonic() - asked < grace
                        data, complete = one_reply(connection)
                    except (ConnectionResetError, BrokenPipeError):
                        in_time, data, complete = time.monotonic() - asked < grace, b"", False
                    if in_time:  # as seen from here, so it is from there
                        self.assertTrue(complete, data)
                        self.assertIn(b"connection: close", data.lower())
                self.assertEqual(daemon.process.wait(PATIENCE), 0)

    def test_sigterm_loses_nothing_that_was_accepted(self):
        moments = random.Random(1)
        for turn in range(KILLS):
            lost, done = [], threading.Event()
            with Daemon("--dictionary", "m=" + SOURCE, "--log-level", "error") as daemon:
                whole = daemon.post(TARGET, BODY).body
                clients = [threading.Thread(target=who, args=(daemon, whole, lost, done))
                           for who in (self.strangers, self.strangers, self.keepers, self.keepers)]
                for client in clients:
                    client.start()
                time.sleep(moments.uniform(0.01, 0.1))
                done.set()
                started = time.monotonic()
                self.assertEqual(daemon.stop(), 0)
                self.assertLess(time.monotonic() - started, 30)
                for client in clients:
                    client.join(PATIENCE)
                    self.assertFalse(client.is_alive())
            self.assertEqual(lost, [], "turn %d" % turn)


class Killed(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-kills-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.keys = self.path("keys")
        with open(self.keys, "w", encoding="ascii") as file:
            file.write("admin " + "k" * 32 + "\n")
        os.chmod(self.keys, 0o600)

    def path(self, name):
        return os.path.join(self.folder, name)

    def daemon(self):
        return Daemon("--dictionary", "m=" + SOURCE, "--keys", self.keys, "--state", self.path("state"), "--log-level", "error")

    def put(self, daemon, atoms, confirmed, tried):
        """Labels of these atoms, one after another, until the daemon is gone."""
        connection, turn = daemon.connect(), 0
        while True:
            for atom in atoms:
                turn += 1
                words = "label %d of %d" % (turn, atom)
                tried[atom] = words
                try:
                    reply = daemon.request("PUT", "/v1/dictionaries/m/atoms/%d/label" % atom, json.dumps({"label": words}),
                                           headers=KEY, connection=connection)
                except (OSError, http.client.HTTPException):  # the latter of a reply that was cut
                    connection.close()
                    return
                if reply.status == 200:
                    confirmed[atom] = words

    def test_sigkill_loses_no_label_that_was_confirmed(self):
        moments, confirmed, tried = random.Random(2), {}, {}
        for turn in range(KILLS):
            daemon = self.daemon()
            try:
                for atom, words in confirmed.items():
                    label = daemon.get("/v1/dictionaries/m/atoms/%d" % atom, headers=KEY).json["label"]
                    self.assertIn(label, (words, tried[atom]), "turn %d" % turn)
                    confirmed[atom] = tried[atom] = label
                writers = [threading.Thread(target=self.put, args=(daemon, atoms, confirmed, tried))
                           for atoms in ((1, 2, 3), (11, 12, 13))]
                for writer in writers:
                    writer.start()
                time.sleep(moments.uniform(0.005, 0.08))
                daemon.process.kill()
                daemon.process.wait()
                for writer in writers:
                    writer.join(PATIENCE)
            finally:
                daemon.kill()
                shutil.rmtree(daemon.folder, ignore_errors=True)
        self.assertGreater(len(confirmed), 0)

    def test_sigkill_of_eval_leaves_the_old_file_or_the_new_one(self):
        model, data, saved = self.path("m.safetensors"), self.path("x.npy"), self.path("saved.safetensors")
        numbers = random.Random(3)
        values = b"".join(struct.pack("<f", numbers.random()) for _ in range(4000 * 16))
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000, 16), }"
        head += b" " * (-(len(head) + 11) % 64) + b"\n"
        with open(data, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + values)
        self.run_rasae("fuse", golden("topk-mse.final.safetensors"), "-o", model)
        command = [RASAE, "eval", model, data, "--save", saved, "--json"]
        started = time.monotonic()
        self.run_rasae(*command[1:])
        length = time.monotonic() - started
        with open(saved, "rb") as file:
            new = file.read()
        with open(model, "rb") as file:
            old = file.read()
        moments, seen = random.Random(4), {"old": 0, "new": 0}
        for turn in range(KILLS):
            shutil.copy(model, saved)
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
                time.sleep(moments.uniform(0, 1.2 * length))
                process.kill()
            with open(saved, "rb") as file:
                now = file.read()
            self.assertIn(now, (old, new), "turn %d: neither the old file nor the new one" % turn)
            seen["old" if now == old else "new"] += 1
            for name in os.listdir(self.folder):  # what the killed process could not remove
                if name.startswith("."):
                    os.unlink(self.path(name))
        self.assertEqual(sum(seen.values()), KILLS)

    def run_rasae(self, *arguments):
        done = subprocess.run([RASAE, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=environment())
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
