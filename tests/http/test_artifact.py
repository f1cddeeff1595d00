"""GET .../artifact (server/api/artifact.c): the file that is served, held against its bytes on the disk: parts, conditions,
names, each changed byte, and a file that was replaced or written in place."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

import daemon
from daemon import Daemon, golden

RASAE = os.path.join(os.path.dirname(daemon.PROGRAM), "rasae")
D = "/v1/dictionaries/d"
FILE = D + "/artifact"
MAPPED = "--private-below", "0"
CHECKPOINT = golden("dict-basic.checkpoint.safetensors")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def replace(path, data):
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.replace(path + ".new", path)


def without_digest(data, **more):
    """The same tensors, with metadata that no answer depends on."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    for key in "rasae.digest", "rasae.digest_kind":
        header["__metadata__"].pop(key, None)
    header["__metadata__"].update(more)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + size:]


class Artifact(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path, self.keys = self.file("d.safetensors"), self.file("keys")
        subprocess.run([RASAE, "fuse", CHECKPOINT, "-o", self.path], check=True, capture_output=True, timeout=60)
        self.content = read(self.path)
        with open(self.keys, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("admin admin-key-for-tests-0001\n")

    def file(self, name):
        return os.path.join(self.folder, name)

    def serve(self, *flags, path=None):
        one = Daemon("--dictionary", "d=" + (path or self.path), "--keys", self.keys, *flags)
        ask = one.request
        one.request = lambda method, path, body=None, headers=(), connection=None: ask(
            method, path, body, {"Authorization": "Bearer admin-key-for-tests-0001", **dict(headers)}, connection)
        return one

    def test_it_is_the_file_and_no_byte_else(self):
        foreign = without_digest(self.content, note="of no account", other="\u00e9")
        tags = []
        for data in self.content, foreign:
            replace(self.path, data)
            for flags in (), MAPPED:
                with self.subTest(flags=flags), self.serve(*flags) as served:
                    reply = served.get(FILE)
                    self.assertEqual((reply.status, reply.body), (200, data))
                    self.assertEqual(reply.headers["Content-Type"], "application/x-safetensors")
                    self.assertEqual(reply.headers["Content-Disposition"], 'attachment; filename="d.safetensors"')
                    self.assertEqual(reply.headers["X-Dictionary-Revision"], served.get(D).json["revision"])
                    self.assertNotIn("Last-Modified", reply.headers)
                    head = served.request("HEAD", FILE)
                    self.assertEqual((head.status, head.body), (200, b""))
                    for name in "Content-Length", "ETag", "Content-Disposition", "Content-Type", "Accept-Ranges":
                        self.assertEqual(head.headers[name], reply.headers[name], name)
                    tags.append(reply.headers["ETag"])
        self.assertEqual(tags[0], tags[1])  # mapped or not
        self.assertEqual(tags[2], tags[3])
        self.assertNotEqual(tags[0], tags[2])

    def test_parts_and_conditions(self):
        with self.serve(*MAPPED) as served:
            whole, size = self.content, len(self.content)
            tag, revision = served.get(FILE).headers["ETag"], '"%s"' % served.get(D).json["revision"]
            for given, first, last in (("0-9", 0, 9), ("7-8", 7, 8), ("100-", 100, size - 1), ("-5", size - 5, size - 1),
                                       ("3-99999999", 3, size - 1)):
                for only_if in {}, {"If-Range": tag}:
                    part = served.get(FILE, headers={"Range": "bytes=" + given, **only_if})
                    self.assertEqual((part.status, part.body), (206, whole[first:last + 1]), given)
                    self.assertEqual(part.headers["Content-Range"], "bytes %d-%d/%d" % (first, last, size))
                    self.assertEqual(part.headers["ETag"], tag)
            for only_if in '"another"', "W/" + tag, revision, "Mon, 30 Nov 2099 08:00:00 GMT":
                reply = served.get(FILE, headers={"Range": "bytes=0-9", "If-Range": only_if})
                self.assertEqual((reply.status, reply.body), (200, whole), only_if)
            beyond = served.get(FILE, headers={"Range": "bytes=%d-" % size})
            self.assertEqual((beyond.status, beyond.headers["Content-Range"]), (416, "bytes */%d" % size))
            for headers, status in (({"If-None-Match": tag}, 304), ({"If-None-Match": revision}, 200),
                                    ({"If-Match": tag}, 200), ({"If-Match": revision}, 200), ({"If-Match": '"another"'}, 412),
                                    ({"If-Modified-Since": "Mon, 30 Nov 2099 08:00:00 GMT"}, 200)):
                for method in "GET", "HEAD":
                    self.assertEqual(served.request(method, FILE, headers=headers).status, status, (method, headers))

    def test_every_byte_is_in_the_tag(self):
        """Also of files whose revision is the same, of those that say no digest of themselves, and of those whose digest nobody
        has compared."""
        plain = without_digest(self.content, note="aaaa")
        place = plain.index(b"aaaa")
        changes = {place + i: ord("b") for i in range(4)}
        size = struct.unpack("<Q", plain[:8])[0]
        changes.update({8 + size + i: plain[8 + size + i] ^ 1 for i in (0, 401)})  # the low bits of two numbers
        seen, revisions = {}, set()
        replace(self.path, plain)
        with self.serve() as served:
            for at, value in [(None, 0), *changes.items()]:
                changed = bytearray(plain)
                if at is not None:
                    changed[at] = value
                replace(self.path, changed)
                self.assertEqual(served.post(D + "/reload", "").status, 200)
                reply = served.get(FILE)
                self.assertEqual(reply.body, bytes(changed))
                seen[reply.headers["ETag"]] = at
                revisions.add(served.get(D).json["revision"])
            self.assertEqual(len(seen), 1 + len(changes), seen)
            self.assertEqual(len(revisions), 3)
            first = next(iter(seen))
            self.assertEqual(served.get(FILE, headers={"Range": "bytes=0-9", "If-Match": first}).status, 412)

    def test_a_file_that_is_replaced_is_not_spliced(self):
        newer = without_digest(self.content, note="newer")
        for flags in (), MAPPED:
            replace(self.path, self.content)
            with self.serve(*flags) as served:
                tag = served.get(FILE).headers["ETag"]
                for change in (lambda: replace(self.path, newer), lambda: os.remove(self.path)):
                    change()
                    reply = served.get(FILE, headers={"If-Match": tag})
                    self.assertEqual((reply.status, reply.body), (200, self.content))
                replace(self.path, newer)
                self.assertEqual(served.post(D + "/reload", "").status, 200)
                self.assertEqual(served.get(FILE).body, newer)
                rest = {"Range": "bytes=10-", "If-Match": tag}  # of a client that has the first ten
                self.assertEqual(served.get(FILE, headers=rest).status, 412)

    def test_a_file_that_is_written_in_place(self):
        spoiled = bytearray(self.content)
        spoiled[-1] ^= 1
        with self.serve(*MAPPED) as served:
            with open(self.path, "r+b") as file:
                file.write(spoiled)
            reply = served.get(FILE)
            self.assertEqual((reply.status, reply.json["code"]), (503, "dictionary_changed"))
        replace(self.path, self.content)
        with self.serve() as served:  # in memory of the daemon's own
            with open(self.path, "r+b") as file:
                file.write(spoiled)
            self.assertEqual(served.get(FILE).body, self.content)

    def test_names(self):
        for name, disposition in (
                ("a b.st", 'filename="a b.st"'),
                ('q"\\%.st', "filename=\"q___.st\"; filename*=UTF-8''q%22%5C%25.st"),
                ("d\u00e9.st", "filename=\"d__.st\"; filename*=UTF-8''d%C3%A9.st"),
                ("x\r\nSet-Cookie: a=1", "filename=\"x__Set-Cookie: a=1\"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a%3D1"),
                (b"\xff.st", 'filename="_.st"')):
            path = os.path.join(os.fsencode(self.folder), os.fsencode(name))
            shutil.copy(self.path, path)
            with self.subTest(name), self.serve(path=os.fsdecode(path)) as served:
                reply = served.get(FILE)
                self.assertEqual(reply.headers["Content-Disposition"], "attachment; " + disposition)
                self.assertNotIn("Set-Cookie", reply.headers)
                self.assertEqual(reply.body, self.content)

    def test_a_checkpoint_is_not_kept(self):
        with self.serve(path=CHECKPOINT) as served:
            reply = served.get(FILE)
            self.assertEqual((reply.status, reply.json["code"]), (409, "not_held"))
            self.assertIn("/v1/dictionaries/d/dictionary", reply.json["detail"])
            self.assertEqual(served.get(FILE + "?format=raw").status, 400)

    def test_large_ones_arrive_whole(self):
        rows, width = 20000, 256
        header = json.dumps({"dictionary": {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, 4 * rows * width]}})
        data = struct.pack("<Q", len(header)) + header.encode() + bytes(range(1, 65)) * (rows * width // 16)
        replace(self.path, data)
        for flags in (), MAPPED:
            with self.serve(*flags) as served:
                self.assertEqual(served.get(FILE).body, data)


if __name__ == "__main__":
    unittest.main()
