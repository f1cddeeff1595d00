"""Slow, many and greedy clients (server/http/{connections,engine,worker,acceptor}.c, server/codec/coding_zlib.c, server/codec/coding_zstd.c): the
attacks of hostile.py by some connections each, bombs in every coding, requests a thousand deep."""

import gzip
import re
import subprocess
import unittest
import zlib

import hostile
from daemon import PATIENCE, Daemon, read_all

TARGET = "/v1/dictionaries/m/reconstruct"
REAL = 64 << 20  # bytes of a bomb, unpacked


class Greedy(unittest.TestCase):
    def test_others_are_served_meanwhile(self):
        """By how much they are slower is for make check-hostile: here, that each of them is answered."""
        for name in hostile.ATTACKS:
            with self.subTest(name):
                hostile.under(name, 100, rounds=1, asked=60)

    def test_bombs_in_every_coding(self):
        zeros = bytes(REAL)
        bombs = {"gzip": gzip.compress(zeros, 9), "deflate": zlib.compress(zeros, 9),
                 "zstd": subprocess.run(["zstd", "-q", "-19", "--stdout"], input=zeros, stdout=subprocess.PIPE, check=True,
                                        timeout=PATIENCE).stdout}
        with Daemon("--dictionary", "m=" + hostile.MODEL, "--max-body", "1M",
                    env={"ASAN_OPTIONS": "quarantine_size_mb=1"}) as daemon:  # else AddressSanitizer keeps what is freed
            before = hostile.memory(daemon.process)
            for coding, bomb in bombs.items():
                self.assertLess(len(bomb), REAL // 500, coding)
                for kind in ("application/json", "application/octet-stream"):
                    reply = daemon.request("POST", TARGET, bomb, headers={"Content-Type": kind, "Content-Encoding": coding})
                    self.assertEqual((reply.status, reply.headers["X-Error-Code"]), (413, "body_too_large"), (coding, reply.body))
            twice = gzip.compress(bombs["gzip"])
            reply = daemon.request("POST", TARGET, twice, headers={"Content-Type": "application/json",
                                                                   "Content-Encoding": "gzip, gzip"})
            self.assertIn(reply.status, (400, 413, 415))
            self.assertLess(hostile.memory(daemon.process) - before, 16 << 20)

    def test_a_thousand_requests_at_once_have_a_thousand_answers_in_their_order(self):
        count = 1000
        requests = b"".join(b"GET /v1/dictionaries/m/atoms/%d HTTP/1.1\r\nHost: x\r\nX-Request-Id: r%d\r\n%s\r\n"
                            % (i % 24, i, b"Connection: close\r\n" if i == count - 1 else b"") for i in range(count))
        with Daemon("--dictionary", "m=" + hostile.MODEL, "--log-level", "error") as daemon:
            for size in (len(requests), 1000, 7):  # bytes at once
                with daemon.socket() as connection:
                    for at in range(0, len(requests) if size > 100 else 20000, size):
                        connection.sendall(requests[at:at + size])
                    if size < 100:
                        connection.sendall(requests[at + size:])
                    ids = re.findall(rb"X-Request-Id: r(\d+)\r\n", read_all(connection))
                self.assertEqual([int(one) for one in ids], list(range(count)), size)


if __name__ == "__main__":
    unittest.main()
