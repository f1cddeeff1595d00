"""Every endpoint (server/api/{atoms,dictionaries,encode,fields,health,points,search}.c) answers what the
reference implementation says, in the shape that server/README.md shows."""

import array
import json
import struct
import unittest

from daemon import Daemon, dense, golden, read_safetensors, relative_error, rows

BASIC, TOPK = "/v1/dictionaries/basic", "/v1/dictionaries/topk"


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def cosine(a, b):
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


def first_rows(name, count, width):
    with open(golden(name), "rb") as file:
        data = file.read()
    numbers = array.array("f", data[10 + struct.unpack("<H", data[8:10])[0]:]).tolist()
    return [numbers[i * width:(i + 1) * width] for i in range(count)]


class Endpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expected, _ = read_safetensors(golden("dict-basic.expected.safetensors"))
        cls.checkpoint, _ = read_safetensors(golden("dict-basic.checkpoint.safetensors"))
        cls.topk_expected, cls.topk_settings = read_safetensors(golden("topk-mse.expected.safetensors"))
        cls.atoms = rows(cls.expected["fused"])
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"),
                            "--dictionary", "topk=" + golden("topk-mse.final.safetensors"),
                            "--dictionary", "mp=" + golden("mp-mse.final.safetensors"),
                            "--dictionary", "tied=" + golden("topk-mse-tied.final.safetensors"))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def get(self, path):
        reply = self.daemon.get(path)
        self.assertEqual(reply.status, 200, reply.body)
        self.assertEqual(reply.headers["Content-Type"], "application/json")
        return reply.json

    def post(self, path, value):
        reply = self.daemon.post(path, value)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json

    def close(self, got, expected, tolerance=1e-5):
        self.assertLessEqual(relative_error(got, expected), tolerance)

    # ---- health, dictionaries

    def test_health(self):
        self.assertEqual(self.get("/health/live"), {"status": "live"})
        self.assertEqual(self.get("/health/ready"), {"status": "ready"})

    def test_list_names_the_dictionaries_in_their_order(self):
        listed = self.get("/v1/dictionaries")["dictionaries"]
        self.assertEqual([one["name"] for one in listed], ["basic", "topk", "mp", "tied"])
        self.assertNotIn("settings", listed[0])

    def test_one_dictionary_is_described(self):
        (concepts, points), _ = self.checkpoint["dictionary.W"]
        one = self.get(BASIC)
        for key, value in {"name": "basic", "concepts": concepts, "points": points, "dtype": "f32",
                           "dimensions": self.expected["fused"][0][1], "sae": None, "encoder": None,
                           "has_encoder": False, "has_relaxation": True, "has_atom_labels": False,
                           "source": "checkpoint", "device": "cpu", "generation": 1}.items():
            self.assertEqual(one[key], value, key)
        self.assertGreater(one["bytes"], 0)
        self.assertGreater(one["archetypes"], 0)
        for name, former in (("atom_count", "concepts"), ("point_count", "points"), ("archetype_count", "archetypes")):
            self.assertEqual(one[name], one[former])
        self.assertNotIn("file", one)

    def test_settings_are_the_files(self):
        one = self.get(TOPK)
        self.assertEqual((one["sae"], one["encoder"], one["has_encoder"]), ("topk", "linear", True))
        self.assertEqual(one["settings"]["top_k"], int(self.topk_settings["top_k"]))
        self.assertEqual(one["settings"]["sae"], "topk")

    def test_requests_are_counted_for_each_dictionary(self):
        before = self.get(BASIC)["requests"]
        self.get(BASIC + "/atoms/0")
        self.assertGreaterEqual(self.get(BASIC)["requests"], before + 2)

    # ---- atoms

    def test_an_atom_is_the_row_of_the_fused_dictionary(self):
        atom = self.get(BASIC + "/atoms/5")
        self.close([atom["vector"]], [self.atoms[5]], 1e-6)
        self.assertAlmostEqual(atom["norm"], dot(self.atoms[5], self.atoms[5]) ** 0.5, places=4)
        relax = rows(self.expected["Relax_projected"])[5]
        self.assertAlmostEqual(atom["relaxation"]["norm"], dot(relax, relax) ** 0.5, places=5)
        self.assertIsNone(atom["label"])

    def test_archetypes_are_the_largest_contributions(self):
        weights = rows(self.expected["W_projected"])[3]
        atom = self.get(BASIC + "/atoms/3")
        archetypes = atom["archetypes"]
        shares = [one["contribution"] for one in archetypes]
        self.assertEqual(shares, sorted(shares, reverse=True))
        self.assertEqual(len({one["point"] for one in archetypes}), len(archetypes))
        for one in archetypes:
            self.assertAlmostEqual(one["weight"], weights[one["point"]], places=6)
            self.assertIsNone(one["label"])
        self.assertAlmostEqual(atom["coverage"], sum(one["weight"] for one in archetypes), places=5)
        self.assertLessEqual(abs(atom["hull_share"]), 1)
        self.assertLess(sum(shares) + atom["relaxation"]["share"], 1.5)
        self.assertIsNone(atom["trace"])

    def test_a_page_of_atoms(self):
        page = self.get(BASIC + "/atoms")
        self.assertEqual((page["offset"], page["limit"], page["total"]), (0, 10, len(self.atoms)))
        self.assertEqual([atom["atom"] for atom in page["atoms"]], list(range(10)))
        self.close([atom["vector"] for atom in page["atoms"]], self.atoms[:10], 1e-6)

    def test_pages_meet_and_the_last_is_short(self):
        seen = []
        for offset in range(0, len(self.atoms), 7):
            page = self.get("%s/atoms?offset=%d&limit=7&fields=norm" % (BASIC, offset))
            seen += [atom["atom"] for atom in page["atoms"]]
        self.assertEqual(seen, list(range(len(self.atoms))))

    def test_atoms_by_ids_keep_the_order_asked_for(self):
        for ids in ("9,1,5", "9%2C1%2C5"):
            reply = self.get(BASIC + "/atoms?ids=" + ids)
            self.assertEqual([atom["atom"] for atom in reply["atoms"]], [9, 1, 5])
            self.assertEqual(list(reply), ["atoms"])

    def test_atoms_by_post(self):
        for ids in [1], [2, 0, 1], [1, 1], [0] * 2000:
            reply = self.daemon.post(BASIC + "/atoms?fields=norm,label", {"ids": ids})
            self.assertEqual(reply.status, 200)
            self.assertEqual([atom["atom"] for atom in reply.json["atoms"]], ids)
        same = self.get(BASIC + "/atoms?ids=2,0,1")
        self.assertEqual(self.daemon.post(BASIC + "/atoms", {"ids": [2, 0, 1]}).json, same)
        raw = self.daemon.post(BASIC + "/atoms?format=raw", {"ids": [2, 0]})
        self.assertEqual(raw.body, self.daemon.get(BASIC + "/atoms?ids=2,0&format=raw").body)
        concepts = self.get(BASIC)["concepts"]
        for body, status, text in (({"ids": []}, 400, "ids is empty"), ({"ids": [-1]}, 400, "ids[0] is -1"),
                                   ({"ids": [0, 1.5]}, 400, "ids[1]"), ({"ids": "1"}, 400, "a list of atoms"),
                                   ({}, 400, "ids"), ({"ids": [0], "k": 1}, 400, '"k"'),
                                   ({"ids": [0, concepts]}, 400, "there is no atom %d" % concepts),
                                   ({"ids": [0] * 65537}, 413, "more than 65536 numbers")):
            reply = self.daemon.post(BASIC + "/atoms", body)
            self.assertEqual(reply.status, status, (str(body)[:50], reply.body))
            self.assertIn(text, reply.json["detail"])
        self.assertEqual(self.daemon.post(BASIC + "/atoms?fields=nothing", {"ids": [0]}).status, 400)
        self.assertEqual(self.daemon.post(BASIC + "/atoms?ids=1", {"ids": [0]}).status, 400)

    def test_fields_choose_the_parts(self):
        atom = self.get(BASIC + "/atoms/2?fields=norm,label")
        self.assertEqual(sorted(atom), ["atom", "label", "label_source", "norm"])
        atom = self.get(BASIC + "/atoms?limit=1&fields=vector")["atoms"][0]
        self.assertEqual(sorted(atom), ["atom", "vector"])
        atom = self.get(BASIC + "/atoms?ids=1&fields=archetypes,relaxation")["atoms"][0]
        self.assertEqual(sorted(atom), ["archetypes", "atom", "coverage", "hull_share", "relaxation"])
        self.assertEqual(self.get(BASIC + "/atoms/1?fields=trace"), {"atom": 1, "trace": None})

    def test_lists_may_come_in_several_parameters(self):
        for one, several in (("ids=9,1,5&fields=norm,label", "ids=9&fields=norm&ids=1&ids=5&fields=label"),
                             ("ids=9,1,5&fields=norm", "ids=9,1&ids=5&fields=norm&fields=norm"),
                             ("limit=3&fields=label,norm", "fields=label&limit=3&fields=norm")):
            self.assertEqual(self.get(BASIC + "/atoms?" + one), self.get(BASIC + "/atoms?" + several))
        many = [i % len(self.atoms) for i in range(300)]
        page = self.get(BASIC + "/atoms?fields=norm&" + "&".join("ids=%d" % i for i in many))
        self.assertEqual([atom["atom"] for atom in page["atoms"]], many)
        link = self.daemon.get(BASIC + "/atoms?fields=label&limit=3&fields=norm").headers["Link"]
        self.assertIn("?offset=3&limit=3&fields=label,norm>; rel=\"next\"", link)
        inputs = {"inputs": self.atoms[:2]}
        self.assertEqual(self.daemon.post(BASIC + "/steer?steer=5:2,7:-1", inputs).json,
                         self.daemon.post(BASIC + "/steer?steer=5:2&steer=7:-1", inputs).json)
        for target, text in (("/atoms?ids=1&ids=", "whole number"), ("/atoms?limit=1&limit=1", "twice"),
                             ("/atoms?ids=1&ids=99", "99"), ("/atoms?fields=norm&fields=nothing", "nothing"),
                             ("/atoms?ids=" + "1," * 500 + "1&ids=" + "1," * 500 + "1", "1000")):
            reply = self.daemon.get(BASIC + target)
            self.assertEqual(reply.status, 413 if text == "1000" else 400, target)
            self.assertIn(text, reply.json["detail"])

    # ---- neighbors and search

    def check_ranking(self, found, vector, score, left_out=()):
        scores = {i: score(vector, atom) for i, atom in enumerate(self.atoms) if i not in left_out}
        order = sorted(scores, key=lambda i: -scores[i])
        self.assertEqual([one["atom"] for one in found], order[:len(found)])
        for one in found:
            self.assertAlmostEqual(one["score"], scores[one["atom"]], places=4)
            self.assertIn("label", one)

    def test_neighbors(self):
        for metric, score in (("cosine", cosine), ("dot", dot)):
            reply = self.get("%s/atoms/5/neighbors?k=4&metric=%s" % (BASIC, metric))
            self.assertEqual((reply["atom"], reply["metric"], len(reply["neighbors"])), (5, metric, 4))
            self.check_ranking(reply["neighbors"], self.atoms[5], score, left_out=(5,))

    def test_neighbors_are_ten_by_cosine_when_nothing_is_said(self):
        reply = self.get(BASIC + "/atoms/0/neighbors")
        self.assertEqual((reply["metric"], len(reply["neighbors"])), ("cosine", 10))
        others = len(self.atoms) - 1
        reply = self.get("%s/atoms/0/neighbors?k=%d" % (BASIC, others))
        self.assertEqual(len(reply["neighbors"]), others)

    def test_search_has_one_list_a_vector(self):
        vectors = [self.atoms[3], [-x for x in self.atoms[8]], [1.0] * len(self.atoms[0])]
        for metric, score in (("cosine", cosine), ("dot", dot)):
            reply = self.post(BASIC + "/search", {"vectors": vectors, "k": 5, "metric": metric})
            self.assertEqual(reply["metric"], metric)
            self.assertEqual([len(found) for found in reply["results"]], [5, 5, 5])
            for vector, found in zip(vectors, reply["results"]):
                self.check_ranking(found, vector, score)

    def test_search_of_an_atom_finds_it(self):
        found = self.post(BASIC + "/search", {"vectors": [self.atoms[3]]})["results"][0]
        self.assertEqual((found[0]["atom"], len(found)), (3, 10))
        self.assertAlmostEqual(found[0]["score"], 1, places=5)

    # ---- reconstruct, encode, explain

    def test_reconstructions_are_the_references_dense_and_sparse(self):
        latents, wanted = rows(self.expected["z"]), rows(self.expected["x_hat_eval"])
        self.close(self.post(BASIC + "/reconstruct", {"latents": latents})["reconstructions"], wanted)
        indices = [[i for i, value in enumerate(row) if value] for row in latents]
        values = [[value for value in row if value] for row in latents]
        sparse = {"latents": {"indices": indices, "values": values}}
        self.close(self.post(BASIC + "/reconstruct", sparse)["reconstructions"], wanted)

    def test_a_row_without_latents_reconstructs_to_zeros(self):
        reply = self.post(BASIC + "/reconstruct", {"latents": {"indices": [[], [0]], "values": [[], [2]]}})
        self.assertEqual(set(reply["reconstructions"][0]), {0})
        self.close(reply["reconstructions"][1:], [[2 * x for x in self.atoms[0]]], 1e-6)

    def first_batch(self):
        codes = rows(self.topk_expected["eval.codes"])
        return first_rows("topk-mse.x.npy", len(codes), self.topk_expected["eval.x_hat"][0][1]), codes

    def test_codes_are_the_references(self):
        inputs, codes = self.first_batch()
        reply = self.post(TOPK + "/encode", {"inputs": inputs})
        for row in reply["indices"]:
            self.assertEqual(row, sorted(set(row)))
        self.close(dense(reply, len(codes[0])), codes)

    def test_codes_go_back_to_the_references_reconstruction(self):
        inputs, _ = self.first_batch()
        codes = self.post(TOPK + "/encode", {"inputs": inputs})
        reply = self.post(TOPK + "/reconstruct", {"latents": codes})
        self.close(reply["reconstructions"], rows(self.topk_expected["eval.x_hat"]))

    def test_dictionaries_that_encode_by_themselves(self):
        for name, run, sae, encoder in [("mp", "mp-mse", "mp", "identity"),
                                        ("tied", "topk-mse-tied", "topk", "tied")]:
            path, (expected, _) = "/v1/dictionaries/" + name, read_safetensors(golden(run + ".expected.safetensors"))
            described, codes = self.get(path), rows(expected["eval.codes"])
            self.assertEqual((described["sae"], described["encoder"], described["has_encoder"]),
                             (sae, encoder, True))
            inputs = first_rows(run + ".x.npy", len(codes), described["dimensions"])
            reply = self.post(path + "/encode", {"inputs": inputs})
            self.close(dense(reply, len(codes[0])), codes)
            for one, code in zip(self.post(path + "/explain", {"inputs": inputs})["explanations"], codes):
                self.assertEqual({entry["atom"] for entry in one["concepts"]}, {i for i, z in enumerate(code) if z})

    def test_explanations_add_up(self):
        inputs, codes = self.first_batch()
        x_hats = rows(self.topk_expected["eval.x_hat"])
        reply = self.post(TOPK + "/explain?fields=label,archetypes", {"inputs": inputs})["explanations"]
        self.assertEqual(len(reply), len(inputs))
        for x, code, x_hat, one in zip(inputs, codes, x_hats, reply):
            concepts = one["concepts"]
            self.assertEqual({entry["atom"] for entry in concepts}, {i for i, z in enumerate(code) if z})
            for entry in concepts:
                self.assertAlmostEqual(entry["code"], code[entry["atom"]], places=4)
                self.assertIsNone(entry["label"])
                self.assertGreater(len(entry["archetypes"]), 0)
            shares = [entry["contribution"] for entry in concepts]
            self.assertEqual(shares, sorted(shares, key=lambda share: -abs(share)))
            self.assertAlmostEqual(sum(shares), dot(x_hat, x) / dot(x, x), places=4)
            residual = [a - b for a, b in zip(x, x_hat)]
            self.assertEqual((one["residual_norm"], one["input_norm"]), (one["residual"]["norm"], one["input"]["norm"]))
            self.assertAlmostEqual(one["residual_norm"], dot(residual, residual) ** 0.5, places=4)
            self.assertAlmostEqual(one["input"]["norm"], dot(x, x) ** 0.5, places=4)
            mean = sum(x) / len(x)
            around = [a - mean for a in x]
            self.assertAlmostEqual(one["r2"], 1 - dot(residual, residual) / dot(around, around), places=3)

    def test_an_explanation_is_light_unless_more_is_asked_for(self):
        inputs, codes = self.first_batch()
        active = [sum(1 for z in code if z) for code in codes]
        light = self.post(TOPK + "/explain", {"inputs": inputs})["explanations"]
        self.assertEqual(list(light[0]["concepts"][0]),
                         ["atom", "code", "contribution", "label", "label_source"])
        self.assertEqual([one["active"] for one in light], active)
        everything = self.post(TOPK + "/explain?fields=all", {"inputs": inputs})["explanations"]
        atom = self.get(TOPK + "/atoms/%d" % everything[0]["concepts"][0]["atom"])
        self.assertEqual({**everything[0]["concepts"][0], **atom}, everything[0]["concepts"][0])
        for body, query in ({"inputs": inputs, "k": 2}, ""), ({"inputs": inputs}, "?k=2"), (
                {"inputs": inputs, "k": 2}, "?k=2"):
            first = self.post(TOPK + "/explain" + query, body)["explanations"]
            self.assertEqual([one["concepts"] for one in first], [one["concepts"][:2] for one in light])
            self.assertEqual([one["active"] for one in first], active)  # more than are listed
            self.assertEqual([one["r2"] for one in first], [one["r2"] for one in light])
        many = self.post(TOPK + "/explain?k=1000", {"inputs": inputs})["explanations"]
        self.assertEqual(many, light)

    def test_an_input_of_zeros_has_no_shares(self):
        width = len(self.first_batch()[0][0])
        one = self.post(TOPK + "/explain", {"inputs": [[0] * width]})["explanations"][0]
        self.assertEqual(one["input"]["norm"], 0)
        self.assertIsNone(one["r2"])  # undefined for a constant input, and JSON has no NaN

    # ---- search and neighbors with parts of atoms

    def test_matches_have_the_parts_that_are_asked_for(self):
        light = self.post(BASIC + "/search", {"vectors": self.atoms[:2], "k": 3})
        self.assertEqual(set(light["results"][0][0]), {"atom", "score", "label", "label_source"})
        self.assertEqual(list(light), ["results", "metric"])
        reply = self.post(BASIC + "/search?fields=norm,vector", {"vectors": self.atoms[:2], "k": 3})
        for row, expected in zip(reply["results"], light["results"]):
            for match, one in zip(row, expected):
                self.assertEqual((match["atom"], match["score"]), (one["atom"], one["score"]))
                self.assertEqual(set(match), {"atom", "score", "norm", "vector"})
                self.close([match["vector"]], [self.atoms[match["atom"]]], 1e-6)
        everything = self.get(BASIC + "/atoms/4/neighbors?k=2&fields=all")["neighbors"]
        for match in everything:
            self.assertEqual(self.get(BASIC + "/atoms/%d?fields=all" % match["atom"]),
                             {key: value for key, value in match.items() if key != "score"})
        self.assertEqual(self.daemon.get(BASIC + "/atoms/4/neighbors?fields=size").status, 400)
        self.assertEqual(self.post(BASIC + "/search?metric=dot", {"vectors": self.atoms[:1]})["units"], "data")

    def test_search_by_atoms(self):
        for metric in "cosine", "dot":
            by_atoms = self.post(BASIC + "/search", {"atoms": [7, 3, 7], "k": 5, "metric": metric})
            by_vectors = self.post(BASIC + "/search", {"vectors": [self.atom(7), self.atom(3), self.atom(7)],
                                                       "k": 5, "metric": metric})
            self.assertEqual(by_atoms, by_vectors)
            others = self.post(BASIC + "/search", {"atoms": [7, 3], "exclude_self": True, "k": 5, "metric": metric})
            for atom, found in zip((7, 3), others["results"]):
                path = "%s/atoms/%d/neighbors?k=5&metric=%s" % (BASIC, atom, metric)
                self.assertEqual(found, self.get(path)["neighbors"])
        count = len(self.atoms)
        most = self.post(BASIC + "/search?exclude_self=true", {"atoms": [7], "k": count - 1})["results"][0]
        self.assertEqual({one["atom"] for one in most}, set(range(count)) - {7})
        for body, query, part in (
                ({"atoms": [count]}, "", "there is no atom %d: dictionary basic has" % count),
                ({"vectors": self.atoms[:1], "exclude_self": True}, "", "by vectors"),
                ({"inputs": self.atoms[:1]}, "?exclude_self=true", "by inputs"),
                ({"atoms": [7], "exclude_self": True}, "?exclude_self=false", "the two differ"),
                ({"atoms": [7]}, "?exclude_self=yes", "expected false or true"),
                ({"atoms": [7]}, "?as=vectors", "the two differ"),
                ({"k": 3}, "", 'no member "vectors", "inputs" or "atoms"')):
            reply = self.daemon.post(BASIC + "/search" + query, body)
            self.assertEqual(reply.status, 400)
            self.assertIn(part, reply.json["error"])

    def atom(self, number):
        return self.get(BASIC + "/atoms/%d" % number)["vector"]

    # ---- the same parameter in the query and in the body

    def test_query_and_body_must_agree(self):
        vectors, (inputs, _) = self.atoms[:1], self.first_batch()
        push = [{"atom": 5, "scale": 2}, {"atom": 7, "scale": -0.5}]
        for path, body, same, other in (
                (BASIC + "/search", {"vectors": vectors, "k": 2}, "k=2", "k=3"),
                (BASIC + "/search", {"vectors": vectors, "metric": "dot"}, "metric=dot", "metric=cosine"),
                (BASIC + "/search", {"vectors": vectors}, "as=vectors", "as=inputs"),
                (BASIC + "/search", {"inputs": vectors}, "as=inputs", "as=vectors"),
                (BASIC + "/search", {"atoms": [1], "exclude_self": True}, "exclude_self=true", "exclude_self=false"),
                (TOPK + "/explain", {"inputs": inputs, "k": 2}, "k=2", "k=3"),
                (TOPK + "/steer", {"inputs": inputs, "steer": push}, "steer=5:2,7:-0.5", "steer=5:1"),
                (TOPK + "/steer", {"inputs": inputs, "steer": push}, "steer=5:2&steer=7:-5e-1", "steer=7:-0.5,5:2"),
                (TOPK + "/steer", {"inputs": inputs, "steer": push, "on": "input"}, "on=input", "on=reconstruction")):
            wanted = self.post(path, body)
            self.assertEqual(self.post(path + "?" + same, body), wanted)
            reply = self.daemon.post(path + "?" + other, body)
            self.assertEqual(reply.status, 400, (path, other))
            self.assertIn("%s is in the query and in the body" % other.split("=")[0], reply.json["error"])

    # ---- NDJSON: one object per line, and a last line that says so

    def lines(self, reply):
        self.assertEqual(reply.status, 200, reply.body)
        self.assertEqual(reply.headers["Content-Type"], "application/x-ndjson")
        self.assertTrue(reply.body.endswith(b"\n"))
        lines = [json.loads(line) for line in reply.body.splitlines()]
        last = lines.pop()
        self.assertEqual((last.pop("complete"), last.pop("lines")), (True, len(lines)))
        return lines, last

    def test_lists_as_ndjson(self):
        inputs, _ = self.first_batch()
        accept = {"Accept": "application/x-ndjson"}
        page = self.get(TOPK + "/atoms?offset=3&limit=4")
        lines, last = self.lines(self.daemon.get(TOPK + "/atoms?offset=3&limit=4&format=ndjson"))
        self.assertEqual({"atoms": lines, **last}, page)
        self.assertEqual(self.lines(self.daemon.get(TOPK + "/atoms?ids=5,1", headers=accept)),
                         (self.get(TOPK + "/atoms?ids=5,1")["atoms"], {}))
        self.assertEqual(self.lines(self.daemon.post(TOPK + "/atoms", {"ids": [2, 2]}, headers=accept))[0],
                         self.post(TOPK + "/atoms", {"ids": [2, 2]})["atoms"])
        lines, last = self.lines(self.daemon.post(TOPK + "/explain?k=3", {"inputs": inputs}, headers=accept))
        self.assertEqual({"explanations": lines, **last}, self.post(TOPK + "/explain?k=3", {"inputs": inputs}))
        body = {"inputs": inputs, "k": 2, "metric": "dot"}
        lines, last = self.lines(self.daemon.post(TOPK + "/search", body, headers=accept))
        self.assertEqual({"results": [line["matches"] for line in lines], **last}, self.post(TOPK + "/search", body))
        refused = self.daemon.post(TOPK + "/explain", {"inputs": [[1]]}, headers=accept)
        self.assertEqual((refused.status, refused.headers["Content-Type"]), (400, "application/problem+json"))
        self.assertEqual(self.daemon.post(TOPK + "/encode", {"inputs": inputs}, headers=accept).status, 406)

    # ---- points

    def test_a_point_lists_its_atoms(self):
        weights = rows(self.expected["W_projected"])
        reply = self.get(BASIC + "/points/2")
        self.assertEqual((reply["point"], reply["label"], reply["rows"]), (2, None, None))
        self.close([reply["vector"]], [rows(self.checkpoint["dictionary.C"])[2]], 1e-6)
        self.assertGreater(len(reply["atoms"]), 0)
        shares = [use["weight"] for use in reply["atoms"]]
        self.assertEqual(shares, sorted(shares, reverse=True))
        for use in reply["atoms"]:
            self.assertAlmostEqual(use["weight"], weights[use["atom"]][2], places=6)


if __name__ == "__main__":
    unittest.main()
