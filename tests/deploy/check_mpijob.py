"""The commands of deploy/kubernetes/train-mpi as they are, with a real sshd and a real mpirun: a launcher and a
worker, each in a network namespace of its own, as the user of the pods and without capabilities. This test makes
what the operator and the kubelet bring (keys, hostfile, volumes); only paths and sizes differ. Needs root, for the
namespaces."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import cluster

cluster.enter()

from cluster import PATIENCE, TOP, build  # noqa: E402

USER = 65532
LAUNCHER, WORKER = "10.99.0.1", "10.99.0.2"
RASAE_MPI = os.path.join(os.path.dirname(cluster.PROGRAM), "tests", "rasae-mpi")
DROPPED = ["setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups", "--no-new-privs",
           "--bounding-set=-all", "--inh-caps=-all"]


def is_possible():
    """The reason why this test cannot run, or None."""
    if os.getuid() != 0:
        return "only root makes network namespaces"
    if not os.path.exists(RASAE_MPI):
        return "rasae-mpi is not built"
    version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, timeout=PATIENCE).stdout
    if " 4." not in version:
        return "the image has Open MPI 4, this machine another"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode != 0:
        return "no namespaces can be made here"
    return None


class Host:
    """A process that holds a network namespace, and a mount namespace where the user has a name."""

    def __init__(self, folder, variables):
        self.variables = variables
        self.process = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c",
                                         "mount --bind %s/passwd /etc/passwd && echo there && exec sleep 600" % folder],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "there\n"

    def command(self, words):
        return ["nsenter", "--net", "--mount", "--target=%d" % self.process.pid, *words]

    def configure(self, *words):
        subprocess.run(self.command(["ip", *words]), check=True, capture_output=True, text=True, timeout=PATIENCE)

    def start(self, words, log):
        return subprocess.Popen(self.command([*DROPPED, *words]), env=self.variables, stdin=subprocess.DEVNULL,
                                stdout=log, stderr=log)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@unittest.skipIf(is_possible(), is_possible())
class MpiJob(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasae-mpi-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)
        self.places = {"/data": "data", "/mnt/models": "models", "/etc/ssh-auth": "auth", "/etc/mpi": "mpi",
                       "/tmp": "scratch", "/usr/bin/rasae": "rasae", "/usr/sbin/sshd": "sshd"}
        self.places = {place: os.path.join(self.folder, name) for place, name in self.places.items()}
        for place in ("/data", "/mnt/models", "/etc/ssh-auth", "/etc/mpi", "/tmp"):
            os.mkdir(self.places[place])
        sshd, environment = cluster.tool("sshd")
        shutil.copy(RASAE_MPI, self.places["/usr/bin/rasae"])
        shutil.copy(sshd, self.places["/usr/sbin/sshd"])
        shutil.copy(os.path.join(TOP, "tests", "data", "digits.npy"), self.places["/data"] + "/activations.npy")
        self.write("passwd", "root:x:0:0:root:/root:/bin/sh\nrasae:x:%d:%d::/nonexistent:/bin/sh\n" % (USER, USER))
        self.variables = {"PATH": "/usr/bin:/bin", "TMPDIR": self.places["/tmp"],
                          **{key: environment[key] for key in ("LD_LIBRARY_PATH",) if key in environment}}
        for place in ("/data", "/mnt/models", "/tmp"):  # fsGroup
            os.chown(self.places[place], USER, USER)
        self.replicas = build("train-mpi")[0]["spec"]["mpiReplicaSpecs"]

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="ascii") as file:
            file.write(text)

    def local(self, text):
        return re.sub("|".join(sorted(map(re.escape, self.places), key=len, reverse=True)),
                      lambda match: self.places[match.group(0)], text)

    def container(self, kind, which="containers"):
        one, = self.replicas[kind]["template"]["spec"][which]
        words = [self.local(word) for word in one["command"] + one.get("args", [])]
        return words, {variable["name"]: self.local(variable["value"]) for variable in one.get("env", [])}

    def give_keys(self):
        """Like the operator: one pair of keys, whose volume belongs to root and which the pod's group can read."""
        auth = self.places["/etc/ssh-auth"]
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", auth + "/id_rsa"], check=True, timeout=PATIENCE)
        shutil.copy(auth + "/id_rsa.pub", auth + "/authorized_keys")
        os.chown(auth + "/id_rsa", 0, USER)
        os.chmod(auth + "/id_rsa", 0o640)
        with open(self.places["/etc/mpi"] + "/hostfile", "w", encoding="ascii") as file:
            file.write(WORKER + " slots=2\n")

    def connect(self, launcher, worker):
        launcher.configure("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(worker.process.pid))
        for host, address in ((launcher, LAUNCHER), (worker, WORKER)):
            host.configure("address", "add", address + "/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                host.configure("link", "set", device, "up")

    def finish(self, process, log):
        status = process.wait(PATIENCE * 2)
        with open(log.name, encoding="utf-8", errors="replace") as file:
            text = file.read()
        self.assertEqual(status, 0, text)
        return text

    def test_it_trains_goes_on_and_fuses(self):
        self.give_keys()
        launcher, worker = Host(self.folder, self.variables), Host(self.folder, self.variables)
        self.addCleanup(launcher.stop)
        self.addCleanup(worker.stop)
        self.connect(launcher, worker)
        with open(os.path.join(self.folder, "worker.log"), "w+b") as log:
            self.finish(worker.start(self.container("Worker", "initContainers")[0], log), log)
            sshd = worker.start(self.container("Worker")[0], log)
            self.addCleanup(sshd.wait)
            self.addCleanup(sshd.terminate)
            words, variables = self.container("Launcher")
            said = []
            for epochs in ("1", "2"):
                sizes = "--concepts 16 --points 20 --top-k 4 --epochs " + epochs
                launcher.variables = {**self.variables, **variables, "WORKERS": "2", "THREADS": "1", "FLAGS": sizes}
                with open(os.path.join(self.folder, "launcher.log"), "w+b") as out:
                    said.append(self.finish(launcher.start(words, out), out))
                self.assertIn("fused into", said[-1])
            self.assertNotIn("continuing from step", said[0])
            self.assertIn("continuing from step", said[1])
            log.seek(0)
            self.assertIn(b"Accepted publickey for rasae", log.read())
        done = subprocess.run([cluster.PROGRAM, "--check-config", "--dictionary-dir", self.places["/mnt/models"]],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertTrue(done.stdout.endswith("\nOK\n"), done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
