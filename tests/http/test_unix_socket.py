"""A socket of the file system in place of a port (server/http/unix_socket.c): who may connect, what is left behind, and
the probe."""

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

from daemon import PATIENCE, PROGRAM, environment, golden, run, wait_for, write_safetensors

GIVEN = "given=" + golden("dict-basic.checkpoint.safetensors")


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)


class UnixSocket(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rasaed-test-")
        self.addCleanup(folder.cleanup)
        self.folder, self.path = folder.name, os.path.join(folder.name, "words.sock")

    def start(self, *arguments, options="", path=None):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            process = subprocess.Popen([PROGRAM, "--listen", "unix:" + (path or self.path) + options, "--dictionary",
                                        GIVEN, *arguments], env=environment(), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=log)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline().decode(), "rasaed: serving unix:%s\n" % (path or self.path))
        return process

    def get(self, target, **headers):
        connection = Connection(self.path)
        connection.request("GET", target, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        return reply.status, body

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
            return file.read()

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)

    def refused(self, code, text, address):
        done = run("--listen", address, "--dictionary", GIVEN)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(text, done.stderr)

    def test_it_serves_and_leaves_nothing(self):
        process = self.start("--max-connections-per-address", "1")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        kept = [Connection(self.path) for _ in range(5)]  # who has no address has no limit of one
        for one in kept:
            one.request("GET", "/v1/dictionaries/given/atoms/1")
            self.assertEqual(one.getresponse().read()[:1], b"{")
            one.close()
        self.assertEqual(self.get("/health/ready")[0], 200)
        wait_for(lambda: " client=unix" in self.log(), "the line of a request")
        self.end(process)
        self.assertFalse(os.path.exists(self.path))

    def test_mode_and_owner(self):
        owner = "%d:%d" % (os.getuid(), os.getgid())
        self.end(self.start(options=",mode=0666,owner=" + owner))
        process = self.start(options=",owner=:%d,mode=660" % os.getgid())
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
        self.end(process)
        for option, text in (("mode=9", "expected an octal number"), ("mode=", "expected an octal number"),
                             ("owner=no-such-user-here", "no user 'no-such-user-here'"),
                             ("owner=:no-such-group", "no group 'no-such-group'"), ("size=3", "nothing that a socket has")):
            self.refused(2, text, "unix:%s,%s" % (self.path, option))

    def test_addresses_that_are_wrong(self):
        self.refused(2, "expected unix:/PATH of at most 107 characters", "unix:")
        self.refused(2, "expected unix:/PATH", "unix:relative")
        self.refused(2, "at most 107 characters", "unix:/" + "x" * 107)
        self.refused(1, "No such file or directory", "unix:%s/no/folder" % self.folder)

    def test_what_is_there_already(self):
        with open(self.path, "wb") as file:
            file.write(b"kept")
        self.refused(1, "no socket", "unix:" + self.path)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), b"kept")
        os.unlink(self.path)
        first = self.start()
        self.refused(1, "another process does", "unix:" + self.path)
        self.assertEqual(self.get("/health/live")[0], 200)
        first.kill()
        first.wait(PATIENCE)
        self.assertTrue(os.path.exists(self.path))  # as a crash leaves it
        second = self.start()
        self.assertEqual(self.get("/health/live")[0], 200)
        self.end(second)

    def test_the_end_leaves_the_socket_of_a_successor(self):
        first = self.start()
        os.unlink(self.path)
        second = self.start()
        self.end(first)
        self.assertEqual(self.get("/health/live")[0], 200)
        self.end(second)

    def test_probe(self):
        process = self.start()
        for url in ("unix:" + self.path, "unix:%s:/health/live" % self.path):
            done = run("--probe", url)
            self.assertEqual((done.returncode, done.stdout), (0, "rasaed: %s is healthy\n" % url), done.stderr)
        self.assertEqual(run("--probe", "unix:%s:/nowhere" % self.path).returncode, 1)
        self.end(process)
        done = run("--probe", "unix:" + self.path)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "does not answer: No such file")

    def test_a_slow_client_is_served_as_long_as_it_reads(self):
        """The kernel does not tell how much the other side of such a socket has read; the pace of a reply is no matter."""
        big = os.path.join(self.folder, "big.safetensors")
        write_safetensors(big, {"dictionary": ([1000, 2000], [0.5] * 2000000)}, {})
        process = self.start("--dictionary", "big=" + big, "--header-seconds", "1")
        connection = Connection(self.path)
        connection.request("GET", "/v1/dictionaries/big/dictionary", headers={"Accept": "application/octet-stream"})
        reply, got, begun = connection.getresponse(), 0, time.monotonic()
        while part := reply.read(200000):
            got += len(part)
            time.sleep(0.1)
        self.assertEqual(got, 8000000)
        self.assertGreater(time.monotonic() - begun, 2.5)  # two rounds of the clock
        connection.close()
        self.end(process)

    def test_half_sent_requests_end(self):
        """The end comes together with the last bytes: the library does not see it."""
        process = self.start("--idle-seconds", "600", "--header-seconds", "600")
        connections = [Connection(self.path) for _ in range(20)]
        for one in connections:
            one.connect()
        wait_for(lambda: b'"connections"} 21' in self.get("/metrics")[1], "the connections")
        process.send_signal(signal.SIGSTOP)
        try:
            for one in connections:
                one.sock.sendall(b"POST /v1/dictionaries/given/reconstruct HTTP/1.1\r\nHost: x\r\n"
                                 b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
                one.sock.shutdown(socket.SHUT_WR)
        finally:
            process.send_signal(signal.SIGCONT)
        wait_for(lambda: b"\nrasaed_requests_in_flight 1\n" in self.get("/metrics")[1], "the requests to end")
        wait_for(lambda: b'"connections"} 1\n' in self.get("/metrics")[1], "their connections to end")
        for one in connections:
            one.close()
        self.end(process)

    def test_beside_an_address_for_administration(self):
        admin = self.path + ".admin"
        process = self.start("--admin-listen", "unix:" + admin + ",mode=0640")
        self.assertEqual(process.stdout.readline().decode(), "rasaed: admin unix:%s\n" % admin)
        connection = Connection(admin)
        connection.request("GET", "/metrics")
        self.assertTrue(re.search(rb"^rasaed_build_info", connection.getresponse().read(), re.M))
        connection.close()
        self.end(process)
        self.assertEqual(sorted(os.listdir(self.folder)), ["log"])


if __name__ == "__main__":
    unittest.main()
