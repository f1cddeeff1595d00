"""Pictures of rows (server/serving/media.c, server/api/media.c) and the items in which a latent is strongest
(server/api/items.c): addresses by a template, and the files of a folder, none of which is outside of it."""

import array
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from daemon import PROGRAM, Daemon, golden, run

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
CHECKPOINT, DATA = golden("topk-mse.final.safetensors"), golden("topk-mse.x.npy")
DIGITS, LABELS = (os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", name) for name in ("digits.npy", "digits.txt"))
PATH = "/v1/dictionaries/topk"
ROWS, K, P = 1280, 48, 64
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def rasae(*arguments):
    subprocess.run([RASAE, *map(str, arguments)], check=True, capture_output=True, timeout=240)


class Items(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.path, codes, labels = (os.path.join(cls.folder, name) for name in ("items", "codes.npy", "labels"))
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("a b/%d %%\u00e9\n" % (row // P) for row in range(ROWS))
        rasae("fuse", CHECKPOINT, "-o", cls.path)
        rasae("encode", cls.path, DATA, "-o", codes)
        rasae("eval", cls.path, DATA, "--basic", "--labels", labels, "--item-shape", "4+6x10", "--items", 3, "--save", cls.path)
        with open(codes, "rb") as file:
            numbers = file.read()
        cls.codes = array.array("f", numbers[10 + struct.unpack("<H", numbers[8:10])[0]:])

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def parts(self, k):
        column = self.codes[k::K]
        return [list(column[P * item:P * (item + 1)]) for item in range(ROWS // P)]

    def test_codes_are_those_of_the_strongest_items(self):
        with Daemon("--dictionary", "topk=" + self.path) as daemon:
            told = daemon.get(PATH).json
            self.assertEqual((told["item_shape"], told["item_count"], told["media_url"]),
                             ({"rows": P, "skip": 4, "height": 6, "width": 10}, 3, None))
            for k in range(K):
                parts = self.parts(k)
                best = sorted((i for i in range(len(parts)) if max(parts[i]) > 0), key=lambda i: -max(parts[i]))[:2]
                reply = daemon.get("%s/atoms/%d/items?k=2" % (PATH, k)).json
                self.assertEqual((reply["atom"], reply["shape"]), (k, told["item_shape"]))
                self.assertEqual([one["item"] for one in reply["items"]], best)
                for one in reply["items"]:
                    numbers = parts[one["item"]]
                    self.assertEqual(one["position"], numbers.index(max(numbers)))
                    self.assertEqual(one["row"], P * one["item"] + one["position"])
                    self.assertEqual(one["label"], "a b/%d %%\u00e9" % one["item"])
                    self.assertIsNone(one["media"])
                    self.assertIsNone(one["tokens"])
                    self.assertEqual([struct.unpack("f", struct.pack("f", code))[0] for code in one["codes"]], numbers)
                raw = daemon.get("%s/atoms/%d/items?k=2&format=raw" % (PATH, k))
                self.assertEqual(raw.headers["X-Tensor-Shape"], "%d, %d" % (len(best), P))
                self.assertEqual(list(array.array("f", raw.body)), sum((parts[item] for item in best), []))
            self.assertEqual(len(daemon.get(PATH + "/atoms/3/items?k=1000").json["items"]), 3)
            self.assertEqual(daemon.get(PATH + "/atoms/3/items?k=0").status, 400)
            tag = daemon.get(PATH + "/atoms/3/items").headers["ETag"]
            self.assertEqual(daemon.get(PATH + "/atoms/3/items", headers={"If-None-Match": tag}).status, 304)

    def test_an_address_is_made_of_the_template(self):
        for template, wanted in (("https://example.org/{label}.webp?row={row}", "https://example.org/a%20b%2F{i}%20%25%C3%A9.webp?row={r}"),
                                 ("/static/{item}/{path}", "/static/{i}/a%20b/{i}%20%25%C3%A9"),
                                 ("http://[::1]:80/x", "http://[::1]:80/x")):
            with Daemon("--dictionary", "topk=" + self.path, "--media-url", "topk=" + template) as daemon:
                self.assertEqual(daemon.get(PATH).json["media_url"], template)
                one = daemon.get(PATH + "/atoms/3/items").json["items"][0]
                self.assertEqual(one["media"], wanted.replace("{i}", str(one["item"])).replace("{r}", str(one["row"])))
        with Daemon("--dictionary", "topk=" + self.path, "--media", "topk=" + self.folder, "--base-path", "/p") as daemon:
            start = "/p%s/media/" % PATH
            self.assertEqual(daemon.get(PATH).json["media_url"], start + "{path}")
            one = daemon.get(PATH + "/atoms/3/items").json["items"][0]
            self.assertEqual(one["media"], start + "a%%20b/%d%%20%%25%%C3%%A9" % one["item"])

    def test_what_is_no_template(self):
        for flag, value, word in (("--media-url", "topk=https://x/{color}", "{color}"), ("--media-url", "topk=https://x/{row", "{row"),
                                  ("--media-url", "topk=https://x/a b", "byte 11"), ("--media-url", "topk", "NAME=TEMPLATE"),
                                  ("--media", "topk", "NAME=DIR"), ("--media", "=x", "NAME=DIR")):
            done = run("--dictionary", "topk=" + self.path, flag, value)
            self.assertEqual(done.returncode, 2, value)
            self.assertIn(word, done.stderr)
        for flags, word in ((["--media-url", "topk={row}.png"], "no --media topk=DIR"), (["--media", "topk=/nowhere"], "/nowhere"),
                            (["--media", "topk=/", "--media", "topk=/tmp"], "twice")):
            done = run("--dictionary", "topk=" + self.path, *flags)
            self.assertEqual(done.returncode, 1, flags)
            self.assertIn(word, done.stderr)


class Tokens(unittest.TestCase):
    """The tokens of texts that `rasae eval --tokens` keeps."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.path, tokens = os.path.join(cls.folder, "items"), os.path.join(cls.folder, "tokens.jsonl")
        cls.texts = [[None, *("%s%d" % (word, item) for word in ("a", "\n", "\u00eb<b>", "") for _ in range(3)), " ", *("x" * n for n in range(50))]
                     for item in range(ROWS // P)]
        with open(tokens, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(text[1:]) + "\n" for text in cls.texts)
        rasae("fuse", CHECKPOINT, "-o", cls.path)
        rasae("eval", cls.path, DATA, "--basic", "--item-shape", "1+63", "--items", 3, "--tokens", tokens, "--save", cls.path)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def test_rows_and_items_have_their_tokens(self):
        with Daemon("--dictionary", "topk=" + self.path, "--dictionary", "bare=" + CHECKPOINT) as daemon:
            self.assertIs(daemon.get(PATH).json["has_tokens"], True)
            self.assertIs(daemon.get("/v1/dictionaries/bare").json["has_tokens"], False)
            seen = set()
            for k in range(K):
                for one in daemon.get("%s/atoms/%d/items?k=3" % (PATH, k)).json["items"]:
                    self.assertEqual(one["tokens"], self.texts[one["item"]])
                    self.assertEqual(len(one["tokens"]), len(one["codes"]))
                atom = daemon.get("%s/atoms/%d?fields=statistics,quantiles" % (PATH, k)).json
                for row in [row for part in atom["quantiles"] for row in part["rows"]] + atom["statistics"]["top"]:
                    self.assertEqual(row["token"], self.texts[row["item"]][row["position"]])
                    seen.add(row["token"])
            self.assertIn(None, seen)
            self.assertIn("\u00eb<b>3", seen)
            whole = daemon.get(PATH + "/dictionary?format=safetensors").body
        again = os.path.join(self.folder, "again")
        with open(again, "wb") as file:
            file.write(whole)
        with Daemon("--dictionary", "topk=" + again) as daemon:
            one = daemon.get(PATH + "/atoms/3/items?k=1").json["items"][0]
            self.assertEqual(one["tokens"], self.texts[one["item"]])


class Rows(unittest.TestCase):
    """Every row in a reply has its item and the address of its media: of top rows, quantiles, traces, archetypes and points."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.checkpoint, cls.path = os.path.join(cls.folder, "checkpoint"), os.path.join(cls.folder, "digits")
        with open(LABELS, encoding="utf-8") as file:
            cls.labels = file.read().splitlines()
        cls.half = os.path.join(cls.folder, "half.npy")
        with open(DIGITS, "rb") as file:
            whole = file.read()
        start = 10 + struct.unpack("<H", whole[8:10])[0]
        cls.rows = len(cls.labels)
        size = (len(whole) - start) // cls.rows
        header = whole[10:start].decode().replace("(%d," % cls.rows, "(900,")
        with open(cls.half, "wb") as file:
            header = header.rstrip().ljust(start - 11) + "\n"
            file.write(whole[:10] + header.encode() + whole[start:start + 900 * size])
        rasae("train", DIGITS, "--labels", LABELS, "--concepts", 12, "--top-k", 3, "--epochs", 2, "-o", cls.checkpoint)
        rasae("fuse", cls.checkpoint, "-o", cls.path)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @staticmethod
    def rows_of(daemon, points):
        """The rows of a trace, of archetypes and of points, which are of the data of training; then those that were measured."""
        atoms = daemon.get("/v1/dictionaries/d/atoms?limit=1000&fields=all").json["atoms"]
        trained = [row for atom in atoms for row in atom["trace"]["rows"]]
        for archetype in [archetype for atom in atoms for archetype in atom["archetypes"]]:
            nearest = points[archetype["point"]]["rows"][0]
            assert {name: archetype[name] for name in ("row", "item", "position", "media")} == {
                name: nearest[name] for name in ("row", "item", "position", "media")}
        trained += [row for point in points for row in point["rows"]]
        measured = [row for atom in atoms if atom["statistics"] for row in atom["statistics"]["top"]
                    + [row for part in atom["quantiles"] or () for row in part["rows"]]]
        return trained, measured

    def check(self, path, template, item_of, wanted, labels=None, limit=None, flags=()):
        """item_of: of a row's number; None: no items are known. wanted: of row, item and label."""
        with Daemon("--dictionary", "d=" + path, "--media-url", "d=" + template, *flags) as daemon:
            points = daemon.get("/v1/dictionaries/d/points?limit=1000000&fields=rows").json["points"]
            self.assertEqual(daemon.get("/v1/dictionaries/d/points/3").json["rows"], points[3]["rows"])
            trained, measured = self.rows_of(daemon, points)
            self.assertTrue(trained)
            for row, known in [(row, limit is None or row["row"] < limit) for row in trained] + [(row, True) for row in measured]:
                item, position = item_of(row["row"]) if item_of and known else (None, None)
                self.assertEqual((row["item"], row["position"]), (item, position))
                at = item if item_of else row["row"]
                self.assertEqual(row["media"], wanted(row["row"], at, row["label"]) if known or "{item}" not in template else None)
            return trained, measured

    def test_every_row_has_its_address(self):
        measured = os.path.join(self.folder, "measured")
        rasae("eval", self.path, DIGITS, "--labels", LABELS, "--basic", "--item-shape", "1+2", "--save", measured)
        parts = lambda row: divmod(row, 3)
        trained, rows = self.check(measured, "https://example.org/{label}/{item}-{row}.png", parts,
                                   lambda row, item, label: "https://example.org/%s/%d-%d.png" % (self.labels[row], item, row))
        self.assertGreater(len({row["row"] for row in rows}), 100)
        # Rows that are not parts of items are items of their own.
        rasae("eval", self.path, DIGITS, "--basic", "--save", measured)
        self.check(measured, "/{item}.png", None, lambda row, item, label: "/%d.png" % row)
        # Statistics have no labels; those of the trace and the points are from training.
        self.check(measured, "/{path}.png", None, lambda row, item, label: "/%s.png" % label if label is not None else None)

    def test_a_shape_from_the_operator(self):
        measured = os.path.join(self.folder, "shaped")
        for path in self.checkpoint, self.path:  # neither says what its rows are parts of
            self.check(path, "/{item}.png", lambda row: divmod(row, 7), lambda row, item, label: "/%d.png" % item,
                       flags=("--item-shape", "d=1+2x3"))
        rasae("eval", self.path, self.half, "--basic", "--item-shape", "12", "--items", 2, "--save", measured)
        self.check(measured, "/{item}.png", lambda row: divmod(row, 12), lambda row, item, label: "/%d.png" % item,
                   limit=900, flags=("--item-shape", "d=3x4"))
        with Daemon("--dictionary", "d=" + measured) as daemon:
            plain = daemon.get("/v1/dictionaries/d")
        with Daemon("--dictionary", "d=" + measured, env={"RASAED_ITEM_SHAPE": "d=3+3x3"}) as daemon:
            told = daemon.get("/v1/dictionaries/d")
            self.assertEqual(told.json["item_shape"], {"rows": 12, "skip": 3, "height": 3, "width": 3})
            self.assertEqual(daemon.get("/v1/dictionaries/d/atoms/3/items").json["shape"], told.json["item_shape"])
            self.assertNotEqual(told.json["revision"], plain.json["revision"])
            self.assertEqual(told.json["digest"], plain.json["digest"])
        for shape in "d=13", "d=4x4":
            done = run("--dictionary", "d=" + measured, "--item-shape", shape)
            self.assertEqual(done.returncode, 1)
            self.assertIn("shaped: its items have 12 rows each, but the shape that was given for them, %s, has" % shape[2:], done.stderr)
        self.assertEqual(run("--dictionary", "d=" + measured, "--item-shape", "x=12").returncode, 2)

    def test_a_reload_of_other_items_changes_nothing(self):
        served = os.path.join(self.folder, "served")
        rasae("eval", self.path, self.half, "--basic", "--item-shape", "12", "--items", 2, "--save", served)
        key, keys = {"Authorization": "Bearer the-key-that-administers"}, os.path.join(self.folder, "keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write("admin the-key-that-administers\n")
        os.chmod(keys, 0o600)
        with Daemon("--dictionary", "d=" + served, "--item-shape", "d=3x4", "--keys", keys) as daemon:
            before = daemon.get("/v1/dictionaries/d/atoms/3/items", headers=key).body
            rasae("eval", self.path, self.half, "--basic", "--item-shape", "6", "--items", 2, "--save", served)
            reply = daemon.request("POST", "/v1/dictionaries/d/reload", "{}", {**key, "Content-Type": "application/json"})
            self.assertEqual(reply.status, 422)
            self.assertIn("its items have 6 rows each", reply.json["detail"])
            self.assertEqual(daemon.get("/v1/dictionaries/d/atoms/3/items", headers=key).body, before)

    def test_rows_of_other_data_have_no_item(self):
        """The statistics are of the first half of the rows of training."""
        measured = os.path.join(self.folder, "half")
        rasae("eval", self.path, self.half, "--basic", "--item-shape", "3", "--save", measured)
        trained, _ = self.check(measured, "/{item}.png", lambda row: divmod(row, 3), lambda row, item, label: "/%d.png" % item, limit=900)
        self.assertTrue(any(row["row"] >= 900 for row in trained))

    def test_without_media(self):
        with Daemon("--dictionary", "d=" + self.checkpoint) as daemon:
            points = daemon.get("/v1/dictionaries/d/points?limit=1000000&fields=rows").json["points"]
            trained, measured = self.rows_of(daemon, points)
            self.assertEqual(({row["media"] for row in trained}, {row["item"] for row in trained}, measured), ({None}, {None}, []))
        with Daemon("--dictionary", "topk=" + CHECKPOINT) as daemon:  # whose points have no rows
            for archetype in daemon.get(PATH + "/atoms/3?fields=archetypes").json["archetypes"]:
                self.assertEqual([archetype[name] for name in ("row", "item", "position", "media")], [None] * 4)


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.folder = os.path.join(cls.top, "media")
        os.makedirs(os.path.join(cls.folder, "deep", "er.png"))
        for name, content in (("media/dog.png", PNG), ("media/deep/a b%.JPG", PNG + b"j"), ("media/\u00e9.mp3", b"sound"),
                              ("media/.hidden.png", PNG), ("media/page.html", b"<script>"), ("media/drawing.svg", b"<svg/>"),
                              ("media/plain", PNG), ("secret.png", b"secret"), ("media/empty.png", b"")):
            with open(os.path.join(cls.top, name), "wb") as file:
                file.write(content)
        os.symlink("../secret.png", os.path.join(cls.folder, "link.png"))
        os.symlink("dog.png", os.path.join(cls.folder, "inside.png"))
        os.symlink("..", os.path.join(cls.folder, "up"))
        os.mkfifo(os.path.join(cls.folder, "pipe.png"))
        with open(os.path.join(cls.folder, "huge.png"), "wb") as file:
            file.truncate((64 << 20) + 1)
        cls.daemon = Daemon("--dictionary", "topk=" + CHECKPOINT, "--media", "topk=" + cls.folder,
                            "--dictionary", "bare=" + CHECKPOINT)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)
        shutil.rmtree(cls.top)

    def get(self, name, **headers):
        return self.daemon.get("%s/media/%s" % (PATH, name), headers={key.replace("_", "-"): value for key, value in headers.items()})

    def test_files_are_sent(self):
        for name, content, kind in (("dog.png", PNG, "image/png"), ("deep/a%20b%25.JPG", PNG + b"j", "image/jpeg"),
                                    ("deep%2Fa%20b%25.JPG", PNG + b"j", "image/jpeg"), ("%C3%A9.mp3", b"sound", "audio/mpeg"),
                                    ("empty.png", b"", "image/png")):
            reply = self.get(name)
            self.assertEqual((reply.status, reply.body, reply.headers["Content-Type"]), (200, content, kind))
            self.assertEqual(reply.headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(reply.headers["Content-Security-Policy"], "default-src 'none'; sandbox")
            self.assertIn("Last-Modified", reply.headers)

    def test_a_file_has_its_own_date(self):
        """That of the dictionary would tell a client that its copy of a file that changed since is still good."""
        os.utime(os.path.join(self.folder, "dog.png"), (1000000000, 1000000000))
        for given, status in (("Sun, 09 Sep 2001 01:46:40 GMT", 304), ("Sun, 09 Sep 2001 01:46:39 GMT", 200)):
            reply = self.get("dog.png", If_Modified_Since=given)
            self.assertEqual((reply.status, reply.headers["Last-Modified"]), (status, "Sun, 09 Sep 2001 01:46:40 GMT"))

    def test_parts_and_tags(self):
        whole = self.get("dog.png")
        self.assertEqual(self.get("dog.png", If_None_Match=whole.headers["ETag"]).status, 304)
        part = self.get("dog.png", Range="bytes=4-9")
        self.assertEqual((part.status, part.body, part.headers["Content-Range"]), (206, PNG[4:10], "bytes 4-9/264"))
        self.assertEqual(self.get("dog.png", Range="bytes=264-").status, 416)
        head = self.daemon.request("HEAD", PATH + "/media/dog.png")
        self.assertEqual((head.status, head.headers["Content-Length"], head.body), (200, "264", b""))

    def test_nothing_outside_and_nothing_that_runs(self):
        for name in ("link.png", "inside.png", "up/secret.png", "up/media/dog.png", "../secret.png", "%2e%2e/secret.png",
                     "%2E%2E%2Fsecret.png", "deep/../../secret.png", "deep%2F..%2F..%2Fsecret.png", "..%5Csecret.png", ".hidden.png",
                     "deep/./a%20b%25.JPG", "deep/er.png", "deep/er.png/x.png", "pipe.png", "page.html", "drawing.svg", "plain", "none.png",
                     "%2Fetc%2Fpasswd.png", "%2Fdog.png", "deep%2F%2Fa%20b%25.JPG", "dog.png%2Fx.png", "dog.png%2F", "x" * 300 + ".png"):
            reply = self.get(name)
            self.assertEqual(reply.status, 404, name)
            self.assertNotIn(b"secret", reply.body.replace(b"secret.png", b""))
            self.assertNotIn(self.top.encode(), reply.body)
        self.assertEqual(self.get("dog.png%00").status, 400)
        self.assertEqual(self.daemon.get("/v1/dictionaries/bare/media/dog.png").json["code"], "unknown_media")
        self.assertEqual(self.daemon.get("/v1/dictionaries/none/media/dog.png").json["code"], "unknown_dictionary")
        self.assertEqual(self.daemon.get(PATH + "/media").json["code"], "unknown_path")
        self.assertEqual(self.daemon.get(PATH + "/media/dog.png?format=json").json["code"], "unknown_parameter")

    def test_a_file_that_is_too_large(self):
        reply = self.get("huge.png")
        self.assertEqual((reply.status, reply.json["code"], reply.json["limit"]), (413, "reply_too_large", 64 << 20))


if __name__ == "__main__":
    unittest.main()
