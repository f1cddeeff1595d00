"""run.py [--tool NAME] [FILE...] - what compilers and checkers say about the sources: make analyse.

gcc's -fanalyzer, clang-tidy (bugprone, cert, concurrency) and cppcheck look at each C file of the library (but the CUDA plugin, for
which they would need CUDA's headers) and of the server. A finding is named by its tool, its file, its check and its message, without a line, which moves. Those in accepted.txt are known: each has
the reason why it is no fault. Any other one fails, and so does a line of that file which nothing is found for any more.

A check that is left out altogether is in LEFT_OUT, with its reason."""

import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ACCEPTED = os.path.join(TOP, "tests", "analyse", "accepted.txt")
FLAGS = ["-D_GNU_SOURCE", "-Ilib", "-Iserver", "-std=gnu17"]
LEFT_OUT = {
    "bugprone-easily-swappable-parameters": "arguments of one type are common in numerical code; names and tests tell them apart",
    "bugprone-assignment-in-if-condition": "the house style assigns in the condition of a loop over lines",
    "bugprone-reserved-identifier": "_GNU_SOURCE and the hooks of compilers have such names",
    "cert-err33-c": "snprintf into a buffer that may cut, fprintf to a terminal, close: their results change nothing",
    "cert-dcl37-c": "another name of bugprone-reserved-identifier",
    "cert-dcl51-cpp": "another name of bugprone-reserved-identifier",
    "cert-msc30-c": "no number here is a secret",
    "cert-msc50-cpp": "no number here is a secret",
    "concurrency-mt-unsafe": "it lists strerror, getenv and readdir, which glibc has made safe, or which run before there are threads",
    "cert-con36-c": "pthread_cond_wait outside a loop is what bugprone-spuriously-wake-up-functions is about; see its findings",
}
TIDY = ",".join(["-*", "bugprone-*", "cert-*", "concurrency-*"] + ["-" + name for name in sorted(LEFT_OUT)])


def run(command):
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=3600)
    return done.stdout + done.stderr


def gcc(path):
    """A finding has the name of the function, not of the expression, for which gcc has another one in each run."""
    function = ""
    for line in run(["gcc", *FLAGS, "-include", PLAINER, "-O1", "-fanalyzer", "-S", "-o", os.devnull, path]).splitlines():
        line = line.replace("\u2018", "'").replace("\u2019", "'")
        inside = re.match(r"[^:]+: In function '(\w+)", line)
        function = inside.group(1) if inside else function
        found = re.match(r"([^:]+):\d+:\d+: warning: (.*) \[-W(analyzer-[^]]+)\]", line)
        if found:
            yield found.group(1), found.group(3), re.sub(r" (of )?'.*'| \[CWE-\d+\]", "", found.group(2)) + " in %s()" % function


def clang_tidy(path):
    name = next((one for one in ("clang-tidy-14", "clang-tidy") if run(["sh", "-c", "command -v " + one])), "clang-tidy")
    for line in run([name, "--quiet", "--checks=" + TIDY, path, "--", *FLAGS]).splitlines():
        found = re.match(r"([^:]+):\d+:\d+: (?:warning|error): (.*) \[([^]]+)\]$", line)
        if found:
            yield os.path.relpath(os.path.join(TOP, found.group(1)), TOP), found.group(3).split(",")[0], found.group(2)


def status_header(folder, name, pattern, macro):
    """lib/ra_status.h with another macro; the real one then is left out by its own guard."""
    with open(os.path.join(TOP, "lib", "ra_status.h"), encoding="utf-8") as file:
        text, count = re.subn(pattern, macro, file.read(), flags=re.S)
    assert count == 1, "lib/ra_status.h has no " + pattern
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


# Of cppcheck: a macro declares the operations of a backend and leaves the names of most of their arguments out.
MACRO_NAMES = "funcArgOrderDifferent"

SCRATCH = tempfile.TemporaryDirectory(prefix="rasae-analyse-")
# cppcheck does not know initializers in the arguments of a macro. Its macro has none, and ends the function as well.
SIMPLER = status_header(SCRATCH.name, "status.h", r"#define RA_FAIL_FACTS\(.*?while \(0\)\n",
                        "#define RA_FAIL_FACTS(err, code, some, ...) return (code)\n")
# gcc looks into one file at a time, so it does not know that ra_error_set() returns the code, which is never RA_OK.
PLAINER = status_header(SCRATCH.name, "plainer.h", r"#define RA_FAIL\(err[^\n]*\n",
                        "#define RA_FAIL(err, code, ...) return ((void)ra_error_set((err), (code), __VA_ARGS__), (code))\n")


def cppcheck(path):
    command = ["cppcheck", "-q", "--std=c11", "--enable=warning,performance,portability", "--include=" + SIMPLER,
               "--suppress=missingIncludeSystem", "--suppress=" + MACRO_NAMES, "--template={file}|{id}|{message}", "-D_GNU_SOURCE", "-Ilib", "-Iserver",
               path]
    for line in run(command).splitlines():
        parts = line.split("|", 2)
        if len(parts) == 3:
            yield parts[0], parts[1], parts[2]


TOOLS = {"gcc": gcc, "clang-tidy": clang_tidy, "cppcheck": cppcheck}


def sources():
    paths = (os.path.relpath(path, TOP) for folder in ("lib", "server")
             for path in glob.glob(os.path.join(TOP, folder, "**", "*.c"), recursive=True))
    return sorted(path for path in paths if not path.startswith("lib/backend/cuda/"))


def accepted():
    """{(tool, file, check, message): reason}; a reason is the indented text behind its findings."""
    known, waiting = {}, []
    with open(ACCEPTED, encoding="utf-8") as file:
        for line in file:
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("    "):
                known.update({row: line.strip() for row in waiting})
                waiting = []
            else:
                waiting.append(tuple(line.rstrip("\n").split(" ", 3)))
    assert not waiting, "accepted.txt: the last findings have no reason"
    return known


def main():
    arguments = sys.argv[1:]
    tools = list(TOOLS)
    if arguments[:1] == ["--tool"]:
        tools, arguments = [arguments[1]], arguments[2:]
    paths, known = arguments or sources(), accepted()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(tool, pool.submit(lambda tool=tool, path=path: list(TOOLS[tool](path)))) for tool in tools for path in paths]
        found = {(tool, *row) for tool, job in jobs for row in job.result()}
    found = {row for row in found if row[1] in paths}
    fresh = sorted(found - set(known))
    stale = sorted(row for row in set(known) - found if row[0] in tools and row[1] in paths)
    for row in fresh:
        print("new: " + " ".join(row))
    for row in stale:
        print("accepted.txt has what is not found any more: " + " ".join(row))
    print("analyse: %d files, %s: %d findings are explained, %d are new" % (len(paths), ", ".join(tools), len(found & set(known)), len(fresh)))
    return 1 if fresh or stale else 0


if __name__ == "__main__":
    sys.exit(main())
