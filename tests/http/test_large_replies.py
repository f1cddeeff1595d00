"""Large replies are sent in pieces (server/http/careful.c): small requests beside them are answered at once, and
each reply is whole, from memory and from a mapping."""

import array
import contextlib
import hashlib
import json
import os
import selectors
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from daemon import PATIENCE, Daemon, wait_for

CONCEPTS, WIDTH = 8192, 1024  # 32 MiB
DOWNLOAD = "/v1/dictionaries/big/dictionary"
DOWNLOADER = """
import socket, sys
connection, piece = socket.create_connection(("127.0.0.1", int(sys.argv[1]))), bytearray(1 << 20)
while True:
    connection.sendall(b"GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    left = connection.recv_into(piece)
    head, _, body = bytes(piece[:left]).partition(b"\\r\\n\\r\\n")
    left = int(head.lower().split(b"content-length: ")[1].split()[0]) - len(body)
    while left > 0:
        left -= connection.recv_into(piece, min(left, len(piece)))
""" % DOWNLOAD


def cpu_seconds(daemon):
    """Of all its threads, until now."""
    with open("/proc/%d/stat" % daemon.process.pid, encoding="ascii") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class LargeReplies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.path = os.path.join(cls.folder, "big.safetensors")
        row = array.array("f", [(i * 7919 % 1000 - 500) / 1000 for i in range(WIDTH)])
        size = CONCEPTS * WIDTH * 4
        header = json.dumps({"__metadata__": {"format": "rasae.fused.v1", "sae": "topk", "top_k": "8"},
                             "dictionary": {"dtype": "F32", "shape": [CONCEPTS, WIDTH], "data_offsets": [0, size]}}).encode()
        header += b" " * (-len(header) % 8)
        with open(cls.path, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for i in range(CONCEPTS):
                row[0] = i / CONCEPTS
                file.write(row.tobytes())

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def beside_downloads(self, *more):
        """Seconds that a small request takes at the median, beside eight clients that download all the time."""
        with Daemon("--dictionary", "big=" + self.path, "--threads", "1", *more) as daemon:
            clients = [subprocess.Popen([sys.executable, "-c", DOWNLOADER, str(daemon.address[1])],
                                        stderr=subprocess.DEVNULL) for _ in range(8)]
            try:
                connection = daemon.connect()
                ask = lambda path: daemon.get(path, connection=connection)  # noqa: E731
                download = b'rasaed_request_duration_seconds_count{route="dictionary_file"}'
                wait_for(lambda: download in ask("/metrics").body, "downloads")
                took = []
                for _ in range(300):
                    begun = time.monotonic()
                    self.assertEqual(ask("/v1/dictionaries/big/atoms/5?fields=norm").status, 200)
                    took.append(time.monotonic() - begun)
                connection.close()
                return statistics.median(took)
            finally:
                for one in clients:
                    one.kill()
                    one.wait()

    def test_small_requests_do_not_wait_for_downloads(self):
        for more in ((), ("--private-below", "1K")):
            self.assertLess(min(self.beside_downloads(*more) for _ in range(2)), 0.005, more)

    @contextlib.contextmanager
    def downloads(self, daemon, count):
        """Sockets on which a download has been asked for."""
        sockets = [daemon.socket() for _ in range(count)]
        for one in sockets:
            one.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % DOWNLOAD.encode())
        yield sockets
        for one in sockets:  # else a stop waits for them
            one.close()

    def test_downloads_have_equal_shares(self):
        with Daemon("--dictionary", "big=" + self.path, "--threads", "1") as daemon, self.downloads(daemon, 8) as several:
            received = dict.fromkeys(several, 0)
            ready = selectors.DefaultSelector()
            for one in received:
                ready.register(one, selectors.EVENT_READ)
            while max(received.values()) < CONCEPTS * WIDTH * 2:  # half a file
                for key, _ in ready.select(PATIENCE):
                    received[key.fileobj] += len(key.fileobj.recv(1 << 18))
            ready.close()
            self.assertGreater(min(received.values()), max(received.values()) / 4, sorted(received.values()))

    def test_clients_that_read_nothing_hold_up_nobody(self):
        with Daemon("--dictionary", "big=" + self.path, "--threads", "1") as daemon, self.downloads(daemon, 8):
            for _ in range(2):
                self.assertEqual(len(daemon.get(DOWNLOAD).body) // 1024, CONCEPTS * WIDTH * 4 // 1024)
            before = cpu_seconds(daemon)
            time.sleep(1)
            self.assertLess(cpu_seconds(daemon) - before, 0.5)  # nobody asks and asks again

    def test_clients_that_leave_in_the_middle(self):
        with Daemon("--dictionary", "big=" + self.path, "--threads", "1") as daemon:
            for round in range(5):
                with self.downloads(daemon, 6) as several:
                    for i, one in enumerate(several):
                        one.recv(1000 + 100000 * ((i + round) % 3))
            self.assertEqual(len(daemon.get(DOWNLOAD).body) // 1024, CONCEPTS * WIDTH * 4 // 1024)

    def test_each_reply_is_whole(self):
        for more in ((), ("--private-below", "1K")):
            with Daemon("--dictionary", "big=" + self.path, *more) as daemon:
                reply = daemon.get(DOWNLOAD)
                whole = reply.body
                size = struct.unpack("<Q", whole[:8])[0]
                with open(self.path, "rb") as file:
                    at = struct.unpack("<Q", file.read(8))[0]
                    file.seek(8 + at)
                    self.assertEqual(hashlib.sha256(whole[8 + size:]).digest(), hashlib.sha256(file.read()).digest())
                for first, last in ((0, 0), (131071, 131072), (7, 9999999), (len(whole) - 300000, len(whole) - 1)):
                    part = daemon.get(DOWNLOAD, headers={"Range": "bytes=%d-%d" % (first, last)})
                    self.assertEqual((part.status, part.body == whole[first:last + 1]), (206, True), (first, last))
                head = daemon.request("HEAD", DOWNLOAD)
                self.assertEqual((head.headers["Content-Length"], head.body), (str(len(whole)), b""))
                again = daemon.get(DOWNLOAD, headers={"If-None-Match": reply.headers["ETag"]})
                self.assertEqual((again.status, again.body), (304, b""))
                atoms = daemon.get("/v1/dictionaries/big/atoms?limit=200").json["atoms"]
                self.assertEqual([len(atom["vector"]) for atom in atoms], [WIDTH] * 200)


if __name__ == "__main__":
    unittest.main()
