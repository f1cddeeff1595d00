"""server/sandbox.c: what a taken-over daemon can do (intruder.c), and that the daemon itself can do all that it must."""

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from daemon import PATIENCE, PROGRAM, TOP, Daemon, environment, golden, run, wait_for

SOURCE = golden("dict-basic.checkpoint.safetensors")
SANITIZED = "sanitize" in PROGRAM or "coverage" in PROGRAM  # builds without the sandbox
DENIED = {errno.EACCES, errno.EPERM}


class Folders(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-sandbox-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.inside, self.outside = self.make("inside"), self.make("outside")
        shutil.copy(SOURCE, os.path.join(self.inside, "m.safetensors"))
        self.model = "m=" + os.path.join(self.inside, "m.safetensors")
        with open(os.path.join(self.outside, "secret"), "w", encoding="ascii") as file:
            file.write("secret")

    def make(self, name):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path


@unittest.skipIf(SANITIZED, "this build has no sandbox")
class Intruder(Folders):
    @classmethod
    def setUpClass(cls):
        cls.own = tempfile.mkdtemp(prefix="rasaed-intruder-")
        cls.addClassCleanup(shutil.rmtree, cls.own)
        cls.library = os.path.join(cls.own, "intruder.so")
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", cls.library,
                        os.path.join(TOP, "tests", "http", "intruder.c"), "-ldl", "-pthread"], check=True, timeout=PATIENCE)

    def env(self, **more):
        return {"LD_PRELOAD": self.library, **more}

    def outcomes(self, *arguments, state=None):
        """What each attempt gave, and the log."""
        given = {"INTRUDER_INSIDE": self.inside, "INTRUDER_OUTSIDE": self.outside,
                 **({"INTRUDER_STATE": state} if state else {})}
        with Daemon("--dictionary", self.model, *arguments, env=self.env(**given)) as daemon:
            self.assertEqual(daemon.get("/v1/dictionaries/m").status, 200)
            daemon.says("intruder: io_uring")
            self.assertEqual(daemon.post("/v1/dictionaries/m/reconstruct", {"latents": [[1] * 24]}).status, 200)
            log = daemon.log()
        lines = (line.split() for line in log.splitlines() if line.startswith("intruder: "))
        return {name: int(code) for _, name, code in lines}, log

    def test_it_reaches_nothing_but_the_files_of_the_settings(self):
        got, log = self.outcomes()
        if "not confined" in log:
            self.skipTest("this kernel lacks a part: " + log)
        self.assertEqual(got.pop("read-inside"), 0)
        self.assertEqual({name for name, code in got.items() if code not in DENIED}, set(), got)
        self.assertEqual(len(got), 12)
        self.assertEqual(os.listdir(self.inside), ["m.safetensors"])

    def test_with_a_state_directory_it_can_write_there_alone(self):
        state = os.path.join(self.folder, "state")
        got, log = self.outcomes("--state", state, state=state)
        if "not confined" in log:
            self.skipTest("this kernel lacks a part: " + log)
        self.assertEqual(got.pop("read-inside"), 0)
        self.assertEqual(got.pop("write-state"), 0)
        self.assertEqual({name for name, code in got.items() if code not in DENIED}, set(), got)

    def test_every_thread_is_in_the_filter(self):
        with Daemon("--dictionary", self.model, env=self.env()) as daemon:
            if "not confined to its calls" in daemon.log():
                self.skipTest("this kernel has no filters")
            tasks = "/proc/%d/task" % daemon.process.pid
            for task in os.listdir(tasks):
                with open(os.path.join(tasks, task, "status"), encoding="ascii") as file:
                    status = dict(line.split(":", 1) for line in file)
                self.assertEqual((status["Seccomp"].strip(), status["NoNewPrivs"].strip()), ("2", "1"), task)

    def test_it_can_be_switched_off(self):
        with Daemon("--dictionary", self.model, "--sandbox", "off", env=self.env()) as daemon:
            self.assertNotIn("confined", daemon.log())
            with open("/proc/%d/status" % daemon.process.pid, encoding="ascii") as file:
                self.assertIn("Seccomp:\t0", file.read())

    def test_a_system_without_it_is_said_and_can_be_refused(self):
        for missing, what in (("NO_LANDLOCK", "files: the kernel has no Landlock"),
                              ("NO_SECCOMP", "calls: the kernel has no filters of calls")):
            with Daemon("--dictionary", self.model, env=self.env(**{missing: "1"})) as daemon:
                daemon.says("the daemon is not confined to its " + what)
                self.assertEqual(daemon.get("/v1/dictionaries/m").status, 200)
            done = run("--listen", "127.0.0.1:0", "--dictionary", self.model, "--sandbox", "require",
                       env=self.env(**{missing: "1"}))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("--sandbox is require, but the daemon is not confined to its " + what, done.stderr)


class Names(Folders):
    """Each thread names itself: the sandbox closes the files with which one thread could name another."""

    def names(self, process):
        found = set()
        for task in os.listdir("/proc/%d/task" % process.pid):
            with open("/proc/%d/task/%s/comm" % (process.pid, task), encoding="ascii") as file:
                found.add(file.read().strip())
        return found

    def test_the_system_knows_each_thread_by_its_work(self):
        wanted = {"rasaed", "rasaed-accept", "rasaed-changes", "rasaed-compute", "rasaed-deadline", "rasaed-io", "rasaed-log",
                  "rasaed-reload"}
        for sandbox in "on", "off":
            with Daemon("--dictionary", self.model, "--state", os.path.join(self.folder, "state"), "--sandbox", sandbox) as daemon:
                wait_for(lambda: wanted <= self.names(daemon.process), "the names of all threads")


class Files(Folders):
    """What must still work: the files of the settings are replaced, also through links."""

    def swap(self, link, target):
        os.symlink(target, link + ".new")
        os.replace(link + ".new", link)

    def put(self, folder, name="m.safetensors"):
        shutil.copy(SOURCE, os.path.join(folder, name))
        return os.path.join(folder, name)

    def test_a_link_is_swapped_for_one_beside_its_target(self):
        releases = self.make("releases")
        for version in "1", "2":
            os.mkdir(os.path.join(releases, version))
            self.put(os.path.join(releases, version))
        link = os.path.join(self.folder, "current")  # of a folder; leads into releases
        self.swap(link, os.path.join("releases", "1"))
        with Daemon("--dictionary", "m=" + os.path.join(link, "m.safetensors"), "--keys", self.keys()) as daemon:
            self.swap(link, os.path.join("releases", "2"))
            shutil.rmtree(os.path.join(releases, "1"))
            reply = daemon.post("/v1/dictionaries/m/reload", b"", headers=self.admin)
            self.assertEqual(reply.status, 200, reply.body)

    admin = {"Authorization": "Bearer " + "k" * 32}

    def keys(self):
        path = os.path.join(self.folder, "keys")
        with open(path, "w", encoding="ascii") as file:
            file.write("admin " + "k" * 32 + "\n")
        os.chmod(path, 0o600)
        return path

    def test_a_link_that_leads_elsewhere_needs_readable(self):
        store = self.make("store")
        for version in "1", "2":
            os.mkdir(os.path.join(store, version))
            self.put(os.path.join(store, version))
        links = self.make("links")
        link = os.path.join(links, "m.safetensors")
        keys = os.path.join(self.make("keys.d"), "keys")
        shutil.move(self.keys(), keys)
        for more, status in ((), 409), (("--readable", store), 200), (("--sandbox", "off"), 200):
            self.swap(link, os.path.join(store, "1", "m.safetensors"))
            with Daemon("--dictionary", "m=" + link, "--keys", keys, *more) as daemon:
                if not more and "not confined to its files" in daemon.log():
                    continue
                self.swap(link, os.path.join(store, "2", "m.safetensors"))
                reply = daemon.post("/v1/dictionaries/m/reload", b"", headers=self.admin)
                self.assertEqual(reply.status, status, reply.body)
                self.assertEqual(daemon.get("/v1/dictionaries/m", headers=self.admin).status, 200)

    def test_a_socket_of_the_file_system_is_removed_at_the_end(self):
        path = os.path.join(self.folder, "socket")
        process = subprocess.Popen([PROGRAM, "--listen", "unix:" + path, "--dictionary", self.model], env=environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertTrue(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    unittest.main()
