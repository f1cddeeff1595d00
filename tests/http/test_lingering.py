"""Answers that are given before the body is read (server/http/{lingering,past}.c): the client gets them although it goes
on sending, over http and https, with a length and in chunks; and it cannot go on for ever."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from daemon import PATIENCE, Daemon, golden, read_all, wait_for

KEY = "k" * 32
BASIC = "/v1/dictionaries/basic"
JSON = {"Content-Type": "application/json", "Authorization": "Bearer " + KEY}
REFUSED = ((401, BASIC + "/reconstruct", {"Content-Type": "application/json"}), (404, "/nothing", JSON),
           (405, BASIC, JSON), (413, BASIC + "/reconstruct", JSON),
           (415, BASIC + "/reconstruct", {**JSON, "Content-Type": "text/csv"}))
SIZES = (300000, 3 << 20, 24 << 20)


def connections(daemon, state):
    """What /metrics says."""
    name = 'rasaed_connections{address="main",state="%s"} ' % state
    line, = (line for line in daemon.get("/metrics").body.decode().splitlines() if line.startswith(name))
    return int(line[len(name):])


class Lingering(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        keys = os.path.join(cls.folder, "keys")
        with open(keys, "w", encoding="ascii") as file:
            file.write("admin %s\n" % KEY)
        os.chmod(keys, 0o600)
        cls.given = ("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys,
                     "--max-body", "200000", "--threads", "2")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def certificate(self):
        paths = [os.path.join(self.folder, name) for name in ("certificate", "key")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "1", "-subj", "/CN=localhost", "-out", paths[0], "-keyout", paths[1]],
                       check=True, capture_output=True, timeout=PATIENCE)
        return ("--tls-certificate", paths[0], "--tls-key", paths[1])

    def sends_everything_first(self, daemon):
        """A client that reads nothing before it has sent everything, as Python's own and many others."""
        for status, path, headers in REFUSED:
            for size in SIZES:
                for chunked in (False, True):
                    connection = daemon.connect()
                    body = iter([b" " * 65536] * (size // 65536)) if chunked else b" " * size
                    connection.request("POST", path, body, headers, encode_chunked=chunked)
                    reply = connection.getresponse()
                    self.assertEqual(reply.status, status, (path, size, chunked))
                    self.assertTrue(reply.headers["X-Request-Id"])
                    self.assertIn(b'"error"', reply.read())
                    connection.close()

    def test_a_client_that_sends_everything_first_gets_the_answer(self):
        with Daemon(*self.given) as daemon:
            self.sends_everything_first(daemon)
            wait_for(lambda: connections(daemon, "lingering") == 0, "the connections to end")

    def test_the_same_with_tls(self):
        with Daemon(*self.given, *self.certificate()) as daemon:
            self.sends_everything_first(daemon)

    def test_what_comes_behind_the_last_request_does_not_cost_its_answer(self):
        request = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with Daemon(*self.given) as daemon:
            for _ in range(20):
                with daemon.socket() as connection:
                    connection.sendall(request + b"x" * 200000)
                    time.sleep(0.02)
                    self.assertIn(b'"live"', read_all(connection))

    def forever(self, connection, seconds):
        """Sends until the connection ends; returns after how long, and how many bytes were taken."""
        piece, begun, sent = b" " * 65536, time.monotonic(), 0
        connection.settimeout(1)
        while time.monotonic() - begun < seconds:
            try:
                sent += connection.send(piece)
            except socket.timeout:
                continue
            except OSError:
                break
        return time.monotonic() - begun, sent

    def test_a_client_that_sends_for_ever_is_cut_off_and_costs_nothing(self):
        head = (b"POST " + BASIC.encode() + b"/reconstruct HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000000000000\r\n\r\n")
        with Daemon(*self.given) as daemon:
            with daemon.socket() as connection:
                connection.sendall(head)
                self.assertIn(b"HTTP/1.1 401 ", connection.recv(4096))
                took, sent = self.forever(connection, PATIENCE)
                self.assertLess(took, 20)
                self.assertLess(sent, 400 << 20)
            self.assertEqual(daemon.get("/health/live").status, 200)
            resident = [line for line in daemon.get("/metrics", headers=JSON).body.decode().splitlines()
                        if line.startswith("process_resident_memory_bytes ")]
            self.assertLess(float(resident[0].split()[1]), 2e9)

    def test_a_client_that_falls_silent_is_forgotten(self):
        head = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
        with Daemon(*self.given) as daemon:
            silent = [daemon.socket() for _ in range(200)]
            for one in silent:
                one.sendall(head)
            for one in silent:
                self.assertIn(b"HTTP/1.1 404 ", read_all(one))  # and the server's end, at once
            wait_for(lambda: connections(daemon, "lingering") == 0, "the connections to end")
            for one in silent:
                one.close()

    def test_a_stop_does_not_wait_for_them(self):
        with Daemon(*self.given) as daemon:
            with daemon.socket() as one:
                one.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
                self.assertIn(b"HTTP/1.1 404 ", read_all(one))
                begun = time.monotonic()
                self.assertEqual(daemon.stop(), 0)
                self.assertLess(time.monotonic() - begun, 2.5)


if __name__ == "__main__":
    unittest.main()
