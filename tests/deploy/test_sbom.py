"""deploy/sbom: the bill of materials says what the loader takes, each time in the same bytes."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from support import PROGRAMS, TOP, bill_of

# What CycloneDX 1.5 wants of the members that are used here; the whole schema was held against it once.
REQUIRED = {"application": {"type", "bom-ref", "name", "version", "hashes", "licenses"},
            "library": {"type", "bom-ref", "name", "version", "purl", "components"}}
HEX = re.compile(r"[0-9a-f]{64}")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


class Sbom(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.programs = [os.path.join(PROGRAMS, name) for name in ("rasae", "rasaed")]
        cls.text = run(os.path.join(TOP, "deploy", "sbom"), *cls.programs)
        cls.bill = json.loads(cls.text)

    def hash_of(self, path):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def test_its_form(self):
        self.assertEqual((self.bill["bomFormat"], self.bill["specVersion"], self.bill["version"]), ("CycloneDX", "1.5", 1))
        self.assertRegex(self.bill["serialNumber"], r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$")
        references = [part["bom-ref"] for part in self.bill["components"]]
        self.assertEqual(len(references), len(set(references)))
        for part in self.bill["components"]:
            self.assertLessEqual(REQUIRED[part["type"]], set(part), part["name"])
            for one in [part, *part.get("components", ())]:
                for entry in one.get("hashes", ()):
                    self.assertEqual(entry["alg"], "SHA-256")
                    self.assertTrue(HEX.fullmatch(entry["content"]))
        for row in self.bill["dependencies"]:
            self.assertLessEqual({row["ref"], *row["dependsOn"]}, set(references))

    def test_the_libraries_are_those_of_the_loader(self):
        files = {file["name"]: file["hashes"][0]["content"] for part in self.bill["components"]
                 for file in part.get("components", ())}
        linked = set()
        for program in self.programs:
            linked |= {os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", run("ldd", program))}
        self.assertEqual(set(files), linked)
        for path, content in files.items():
            self.assertEqual(content, self.hash_of(path), path)
        for part in self.bill["components"]:
            if part["type"] == "library":
                version = run("dpkg-query", "-W", "-f", "${Version}\\n", part["name"]).splitlines()
                self.assertIn(part["version"], version)
            else:
                self.assertEqual(part["hashes"][0]["content"], self.hash_of(os.path.join(PROGRAMS, part["name"])))

    def test_that_of_an_image_is_of_the_program_in_it(self):
        with tempfile.TemporaryDirectory(prefix="rasae-image-") as root:
            run(os.path.join(TOP, "deploy", "container", "collect"), root, self.programs[1])
            bill, wrong = bill_of(os.path.join(root, "usr/share/sbom/rasaed.cdx.json"), os.path.join(root, "usr/bin/rasaed"))
            self.assertEqual(wrong, [])
            packages = set(os.listdir(os.path.join(root, "var/lib/dpkg/status.d")))
            self.assertEqual({part["name"] for part in bill["components"]} - {"rasaed"}, packages)

    def test_a_plugin_and_what_it_opens(self):
        """In place of CUDA's plugin and cuBLAS, a plugin that opens SQLite, which rasae is not linked with."""
        plugin = os.path.join(PROGRAMS, "tests", "librasae-example.so")
        opened = re.search(r"=> (\S+libsqlite3\S+)", run("ldd", self.programs[1])).group(1)
        bill = json.loads(run(os.path.join(TOP, "deploy", "sbom"), self.programs[0], plugin, opened))
        parts = {part["name"]: part for part in bill["components"]}
        self.assertEqual(parts["librasae-example.so"]["type"], "library")
        self.assertEqual(parts["librasae-example.so"]["hashes"][0]["content"], self.hash_of(plugin))
        self.assertEqual([file["name"] for file in parts["libsqlite3-0"]["components"]], [os.path.realpath(opened)])
        needs = {row["ref"]: row["dependsOn"] for row in bill["dependencies"]}
        self.assertEqual(set(needs), {"rasae", "librasae-example.so"})
        self.assertNotIn(parts["libsqlite3-0"]["bom-ref"], needs["rasae"])
        self.assertIn(parts["libsqlite3-0"]["bom-ref"], needs["librasae-example.so"])
        with tempfile.TemporaryDirectory(prefix="rasae-plugin-") as folder:
            stranger = shutil.copy(plugin, os.path.join(folder, "libstranger.so"))
            done = subprocess.run([os.path.join(TOP, "deploy", "sbom"), self.programs[0], plugin, stranger], capture_output=True,
                                  text=True, timeout=120)
            self.assertEqual((done.returncode, done.stderr), (1, "sbom: no Debian package contains %s\n" % stranger))

    def test_it_is_the_same_each_time(self):
        self.assertEqual(run(os.path.join(TOP, "deploy", "sbom"), *self.programs), self.text)


if __name__ == "__main__":
    unittest.main()
