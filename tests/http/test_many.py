"""Many connections at once (server/http/{acceptor,worker,connections}.c): all of them ready in one moment, clients
that close their side in the middle of a request, and connections up to the last one that there is room for.

The daemon is stopped with SIGSTOP while clients send, so that it finds everything at once when it goes on."""

import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from daemon import PATIENCE, PROGRAM, Daemon, environment, golden, read_all, wait_for

GIVEN = ("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"))
LIST = b"GET /v1/dictionaries HTTP/1.1\r\nHost: x\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
COUNTS = (1, 2, 64, *range(120, 137), 255, 256, 257, 384, 512, 1024)


def number(daemon, name):
    text = daemon.get("/metrics").body.decode()
    return float(re.search("^%s (\\S+)" % re.escape(name), text, re.M).group(1))


class Together(unittest.TestCase):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2600 if hard == resource.RLIM_INFINITY else min(hard, 2600)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def all_at_once(self, daemon, connections, data):
        daemon.send(signal.SIGSTOP)
        try:
            for connection in connections:
                connection.sendall(data)
        finally:
            daemon.send(signal.SIGCONT)

    def test_any_number_of_connections_becomes_ready_together(self):
        """libmicrohttpd's own loop serves none of exactly 128 until another event comes."""
        for threads in (1, 2):
            with Daemon(*GIVEN, "--threads", str(threads), "--log-level", "warning") as daemon:
                connections = []
                for count in COUNTS:
                    while len(connections) < count * threads and len(connections) < max(COUNTS):
                        connections.append(daemon.socket())
                        connections[-1].settimeout(10)
                    some = connections[:count * threads]
                    for connection in some[-20 * threads:]:  # all of them are with their threads
                        connection.sendall(LIVE)
                        self.assertIn(b"200 OK", connection.recv(4096))
                    begun = time.monotonic()
                    self.all_at_once(daemon, some, LIVE)
                    for connection in some:
                        self.assertIn(b"200 OK", connection.recv(4096), "%d connections" % count)
                    self.assertLess(time.monotonic() - begun, 10, "%d connections" % count)
                for connection in connections:
                    connection.close()

    def test_half_sent_requests_end(self):
        """The client's FIN comes together with the last bytes: the library does not see it."""
        head = (b"POST /v1/dictionaries/basic/reconstruct HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\n\r\n")
        with Daemon(*GIVEN, "--idle-seconds", "600", "--header-seconds", "600") as daemon:
            for data in (head, head + b'{"latents":', b"GET /health/live HTTP/1.1\r\nHost:"):
                connections = [daemon.socket() for _ in range(40)]
                wait_for(lambda: number(daemon, "process_open_fds") > 40, "the connections")
                before = number(daemon, "process_open_fds")
                daemon.send(signal.SIGSTOP)
                try:
                    for connection in connections:
                        connection.sendall(data)
                        connection.shutdown(socket.SHUT_WR)
                finally:
                    daemon.send(signal.SIGCONT)
                wait_for(lambda: number(daemon, "rasaed_requests_in_flight") <= 1, "the half-sent requests to end")
                wait_for(lambda: number(daemon, "process_open_fds") <= before - 40, "their connections to end")
                for connection in connections:
                    connection.close()

    def test_a_request_from_a_client_that_sends_no_more_is_answered(self):
        with Daemon(*GIVEN) as daemon:
            connections = [daemon.socket() for _ in range(50)]
            for connection in connections:
                connection.sendall(LIVE * 3)
                connection.shutdown(socket.SHUT_WR)
            for connection in connections:
                self.assertEqual(read_all(connection).count(b"200 OK"), 3)
                connection.close()


class Full(unittest.TestCase):
    """As many connections as the limit on open files leaves: everything else goes on."""

    def start(self, files, *more, env=()):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # noqa: E731
        process = subprocess.Popen([PROGRAM, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", *GIVEN, *more],
                                   env=environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=self.log, preexec_fn=limit)
        self.addCleanup(self.end, process)
        ports = [int(process.stdout.readline().decode().rsplit(":", 1)[1]) for _ in range(2)]
        return process, ports

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()

    def setUp(self):
        self.log = tempfile.TemporaryFile()
        self.addCleanup(self.log.close)
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(os.rmdir, self.folder)
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(os.path.join(self.folder, "manager"))
        self.told.settimeout(PATIENCE)
        self.addCleanup(os.unlink, os.path.join(self.folder, "manager"))
        self.addCleanup(self.told.close)

    def until(self, wanted):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if wanted in self.told.recv(512).decode():
                return
        raise AssertionError("waited in vain for " + wanted)

    def test_a_full_server_beats_reloads_and_answers_the_administrator(self):
        variables = {"NOTIFY_SOCKET": os.path.join(self.folder, "manager"), "WATCHDOG_USEC": "300000"}
        process, (port, admin) = self.start(512, "--threads", "40", env=variables)
        connections = []
        for _ in range(600):  # more than there is room for: the last ones wait
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
            connections.append(connection)

        def served():
            for connection in connections:
                try:
                    connection.send(LIST)  # health is answered on a full server, too
                except OSError:
                    pass
            time.sleep(0.2)
            count = 0
            for connection in connections:
                try:
                    count += b"HTTP/1.1 200" in connection.recv(4096)
                except OSError:
                    pass
            return count

        first = served()
        self.assertGreater(first, 100)
        self.assertLess(first, 400)
        while True:  # what was told before does not count
            self.told.settimeout(0.001)
            try:
                self.told.recv(512)
            except (TimeoutError, BlockingIOError):
                break
        self.told.settimeout(PATIENCE)
        for _ in range(3):
            self.until("WATCHDOG=1")
        process.send_signal(signal.SIGHUP)
        self.until("STATUS=reloaded, 0 of 1 dictionaries failed")
        with socket.create_connection(("127.0.0.1", admin), timeout=PATIENCE) as connection:
            connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b"200 OK", connection.recv(4096))
        ticks = self.cpu_ticks(process.pid)
        time.sleep(1)
        self.assertLess(self.cpu_ticks(process.pid) - ticks, 50, "a full server is idle")
        for connection in connections:
            connection.close()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)

    def cpu_ticks(self, pid):
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def test_bodies_share_a_budget(self):
        """40 uploads took 2.6 GB, and none was refused."""
        head = ("POST /v1/dictionaries/basic/reconstruct HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                "Expect: 100-continue\r\nContent-Length: %d\r\n\r\n")
        size = 8 << 20
        with Daemon(*GIVEN, "--max-body", str(size), "--max-body-memory", str(4 * size)) as daemon:
            self.assertEqual(number(daemon, 'rasaed_resource_limit{resource="body_bytes"}'), 4 * size)
            uploads, taken, refused = [daemon.socket() for _ in range(40)], [], []
            for one in uploads:
                one.sendall((head % size).encode())
                reply = one.recv(65536)
                (taken if reply.startswith(b"HTTP/1.1 100 ") else refused).append(one)
            self.assertEqual((len(taken), len(refused)), (4, 36))
            self.assertEqual(number(daemon, 'rasaed_resource_used{resource="body_bytes"}'), 4 * size)
            with daemon.socket() as one:
                one.sendall((head % size).encode())
                reply = one.recv(65536)
                self.assertTrue(reply.startswith(b"HTTP/1.1 503 "), reply)
                self.assertIn(b"Retry-After:", reply)
            self.assertEqual(daemon.get("/health/ready").status, 200)  # full of bodies, and it answers
            self.assertEqual(daemon.get("/v1/dictionaries").status, 200)
            for one in taken[:2]:  # those that were taken are served
                one.sendall(b"[" + b" " * (size - 1))
                self.assertIn(b"HTTP/1.1 400", one.recv(65536))
            for one in uploads:
                one.close()
            wait_for(lambda: number(daemon, 'rasaed_resource_used{resource="body_bytes"}') == 0, "the memory")
            with daemon.socket() as one:  # without a length: it grows until nothing is left
                one.sendall((head % size).encode().replace(b"Content-Length: %d" % size, b"Transfer-Encoding: chunked"))
                self.assertTrue(one.recv(65536).startswith(b"HTTP/1.1 100 "))
                one.sendall(b"100000\r\n" + b" " * (1 << 20) + b"\r\n0\r\n\r\n")
                self.assertIn(b"HTTP/1.1 400", one.recv(65536))
            wait_for(lambda: number(daemon, 'rasaed_resource_used{resource="body_bytes"}') == 0, "the memory")

    def test_limits_are_shown_as_used_and_limit(self):
        with Daemon(*GIVEN, "--max-connections", "50", "--max-queue", "7", "--threads", "2") as daemon:
            for resource, limit in (("connections", 50), ("queue", 7), ("requests", 4096)):
                self.assertEqual(number(daemon, 'rasaed_resource_limit{resource="%s"}' % resource), limit)
            self.assertGreaterEqual(number(daemon, 'rasaed_resource_used{resource="connections"}'), 1)
            for thread in range(2):
                lag = number(daemon, 'rasaed_io_thread_lag_seconds{address="main",thread="%d"}' % thread)
                self.assertLess(lag, 10)

    def test_what_does_not_fit_is_refused(self):
        for arguments in (("--check-config",), ()):
            limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))  # noqa: E731
            done = subprocess.run([PROGRAM, "--listen", "127.0.0.1:0", *GIVEN, "--max-connections", "190", *arguments],
                                  env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=PATIENCE, preexec_fn=limit)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertIn("--max-connections is 190, but the limit of 200 open files", done.stderr)
            done = subprocess.run([PROGRAM, "--listen", "127.0.0.1:0", *GIVEN, "--max-body-memory", "1000", *arguments],
                                  env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertIn("--max-body-memory is 1000, less than --max-body 67108864", done.stderr)


if __name__ == "__main__":
    unittest.main()
