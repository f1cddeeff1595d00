"""The manual pages: well formed, and complete."""

import os
import re
import subprocess
import unittest

from support import SANITIZED, TOP, Installation, commands, flags, run

PAGES = {"rasae": "share/man/man1/rasae.1", "rasaed": "share/man/man8/rasaed.8",
         "rasae-artifact": "share/man/man5/rasae-artifact.5"}


def rendered(path):
    """The page as a reader sees it, with one line per paragraph."""
    plain = subprocess.run(["mandoc", "-Tutf8", "-Owidth=1000", path], check=True, stdout=subprocess.PIPE,
                           timeout=60).stdout.decode()
    return re.sub(".\b", "", plain)


@unittest.skipIf(SANITIZED, "what is installed is built without sanitizers")
class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.there = Installation()
        cls.there.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.there.__exit__()

    def test_mandoc_has_nothing_to_say(self):
        known = {os.path.basename(path).replace(".", " ") for path in PAGES.values()}
        for path in PAGES.values():
            said = run("mandoc", "-Tlint", "-Wstyle", self.there.path(path), check=False).stdout.splitlines()
            for line in said:
                missing = re.search(r"STYLE: referenced manual not found: Xr ([\w-]+ \d)", line)
                self.assertTrue(missing and missing.group(1) in known, line)  # our own pages, which are not installed here

    def test_every_flag_of_every_command(self):
        page = rendered(self.there.path(PAGES["rasae"]))
        self.assertEqual(len(commands()), 16)
        sections = re.split(r"^   rasae (\w+)$", page, flags=re.M)
        texts = dict(zip(sections[1::2], sections[2::2]))
        self.assertEqual(sorted(texts), sorted(commands()))
        for command in commands():
            for flag in flags("rasae", command):
                self.assertRegex(texts[command], r"(?m)^     (-\w, )?%s(?= |$)" % flag, command)

    def test_every_setting(self):
        page = rendered(self.there.path(PAGES["rasaed"]))
        self.assertGreater(len(flags("rasaed")), 40)
        for flag in flags("rasaed"):
            self.assertRegex(page, r"(?m)^     %s(?= |$)" % flag)

    @staticmethod
    def words(text):
        return {word.lower() for word in re.findall(r"\w+", text)}

    def test_every_tensor_and_every_word_of_the_format(self):
        page = rendered(self.there.path(PAGES["rasae-artifact"]))
        with open(os.path.join(TOP, "proto", "artifact.md"), encoding="utf-8") as file:
            source = file.read()
        for name in re.findall(r"`([^`]+)`", source):
            self.assertIn(name, page)
        self.assertEqual(self.words(source) - self.words(page), set())
        self.assertNotRegex(page, r"[|`]|\*\*")


if __name__ == "__main__":
    unittest.main()
