"""Atoms as a table: found by labels, filtered by what is measured, in the order of a column (server/api/find.c), and the
whole table by columns (server/api/table.c, server/api/dinovision.c), held against the atoms themselves."""

import csv
import io
import json
import math
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
import urllib.parse

from daemon import PROGRAM, Daemon, golden, write_safetensors

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
K, PATH = 48, "/v1/dictionaries/topk"
WORDS = ("red fox", "telescope", "telephone, red", "Red-Shift", "crème \"brûlée\"", "a & b")


def rasae(*arguments):
    subprocess.run([RASAE, *map(str, arguments)], check=True, capture_output=True, timeout=240)


def words_of(label):
    return "".join(c if c.isalnum() else " " for c in (label or "").lower()).split()


class Find(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-find-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        fused, path, labels, plain = (os.path.join(cls.folder, name) for name in ("fused", "measured", "labels", "plain"))
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("%s %d\n" % (WORDS[row % 7 % 6], row % 5) for row in range(1280))
        rasae("fuse", golden("topk-mse.final.safetensors"), "-o", fused)
        rasae("eval", fused, golden("topk-mse.x.npy"), "--labels", labels, "--examples", 4, "--save", path)
        rasae("layout", path, "-o", path)
        rasae("fuse", golden("dict-basic.checkpoint.safetensors"), "-o", plain)
        bare = os.path.join(cls.folder, "bare")
        write_safetensors(bare, {"dictionary": ([3, 2], [1, 2, 3, 4, 5, 6])}, {})
        cls.daemon = Daemon("--dictionary", "topk=" + path, "--dictionary", "bare=" + bare, "--dictionary", "plain=" + plain)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        cls.atoms = cls.daemon.get(PATH + "/atoms?limit=1000&fields=all").json["atoms"]

    def find(self, dictionary="topk", **query):
        return self.daemon.get("/v1/dictionaries/%s/atoms?%s" % (dictionary, urllib.parse.urlencode(query)))

    def numbers(self, **query):
        reply = self.find(**{"limit": 1000, "fields": "label", **query})
        self.assertEqual(reply.status, 200, reply.body)
        self.assertEqual(reply.json["total"], len(reply.json["atoms"]))
        return [atom["atom"] for atom in reply.json["atoms"]]

    @staticmethod
    def labels(atom):
        """Of each kind."""
        return {"label": [atom["label"]], "archetypes": [one["label"] for one in atom["archetypes"] or ()],
                "rows": [one["label"] for one in (atom["trace"] or {}).get("rows", ())] +
                        [one["label"] for one in atom["statistics"]["top"]]}

    def matched(self, atom, query):
        for kind, labels in self.labels(atom).items():
            if any(all(any(word.startswith(wanted) for word in words_of(label)) for wanted in query.split())
                   for label in labels):
                return kind
        return None

    def test_labels_are_found_by_the_beginnings_of_their_words(self):
        found = 0
        for query in ("red", "tele", "red tele", "telephone", "0", "nothing", "fo r", "brûl", "b a"):
            kinds = {atom["atom"]: self.matched(atom, query) for atom in self.atoms}
            order = [number for kind in ("label", "archetypes", "rows") for number in kinds if kinds[number] == kind]
            reply = self.find(q=query, limit=1000, fields="label").json
            self.assertEqual([atom["atom"] for atom in reply["atoms"]], order, query)
            self.assertEqual([atom["matched"] for atom in reply["atoms"]], [kinds[number] for number in order])
            found += len(order)
        self.assertGreater(found, K)
        self.assertEqual(self.numbers(q="RED"), self.numbers(q="red"))
        self.assertEqual(self.numbers(q="creme"), self.numbers(q="Crème"))
        self.assertEqual(self.numbers(q=""), list(range(K)))

    def test_orders(self):
        values = {"index": lambda a: a["atom"], "x": lambda a: a["layout"][0], "y": lambda a: a["layout"][1],
                  "norm": lambda a: a["norm"], **{name: lambda a, name=name: a["statistics"][name]
                                                  for name in ("energy", "count", "frequency", "mean", "max")}}
        for name, value in values.items():
            rising = sorted(range(K), key=lambda k: (value(self.atoms[k]), k))
            falling = sorted(range(K), key=lambda k: (-value(self.atoms[k]), k))
            self.assertEqual(self.numbers(sort=name, order="asc"), rising, name)
            self.assertEqual(self.numbers(sort=name, order="desc"), falling, name)
            self.assertEqual(self.numbers(sort=name), rising if name == "index" else falling, name)
        self.assertEqual(self.numbers(sort="agreement"), list(range(K)))  # of which nothing is known

    def test_conditions_go_together(self):
        median = sorted(atom["statistics"]["frequency"] for atom in self.atoms)[K // 2]
        often = [k for k in range(K) if self.atoms[k]["statistics"]["frequency"] >= median]
        self.assertTrue(K // 2 <= len(often) < K)
        self.assertEqual(self.numbers(min_frequency=median - 1e-6), often)
        dead = [k for k in range(K) if not self.atoms[k]["statistics"]["count"]]
        self.assertEqual(self.numbers(dead="true"), dead)
        self.assertEqual(self.numbers(dead="false"), [k for k in range(K) if k not in dead])
        red = self.numbers(q="red")
        both = [k for k in often if k in red]
        self.assertEqual(sorted(self.numbers(q="red", min_frequency=median - 1e-6, sort="energy")), both)
        plain = self.daemon.get("/v1/dictionaries/plain/atoms?limit=1000&fields=archetypes").json["atoms"]
        point = plain[3]["archetypes"][0]["point"]
        made = [atom["atom"] for atom in plain if any(one["point"] == point for one in atom["archetypes"])]
        self.assertEqual(self.numbers(dictionary="plain", point=point), made)
        self.assertEqual(self.numbers(dictionary="plain", point=999999), [])

    def test_pages_and_their_links(self):
        seen, path = [], PATH + "/atoms?" + urllib.parse.urlencode(
            {"q": "red", "sort": "max", "limit": 5, "fields": "label"})
        while path:
            reply = self.daemon.get(path)
            seen += [atom["atom"] for atom in reply.json["atoms"]]
            links = dict(reversed(link.split("; rel=")) for link in reply.headers["Link"].split(", "))
            path = links.get('"next"', "").strip("<>")
        self.assertEqual(seen, self.numbers(q="red", sort="max"))
        self.assertGreater(len(seen), 5)
        special = self.find(q='a & "b', limit=1, fields="label")
        first = special.headers["Link"].split(">")[0][1:]
        self.assertEqual(self.daemon.get(first).json, special.json)
        self.assertEqual(self.find(q="red", offset=1000).json["atoms"], [])

    def test_binary_replies_and_lines(self):
        numbers = self.numbers(sort="energy", q="red")
        raw = self.find(sort="energy", q="red", limit=1000, format="raw")
        dimensions = int(raw.headers["X-Tensor-Shape"].split(",")[1])
        self.assertEqual(raw.headers["X-Tensor-Shape"], "%d, %d" % (len(numbers), dimensions))
        first = struct.unpack_from("<%df" % dimensions, raw.body)
        self.assertEqual(list(first), [struct.unpack("f", struct.pack("f", x))[0] for x in self.atoms[numbers[0]]["vector"]])
        lines = self.find(sort="energy", q="red", limit=3, format="ndjson").body.decode().splitlines()
        self.assertEqual([json.loads(line)["atom"] for line in lines[:3]], numbers[:3])

    def test_refusals(self):
        for query, status, code, pointer in (
                ({"sort": "size"}, 400, "invalid_value", "sort"), ({"order": "up"}, 400, "invalid_value", "order"),
                ({"dead": "1"}, 400, "invalid_value", "dead"), ({"min_frequency": "2"}, 400, "invalid_value", "min_frequency"),
                ({"min_frequency": "nan"}, 400, "invalid_value", "min_frequency"),
                ({"point": "x"}, 400, "invalid_value", "point"), ({"q": "x" * 1025}, 400, "invalid_value", "q"),
                ({"q": "red", "ids": "1"}, 400, "conflicting_parameters", "ids")):
            reply = self.find(**query)
            self.assertEqual((reply.status, reply.json["code"], reply.json["pointer"]), (status, code, pointer), query)
        for dictionary, query, pointer in (("plain", {"q": "red"}, "q"), ("plain", {"dead": "true"}, "dead"),
                                           ("plain", {"min_frequency": ".1"}, "min_frequency"), ("bare", {"point": "1"}, "point")):
            reply = self.find(dictionary, **query)
            self.assertEqual((reply.status, reply.json["code"], reply.json["pointer"]), (409, "not_held", pointer), query)

    # ---- the table

    def test_the_table_has_what_the_atoms_have(self):
        table = self.daemon.get(PATH + "/table").json
        self.assertEqual(table["total"], K)
        for k, atom in enumerate(self.atoms):
            expected = {"index": k, "label": atom["label"], "x": atom["layout"][0], "y": atom["layout"][1],
                        "norm": atom["norm"], "agreement": None, "relaxation": atom["relaxation"]["norm"],
                        **{name: atom["statistics"][name] for name in ("energy", "count", "frequency", "mean", "max")}}
            for name, value in expected.items():
                self.assertEqual(table["columns"][name][k], value, (name, k))
        plain = self.daemon.get("/v1/dictionaries/plain/table?columns=relaxation,coverage,x").json["columns"]
        for k, atom in enumerate(self.daemon.get("/v1/dictionaries/plain/atoms?limit=1000&fields=all").json["atoms"]):
            self.assertEqual((plain["relaxation"][k], plain["coverage"][k], plain["x"][k]),
                             (atom["relaxation"]["norm"], atom["coverage"], None))

    def test_the_table_as_csv(self):
        table = self.daemon.get(PATH + "/table?columns=index,label,max,agreement").json["columns"]
        reply = self.daemon.get(PATH + "/table?columns=index,label,max,agreement&format=csv")
        self.assertEqual(reply.headers["Content-Type"].split(";")[0], "text/csv")
        rows = list(csv.reader(io.StringIO(reply.body.decode(), newline="")))
        self.assertEqual(rows[0], ["index", "label", "max", "agreement"])
        self.assertEqual(len(rows), K + 1)
        for k, row in enumerate(rows[1:]):
            self.assertEqual((int(row[0]), row[1], row[3]), (k, table["label"][k] or "", ""))
            self.assertEqual(float(row[2]), table["max"][k])
        self.assertIn('"', "".join(filter(None, table["label"])))  # which has to be doubled

    def test_the_table_as_the_page_of_dinovision_reads_it(self):
        reply = self.daemon.get(PATH + "/table?format=dinovision")
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "application/vnd.dinovision+json"))
        shown, table = reply.json, self.daemon.get(PATH + "/table").json["columns"]
        self.assertEqual({len(column) for column in shown.values()}, {32000})  # as many as the page reads
        for ours, theirs in (("energy", "energy"), ("count", "nb_fire")):
            self.assertEqual(shown[theirs][:K], table[ours])
        # the page shows what lies within 0.05: eight of them, if they were evenly on their square
        spread = 0.05 * math.sqrt(math.pi * sum(count > 0 for count in table["count"]) / 8) / 2
        for ours, theirs in (("x", "umap_x"), ("y", "umap_y")):
            for here, there in zip(table[ours], shown[theirs]):
                self.assertAlmostEqual(there, here * spread, places=5)
        self.assertEqual(shown["is_dead"], [int(count == 0) for count in table["count"]] + [1] * (32000 - K))
        self.assertTrue(all(len(color) == 3 and 0 <= min(color) and max(color) <= 1 for color in shown["umap_colors"]))
        for k in range(K):
            self.assertAlmostEqual(shown["umap_scale"][k], table["energy"][k] / max(table["energy"]), places=6)
            partners = self.daemon.get("%s/atoms/%d/cofiring?k=1000&measure=correlation" % (PATH, k)).json["partners"]
            self.assertEqual(shown["connections_idx"][k], [one["atom"] for one in partners])
            self.assertEqual(shown["connections_val"][k], [one["correlation"] for one in partners])
        refused = self.daemon.get("/v1/dictionaries/plain/table?format=dinovision")
        self.assertEqual((refused.status, refused.json["code"]), (409, "not_held"))

    def test_the_table_as_arrays(self):
        reply = self.daemon.get(PATH + "/table?columns=count,energy&format=npy")
        self.assertEqual(reply.headers["X-Table-Columns"], "count,energy")
        table, at = self.daemon.get(PATH + "/table?columns=count,energy").json["columns"], 0
        for name, kind, letter in (("count", "<i8", "q"), ("energy", "<f4", "f")):
            header = 10 + struct.unpack_from("<H", reply.body, at + 8)[0]
            self.assertIn(kind, reply.body[at:at + header].decode("latin-1"))
            values = struct.unpack_from("<%d%s" % (K, letter), reply.body, at + header)
            for got, wanted in zip(values, table[name]):
                self.assertAlmostEqual(got, wanted, places=6)
            at += header + K * struct.calcsize("<" + letter)
        self.assertEqual(at, len(reply.body))
        every = self.daemon.get(PATH + "/table?format=npy").headers["X-Table-Columns"].split(",")
        self.assertEqual([name for name in self.daemon.get(PATH + "/table").json["columns"] if name != "label"], every)

    def test_the_table_is_cached_and_refuses(self):
        reply = self.daemon.get(PATH + "/table?columns=index")
        again = self.daemon.get(PATH + "/table?columns=index", headers={"If-None-Match": reply.headers["ETag"]})
        self.assertEqual(again.status, 304)
        for query, code in (("columns=index,size", "invalid_value"), ("columns=x,x", "conflicting_parameters"),
                            ("columns=label&format=npy", "conflicting_parameters")):
            bad = self.daemon.get(PATH + "/table?" + query)
            self.assertEqual((bad.status, bad.json["code"], bad.json["pointer"]), (400, code, "columns"), query)


if __name__ == "__main__":
    unittest.main()
