"""make install and make uninstall: what lies where, and that programs can use the library from there."""

import glob
import os
import re
import subprocess
import unittest

from support import SANITIZED, TOP, Installation, environment, run, version

USER = """
#include <ra.h>
#include <stdio.h>
int main(int argc, char **argv) {
    ra_error err = {0};
    ra_model *model = NULL;
    if (argc != 2 || ra_model_open(argv[1], NULL, &model, &err) != RA_OK) return puts(err.message), 1;
    printf("%zu atoms\\n", ra_model_get_info(model)->concepts);
    ra_model_release(model);
    return 0;
}
"""


def read(*parts):
    with open(os.path.join(TOP, *parts), encoding="utf-8") as file:
        return file.read()


@unittest.skipIf(SANITIZED, "what is installed is built without sanitizers")
class Install(unittest.TestCase):
    def test_every_file_is_in_its_place(self):
        with Installation(prefix="/usr") as there:
            files = there.files()
            for wanted in ("bin/rasae", "bin/rasaed", "lib/librasae.a", "lib/pkgconfig/rasae.pc",
                           "share/man/man1/rasae.1", "share/man/man5/rasae-artifact.5", "share/man/man8/rasaed.8",
                           "share/bash-completion/completions/rasae", "share/bash-completion/completions/rasaed",
                           "share/zsh/site-functions/_rasae", "share/doc/rasae/LICENSE",
                           "lib/systemd/system/rasaed@.service", "lib/systemd/system/rasaed@.socket"):
                self.assertIn(wanted, files)
            headers = sorted(os.path.basename(path) for path in glob.glob(os.path.join(TOP, "lib", "*.h")))
            self.assertEqual([os.path.basename(file) for file in files if file.startswith("include/rasae/")], headers)
            for file in files:
                mode = os.stat(there.path(file)).st_mode & 0o7777
                self.assertEqual(mode, 0o755 if file.startswith("bin/") or file.endswith(".so") else 0o644, file)
                self.assertNotRegex(file, "~|[.]new$")
            unit = read(there.path("lib/systemd/system/rasaed@.service"))
            self.assertIn("ExecStart=/usr/bin/rasaed ", unit)
            self.assertNotIn(there.folder, unit + read(there.path("lib/pkgconfig/rasae.pc")))
            there.make("uninstall")
            self.assertEqual(there.files(), [])
            self.assertEqual([f for f in ("include/rasae", "share/doc/rasae") if os.path.exists(there.path(f))], [])
            there.make("uninstall")  # nothing is there, which is what was asked for

    def test_a_program_builds_against_what_is_installed(self):
        with Installation() as there:
            env = environment(PKG_CONFIG_PATH=there.path("lib", "pkgconfig"))
            found = run("pkg-config", "--modversion", "rasae", env=env).stdout.strip()
            self.assertEqual(found, version())
            words = run("pkg-config", "--cflags", "--libs", "rasae", env=env).stdout.split()
            source, program = there.path("user.c"), there.path("user")
            with open(source, "w", encoding="utf-8") as file:
                file.write(USER)
            run("gcc", "-Wall", "-Werror", source, "-o", program, *words)
            for path, said in (("dict-basic.checkpoint", "24 atoms\n"), ("none", "none.safetensors")):
                done = subprocess.run([program, os.path.join(TOP, "tests/golden", path + ".safetensors")], text=True,
                                      stdout=subprocess.PIPE, timeout=60)
                self.assertIn(said, done.stdout)

    def test_the_installed_programs_run(self):
        with Installation() as there:
            for name in ("rasae", "rasaed"):
                self.assertEqual(run(there.path("bin", name), "--version").stdout, "%s %s\n" % (name, version()))

    def test_there_is_one_version(self):
        labels = re.findall(r'image\.version="([^"]+)"', read("Dockerfile") + read("deploy/container/Dockerfile.cuda"))
        self.assertEqual(set(labels), {version()})
        self.assertRegex(read("deploy/debian/changelog"), r"^rasae \(%s\) " % re.escape(version()))


if __name__ == "__main__":
    unittest.main()
