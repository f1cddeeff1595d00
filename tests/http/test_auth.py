"""Keys (server/http/auth.c): who may do what, and how the daemon reads the key file again."""

import os
import signal
import tempfile
import unittest

from daemon import Daemon, golden, run, wait_for

GIVEN = "given=" + golden("dict-basic.checkpoint.safetensors")
READ, ADMIN, OTHER = "reader-0123456789abcdef", "admin-0123456789abcdef", "other-0123456789abcdef"


def bearer(key):
    return {"Authorization": "Bearer " + key}


class Keys:
    """A key file in a folder of its own."""

    def __init__(self, test, content="read %s\nadmin %s\n" % (READ, ADMIN)):
        folder = tempfile.TemporaryDirectory(prefix="rasaed-keys-")
        test.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "keys")
        self.write(content)

    def write(self, content, mode=0o600):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(content)
        os.chmod(self.path + ".new", mode)
        os.replace(self.path + ".new", self.path)


class WithKeys(unittest.TestCase):
    def test_data_asks_for_a_key(self):
        keys = Keys(self)
        with Daemon("--dictionary", GIVEN, "--keys", keys.path) as daemon:
            for path in ("/v1/dictionaries", "/v1/dictionaries/given", "/v1/dictionaries/given/atoms/1",
                         "/v1/dictionaries/none"):
                reply = daemon.get(path)
                self.assertEqual(reply.status, 401, path)
                self.assertEqual(reply.headers["WWW-Authenticate"], 'Bearer realm="rasaed"')
                self.assertIn("Authorization: Bearer KEY", reply.json["error"])
                wrong = daemon.get(path, headers=bearer(OTHER))
                self.assertEqual(wrong.status, 401)
                self.assertIn("invalid_token", wrong.headers["WWW-Authenticate"])
                for key in (READ, ADMIN):
                    self.assertNotIn(daemon.get(path, headers=bearer(key)).status, (401, 403))
            post = daemon.post("/v1/dictionaries/given/search", {"vectors": [[1, 2]]})
            self.assertEqual(post.status, 401)

    def test_keys_in_the_headers_that_clients_have(self):
        keys = Keys(self)
        with Daemon("--dictionary", GIVEN, "--keys", keys.path) as daemon:
            for name in ("X-API-Key", "api-key", "X-SECRET-KEY", "x-secret-key"):
                self.assertEqual(daemon.get("/v1/dictionaries", headers={name: READ}).status, 200)
                self.assertEqual(daemon.get("/v1/dictionaries", headers={name: OTHER}).status, 401)
                several = daemon.get("/v1/dictionaries", headers={name: READ, **bearer(READ)})
                self.assertEqual(several.status, 400)
                self.assertIn("keys in several headers", several.json["error"])
            for name, value in (("Authorization", "Bearer " + READ), ("X-API-Key", READ)):
                head = "GET /v1/dictionaries HTTP/1.1\r\nHost: a\r\n" + 2 * ("%s: %s\r\n" % (name, value)) + "\r\n"
                answer = daemon.raw(head.encode())
                self.assertIn(b" 400 ", answer.split(b"\r\n")[0])
                self.assertIn(b"appears twice", answer)

    def test_health_stays_open(self):
        keys = Keys(self)
        with Daemon("--dictionary", GIVEN, "--keys", keys.path) as daemon:
            for path in ("/health/live", "/health/ready"):
                self.assertEqual(daemon.get(path).status, 200)
                self.assertEqual(daemon.get(path, headers=bearer(OTHER)).status, 200)
            self.assertEqual(daemon.get("/nowhere").status, 404)
            self.assertEqual(daemon.request("OPTIONS", "/v1/dictionaries").status, 204)

    def test_changes_ask_for_the_admin_key(self):
        keys = Keys(self)
        with Daemon("--dictionary", GIVEN, "--keys", keys.path) as daemon:
            path = "/v1/dictionaries/given/reload"
            self.assertEqual(daemon.post(path, b"").status, 401)
            low = daemon.post(path, b"", headers=bearer(READ))
            self.assertEqual(low.status, 403)
            self.assertIn("insufficient_scope", low.headers["WWW-Authenticate"])
            self.assertIn("admin key", low.json["error"])
            self.assertEqual(daemon.post(path, b"", headers=bearer(ADMIN)).status, 200)

    def test_metrics_ask_for_what_was_set(self):
        keys = Keys(self)
        for access, allowed in (("open", (None, READ, ADMIN)), ("read", (READ, ADMIN)), ("admin", (ADMIN,))):
            with Daemon("--dictionary", GIVEN, "--keys", keys.path, "--metrics-access", access) as daemon:
                for key in (None, READ, ADMIN):
                    reply = daemon.get("/metrics", headers=bearer(key) if key else {})
                    self.assertEqual(reply.status == 200, key in allowed, (access, key))

    def test_sighup_reads_the_keys_again(self):
        keys = Keys(self)
        with Daemon("--dictionary", GIVEN, "--keys", keys.path) as daemon:
            def status(key):
                return daemon.get("/v1/dictionaries", headers=bearer(key)).status

            keys.write("read %s\n" % OTHER)
            self.assertEqual(status(OTHER), 401)
            daemon.send(signal.SIGHUP)
            wait_for(lambda: status(OTHER) == 200, "the new key")
            self.assertEqual(status(READ), 401)
            keys.write("read short\n")
            daemon.send(signal.SIGHUP)
            wait_for(lambda: "the old ones stay valid" in daemon.log(), "the log")
            daemon.says("line 1: the key has 5 characters")
            self.assertEqual(status(OTHER), 200)

    def test_keys_are_never_logged(self):
        keys = Keys(self)
        with Daemon("--dictionary", GIVEN, "--keys", keys.path, "--log-level", "debug") as daemon:
            daemon.get("/v1/dictionaries", headers=bearer(READ))
            daemon.get("/v1/dictionaries", headers=bearer(OTHER))
            keys.write("wrong %s\n" % READ)
            daemon.send(signal.SIGHUP)
            wait_for(lambda: "the old ones stay valid" in daemon.log(), "the log")
            for key in (READ, ADMIN, OTHER):
                self.assertNotIn(key, daemon.log())

    def test_others_that_may_read_are_warned_of(self):
        keys = Keys(self)
        keys.write("read %s\n" % READ, 0o644)
        with Daemon("--dictionary", GIVEN, "--keys", keys.path) as daemon:
            daemon.says("others than its owner may read the keys")

    def test_a_bad_key_file_stops_the_start(self):
        keys = Keys(self, "nothing\n")
        result = run("--listen", "127.0.0.1:0", "--dictionary", GIVEN, "--keys", keys.path)
        self.assertEqual(result.returncode, 1)
        self.assertIn("line 1: expected", result.stderr)
        result = run("--listen", "127.0.0.1:0", "--dictionary", GIVEN, "--keys", keys.path + ".none")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot be read", result.stderr)


class WithoutKeys(unittest.TestCase):
    def test_reading_is_open_and_changing_is_off(self):
        with Daemon("--dictionary", GIVEN) as daemon:
            self.assertEqual(daemon.get("/v1/dictionaries").status, 200)
            self.assertEqual(daemon.get("/metrics").status, 200)
            reply = daemon.post("/v1/dictionaries/given/reload", b"", headers=bearer(ADMIN))
            self.assertEqual(reply.status, 403)
            self.assertIn("--keys FILE", reply.json["error"])


if __name__ == "__main__":
    unittest.main()
