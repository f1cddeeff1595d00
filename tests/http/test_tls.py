"""https (server/http/tls.c), with a certificate that the test makes, from TLS 1.2 on."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import warnings

from daemon import PATIENCE, Daemon, golden, read_all, run, wait_for

BASIC = "basic=" + golden("dict-basic.checkpoint.safetensors")


# Of a day in 2020; openssl makes none that has ended.
EXPIRED = """-----BEGIN CERTIFICATE-----
MIIBEDCBtgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwHhcN
MjAwMTAxMDAwMDAwWhcNMjAwMTAyMDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS9a/8GMGgz4uUkwSHU1sDkBVDn
DtRlRL9Hp+3A0Zc1j5lUotNkbf+jYaUtgyuCsNPSmiWOsf1/cgDutk9qEUNzMAoG
CCqGSM49BAMCA0kAMEYCIQD9YqVmoxH91fB6mG5zVAfytf6Xo0lYnDFdDaXRRgdZ
DwIhAIF9CpvW3LTyT8bt3XBDuoi9yFEoBSdP3veQrfecr2UC
-----END CERTIFICATE-----
"""
KEY_OF_EXPIRED = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHakw5x2fMsBGgs+a
ahNTqJRMn2DP9yDn09tS729/pVyhRANCAAS9a/8GMGgz4uUkwSHU1sDkBVDnDtRl
RL9Hp+3A0Zc1j5lUotNkbf+jYaUtgyuCsNPSmiWOsf1/cgDutk9qEUNz
-----END PRIVATE KEY-----
"""


def make_pair(folder, name, days="2"):
    certificate, key = (os.path.join(folder, name + suffix) for suffix in (".crt", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-days", days, "-keyout", key, "-out", certificate],
                   check=True, capture_output=True, timeout=PATIENCE)
    return certificate, key


@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.certificate, cls.key = make_pair(cls.folder, "one")
        cls.daemon = Daemon("--dictionary", BASIC, "--tls-certificate", cls.certificate, "--tls-key", cls.key,
                            "--header-seconds", "2", "--admin-listen", "127.0.0.1:0")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)
        shutil.rmtree(cls.folder)

    def secure(self, **versions):
        context = ssl.create_default_context(cafile=self.certificate)
        for name, value in versions.items():
            setattr(context, name, value)
        plain = self.daemon.socket()
        try:
            return context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def test_requests(self):
        self.assertRegex(self.daemon.line, "^rasaed: serving https://")
        connection = self.daemon.connect()
        body = '{"latents": {"indices": [[0]], "values": [[1]]}}'
        for _ in range(3):
            reply = self.daemon.post("/v1/dictionaries/basic/reconstruct", body, connection=connection)
            self.assertEqual(reply.status, 200)
        connection.close()
        admin = self.daemon.connect(self.daemon.admin_address)
        self.assertEqual(self.daemon.get("/health/ready", connection=admin).status, 200)
        admin.close()

    def test_the_certificate_is_the_one_given(self):
        with self.secure() as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertIn(b'"live"', read_all(connection))

    def test_versions(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.secure(minimum_version=version, maximum_version=version) as connection:
                self.assertEqual(connection.version(), version.name.replace("_", "."))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        except (ssl.SSLError, ValueError):
            self.skipTest("this client has no TLS 1.1")
        with self.daemon.socket() as plain, self.assertRaises((ssl.SSLError, OSError)):
            context.wrap_socket(plain)

    def test_plain_http_is_not_answered(self):
        answer = self.daemon.raw(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertNotIn(b"live", answer)

    def test_slow_clients_are_cut_off(self):
        for first in (b"GET /health", b""):
            with self.secure() as connection:
                start = time.monotonic()
                connection.settimeout(PATIENCE)
                connection.sendall(first)
                try:
                    self.assertEqual(connection.recv(1), b"")
                except OSError:
                    pass
                self.assertLess(time.monotonic() - start, 15)

    def test_a_handshake_that_stops_is_cut_off(self):
        with self.daemon.socket() as connection:
            connection.sendall(b"\x16\x03\x01")
            start = time.monotonic()
            try:
                self.assertEqual(connection.recv(1), b"")
            except (ConnectionResetError, socket.timeout):
                pass
            self.assertLess(time.monotonic() - start, 15)

    # ---- files that do not work

    def refused(self, code, certificate, key, *parts):
        flags = [*(["--tls-certificate", certificate] if certificate else []),
                 *(["--tls-key", key] if key else [])]
        done = run("--listen", "127.0.0.1:0", "--dictionary", BASIC, *flags)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        line = done.stderr.strip().split("\n")[-1]
        self.assertTrue(line.startswith("rasaed: "), line)
        for part in parts:
            self.assertIn(part, line)

    def test_one_without_the_other(self):
        self.refused(2, self.certificate, None, "--tls-key")
        self.refused(2, None, self.key, "--tls-certificate")

    def test_files_that_are_not_there_or_not_pem(self):
        none = os.path.join(self.folder, "none")
        self.refused(1, none, self.key, none)
        self.refused(1, self.certificate, none, none)
        text = os.path.join(self.folder, "text")
        with open(text, "w", encoding="utf-8") as file:
            file.write("hello\n")
        self.refused(1, text, self.key, text, "certificate", "PEM")
        self.refused(1, self.certificate, text, text, "key", "PEM")

    def test_a_key_of_another_certificate(self):
        _, other = make_pair(self.folder, "other")
        self.refused(1, self.certificate, other, "certificate", "key")


@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class Rotation(unittest.TestCase):
    """A new pair takes the place of the old one; connections that are open go on."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.certificate, self.key = make_pair(self.folder, "served")

    def start(self, *arguments):
        daemon = Daemon("--dictionary", BASIC, "--tls-certificate", self.certificate, "--tls-key", self.key, *arguments)
        self.addCleanup(daemon.__exit__, None, None, None)
        return daemon

    def take(self, name):
        """Both files are replaced, the key first."""
        for source, target in ((name + ".key", self.key), (name + ".crt", self.certificate)):
            os.replace(os.path.join(self.folder, source), target)

    def shown(self, daemon):
        """What a new connection gets to see."""
        with socket.create_connection(daemon.address, timeout=PATIENCE) as plain:
            with ssl._create_unverified_context().wrap_socket(plain) as secure:
                return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))

    def served(self):
        with open(self.certificate, encoding="ascii") as file:
            return file.read()

    def test_sighup_takes_a_new_pair(self):
        with self.start() as daemon:
            old = daemon.connect()
            self.assertEqual(daemon.get("/health/live", connection=old).status, 200)
            self.assertEqual(self.shown(daemon), self.served())
            make_pair(self.folder, "next")
            self.take("next")
            daemon.send(signal.SIGHUP)
            wait_for(lambda: self.shown(daemon) == self.served(), "the new certificate")
            self.assertEqual(daemon.get("/health/live", connection=old).status, 200)
            old.close()

    def test_watch_takes_a_new_pair(self):
        with self.start("--watch") as daemon:
            make_pair(self.folder, "next")
            self.take("next")
            wait_for(lambda: self.shown(daemon) == self.served(), "the new certificate")

    def test_a_pair_that_does_not_fit_changes_nothing(self):
        with self.start() as daemon:
            before = self.served()
            for content in (b"", b"no PEM", None):
                if content is None:
                    make_pair(self.folder, "other")
                    os.replace(os.path.join(self.folder, "other.crt"), self.certificate)
                else:
                    with open(self.certificate + ".new", "wb") as file:
                        file.write(content)
                    os.replace(self.certificate + ".new", self.certificate)
                said = daemon.log().count("the certificate was not reloaded")
                daemon.send(signal.SIGHUP)
                wait_for(lambda: daemon.log().count("the certificate was not reloaded") > said, "the log")
                self.assertEqual(self.shown(daemon), before)

    def test_the_end_is_told(self):
        def ends(daemon):
            text = daemon.get("/metrics").body.decode()
            return float(re.search(r"^rasaed_tls_certificate_expires_timestamp_seconds (\S+)$", text, re.M).group(1))

        with self.start() as daemon:
            self.assertAlmostEqual(ends(daemon), time.time() + 2 * 86400, delta=600)
            daemon.says("served.crt: the certificate expires soon, on ")
            make_pair(self.folder, "next", "90")
            self.take("next")
            daemon.send(signal.SIGHUP)
            wait_for(lambda: ends(daemon) > time.time() + 80 * 86400, "the new date")
            self.assertEqual(daemon.log().count("expires soon"), 1)

    def test_an_expired_one_is_told(self):
        for name, content in ((self.certificate, EXPIRED), (self.key, KEY_OF_EXPIRED)):
            with open(name, "w", encoding="ascii") as file:
                file.write(content)
        with self.start() as daemon:
            daemon.says("the certificate has expired; clients refuse it")
        checked = run("--check-config", "--dictionary", BASIC, "--tls-certificate", self.certificate, "--tls-key", self.key)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("has expired", checked.stderr)


if __name__ == "__main__":
    unittest.main()
