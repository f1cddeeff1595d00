#!/usr/bin/env python3
"""Every example in the comments of lib's headers compiles.

An example is a paragraph of a comment that is indented by five spaces and holds a semicolon:

     ra_backend *backend = NULL;
     RA_TRY(ra_backend_open("cpu", NULL, &backend, err));

It becomes the body of a function that returns a ra_status and has the usual variables (USUAL) as parameters; what
is particular to one header stands in EXTRA. Errors are reported at the header's own lines.
"""

import os
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent

# Whatever an example does not declare itself.
USUAL = """
    ra_error *err, ra_backend *backend, ra_model *model, ra_workspace *workspace, ra_sae *sae, ra_dictionary *dictionary,
    ra_data *data, ra_points *points, ra_codes codes, const float *x, float *x_hat, const float *D, float *scores,
    const char *const *paths, size_t count, size_t rows, size_t K, size_t d, size_t B, size_t n
"""
EXTRA = {
    "lib/app/settings.h": "int argc; char **argv; bool help;",
    "lib/ra_agreement.h": "const ra_matrix *runs = NULL;",
    "lib/ra_consensus.h": "const ra_matrix *runs = NULL;",
    "lib/app/text.h": "const float *row = NULL;",
    "lib/metrics/cofiring.h": "ra_pool *pool = NULL; size_t bytes; const ra_latent_sums *sums = NULL; ra_codes_order order;",
    "lib/metrics/pairs.h": "ra_pool *pool = NULL; size_t bytes; const ra_latent_sums *sums = NULL; ra_pairs_result result;",
    "lib/model/execution.h": "ra_executions *executions; ra_execution *execution; size_t m;",
    "lib/points/nearest.h": "int32_t *row = NULL; float *distance = NULL; const float *vectors = NULL; size_t N;",
    "lib/points/row_reader.h": "ra_pool *pool = NULL; double sum = 0;",
    "lib/train/batches.h": "ra_trainer **trainers = NULL; ra_train_progress progress;",
    "lib/data/disk.h": "const ra_data_file *file = NULL;",
    "lib/train/windows.h": "ra_window_shape shape; uint64_t *row_numbers = NULL; uint64_t epoch, seed; size_t position;",
    "lib/train/order.h": "uint64_t *row_numbers = NULL; uint64_t epoch, seed; size_t position;",
}


def comment_lines(text):
    """(line number, text behind the star) of every line of a block comment that begins with a star."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not inside and line.lstrip().startswith("/*"):
            inside = True
        elif inside:
            match = re.match(r" \*(.*?)(\*/)?$", line)
            if match:
                yield number, match.group(1)
        if "*/" in line:
            inside = False


def examples(path):
    """Lists of (line number, code)."""
    paragraphs = [[]]
    for number, text in comment_lines(path.read_text()):
        if text.strip():
            paragraphs[-1].append((number, text))
        else:
            paragraphs.append([])
    return [[(number, text[5:]) for number, text in lines] for lines in paragraphs
            if lines and all(text.startswith("     ") for _, text in lines) and any(";" in text for _, text in lines)]


def as_function(name, header, lines):
    body = [f'#line {number} "{header}"\n{code}' for number, code in lines]
    return "\n".join([f"ra_status {name}({USUAL}) {{", EXTRA.get(header, ""), "{", *body, "}", "return RA_OK;", "}", ""])


def headers():
    return sorted(str(path.relative_to(TOP)) for path in (TOP / "lib").rglob("*.h"))


class Examples(unittest.TestCase):
    def test_they_compile(self):
        compiler = shlex.split(os.environ.get("CC", "gcc"))
        flags = ["-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Werror", "-Wno-unused", "-Wno-uninitialized",
                 f"-I{TOP / 'lib'}"]
        found = {header: examples(TOP / header) for header in headers()}
        for header, runs in found.items():
            if not runs:
                continue
            source = ['#include "ra.h"', '#include "ra_memory.h"', "#include <stdio.h>", "#include <stdlib.h>"]
            source.append(f'#include "{header.removeprefix("lib/")}"')
            source += [as_function(f"example_{i}", header, lines) for i, lines in enumerate(runs)]
            with self.subTest(header), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "examples.c"
                path.write_text("\n".join(source))
                result = subprocess.run([*compiler, *flags, str(path)], capture_output=True, text=True, check=False)
                self.assertEqual(result.returncode, 0, result.stderr)
        with_examples = {header for header, runs in found.items() if runs}
        for header in ("lib/ra_backend.h", "lib/ra_model.h", "lib/ra_train.h", "lib/app/json.h"):
            self.assertIn(header, with_examples)

    def test_what_is_an_example(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.h"
            path.write_text("/* a.h - one.\n *\n *     D = W C\n *\n *     int i = 0;\n *     i++;\n *\n *   a  text;\n *      no\n */\n"
                            "int x; /* not; this */\n")
            self.assertEqual(examples(path), [[(5, "int i = 0;"), (6, "i++;")]])


if __name__ == "__main__":
    unittest.main()
