"""Labels that are set while serving (server/api/labels.c, server/state/{store,set_labels,database}.c, server/codec/json/changes.c): where
they show, whose change wins, and what is left of them after a reload, a restart, a kill, and next to a second daemon."""

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from daemon import PROGRAM, Daemon, golden, obeying_permissions, wait_for
from test_auth import ADMIN, READ, Keys, bearer

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
D, K, TOPK = "/v1/dictionaries/topk", 48, golden("topk-mse.final.safetensors")


class Kept(unittest.TestCase):
    def setUp(self):
        self.keys = Keys(self)
        self.folder = tempfile.mkdtemp(prefix="rasaed-state-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.state = os.path.join(self.folder, "state")

    def start(self, *arguments, **how):
        daemon = Daemon("--dictionary", "topk=" + TOPK, "--keys", self.keys.path, "--state", self.state, *arguments, **how)
        self.addCleanup(daemon.__exit__, None, None, None)
        return daemon

    @staticmethod
    def ask(daemon, method, path, body=None, key=ADMIN, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if not isinstance(body, (bytes, str, type(None))):
            body = json.dumps(body)
        return daemon.request(method, D + path, body, headers={**bearer(key), **headers})

    def good(self, *arguments, status=200, **more):
        reply = self.ask(*arguments, **more)
        self.assertEqual(reply.status, status, reply.body[:500])
        return reply


class Labels(Kept):
    def test_a_label_is_set_and_taken_back(self):
        daemon = self.start()
        before = self.good(daemon, "GET", "/atoms/5/label")
        self.assertEqual(before.json["changed_at"], None)
        revision = before.headers["X-Dictionary-Revision"]
        words = {"label": "dog, “Hund”", "explanation": "any dog\nnot wolves", "source": "gpt-4o", "score": 0.75}
        reply = self.good(daemon, "PUT", "/atoms/5/label", words)
        self.assertEqual({name: reply.json[name] for name in words}, words)
        self.assertEqual((reply.json["atom"], reply.json["label_source"]), (5, "set"))
        self.assertNotEqual(reply.json["changed_at"], None)
        shown = self.good(daemon, "GET", "/atoms/5/label", key=READ)
        self.assertEqual((shown.json, shown.headers["ETag"]), (reply.json, reply.headers["ETag"]))
        self.assertNotEqual(before.headers["ETag"], shown.headers["ETag"])
        self.assertEqual(shown.headers["X-Dictionary-Revision"], revision)  # that of the file
        back = self.good(daemon, "DELETE", "/atoms/5/label")
        self.assertEqual(back.json, before.json)
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "a"})
        self.assertEqual([self.ask(daemon, "GET", "/atoms/5/label").json[name] for name in words], ["a", None, None, None])

    def test_it_shows_wherever_labels_do(self):
        daemon = self.start()
        inputs = [[1.0] * 16, [-2.0, 1.0] * 8]
        atom = self.good(daemon, "POST", "/explain", {"inputs": inputs}).json["explanations"][0]["concepts"][0]["atom"]
        paths = {"/atoms/%d" % atom: None, "/atoms?ids=%d&fields=label,explanation" % atom: None,
                 "/atoms?offset=%d&limit=1" % atom: None, "/atoms?sort=norm&limit=1000": None, "/table?columns=index,label": None,
                 "/table?columns=label&format=csv": None, "/search": {"atoms": [atom], "k": 3},
                 "/explain": {"inputs": inputs}, "/atoms/%d/neighbors?k=47" % ((atom + 1) % K): None}
        before = {path: self.good(daemon, "POST" if body else "GET", path, body) for path, body in paths.items()}
        for reply in before.values():
            self.assertNotIn(b"wombat", reply.body)
        self.good(daemon, "PUT", "/atoms/%d/label" % atom, {"label": "a wombat", "source": "me", "score": 1})
        for path, body in paths.items():
            reply = self.good(daemon, "POST" if body else "GET", path, body)
            self.assertIn(b"a wombat", reply.body, path)
            if not body and "csv" not in path:
                self.good(daemon, "GET", path, If_None_Match=before[path].headers["ETag"])  # another one by now
                self.good(daemon, "GET", path, If_None_Match=reply.headers["ETag"], status=304)
                self.assertNotIn("Last-Modified", reply.headers)
        one = self.good(daemon, "GET", "/atoms/%d" % atom).json
        self.assertEqual((one["label_source"], one["explanation"]), ("set", {"text": None, "source": "me", "score": 1}))
        self.assertEqual(self.good(daemon, "GET", "/atoms/%d" % ((atom + 1) % K)).json["explanation"], None)
        found = self.good(daemon, "GET", "/atoms?q=womb&fields=label").json
        self.assertEqual([(a["atom"], a["matched"], a["label"]) for a in found["atoms"]], [(atom, "label", "a wombat")])
        self.good(daemon, "PUT", "/atoms/%d/label" % atom, {"label": "an emu"})
        self.assertEqual(self.good(daemon, "GET", "/atoms?q=womb").json["total"], 0)
        self.assertEqual(self.good(daemon, "GET", "/atoms?q=EM").json["total"], 1)

    def test_a_set_label_hides_that_of_the_file(self):
        labels, fused = os.path.join(self.folder, "labels"), os.path.join(self.folder, "fused")
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("fox %d\n" % (row % 4) for row in range(1280))
        subprocess.run([RASAE, "fuse", TOPK, "-o", fused], check=True, capture_output=True)
        subprocess.run([RASAE, "eval", fused, golden("topk-mse.x.npy"), "--labels", labels, "--save", fused], check=True,
                       capture_output=True)
        daemon = Daemon("--dictionary", "topk=" + fused, "--keys", self.keys.path, "--state", self.state)
        self.addCleanup(daemon.__exit__, None, None, None)
        own = [a["atom"] for a in self.good(daemon, "GET", "/atoms?q=fox&limit=100").json["atoms"] if a["matched"] == "label"]
        self.good(daemon, "PUT", "/atoms/%d/label" % own[0], {"label": "hen"})
        again = [a["atom"] for a in self.good(daemon, "GET", "/atoms?q=fox&limit=100").json["atoms"] if a["matched"] == "label"]
        self.assertEqual(again, own[1:])

    def test_what_is_set_hides_what_the_file_explains(self):
        words, fused = os.path.join(self.folder, "words.jsonl"), os.path.join(self.folder, "fused.safetensors")
        with open(words, "w", encoding="utf-8") as file:
            file.write(json.dumps({"atom": 5, "label": "dog", "explanation": "any\ndog", "source": "me", "score": 0.5}) + "\n" +
                       json.dumps({"atom": 6, "label": "cat"}))
        subprocess.run([RASAE, "label", TOPK, words, "-o", fused], check=True, capture_output=True)
        daemon = Daemon("--dictionary", "topk=" + fused, "--keys", self.keys.path, "--state", self.state)
        self.addCleanup(daemon.__exit__, None, None, None)
        explanation = {"text": "any\ndog", "source": "me", "score": 0.5}
        first = self.good(daemon, "GET", "/atoms/5/label")
        self.assertEqual(first.json, {"atom": 5, "label": "dog", "label_source": "file", "explanation": "any\ndog", "source": "me",
                                      "score": 0.5, "changed_at": None})
        for path in ("/atoms?offset=5&limit=1", "/atoms?ids=5&fields=explanation", "/atoms?q=dog&fields=explanation"):
            self.assertEqual(self.good(daemon, "GET", path).json["atoms"][0]["explanation"], explanation, path)
        self.assertEqual(self.good(daemon, "POST", "/atoms?fields=explanation", {"ids": [5]}).json["atoms"][0]["explanation"], explanation)
        self.assertEqual(self.good(daemon, "GET", "/atoms/6").json["explanation"], None)
        self.assertEqual(self.good(daemon, "GET", "/labels").json["total"], 0)  # only those that were set
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "wolf"})
        atom = self.good(daemon, "GET", "/atoms/5").json
        self.assertEqual((atom["label"], atom["explanation"]), ("wolf", None))
        back = self.good(daemon, "DELETE", "/atoms/5/label")
        self.assertEqual((back.json, back.headers["ETag"]), (first.json, first.headers["ETag"]))
        self.assertEqual(self.good(daemon, "GET", "/atoms/5").json["explanation"], explanation)
        # a download has it
        saved = os.path.join(self.folder, "saved.safetensors")
        with open(saved, "wb") as file:
            file.write(self.good(daemon, "GET", "/dictionary?format=safetensors").body)
        with Daemon("--dictionary", "topk=" + saved) as other:
            reply = other.get(D + "/atoms/5")
            self.assertEqual(reply.json["explanation"], explanation)
            self.assertEqual(reply.headers["X-Dictionary-Revision"], first.headers["X-Dictionary-Revision"])

    def test_conditions(self):
        daemon = self.start()
        first = self.good(daemon, "GET", "/atoms/7/label").headers["ETag"]
        self.good(daemon, "PUT", "/atoms/7/label", {"label": "a"}, If_None_Match="*")
        self.good(daemon, "PUT", "/atoms/7/label", {"label": "b"}, If_None_Match="*", status=412)
        self.good(daemon, "PUT", "/atoms/7/label", {"label": "b"}, If_Match=first, status=412)
        tag = self.good(daemon, "GET", "/atoms/7/label").headers["ETag"]
        later = self.good(daemon, "PUT", "/atoms/7/label", {"label": "b"}, If_Match=tag).headers["ETag"]
        self.assertNotEqual(tag, later)
        self.good(daemon, "DELETE", "/atoms/7/label", If_Match=tag, status=412)
        self.assertEqual(self.good(daemon, "GET", "/atoms/7/label").json["label"], "b")
        self.good(daemon, "DELETE", "/atoms/7/label", If_Match=later)
        self.good(daemon, "PUT", "/atoms/7/label", {"label": "c"}, If_Match=first)
        self.good(daemon, "DELETE", "/atoms/7/label")
        again = self.good(daemon, "PUT", "/atoms/7/label", {"label": "a"}).headers["ETag"]
        self.assertNotIn(again, (tag, later))  # a tag never comes back
        long = {"label": "x", "explanation": "words " * 500}  # that is packed
        self.good(daemon, "PUT", "/atoms/7/label", long)
        packed = self.good(daemon, "GET", "/atoms/7/label", Accept_Encoding="gzip").headers["ETag"]
        self.assertIn("gzip", packed)
        self.good(daemon, "PUT", "/atoms/7/label", {"label": "y"}, If_Match=packed)

    def test_who_may(self):
        daemon = self.start()
        for method in ("PUT", "DELETE"):
            reply = self.ask(daemon, method, "/atoms/5/label", {"label": "a"} if method == "PUT" else None, key=READ)
            self.assertEqual((reply.status, reply.json["code"]), (403, "admin_key_required"))
        with Daemon("--dictionary", "topk=" + TOPK, "--keys", self.keys.path) as bare:
            for method, path, body in (("PUT", "/atoms/5/label", {"label": "a"}), ("DELETE", "/atoms/5/label", None),
                                       ("POST", "/labels", {"labels": []}), ("GET", "/lists", None)):
                reply = self.ask(bare, method, path, body)
                self.assertEqual((reply.status, reply.json["code"]), (403, "state_disabled"), path)
                self.assertIn("--state", reply.json["detail"])
            self.assertEqual(self.good(bare, "GET", "/labels").json["total"], 0)
            self.assertFalse(bare.get("/v1", headers=bearer(READ)).json["keeps_changes"])
        self.assertTrue(daemon.get("/v1", headers=bearer(READ)).json["keeps_changes"])
        with Daemon("--dictionary", "topk=" + TOPK, "--state", self.state) as open_one:
            reply = self.ask(open_one, "PUT", "/atoms/5/label", {"label": "a"})
            self.assertEqual((reply.status, reply.json["code"]), (403, "changes_disabled"))

    def test_what_is_no_label(self):
        daemon = self.start()
        for body, code, pointer in (({}, "missing_parameter", "/label"), ({"label": None}, "invalid_value", "/label"),
                                    ({"label": ""}, "out_of_range", "/label"), ({"label": "x" * 1025}, "out_of_range", "/label"),
                                    ({"label": 5}, "invalid_value", "/label"), ({"label": "a\u0000b"}, "invalid_value", "/label"),
                                    ({"label": "a", "score": "x"}, "invalid_value", "/score"),
                                    ({"label": "a", "atom": 5}, "unknown_parameter", "/atom"),
                                    ({"label": "a", "explanation": "x" * 16385}, "out_of_range", "/explanation")):
            reply = self.ask(daemon, "PUT", "/atoms/5/label", body)
            self.assertEqual((reply.status, reply.json["code"], reply.json["pointer"]), (400, code, pointer), str(body)[:80])
        self.assertEqual(self.ask(daemon, "PUT", "/atoms/48/label", {"label": "a"}).json["code"], "unknown_atom")
        self.assertEqual(self.good(daemon, "GET", "/labels").json["total"], 0)

    def test_export_and_import(self):
        daemon = self.start()
        wanted = [{"atom": atom, "label": "label %d" % atom, "explanation": None if atom % 2 else "why\n%d" % atom,
                   "source": "test", "score": atom / 8} for atom in range(0, K, 3)]
        reply = self.good(daemon, "POST", "/labels", {"labels": wanted})
        self.assertEqual(reply.json, {"set": len(wanted), "removed": 0})
        page = self.good(daemon, "GET", "/labels?limit=5&offset=2").json
        self.assertEqual((page["total"], [one["atom"] for one in page["labels"]]), (len(wanted), [6, 9, 12, 15, 18]))
        exported = self.good(daemon, "GET", "/labels?format=ndjson").body
        lines = [json.loads(line) for line in exported.splitlines()]
        self.assertEqual(lines.pop(), {"complete": True, "lines": len(wanted)})
        self.assertEqual([{name: one[name] for name in wanted[0]} for one in lines], wanted)
        removed = "".join(json.dumps({"atom": one["atom"], "label": None}) + "\n" for one in wanted)
        ndjson = {"Content_Type": "application/x-ndjson"}
        self.assertEqual(self.good(daemon, "POST", "/labels", removed, **ndjson).json, {"set": 0, "removed": len(wanted)})
        self.assertEqual(self.good(daemon, "GET", "/labels").json["total"], 0)
        self.assertEqual(self.good(daemon, "POST", "/labels", exported, **ndjson).json, {"set": len(wanted), "removed": 0})
        again = [json.loads(line) for line in self.good(daemon, "GET", "/labels?format=ndjson").body.splitlines()]
        self.assertEqual([{name: one[name] for name in wanted[0]} for one in again[:-1]], wanted)
        # and the artifact takes what was exported
        path, out = os.path.join(self.folder, "labels.ndjson"), os.path.join(self.folder, "labeled.safetensors")
        with open(path, "wb") as file:
            file.write(exported)
        said = subprocess.run([RASAE, "label", TOPK, path, "-o", out, "--json"], check=True, capture_output=True, timeout=60).stdout
        self.assertEqual(json.loads(said), {"concepts": K, "set": len(wanted), "removed": 0, "labeled": len(wanted)})
        with Daemon("--dictionary", "topk=" + out) as other:
            for one in wanted:
                atom = other.get(D + "/atoms/%d" % one["atom"]).json
                self.assertEqual((atom["label"], atom["label_source"]), (one["label"], "file"))
                self.assertEqual(atom["explanation"], {"text": one["explanation"], "source": "test", "score": one["score"]})
        # and what the artifact exports is what the daemon has exported, and takes
        subprocess.run([RASAE, "export", out, "--to", "labels", "-o", path + ".d"], check=True, capture_output=True)
        with open(os.path.join(path + ".d", "labels.jsonl"), "rb") as file:
            of_artifact = file.read()
        self.assertEqual([json.loads(line) for line in of_artifact.splitlines()[:-1]],
                         [{name: value for name, value in one.items() if name != "changed_at"} for one in lines])
        self.assertEqual(self.good(daemon, "POST", "/labels", of_artifact, **ndjson).json, {"set": len(wanted), "removed": 0})
        # all or nothing
        bad = b'{"atom": 1, "label": "good"}\n\n{"atom": 48, "label": "bad"}\n'
        self.assertEqual(self.ask(daemon, "POST", "/labels", bad, **ndjson).json["code"], "out_of_range")
        reply = self.ask(daemon, "POST", "/labels", b'{"atom": 1, "label": "good"}\n{"atom": 2}\n', **ndjson)
        self.assertEqual((reply.status, reply.json["code"]), (400, "missing_parameter"))
        self.assertIn("line 2", reply.json["detail"])
        self.assertEqual(self.good(daemon, "GET", "/labels").json["total"], len(wanted))
        many = {"labels": [{"atom": i % K, "label": "x"} for i in range(65537)]}
        reply = self.ask(daemon, "POST", "/labels", many)
        self.assertEqual((reply.status, reply.json["limit"]), (413, 65536))

    def test_it_outlives_reload_restart_and_another_name(self):
        daemon = self.start()
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "kept"})
        tag = self.good(daemon, "GET", "/atoms/5/label").headers["ETag"]
        self.good(daemon, "POST", "/reload")
        self.assertEqual(self.good(daemon, "GET", "/atoms/5").json["label"], "kept")
        self.assertEqual(daemon.stop(), 0)
        other = Daemon("--dictionary", "topk=" + TOPK, "--dictionary", "same=" + TOPK, "--dictionary",
                       "basic=" + golden("dict-basic.checkpoint.safetensors"), "--keys", self.keys.path, "--state", self.state)
        self.addCleanup(other.__exit__, None, None, None)
        self.assertEqual(self.good(other, "GET", "/atoms/5/label").headers["ETag"], tag)
        labels = {name: other.get("/v1/dictionaries/%s/atoms/5" % name, headers=bearer(READ)).json["label"]
                  for name in ("topk", "same", "basic")}
        self.assertEqual((labels["topk"], labels["same"]), ("kept", "kept"))
        self.assertNotEqual(labels["basic"], "kept")


class Several(Kept):
    def test_two_daemons_lose_nothing_and_see_each_other(self):
        daemons = [self.start(), self.start()]
        failures = []

        def work(which):
            for i in range(40):
                atom = (2 * i + which) % K
                reply = self.ask(daemons[which], "PUT", "/atoms/%d/label" % atom, {"label": "%d of %d" % (i, which)})
                if reply.status != 200:
                    failures.append(reply.body)
        threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        wanted = {(2 * i + which) % K: "%d of %d" % (i, which) for which in (0, 1) for i in range(40)}

        def labels(daemon):
            return {one["atom"]: one["label"] for one in self.good(daemon, "GET", "/labels?limit=100").json["labels"]}
        for daemon in daemons:
            wait_for(lambda: labels(daemon) == wanted, "all labels of both")
        # one may not write over what the other has written, though it has not seen it yet
        tag = self.good(daemons[0], "GET", "/atoms/3/label").headers["ETag"]
        self.good(daemons[1], "PUT", "/atoms/3/label", {"label": "new"}, If_Match=tag)
        self.good(daemons[0], "PUT", "/atoms/3/label", {"label": "old"}, If_Match=tag, status=412)

    def test_a_kill_loses_nothing_that_was_answered(self):
        """possible: what each atom may show. Once a change was answered it is that change alone; the one that the kill cut off may
        have happened or not."""
        numbers, possible = random.Random(3), {}
        for turn in range(6):
            daemon, answers, failures = self.start(), [], []
            enough, wanted = threading.Event(), numbers.randrange(5, 25)

            def write():
                while True:
                    atom, label = numbers.randrange(K), "%d.%d" % (turn, len(answers))
                    possible.setdefault(atom, {None}).add(label)
                    try:
                        reply = self.ask(daemon, "PUT", "/atoms/%d/label" % atom, {"label": label})
                    except (OSError, http.client.HTTPException):
                        return  # the connection ended
                    if reply.status != 200:
                        failures.append(reply.body)
                        return enough.set()
                    possible[atom] = {label}
                    answers.append(atom)
                    if len(answers) >= wanted:
                        enough.set()
            thread = threading.Thread(target=write)
            thread.start()
            self.assertTrue(enough.wait(120))
            daemon.send(signal.SIGKILL)
            daemon.process.wait()
            thread.join()
            self.assertEqual(failures, [])
            self.assertGreaterEqual(len(answers), wanted)
            after = self.start()
            labels = {one["atom"]: one["label"] for one in self.good(after, "GET", "/labels?limit=100").json["labels"]}
            self.assertLessEqual(set(labels), set(possible))
            for atom in possible:
                self.assertIn(labels.get(atom), possible[atom], "atom %d after turn %d" % (atom, turn))
                possible[atom] = {labels.get(atom)}
            self.assertEqual(after.stop(), 0)


class Failures(Kept):
    """What is wrong with the database stops changes, and nothing else."""

    def check_that_reading_goes_on(self, daemon, words):
        reply = self.ask(daemon, "PUT", "/atoms/5/label", {"label": "new"})
        self.assertEqual((reply.status, reply.json["code"]), (503, "state_unavailable"), reply.body)
        self.assertIn(words, reply.json["detail"])
        self.assertNotIn(self.state, reply.json["detail"])
        self.assertIn("Retry-After", reply.headers)
        self.good(daemon, "GET", "/atoms/5")
        self.good(daemon, "POST", "/encode", {"inputs": [[1.0] * 16]})

    def test_a_damaged_file(self):
        os.mkdir(self.state)
        with open(os.path.join(self.state, "rasaed.sqlite"), "wb") as file:
            file.write(b"this is no database, " * 1000)
        daemon = self.start()
        daemon.says("damaged")
        self.check_that_reading_goes_on(daemon, "damaged")
        os.remove(os.path.join(self.state, "rasaed.sqlite"))
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "again"})

    def test_a_directory_that_cannot_be_made(self):
        with open(self.state, "wb") as file:
            file.write(b"a file")
        daemon = self.start()
        self.check_that_reading_goes_on(daemon, "state directory")

    def test_a_directory_that_cannot_be_written(self):
        os.mkdir(self.state, 0o500)
        self.check_that_reading_goes_on(self.start(through=obeying_permissions()), "state directory")

    def test_a_file_that_cannot_be_written(self):
        first = self.start()
        self.good(first, "PUT", "/atoms/5/label", {"label": "kept"})
        self.assertEqual(first.stop(), 0)
        os.chmod(os.path.join(self.state, "rasaed.sqlite"), 0o400)
        daemon = self.start(through=obeying_permissions())
        daemon.says("cannot be written")
        self.check_that_reading_goes_on(daemon, "cannot be written")
        for name in os.listdir(self.state):  # those beside it are made with its permissions
            os.chmod(os.path.join(self.state, name), 0o600)
        wait_for(lambda: self.good(daemon, "GET", "/atoms/5").json["label"] == "kept", "the label")
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "new"})

    def test_a_file_that_is_removed(self):
        """What is answered afterwards is in a new file, which another daemon sees."""
        daemon = self.start()
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "gone"})
        os.remove(os.path.join(self.state, "rasaed.sqlite"))
        self.good(daemon, "PUT", "/atoms/6/label", {"label": "new"})
        other = self.start()
        self.assertEqual([one["label"] for one in self.good(other, "GET", "/labels").json["labels"]], ["new"])
        self.good(other, "PUT", "/atoms/7/label", {"label": "newer"})
        wait_for(lambda: [one["label"] for one in self.good(daemon, "GET", "/labels").json["labels"]] == ["new", "newer"], "both")

    def test_another_program_that_does_not_let_go(self):
        import sqlite3
        daemon = self.start()
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "first"})
        other = sqlite3.connect(os.path.join(self.state, "rasaed.sqlite"), isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        started, replies = time.monotonic(), []
        thread = threading.Thread(target=lambda: replies.append(self.ask(daemon, "PUT", "/atoms/5/label", {"label": "x"})))
        thread.start()
        while thread.is_alive():  # meanwhile everything else is answered at once
            asked = time.monotonic()
            self.assertEqual(self.good(daemon, "GET", "/atoms/5").json["label"], "first")
            self.assertLess(time.monotonic() - asked, 1)
            time.sleep(0.2)
        self.assertEqual((replies[0].status, replies[0].json["code"]), (503, "state_unavailable"))
        self.assertGreater(time.monotonic() - started, 1.5)
        other.execute("ROLLBACK")
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "second"})

    def test_a_full_disk(self):
        """As a limit on the size of files, which a full disk looks like."""
        command = ["prlimit", "--version"]
        if subprocess.run(command, capture_output=True).returncode:
            self.skipTest("no prlimit")
        daemon = self.start()
        self.good(daemon, "PUT", "/atoms/5/label", {"label": "kept"})
        subprocess.run(["prlimit", "--pid", str(daemon.process.pid), "--fsize=4096:"], check=True)
        big = {"label": "x", "explanation": "y" * 16000}
        reply = self.ask(daemon, "PUT", "/atoms/6/label", big)
        self.assertEqual((reply.status, reply.json["code"]), (503, "state_unavailable"))
        self.assertEqual(self.good(daemon, "GET", "/atoms/5").json["label"], "kept")
        self.assertEqual(self.good(daemon, "GET", "/labels").json["total"], 1)
        subprocess.run(["prlimit", "--pid", str(daemon.process.pid), "--fsize=unlimited:"], check=True)
        self.good(daemon, "PUT", "/atoms/6/label", big)

    def test_check_config(self):
        command = [PROGRAM, "--dictionary", "topk=" + TOPK, "--state", self.state, "--check-config"]
        self.assertEqual(subprocess.run(command, capture_output=True).returncode, 0)
        with open(os.path.join(self.state, "rasaed.sqlite"), "wb") as file:
            file.write(b"this is no database, " * 1000)
        ran = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("damaged", ran.stderr)


if __name__ == "__main__":
    unittest.main()
