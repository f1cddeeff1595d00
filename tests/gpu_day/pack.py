#!/usr/bin/env python3
"""make gpu-day: packs what a bare machine with a GPU needs to try this build: the programs, the plugin, the unit tests and
their golden files, bench_gpu, every shared library that is not the system's or CUDA's, and run.py.

    pack.py FOLDER --suites "backend model_search ..." [--plugin build/librasae-cuda.so] [--reference WHEEL]

FOLDER then holds run.py and pack.tar.gz: copy it to that machine and call `python3 FOLDER/run.py --out RESULTS` there
(Python's standard library is enough; where its Python has torch, training is timed beside torch, too, and beside
overcomplete's own loop if its wheel is given here)."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"))
PROGRAMS = ["rasae", "rasaed", "tests/unit", "tests/bench_gpu"]
PLUGINS = ["tests/librasae-example.so", "tests/librasae-example-old.so", "tests/librasae-example-idle.so"]
# Parts of glibc and of the compiler, which every machine has, in a version that belongs to its kernel and loader.
SYSTEM = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+))\.so\.\d+$")
MOST = 60 << 20


def libraries(program):
    """The shared libraries that a program loads and the other machine may lack, as {name: file}."""
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    found = dict(re.findall(r"^\s*(\S+) => (/\S+)", listed, re.M))
    if "not found" in listed:
        sys.exit("%s lacks a library:\n%s" % (program, listed))
    return {name: path for name, path in found.items() if not SYSTEM.fullmatch(name)}


def main():
    parser = argparse.ArgumentParser(description="Packs what a bare machine with a GPU needs; see the head of this file.")
    parser.add_argument("folder")
    parser.add_argument("--suites", required=True, help="the suites of make check-gpu")
    parser.add_argument("--plugin", default=os.path.join(BUILD, "librasae-cuda.so"), help="the emulated one, for a rehearsal")
    parser.add_argument("--reference", help="overcomplete's wheel")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rasae-gpu-day-") as room:
        for folder in ("bin", "lib", "tests"):
            os.mkdir(os.path.join(room, folder))
        for name in PROGRAMS + PLUGINS:
            shutil.copy2(os.path.join(BUILD, name), os.path.join(room, "bin"))
            for library, path in libraries(os.path.join(BUILD, name)).items():
                shutil.copy2(path, os.path.join(room, "lib", library))
        shutil.copy2(options.plugin, os.path.join(room, "bin", "librasae-cuda.so"))
        for name in ("cuda-device", "cuda-emulated"):  # what bench_gpu and check-gpu call it; what the emulation looks for
            os.symlink("librasae-cuda.so", os.path.join(room, "bin", "librasae-%s.so" % name))
        shutil.copytree(os.path.join(TOP, "tests", "golden"), os.path.join(room, "tests", "golden"))
        shutil.copy2(os.path.join(TOP, "tests", "bench", "train_overcomplete.py"), room)
        os.mkdir(os.path.join(room, "proto"))
        for name in ("artifact.md", "openapi.json"):  # which a unit test compares with the library
            shutil.copy2(os.path.join(TOP, "proto", name), os.path.join(room, "proto"))
        if options.reference:
            with zipfile.ZipFile(options.reference) as wheel:
                wheel.extractall(os.path.join(room, "reference"))
        with open(os.path.join(room, "suites"), "w", encoding="ascii") as file:
            file.write(options.suites + "\n")
        os.makedirs(options.folder, exist_ok=True)
        target = os.path.join(options.folder, "pack.tar.gz")
        with tarfile.open(target, "w:gz", compresslevel=6) as pack:
            pack.add(room, arcname="pack")
    shutil.copy2(os.path.join(HERE, "run.py"), options.folder)
    size = os.path.getsize(target)
    print("%s: %.1f MB" % (target, size / 1e6))
    if size > MOST:
        sys.exit("%s is larger than %d MB" % (target, MOST >> 20))


if __name__ == "__main__":
    main()
