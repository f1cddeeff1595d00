"""Commands of deploy/README.md: what needs only rasae and rasaed runs here as written, in order, and the folders of a system
become folders of the test. A container's command runs without the container. For every other command ELSEWHERE names
the test that has what the command needs; a command that is in neither is a failure.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "http"))

from daemon import PROGRAM, Daemon  # noqa: E402

# Beginnings of commands, and the tests that run them or what they are about.
ELSEWHERE = {
    "docker build": "tests/deploy/image.py",
    "make && sudo make install": "tests/deploy/test_install.py",
    "sudo mkdir -p /var/lib/rasaed": "tests/deploy/machine.py",
    "make deb": "tests/deploy/check_package.py",
    "sudo apt install ./build/deb/": "tests/deploy/machine.py",
    "kubectl apply -f deploy/kserve/": "tests/deploy/test_kserve.py",
    "kubectl wait --for=condition=Ready inferenceservice/": "tests/deploy/test_kserve.py",
    'curl -s "$(kubectl get inferenceservice': "tests/deploy/test_kserve.py",
    "kubectl ": "tests/deploy/test_kubernetes.py",
    "sed s/models/activations/g deploy/kubernetes/upload.yaml": "tests/deploy/test_kubernetes.py",
    "curl -s http://127.0.0.1:8080/v1/dictionaries": "tests/http/test_endpoints.py",
    "apt-get install haproxy": "tests/deploy/check_proxy.py",
    "apt-get install nginx": "tests/deploy/check_proxy.py",
}


def commands():
    with open(os.path.join(TOP, "deploy", "README.md"), encoding="utf-8") as file:
        text = file.read()
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M):
        for line in block.splitlines():
            if line.strip():
                yield re.sub(r"\s+#.*", "", line)


class DeployReadme(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rasae-deploy-")
        self.addCleanup(folder.cleanup)
        self.folder, self.daemon = folder.name, None
        for name in ("tmp", "lib"):
            os.mkdir(self.path(name))
        os.symlink(os.path.join(TOP, "tests"), self.path("tests"))

    def tearDown(self):
        self.serve()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def serve(self, *arguments):
        """Stops the daemon, and starts another if there are arguments."""
        if self.daemon:
            self.daemon.__exit__(None, None, None)
        self.daemon = Daemon(*arguments) if arguments else None

    def run_here(self, command, folder=""):
        if self.daemon:
            command = command.replace("127.0.0.1:8080", "%s:%d" % self.daemon.address)
        command = command.replace("/tmp/", self.path("tmp", "")).replace("/var/lib/rasaed/", self.path("lib", ""))
        programs = os.path.dirname(os.path.abspath(PROGRAM))
        done = subprocess.run(["bash", "-c", command], cwd=self.path(folder), capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, check=False,
                              env={**os.environ, "PATH": programs + os.pathsep + os.environ["PATH"]})
        self.assertEqual(done.returncode, 0, "%s\n%s%s" % (command, done.stdout, done.stderr))
        if command.startswith("curl "):
            self.assertEqual(len(json.loads(done.stdout)["neighbors"]), 3)

    def obey(self, command):
        """True when the command was for this test."""
        container = re.match(r"docker run .*-v \"\$PWD/models:/\S+\" .*?\b(?:rasae (?P<trainer>\S.*)|rasaed rasaed$)", command)
        if command.startswith("mkdir -p models"):
            self.run_here(command)
        elif container and container.group("trainer"):
            self.run_here("rasae " + container.group("trainer"), "models")
        elif container:
            self.serve("--dictionary-dir", self.path("models"))
        elif command == "sudo systemctl enable --now rasaed@digits":
            self.serve("--dictionary", "digits=" + self.path("lib", "digits.safetensors"), "--watch")
        elif re.match(r"(sudo )?rasaed? ", command):
            self.run_here(re.sub("^sudo ", "", command))
        elif self.daemon and "/v1/dictionaries/digits" in command:
            self.run_here(command)
        else:
            return False
        return True

    def test_every_command(self):
        done = 0
        for command in commands():
            with self.subTest(command=command):
                if self.obey(command):
                    done += 1
                    continue
                tests = [test for start, test in ELSEWHERE.items() if command.startswith(start)]
                self.assertTrue(tests, "no test runs this command")
                self.assertTrue(os.path.exists(os.path.join(TOP, tests[0])), tests[0])
        self.assertGreaterEqual(done, 9)


if __name__ == "__main__":
    unittest.main()
