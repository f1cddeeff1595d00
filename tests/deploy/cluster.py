"""What the tests of this folder share: the Python packages and the daemon of tests/clients, Debian's programs, and
the manifests as a cluster would get them.

    import cluster
    cluster.enter()             # from here on, the packages of tests/clients/requirements.txt are available
    cluster.build("overlays/cpu")
    cluster.run("promtool", "--version")

Each test can run alone: `python3 tests/deploy/test_kubernetes.py`."""

import glob
import os
import shutil
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(FOLDER))
DEPLOY = os.path.join(TOP, "deploy")
KUBERNETES = os.path.join(DEPLOY, "kubernetes")
sys.path.insert(0, os.path.join(TOP, "tests", "clients"))

from environment import PATIENCE, PROGRAM, Daemon, enter, golden  # noqa: E402,F401  (given on)


def load(*parts):
    """The documents of a YAML file under deploy/."""
    import yaml
    with open(os.path.join(DEPLOY, *parts), encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def build(folder):
    """What `kubectl apply -k FOLDER` would send; FOLDER is absolute or under deploy/kubernetes."""
    import yaml
    kubectl = os.path.join(os.path.dirname(sys.executable), "kubectl")
    done = subprocess.run([kubectl, "kustomize", os.path.join(KUBERNETES, folder)], capture_output=True, text=True,
                          timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr  # it warns of what is going out of use
    return list(yaml.safe_load_all(done.stdout))


def pod_specs(value):
    """Every pod specification in an object, at any depth: each mapping with containers."""
    if isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
        for member in value.values():
            yield from pod_specs(member)
    elif isinstance(value, list):
        for member in value:
            yield from pod_specs(member)


# ---- Debian's programs

PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "haproxy": "haproxy", "nginx": "nginx", "wrk": "wrk",
            "sshd": "openssh-server", "go": "golang-go"}


def tool(name):
    """(path, environment) of a program: the installed one, or the one of Debian's package, unpacked into build/."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path:
        return path, os.environ
    root = subprocess.run(["sh", os.path.join(FOLDER, "debian"), PACKAGES[name]], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()
    path, = glob.glob(root + "/usr/*bin/" + name)
    libraries = ":".join(glob.glob(root + "/usr/lib/*-linux-gnu*"))
    return path, {**os.environ, "LD_LIBRARY_PATH": libraries}


def run(name, *arguments, **more):
    path, environment = tool(name)
    return subprocess.run([path, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE,
                          **{"input": "", **more})
