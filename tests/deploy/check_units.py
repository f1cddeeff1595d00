"""The systemd units: systemd accepts them, rates them as safe, and lets the daemon do its work. Part of make
check-deploy; machine.py runs them in a system that boots."""

import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from support import TOP, Installation, environment, run

sys.path.insert(0, os.path.join(TOP, "tests", "http"))
from daemon import PROGRAM, golden, handing_over  # noqa: E402

MOST_EXPOSED = 20  # tenths of systemd's scale from 0 (locked up) to 10


class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.there = Installation()
        cls.there.__enter__()
        cls.folder = cls.there.path("lib", "systemd", "system")

    @classmethod
    def tearDownClass(cls):
        cls.there.__exit__()

    def analyze(self, *arguments, check=True):
        env = environment(SYSTEMD_UNIT_PATH=self.folder + ":", MANPATH=self.there.path("share", "man"),
                          SYSTEMD_COLORS="0", SYSTEMD_EMOJI="0")
        return run("systemd-analyze", *arguments, env=env, check=check)

    def test_systemd_has_nothing_to_say_about_them(self):
        names = [os.path.basename(path).replace("@", "@words") for path in glob.glob(self.folder + "/*")]
        self.assertEqual(len(names), 2)
        done = self.analyze("verify", "--man=yes", *(os.path.join(self.folder, name) for name in names))
        self.assertEqual(done.stdout, "")

    def test_a_mistake_would_be_found(self):
        path = os.path.join(self.folder, "rasaed@.service")
        with open(path, encoding="utf-8") as file:
            unit = file.read()
        spoilt = os.path.join(self.there.folder, "spoilt@.service")
        with open(spoilt, "w", encoding="utf-8") as file:
            file.write(unit.replace("ProtectSystem=strict", "ProtectSystem=everything")
                       .replace("DynamicUser=yes\n", "").replace("CapabilityBoundingSet=\n", ""))
        self.assertIn("everything", self.analyze("verify", spoilt, check=False).stdout)
        exposed = self.analyze("security", "--offline=true", "--threshold=%d" % MOST_EXPOSED, spoilt, check=False)
        self.assertNotEqual(exposed.returncode, 0)

    def test_they_expose_little(self):
        path = os.path.join(self.folder, "rasaed@.service")
        done = self.analyze("security", "--offline=true", "--threshold=%d" % MOST_EXPOSED, path)
        self.assertRegex(done.stdout, r"Overall exposure level for \S+: \d")

    def allowed(self, *sets):
        """The system calls that the unit's filters allow."""
        names, groups = {name for name in sets if not name.startswith("@")}, [name for name in sets if name.startswith("@")]
        while groups:
            for line in self.analyze("syscall-filter", groups.pop()).stdout.splitlines()[1:]:
                word = line.strip()
                if word.startswith("@"):
                    groups.append(word)
                elif word and not word.startswith("#"):
                    names.add(word)
        return names

    def test_every_system_call_of_the_daemon_is_allowed(self):
        with open(os.path.join(self.folder, "rasaed@.service"), encoding="utf-8") as file:
            filters = re.findall(r"^SystemCallFilter=(.*)$", file.read(), re.M)
        granted, denied = self.allowed(*filters[0].split()), self.allowed(*filters[1].lstrip("~").split())
        self.assertIn("accept4", granted)
        self.assertIn("chown", denied)
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as shared, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(os.path.join(folder, "notify"))
            manager.settimeout(60)
            trace = os.path.join(folder, "trace")
            command = ["strace", "-f", "-qq", "-o", trace, *handing_over([shared]), PROGRAM, "--watch",
                       "--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors")]
            env = environment(NOTIFY_SOCKET=os.path.join(folder, "notify"), WATCHDOG_USEC="300000")
            daemon = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, pass_fds=[shared.fileno()])
            try:
                self.until(manager, b"READY=1")
                self.asked(shared.getsockname())
                with open("/proc/%d/task/%d/children" % (daemon.pid, daemon.pid), encoding="ascii") as file:
                    child = int(file.read().split()[0])
                os.kill(child, signal.SIGHUP)
                self.until(manager, b"STATUS=reloaded")
                self.until(manager, b"WATCHDOG=1")
                os.kill(child, signal.SIGTERM)
                self.assertEqual(daemon.wait(60), 0)
            finally:
                if daemon.poll() is None:
                    daemon.kill()
                    daemon.wait()
            with open(trace, encoding="utf-8", errors="replace") as file:
                lines = file.read()
        # bash, which plays systemd here, ends where rasaed begins
        started = lines.index('execve("%s"' % PROGRAM)
        used = set(re.findall(r"^\d+ +(\w+)\(", lines[started:], re.M))
        self.assertIn("accept4", used)
        self.assertEqual({name for name in used if name not in granted or name in denied}, set())

    @staticmethod
    def until(manager, start):
        while start not in manager.recv(4096):
            pass

    def asked(self, address):
        body = json.dumps({"latents": {"indices": [[0]] * 200, "values": [[1]] * 200}}).encode()
        for path, content in (("/metrics", b""), ("/v1/dictionaries/basic/reconstruct", body),
                              ("/v1/dictionaries/basic/dictionary", b"")):
            with socket.create_connection(address, timeout=60) as client:
                client.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                               % (b"POST" if content else b"GET", path.encode(), len(content), content))
                self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 200"))


if __name__ == "__main__":
    unittest.main()
