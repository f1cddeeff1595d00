"""coverage.py GCOVR BUILD - which share of the lines and branches of lib and server a build that counts has reached; for
`make coverage`. Prints a table by folder, then the files that are furthest below, and fails below LINES or BRANCHES.

lib/backend/cuda is left out: its code runs on a device (`make check-gpu`), and here on an emulated one that is built without counts."""

import collections
import json
import os
import subprocess
import sys

LINES, BRANCHES = 92, 80  # percent
FURTHEST = 12
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def summary(gcovr, build):
    done = subprocess.run([gcovr, "--root", TOP, "--filter", "lib/", "--filter", "server/", "--exclude", "lib/backend/cuda/", "--json-summary",
                           "--gcov-ignore-errors", "no_working_dir_found", "--gcov-ignore-parse-errors", "negative_hits.warn",
                           "--merge-mode-functions", "separate", os.path.join(build, "obj", "lib"), os.path.join(build, "obj", "server")],
                          cwd=TOP, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["files"]


def folder_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def share(covered, total):
    return 100 * covered / total if total else 100


def main():
    files = summary(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    sums = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file in files:
        for key in folder_of(file["filename"]), "all":
            for i, name in enumerate(("line_covered", "line_total", "branch_covered", "branch_total")):
                sums[key][i] += file[name]
    print("| folder | lines | reached | branches | reached |\n|---|---:|---:|---:|---:|")
    for key, (lines, line_total, branches, branch_total) in sorted(sums.items(), key=lambda row: (row[0] == "all", row[0])):
        print("| %s | %s | %.1f %% | %s | %.1f %% |" % ("all" if key == "all" else "`%s/`" % key, format(line_total, ","), share(lines, line_total),
                                                   format(branch_total, ","), share(branches, branch_total)))
    print()
    for file in sorted(files, key=lambda one: share(one["line_covered"], one["line_total"]))[:FURTHEST]:
        print("%5.1f %% of %4d lines, %5.1f %% of %4d branches  %s"
              % (share(file["line_covered"], file["line_total"]), file["line_total"], share(file["branch_covered"], file["branch_total"]),
                 file["branch_total"], file["filename"]))
    lines, line_total, branches, branch_total = sums["all"]
    good = share(lines, line_total) >= LINES and share(branches, branch_total) >= BRANCHES
    print("coverage: %s %d %% of the lines and %d %% of the branches" % ("at least" if good else "below", LINES, BRANCHES))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
