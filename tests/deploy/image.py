"""make check-image: the images of the Dockerfile, built and run. Needs root and Debian's archive, but no container
engine: buildah builds in a chroot, on a base that debootstrap makes once (build/image). This script runs an image
as an engine does, with the kernel's namespaces: its entry point, as its user, on a read-only root, as process 1,
with a network of its own.

A container of the trainer trains a dictionary, and one of the daemon serves it."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

from support import BUILD, TOP, bill_of, environment, run

HERE = os.path.join(TOP, BUILD, "image")
BASE = "docker.io/library/debian:trixie-slim"
MINUTES = 60
MOST_BYTES = 100_000_000

# root, user, mounts as FROM:TO:ro or FROM:TO:rw, --, then what to run
CONTAINER = """
set -e
root=$1 user=$2
shift 2
ip link set lo up
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
    from=${1%%:*} rest=${1#*:}
    to=$root${rest%:*}
    mount --bind "$from" "$to"
    mount -o "remount,bind,${rest##*:}" "$to"
    shift
done
shift
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""


def buildah(*arguments, seconds=60 * MINUTES):
    storage = ["--root", os.path.join(HERE, "storage"), "--runroot", os.path.join(HERE, "run")]
    env = environment(STORAGE_DRIVER=os.environ.get("STORAGE_DRIVER", "vfs"))
    return run("buildah", *storage, *arguments, env=env, seconds=seconds).stdout.strip()


def make_base():
    if BASE in buildah("images", "--format", "{{.Name}}:{{.Tag}}"):
        return
    folder = os.path.join(HERE, "base")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(HERE, exist_ok=True)
    run("debootstrap", "--variant=minbase", "trixie", folder, seconds=30 * MINUTES)
    container = buildah("from", "scratch").splitlines()[-1]
    run("cp", "-a", folder + "/.", buildah("mount", container).splitlines()[-1])
    buildah("commit", "--rm", container, BASE)
    shutil.rmtree(folder)


class Image:
    """A target that was built: its configuration, and its files as a container's root."""

    def __init__(self, target):
        self.name = "localhost/%s-check" % target
        buildah("build", "--layers", "--isolation", "chroot", "--format", "docker", "--pull-never", "--tag", self.name,
                "--target", target, ".")
        inspected = json.loads(buildah("inspect", "--type", "image", self.name))
        self.config = inspected["Docker"]["config"]
        self.container = buildah("from", "--pull-never", self.name).splitlines()[-1]
        self.root = buildah("mount", self.container).splitlines()[-1]
        self.files = sorted(os.path.join(where, name) for where, _, names in os.walk(self.root) for name in names)
        os.makedirs(os.path.join(self.root, "proc"), exist_ok=True)  # an engine makes it as well

    def bytes(self):
        return sum(os.lstat(path).st_size for path in self.files)

    def start(self, *arguments, mounts=()):
        """Starts a container; arguments like after `docker run IMAGE`."""
        inner = self.config["Entrypoint"] + (list(arguments) or self.config.get("Cmd") or [])
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts", "sh", "-c", CONTAINER,
                   "sh", self.root, self.config["User"], *mounts, "--", *inner]
        env = dict(one.split("=", 1) for one in self.config.get("Env") or [])
        env.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def run(self, *arguments, mounts=()):
        process = self.start(*arguments, mounts=mounts)
        said, _ = process.communicate(timeout=10 * MINUTES)
        return process.returncode, said


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        make_base()
        cls.rasaed, cls.trainer = Image("rasaed"), Image("trainer")
        cls.folder = tempfile.mkdtemp(prefix="rasae-image-")
        os.chmod(cls.folder, 0o755)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)
        for image in (cls.rasaed, cls.trainer):
            buildah("rm", image.container)
            buildah("rmi", image.name)
        buildah("rmi", "--prune", "--force")  # layers of other days' sources; the base stays, by its name

    def test_configuration(self):
        for image, program in ((self.rasaed, "rasaed"), (self.trainer, "rasae")):
            self.assertEqual(image.config["User"], "65532:65532")
            self.assertEqual(image.config["Entrypoint"], ["/usr/bin/" + program])
            self.assertEqual(image.config["Labels"]["org.opencontainers.image.title"], program)
        self.assertEqual(list(self.rasaed.config["ExposedPorts"]), ["8080/tcp"])
        self.assertEqual(self.rasaed.config["StopSignal"], "SIGTERM")
        self.assertEqual(self.rasaed.config["Healthcheck"]["Test"][:3], ["CMD", "/usr/bin/rasaed", "--probe"])

    def test_they_hold_one_program_and_its_libraries(self):
        for image, program in ((self.rasaed, "rasaed"), (self.trainer, "rasae")):
            self.assertLess(image.bytes(), MOST_BYTES)
            sys.stderr.write("%s: %.1f MB\n" % (image.name, image.bytes() / 1e6))
            for path in image.files:
                inside = path[len(image.root):]
                mode = os.lstat(path).st_mode
                self.assertTrue(stat.S_ISREG(mode), inside)
                self.assertFalse(mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), inside)
                self.assertRegex(inside, r"^/usr/bin/%s$|^/(usr/)?lib[^ ]*\.so[.\d]*$|^/etc/(passwd|group)$|^/usr/share/doc/"
                                         r"[^/]*/copyright$|^/var/lib/dpkg/status\.d/|^/usr/share/sbom/%s\.cdx\.json$"
                                 % (program, program))
            packages = {os.path.basename(path) for path in image.files if "/status.d/" in path}
            licenses = {path.split("/")[-2] for path in image.files if path.endswith("/copyright")}
            self.assertIn("libopenblas0-pthread", packages)
            self.assertEqual(packages, licenses)
            bill, wrong = bill_of("%s/usr/share/sbom/%s.cdx.json" % (image.root, program), "%s/usr/bin/%s" % (image.root, program))
            self.assertEqual(wrong, [])
            self.assertEqual({part["name"] for part in bill["components"]} - {program}, packages)

    def test_trained_in_one_served_in_the_other(self):
        models, data = os.path.join(self.folder, "models"), os.path.join(self.folder, "data")
        os.makedirs(models)
        os.makedirs(data)
        os.chown(data, 65532, 65532)
        shutil.copy(os.path.join(TOP, "tests/data/digits.npy"), data)
        trains = [data + ":/data:rw"]
        for words in (("train", "/data/digits.npy", "-o", "/data/checkpoint.safetensors", "--concepts", "64", "--top-k",
                       "8", "--steps", "50"),
                      ("fuse", "/data/checkpoint.safetensors", "-o", "/data/digits.safetensors")):
            status, said = self.trainer.run(*words, mounts=trains)
            self.assertEqual(status, 0, said)
        status, said = self.trainer.run("fuse", "/data/checkpoint.safetensors", "-o", "/digits.safetensors", mounts=trains)
        self.assertEqual(status, 1)  # the root is read-only, and the user not root
        self.assertEqual(os.stat(os.path.join(data, "digits.safetensors")).st_uid, 65532)
        self.assertIn("Commands:", self.trainer.run()[1])
        shutil.copy(os.path.join(data, "digits.safetensors"), models)

        process = self.rasaed.start(mounts=[models + ":/mnt/models:ro"])
        try:
            self.serve(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def serve(self, process):
        for line in process.stdout:
            if line.startswith("rasaed: serving "):
                break
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid), encoding="ascii") as file:
            pid = int(file.read().split()[0])
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file)
        self.assertEqual(status["Uid"].split(), ["65532"] * 4)
        self.assertEqual((status["NSpid"].split()[-1], int(status["CapEff"], 16)), ("1", 0))
        with open("/proc/%d/mountinfo" % pid, encoding="utf-8") as file:
            options = {line.split()[4]: line.split()[5] for line in file}
        for place in (self.rasaed.root, self.rasaed.root + "/mnt/models", "/", "/mnt/models"):
            if place in options:
                self.assertIn("ro", options[place].split(","), place)

        enter = ["nsenter", "--target", str(pid), "--net"]
        curl = [*enter, "curl", "--silent", "--fail", "--max-time", "60"]
        base = "http://127.0.0.1:8080"
        listed = json.loads(run(*curl, base + "/v1/dictionaries").stdout)
        self.assertEqual([(one["name"], one["concepts"]) for one in listed["dictionaries"]], [("digits", 64)])
        body = '{"latents":{"indices":[[5]],"values":[[2]]}}'
        reply = json.loads(run(*curl, "--json", body, base + "/v1/dictionaries/digits/reconstruct").stdout)
        self.assertEqual(len(reply["reconstructions"][0]), 64)
        health = self.rasaed.config["Healthcheck"]["Test"][1:]
        checked = ["nsenter", "--target", str(pid), "--net", "--pid", "--mount", "--root", "--setuid", "65532", *health]
        self.assertIn("is healthy", run(*checked).stdout)

        # a request that has begun is finished before the container ends
        slow = "import socket, sys, time; s = socket.create_connection(('127.0.0.1', 8080)); body = sys.argv[1].encode(); " \
               "s.sendall(b'POST /v1/dictionaries/digits/reconstruct HTTP/1.1\\r\\nHost: x\\r\\nExpect: 100-continue\\r\\n' " \
               "b'Content-Length: %d\\r\\n\\r\\n' % len(body)); print(s.recv(99), flush=True); sys.stdin.read(1); " \
               "s.sendall(body); print(s.recv(9999))"
        client = subprocess.Popen([*enter, "python3", "-c", slow, body], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        self.assertIn("100 Continue", client.stdout.readline())
        os.kill(pid, getattr(signal, self.rasaed.config["StopSignal"]))
        for line in process.stdout:
            if "draining" in line:
                break
        self.assertNotEqual(run(*checked, check=False).returncode, 0)
        said, _ = client.communicate("\n", timeout=60)
        self.assertIn("reconstructions", said)
        self.assertEqual(process.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
