"""What the tests of this folder share: an installation into a folder of its own, and processes with time limits.

    with Installation() as there:
        there.path("bin/rasae"), there.run("rasae", "--version").stdout

RASAE_BUILD names the folder of the programs (default: build). Standard library only."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("RASAE_BUILD", "build")
PROGRAMS = os.path.join(TOP, BUILD)
SECONDS = 300
SANITIZED = "sanitize" in BUILD  # what is installed is built without sanitizers


def environment(**more):
    """The environment without the variables of an outer make."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    kept.update(more)
    return kept


def run(*command, check=True, cwd=TOP, seconds=SECONDS, env=None, **more):
    done = subprocess.run(command, cwd=cwd, env=env or environment(), stdin=subprocess.DEVNULL, timeout=seconds,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if check and done.returncode != 0:
        raise AssertionError("%s ended with %d\n%s" % (" ".join(command), done.returncode, done.stdout))
    return done


def version():
    with open(os.path.join(TOP, "lib", "ra.h"), encoding="utf-8") as file:
        return re.search(r'#define RA_VERSION "([^"]+)"', file.read()).group(1)


def commands():
    """The commands of rasae, from its help."""
    listed = run(os.path.join(PROGRAMS, "rasae"), "--help").stdout
    return re.findall(r"^  ([a-z]+)  +\w", listed.split("Commands:")[1].split("\n\n")[0], re.M)


def flags(*command):
    """The flags in a program's help, in its order, once each."""
    program, *rest = command
    text = run(os.path.join(PROGRAMS, program), *rest, "--help").stdout
    return list(dict.fromkeys(re.findall(r"^ +(?:-[a-z], )?(--[a-z][a-z0-9-]*)", text, re.M)))


def bill_of(path, program):
    """The bill of materials in a file, and why it is not that of the program, which lies elsewhere: [] if it is."""
    with open(path, encoding="utf-8") as file:
        bill = json.load(file)
    with open(program, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    own = [part for part in bill["components"] if part["type"] == "application"]
    wrong = []
    if bill["bomFormat"] != "CycloneDX":
        wrong.append("it is no CycloneDX")
    if [(part["name"], part["version"]) for part in own] != [(os.path.basename(program), version())]:
        wrong.append("it is of " + ", ".join(part["name"] for part in own))
    elif own[0]["hashes"][0]["content"] != digest:
        wrong.append("it is of another program of this name")
    if "libopenblas0-pthread" not in {part["name"] for part in bill["components"]}:
        wrong.append("OpenBLAS is not in it")
    return bill, wrong


class Installation:
    """`make install` into a temporary folder, which is the prefix or, if one is given, the DESTDIR."""

    def __init__(self, prefix=None):
        self.folder = tempfile.mkdtemp(prefix="rasae-install-")
        self.destdir = self.folder if prefix else ""
        self.prefix = prefix or self.folder

    def __enter__(self):
        self.make("install")
        return self

    def __exit__(self, *why):
        shutil.rmtree(self.folder)

    def make(self, target):
        run("make", target, "BUILD=" + BUILD, "DESTDIR=" + self.destdir, "prefix=" + self.prefix)

    def path(self, *parts):
        return os.path.join(self.destdir + self.prefix, *parts)

    def files(self):
        return sorted(os.path.relpath(os.path.join(where, name), self.path())
                      for where, _, names in os.walk(self.path()) for name in names)
