"""What GET .../dictionary gives as safetensors is the model itself (server/api/dictionaries.c, lib/model/save.c): a second
daemon that serves the file answers every request with the same bytes, and its revision is the same. Also the revision: it
changes with everything that answers depend on, each reply about a dictionary has it, and If-Match takes it."""

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
DATA = os.path.join(daemon.TOP, "tests", "data")
DIGITS = os.path.join(DATA, "digits.npy")
LABELS = os.path.join(DATA, "digits.txt")
# What one process knows and a file does not say; `source` is "artifact" once it is a file of its own.
OF_THE_PROCESS = {"generation", "loaded_at", "requests", "bytes", "source"}


def rasae(*arguments):
    subprocess.run([RASAE, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=daemon.PATIENCE)


def read_header(body):
    size = struct.unpack("<Q", body[:8])[0]
    header = json.loads(body[8:8 + size])
    metadata = header.pop("__metadata__", {})
    for key in "rasae.digest", "rasae.digest_kind":  # what is changed and written again has another digest
        metadata.pop(key, None)
    return metadata, header, 8 + size


def questions(info):
    """Requests that together show everything that a dictionary knows."""
    width, atoms = info["dimensions"], info["concepts"]
    rows = [[((7 * i + 3 * j) % 11 - 4) / 3 for j in range(width)] for i in range(5)]
    codes = {"indices": [[0, 3], [atoms - 1]], "values": [[1.5, -0.25], [2]]}
    yield "GET", "/atoms?limit=1000&fields=all", None
    yield "GET", "/atoms?limit=7&format=raw", None
    yield "GET", "/atoms/3/neighbors?k=4&metric=dot&fields=all", None
    yield "GET", "/standardization", None
    yield "GET", "/dictionary?format=raw", None
    yield "GET", "/dictionary", None
    for point in range(0, info["points"] or 0, 5):
        yield "GET", "/points/%d" % point, None
    yield "POST", "/reconstruct", {"latents": codes}
    yield "POST", "/search?metric=dot&fields=label,norm", {"inputs": rows, "k": 5}
    yield "POST", "/search", {"vectors": rows, "k": 5}
    yield "POST", "/steer", {"inputs": rows, "steer": [{"atom": 2, "scale": 1.25}, {"atom": 0, "scale": -3}]}
    yield "POST", "/encode", {"inputs": rows}
    yield "POST", "/explain?fields=all", {"inputs": rows}


class Download(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasae-download-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.files = {name: golden(file + ".safetensors") for name, file in {
            "basic": "dict-basic.checkpoint", "one": "dict-one.checkpoint", "batchtopk": "batchtopk-mse.final",
            "jumprelu": "jumprelu-l0.final", "mp": "mp-mse.final", "relu": "relu-mse_l1.final",
            "tied": "topk-mse-tied.final", "bn": "topk-mse-mlp_bn_1.final", "ln": "topk-mse-mlp_ln_1.final"}.items()}
        cls.make_digits()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name + ".safetensors")

    @classmethod
    def make_digits(cls):
        """A model that has everything a file can hold, in each type, and parts of it."""
        checkpoint, fused, other = cls.path("checkpoint"), cls.path("f32"), cls.path("other")
        common = [DIGITS, "--standardize", "element", "--concepts", "96", "--points", "128", "--top-k", "6", "--epochs", "2",
                  "--batch-size", "128", "--lr", "5e-3", "--quiet"]
        rasae("train", *common, "-o", checkpoint, "--seed", "1", "--labels", LABELS)
        rasae("train", *common, "-o", other, "--seed", "2")
        rasae("fuse", checkpoint, "-o", fused, "--model", "digits \u2116 \"1\"", "--hook", "pixels")
        cls.files["checkpoint"], cls.files["bare"] = checkpoint, cls.path("plain")
        rasae("eval", fused, DIGITS, "--labels", LABELS, "--runs", other, "--save", fused)
        rasae("layout", fused, "-o", fused)
        rasae("trace", fused, DIGITS, "--labels", LABELS, "-o", fused)
        rasae("train", DIGITS, "-o", cls.path("plain"), "--concepts", "40", "--steps", "3", "--quiet",
              "--sae", "jumprelu", "--dictionary-kind", "l2")
        cls.files["f32"] = fused
        for dtype in "f16", "bf16":
            cls.files[dtype] = cls.path(dtype)
            rasae("fuse", fused, "-o", cls.path(dtype), "--dtype", dtype)
        # an atom's and a point's own labels, as another program may add them
        metadata, header, start = cls.read(fused)
        with open(fused, "rb") as file:
            content = file.read()[start:]
        texts = {"atoms.labels": "".join("atom %d\n" % i if i % 3 else "\n" for i in range(96)),
                 "points.labels": "".join("point %d \u00e9\n" % i for i in range(128))}
        for name, text in texts.items():
            data = text.encode()
            header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [len(content), len(content) + len(data)]}
            content += data
        head = json.dumps({"__metadata__": metadata, **header}).encode()
        with open(cls.path("labeled"), "wb") as file:
            file.write(struct.pack("<Q", len(head)) + head + content)
        cls.files["labeled"] = cls.path("labeled")

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return read_header(file.read())

    def ask(self, served, name, method, path, body):
        url = "/v1/dictionaries/" + name + path
        headers = {"X-Request-Id": "the-same-for-both"}  # problems repeat it
        return served.get(url, headers=headers) if method == "GET" else served.post(url, body, headers=headers)

    def start(self, files, *more):
        given = [part for name, path in files.items() for part in ("--dictionary", name + "=" + path)]
        return Daemon(*given, *more)

    def test_it_answers_as_the_original_does_to_the_bit(self):
        again = {}
        # the setting that one of them lacks is the operator's, and part of the download
        with self.start(self.files, "--running-threshold", "0.0123456789012345678") as first:
            infos = {name: first.get("/v1/dictionaries/" + name).json for name in self.files}
            for name in self.files:
                reply = first.get("/v1/dictionaries/%s/dictionary" % name)
                self.assertEqual(reply.headers["ETag"], '"%s"' % infos[name]["revision"])
                again[name] = self.path("again-" + name)
                with open(again[name], "wb") as file:
                    file.write(reply.body)
            # mapped, where the first read the files into memory
            with self.start(again, "--private-below", "0") as second:
                for name, info in infos.items():
                    with self.subTest(name):
                        theirs = second.get("/v1/dictionaries/" + name).json
                        for key in set(info) - OF_THE_PROCESS:
                            self.assertEqual(theirs[key], info[key], key)
                        for question in questions(info):
                            mine, other = (self.ask(one, name, *question) for one in (first, second))
                            self.assertEqual((mine.status, mine.body), (other.status, other.body), question[:2])
                            self.assertEqual(mine.headers["X-Dictionary-Revision"], info["revision"])
                            self.assertEqual(other.headers["X-Dictionary-Revision"], info["revision"])
                            if info["has_encoder"]:
                                self.assertEqual(mine.status, 200, (question[:2], mine.body[:200]))

    def test_everything_was_there_to_be_compared(self):
        """Otherwise the test above proves less than it says."""
        metadata, header, _ = self.read(self.files["labeled"])
        for part in ("input.mean", "encoder.final_block.0.weight", "archetypes.contribution", "latents.top_labels", "trace.labels",
                     "agreement.share", "atoms.layout", "atoms.labels", "points.labels", "points.rows"):
            self.assertIn(part, header)
        self.assertEqual(metadata["hook"], "pixels")
        self.assertIn("thresholds", self.read(self.files["jumprelu"])[1])

    def test_the_file_holds_what_the_model_is_made_of(self):
        with self.start({"f16": self.files["f16"], "checkpoint": self.files["checkpoint"]}) as served:
            whole = served.get("/v1/dictionaries/f16/dictionary").body
            metadata, header, start = read_header(whole)
            self.assertEqual(start % 64, 0)
            self.assertEqual((metadata["format"], metadata["sae"], metadata["top_k"]), ("rasae.fused.v1", "topk", "6"))
            self.assertEqual((header["dictionary"]["dtype"], header["dictionary"]["shape"]), ("F16", [96, 64]))
            self.assertLess({"input.mean", "input.scale", "encoder.final_block.0.weight", "encoder.final_block.0.bias"},
                            set(header))
            self.assertEqual(len(whole), start + max(one["data_offsets"][1] for one in header.values()))
            # `rasae fuse` writes the same file
            fused = self.path("fused-again")
            rasae("fuse", self.files["checkpoint"], "-o", fused)
            with open(fused, "rb") as file:
                self.assertEqual(served.get("/v1/dictionaries/checkpoint/dictionary").body, file.read())

    def test_ranges_and_conditions_of_the_whole_file(self):
        path = "/v1/dictionaries/labeled/dictionary"
        with self.start({"labeled": self.files["labeled"]}, "--private-below", "0") as served:
            whole = served.get(path)
            total = len(whole.body)
            self.assertEqual(int(served.request("HEAD", path).headers["Content-Length"]), total)
            _, header, start = read_header(whole.body)
            ends = sorted({start} | {start + one["data_offsets"][1] for one in header.values()})
            for end in ends[:-1]:  # across each seam, within one part, and all the rest
                for first, last in ((end - 3, end + 3), (end, end), (end - 1, total - 1)):
                    part = served.get(path, headers={"Range": "bytes=%d-%d" % (first, last)})
                    self.assertEqual((part.status, part.body), (206, whole.body[first:last + 1]), (first, last))
                    self.assertEqual(part.headers["Content-Range"], "bytes %d-%d/%d" % (first, min(last, total - 1), total))
            self.assertEqual(served.get(path, headers={"Range": "bytes=-5"}).body, whole.body[-5:])
            self.assertEqual(served.get(path, headers={"Range": "bytes=%d-" % total}).status, 416)
            self.assertEqual(served.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status, 304)

    # ---- the revision

    def test_the_revision_changes_with_everything_that_answers_depend_on(self):
        metadata, header, start = self.read(self.files["labeled"])
        with open(self.files["labeled"], "rb") as file:
            content = bytearray(file.read()[start:])
        revisions = {}

        def revision(what, served, path):
            with Daemon("--dictionary", "d=" + path, *served) as one:
                return one.get("/v1/dictionaries/d").json["revision"]

        def write(metadata, content):
            path = self.path("changed")
            head = json.dumps({"__metadata__": metadata, **header}).encode()
            with open(path, "wb") as file:
                file.write(struct.pack("<Q", len(head)) + head + bytes(content))
            return path

        revisions["as it is"] = revision("", (), self.files["labeled"])
        self.assertEqual(revision("", (), write({**metadata, "note": "of no account"}, content)), revisions["as it is"])
        for name in ("dictionary", "input.mean", "encoder.final_block.0.bias", "archetypes.weight", "latents.mean",
                     "trace.cosine", "atoms.labels", "agreement.share", "atoms.layout"):
            first, last = header[name]["data_offsets"]
            changed = bytearray(content)
            if name == "atoms.labels":
                changed[last - 2] = ord("x")
            else:  # the next smaller float
                at = next(i for i in range(first, last, 4) if struct.unpack("<f", content[i:i + 4])[0] > 0)
                changed[at:at + 4] = struct.pack("<I", struct.unpack("<I", content[at:at + 4])[0] - 1)
            revisions[name] = revision(name, (), write(metadata, changed))
        revisions["a setting"] = revision("", (), write({**metadata, "top_k": "5"}, content))
        revisions["model"] = revision("", (), write({**metadata, "model": "other"}, content))
        self.assertEqual(len(set(revisions.values())), len(revisions), revisions)
        without = {key: value for key, value in metadata.items() if key != "top_k"}
        self.assertEqual(revision("", ("--top-k", "5"), write(without, content)), revisions["a setting"])

    def test_a_change_can_be_bound_to_the_revision(self):
        keys = os.path.join(self.folder, "keys")
        with open(keys, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("admin admin-key-for-tests-0001\n")
        admin = {"Authorization": "Bearer admin-key-for-tests-0001"}
        with self.start({"d": self.files["f32"]}, "--keys", keys) as served:
            good = '"%s"' % served.get("/v1/dictionaries/d", headers=admin).json["revision"]
            for path in ("/v1/dictionaries/d/reload", "/v1/dictionaries/d/load", "/v2/repository/models/d/load",
                         "/v1/dictionaries/d/unload"):
                for given, status in ('"another"', 412), (good, 200):
                    reply = served.request("POST", path, headers={**admin, "If-Match": given})
                    self.assertEqual(reply.status, status, (path, given, reply.body))
            for given in good, "*":  # what is not loaded has no revision
                reply = served.request("POST", "/v1/dictionaries/d/load", headers={**admin, "If-Match": given})
                self.assertEqual(reply.status, 412)

    def test_if_match_takes_the_revision(self):
        body = {"inputs": [[0.5] * 64]}
        with self.start({"d": self.files["f32"]}) as served:
            url = "/v1/dictionaries/d"
            info = served.get(url).json
            good, bad = '"%s"' % info["revision"], '"%s"' % ("0" * 32)
            posts = (("/encode", body), ("/explain", body), ("/search", body), ("/atoms", {"ids": [1]}),
                     ("/reconstruct", {"latents": {"indices": [[1]], "values": [[1]]}}))
            for path, value in posts:
                for given, status in (good, 200), ("*", 200), ('"x", ' + good, 200), (bad, 412), ("W/" + good, 412):
                    reply = served.post(url + path, value, headers={"If-Match": given})
                    self.assertEqual(reply.status, status, (path, given, reply.body[:200]))
                    self.assertEqual(reply.headers["X-Dictionary-Revision"], info["revision"])
            for path in "", "/atoms/1", "/atoms", "/dictionary", "/dictionary?format=npy", "/standardization":
                whole = served.get(url + path)
                for given, status in (good, 200), (bad, 412), (whole.headers["ETag"], 412 if path == "" else 200):
                    reply = served.get(url + path, headers={"If-Match": given})
                    self.assertEqual(reply.status, status, (path, given))
                    self.assertEqual(reply.headers["X-Dictionary-Revision"], info["revision"])
            infer = {"inputs": [{"name": "indices", "datatype": "INT32", "shape": [1, 1], "data": [1]},
                                {"name": "values", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}
            for given, status in (good, 200), (bad, 412):
                reply = served.post("/v2/models/d/infer", infer, headers={"If-Match": given})
                self.assertEqual((reply.status, reply.headers["X-Dictionary-Revision"]), (status, info["revision"]))
            self.assertIn("error", reply.json)
            # where the body names the dictionary
            feature = {"model": "m", "source": "d", "index": 1}
            for given, status in (good, 200), (bad, 412):
                reply = served.post("/v1/util/sae-vector", feature, headers={"If-Match": given})
                self.assertEqual((reply.status, reply.headers["X-Dictionary-Revision"]), (status, info["revision"]))
            # also where the answer is a refusal
            refused = served.post(url + "/encode", {"inputs": [[1]]})
            self.assertEqual((refused.status, refused.headers["X-Dictionary-Revision"]), (400, info["revision"]))
            self.assertNotIn("X-Dictionary-Revision", served.get("/v1/dictionaries/none").headers)
            listed = served.get("/v1/dictionaries").json["dictionaries"]
            self.assertEqual(listed[0]["revision"], info["revision"])


if __name__ == "__main__":
    unittest.main()
