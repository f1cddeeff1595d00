"""https (server/http/tls.c), with a certificate that the test makes, from TLS 1.2 on."""

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import warnings

from daemon import PATIENCE, Daemon, golden, read_all, run

BASIC = "basic=" + golden("dict-basic.checkpoint.safetensors")


def make_pair(folder, name):
    certificate, key = (os.path.join(folder, name + suffix) for suffix in (".crt", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-days", "2", "-keyout", key, "-out", certificate],
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


if __name__ == "__main__":
    unittest.main()
