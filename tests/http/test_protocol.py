"""HTTP itself (server/http/engine.c): methods, connections, limits, targets, and requests that must not get
through."""

import json
import re
import unittest
import urllib.parse

from daemon import Daemon, golden, read_all

BASIC = "/v1/dictionaries/basic"
LIMIT = 100000  # --max-body
BODY = json.dumps({"latents": {"indices": [[0]], "values": [[1]]}})


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def parse(data):
    """Status, headers (lower case) and what follows of the first response in data."""
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {key.lower(): value for key, value in headers.items()}, rest


class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"),
                            "--max-body", str(LIMIT))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def raw(self, head, body=b""):
        return parse(self.daemon.raw(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n" + body))

    # ---- methods

    def test_head_is_get_without_the_body(self):
        for path in ("/health/live", BASIC, BASIC + "/atoms/1"):
            get, head = self.daemon.get(path), self.daemon.request("HEAD", path)
            self.assertEqual((head.status, head.body), (200, b""))
            self.assertEqual(head.headers["Content-Type"], get.headers["Content-Type"])
        self.assertEqual(head.headers["Content-Length"], str(len(get.body)))
        self.assertEqual(self.daemon.request("HEAD", BASIC + "/atoms/99").status, 404)

    def test_options_say_what_is_allowed(self):
        for path, allow in ((BASIC, "GET, HEAD, OPTIONS"), (BASIC + "/search", "POST, OPTIONS")):
            reply = self.daemon.request("OPTIONS", path)
            self.assertEqual((reply.status, reply.headers["Allow"], reply.body), (204, allow, b""))
        self.assertEqual(self.daemon.request("OPTIONS", "/nope").status, 404)
        server = self.daemon.request("OPTIONS", "*")
        self.assertEqual((server.status, server.headers["Allow"]), (200, "GET, HEAD, POST, PUT, DELETE, OPTIONS"))
        self.assertEqual(self.daemon.request("GET", "*").status, 400)

    def test_a_prefix_of_a_proxy(self):
        with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--base-path",
                    "/rasae") as daemon:
            atoms = BASIC + "/atoms"
            for path in (atoms, "/rasae" + atoms):
                reply = daemon.get(path + "?limit=2")
                self.assertEqual(reply.status, 200)
                for link in re.findall("<([^>]+)>", reply.headers["Link"]):
                    self.assertTrue(link.startswith("/rasae/v1/"), link)
                    self.assertEqual(daemon.get(link).status, 200)
                self.assertEqual(daemon.get(path + "/x").json["instance"], "/rasae" + atoms + "/x")
            for path in ("/rasae/", "/rasae/docs", "/rasae/health/live", "/rasae/?"):
                self.assertEqual(daemon.get(path).status, 200, path)
            for path in ("/rasae", "/rasae?"):
                self.assertEqual((daemon.get(path).status, daemon.get(path).headers["Location"]), (308, "rasae/"))
            for page in ("/rasae", "/rasae/", "/rasae/docs", "/rasae/docs/"):
                reply = daemon.get(page)
                if reply.status == 308:
                    page = urllib.parse.urljoin(page, reply.headers["Location"])
                    reply = daemon.get(page)
                links = re.findall(r'(?:href|src)="([^"#:]+)"', reply.body.decode())
                self.assertGreater(len(links), 2)
                for link in links:
                    found = urllib.parse.urljoin(page, link)
                    self.assertTrue(found.startswith("/rasae/"), (page, link))
                    self.assertEqual(daemon.get(found).status, 200, (page, link))
            self.assertEqual(daemon.get("/rasaed/docs").status, 404)

    def test_slashes_that_nobody_meant(self):
        for path in (BASIC + "/points/1", BASIC + "/atoms", BASIC + "/atoms/1"):
            expected = self.daemon.get(path).body
            for other in (path + "/", path + "//", path.replace("/", "//"), "//" + path[1:] + "/?"):
                reply = self.daemon.get(other)
                self.assertEqual((reply.status, reply.body), (200, expected), other)
        for path, location in (("/docs/", "../docs"), ("/docs//", "../../docs"), ("//docs/?x", None)):
            reply = self.daemon.get(path)
            if location:
                self.assertEqual((reply.status, reply.headers["Location"]), (308, location))

    def test_other_methods_are_refused(self):
        for method, path, allow in (("POST", BASIC, "GET, HEAD, OPTIONS"),
                                    ("DELETE", BASIC, "GET, HEAD, OPTIONS"),
                                    ("PUT", "/health/live", "GET, HEAD, OPTIONS"),
                                    ("GET", BASIC + "/search", "POST, OPTIONS"),
                                    ("HEAD", BASIC + "/search", "POST, OPTIONS"),
                                    ("BREW", BASIC + "/encode", "POST, OPTIONS"),
                                    ("get", BASIC, "GET, HEAD, OPTIONS")):
            reply = self.daemon.request(method, path)
            self.assertEqual((reply.status, reply.headers["Allow"]), (405, allow), (method, path))
            if method != "HEAD":
                self.assertIn(method, reply.json["error"])

    # ---- connections

    def test_a_connection_serves_many_requests(self):
        connection = self.daemon.connect()
        connection.connect()
        first = connection.sock
        for i in range(50):
            for method, path, body, status in (("GET", BASIC + "/atoms/%d" % (i % 24), None, 200),
                                               ("POST", BASIC + "/reconstruct", BODY, 200),
                                               ("GET", "/nope", None, 404), ("POST", BASIC, BODY, 405),
                                               ("POST", BASIC + "/search", "x", 400)):
                reply = self.daemon.request(method, path, body, connection=connection)
                self.assertEqual(reply.status, status, path)
            self.assertIs(connection.sock, first)
        connection.close()

    def test_pipelined_requests_are_answered_in_order(self):
        request = "GET %s/atoms/%d?fields=norm HTTP/1.1\r\nHost: x\r\n%s\r\n"
        data = "".join(request % (BASIC, i, "Connection: close\r\n" if i == 9 else "") for i in range(10))
        answer = self.daemon.raw(data.encode())
        self.assertEqual([int(n) for n in re.findall(rb'{"atom":(\d+)', answer)], list(range(10)))

    def test_http_1_0(self):
        status, headers, body = self.raw("GET /health/live HTTP/1.0\n")
        self.assertEqual((status, body), (200, b'{"status":"live"}\n'))

    def test_request_ids_are_echoed_or_made(self):
        reply = self.daemon.get("/health/live", headers={"X-Request-Id": "Abc-1_2.3"})
        self.assertEqual(reply.headers["X-Request-Id"], "Abc-1_2.3")
        made = set()
        for bad in ("", "a b", "x" * 65, "\"", "a/b"):
            made.add(self.daemon.get("/nope", headers={"X-Request-Id": bad}).headers["X-Request-Id"])
        self.assertEqual(len(made), 5)
        for one in made:
            self.assertRegex(one, "^[0-9a-f]{16}$")

    # ---- bodies

    def test_chunked_bodies(self):
        head = "POST %s/reconstruct HTTP/1.1\nHost: x\nConnection: close\nTransfer-Encoding: chunked\n"
        body = BODY.encode()
        status, _, reply = self.raw(head % BASIC, chunked([body[:7], body[7:8], body[8:]]))
        self.assertEqual(status, 200, reply)
        self.assertIn(b"reconstructions", reply)

    def test_a_body_at_the_limit_is_taken(self):
        padded = BODY + " " * (LIMIT - len(BODY))
        self.assertEqual(self.daemon.post(BASIC + "/reconstruct", padded).status, 200)

    def test_a_length_over_the_limit_is_refused_before_the_body(self):
        for length in (LIMIT + 1, 10**15, 10**30):
            status, headers, body = self.raw(
                "POST %s/reconstruct HTTP/1.1\nHost: x\nContent-Length: %d\n" % (BASIC, length))
            self.assertIn(status, (413, 400) if length > 2**63 else (413,))
            self.assertEqual(headers["connection"].lower(), "close")
            if status == 413 and length < 2**63:
                self.assertIn(str(LIMIT), json.loads(body)["error"])

    def test_it_is_refused_before_100_continue(self):
        head = "POST %s/reconstruct HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: %d\n"
        self.assertEqual(self.raw(head % (BASIC, LIMIT + 1))[0], 413)

    def test_100_continue(self):
        head = "POST %s/reconstruct HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n" \
               "Content-Length: %d\r\n\r\n" % (BASIC, len(BODY))
        with self.daemon.socket() as connection:
            connection.sendall(head.encode())
            first = connection.recv(65536)
            self.assertTrue(first.startswith(b"HTTP/1.1 100 "), first)
            connection.sendall(BODY.encode())
            self.assertIn(b"reconstructions", read_all(connection))

    def test_chunks_over_the_limit(self):
        head = "POST %s/reconstruct HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n" % BASIC
        status, headers, body = self.raw(head, chunked([b" " * 60000] * 3))
        self.assertEqual(status, 413, body)
        self.assertEqual(headers["connection"].lower(), "close")
        self.assertIn(str(LIMIT), json.loads(body)["error"])

    def test_chunks_without_end_are_cut_off(self):
        head = "POST %s/reconstruct HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % BASIC
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with self.daemon.socket() as connection:
            connection.sendall(head.encode())
            with self.assertRaises(OSError):
                for _ in range(4000):
                    connection.sendall(piece)

    def test_a_body_where_none_belongs(self):
        for tail in ("Content-Length: 5\n", "Transfer-Encoding: chunked\n"):
            body = b"hello" if "Length" in tail else chunked([b"hello"])
            status, headers, reply = self.raw("GET /health/live HTTP/1.1\nHost: x\n" + tail, body)
            self.assertEqual(status, 413, reply)
            self.assertIn("takes no body", json.loads(reply)["error"])

    # ---- targets

    def test_segments_are_decoded_once(self):
        self.assertEqual(self.daemon.get("/v1/%64ictionaries/b%61sic").json["name"], "basic")
        self.assertEqual(self.daemon.get("/v1/dictionaries/%2562asic").status, 404)  # "%62asic"
        self.assertEqual(self.daemon.get("/v1%2Fdictionaries").status, 404)  # a slash in a name
        self.assertEqual(self.daemon.get(BASIC + "/atoms?%66ields=n%6Frm&limit=1").status, 200)

    def test_malformed_targets_are_refused(self):
        for path in ("/%00", "/health/live%00", "/%", "/%4", "/%zz", "/%ff", "/v1/dictionaries/b%C3%28",
                     BASIC + "/atoms?ids=%", "/health/live?%00"):
            status, headers, body = self.raw("GET %s HTTP/1.1\nHost: x\n" % path)
            self.assertEqual(status, 400, path)
            self.assertIn("target", json.loads(body)["error"])
        self.assertEqual(self.raw("GET /h\x80 HTTP/1.1\nHost: x\n")[0], 400)

    def test_long_targets_are_answered(self):
        for path in ("/" + "a" * 3000, "/" + "/".join("a" * 40), "/health/live?" + "&".join(["a=b"] * 50)):
            self.assertIn(self.daemon.get(path).status, (400, 404, 413))
        self.assertIn(self.raw("GET /%s HTTP/1.1\nHost: x\n" % ("a" * 100000))[0], (414, 431))

    def test_absolute_form(self):
        head = "GET http://example.com/health/live HTTP/1.1\nHost: x\nConnection: close\n"
        status, _, body = self.raw(head)
        self.assertEqual((status, body), (200, b'{"status":"live"}\n'))

    # ---- requests that two servers in a row could read differently

    def test_ambiguous_requests_are_refused_and_the_connection_ends(self):
        post = "POST %s/reconstruct HTTP/1.1\n" % BASIC
        follow = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        for name, head, body in (
                ("length and chunks", "Host: x\nContent-Length: 5\nTransfer-Encoding: chunked\n",
                 b"0\r\n\r\n"),
                ("two lengths", "Host: x\nContent-Length: 2\nContent-Length: 40\n", b"{}"),
                ("the same length twice", "Host: x\nContent-Length: 2\nContent-Length: 2\n", b"{}"),
                ("a space before the colon", "Host: x\nContent-Length : 2\n", b"{}"),
                ("another encoding", "Host: x\nTransfer-Encoding: gzip\n", b""),
                ("two encodings", "Host: x\n" + "Transfer-Encoding: chunked\n" * 2, b""),
                ("chunked twice", "Host: x\nTransfer-Encoding: chunked, chunked\n", b""),
                ("two hosts", "Host: x\nHost: y\nContent-Length: 2\n", b"{}"),
                ("a control byte", "Host: x\nX-A: a\x01b\nContent-Length: 2\n", b"{}"),
                ("a name that is no token", "Host: x\nX(A: b\nContent-Length: 2\n", b"{}"),
                ("no host", "Content-Length: 2\n", b"{}")):
            request = (post + head + "\n").replace("\n", "\r\n").encode("latin-1")
            answer = self.daemon.raw(request + body + follow)
            status, headers, _ = parse(answer)
            self.assertEqual(status, 400, (name, answer))
            self.assertNotIn(b'"live"', answer, name)

    def test_malformed_lengths_are_refused(self):
        for length in ("-1", "+2", "0x2", "2 2", "2,2", "a", ""):
            head = "POST %s/reconstruct HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n{}" % (BASIC, length)
            answer = self.daemon.raw(head.encode() + b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0], length)
            self.assertNotIn(b'"live"', answer, length)

    def test_the_server_still_serves(self):
        self.assertEqual(self.daemon.get("/health/ready").status, 200)


if __name__ == "__main__":
    unittest.main()
