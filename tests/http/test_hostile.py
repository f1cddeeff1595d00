"""Hostile requests (server/http/{headers,wire}.c): each is refused exactly once, and its connection is closed."""

import ctypes
import ctypes.util
import json
import re
import socket
import time
import unittest

from daemon import PATIENCE, Daemon, golden, read_all

BASIC = "/v1/dictionaries/basic"
FOLLOW = b"GET /health/live HTTP/1.1\r\nHost: follow\r\n\r\n"
POST = b"POST " + BASIC.encode() + b"/reconstruct HTTP/1.1\r\n"
GET = b"GET /health/live HTTP/1.1\r\n"


def libmicrohttpd():
    """The version of the library that the daemon loads, as (major, minor)."""
    library = ctypes.CDLL(ctypes.util.find_library("microhttpd"))
    library.MHD_get_version.restype = ctypes.c_char_p
    return tuple(int(number) for number in library.MHD_get_version().decode().split(".")[:2])


def statuses(answer):
    return [int(number) for number in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answer)]


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"),
                            "--header-seconds", "1")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def refused(self, name, request, *allowed, silent=False):
        """The request and another behind it: one answer, no second, and the end of the connection. `silent`: libmicrohttpd
        1.0 and later may end the connection without an answer."""
        answer = self.daemon.raw(request + FOLLOW)
        if silent and not answer and libmicrohttpd() >= (1, 0):
            return b"", b""
        self.assertEqual(len(statuses(answer)), 1, (name, answer))
        self.assertIn(statuses(answer)[0], allowed or (400,), (name, answer))
        self.assertNotIn(b'"live"', answer, name)
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertIn(b"connection: close", head.lower(), name)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        self.assertEqual(int(length.group(1)), len(body), (name, answer))
        return head, body

    def problem(self, name, request, status, *parts):
        head, body = self.refused(name, request, status)
        self.assertIn(b"application/problem+json", head, name)
        for part in parts:
            self.assertIn(part, json.loads(body)["error"], name)

    def test_lengths_and_encodings_that_two_servers_read_differently(self):
        for name, lines, body in (
                ("length and chunks", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
                ("chunks and length", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
                ("two lengths", b"Content-Length: 2\r\nContent-Length: 40\r\n", b"{}"),
                ("one length twice", b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
                ("a space before the colon", b"Content-Length : 5\r\n", b"{}   "),
                ("an unknown encoding", b"Transfer-Encoding: gzip\r\n", b""),
                ("chunked and another", b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
                ("chunked, nearly", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
                ("an empty encoding", b"Transfer-Encoding:\r\n", b""),
                ("two encodings", b"Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n")):
            self.refused(name, POST + b"Host: x\r\n" + lines + b"\r\n" + body)

    def test_malformed_lengths(self):
        for length in (b"-1", b"+2", b"0x2", b"2 2", b"2,2", b"a", b"", b"1e1", b"2;"):
            self.refused(length, POST + b"Host: x\r\nContent-Length: " + length + b"\r\n\r\n{}", 400, 413)

    def test_a_malformed_length_that_comes_in_pieces(self):
        with self.daemon.socket() as connection:
            for piece in (POST, b"Host: x\r\nContent-", b"Length: x\r\n", b"\r\n"):
                connection.sendall(piece)
                time.sleep(0.02)
            self.assertEqual(statuses(read_all(connection)), [400])

    def test_hosts(self):
        self.refused("no host", GET + b"\r\n")
        self.problem("two hosts", GET + b"Host: x\r\nHost: y\r\n\r\n", 400, "Host")
        self.problem("one host twice", GET + b"Host: x\r\nHost: x\r\n\r\n", 400, "Host")

    def test_control_bytes(self):
        for byte in [*range(1, 9), 11, 12, *range(14, 32), 127]:
            value = bytes([byte])
            self.refused(value, GET + b"Host: x\r\nX-A: a" + value + b"b\r\n\r\n")
            self.refused(value, GET + b"Host: x\r\nX" + value + b"A: b\r\n\r\n")

    def test_nul_bytes(self):
        for name, request in (("in a value", GET + b"Host: x\r\nX-A: a\0b\r\n\r\n"),
                              ("in a name", GET + b"Host: x\r\nX\0A: b\r\n\r\n"),
                              ("in the target", b"GET /health/live\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
                              ("in the method", b"GE\0T /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
                              ("before a later header", GET + b"X-A: a\0b\r\nHost: x\r\n\r\n"),
                              ("two of them", GET + b"Host: x\r\nX-A: a\0\0b\r\n\r\n"),
                              ("three of them", GET + b"Host: x\r\nX-A: a\0\0\0b\r\n\r\n"),
                              ("in the target, more", b"GET /health/live\0x HTTP/1.1\r\nHost: x\r\n\r\n"),
                              ("encoded", b"GET /health/live%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
                              ("encoded in the query", b"GET /health/live?a=%00 HTTP/1.1\r\nHost: x\r\n\r\n")):
            self.refused(name, request, silent="target" in name or "method" in name)

    def test_line_ends_and_folds(self):
        for name, request in (
                ("a bare LF in the first line", b"GET /health/live HTTP/1.1\nHost: x\r\n\r\n"),
                ("a bare LF in a header", GET + b"Host: x\nX-A: b\r\n\r\n"),
                ("a bare LF in the last header", GET + b"X-A: b\r\nHost: x\n\r\n"),
                ("a bare LF as the empty line", GET + b"Host: x\r\n\n"),
                ("only bare LF", b"GET /health/live HTTP/1.1\nHost: x\n\n"),
                ("a folded header", GET + b"Host: x\r\nX-A: a\r\n b\r\n\r\n"),
                ("a folded Host", GET + b"Host: x\r\n y\r\n\r\n"),
                ("a folded length", POST + b"Host: x\r\nContent-Length:\r\n 2\r\n\r\n{}"),
                ("a fold with a tab", GET + b"Host: x\r\nX-A: a\r\n\tb\r\nX-B: c\r\n\r\n"),
                ("a bare CR", GET + b"Host: x\r\nX-A: a\rb\r\n\r\n"),
                ("two spaces", b"GET  /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
                ("a space in the target", b"GET /health/ live HTTP/1.1\r\nHost: x\r\n\r\n")):
            self.refused(name, request)

    def test_methods_that_are_no_tokens(self):
        for method in (b"G@T", b"GET/", b"G(T", b"\"GET\""):
            self.problem(method, method + b" /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "method")

    def test_names_that_are_no_tokens(self):
        for name in (b"X(A", b"X A", b"X@A", b"X-\xc3\xa9"):
            self.refused(name, GET + b"Host: x\r\n" + name + b": b\r\n\r\n")

    def test_too_much(self):
        self.problem("a target", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "8192")
        self.problem("many headers", GET + b"Host: x\r\n" + b"X-A: b\r\n" * 200 + b"\r\n", 431, "100 headers")
        self.problem("long headers", GET + b"Host: x\r\n" + (b"X-A: " + b"b" * 900 + b"\r\n") * 20 + b"\r\n",
                     431, "16384 bytes")
        for size in (40000, 400000):
            self.assertLessEqual(set(self.tried(b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n")),
                                 {414, 431})
            self.assertLessEqual(set(self.tried(GET + b"Host: x\r\nX-A: " + b"b" * size + b"\r\n\r\n")), {431})

    def tried(self, request):
        """The statuses; none if the connection was cut before the request was sent."""
        with self.daemon.socket() as connection:
            try:
                connection.sendall(request)
            except OSError:
                pass
            found = statuses(read_all(connection))
            self.assertLessEqual(len(found), 1)
            return found

    # ---- slow clients

    def lasts(self, first, piece, pause, limit=30):
        """How long the server keeps a connection that sends a few bytes now and then."""
        with self.daemon.socket() as connection:
            connection.settimeout(pause)
            connection.sendall(first)
            start = time.monotonic()
            while time.monotonic() - start < limit:
                try:
                    if connection.recv(65536) == b"":
                        break
                except socket.timeout:
                    pass
                except OSError:
                    break
                try:
                    connection.sendall(piece)
                except OSError:
                    break
            return time.monotonic() - start

    def test_a_head_that_trickles_is_cut_off(self):
        for first, piece in ((b"G", b"E"), (b"GET /health", b"/"), (GET, b"X"), (GET + b"X-", b"A")):
            self.assertLess(self.lasts(first, piece, 0.2), 10, (first, piece))

    def test_a_head_that_stops_is_cut_off(self):
        for first in (b"GET /health", GET, GET + b"Host: x\r\n"):
            self.assertLess(self.lasts(first, b"", 0.2), 10, first)

    def test_a_second_head_that_trickles_is_cut_off(self):
        self.assertLess(self.lasts(GET + b"Host: x\r\n\r\n", b"G", 0.3), 10)

    def test_a_body_that_trickles_is_cut_off(self):
        head = POST + b"Host: x\r\nContent-Length: 100000\r\n\r\n"
        self.assertLess(self.lasts(head, b" ", 0.2), 15)
        head = POST + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertLess(self.lasts(head, b"1\r\n \r\n", 0.2), 15)

    def test_a_connection_between_requests_is_left_alone(self):
        connection = self.daemon.connect()
        self.assertEqual(self.daemon.get("/health/live", connection=connection).status, 200)
        first = connection.sock
        time.sleep(3)
        self.assertEqual(self.daemon.get("/health/live", connection=connection).status, 200)
        self.assertIs(connection.sock, first)
        connection.close()

    def test_a_slow_but_honest_body_is_taken(self):
        body = json.dumps({"latents": {"indices": [[0]], "values": [[1]]}}).encode().ljust(6000)
        with self.daemon.socket() as connection:
            connection.sendall(POST + b"Host: x\r\nConnection: close\r\nContent-Length: 6000\r\n\r\n")
            for at in range(0, 6000, 200):
                connection.sendall(body[at:at + 200])
                time.sleep(0.1)
            self.assertEqual(statuses(read_all(connection)), [200])

    def test_a_client_that_does_not_read_is_cut_off(self):
        request = b"GET " + BASIC.encode() + b"/atoms?limit=24 HTTP/1.1\r\nHost: x\r\n\r\n"
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(PATIENCE)
            connection.connect(self.daemon.address)
            with self.assertRaises(OSError):
                end = time.monotonic() + 40
                while time.monotonic() < end:  # answers pile up until the server waits and then cuts the connection
                    connection.settimeout(5)
                    connection.sendall(request * 20)

    def test_the_server_still_serves(self):
        self.assertEqual(self.daemon.get("/health/ready").status, 200)


if __name__ == "__main__":
    unittest.main()
