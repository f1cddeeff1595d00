"""The TypeScript client that openapi-generator makes of proto/openapi.json: it has nothing to rename, it compiles, and every
operation works in Node, against a live daemon. It needs java, node, and Debian's package of tsc."""

import environment

environment.enter()

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import contract

DOCUMENT = os.path.join(environment.TOP, "proto", "openapi.json")
CALLS = os.path.join(environment.FOLDER, "every_operation.js")
SECONDS = 240

# What the generator says of every document of OpenAPI 3.1 with a relative address, and of members that have the name of a
# type of TypeScript, though no class is named after them.
USUAL = ("Exclude (model name matches existing language type)", "Set (model name matches existing language type)",
         "OpenAPI 3.1 support is still in beta", "'scheme' not defined in the spec", "Failed to get the schema name: null")

# Debian 12 has TypeScript 4.8, which does not follow the `in` of the generator's code.
OPTIONS = {"target": "ES2020", "module": "commonjs", "lib": ["ES2021", "DOM"], "strict": True, "noImplicitAny": False,
           "types": [], "outDir": "compiled"}


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


@unittest.skipUnless(all(map(shutil.which, ("java", "node", "apt-get"))), "no java, no node or no apt-get")
class TypeScript(unittest.TestCase):
    def test_every_operation(self):
        with tempfile.TemporaryDirectory() as folder, contract.Server() as server:
            said = run(os.path.join(os.path.dirname(sys.executable), "openapi-generator-cli"), "generate", "-i", DOCUMENT,
                       "-g", "typescript-fetch", "-o", os.path.join(folder, "client"))
            warnings = [line for line in said.splitlines() if " WARN " in line or " ERROR " in line]
            self.assertEqual([line for line in warnings if not any(usual in line for usual in USUAL)], [])
            with open(os.path.join(folder, "tsconfig.json"), "w", encoding="utf-8") as file:
                json.dump({"compilerOptions": OPTIONS, "include": ["client/**/*.ts"]}, file)
            debian = run("sh", os.path.join(environment.TOP, "tests", "deploy", "debian"), "node-typescript").split()[-1]
            self.assertEqual(run("node", debian + "/usr/share/nodejs/typescript/bin/tsc", "-p", folder), "")
            called = run("node", CALLS, os.path.join(folder, "compiled"), DOCUMENT, server.url, contract.ADMIN_KEY)
            self.assertEqual(called, "%d operations\n" % sum(1 for _ in contract.operations(contract.document())))


if __name__ == "__main__":
    unittest.main()
