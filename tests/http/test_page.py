"""Lists (server/api/page.c): what is asked for past the end or above the limit, the links from page to page, what is not
known, and the list of dictionaries."""

import os
import re
import shutil
import tempfile
import unittest

from daemon import Daemon, golden, write_safetensors
from test_changed_files import content

BASIC = "/v1/dictionaries/basic"
K = 24


def links(reply):
    return {relation: target for target, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', reply.headers["Link"])}


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors")))

    def test_a_page_past_the_end_is_empty(self):
        for offset in (K, K + 7, 10 ** 9):
            reply = self.daemon.get(BASIC + "/atoms?limit=7&offset=%d" % offset)
            self.assertEqual(reply.json, {"atoms": [], "offset": offset, "limit": 7, "total": K})
            found = links(reply)
            self.assertEqual(sorted(found), ["first", "last", "prev"])
            for relation, first in (("first", 0), ("prev", 21), ("last", 21)):
                self.assertEqual(self.daemon.get(found[relation]).json["atoms"][0]["atom"], first)
        raw = self.daemon.get(BASIC + "/atoms?offset=%d&format=raw" % (1 << 63))
        self.assertEqual((raw.status, raw.headers["X-Tensor-Shape"], raw.body), (200, "0, 16", b""))
        self.assertEqual(raw.headers["Content-Type"], "application/octet-stream")
        npy = self.daemon.get(BASIC + "/atoms?offset=24&format=npy")
        self.assertIn(b"'shape': (0, 16)", npy.body)
        lines = self.daemon.get(BASIC + "/atoms?offset=24", headers={"Accept": "application/x-ndjson"})
        self.assertEqual(lines.status, 200)

    def test_a_limit_above_the_largest_becomes_it(self):
        most = self.daemon.get("/v1").json["limits"]["page"]
        for asked in (most + 1, 1 << 70):
            page = self.daemon.get(BASIC + "/atoms?fields=norm&limit=%d" % asked).json
            self.assertEqual((page["limit"], len(page["atoms"])), (most, K))

    def test_following_the_links_gives_each_atom_once(self):
        for start in ("?limit=7", "?limit=7&offset=3"):
            for way, ends in (("next", "last"), ("prev", "first")):
                target, seen = BASIC + "/atoms" + start + "&fields=norm", []
                target = links(self.daemon.get(target))["first" if way == "next" else "last"]
                while target:
                    reply = self.daemon.get(target)
                    self.assertIn("&fields=norm", target)
                    seen += [atom["atom"] for atom in reply.json["atoms"]]
                    target = links(reply).get(way)
                self.assertEqual(sorted(seen), list(range(K)), (start, way))


class Dictionaries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="rasaed-page-"))
        for name in "abc":
            shutil.copy(golden("dict-basic.checkpoint.safetensors"), os.path.join(cls.folder, name + ".safetensors"))
        with open(os.path.join(cls.folder, "broken.safetensors"), "wb") as file:
            file.write(b"no dictionary")
        cls.daemon = cls.enterClassContext(Daemon("--dictionary-dir", cls.folder))

    def names(self, query):
        return [one["name"] for one in self.daemon.get("/v1/dictionaries" + query).json["dictionaries"]]

    def test_pages(self):
        whole = self.daemon.get("/v1/dictionaries").json
        self.assertEqual((whole["offset"], whole["limit"], whole["total"]), (0, 1000, 3))
        self.assertEqual(self.names("?limit=2"), ["a", "b"])
        self.assertEqual(self.names("?limit=2&offset=2"), ["c"])
        self.assertEqual(self.names("?offset=3"), [])
        reply = self.daemon.get("/v1/dictionaries?limit=2&state=all")
        self.assertEqual(links(reply)["next"], "/v1/dictionaries?offset=2&limit=2&state=all")
        self.assertEqual(self.daemon.get("/v1/dictionaries?limit=0").status, 400)

    def test_what_the_client_has_already(self):
        """Counters of requests change it not, a load does."""
        tag = self.daemon.get("/v1/dictionaries").headers["ETag"]
        self.daemon.get("/v1/dictionaries/a/atoms/1")
        for wanted, status in ((tag, 304), ('"another"', 200)):
            self.assertEqual(self.daemon.get("/v1/dictionaries", headers={"If-None-Match": wanted}).status, status)

    def test_states(self):
        self.assertNotIn("unavailable", self.daemon.get("/v1/dictionaries").json)
        broken, = self.daemon.get("/v1/dictionaries?state=all").json["unavailable"]
        reason = broken.pop("reason")
        self.assertEqual(broken, {"name": "broken", "state": "failed", "loaded_at": None, "generation": None})
        self.assertIn("broken.safetensors", reason)
        self.assertNotIn(self.folder, reason)
        loaded = self.daemon.get("/v1/dictionaries/a").json
        self.assertEqual((loaded["state"], loaded["reason"]), ("loaded", None))
        self.assertRegex(loaded["loaded_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        refused = self.daemon.get("/v1/dictionaries/broken")
        self.assertEqual((refused.status, refused.json["code"]), (404, "not_loaded"))
        self.assertIn(reason, refused.json["detail"])


class Unknown(unittest.TestCase):
    """What a file does not say is null; a list that is known to be empty is []; what is not asked for is absent."""

    def test_null(self):
        with tempfile.TemporaryDirectory(prefix="rasaed-page-") as folder:
            path = os.path.join(folder, "words.safetensors")
            with open(path, "wb") as file:
                file.write(content(1))
            with Daemon("--dictionary", "words=" + path, "--dictionary",
                        "basic=" + golden("dict-basic.checkpoint.safetensors")) as daemon:
                point = daemon.get("/v1/dictionaries/words/points/8").json
                self.assertEqual((point["atoms"], point["rows"], point["vector"], point["location"]), ([], None, None, None))
                atom = daemon.get("/v1/dictionaries/words/atoms/1").json
                for name in ("label", "trace", "agreement", "statistics", "layout"):
                    self.assertIsNone(atom[name], name)
                settings = daemon.get("/v1/dictionaries/words").json["settings"]
                self.assertIsNone(settings["top_k"])
                self.assertEqual(sorted(settings), sorted(daemon.get(BASIC).json["settings"]))

    def test_no_archetypes(self):
        with tempfile.TemporaryDirectory(prefix="rasaed-page-") as folder:
            path = os.path.join(folder, "plain.safetensors")
            write_safetensors(path, {"dictionary": ([4, 3], [1.0] * 12)}, {"format": "rasae.fused.v1"})
            with Daemon("--dictionary", "plain=" + path) as daemon:
                atom = daemon.get("/v1/dictionaries/plain/atoms/1?fields=archetypes").json
                self.assertEqual(atom, {"atom": 1, "archetypes": None, "coverage": None, "hull_share": None})


if __name__ == "__main__":
    unittest.main()
