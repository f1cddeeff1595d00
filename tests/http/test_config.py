"""--check-config and --print-config (server/settings/{check,dictionaries,settings}.c), and one setting from each source."""

import os
import re
import tempfile
import unittest

from daemon import Daemon, golden, read_safetensors, run, write_safetensors

SOURCE = golden("dict-basic.checkpoint.safetensors")
GIVEN = "given=" + SOURCE


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rasaed-config-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, content, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(content)
        os.chmod(path, mode)
        return path


class Check(Folder):
    def check(self, *arguments, env=()):
        return run("--check-config", *arguments, env=env)

    def test_a_port_is_part_of_listen(self):
        for flag in "--port", "--host", "--bind":
            result = run("--dictionary", GIVEN, flag, "8080")
            self.assertEqual(result.returncode, 2)
            self.assertIn("there is no flag %s (did you mean --listen HOST:PORT?)" % flag, result.stderr)
        self.assertEqual(run("-h").stdout, run("--help").stdout)

    def test_good(self):
        keys = self.write("keys", "read 0123456789abcdef\n")
        result = self.check("--dictionary", GIVEN, "--keys", keys, "--cors-origin", "*", "--admin-listen",
                            "127.0.0.1:0")
        self.assertEqual((result.returncode, result.stdout.splitlines()[-1], result.stderr), (0, "OK", ""))

    def test_a_running_daemon_is_not_in_the_way(self):
        with Daemon("--dictionary", GIVEN) as daemon:
            result = self.check("--dictionary", GIVEN, "--listen", "%s:%d" % daemon.address)
            self.assertEqual((result.returncode, result.stdout.splitlines()[-1]), (0, "OK"))

    def test_it_shows_how_resources_are_shared_out(self):
        settings = ("--dictionary", GIVEN, "--threads", "3", "--max-connections", "77", "--max-queue", "9",
                    "--max-in-flight", "55", "--max-body-memory", "512M", "--admin-listen", "127.0.0.1:0")
        shares = dict(line.split()[:2] for line in self.check(*settings).stdout.splitlines()[:-1])
        for name, value in (("io_threads", 3), ("connections", 77), ("queue", 9), ("requests", 55),
                            ("body_bytes", 512 << 20)):
            self.assertEqual(shares[name], str(value))
        with Daemon(*settings) as daemon:  # which has the same limits
            text = daemon.get("/metrics").body.decode()
            limits = dict(re.findall(r'^rasaed_resource_limit\{resource="(\w+)"\} (\d+)$', text, re.M))
        self.assertGreaterEqual(len(limits), 7)
        del limits["descriptors"]  # those of what is open, which the check does not open
        for name, limit in limits.items():
            self.assertEqual(shares[name], limit, name)

    def test_files_that_are_wrong(self):
        none = os.path.join(self.folder, "none")
        junk = self.write("junk", "this is no such file\n")
        tensors, metadata = read_safetensors(SOURCE)
        for _, numbers in tensors.values():
            numbers[0] = float("nan")  # which no header tells
        spoilt = os.path.join(self.folder, "spoilt")
        write_safetensors(spoilt, tensors, metadata)
        pem = self.write("pem", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
        table = (
            (("--dictionary", "a=" + none), none),
            (("--dictionary", "a=" + junk), junk),
            (("--dictionary", GIVEN, "--dictionary", "b=" + spoilt), spoilt),
            (("--dictionary", GIVEN, "--keys", none), none),
            (("--dictionary", GIVEN, "--keys", junk), "line 1: expected \"read KEY\""),
            (("--dictionary", GIVEN, "--tls-certificate", none, "--tls-key", pem), none),
            (("--dictionary", GIVEN, "--tls-certificate", pem, "--tls-key", junk), junk),
            (("--dictionary", GIVEN, "--tls-certificate", pem, "--tls-key", pem), "cannot be used as TLS certificate"),
            (("--dictionary-dir", none), none),
            (("--dictionary", GIVEN, "--device", "abacus"), "abacus"),
        )
        for arguments, expected in table:
            result = self.check(*arguments)
            self.assertEqual(result.returncode, 1, (arguments, result))
            self.assertEqual(result.stdout, "")
            self.assertIn(expected, result.stderr)
            self.assertTrue(result.stderr.startswith("rasaed: "), result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_wrong_usage(self):
        for arguments in ((), ("--dictionary", GIVEN, "--tls-key", "x"), ("--dictionary", GIVEN, "--watch=yes"),
                          ("--dictionary", GIVEN, "--cors-origin", "example.org"),
                          ("--dictionary", GIVEN, "--metrics-access", "none")):
            result = self.check(*arguments)
            self.assertEqual(result.returncode, 2, (arguments, result))
            self.assertEqual(result.stdout, "")


class Print(Folder):
    def test_it_reads_back_to_the_same(self):
        keys = self.write("keys", "read 0123456789abcdef\n")
        arguments = ("--dictionary", GIVEN, "--dictionary", "other=" + SOURCE, "--max-body", "12345", "--keys", keys,
                     "--cors-origin", "https://a.example", "--cors-origin", "http://localhost:3000", "--watch",
                     "--admin-listen", "[::1]:0", "--log-format", "json", "--top-k", "7", "--delta", "0.1",
                     "--no-multiplier")
        first = run("--print-config", *arguments)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        for line in ("dictionary = " + GIVEN, "max_body = 12345", "watch = true", "admin_listen = [::1]:0",
                     "cors_origin = https://a.example", "cors_origin = http://localhost:3000", "delta = 0.1",
                     "use_multiplier = false", "keys = " + keys, "# tls_key = FILE"):
            self.assertIn("\n" + line + "\n", first.stdout)
        self.assertNotIn("0123456789abcdef", first.stdout)
        path = self.write("config", first.stdout)
        second = run("--print-config", "--config", path)
        self.assertEqual(second.stdout, first.stdout)
        self.assertTrue(run("--check-config", "--config", path).stdout.endswith("\nOK\n"))

    def test_every_size_takes_a_unit(self):
        sizes = re.findall(r"^ +--([\w-]+) BYTES", run("--help").stdout, re.M)
        self.assertIn("max-body-memory", sizes)
        for flag in sizes:
            self.assertIn("\n%s = 67108864\n" % flag.replace("-", "_"), run("--print-config", "--dictionary", GIVEN, "--" + flag, "64M").stdout)

    def test_without_anything_it_is_a_sample(self):
        result = run("--print-config")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("\n# dictionary = NAME=FILE\n", result.stdout)
        self.assertIn("\nlisten = 127.0.0.1:8080\n", result.stdout)
        flags = [line.split()[0][2:].replace("-", "_") for line in run("--help").stdout.splitlines()
                 if line.startswith("  --")]
        for key in flags:
            if key in ("config", "check_config", "print_config", "probe", "help", "version"):
                continue
            key = {"no_multiplier": "use_multiplier"}.get(key, key)
            self.assertIn("%s = " % key, result.stdout)


class Sources(Folder):
    def value(self, key, *arguments, env=()):
        output = run("--print-config", *arguments, env=env).stdout
        return [line.split(" = ", 1)[1] for line in output.splitlines() if line.startswith(key + " = ")]

    def test_flag_over_environment_over_file(self):
        path = self.write("config", "watch = true\ncors_origin = https://file.example\nmax_in_flight = 1\n")
        env = {"RASAED_CONFIG": path}
        self.assertEqual(self.value("watch", env=env), ["true"])
        self.assertEqual(self.value("watch", "--watch=false", env=env), ["false"])
        env["RASAED_CORS_ORIGIN"] = "https://a.example;https://b.example"
        env["RASAED_WATCH"] = "false"
        self.assertEqual(self.value("cors_origin", env=env), ["https://a.example", "https://b.example"])
        self.assertEqual(self.value("watch", env=env), ["false"])
        self.assertEqual(self.value("watch", "--watch", env=env), ["true"])
        self.assertEqual(self.value("cors_origin", "--cors-origin", "*", env=env), ["*"])
        self.assertEqual(self.value("max_in_flight", env=env), ["1"])


if __name__ == "__main__":
    unittest.main()
