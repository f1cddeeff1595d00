"""rasaed --probe (server/http/probe.c), for health checks without a shell or curl."""

import os
import shutil
import signal
import socket
import tempfile
import threading
import unittest

from daemon import Daemon, PATIENCE, golden, run, wait_for
from test_tls import make_pair

GIVEN = ("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"))


class Probe(unittest.TestCase):
    def probed(self, status, url, part, *more):
        done = run("--probe", url, *more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        said, silent = (done.stdout, done.stderr) if status == 0 else (done.stderr, done.stdout)
        self.assertEqual(silent, "")
        self.assertRegex(said, r"^rasaed: [^\n]+\n$")
        self.assertIn(part, said)

    def test_a_server_that_is_ready(self):
        with Daemon(*GIVEN) as daemon:
            base = "http://127.0.0.1:%d" % daemon.address[1]
            for url in (base + "/health/ready", base, "http://localhost:%d" % daemon.address[1]):
                self.probed(0, url, url + " is healthy")
            self.assertEqual(run("--probe=" + base).returncode, 0)
            self.probed(1, base + "/nowhere", "answered 404, expected 200")
            environment = {"RASAED_THREADS": "many", "RASAED_CONFIG": "/nonexistent"}  # ignored by --probe
            self.assertEqual(run("--probe", base, env=environment).returncode, 0)
        self.probed(1, base, "does not answer: Connection refused")

    def test_a_server_that_drains_is_not_ready(self):
        with Daemon(*GIVEN) as daemon, socket.create_server(("127.0.0.1", 0)) as front:
            kept = daemon.socket()  # like an earlier connection of a proxy
            with daemon.begun("/v1/dictionaries/basic/reconstruct", 5) as begun:
                kept.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b'"live"', kept.recv(4096))
                daemon.send(signal.SIGTERM)
                wait_for(lambda: "draining" in daemon.log(), "the log")
                proxy = threading.Thread(target=self.pass_on, args=(front, kept))
                proxy.start()
                self.probed(1, "http://127.0.0.1:%d" % front.getsockname()[1], "answered 503, expected 200")
                proxy.join()
                begun.sendall(b"{}   ")
                self.assertIn(b"HTTP/1.1 400", begun.recv(4096))
            self.assertEqual(daemon.process.wait(PATIENCE), 0)

    @staticmethod
    def pass_on(front, kept):
        client, _ = front.accept()
        with client, kept:
            kept.sendall(client.recv(4096))
            client.sendall(kept.recv(65536))

    def answered_with(self, answer, part):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)

            def serve():
                client, _ = server.accept()
                with client:
                    client.recv(4096)
                    if answer is None:
                        client.recv(4096)  # silent until the other side gives up
                    else:
                        client.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            self.probed(1, "http://127.0.0.1:%d/" % server.getsockname()[1], part)
            thread.join()

    def test_what_is_no_answer(self):
        self.answered_with(b"", "does not answer in HTTP")
        self.answered_with(b"220 mail ready\r\n", "does not answer in HTTP")
        self.answered_with(b"x" * 10000, "does not answer in HTTP")
        self.answered_with(b"HTTP/1.1 500 Oh\r\n\r\n", "answered 500")
        self.answered_with(None, "does not answer: timed out")
        self.probed(1, "http://name.invalid:80/", "cannot be found")

    def test_over_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("no IPv6 here")
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as shared:
            # the daemon of daemon.py listens on IPv4, so another server stands in
            thread = threading.Thread(target=self.serve_once, args=(shared,))
            thread.start()
            self.probed(0, "http://[::1]:%d/" % shared.getsockname()[1], "is healthy")
            thread.join()

    @staticmethod
    def serve_once(server):
        client, _ = server.accept()
        with client:
            client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_over_tls(self):
        folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, folder)
        certificate, key = make_pair(folder, "one")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(os.path.join(folder, "notify"))
        manager.settimeout(PATIENCE)
        with Daemon(*GIVEN, "--tls-certificate", certificate, "--tls-key", key,
                    env={"NOTIFY_SOCKET": os.path.join(folder, "notify"), "WATCHDOG_USEC": "30000"}) as daemon:
            place = "127.0.0.1:%d" % daemon.address[1]
            self.probed(0, "https://" + place, "is healthy")
            self.probed(1, "http://" + place, "does not answer")
            while manager.recv(4096) != b"WATCHDOG=1":  # the heartbeat speaks TLS, too
                pass
        with Daemon(*GIVEN) as daemon:
            self.probed(1, "https://127.0.0.1:%d" % daemon.address[1], "does not answer")

    def test_urls_that_are_none(self):
        for url in ("", "127.0.0.1:8080", "ftp://127.0.0.1/", "http://", "http:///health", "http://:80/",
                    "http://127.0.0.1:x/", "http://127.0.0.1:99999/", "http://::1/", "http://h/a b",
                    "http://h/\r\nX: y", "http://h/" + "x" * 2000, "http://" + "h" * 400):
            done = run("--probe", url)
            self.assertEqual((done.returncode, done.stdout), (2, ""), url)
            self.assertTrue(done.stderr.startswith("rasaed: ") and done.stderr.endswith("\n"), url)
        done = run("--probe")
        self.assertEqual((done.returncode, done.stderr), (2, "rasaed: --probe needs a value: --probe URL; see rasaed --help\n"))



if __name__ == "__main__":
    unittest.main()
