"""Statistics of latents and places on the map, as `rasae eval --save` and `rasae layout` put them into an artifact:
served with the atoms (server/api/atoms.c), chosen by fields=, followed through a reload, refused when they are
wrong."""

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
OTHER = golden("topk-mse-tied.final.safetensors")
PATH = "/v1/dictionaries/topk"
ROWS, K = 1280, 48


def rasae(*arguments):
    return subprocess.run([RASAE, *map(str, arguments)], check=True, capture_output=True, timeout=240).stdout


def tensor(path, name, kind):
    """The numbers of a tensor, whatever its type."""
    with open(path, "rb") as file:
        blob = file.read()
    (size,) = struct.unpack("<Q", blob[:8])
    begin, end = json.loads(blob[8:8 + size])[name]["data_offsets"]
    part = blob[8 + size + begin:8 + size + end]
    return list(struct.unpack("<%d%s" % (len(part) // struct.calcsize(kind), kind), part))


class Statistics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.bare, cls.path = (os.path.join(cls.folder, name) for name in ("bare", "measured"))
        labels = os.path.join(cls.folder, "labels")
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("row \u00e9 %d\n" % row for row in range(ROWS))
        rasae("fuse", CHECKPOINT, "-o", cls.bare)
        rasae("eval", cls.bare, DATA, "--labels", labels, "--examples", 4, "--save", cls.path)
        rasae("layout", cls.path, "-o", cls.path)
        rasae("compare", cls.path, cls.bare, OTHER, "-o", cls.path)
        cls.daemon = Daemon("--dictionary", "topk=" + cls.path, "--dictionary", "bare=" + cls.bare)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)
        shutil.rmtree(cls.folder)

    def get(self, path):
        reply = self.daemon.get(path)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json

    def test_an_atom_has_its_statistics(self):
        counts, rows = tensor(self.path, "latents.count", "q"), tensor(self.path, "latents.top_row", "q")
        bins, tops = tensor(self.path, "latents.histogram", "q"), tensor(self.path, "latents.histogram_top", "f")
        values, energies = tensor(self.path, "latents.top_value", "f"), tensor(self.path, "latents.energy", "f")
        seen = 0
        for k in range(K):
            one = self.get("%s/atoms/%d" % (PATH, k))["statistics"]
            self.assertEqual((one["rows"], one["count"]), (ROWS, counts[k]))
            self.assertAlmostEqual(one["frequency"], counts[k] / ROWS, places=7)
            self.assertAlmostEqual(one["energy"], energies[k], places=6)
            self.assertEqual(one["histogram"]["counts"], bins[50 * k:50 * k + 50])
            self.assertEqual((one["histogram"]["low"], one["histogram"]["high"]), (0, tops[k]))
            kept = [row for row in rows[4 * k:4 * k + 4] if row >= 0]
            self.assertEqual([example["row"] for example in one["top"]], kept)
            for example, value in zip(one["top"], values[4 * k:]):
                self.assertAlmostEqual(example["value"], value, places=6)
                self.assertEqual(example["label"], "row \u00e9 %d" % example["row"])
                self.assertLessEqual(example["value"], one["max"] + 1e-6)
            seen += len(kept)
        self.assertGreater(seen, K)

    def test_an_atom_has_its_place(self):
        places = tensor(self.path, "atoms.layout", "f")
        page = self.get(PATH + "/atoms?limit=48&fields=layout")["atoms"]
        for k, atom in enumerate(page):
            self.assertEqual(sorted(atom), ["atom", "layout"])
            for got, wanted in zip(atom["layout"], places[2 * k:2 * k + 2]):
                self.assertAlmostEqual(got, wanted, places=6)
        self.assertEqual(max(abs(x) for atom in page for x in atom["layout"]), 1)

    def test_fields_choose_them(self):
        self.assertEqual(sorted(self.get(PATH + "/atoms/3?fields=statistics")), ["atom", "statistics"])
        whole = self.get(PATH + "/atoms/3")
        self.assertLessEqual({"statistics", "layout", "vector", "norm"}, set(whole))
        reply = self.daemon.get(PATH + "/atoms/3?fields=statistic")
        self.assertEqual(reply.status, 400)
        self.assertIn("statistics, quantiles, layout, vector", reply.json["error"])

    def test_an_atom_says_in_how_many_runs_it_is(self):
        share, cosine = (tensor(self.path, "agreement." + name, "f") for name in ("share", "cosine"))
        for k, atom in enumerate(self.get(PATH + "/atoms?limit=48&fields=agreement")["atoms"]):
            self.assertEqual(sorted(atom), ["agreement", "atom"])
            self.assertEqual(atom["agreement"]["runs"], 2)
            self.assertAlmostEqual(atom["agreement"]["share"], share[k], places=6)
            self.assertAlmostEqual(atom["agreement"]["cosine"], cosine[k], places=6)
        whole = self.get(PATH)["agreement"]
        self.assertAlmostEqual(whole["cosine"], sorted(cosine)[K // 2], places=6)
        self.assertIsNone(self.get("/v1/dictionaries/bare")["agreement"])
        self.assertIsNone(self.get("/v1/dictionaries/bare/atoms/3?fields=agreement")["agreement"])

    def test_a_dictionary_says_whether_it_has_them(self):
        one = self.get(PATH)
        self.assertTrue(one["has_statistics"] and one["has_layout"])
        self.assertEqual((one["agreement"]["runs"], one["agreement"]["level"]), (2, 0.7))
        bare = self.get("/v1/dictionaries/bare")
        self.assertFalse(bare["has_statistics"] or bare["has_layout"])
        # what it says of itself is what asking gives
        for name, info in (("bare", bare), (PATH.split("/")[-1], one)):
            path = "/v1/dictionaries/" + name
            status = self.daemon.get(path + "/atoms/3/cofiring").status
            self.assertEqual((info["has_cofiring"], status), (status == 200, 200 if info["has_cofiring"] else 409))
            quantiles = self.get(path + "/atoms/3?fields=quantiles")["quantiles"]
            self.assertEqual(info["has_quantiles"], quantiles is not None)
            self.assertEqual(info["has_contrasts"], self.get(path + "/contrasts")["total"] > 0)
            explanations = [atom["explanation"] for atom in self.get(path + "/atoms?limit=48&fields=explanation")["atoms"]]
            self.assertEqual(info["has_explanations"], any(explanations))
        atom = self.get("/v1/dictionaries/bare/atoms/3")
        self.assertIsNone(atom["statistics"])
        self.assertIsNone(atom["layout"])


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "topk.safetensors")
        rasae("fuse", CHECKPOINT, "-o", self.path)

    def test_statistics_come_with_a_reload(self):
        keys = os.path.join(self.folder, "keys")
        with open(keys, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("admin admin-key-for-tests-0001\n")
        admin = {"Authorization": "Bearer admin-key-for-tests-0001"}
        with Daemon("--keys", keys, "--dictionary", "topk=" + self.path) as daemon:
            before = daemon.get(PATH + "/atoms/5", headers=admin)
            self.assertIsNone(before.json["statistics"])
            rasae("eval", self.path, DATA, "--save", self.path)  # in place, under the running daemon
            self.assertIsNone(daemon.get(PATH + "/atoms/5", headers=admin).json["statistics"])
            self.assertEqual(daemon.post(PATH + "/reload", b"", headers=admin).status, 200)
            tag = {**admin, "If-None-Match": before.headers["ETag"]}
            after = daemon.get(PATH + "/atoms/5", headers=tag)
            self.assertEqual(after.status, 200)  # the atom is the same, but not its statistics
            self.assertEqual(after.json["vector"], before.json["vector"])
            self.assertEqual(after.json["statistics"]["rows"], ROWS)

    def test_wrong_statistics_are_refused_with_a_sentence(self):
        rasae("eval", self.path, DATA, "--save", self.path)
        with open(self.path, "rb") as file:
            blob = bytearray(file.read().replace(b"rasae.digest", b"other.digest"))  # which would find the damage first
        (size,) = struct.unpack("<Q", blob[:8])
        begin, _ = json.loads(bytes(blob[8:8 + size]))["latents.count"]["data_offsets"]
        struct.pack_into("<q", blob, 8 + size + begin, ROWS + 1)
        with open(self.path, "wb") as file:
            file.write(blob)
        ended = run("--listen", "127.0.0.1:0", "--dictionary", "topk=" + self.path)
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn("latents.count holds 1281 at [0]; expected 0 to 1280", ended.stderr)


if __name__ == "__main__":
    unittest.main()
