"""The daemon where the system hangs, fails, or goes by another clock (odd_system.c), held against server/daemon.c: a stop
takes as long as it should, and a start that fails says why and ends with 1."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from daemon import PATIENCE, PROGRAM, TOP, Daemon, environment, golden, wait_for

SOURCE = golden("dict-basic.checkpoint.safetensors")
KEY = "k" * 32
WITH_KEY = {"Authorization": "Bearer " + KEY}


class OverUnixSocket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@unittest.skipIf("sanitize" in PROGRAM, "the sanitizers want to be loaded first")
class OddSystem(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-odd-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.library = cls.file("odd.so")
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", cls.library,
                        os.path.join(TOP, "tests", "http", "odd_system.c"), "-ldl"], check=True, timeout=PATIENCE)

    @classmethod
    def file(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def keys(cls, name):
        path = cls.file(name)
        with open(path, "w", encoding="ascii") as file:
            file.write("admin " + KEY + "\n")
        os.chmod(path, 0o600)
        return path

    def env(self, **more):
        return {"LD_PRELOAD": self.library, "RASAED_SANDBOX": "off", **more}  # the library writes files of its own

    def test_a_clock_that_is_set_back_delays_nothing(self):
        """Every wait whose end was computed with that clock would take an hour longer."""
        with Daemon("--dictionary", "m=" + SOURCE, "--drain-seconds", "1", "--drain-delay-seconds", "1", "--watch",
                    "--batch-delay-us", "1000", env=self.env(ODD_CLOCK="3600")) as daemon:
            self.assertEqual(daemon.get("/v1/dictionaries/m").status, 200)
            self.assertEqual(daemon.post("/v1/dictionaries/m/reconstruct", {"latents": [[0] * 24]}).status, 200)
            with daemon.socket() as held:  # a request that never ends
                held.sendall(b"POST /v1/dictionaries/m/reconstruct HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
                wait_for(lambda: 'rasaed_requests_in_flight 2' in daemon.get("/metrics").body.decode(), "the request")
                self.assertEqual(daemon.stop(), 0)

    def test_a_key_file_that_hangs_keeps_nobody_from_signals(self):
        keys = self.keys("keys")
        with Daemon("--dictionary", "m=" + SOURCE, "--keys", keys, env=self.env(ODD_OPEN=keys)) as daemon:
            self.assertEqual(daemon.get("/v1/dictionaries/m", headers=WITH_KEY).status, 200)
            open(keys + ".hangs", "w", encoding="ascii").close()
            daemon.send(signal.SIGHUP)
            wait_for(lambda: os.path.exists(keys + ".hung"), "the reload")
            self.assertEqual(daemon.get("/v1/dictionaries/m", headers=WITH_KEY).status, 200)
            self.assertEqual(daemon.stop(), 0)

    def test_a_start_that_fails_beside_a_job_says_why(self):
        """A load that was asked for at the address for administration hangs when the main address fails to start."""
        source, calls, admin = self.file("m.safetensors"), self.file("calls"), self.file("admin")
        shutil.copy(SOURCE, source)
        env = self.env(ODD_OPEN=source, ODD_EVENTFD=calls)
        arguments = ("--dictionary", "m=" + source, "--admin-listen", "unix:" + admin, "--threads", "1",
                     "--keys", self.keys("admin-keys"))
        process = self.start(arguments, env)
        self.assertIn(b"serving", process.stdout.readline())
        self.assertEqual(self.finish(process)[0], 0)
        with open(calls, encoding="ascii") as file:
            self.assertEqual(int(file.read()) % 2, 0)
            file.seek(0)
            half = int(file.read()) // 2  # those of the address for administration, which is started first
        with open(calls + ".most", "w", encoding="ascii") as file:
            file.write(str(half))
        process = self.start(arguments, env)
        wait_for(lambda: os.path.exists(admin), "the address for administration")
        wait_for(lambda: self.ask(admin, "GET", "/health/live") == 200, "its answer, when the dictionary is loaded")
        open(source + ".hangs", "w", encoding="ascii").close()
        asking = threading.Thread(target=self.ask, args=(admin, "POST", "/v1/dictionaries/m/reload"))
        asking.start()
        wait_for(lambda: os.path.exists(source + ".hung"), "the load")
        open(calls + ".go", "w", encoding="ascii").close()
        status, out, err = self.finish(process)
        asking.join()
        self.assertEqual((status, out), (1, b""), err)
        self.assertIn(b"\nrasaed: the server cannot accept connections: Too many open files\n", b"\n" + err)

    def start(self, arguments, env):
        return subprocess.Popen([PROGRAM, "--listen", "127.0.0.1:0", *arguments], env=environment(env),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, process):
        if process.poll() is None and not os.path.exists(self.file("calls.most")):
            process.send_signal(signal.SIGTERM)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return process.returncode, out, err

    def ask(self, path, method, target):
        connection = OverUnixSocket(path)
        try:
            connection.request(method, target, headers=WITH_KEY)
            reply = connection.getresponse()
            reply.read()
            return reply.status
        except (OSError, http.client.HTTPException):
            return None  # the daemon does not listen yet, or has ended
        finally:
            connection.close()


if __name__ == "__main__":
    unittest.main()
