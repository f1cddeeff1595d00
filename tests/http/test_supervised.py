"""rasaed under a service manager (server/supervise.c): sockets that it hands over, what it is told, the
watchdog. The manager is this script, which speaks systemd's protocols."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from daemon import (PATIENCE, PROGRAM, Daemon, environment, golden, handing_over, read_all, wait_for)

GIVEN = ("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"))
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def listening():
    return socket.create_server(("127.0.0.1", 0))


class Manager:
    """The datagram socket that a manager listens on."""

    def __init__(self, address, shown):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(PATIENCE)
        self.shown = shown

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.socket.close()

    def next(self):
        return self.socket.recv(4096).decode().split("\n")

    def until(self, line):
        while True:
            told = self.next()
            if line in told:
                return told


class Supervised(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def manager(self):
        path = os.path.join(self.folder, "notify")
        return Manager(path, path)

    # ---- sockets

    def test_a_socket_outlives_the_daemon_and_loses_no_client(self):
        with listening() as shared:
            with Daemon(*GIVEN, sockets=[shared]) as daemon:
                self.assertEqual(daemon.address, shared.getsockname())
                self.assertEqual(daemon.get("/health/ready").status, 200)
                self.assertEqual(daemon.stop(), 0)
            with socket.create_connection(shared.getsockname(), timeout=PATIENCE) as waiting:
                waiting.sendall(LIVE)  # between two daemons
                with Daemon(*GIVEN, sockets=[shared]):
                    self.assertIn(b'{"status":"live"}', read_all(waiting))

    def test_while_it_drains_new_clients_wait_for_the_next_one(self):
        with listening() as shared, Daemon(*GIVEN, sockets=[shared]) as daemon:
            with daemon.begun("/v1/dictionaries/basic/reconstruct", 5) as begun:
                daemon.send(signal.SIGTERM)
                wait_for(lambda: "draining" in daemon.log(), "the log")
                with daemon.socket() as waiting:
                    waiting.sendall(LIVE)
                    begun.sendall(b"{}   ")
                    self.assertIn(b"HTTP/1.1 400", read_all(begun))
                    self.assertEqual(daemon.process.wait(PATIENCE), 0)
                    with Daemon(*GIVEN, sockets=[shared]):
                        self.assertIn(b'{"status":"live"}', read_all(waiting))

    def test_a_socket_named_admin_is_the_address_for_administration(self):
        for names in ("main:admin", "admin:main"):
            with listening() as one, listening() as other:
                main, admin = (one, other) if names.startswith("main") else (other, one)
                with Daemon(*GIVEN, sockets=[one, other], names=names) as daemon:
                    self.assertEqual(daemon.address, main.getsockname())
                    reload = "/v1/dictionaries/basic/reload"
                    self.assertEqual(daemon.post(reload, "").status, 404)
                    connection = daemon.connect(admin.getsockname())
                    self.assertNotEqual(daemon.post(reload, "", connection=connection).status, 404)
                    connection.close()
                with socket.create_connection(admin.getsockname(), timeout=PATIENCE):
                    pass  # still listening

    def test_sockets_for_another_process_are_not_taken(self):
        with Daemon(*GIVEN, env={"LISTEN_FDS": "1", "LISTEN_PID": "1"}) as daemon:
            self.assertEqual(daemon.get("/health/live").status, 200)

    def refused(self, sockets, part, names="", program=PROGRAM):
        done = subprocess.run([*handing_over(sockets, names), program, *GIVEN], env=environment(), timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              pass_fds=[one.fileno() for one in sockets])
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn(part, done.stderr.strip().split("\n")[-1])

    def test_sockets_that_cannot_be_served_end_the_start(self):
        with listening() as one, listening() as two, listening() as three, socket.socket() as deaf, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
            local.bind(os.path.join(self.folder, "http"))
            self.refused([deaf], "is not a listening stream socket")
            self.refused([local], "is not a listening stream socket")
            self.refused([one, two], "two sockets")
            self.refused([one, two], "two sockets named admin", names="admin:admin")
            self.refused([one, two, three], "3 sockets")

    def test_a_socket_of_the_file_system_is_served_and_stays(self):
        with socket.socket(socket.AF_UNIX) as local:
            path = os.path.join(self.folder, "http")
            local.bind(path)
            local.listen()
            process = subprocess.Popen([*handing_over([local]), PROGRAM, *GIVEN], env=environment(),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       pass_fds=[local.fileno()])
            self.addCleanup(process.stdout.close)
            self.addCleanup(process.kill)
            self.assertEqual(process.stdout.readline().decode(), "rasaed: serving unix:%s\n" % path)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(path)
                client.sendall(LIVE)
                self.assertIn(b'{"status":"live"}', read_all(client))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertTrue(os.path.exists(path))

    # ---- news

    def test_it_tells_when_it_is_ready_reloads_and_stops(self):
        name = "rasaed-test-%d" % os.getpid()
        for manager in (self.manager(), Manager("\0" + name, "@" + name)):
            with manager, Daemon(*GIVEN, env={"NOTIFY_SOCKET": manager.shown}) as daemon:
                self.assertEqual(manager.next(), ["READY=1", "STATUS=serving 1 dictionaries"])
                daemon.send(signal.SIGHUP)
                reloading, since = manager.next()
                self.assertEqual(reloading, "RELOADING=1")
                self.assertRegex(since, r"^MONOTONIC_USEC=\d+$")
                self.assertEqual(manager.next(), ["READY=1", "STATUS=reloaded, 0 of 1 dictionaries failed"])
                self.assertEqual(daemon.stop(), 0)
                self.assertEqual(manager.next(), ["STOPPING=1", "STATUS=draining"])

    def test_a_manager_that_is_gone_changes_nothing(self):
        with Daemon(*GIVEN, env={"NOTIFY_SOCKET": os.path.join(self.folder, "none")}) as daemon:
            self.assertEqual(daemon.get("/health/live").status, 200)

    def test_variables_that_are_not_as_they_should_be(self):
        for variables, part in (({"NOTIFY_SOCKET": "relative"}, "NOTIFY_SOCKET is 'relative'"),
                                ({"NOTIFY_SOCKET": "/" + "x" * 200}, "NOTIFY_SOCKET is '/xxx"),
                                ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC is 'soon'")):
            done = subprocess.run([PROGRAM, *GIVEN], env=environment(variables), stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(part, done.stderr)

    # ---- the watchdog

    def test_it_says_again_and_again_that_it_answers(self):
        with self.manager() as manager:
            variables = {"NOTIFY_SOCKET": manager.shown, "WATCHDOG_USEC": "30000"}
            with Daemon(*GIVEN, env=variables) as daemon:
                for _ in range(5):
                    self.assertEqual(manager.until("WATCHDOG=1"), ["WATCHDOG=1"])
                self.assertNotIn("no heartbeat", daemon.log())

    def test_a_full_server_is_not_one_that_hangs(self):
        with self.manager() as manager:
            variables = {"NOTIFY_SOCKET": manager.shown, "WATCHDOG_USEC": "30000"}
            with Daemon(*GIVEN, "--threads", "1", "--max-connections", "1", env=variables) as daemon:
                manager.until("WATCHDOG=1")
                connection = daemon.connect()  # keeps the only connection
                wait_for(lambda: self.answers(daemon, connection), "the one connection")
                for _ in range(5):
                    manager.until("WATCHDOG=1")
                self.assertNotIn("no heartbeat", daemon.log())
                connection.close()

    def answers(self, daemon, connection):
        try:
            return daemon.get("/health/ready", connection=connection).status == 200
        except OSError:
            connection.close()
            return False

    def test_a_watchdog_for_another_process_hears_nothing(self):
        with self.manager() as manager:
            variables = {"NOTIFY_SOCKET": manager.shown, "WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}
            with Daemon(*GIVEN, env=variables) as daemon:
                self.assertEqual(manager.next()[0], "READY=1")
                self.assertEqual(daemon.stop(), 0)
                self.assertEqual(manager.next()[0], "STOPPING=1")


if __name__ == "__main__":
    unittest.main()
