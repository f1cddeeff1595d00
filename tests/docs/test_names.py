"""names.py finds nothing in this tree, and finds what is planted in a small one, at its line and nothing else."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True

TREE = {
    "Makefile": "all: one two ## build\n\techo $@\n.PHONY: all one\none two:\n",
    "README.md": "# The tree\n\n## How it is built\n\nRead [this](lib/README.md#the-layers), then `lib/`.\n",
    "lib/README.md": "# lib\n\n## The layers\n\n`base/` and lib/base/{a_file,pool}.c.\n",
    "lib/base/pool.c": '#include "base/pool.h"\n/* Runs. */\nvoid ra_pool_run(void) {}\n',
    "lib/base/pool.h": "#include <sys/stat.h>\nvoid ra_pool_run(void);\n",
    "lib/base/a_file.c": "/* See pool.c. */\n",
    "tests/test_pool.py": '"""Of the pool."""\n',
    "deploy/run": "#!/bin/sh\necho run\n",
}

# A file, what is added at its end, and the finding; None where there must not be one.
PLANTED = [
    ("lib/base/pool.c", "/* lib/base/poll.c */", "lib/base/poll.c does not exist"),
    ("lib/base/pool.c", "/* see poll.c */", "poll.c does not exist"),
    ("lib/base/pool.c", "/* base/poll.h */", "base/poll.h does not exist"),
    ("lib/base/pool.c", "// lib/{base,bass}/pool.c", "lib/bass/pool.c does not exist"),
    ("lib/base/pool.c", "/* tests/test_poll_*.py */", "tests/test_poll_*.py does not exist"),
    ("lib/base/pool.c", "/* REFERENCE section 2 */", "there is no document REFERENCE"),
    ("lib/base/pool.c", "/* MANUAL, section 2 */", "there is no document MANUAL"),
    ("lib/base/pool.c", "/* the rules of ARCHITECTURE */", "there is no document ARCHITECTURE"),
    ("lib/base/pool.c", "/* ra_pool_walk() */", "ra_pool_walk() does not exist"),
    ("lib/base/pool.c", "/* `make three` */", "make three: there is no such target"),
    ("lib/base/pool.c", "/* base/pool.c, pool.[ch], x.c, NAME.h, sys/stat.h, stat.h, a/b, and/or, ra_pool_run(), READ 3 */", None),
    ("lib/base/pool.c", 'const char *code = "lib/base/poll.c"; int lib_base_poll;', None),
    ("lib/README.md", "`basis/`", "basis/ does not exist"),
    ("lib/README.md", "[pool](base/poll.c)", "base/poll.c: the link leads nowhere"),
    ("lib/README.md", "[tree](../README.md#how-it-works)", "../README.md#how-it-works: there is no such heading"),
    ("lib/README.md", "[tree](../README.md#how-it-is-built), [here](#the-layers), [far](https://example.com/a.c)", None),
    ("lib/README.md", "`make one`, `make one two BUILD=x`, `make`", None),
    ("README.md", "```sh\nmake one\nmake three     # a comment\n```", "make three: there is no such target"),
    ("tests/test_pool.py", "# lib/base/poll.c", "lib/base/poll.c does not exist"),
    ("tests/test_pool.py", 'path = "lib/base/poll.c"', None),
    ("deploy/run", "# tests/run.py", "tests/run.py does not exist"),
    ("deploy/run", "rm lib/x/y", None),
    ("Makefile", ".PHONY: three", "three is .PHONY and has no rule"),
]


def names(top):
    done = subprocess.run([sys.executable, os.path.join(HERE, "names.py"), top], capture_output=True, text=True, timeout=60,
                          check=False)
    assert not done.stderr, done.stderr
    *findings, _ = done.stdout.splitlines()
    assert done.returncode == (1 if findings else 0), done
    return findings


class Names(unittest.TestCase):
    maxDiff = None

    def test_this_tree(self):
        self.assertEqual(names(os.path.dirname(os.path.dirname(HERE))), [])

    def test_planted_faults(self):
        with tempfile.TemporaryDirectory(prefix="rasae-names-") as top:
            for path, text in TREE.items():
                os.makedirs(os.path.join(top, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(top, path), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(names(top), [])
            for path, added, expected in PLANTED:
                place = os.path.join(top, path)
                with open(place, "a", encoding="utf-8") as file:
                    file.write(added + "\n")
                found = names(top)
                with open(place, "w", encoding="utf-8") as file:
                    file.write(TREE[path])
                lines = TREE[path].count("\n") + 1
                where = 1 if path == "Makefile" else lines + (2 if "\n" in added else 0)
                with self.subTest(path=path, added=added):
                    self.assertEqual(found, ["%s:%d: %s" % (path, where, expected)] if expected else [])


if __name__ == "__main__":
    unittest.main()
