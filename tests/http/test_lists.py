"""Named lists of atoms (server/api/lists.c), which are kept in the state directory."""

import unittest

from test_auth import READ
from test_labels import Kept


class Lists(Kept):
    def test_a_list_is_kept(self):
        daemon = self.start()
        self.assertEqual(self.good(daemon, "GET", "/lists").json, {"lists": [], "total": 0})
        body = {"atoms": [5, 9, 1, 5], "description": "animals"}
        made = self.good(daemon, "PUT", "/lists/zoo-1", body, If_None_Match="*")
        self.assertEqual({name: made.json[name] for name in ("name", "atom_count", *body)},
                         {"name": "zoo-1", "atom_count": 4, **body})
        shown = self.good(daemon, "GET", "/lists/zoo-1", key=READ)
        self.assertEqual((shown.json, shown.headers["ETag"]), (made.json, made.headers["ETag"]))
        self.good(daemon, "GET", "/lists/zoo-1", If_None_Match=shown.headers["ETag"], status=304)
        self.good(daemon, "PUT", "/lists/empty", {"atoms": []})
        lists = self.good(daemon, "GET", "/lists").json
        self.assertEqual([(one["name"], one["atom_count"], one["description"]) for one in lists["lists"]],
                         [("empty", 0, None), ("zoo-1", 4, "animals")])
        self.assertEqual(daemon.stop(), 0)
        again = self.start()
        self.assertEqual(self.good(again, "GET", "/lists/zoo-1").json, shown.json)
        self.good(again, "DELETE", "/lists/zoo-1", status=204)
        self.assertEqual(self.ask(again, "GET", "/lists/zoo-1").json["code"], "unknown_list")
        self.assertEqual(self.ask(again, "DELETE", "/lists/zoo-1").status, 404)

    def test_conditions(self):
        daemon = self.start()
        self.good(daemon, "PUT", "/lists/a", {"atoms": [1]}, If_Match="*", status=412)
        first = self.good(daemon, "PUT", "/lists/a", {"atoms": [1]}, If_None_Match="*").headers["ETag"]
        self.good(daemon, "PUT", "/lists/a", {"atoms": [2]}, If_None_Match="*", status=412)
        second = self.good(daemon, "PUT", "/lists/a", {"atoms": [2]}, If_Match=first).headers["ETag"]
        self.good(daemon, "PUT", "/lists/a", {"atoms": [3]}, If_Match=first, status=412)
        self.good(daemon, "DELETE", "/lists/a", If_Match=first, status=412)
        self.good(daemon, "DELETE", "/lists/a", If_Match=second, status=204)

    def test_two_daemons(self):
        one, other = self.start(), self.start()
        self.good(one, "PUT", "/lists/a", {"atoms": [1, 2]})
        self.assertEqual(self.good(other, "GET", "/lists/a").json["atoms"], [1, 2])

    def test_refusals(self):
        daemon = self.start()
        for body, code, pointer in (({}, "missing_parameter", "/atoms"), ({"atoms": [48]}, "out_of_range", "/atoms/0"),
                                    ({"atoms": [1, -1]}, "out_of_range", "/atoms/1"), ({"atoms": 5}, "invalid_value", "/atoms"),
                                    ({"atoms": [1.5]}, "invalid_value", "/atoms/0"),
                                    ({"atoms": [], "no": 1}, "unknown_parameter", "/no"),
                                    ({"atoms": [], "description": "x" * 4097}, "out_of_range", "/description")):
            reply = self.ask(daemon, "PUT", "/lists/a", body)
            self.assertEqual((reply.status, reply.json["code"], reply.json["pointer"]), (400, code, pointer), body)
        for name in ("a%2Fb", "a%20b", "x" * 65, "%C3%A9"):
            self.assertEqual(self.ask(daemon, "PUT", "/lists/" + name, {"atoms": []}).status, 404, name)
        self.assertEqual(self.ask(daemon, "PUT", "/lists/a", {"atoms": []}, key=READ).status, 403)
        reply = self.ask(daemon, "PUT", "/lists/a", {"atoms": [1] * 65537})
        self.assertEqual((reply.status, reply.json["limit"]), (413, 65536))
        for i in range(1000):
            self.good(daemon, "PUT", "/lists/l%d" % i, {"atoms": []})
        reply = self.ask(daemon, "PUT", "/lists/more", {"atoms": []})
        self.assertEqual((reply.status, reply.json["code"], reply.json["limit"]), (413, "too_many", 1000))
        self.good(daemon, "PUT", "/lists/l5", {"atoms": [5]})


if __name__ == "__main__":
    unittest.main()
