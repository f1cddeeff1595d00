"""HTTP/1.1 as data: what is sent, and what is right (server/http/{headers,wire}.c, the library below them).

The rows are the cases of Http11Probe (smuggling, malformed, protocol, normalization, cookies), written anew for a server whose
answers depend on the body: POST computes from BODY, so a body that was cut elsewhere shows. Behind each request comes FOLLOW, a
second one with a mark of its own in its answer. What is right:

    REFUSED   one answer of 400 or 501 or what the row says, then the end of the connection: FOLLOW is never answered
    ANSWERED  200 or what the row says, and FOLLOW is answered, and nothing else
    EITHER    one or the other: RFC 9112 allows both
    CLOSED    an answer as for ANSWERED, then the end of the connection
    SILENT    refused, or nothing at all and the end of the connection

In no row is there one answer more than requests, and none with a status of 500 and above but 501 and 505.
A row whose last member is LENIENT is within a chunked body, which libmicrohttpd before 1.0 reads more leniently than RFC 9112
wants (server/README.md): it may be ANSWERED there, and is REFUSED from 1.0 on."""

import json
import re
import unittest

from daemon import Daemon, golden
from test_hostile import libmicrohttpd

REFUSED, ANSWERED, EITHER, CLOSED, SILENT = "refused", "answered", "either", "closed", "silent"
LENIENT = "lenient"
BODY = json.dumps({"latents": [[1] + [0] * 23]}).encode()
N, X = b"%d" % len(BODY), b"%x" % len(BODY)
TARGET = b"/v1/dictionaries/basic/reconstruct"
FOLLOW = b"GET /health/live HTTP/1.1\r\nHost: follow\r\nX-Request-Id: follow\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"


def get(*lines, target=b"/health/live", line=None, host=b"Host: x"):
    head = [line or b"GET " + target + b" HTTP/1.1", *([host] if host else []), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n"


def post(*lines, body=BODY, version=b"HTTP/1.1", method=b"POST", host=b"Host: x"):
    head = [method + b" " + TARGET + b" " + version, host, b"Content-Type: application/json", *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


CL, TE = b"Content-Length: " + N, b"Transfer-Encoding: chunked"
CHUNKS = X + b"\r\n" + BODY + b"\r\n0\r\n\r\n"


def chunked(body, *lines):
    return post(TE, *lines, body=body)


def around(size, end=b"\r\n0\r\n\r\n"):
    """One chunk with this text as its size."""
    return chunked(size + b"\r\n" + BODY + end)


def hidden(*lines, body=None):
    """A body that ends early for one reader, with a second request behind it for the other."""
    body = b"0\r\n\r\n" + SMUGGLED if body is None else body
    return post(*(line.replace(b"{n}", b"%d" % len(body)) for line in lines), body=body)


SMUGGLING = [
    ("length and chunks", post(b"Content-Length: %d" % len(CHUNKS), TE, body=CHUNKS), REFUSED),
    ("length and chunks, the chunks end first", post(b"Content-Length: 4", TE, body=b"0\r\n\r\n"), REFUSED),
    ("chunks and a longer length", post(TE, b"Content-Length: 30", body=b"0\r\n\r\n"), REFUSED),
    ("two lengths", post(b"Content-Length: 5", CL), REFUSED),
    ("the same length twice", post(CL, CL), EITHER),
    ("lengths in a list", post(b"Content-Length: 5, 10"), REFUSED),
    ("the same length in a list", post(b"Content-Length: " + N + b", " + N), EITHER),
    ("three lengths in a list", post(b"Content-Length: " + b", ".join([N] * 3)), EITHER),
    ("a length with zeros before it", post(b"Content-Length: 00" + N), EITHER),
    ("a length that octal reads otherwise", post(b"Content-Length: 0" + N), EITHER),
    ("a length of 00", get(b"Content-Length: 00"), EITHER),
    ("a negative length", post(b"Content-Length: -1", body=b""), REFUSED),
    ("a length of -0", post(b"Content-Length: -0", body=b""), REFUSED),
    ("a length in octal", post(b"Content-Length: 0o5"), REFUSED),
    ("a length in hexadecimal", post(b"Content-Length: 0x5"), REFUSED),
    ("a length with an underscore", post(b"Content-Length: 1_0"), REFUSED),
    ("a length with a blank inside", post(b"Content-Length: 1 0"), REFUSED),
    ("a length with a blank behind", post(CL + b" "), EITHER),
    ("a length with two blanks before", post(b"Content-Length:  " + N), EITHER),
    ("a length with a tab before", post(b"Content-Length:\t" + N), EITHER),
    ("xchunked", post(b"Transfer-Encoding: xchunked", CL), REFUSED),
    ("chunked with a blank behind, and a length", post(TE + b" ", CL), REFUSED),
    ("chunked with a blank before the colon", post(b"Transfer-Encoding : chunked", CL), REFUSED),
    ("chunked twice in a list, and a length", post(b"Transfer-Encoding: chunked, chunked", CL), REFUSED),
    ("Chunked, and a length", post(b"Transfer-Encoding: Chunked", CL), REFUSED),
    ("chunked is not last", post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), REFUSED),
    ("chunked in HTTP/1.0", post(TE, CL, version=b"HTTP/1.0"), REFUSED),
    ("an empty coding, and a length", post(b"Transfer-Encoding: ", CL), REFUSED),
    ("a comma before chunked, and a length", post(b"Transfer-Encoding: , chunked", CL), REFUSED),
    ("a comma behind chunked, and a length", post(b"Transfer-Encoding: chunked,", CL), REFUSED),
    ("chunked and identity, and a length", post(TE, b"Transfer-Encoding: identity", CL), REFUSED),
    ("identity, and a length", post(b"Transfer-Encoding: identity", CL), REFUSED),
    ("a vertical tab before chunked", post(b"Transfer-Encoding: \x0bchunked", CL), REFUSED),
    ("a form feed before chunked", post(b"Transfer-Encoding: \x0cchunked", CL), REFUSED),
    ("a NUL behind chunked", post(TE + b"\0", CL), REFUSED),
    ("chunked with a parameter, and a length", post(TE + b";ext=val", CL), REFUSED),
    ("chunked on a folded line, and a length", post(b"Transfer-Encoding:\r\n chunked", CL), REFUSED),
    ("chunked behind a tab, and a length", post(b"Transfer-Encoding:\tchunked", CL), REFUSED),
    ("Transfer_Encoding, and a length", post(b"Transfer_Encoding: chunked", CL), EITHER),
    ("a bare CR in a value", post(CL, b"X-Test: val\rue"), REFUSED),
    ("a chunk with a bare semicolon", around(X + b";"), EITHER, LENIENT),
    ("a chunk with a bad extension", around(X + b";bad[=x"), REFUSED, LENIENT),
    ("a chunk whose size has an underscore", chunked(b"1_0\r\n" + BODY + b"\r\n0\r\n\r\n"), REFUSED),
    ("a chunk whose size has a prefix", around(b"0x" + X), REFUSED),
    ("a chunk whose size has a plus", around(b"+" + X), REFUSED),
    ("a chunk whose size has a minus", chunked(b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"), REFUSED),
    ("a chunk whose size has a blank behind", around(X + b" "), REFUSED, LENIENT),
    ("a chunk whose size has a blank before", around(b" " + X), REFUSED),
    ("a chunk without its end", around(X, b"0\r\n\r\n"), REFUSED),
    ("a chunk that is longer than its size", chunked(X + b"\r\n" + BODY + b"!!\r\n0\r\n\r\n"), REFUSED),
    ("a chunk that ends with a line feed", around(X, b"\n0\r\n\r\n"), REFUSED, LENIENT),
    ("a size that ends with a line feed", chunked(X + b";\n" + BODY + b"\r\n0\r\n\r\n"), REFUSED, LENIENT),
    ("a size that ends with a CR", chunked(X + b"\r" + BODY + b"\r\n0\r\n\r\n"), REFUSED),
    ("a NUL in an extension", around(X + b";\0ext"), REFUSED, LENIENT),
    ("a CR in an extension", around(X + b";a\rX"), REFUSED, LENIENT),
    ("trailers that end with a line feed", around(X, b"\r\n0\r\n\n"), REFUSED, LENIENT),
    ("a trailer that is a length", around(X, b"\r\n0\r\nContent-Length: 50\r\n\r\n"), EITHER),
    ("a trailer that is a coding", around(X, b"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), EITHER),
    ("a trailer that is a host", around(X, b"\r\n0\r\nHost: evil.example.com\r\n\r\n"), EITHER),
    ("a trailer that is a key", around(X, b"\r\n0\r\nAuthorization: Bearer evil\r\n\r\n"), EITHER),
    ("a trailer that is a type", around(X, b"\r\n0\r\nContent-Type: text/evil\r\n\r\n"), EITHER),
    ("a body behind HEAD", get(b"Content-Length: 5", line=b"HEAD /health/live HTTP/1.1") + b"hello", EITHER, (413,)),
    ("a body behind OPTIONS", get(b"Content-Length: 5", line=b"OPTIONS /health/live HTTP/1.1") + b"hello", EITHER, (204, 413)),
    ("a body behind GET", get(b"Content-Length: 5") + b"hello", EITHER, (413,)),
    ("a request as the body of GET", get(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED, EITHER, (413,)),
    ("a byte behind a body of none", post(b"Content-Length: 0", body=b"X"), EITHER, (400,)),
    ("expect, and a body at once", post(CL, b"Expect: 100-continue"), EITHER),
    ("another host in the target", get(target=b"http://other.example.com/health/live"), EITHER),
    ("two hosts in a list", get(host=b"Host: x, other.example.com"), REFUSED),
    ("a request behind length and chunks", hidden(b"Content-Length: {n}", TE), REFUSED),
    ("a request behind a length with a plus", hidden(b"Content-Length: +{n}", TE), REFUSED),
    ("a request behind a length that is no number", hidden(b"Content-Length: {n}x", TE), REFUSED),
    ("a request behind a folded coding", hidden(b"Transfer-Encoding:\r\n chunked", b"Content-Length: {n}"), REFUSED),
    ("a request behind a coding and a blank", hidden(b"Content-Length: {n}", TE + b" "), REFUSED),
    ("a request behind a comma and a coding", hidden(b"Content-Length: {n}", b"Transfer-Encoding: , chunked"), REFUSED),
    ("a request behind Chunked", hidden(b"Content-Length: {n}", b"Transfer-Encoding: Chunked"), REFUSED),
    ("a request behind two codings", hidden(TE, b"Transfer-Encoding: identity", b"Content-Length: {n}"), REFUSED),
    ("a request in a chunk", hidden(TE, b"Content-Length: 4", body=b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n"),
     REFUSED),
    ("a request behind the shorter of two lengths", hidden(b"Content-Length: 4", b"Content-Length: {n}"), REFUSED),
    ("a byte behind length and chunks", post(b"Content-Length: 6", TE, body=b"0\r\n\r\nX"), REFUSED),
    ("a byte behind chunks and length", post(TE, b"Content-Length: 30", body=b"0\r\n\r\nX"), REFUSED),
    ("a byte behind a bad last chunk", chunked(b"+0\r\n\r\nX"), REFUSED),
    ("a folded coding of OPTIONS",
     get(b"Transfer-Encoding:\r\n chunked", b"Content-Length: 5", line=b"OPTIONS /health/live HTTP/1.1") + b"hello", REFUSED),
]

MALFORMED = [
    ("binary garbage", bytes(range(128, 256)) * 4 + b"\r\n\r\n", SILENT),
    ("a long target", get(target=b"/" + b"a" * 65536), REFUSED, (414, 431)),
    ("a long value", get(b"X-Big: " + b"a" * 65536), REFUSED, (431,)),
    ("a long name", get(b"a" * 65536 + b": x"), REFUSED, (431,)),
    ("a long method", get(line=b"A" * 65536 + b" / HTTP/1.1"), SILENT, (414, 431, 501)),
    ("many headers", get(*(b"X-%d: v" % i for i in range(5000))), REFUSED, (431,)),
    ("a NUL in the target", get(target=b"/\0test"), REFUSED),
    ("control characters in a value", get(b"X-Test: abc\x07\x08\x0bdef"), REFUSED),
    ("a NUL in a value", get(b"X-Test: val\0ue"), REFUSED),
    ("a name that is not ASCII", get("X-T\u00ebst: value".encode()), REFUSED),
    ("a target that is not ASCII", get(target="/t\u00ebst".encode()), REFUSED),
    ("a target of overlong UTF-8", get(target=b"/\xc0\xaf"), REFUSED),
    ("a percent NUL in the target", get(target=b"/v1/dictionaries/a%00b"), EITHER, (404,)),
    ("a percent line end in the target", get(target=b"/v1/a%0d%0aX-Injected:%20true"), EITHER, (404,)),
    ("a backslash in the target", get(target=b"/path\\file"), EITHER, (404,)),
    ("a length that overflows", post(b"Content-Length: 99999999999999999999", body=b""), REFUSED, (413,)),
    ("an empty length", post(b"Content-Length: ", body=b""), REFUSED),
    ("a large length without a body", post(b"Content-Length: 999999999", body=b""), REFUSED, (413,)),
    ("a chunk size that overflows", chunked(b"FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n"), REFUSED, (413,)),
    ("an extension of 64 KiB", around(X + b";ext=" + b"a" * 65536), SILENT, (413, 431)),
    ("blanks as a request", b"   \r\n\r\n", SILENT),
    ("the beginning of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SILENT, (505,)),
    ("many ranges", get(b"Range: bytes=" + b",".join([b"0-"] * 500), target=b"/v1/dictionaries/basic/dictionary"), EITHER,
     (206, 416)),
]

PROTOCOL = [
    ("the plain request", get(), ANSWERED),
    ("a bare line feed behind the first line", b"GET /health/live HTTP/1.1\nHost: x\r\n\r\n", REFUSED),
    ("a bare line feed behind a header", b"GET /health/live HTTP/1.1\r\nHost: x\nX-Test: v\r\n\r\n", REFUSED),
    ("a folded header", get(b"X-Test: value\r\n continued"), REFUSED),
    ("a blank before a colon", get(b"X-Test : value"), REFUSED),
    ("two blanks in the first line", get(line=b"GET  /health/live HTTP/1.1"), REFUSED),
    ("a tab in the first line", get(line=b"GET\t/health/live HTTP/1.1"), REFUSED),
    ("no host", get(host=None), REFUSED),
    ("an empty host", get(host=b"Host: "), REFUSED),
    ("two hosts", get(b"Host: other.example.com"), REFUSED),
    ("the same host twice", get(b"Host: x"), REFUSED),
    ("a host with a user", get(host=b"Host: user@x"), REFUSED),
    ("a host with a path", get(host=b"Host: x/path"), REFUSED),
    ("HTTP/9.9", get(line=b"GET /health/live HTTP/9.9"), SILENT, (505,)),
    ("HTTP/1.2", get(line=b"GET /health/live HTTP/1.2"), EITHER, (505,)),
    ("HTTP/1", get(line=b"GET /health/live HTTP/1"), SILENT, (505,)),
    ("HTTP/01.01", get(line=b"GET /health/live HTTP/01.01"), SILENT, (505,)),
    ("HTTP/ 1.1", get(line=b"GET /health/live HTTP/ 1.1"), SILENT, (505,)),
    ("http/1.1", get(line=b"GET /health/live http/1.1"), SILENT, (505,)),
    ("HTTP/0.9", b"GET /health/live\r\n", SILENT, (505,)),
    ("an empty name", get(b": empty-name"), REFUSED),
    ("a name with a bracket", get(b"Bad[Name: value"), REFUSED),
    ("a header without a colon", get(b"NoColonHere"), REFUSED),
    ("a CR as a line end", b"GET /health/live HTTP/1.1\rHost: x\r\n\r\n", SILENT, (505,)),
    ("no target", get(line=b"GET HTTP/1.1"), SILENT, (505,)),
    ("a blank in the target", get(line=b"GET /pa th HTTP/1.1"), SILENT, (505,)),
    ("a fragment in the target", get(target=b"/health/live#frag"), EITHER, (404,)),
    ("a length that is no number", post(b"Content-Length: abc", body=b""), REFUSED),
    ("a length with a plus", post(b"Content-Length: +5", body=b"hello"), REFUSED),
    ("a blank line that is none before the headers", b"GET /health/live HTTP/1.1\r\n \r\nHost: x\r\n\r\n", REFUSED),
    ("GET of *", get(target=b"*"), ANSWERED, (400,)),
    ("OPTIONS of *", get(line=b"OPTIONS * HTTP/1.1"), ANSWERED, (204,)),
    ("gzip as a coding of transfer", post(b"Transfer-Encoding: gzip", body=b""), REFUSED),
    ("line ends before the request", b"\r\n\r\n" + get(), EITHER),
    ("the whole address as the target", get(target=b"http://x/health/live"), ANSWERED),
    ("a method in small letters", get(line=b"get /health/live HTTP/1.1"), EITHER, (405, 501)),
    ("an unknown method", get(line=b"FOOBAR /health/live HTTP/1.1"), EITHER, (405, 501)),
    ("CONNECT", get(line=b"CONNECT example.com:443 HTTP/1.1", host=b"Host: example.com:443"), EITHER, (404, 405, 501)),
    ("TRACE", get(line=b"TRACE /health/live HTTP/1.1"), EITHER, (405, 501)),
    ("TRACE with a body", get(b"Content-Length: 5", line=b"TRACE /health/live HTTP/1.1") + b"hello", EITHER, (405, 501)),
    ("TRACE with a key", get(b"Authorization: Bearer secret-token", line=b"TRACE /health/live HTTP/1.1"), EITHER, (405, 501)),
    ("another method", get(line=b"DELETE /health/live HTTP/1.1"), ANSWERED, (405,)),
    ("OPTIONS", get(line=b"OPTIONS /health/live HTTP/1.1"), ANSWERED, (204,)),
    ("HEAD", get(line=b"HEAD /health/live HTTP/1.1"), ANSWERED),
    ("a body with a length", post(CL), ANSWERED),
    ("a body of no bytes", post(b"Content-Length: 0", body=b""), ANSWERED, (400,)),
    ("no body", post(body=b""), ANSWERED, (400,)),
    ("a body in one chunk", chunked(CHUNKS), ANSWERED),
    ("a body in two chunks",
     chunked(b"5\r\n" + BODY[:5] + b"\r\n%X\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\n\r\n"), ANSWERED),
    ("a size in capitals", around(X.upper()), ANSWERED),
    ("an extension", around(X + b";ext=value"), EITHER),  # libmicrohttpd 1.0 takes none
    ("a trailer", around(X, b"\r\n0\r\nX-Checksum: abc\r\n\r\n"), ANSWERED),
    ("chunks of nothing", chunked(b"0\r\n\r\n"), ANSWERED, (400,)),
    ("a range of a POST", post(CL, b"Range: bytes=0-10"), ANSWERED),
    ("a range that is none", get(b"Range: bytes=abc-xyz", target=b"/v1/dictionaries/basic/dictionary"), ANSWERED, (416,)),
    ("an upgrade", post(CL, b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"), ANSWERED),
    ("an upgrade without Connection", get(b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"), ANSWERED),
    ("an upgrade to nothing", get(b"Connection: Upgrade", b"Upgrade: totally-made-up/1.0"), ANSWERED),
    ("an unknown expectation", get(b"Expect: 200-ok"), EITHER, (417,)),
    ("Connection: close", get(b"Connection: close"), CLOSED),
    ("HTTP/1.0", get(line=b"GET /health/live HTTP/1.0"), CLOSED),
    ("HTTP/1.0 without a host", get(line=b"GET /health/live HTTP/1.0", host=None), CLOSED, (400,)),
    ("HTTP/1.0 with an upgrade", get(b"Upgrade: websocket", line=b"GET /health/live HTTP/1.0"), CLOSED),
    ("HTTP/1.0 that expects", post(CL, b"Expect: 100-continue", version=b"HTTP/1.0"), CLOSED),
    ("a target of 4,000 bytes", get(target=b"/health/live?" + b"a" * 4000), ANSWERED, (400,)),
    ("two types", post(CL, b"Content-Type: text/html"), EITHER, (415,)),
    ("an unknown type", post(CL, b"Content-Type: application/x-nonsense"), EITHER, (415,)),
    ("a form that nobody has", get(b"Accept: application/x-nonsense", target=b"/v1/dictionaries"), ANSWERED, (406,)),
    ("Content_Length, and a length", post(CL, b"Content_Length: 99"), EITHER),
    ("a second length before whose colon is a blank", post(CL, b"Content-Length : 5"), REFUSED),
    ("a tab in a name", post(CL, b"Content\tLength: 99"), REFUSED),
    ("TRANSFER-ENCODING, and a length", post(CL, b"TRANSFER-ENCODING: chunked"), REFUSED),
    ("a cookie", get(b"Cookie: foo=bar"), ANSWERED),
    ("an empty cookie", get(b"Cookie: "), ANSWERED),
    ("a cookie of nothing", get(b"Cookie: ===;;;"), ANSWERED),
    ("two cookies", get(b"Cookie: a=1", b"Cookie: b=2"), ANSWERED),
    ("a NUL in a cookie", get(b"Cookie: foo=\0bar"), REFUSED),
    ("control characters in a cookie", get(b"Cookie: foo=\x01\x02\x03"), REFUSED),
    ("a cookie of 100 KiB", get(b"Cookie: big=" + b"A" * 102400), REFUSED, (431,)),
    ("a cookie of a thousand pairs", get(b"Cookie: " + b"; ".join(b"k%d=v" % i for i in range(1000))), EITHER, (431,)),
]


def answers(data):
    """Statuses and request ids, in order; interim ones are left out."""
    found, data = [], data.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    for head in re.finditer(rb"HTTP/1\.1 (\d\d\d) [^\r\n]*\r\n(.*?)\r\n\r\n", data, re.S):
        status = int(head.group(1))
        if status >= 200:
            name = re.search(rb"(?im)^x-request-id: ([^\r\n]*)", head.group(2))
            found.append((status, name.group(1).decode() if name else "", head.group(2).lower()))
    return found


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"), "--header-seconds", "1",
                            "--idle-seconds", "1")
        cls.plain = cls.daemon.post(TARGET.decode(), BODY).body

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def wrong(self, request, right, more=()):
        """What is wrong with the answer, or None."""
        data = self.daemon.raw(request + FOLLOW)
        got = answers(data)
        statuses = tuple(number for number in more if isinstance(number, int))
        if any(name == "smuggled" for _, name, _ in got):
            return "the request within the request was answered"
        if any(status >= 500 and status not in (501, 505) for status, _, _ in got):
            return "a failure of the server"
        if data.startswith(b"HTTP/1.1 101") or b"\r\nHTTP/1.1 101" in data:
            return "the protocol was changed"
        followed = bool(got) and got[-1][1] == "follow"
        own = got[:-1] if followed else got
        if len(own) > 1:
            return "%d answers to one request" % len(own)
        refused = (not followed and len(own) == 1 and own[0][0] in (400, 501, *statuses)
                   and (b"connection: close" in own[0][2]))
        silent = not got
        answered = followed and len(own) == 1 and own[0][0] in (200, *statuses)
        closed = not followed and len(own) == 1 and own[0][0] in (200, *statuses)
        if answered and own[0][0] == 200 and request.startswith(b"POST") and self.plain not in data:
            return "computed from another body"
        strict = libmicrohttpd() >= (1, 0)
        good = {REFUSED: refused or (silent and strict) or (LENIENT in more and not strict and answered), ANSWERED: answered,
                EITHER: answered or refused or closed or (silent and strict) , CLOSED: closed, SILENT: refused or silent}[right]
        return None if good else "expected it %s%s" % (right, "" if not statuses else " with %s" % (statuses,))

    def check(self, table):
        for name, request, right, *more in table:
            flat = [item for part in more for item in (part if isinstance(part, tuple) else (part,))]
            with self.subTest(name):
                why = self.wrong(request, right, flat)
                self.assertIsNone(why, "%s\n%r\n%r" % (why, request[:300], self.daemon.raw(request + FOLLOW)[:1200]))

    def test_smuggling(self):
        self.check(SMUGGLING)

    def test_malformed(self):
        self.check(MALFORMED)

    def test_protocol(self):
        self.check(PROTOCOL)

    # ---- what is not one request and its answer

    def test_requests_that_never_end_are_cut(self):
        for name, request in (("nothing", b""), ("half a header", b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Test: val"),
                              ("half a body", post(b"Content-Length: %d" % (len(BODY) + 9))),
                              ("chunks without the last one", chunked(X + b"\r\n" + BODY + b"\r\n"))):
            with self.subTest(name):
                got = answers(self.daemon.raw(request))
                self.assertLessEqual(len(got), 1)
                self.assertTrue(all(status in (400, 408) for status, _, _ in got), got)

    def test_two_requests_at_once_have_two_answers(self):
        got = answers(self.daemon.raw(get() + FOLLOW))
        self.assertEqual([status for status, _, _ in got], [200, 200])

    def test_headers_of_answers(self):
        live = self.daemon.get("/health/live")
        self.assertRegex(live.headers["Date"], r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT$")
        self.assertTrue(live.headers["Content-Type"])
        self.assertTrue(self.daemon.request("DELETE", "/health/live").headers["Allow"])
        options = self.daemon.request("OPTIONS", "/health/live")
        self.assertTrue(options.headers["Allow"])
        if options.status == 204:
            self.assertIsNone(options.headers["Content-Length"])
        head = self.daemon.request("HEAD", "/health/live")
        self.assertEqual((head.status, head.body), (200, b""))
        kept = self.daemon.raw(post(CL, b"Expect: 100-continue", version=b"HTTP/1.0"))
        self.assertFalse(kept.startswith(b"HTTP/1.1 1"), kept)


if __name__ == "__main__":
    unittest.main()
