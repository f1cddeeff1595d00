"""Who the client is behind a trusted proxy, in the log and for the limit per client
(server/http/{proxies,forwarded,clients}.c). tests/deploy/check_proxy.py has real proxies."""

import json
import os
import socket
import subprocess
import tempfile
import unittest

from daemon import PATIENCE, PROGRAM, Daemon, environment, golden, read_all, run, wait_for

GIVEN = "given=" + golden("dict-basic.checkpoint.safetensors")
BASIC = "/v1/dictionaries/given"


def start(*arguments, log="json"):
    return Daemon("--dictionary", GIVEN, "--log-format", log, *arguments)


class Proxies(unittest.TestCase):
    def lines(self, daemon, wanted):
        """The lines of requests, once there are so many."""
        def found():
            lines = [json.loads(line) for line in daemon.log().splitlines()]
            return [line for line in lines if line["message"] == "request"]
        wait_for(lambda: len(found()) >= wanted, "%d requests in the log" % wanted)
        return found()

    def names(self, daemon, *requests):
        """[(client, peer), ...] that the log has for requests with these headers, each a list of pairs."""
        connection = daemon.connect()
        before = len([line for line in daemon.log().splitlines() if '"request"' in line])
        for headers in requests:
            connection.putrequest("GET", BASIC)
            for one in headers:
                connection.putheader(*one)
            connection.endheaders()
            reply = connection.getresponse()
            self.assertEqual((reply.status, reply.read()[:1]), (200, b"{"))
        connection.close()
        return [(line["client"], line.get("peer")) for line in self.lines(daemon, before + len(requests))[before:]]

    def test_the_log_has_the_client_and_the_peer(self):
        x, standard = "X-Forwarded-For", "Forwarded"
        with start("--trusted-proxy", "10.0.0.0/8", "--trusted-proxy=127.0.0.1") as daemon:
            self.assertEqual(
                self.names(daemon, [], [(x, "203.0.113.9")], [], [(x, "192.0.2.1, 203.0.113.9, 10.0.0.7")],
                           [(x, "192.0.2.1"), (x, "203.0.113.9")], [(standard, 'for="[2001:db8::1]:4711"')],
                           [(standard, "for=192.0.2.1"), (x, "203.0.113.9")], [(x, "unknown, 10.0.0.7")],
                           [(x, "unknown")]),
                [("127.0.0.1", None), ("203.0.113.9", "127.0.0.1"), ("127.0.0.1", None),
                 ("203.0.113.9", "127.0.0.1"), ("203.0.113.9", "127.0.0.1"), ("2001:db8::1", "127.0.0.1"),
                 ("203.0.113.9", "127.0.0.1"), ("10.0.0.7", "127.0.0.1"), ("127.0.0.1", None)])
            self.assertNotIn("not known", daemon.log())
            daemon.says("1 requests whose client is 203.0.113.9 by X-Forwarded-For, which is believed, and 192.0.2.1 by")

    def test_others_are_not_believed(self):
        for trusted in ((), ("--trusted-proxy", "10.0.0.0/8"), ("--trusted-proxy", "unix")):
            with start(*trusted) as daemon:
                self.assertEqual(self.names(daemon, [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=192.0.2.1")]),
                                 [("127.0.0.1", None)])

    def test_what_cannot_be_read_is_told_once(self):
        with start("--trusted-proxy", "127.0.0.1", log="text") as daemon:
            for value in ("203.0.113.9:http", 'a"b\\', "_", "\xff"):
                reply = daemon.get(BASIC, headers={"X-Forwarded-For": value})
                self.assertEqual(reply.status, 200)
            wait_for(lambda: daemon.log().count(" client=127.0.0.1") == 4, "four requests in the log")
            self.assertEqual(daemon.log().count("is no address; the nearest known address stands for them"), 1)
            self.assertIn("in the header X-Forwarded-For from the trusted proxy 127.0.0.1, '203.0.113.9:http'", daemon.log())

    def test_a_refused_head_names_nobody(self):
        """What the proxy added may stand after the place where reading ended."""
        with start("--trusted-proxy", "127.0.0.1") as daemon:
            daemon.raw(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nHost: y\r\n"
                       b"X-Forwarded-For: 203.0.113.9\r\n\r\n")
            line = self.lines(daemon, 1)[0]
            self.assertEqual((line["status"], line["client"], line.get("peer")), (400, "127.0.0.1", None))

    def test_a_socket_of_the_file_system(self):
        with tempfile.TemporaryDirectory(prefix="rasaed-test-") as folder:
            path, log = os.path.join(folder, "words.sock"), os.path.join(folder, "log")
            with open(log, "wb") as out:
                process = subprocess.Popen([PROGRAM, "--listen", "unix:" + path, "--trusted-proxy=unix", "--dictionary",
                                            GIVEN], env=environment(), stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=out)
            try:
                self.assertIn(b"serving", process.stdout.readline())
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(path)
                    connection.sendall(b"GET /v1/dictionaries HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                       b"X-Forwarded-For: 203.0.113.9, unix:\r\n\r\n")
                    self.assertIn(b" 200 ", read_all(connection))
                process.terminate()
                self.assertEqual(process.wait(PATIENCE), 0)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            with open(log, encoding="utf-8") as file:
                self.assertIn(" client=203.0.113.9 peer=unix", file.read())

    # ---- the limit

    def begin(self, daemon, client):
        """A request of this client that is under way until its connection is closed."""
        connection = daemon.socket()
        connection.sendall(b"POST %s/reconstruct HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\nContent-Length: 100\r\n\r\n{"
                           % (BASIC.encode(), client.encode()))
        return connection

    def status(self, daemon, client, path=BASIC, connection=None):
        reply = daemon.get(path, headers={"X-Forwarded-For": client}, connection=connection)
        if reply.status == 429:
            self.assertEqual(reply.headers["Retry-After"], "1")
            self.assertIn("this client has too many requests under way", reply.json["error"])
        return reply.status

    def wait_for_requests(self, daemon, count):
        line = b'\nrasaed_resource_used{resource="requests"} %d\n' % count
        wait_for(lambda: line in daemon.get("/metrics").body, "%d requests under way" % count)

    def test_each_client_has_its_own_limit(self):
        with start("--trusted-proxy", "127.0.0.1", "--max-connections-per-address", "3", log="text") as daemon:
            held = [self.begin(daemon, "192.0.2.1") for _ in range(3)]
            self.wait_for_requests(daemon, 3)
            self.assertEqual(self.status(daemon, "192.0.2.1"), 429)
            self.assertEqual(self.status(daemon, "192.0.2.2"), 200)
            self.assertEqual(self.status(daemon, "192.0.2.1, 10.0.0.1"), 200)  # 10.0.0.1 is the client here
            self.assertEqual(self.status(daemon, "192.0.2.1", "/health/live"), 200)
            with self.begin(daemon, "192.0.2.1") as more:  # refused by its head, and the connection goes on
                more.sendall(b" " * 99)
                self.assertIn(b" 429 ", more.recv(65536))
                more.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b" 200 ", more.recv(65536))
            held.pop().close()
            self.wait_for_requests(daemon, 2)
            kept = daemon.connect()
            for _ in range(20):  # each gives its place back
                self.assertEqual(self.status(daemon, "192.0.2.1", connection=kept), 200)
            kept.close()
            daemon.says("requests answered 429: 192.0.2.1")
            self.assertEqual(daemon.log().count("requests answered 429: 192.0.2.1, behind a proxy, has the 3"), 1)
            for one in held:
                one.close()

    def test_a_proxy_itself_has_no_limit(self):
        with start("--trusted-proxy", "127.0.0.1", "--max-connections-per-address", "1") as daemon:
            many = [daemon.connect() for _ in range(10)]
            for one in many:
                self.assertEqual(daemon.get(BASIC, connection=one).status, 200)
            held = [self.begin(daemon, "127.0.0.1") for _ in range(3)]
            self.wait_for_requests(daemon, 3)
            self.assertEqual(self.status(daemon, "127.0.0.1"), 200)
            for one in many + held:
                one.close()
            self.assertNotIn("refused", daemon.log())

    # ---- settings

    def test_what_is_no_network_does_not_start(self):
        for value, message in (("10.1.0.0/8", "did you mean 10.0.0.0/8?"), ("proxy.example", "no address or network"),
                               ("10.0.0.0/8,192.0.2.1", "expected a number from 0 to 32 after the slash")):
            done = run("--dictionary", GIVEN, "--check-config", "--trusted-proxy", value)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--trusted-proxy", done.stderr)
            self.assertIn(message, done.stderr)

    def test_from_the_environment(self):
        done = run("--dictionary", GIVEN, "--print-config", env={"RASAED_TRUSTED_PROXY": "10.0.0.0/8;unix"})
        self.assertIn("\ntrusted_proxy = 10.0.0.0/8\ntrusted_proxy = unix\n", done.stdout)
        done = run("--dictionary", GIVEN, "--check-config", env={"RASAED_TRUSTED_PROXY": "10.0.0.0/8;unix"})
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (0, "OK"), done.stderr)


if __name__ == "__main__":
    unittest.main()
