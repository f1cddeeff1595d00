"""Contrasts that a file holds (server/api/contrasts.c), against the tables of the file, and as columns of the table
(server/api/table.c)."""

import csv
import io
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from daemon import PROGRAM, Daemon, golden
from test_forms import npy, read_npy

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
K, D, PATH = 48, 16, "/v1/dictionaries/topk"
MOST = 3.4028234663852886e38


def rasae(*arguments):
    subprocess.run([RASAE, *map(str, arguments)], check=True, capture_output=True, timeout=240)


def read_tensors(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    codes = {"F32": "f", "I64": "q"}
    tensors = {}
    for name, entry in header.items():
        if name.startswith("contrasts."):
            code = codes[entry["dtype"]]
            start, end = entry["data_offsets"]
            part = data[8 + size + start:8 + size + end]
            numbers = struct.unpack("<%d%s" % (len(part) // struct.calcsize(code), code), part)
            width = entry["shape"][1]
            tensors[name] = [numbers[i:i + width] for i in range(0, len(numbers), width)]
    return tensors, header["__metadata__"]


class Contrasts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-contrasts-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.path = os.path.join(cls.folder, "fused.safetensors")
        rasae("fuse", golden("topk-mse.final.safetensors"), "-o", cls.path)
        with open(golden("topk-mse.x.npy"), "rb") as file:
            data = file.read()
        numbers = struct.unpack("<%df" % (1280 * D), data[-1280 * D * 4:])
        sides = {"a": [], "b": []}
        for row in range(1280):
            x = numbers[D * row:D * (row + 1)]
            sides["a" if x[0] > 0.3 else "b"] += x
        files = []
        for name, values in sides.items():
            files.append(os.path.join(cls.folder, name + ".npy"))
            with open(files[-1], "wb") as file:
                file.write(npy([len(values) // D, D], "f", values))
        rasae("contrast", cls.path, files[0], "--", files[1], "--a", "warm", "--b", "cold", "--name", "heat", "-o", cls.path)
        rasae("contrast", cls.path, files[1], "--", files[0], "--name", "other", "-o", cls.path)
        cls.tensors, cls.metadata = read_tensors(cls.path)
        cls.daemon = Daemon("--dictionary", "topk=" + cls.path, "--dictionary", "plain=" + golden("topk-mse.final.safetensors"))
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)

    def get(self, path, status=200, **more):
        reply = self.daemon.get(PATH + path, **more)
        self.assertEqual(reply.status, status, reply.body[:300])
        return reply

    def test_the_list(self):
        listed = self.get("/contrasts").json
        self.assertEqual([one["name"] for one in listed["contrasts"]], ["heat", "other"])
        heat = listed["contrasts"][0]
        rows = [int(n) for n in self.metadata["contrasts.heat.rows"].split(",")]
        self.assertEqual((heat["a"], heat["b"]), ({"name": "warm", "rows": rows[0], "units": rows[0]},
                                                  {"name": "cold", "rows": rows[1], "units": rows[1]}))
        self.assertAlmostEqual(heat["confidence"], float(self.metadata["contrasts.heat.confidence"]), 6)
        plain = self.daemon.get("/v1/dictionaries/plain/contrasts").json
        self.assertEqual(plain, {"contrasts": [], "total": 0})

    def expected(self, name, what, k):
        a, b, difference, low, high = self.tensors["contrasts.%s.%s" % (name, what)][k]
        most = MOST if what == "energy" else 1
        known = low > -most * 0.999 or high < most * 0.999
        return {"a": a, "b": b, "difference": difference, "low": low if known else None, "high": high if known else None}

    def test_the_figures_are_those_of_the_file(self):
        page = self.get("/contrasts/heat?limit=1000").json
        self.assertEqual((page["total"], page["offset"], sorted(one["atom"] for one in page["atoms"])), (K, 0, list(range(K))))
        intervals = 0
        for one in page["atoms"]:
            for what in ("energy", "frequency"):
                for part, value in self.expected("heat", what, one["atom"]).items():
                    if value is None:
                        self.assertIsNone(one[what][part])
                    else:
                        self.assertAlmostEqual(one[what][part], value, delta=1e-6 + 1e-6 * abs(value))
                intervals += one[what]["low"] is not None
            self.assertEqual([one["count_a"], one["count_b"]], list(self.tensors["contrasts.heat.count"][one["atom"]]))
            both = one["energy"]["a"] + one["energy"]["b"]
            self.assertAlmostEqual(one["relative"], one["energy"]["difference"] / both if both else 0, 5)
            self.assertIn("label", one)
        self.assertEqual(intervals, page["intervals"])

    def test_orders_and_pages(self):
        everything = self.get("/contrasts/heat?limit=1000&sort=index").json["atoms"]
        self.assertEqual([one["atom"] for one in everything], list(range(K)))
        keys = {"energy": lambda one: one["energy"]["difference"], "frequency": lambda one: one["frequency"]["difference"],
                "relative": lambda one: one["relative"], "index": lambda one: one["atom"]}
        for sort, key in keys.items():
            for order in ("asc", "desc"):
                wanted = [one["atom"] for one in sorted(everything, key=lambda one: (key(one) * (1 if order == "asc" else -1),
                                                                                     one["atom"]))]
                got = self.get("/contrasts/heat?limit=1000&sort=%s&order=%s" % (sort, order)).json["atoms"]
                self.assertEqual([one["atom"] for one in got], wanted, (sort, order))
        usual = self.get("/contrasts/heat").json
        self.assertEqual([one["atom"] for one in usual["atoms"]],
                         [one["atom"] for one in self.get("/contrasts/heat?limit=20&sort=energy&order=desc").json["atoms"]])
        page = self.get("/contrasts/heat?offset=45&limit=10&fields=norm")
        self.assertEqual((len(page.json["atoms"]), page.json["limit"]), (3, 10))
        self.assertIn('rel="prev"', page.headers["Link"])
        self.assertEqual(self.get("/contrasts/heat?offset=99").json["atoms"], [])
        turned = self.get("/contrasts/other?limit=1000&sort=index").json["atoms"]
        for one, other in zip(everything, turned):
            self.assertAlmostEqual(one["energy"]["difference"], -other["energy"]["difference"], 6)
        tag = self.get("/contrasts/heat").headers["ETag"]
        self.get("/contrasts/heat", 304, headers={"If-None-Match": tag})

    def test_csv_and_npy_have_all(self):
        listed = self.get("/contrasts/heat?limit=1000").json["atoms"]
        rows = list(csv.DictReader(io.StringIO(self.get("/contrasts/heat?format=csv").body.decode())))
        self.assertEqual([int(row["index"]) for row in rows], [one["atom"] for one in listed])
        for row, one in zip(rows, listed):
            for what in ("energy", "frequency"):
                for part in ("a", "b", "difference", "low", "high"):
                    text, value = row["%s_%s" % (what, part)], one[what][part]
                    self.assertEqual(float(text) if text else None, value)
            self.assertEqual((int(row["count_a"]), float(row["relative"])), (one["count_a"], one["relative"]))
        reply = self.get("/contrasts/heat?format=npy&sort=index")
        names = reply.headers["X-Table-Columns"].split(",")
        columns = dict(zip(names, (numbers for _, numbers in read_npy(reply.body))))
        self.assertEqual(list(columns["index"]), list(range(K)))
        for one in listed:
            self.assertAlmostEqual(columns["energy_difference"][one["atom"]], one["energy"]["difference"], 5)
        self.assertEqual(self.get("/contrasts/heat?format=csv&limit=5", 400).json["pointer"], "limit")

    def test_columns_of_the_table(self):
        figures = {one["atom"]: one for one in self.get("/contrasts/heat?limit=1000").json["atoms"]}
        table = self.get("/table?columns=index,contrast:heat,contrast:other").json["columns"]
        for k, here, there in zip(table["index"], table["contrast:heat"], table["contrast:other"]):
            self.assertEqual(here, figures[k]["energy"]["difference"])
            self.assertAlmostEqual(there, -here, 6)
        text = self.get("/table?columns=contrast:heat,label&format=csv").body.decode().splitlines()
        self.assertEqual(text[0], "contrast:heat,label")
        self.assertAlmostEqual(float(text[1].split(",")[0]), figures[0]["energy"]["difference"], 6)
        reply = self.get("/table?columns=contrast:heat&format=npy")
        self.assertEqual(reply.headers["X-Table-Columns"], "contrast:heat")
        self.assertAlmostEqual(read_npy(reply.body)[0][1][3], figures[3]["energy"]["difference"], 5)
        self.assertNotIn("contrast:heat", self.get("/table").json["columns"])
        for columns in ("contrast:no", "contrast:", "contrast:heat,contrast:heat"):
            self.assertEqual(self.get("/table?columns=" + columns, 400).json["pointer"], "columns", columns)

    def test_what_there_is_not(self):
        self.assertEqual(self.get("/contrasts/none", 404).json["code"], "unknown_contrast")
        self.assertEqual(self.get("/contrasts/heat?sort=color", 400).json["pointer"], "sort")
        self.assertEqual(self.get("/contrasts/heat?order=up", 400).json["pointer"], "order")


if __name__ == "__main__":
    unittest.main()
