"""What a search may be about (server/api/search.c): examples of what atoms should be like and what not, atoms that are left
out, a filter, a least score; each held against all scores, which this file computes itself."""

import concurrent.futures
import json
import math
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from daemon import PROGRAM, Daemon, golden

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
K, PATH, RAW = 48, "/v1/dictionaries/topk", {"Content-Type": "application/octet-stream"}
WORDS = ("red fox", "telescope", "telephone", "blue", "green")


def rasae(*arguments):
    subprocess.run([RASAE, *map(str, arguments)], check=True, capture_output=True, timeout=240)


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def unit(vector):
    norm = math.sqrt(dot(vector, vector))
    return [x / norm for x in vector]


class Search(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="rasaed-search-")
        cls.addClassCleanup(shutil.rmtree, folder)
        fused, path, labels, plain = (os.path.join(folder, name) for name in ("fused", "measured", "labels", "plain"))
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("%s %d\n" % (WORDS[row % 5], row) for row in range(1280))
        rasae("fuse", golden("topk-mse.final.safetensors"), "-o", fused)
        rasae("eval", fused, golden("topk-mse.x.npy"), "--labels", labels, "--save", path, "--basic")
        cls.daemon = Daemon("--dictionary", "topk=" + path, "--dictionary", "bare=" + golden("dict-basic.checkpoint.safetensors"))
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        cls.atoms = cls.daemon.get(PATH + "/atoms?limit=1000&fields=all").json["atoms"]
        cls.vectors = [atom["vector"] for atom in cls.atoms]

    def post(self, body, query="", status=200, dictionary="topk"):
        reply = self.daemon.post("/v1/dictionaries/%s/search%s" % (dictionary, query), body)
        self.assertEqual(reply.status, status, reply.body)
        return reply.json

    def scores(self, vector, metric="cosine"):
        if metric == "dot":
            return [dot(vector, one) for one in self.vectors]
        return [dot(unit(vector), unit(one)) for one in self.vectors]

    def check(self, matches, vector, allowed, k, metric="cosine", least=-math.inf):
        """The k best of those that are allowed, in order."""
        scores = self.scores(vector, metric)
        expected = [i for i in sorted(allowed, key=lambda i: (-scores[i], i)) if scores[i] >= least][:k]
        self.assertEqual([one["atom"] for one in matches], expected)
        for one in matches:
            self.assertAlmostEqual(one["score"], scores[one["atom"]], places=5)

    def matching(self, **query):
        """The atoms that GET .../atoms finds."""
        parts = "&".join("%s=%s" % (name, str(value).lower()) for name, value in query.items())
        return [atom["atom"] for atom in self.daemon.get(PATH + "/atoms?limit=1000&fields=label&" + parts).json["atoms"]]

    # ---- examples

    def test_examples(self):
        for positive, negative in (([5], []), ([5, 9, 11], []), ([5, 9], [3]), ([7, 7, 2], [1, 40, 30])):
            mean = [sum(unit(self.vectors[i])[j] for i in positive) / len(positive) -
                    sum(unit(self.vectors[i])[j] for i in negative) / max(len(negative), 1)
                    for j in range(len(self.vectors[0]))]
            allowed = [i for i in range(K) if i not in positive and i not in negative]
            for metric in ("cosine", "dot"):
                body = {"positive": positive, "k": 9, "metric": metric, **({"negative": negative} if negative else {})}
                results = self.post(body)["results"]
                self.assertEqual(len(results), 1)
                self.check(results[0], mean, allowed, 9, metric)
        self.assertEqual(len(self.post({"positive": [5], "negative": [9], "k": 1000})["results"][0]), K - 2)

    def test_refused_examples(self):
        for body, code, pointer in (({"negative": [5]}, "missing_parameter", "/vectors"),
                                    ({"positive": []}, "wrong_shape", "/positive"),
                                    ({"atoms": [1], "negative": [5]}, "conflicting_parameters", "/negative"),
                                    ({"atoms": [1], "positive": [5]}, "conflicting_parameters", "/positive"),
                                    ({"positive": [K]}, "out_of_range", "/positive/0"),
                                    ({"positive": [1], "negative": [2, K]}, "out_of_range", "/negative/1"),
                                    ({"positive": [1], "exclude_self": True}, "conflicting_parameters", "exclude_self"),
                                    ({"positive": [1], "exclude": [2, K]}, "out_of_range", "/exclude/1"),
                                    ({"positive": [1], "min_score": "x"}, "invalid_value", "/min_score"),
                                    ({"positive": [1], "filter": {"least": 1}}, "unknown_parameter", "/filter/least"),
                                    ({"positive": [1], "filter": {"dead": 1}}, "invalid_value", "/filter/dead"),
                                    ({"positive": [1], "filter": {"min_frequency": 2}}, "out_of_range", "/filter/min_frequency"),
                                    ({"positive": [1], "filter": {"point": -1}}, "out_of_range", "/filter/point")):
            refused = self.post(body, status=400)
            self.assertEqual((refused["code"], refused["pointer"]), (code, pointer), body)
        for query, code, pointer in (("?exclude=1,x", "invalid_value", "exclude"), ("?exclude=99", "out_of_range", "exclude"),
                                     ("?min_score=much", "invalid_value", "min_score"), ("?dead=1", "invalid_value", "dead")):
            refused = self.post({"atoms": [1]}, query, 400)
            self.assertEqual((refused["code"], refused["pointer"]), (code, pointer), query)
        both = self.post({"atoms": [1], "filter": {"dead": False}}, "?dead=false", 400)
        self.assertEqual((both["code"], both["pointer"]), ("conflicting_parameters", "/filter"))
        self.assertEqual(self.post({"atoms": [1], "exclude": [2]}, "?exclude=3", 400)["pointer"], "exclude")
        self.assertEqual(self.post({"atoms": [1], "min_score": 0.5}, "?min_score=0.25", 400)["pointer"], "min_score")
        bare = self.post({"atoms": [1], "filter": {"dead": True}}, status=409, dictionary="bare")
        self.assertEqual((bare["code"], bare["pointer"]), ("not_held", "dead"))

    # ---- which atoms

    def test_a_filter_leaves_the_best_of_those_that_pass(self):
        """Not those of the best that pass: each list is as long as it can be."""
        median = sorted(atom["statistics"]["frequency"] for atom in self.atoms)[K // 2]
        point = self.atoms[3]["archetypes"][0]["point"]
        filters = ({"min_frequency": median}, {"dead": False}, {"dead": True}, {"point": point}, {"q": "red"},
                   {"q": "red", "min_frequency": median, "dead": False}, {"point": 10 ** 9}, {})
        for one in filters:
            allowed = self.matching(**one)
            for k in (1, 4, K):
                for results in (self.post({"atoms": [5, 40], "k": k, "filter": one}),
                                self.post({"atoms": [5, 40], "k": k},
                                          "?" + "&".join("%s=%s" % (name, str(value).lower()) for name, value in one.items()))):
                    for query, matches in zip((5, 40), results["results"]):
                        self.check(matches, self.vectors[query], allowed, k)
        self.assertTrue(0 < len(self.matching(q="red")) < K)

    def test_atoms_are_left_out(self):
        allowed = [i for i in range(K) if i not in (5, 7, 40)]
        for body, query in (({"exclude": [40, 7, 5, 5]}, ""), ({}, "?exclude=40,7,5,5")):
            self.check(self.post({"vectors": [self.vectors[5]], "k": K, **body}, query)["results"][0], self.vectors[5], allowed, K)
        self.assertEqual(self.post({"atoms": [1], "exclude": list(range(K))})["results"], [[]])
        self.assertEqual(self.post({"atoms": [1], "exclude": []})["results"], self.post({"atoms": [1]})["results"])

    def test_without_the_atom_itself_and_with_a_filter(self):
        allowed = self.matching(q="red")
        inside, outside = allowed[0], next(i for i in range(K) if i not in allowed)
        for k in (2, K):
            results = self.post({"atoms": [inside, outside], "exclude_self": True, "k": k, "filter": {"q": "red"}})["results"]
            self.check(results[0], self.vectors[inside], allowed[1:], k)
            self.check(results[1], self.vectors[outside], allowed, k)

    def test_a_least_score(self):
        for least in (0.2, 0.5, -2, 2):
            results = self.post({"atoms": [5, 9], "k": 20, "min_score": least})["results"]
            for query, matches in zip((5, 9), results):
                self.check(matches, self.vectors[query], range(K), 20, least=least)
            self.assertEqual(self.post({"atoms": [5, 9], "k": 20}, "?min_score=%s" % least)["results"], results)
        exact = self.post({"atoms": [5], "k": 4})["results"][0]
        self.assertEqual(self.post({"atoms": [5], "min_score": exact[3]["score"]})["results"][0], exact)

    def test_a_vector_of_zeros_is_equally_near_to_all_that_pass(self):
        zeros = [0.0] * len(self.vectors[0])
        allowed = self.matching(q="red")
        found = self.post({"vectors": [zeros], "k": 3, "filter": {"q": "red"}})["results"][0]
        self.assertEqual([(one["atom"], one["score"]) for one in found], [(i, 0) for i in sorted(allowed)[:3]])

    def test_each_has_its_own_atoms_when_many_ask(self):
        """Requests that come together are computed together; a filter is of one of them."""
        wanted = {}
        for k in range(16):
            body = {"vectors": self.vectors, "k": 5, "exclude": list(range(k))} if k else {"vectors": self.vectors, "k": 5}
            wanted[k] = (body, self.post(body)["results"])
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for k, results in pool.map(lambda k: (k, self.post(wanted[k][0])["results"]), list(range(16)) * 8):
                self.assertEqual([[one["atom"] for one in matches] for matches in results],
                                 [[one["atom"] for one in matches] for matches in wanted[k][1]])

    # ---- forms

    def test_binary_lists_are_filled_up(self):
        wanted = self.post({"vectors": self.vectors[5:7], "k": 12, "min_score": 0.2, "filter": {"q": "red"}})["results"]
        self.assertNotEqual(len(wanted[0]), len(wanted[1]))
        body = b"".join(struct.pack("<%df" % len(one), *one) for one in self.vectors[5:7])
        reply = self.daemon.post(PATH + "/search?k=12&min_score=0.2&q=red&format=raw", body, headers=RAW)
        rows, width = map(int, reply.headers["X-Tensor-Shape"].split(";")[0].split(","))
        self.assertEqual((rows, width), (2, min(12, len(self.matching(q="red")))))
        atoms = struct.unpack_from("<%di" % (rows * width), reply.body)
        scores = struct.unpack_from("<%df" % (rows * width), reply.body, 4 * rows * width)
        for row, matches in enumerate(wanted):
            here = slice(row * width, row * width + len(matches)), slice(row * width + len(matches), (row + 1) * width)
            self.assertEqual(list(atoms[here[0]]), [one["atom"] for one in matches])
            self.assertTrue(all(atom == -1 for atom in atoms[here[1]]) and all(map(math.isnan, scores[here[1]])))
        lines = self.daemon.post(PATH + "/search?k=12&min_score=0.2&q=red&format=ndjson", body, headers=RAW).body.splitlines()
        self.assertEqual([json.loads(line)["matches"] for line in lines[:2]], wanted)


if __name__ == "__main__":
    unittest.main()
