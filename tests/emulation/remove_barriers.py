#!/usr/bin/env python3
"""make check-barriers: removes each barrier of the kernels in turn, and expects the checked plugin to find a race.

A barrier whose absence nothing notices is either not needed or not tested. Each mutant is one kernel file, compiled
anew and linked with the other objects of librasae-cuda-checked.so; the unit tests of its operations run on it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNELS = "lib/backend/cuda"
# The suites that run what a file has, and for a header the kernel file that stands for all that include it.
SUITES = {"rows.cu": ["backend_rows", "backend_whole"], "sums.cu": ["backend_sums"], "squares.cu": ["backend"], "norms.cu": ["backend_norms"], "columns.cu": ["backend_sums"],
          "top_k.cu": ["backend_cuda_top_k", "backend"], "threshold.cu": ["backend"], "kth_largest.cu": ["backend"], "pursuit.cu": ["backend_pursuit"],
          "mixture.cu": ["mixture_backends"], "transpose.cu": ["backend_cuda_kept"], "entries.cu": ["backend_entries"], "gradient.cu": ["backend"], "decode.cu": ["backend"]}
# Barriers without which another one still keeps threads apart, by their number in the file: they stay as a second line.
COVERED = {("mixture.cu", number) for number in (0, 1, 3, 4, 5, 8)} | {("top_k.cu", 0)}
STANDS_FOR = {"kernel.cuh": "rows.cu", "select.cuh": "top_k.cu", "radix.cuh": "top_k.cu", "columns.cuh": "columns.cu", "scan.cuh": "transpose.cu"}


def barriers():
    for name in sorted(os.listdir(os.path.join(TOP, KERNELS))):
        if name.endswith((".cu", ".cuh")):
            with open(os.path.join(TOP, KERNELS, name), encoding="utf-8") as file:
                text = file.read()
            for number, found in enumerate(re.finditer(r"__syncthreads\(\);", text)):
                yield (name, number) in COVERED, name, text.count("\n", 0, found.start()) + 1, text[:found.start()] + ";" + text[found.end():]


def main():
    compiler, link, objects = sys.argv[1].split(), sys.argv[2].split(), sys.argv[3].split()
    build = os.environ["RASAE_BUILD"]
    wanted = sys.argv[4:]
    plugin = os.path.join(build, "tests", "librasae-cuda-mutant-%d.so" % os.getpid())
    missed = total = 0
    with tempfile.TemporaryDirectory(prefix="rasae-barriers-") as room:
        shutil.copytree(os.path.join(TOP, KERNELS), os.path.join(room, KERNELS))
        for covered, name, line, text in barriers():
            if wanted and name not in wanted:
                continue
            source = STANDS_FOR.get(name, name)
            place = os.path.join(room, KERNELS, name)
            with open(place, "w", encoding="utf-8") as file:
                file.write(text)
            mutant = os.path.join(room, "mutant.cu.o")  # the name of a kernel's object (shared.ld)
            subprocess.run([*compiler, "-I" + os.path.join(room, "lib"), "-I" + os.path.join(TOP, "lib"), "-o", mutant, "-x", "c++", "-c",
                            os.path.join(room, KERNELS, source)], check=True, cwd=TOP)
            others = [one for one in objects if not one.endswith("/checked/%s/%s.o" % (KERNELS, source))]
            try:
                subprocess.run([*link, "-o", plugin, mutant, *others, "-lopenblas", "-ldl"], check=True, cwd=TOP)
                said = ""
                for suite in SUITES[source]:
                    run = subprocess.run([os.path.join(build, "tests", "unit")], cwd=TOP, capture_output=True, text=True, timeout=1200, env={
                        **os.environ, "RASAE_TEST_DEVICE": os.path.basename(plugin)[len("librasae-"):-len(".so")], "CK_FORK": "no",
                        "CK_RUN_SUITE": suite, "OPENBLAS_NUM_THREADS": "1"})
                    found = re.search(r"emulation: (kernel \S+).*?: ((reads|writes) a word of.*)", run.stderr)
                    said = said or (found.group(1) + " " + found.group(2) if found else "")
                    if said:
                        break
            finally:
                if os.path.exists(plugin):
                    os.remove(plugin)
            total += 1
            missed += not said and not covered
            print("%s:%d: %s" % (name, line, said or ("covered by another" if covered else "NOT FOUND")), flush=True)
            shutil.copy2(os.path.join(TOP, KERNELS, name), place)
    print("%d barriers removed, %d not found" % (total, missed))
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
