"""What `rasae eval --save` keeps of each latent, as the server tells it: the latents that are active together with it
(server/api/cofiring.c) and rows from all over its range (fields=quantiles), held against the codes themselves."""

import ast
import math
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from daemon import PROGRAM, Daemon, golden, write_safetensors

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
K, LEAST, PATH = 48, 5, "/v1/dictionaries/topk/atoms"


def rasae(*arguments):
    subprocess.run([RASAE, *map(str, arguments)], check=True, capture_output=True, timeout=240)


def read_npy(path):
    """Shape and numbers."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + size].decode())
    assert header["descr"] == "<f4" and not header["fortran_order"]
    return header["shape"], struct.unpack("<%df" % math.prod(header["shape"]), data[10 + size:])


def correlation(a, b):
    n = len(a)
    mean = sum(a) / n, sum(b) / n
    product, squares = 0.0, [0.0, 0.0]
    for x, y in zip(a, b):
        product += (x - mean[0]) * (y - mean[1])
        squares[0] += (x - mean[0]) ** 2
        squares[1] += (y - mean[1]) ** 2
    return product / math.sqrt(squares[0] * squares[1]) if squares[0] and squares[1] else 0.0


class Cofiring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="rasaed-cofiring-")
        cls.addClassCleanup(shutil.rmtree, folder)
        fused, path, patches, labels, bare = (os.path.join(folder, name) for name in "fused measured patches labels bare".split())
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("row %d\n" % row for row in range(1280))
        rasae("fuse", golden("topk-mse.final.safetensors"), "-o", fused)
        rasae("eval", fused, golden("topk-mse.x.npy"), "--labels", labels, "--save", path, "--basic")
        # the same rows as 80 images of 4x4 patches
        rows, flat = read_npy(golden("topk-mse.x.npy"))
        width = rows[1]
        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (80, 4, 4, %d), }" % width
        header += " " * (-(len(header) + 11) % 64) + "\n"
        with open(patches + ".npy", "wb") as file:
            file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<%df" % len(flat), *flat))
        rasae("eval", fused, patches + ".npy", "--layout", "rows", "--save", patches, "--basic")
        write_safetensors(bare, {"dictionary": ([3, 2], [1, 2, 3, 4, 5, 6])}, {})
        cls.daemon = Daemon("--dictionary", "topk=" + path, "--dictionary", "patches=" + patches, "--dictionary", "bare=" + bare)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        inputs = [list(flat[row * width:(row + 1) * width]) for row in range(rows[0])]
        codes = cls.daemon.post("/v1/dictionaries/topk/encode", {"inputs": inputs}).json
        cls.columns = [[0.0] * len(inputs) for _ in range(K)]
        for row, (indices, values) in enumerate(zip(codes["indices"], codes["values"])):
            for index, value in zip(indices, values):
                cls.columns[index][row] = value
        cls.rows = [{row for row, value in enumerate(column) if value} for column in cls.columns]

    def expected(self, k, measure):
        """The atom, count, lift and correlation of all partners, strongest first."""
        found, rows = [], len(self.columns[0])
        for j in range(K):
            count = len(self.rows[k] & self.rows[j])
            if j == k or count < LEAST:
                continue
            lift = count * rows / len(self.rows[k]) / len(self.rows[j])
            related = correlation(self.columns[k], self.columns[j])
            if measure == "count" or (measure == "pmi" and lift > 1) or (measure == "correlation" and related > 0):
                found.append((j, count, lift, related))
        by = {"count": 1, "pmi": 2, "correlation": 3}[measure]
        return sorted(found, key=lambda one: (-one[by], one[0]))

    def test_the_lists_are_those_of_all_pairs(self):
        seen = 0
        for measure in ("count", "pmi", "correlation"):
            for k in range(0, K, 7):
                reply = self.daemon.get("%s/%d/cofiring?k=6&measure=%s" % (PATH, k, measure)).json
                self.assertEqual((reply["atom"], reply["measure"], reply["rows"], reply["count"], reply["least"]),
                                 (k, measure, 1280, len(self.rows[k]), LEAST))
                expected = self.expected(k, measure)[:6]
                self.assertEqual([one["atom"] for one in reply["partners"]], [one[0] for one in expected], (k, measure))
                for got, (j, count, lift, related) in zip(reply["partners"], expected):
                    self.assertEqual(got["count"], count)
                    self.assertAlmostEqual(got["lift"], lift)
                    self.assertAlmostEqual(got["pmi"], math.log(lift))
                    self.assertAlmostEqual(got["correlation"], related, places=5)
                    self.assertEqual(got["label"], self.daemon.get("%s/%d?fields=label" % (PATH, j)).json["label"])
                    seen += 1
        self.assertGreater(seen, 60)

    def test_what_is_not_asked(self):
        """The default is the lift; all that the file keeps come for a larger k."""
        few, many = (self.daemon.get(PATH + "/5/cofiring" + query).json for query in ("", "?k=1000&measure=pmi"))
        self.assertEqual(few["measure"], "pmi")
        self.assertEqual(few["partners"], many["partners"][:10])
        self.assertLessEqual(len(many["partners"]), 16)
        whole = self.daemon.get(PATH + "/5/cofiring?k=1&fields=all").json["partners"][0]
        atom = self.daemon.get("%s/%d?fields=all" % (PATH, whole["atom"])).json
        self.assertEqual({name: whole[name] for name in atom}, atom)
        reply = self.daemon.get(PATH + "/5/cofiring")
        self.assertEqual(self.daemon.get(PATH + "/5/cofiring", headers={"If-None-Match": reply.headers["ETag"]}).status, 304)

    def test_refusals(self):
        for target, status, code in ((PATH + "/5/cofiring?measure=jaccard", 400, "invalid_value"),
                                     (PATH + "/5/cofiring?k=0", 400, "out_of_range"),
                                     (PATH + "/48/cofiring", 404, "unknown_atom"),
                                     ("/v1/dictionaries/bare/atoms/1/cofiring", 409, "not_held")):
            reply = self.daemon.get(target)
            self.assertEqual((reply.status, reply.json["code"]), (status, code), target)
        self.assertIn("rasae eval", reply.json["detail"])

    # ---- rows of the quantiles

    def test_quantiles_divide_the_codes(self):
        for k in range(0, K, 5):
            positive = sorted(value for value in self.columns[k] if value > 0)
            quantiles = self.daemon.get("%s/%d?fields=quantiles" % (PATH, k)).json["quantiles"]
            self.assertEqual(len(quantiles), 10)
            if not positive:
                self.assertEqual(quantiles, [{"low": 0, "high": 0, "rows": []}] * 10)
                continue
            for q, quantile in enumerate(quantiles):
                first, end = q * len(positive) // 10, (q + 1) * len(positive) // 10
                self.assertAlmostEqual(quantile["low"], positive[first], places=6)
                self.assertAlmostEqual(quantile["high"], positive[min(end, len(positive) - 1)], places=6)
                self.assertEqual(len(quantile["rows"]), min(5, end - first))
                for row in quantile["rows"]:
                    self.assertAlmostEqual(row["value"], self.columns[k][row["row"]], places=6)
                    self.assertTrue(positive[first] - 1e-6 <= row["value"] <= positive[end - 1] + 1e-6)
                    self.assertEqual((row["label"], row["item"], row["position"]), ("row %d" % row["row"], None, None))

    def test_rows_of_items_say_which_part_they_are(self):
        atom = self.daemon.get("/v1/dictionaries/patches/atoms/5?fields=quantiles,statistics").json
        rows = [row for quantile in atom["quantiles"] for row in quantile["rows"]] + atom["statistics"]["top"]
        self.assertGreater(len(rows), 10)
        for row in rows:
            self.assertEqual((row["item"], row["position"]), divmod(row["row"], 16))

    def test_quantiles_are_sent_when_they_are_asked_for(self):
        self.assertNotIn("quantiles", self.daemon.get(PATH + "/5").json)
        self.assertIn("quantiles", self.daemon.get(PATH + "?limit=1&fields=all").json["atoms"][0])
        self.assertIsNone(self.daemon.get("/v1/dictionaries/bare/atoms/1?fields=quantiles").json["quantiles"])


if __name__ == "__main__":
    unittest.main()
