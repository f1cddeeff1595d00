"""make check-packages: the Debian packages in a system of their own. debootstrap makes a small Debian of this
machine's release in build/machine/base, once. A copy of it gets the packages, boots with its own systemd in
namespaces of this kernel (systemd-nspawn), and runs machine.sh. Needs root and Debian's archive."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import BUILD, TOP, environment, run

HERE = os.path.join(TOP, BUILD, "machine")
BASE = os.path.join(HERE, "base")
MINUTES = 60
UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/root/machine.sh >/root/said 2>&1; echo $? >/root/status; systemctl poweroff --no-block'
TimeoutStartSec=15min
"""


def release():
    with open("/etc/os-release", encoding="utf-8") as file:
        return re.search(r"^VERSION_CODENAME=(\w+)", file.read(), re.M).group(1)


def make_base():
    if os.path.exists(os.path.join(BASE, "made")):
        return
    shutil.rmtree(BASE, ignore_errors=True)
    os.makedirs(HERE, exist_ok=True)
    run("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", release(), BASE, seconds=30 * MINUTES)
    open(os.path.join(BASE, "made"), "w", encoding="utf-8").close()


def inside(machine, *command, boot=False):
    """Runs a command in the machine. nspawn needs /run in memory, so it gets one, in a mount namespace of its own."""
    spawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--resolv-conf=copy-host",
             "--directory=" + machine, *(["--boot"] if boot else ["--", *command])]
    script = 'mount -t tmpfs tmpfs /run && exec "$@"'
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *spawn], env=environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=20 * MINUTES, check=False).stdout.decode(errors="replace")


class Machine(unittest.TestCase):
    def test_the_packages_in_a_system_that_boots(self):
        run("sh", "deploy/make-deb", os.path.join(HERE, "deb"), env=environment(DEB_BUILD_OPTIONS="nocheck"),
            seconds=20 * MINUTES)
        make_base()
        machine = tempfile.mkdtemp(prefix="root-", dir=HERE)
        try:
            run("cp", "-a", BASE + "/.", machine)
            for path in glob.glob(os.path.join(HERE, "deb", "*.deb")):
                if "dbgsym" not in path:
                    shutil.copy(path, os.path.join(machine, "root"))
            shutil.copy(os.path.join(TOP, "tests/data/digits.npy"), os.path.join(machine, "root"))
            shutil.copy(os.path.join(TOP, "tests/deploy/machine.sh"), os.path.join(machine, "root"))
            os.chmod(os.path.join(machine, "root/machine.sh"), 0o755)
            said = inside(machine, "sh", "-c", "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install "
                          "--no-install-recommends -y /root/*.deb && echo installed")
            self.assertIn("installed", said.splitlines(), said)
            with open(os.path.join(machine, "etc/systemd/system/check.service"), "w", encoding="utf-8") as file:
                file.write(UNIT)
            wants = os.path.join(machine, "etc/systemd/system/default.target.wants")
            os.makedirs(wants, exist_ok=True)
            os.symlink("/etc/systemd/system/check.service", os.path.join(wants, "check.service"))
            console = inside(machine, boot=True)
            status = os.path.join(machine, "root/status")
            self.assertTrue(os.path.exists(status), console)
            with open(os.path.join(machine, "root/said"), encoding="utf-8", errors="replace") as file:
                said = file.read()
            with open(status, encoding="utf-8") as file:
                self.assertEqual(file.read().strip(), "0", said)
            self.assertIn("all is well", said)
            sys.stderr.write(said)
        finally:
            shutil.rmtree(machine, ignore_errors=True)


if __name__ == "__main__":
    unittest.main()
