#!/usr/bin/env python3
"""mirror.py [TOP] - finds sources without a test, and tests that test nothing that exists.

The test of lib/io/npy.c is tests/unit/lib/io/test_npy.c. That of server/api/forms.c may also be tests/http/test_forms.py,
and that of trainer/fuse.c tests/cli/test_fuse.py. Where several sources are one subject, one test has all of them: its
head, the first comment or the docstring, names them by their paths from the top. {a,b} stands for both, and a folder
for all files directly in it. The check prints each finding as `file: text` and exits with 1 if there is one.
tests/docs/test_mirror.py plants faults and expects each to be found.
"""
import glob
import os
import re
import sys

SOURCES = ("lib/**/*.c", "lib/**/*.cu", "server/**/*.c", "trainer/**/*.c")
TESTS = ("tests/unit/**/test_*.c", "tests/cli/test_*.py", "tests/http/test_*.py")
PATH = re.compile(r"(?:lib|server|trainer|tests)/[\w./{},-]*\w")


def found(top, patterns):
    return sorted(path for pattern in patterns for path in glob.glob(pattern, root_dir=top, recursive=True))


def own_tests(source):
    """Where the test of its own would be."""
    folder, stem = os.path.split(os.path.splitext(source)[0])
    yield "tests/unit/%s/test_%s.c" % (folder, stem)
    if folder == "server/api":
        yield "tests/http/test_%s.py" % stem
    if folder == "trainer":
        yield "tests/cli/test_%s.py" % stem


def alternatives(path):
    """With {a,b} written out."""
    braces = re.search(r"\{([^{}]*)\}", path)
    if not braces:
        return [path]
    return [way for part in braces.group(1).split(",")
            for way in alternatives(path[:braces.start()] + part + path[braces.end():])]


def named(top, test):
    """The paths in a test's head."""
    with open(os.path.join(top, test), encoding="utf-8") as file:
        head = re.match(r'(?:#![^\n]*\n)?\s*(?:/\*(.*?)\*/|"""(.*?)""")', file.read(), re.S)
    # The list within braces may continue in the next line.
    text = re.sub(r",\s*\n(?: \*)?\s*(?=[^{}]*\})", ",", " ".join(filter(None, head.groups())) if head else "")
    return {way for path in PATH.findall(text) for way in alternatives(path)}


def findings(top):
    sources, tests = found(top, SOURCES), found(top, TESTS)
    names = {test: named(top, test) for test in tests}
    everywhere = set().union(*names.values())
    for source in sources:
        own = list(own_tests(source))
        if not {source, os.path.dirname(source)} & everywhere and not any(test in names for test in own):
            yield source, "has no test: neither is there %s, nor does the head of a test name it" % " or ".join(own)
    owned = {test for source in sources for test in own_tests(source)}
    for test in tests:
        if test not in owned and not any(os.path.exists(os.path.join(top, path)) for path in names[test]):
            yield test, "tests nothing that exists: no source has its name, and its head names none"


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    count = 0
    for finding in findings(top):
        print("%s: %s" % finding)
        count += 1
    print("mirror: %d sources, %d findings" % (len(found(top, SOURCES)), count))
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
