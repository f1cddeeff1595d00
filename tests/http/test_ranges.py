"""All of D as a file (server/api/dictionaries.c): parts of it, tags, conditions, HEAD; and tags on everything that
does not change."""

import array
import json
import os
import signal
import struct
import tempfile
import unittest

from daemon import Daemon, golden, read_all, read_safetensors, wait_for, write_safetensors

BASIC = "/v1/dictionaries/basic"
FILE = BASIC + "/dictionary"


class Ranges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"))
        cls.whole = cls.daemon.get(FILE)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def get(self, path=FILE, method="GET", **headers):
        return self.daemon.request(method, path,
                                   headers={key.replace("_", "-"): value for key, value in headers.items()})

    def test_the_file_can_be_served_again(self):
        size = struct.unpack("<Q", self.whole.body[:8])[0]
        header = json.loads(self.whole.body[8:8 + size])
        self.assertEqual((8 + size) % 64, 0)
        self.assertEqual(header["__metadata__"]["format"], "rasae.fused.v1")
        numbers = self.get(FILE + "?format=raw")
        shape = [int(n) for n in numbers.headers["X-Tensor-Shape"].split(",")]
        begin, end = header["dictionary"]["data_offsets"]
        self.assertEqual((header["dictionary"]["dtype"], header["dictionary"]["shape"]), ("F32", shape))
        self.assertEqual(self.whole.body[8 + size + begin:8 + size + end], numbers.body)
        self.assertTrue(self.get(FILE + "?format=npy").body.endswith(numbers.body))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "again.safetensors")
            with open(path, "wb") as file:
                file.write(self.whole.body)
            with Daemon("--dictionary", "basic=" + path) as again:
                mine, theirs = self.get(BASIC).json, again.get(BASIC).json
                self.assertEqual(mine["digest"], theirs["digest"])
                self.assertEqual(mine["revision"], theirs["revision"])
                self.assertEqual(mine["points"], theirs["points"])
                self.assertEqual(again.get(FILE).headers["ETag"], self.whole.headers["ETag"])

    def test_preconditions(self):
        tag, date = self.whole.headers["ETag"], self.whole.headers["Last-Modified"]
        early = "Sun, 06 Nov 1994 08:49:37 GMT"
        for path in FILE, BASIC + "/atoms", BASIC + "/atoms/1", BASIC + "/points/1":
            whole = self.get(path)
            self.assertEqual(whole.headers["Last-Modified"], date)
            for method in "GET", "HEAD":
                for given, status in (({"If_Match": whole.headers["ETag"]}, 200), ({"If_Match": '"x"'}, 412),
                                      ({"If_Match": "*"}, 200), ({"If_Unmodified_Since": date}, 200),
                                      ({"If_Unmodified_Since": early}, 412), ({"If_Modified_Since": date}, 304),
                                      ({"If_Modified_Since": early}, 200),
                                      ({"If_Modified_Since": date, "If_None_Match": '"x"'}, 200)):
                    reply = self.get(path, method, **given)
                    self.assertEqual(reply.status, status, (path, method, given))
                    self.assertEqual(reply.headers["ETag"], whole.headers["ETag"])
        refused = self.get(If_Match='"x"', Range="bytes=0-9")
        self.assertEqual((refused.status, refused.json["status"]), (412, 412))
        self.assertEqual(self.get(If_Match=tag, Range="bytes=0-9").status, 206)

    def test_a_download_that_goes_on_after_a_reload_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "d.safetensors")

            def store(name):
                with open(golden(name), "rb") as source, open(path + ".new", "wb") as target:
                    target.write(source.read())
                os.replace(path + ".new", path)

            store("topk-mse.final.safetensors")
            with Daemon("--dictionary", "d=" + path) as daemon:
                file = "/v1/dictionaries/d/dictionary"
                first = daemon.get(file)
                dates = {first.headers["Last-Modified"]}
                for generation in range(2, 6):  # within a second, too, a date belongs to one generation
                    store("topk-mse-tied.final.safetensors" if generation % 2 == 0 else "topk-mse.final.safetensors")
                    daemon.send(signal.SIGHUP)
                    wait_for(lambda: daemon.get("/v1/dictionaries/d").json["generation"] == generation, "the reload")
                    reply = daemon.get(file, headers={"If-Modified-Since": sorted(dates)[-1]})
                    self.assertEqual(reply.status, 200)
                    self.assertNotIn(reply.headers["Last-Modified"], dates)
                    dates |= {reply.headers["Last-Modified"]} - {None}
                rest = {"Range": "bytes=1000-", "If-Unmodified-Since": first.headers["Last-Modified"]}
                self.assertEqual(daemon.get(file, headers=rest).status, 412)
                store("topk-mse-tied.final.safetensors")
                daemon.send(signal.SIGHUP)
                wait_for(lambda: daemon.get("/v1/dictionaries/d").json["generation"] == 6, "the reload")
                rest = {"Range": "bytes=1000-", "If-Match": first.headers["ETag"]}
                self.assertEqual(daemon.get(file, headers=rest).status, 412)

    def test_parts(self):
        whole, size = self.whole.body, len(self.whole.body)
        for asked, first, last in (("0-0", 0, 0), ("0-99", 0, 99), ("5-", 5, size - 1),
                                   ("-7", size - 7, size - 1), ("100-200", 100, 200),
                                   ("%d-%d" % (size - 1, size + 5), size - 1, size - 1),
                                   ("-%d" % (size + 9), 0, size - 1)):
            reply = self.get(Range="bytes=" + asked)
            self.assertEqual(reply.status, 206, asked)
            self.assertEqual(reply.headers["Content-Range"], "bytes %d-%d/%d" % (first, last, size))
            self.assertEqual(reply.body, whole[first:last + 1], asked)
            self.assertEqual(reply.headers["ETag"], self.whole.headers["ETag"])

    def test_every_cut_around_the_header_joins_up(self):
        whole = self.whole.body
        border = 8 + struct.unpack("<Q", whole[:8])[0]
        for cut in range(border - 3, border + 4):
            joined = self.get(Range="bytes=0-%d" % (cut - 1)).body + self.get(Range="bytes=%d-" % cut).body
            self.assertEqual(joined, whole)

    def test_what_is_no_range_gives_the_whole(self):
        for asked in ("bytes=5-4", "bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=-"):
            reply = self.get(Range=asked)
            self.assertEqual((reply.status, len(reply.body)), (200, len(self.whole.body)), asked)
        reply = self.get(BASIC + "/atoms/1", Range="bytes=0-1")  # ranges work only for the file
        self.assertEqual(reply.status, 200)

    def test_outside(self):
        size = len(self.whole.body)
        for asked in ("bytes=%d-" % size, "bytes=-0", "bytes=99999999999999999999-"):
            reply = self.get(Range=asked)
            self.assertEqual(reply.status, 416, asked)
            self.assertEqual(reply.headers["Content-Range"], "bytes */%d" % size)
            self.assertEqual(reply.headers["Content-Type"], "application/problem+json")

    def test_if_range(self):
        tag = self.whole.headers["ETag"]
        self.assertEqual(self.get(Range="bytes=0-1", If_Range=tag).status, 206)
        for other in ('"other"', "W/" + tag, "Sat, 29 Oct 1994 19:43:31 GMT"):
            self.assertEqual(self.get(Range="bytes=0-1", If_Range=other).status, 200)

    def test_head_and_not_modified_have_the_length_of_the_whole(self):
        tag = self.whole.headers["ETag"]
        for reply, status in ((self.get(method="HEAD"), 200), (self.get(If_None_Match=tag), 304),
                              (self.get(method="HEAD", If_None_Match="*"), 304)):
            self.assertEqual((reply.status, reply.body), (status, b""))
            self.assertEqual(reply.headers["ETag"], tag)
            self.assertEqual(reply.headers["Content-Length"], str(len(self.whole.body)))
        self.assertEqual(self.get(If_None_Match='"other"').status, 200)

    def test_connections_go_on(self):
        connection = self.daemon.connect()
        tag = self.whole.headers["ETag"]
        for headers, status in (({"If-None-Match": tag}, 304), ({"Range": "bytes=0-9"}, 206), ({}, 200),
                                ({"Range": "bytes=999999999-"}, 416), ({"If-None-Match": tag}, 304),
                                ({}, 200)):
            reply = self.daemon.get(FILE, headers=headers, connection=connection)
            self.assertEqual(reply.status, status)
        connection.close()

    def test_tags_of_everything_that_lasts(self):
        tags = set()
        for path in (BASIC, BASIC + "/atoms", BASIC + "/atoms?ids=1", BASIC + "/atoms/1",
                     BASIC + "/atoms/1?format=raw", BASIC + "/atoms/1?format=npy",
                     BASIC + "/atoms/1?fields=norm", BASIC + "/atoms/2",
                     BASIC + "/atoms/1/neighbors", BASIC + "/points/1", FILE, FILE + "?format=raw"):
            reply = self.get(path)
            tag = reply.headers["ETag"]
            self.assertNotIn(tag, tags)
            tags.add(tag)
            self.assertEqual(reply.headers["Vary"].split(", ")[:2], ["Accept", "Accept-Encoding"])
            self.assertEqual(self.get(path).headers["ETag"], tag, path)
            self.assertEqual(self.get(path, If_None_Match='"x", ' + tag).status, 304, path)
        self.assertTrue(self.get(BASIC).headers["ETag"].startswith("W/"))  # the reply has a counter
        self.assertNotIn("ETag", self.get("/health/live").headers)
        self.assertNotIn("ETag", self.get(BASIC + "/atoms/99999").headers)

    def test_the_packed_form_has_a_tag_of_its_own(self):
        plain = self.get(BASIC + "/atoms")
        packed = self.get(BASIC + "/atoms", Accept_Encoding="gzip")
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertNotEqual(plain.headers["ETag"], packed.headers["ETag"])
        again = self.get(BASIC + "/atoms", Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
        self.assertEqual(again.status, 304)
        self.assertEqual(again.headers["Content-Length"], packed.headers["Content-Length"])
        self.assertEqual(self.get(BASIC + "/atoms", If_None_Match=packed.headers["ETag"]).status, 200)

    def test_bf16_has_no_npy(self):
        tensors, _ = read_safetensors(golden("dict-basic.expected.safetensors"))
        shape, numbers = tensors["fused"]
        entry = {"dtype": "BF16", "shape": shape, "data_offsets": [0, 2 * len(numbers)]}
        header = json.dumps({"dictionary": entry}).encode()
        header += b" " * (-len(header) % 8)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "b.safetensors")
            with open(path, "wb") as file:
                file.write(struct.pack("<Q", len(header)) + header)
                for x in numbers:
                    file.write(struct.pack("<f", x)[2:])
            with Daemon("--dictionary", "b=" + path) as daemon:
                base = "/v1/dictionaries/b"
                self.assertEqual(daemon.get(base + "/dictionary?format=npy").status, 406)
                raw = daemon.get(base + "/dictionary?format=raw")
                self.assertEqual((raw.headers["X-Tensor-Dtype"], len(raw.body)), ("BF16", 2 * len(numbers)))
                atom = daemon.get(base + "/atoms/1?format=npy")
                self.assertEqual(atom.status, 200)
                vector = daemon.get(base + "/atoms/1").json["vector"]
                self.assertEqual(atom.body[-4 * len(vector):], struct.pack("<%df" % len(vector), *vector))

    def test_a_download_ends_as_it_began_whatever_is_loaded_meanwhile(self):
        d, atoms = 1024, 4096  # 16 MiB: more than sockets buffer
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "large.safetensors")
            def store(value):
                numbers = array.array("f", [value]) * (atoms * d)
                write_safetensors(path, {"dictionary": ([atoms, d], numbers)}, {})

            store(1.0)
            with Daemon("--dictionary", "large=" + path) as daemon, daemon.socket() as connection:
                connection.sendall(b"GET /v1/dictionaries/large/dictionary?format=raw HTTP/1.1\r\nHost: x\r\n"
                                   b"Connection: close\r\n\r\n")
                begun = connection.recv(1000)
                for generation, value in ((2, 2.0), (3, 3.0)):
                    store(value)
                    daemon.send(signal.SIGHUP)
                    wait_for(lambda: daemon.get("/v1/dictionaries/large").json["generation"] == generation,
                             "a reload")
                body = (begun + read_all(connection)).split(b"\r\n\r\n", 1)[1]
                self.assertEqual(body, b"\0\0\x80\x3f" * (atoms * d))
                now = daemon.get("/v1/dictionaries/large/dictionary?format=raw",
                                 headers={"Range": "bytes=0-3"})
                self.assertEqual(now.body, struct.pack("<f", 3.0))


if __name__ == "__main__":
    unittest.main()
