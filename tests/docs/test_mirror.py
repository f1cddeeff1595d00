"""mirror.py finds nothing in this tree, and finds what is planted in a small one, and nothing else."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

TREE = {
    "lib/base/pool.c": "",
    "lib/sae/topk.c": "",
    "lib/sae/kinds/a.c": "",
    "lib/sae/kinds/b.cu": "",
    "server/api/search.c": "",
    "trainer/fuse.c": "",
    "tests/unit/lib/base/test_pool.c": "/* Of the pool. */\n",
    "tests/unit/lib/sae/test_kinds.c": "/* What all share (lib/sae/{topk,\n * kinds/a}.c). */\nint x; /* lib/sae/other.c */\n",
    "tests/unit/test_kernels.c": "/* lib/sae/kinds/b.cu */\n",
    "tests/http/test_search.py": '"""Search."""\n',
    "tests/cli/test_fuse.py": '"""Fuse."""\n',
}
# Files that are added or replaced, and what is found then; a file of None goes.
PLANTED = [
    ({"lib/base/memory.c": ""}, ["lib/base/memory.c: has no test"]),
    ({"lib/base/cuda.cu": ""}, ["lib/base/cuda.cu: has no test"]),
    ({"lib/sae/other.c": ""}, ["lib/sae/other.c: has no test"]),
    ({"lib/sae/kinds/a/deep.c": ""}, ["lib/sae/kinds/a/deep.c: has no test"]),
    ({"server/api/atoms.c": ""}, ["server/api/atoms.c: has no test"]),
    ({"trainer/eval.c": "", "tests/http/test_eval.py": '"""Eval."""\n'},
     ["trainer/eval.c: has no test", "tests/http/test_eval.py: tests nothing"]),
    ({"tests/unit/lib/base/test_gone.c": "/* Of lib/base/gone.c. */\n"}, ["tests/unit/lib/base/test_gone.c: tests nothing"]),
    ({"lib/base/pool.c": None}, ["tests/unit/lib/base/test_pool.c: tests nothing"]),
    ({"lib/sae/kinds/c.c": "", "tests/unit/test_kernels.c": "/* lib/sae/kinds */\n"}, []),
    ({"lib/base/memory.c": "", "tests/cli/test_memory.py": '#!/x\n"""lib/base/memory.c"""\n'}, []),
]


def findings(top):
    done = subprocess.run([sys.executable, os.path.join(HERE, "mirror.py"), top], capture_output=True, text=True, timeout=60,
                          check=False)
    assert not done.stderr, done.stderr
    *found, _ = done.stdout.splitlines()
    assert done.returncode == (1 if found else 0), done
    return found


class Mirror(unittest.TestCase):
    def test_this_tree(self):
        self.assertEqual(findings(os.path.dirname(os.path.dirname(HERE))), [])

    def test_planted_faults(self):
        for added, expected in [({}, []), *PLANTED]:
            with self.subTest(added=added), tempfile.TemporaryDirectory(prefix="rasae-mirror-") as top:
                for path, text in {**TREE, **added}.items():
                    if text is not None:
                        os.makedirs(os.path.join(top, os.path.dirname(path)), exist_ok=True)
                        with open(os.path.join(top, path), "w", encoding="utf-8") as file:
                            file.write(text)
                self.assertEqual([finding[:len(start)] for finding, start in zip(findings(top), expected)], expected)
                self.assertEqual(len(findings(top)), len(expected))


if __name__ == "__main__":
    unittest.main()
