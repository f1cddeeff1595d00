"""`rasae label`: the labels of a file in the artifact, and what stays."""

import csv
import json
import os
import shutil

import support
from support import Case, golden, read_safetensors

CHECKPOINT = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")
K, ROWS = 48, 1280


class Label(Case):
    def setUp(self):
        super().setUp()
        self.model, self.out = self.path("fused.safetensors"), self.path("labeled.safetensors")
        self.good("fuse", CHECKPOINT, "-o", self.model)

    def lines(self, path):
        """What the file says of each atom."""
        tensors, _ = read_safetensors(path)
        if "atoms.labels" not in tensors:
            return None
        return bytes(tensors["atoms.labels"].values).decode().split("\n")[:-1]

    def label(self, name, text, model=None, out=None):
        path = self.write(name, text.encode())
        return self.good_json("label", model or self.model, path, "-o", out or self.out, "--json")

    def atoms(self, path):
        """{atom: (label, label_source)}"""
        self.good("export", path, "--to", "csv", "-o", self.path("tables"))
        with open(os.path.join(self.path("tables"), "atoms.csv"), encoding="utf-8", newline="") as file:
            found = {int(row["atom"]): (row["label"], row["label_source"]) for row in csv.DictReader(file)}
        shutil.rmtree(self.path("tables"))
        return found

    def test_every_kind_of_file_says_the_same(self):
        wanted = [""] * K
        wanted[5], wanted[47] = "Zoë", "dogs"
        rows = [{"atom": 5, "label": "Zoë", "explanation": "a name", "source": "me", "score": 0.5},
                {"atom": 47, "label": "dogs"}]
        neuronpedia = [{"modelId": "m", "layer": "l", "index": str(row["atom"]), "description": row["label"],
                        "explanationModelName": "gpt-4o-mini", "scoreV1": 0.25} for row in rows]
        files = {"a.txt": "\n".join(wanted) + "\n",
                 "a.csv": "atom,label,explanation,source,score\n5,Zoë,,me,0.5\n47,\"dogs\",,,\n",
                 "a.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
                 "n.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in neuronpedia)}
        for name, text in files.items():
            report = self.label(name, text)
            self.assertEqual(report, {"concepts": K, "set": 2, "removed": 0, "labeled": 2}, name)
            self.assertEqual(self.lines(self.out), wanted, name)
        self.assertEqual(self.atoms(self.out)[5], ("Zoë", "file"))

    def test_what_the_file_does_not_name_stays(self):
        self.label("a.csv", "atom,label\n1,one\n2,two\n3,three\n", out=self.model)  # in place
        before, _ = read_safetensors(self.model)
        report = self.label("b.csv", "label,atom\ndeux,2\n,3\nfour,4\n")
        self.assertEqual(report, {"concepts": K, "set": 2, "removed": 1, "labeled": 3})
        self.assertEqual(self.lines(self.out)[:6], ["", "one", "deux", "", "four", ""])
        after, _ = read_safetensors(self.out)
        self.assertEqual(before.keys(), after.keys())
        for name in before.keys() - {"atoms.labels"}:
            self.assertEqual(before[name].values, after[name].values, name)
        self.label("c.csv", "atom,label\n1,\n2,\n4,\n", model=self.out, out=self.out)
        self.assertIsNone(self.lines(self.out))  # nobody has one

    def test_derived_labels_stay_and_are_not_written(self):
        words = self.write("rows.txt", "".join("w%d\n" % (r % 7) for r in range(ROWS)).encode())
        self.good("eval", CHECKPOINT, DATA, "--save", self.model, "--labels", words)
        derived = self.atoms(self.model)
        named = next(k for k, (label, source) in derived.items() if source == "rows")
        self.label("a.jsonl", json.dumps({"atom": named, "label": "mine"}))
        expected = dict(derived)
        expected[named] = ("mine", "file")
        self.assertEqual(self.atoms(self.out), expected)
        self.assertEqual([line for line in self.lines(self.out) if line], ["mine"])
        self.label("b.jsonl", json.dumps({"atom": named, "label": None}), model=self.out, out=self.out)
        self.assertEqual(self.atoms(self.out), derived)
        self.assertIsNone(self.lines(self.out))

    def words(self, path):
        """{atom: (label, explanation, source, score)} of the labels in the file, as it is exported."""
        self.good("export", path, "--to", "labels", "-o", self.path("exported"))
        with open(os.path.join(self.path("exported"), "labels.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        shutil.rmtree(self.path("exported"))
        self.assertEqual(rows.pop(), {"complete": True, "lines": len(rows)})
        self.assertEqual([list(row) for row in rows], [["atom", "label", "explanation", "source", "score"]] * len(rows))
        return {row["atom"]: tuple(row.values())[1:] for row in rows}

    WORDS = {5: ("Zoë", 'a name\n\t"any"\\n', "gpt-4o", 0.5), 7: ("dogs", None, "me", None), 40: ("cats", "two\nlines", None, -3)}

    def test_what_is_said_with_a_label_is_kept(self):
        names = ["atom", "label", "explanation", "source", "score"]
        rows = [dict(zip(names, (atom,) + words)) for atom, words in self.WORDS.items()]
        with open(self.path("a.csv"), "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(rows)
        self.good("label", self.model, self.path("a.csv"), "-o", self.out)
        first = self.read(self.out)
        self.label("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self.assertEqual(self.read(self.out), first)
        self.assertEqual(self.words(self.out), self.WORDS)
        # and there and back: what is exported gives the same file
        self.good("export", self.out, "--to", "labels", "-o", self.path("labels"))
        self.good("label", self.model, os.path.join(self.path("labels"), "labels.jsonl"), "-o", self.path("again"))
        self.assertEqual(self.read(self.path("again")), first)
        self.good("export", self.out, "--to", "csv", "-o", self.path("tables"))
        with open(os.path.join(self.path("tables"), "atoms.csv"), encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                words = self.WORDS.get(int(row["atom"]), ("", None, None, None))
                self.assertEqual([row["label"], row["explanation"], row["explanation_source"], row["explanation_score"]],
                                 ["" if word is None else str(word) for word in words])

    def test_what_is_said_comes_and_goes_with_the_label(self):
        rows = [dict(zip(("label", "explanation", "source", "score"), words), atom=atom) for atom, words in self.WORDS.items()]
        self.label("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows), out=self.model)
        self.good("layout", self.model, "-o", self.model, "--method", "pca")  # other commands keep it
        self.assertEqual(self.words(self.model), self.WORDS)
        self.label("b.csv", "atom,label\n5,Zoé\n7,\n")
        self.assertEqual(self.words(self.out), {5: ("Zoé", None, None, None), 40: self.WORDS[40]})
        self.label("c.txt", "x\n" * K, model=self.out, out=self.out)
        self.assertEqual(self.words(self.out), {atom: ("x", None, None, None) for atom in range(K)})
        tensors, _ = read_safetensors(self.out)
        self.assertEqual([name for name in tensors if name.startswith(("atoms.label", "atoms.expl"))], ["atoms.labels"])

    def test_an_export_of_neuronpedia(self):
        rows = [{"modelId": "m", "layer": "6-res-jb", "index": str(atom), "description": "%s of %d" % (name, atom), "embedding": [0.5, 1],
                 "typeName": "oai_token-act-pair", "explanationModelName": name, **({"scoreV1": score} if score else {})}
                for atom, name, score in ((3, "gpt-4o", None), (4, "a", 0.25), (4, "b", 0.75), (4, "c", None), (3, "d", None))]
        report = self.label("n.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self.assertEqual(report, {"concepts": K, "set": 2, "removed": 0, "labeled": 2})
        self.assertEqual(self.words(self.out), {3: ("gpt-4o of 3", None, "gpt-4o", None), 4: ("b of 4", None, "b", 0.75)})

    def test_a_changed_explanation_is_found(self):
        self.label("a.jsonl", json.dumps({"atom": 5, "label": "x", "explanation": "plain words"}))
        blob = self.read(self.out)
        self.good("inspect", self.out, "--verify")
        self.write("bad", blob.replace(b"plain words", b"plain Words"))
        self.bad(1, ["bad"], "inspect", self.path("bad"), "--verify")

    def test_inspect_shows_it(self):
        self.label("a.csv", "atom,label,explanation,source,score\n%s" % "".join(
            '%d,name,"why\nso",me,0.5\n' % atom for atom in range(K)))
        self.assertIn('explained by me (score 0.5): why', self.good("inspect", self.out))
        shown = self.good_json("inspect", self.out, "--json")["atoms"][0]
        self.assertEqual(shown["explanation"], {"text": "why\nso", "source": "me", "score": 0.5})

    def test_labels_survive_other_commands(self):
        self.label("a.csv", "atom,label\n7,seven\n", out=self.model)
        self.good("layout", self.model, "-o", self.model, "--method", "pca")
        self.assertEqual(self.lines(self.model)[7], "seven")

    def test_it_says_what_it_did(self):
        path = self.write("a.csv", b"atom,label\n7,seven\n")
        said = self.good("label", CHECKPOINT, path, "-o", self.out)
        self.assertIn("a.csv labels 1 of 48 atoms; in %s 1 have a label of their own" % self.out, said)
        self.assertIn("next: rasaed --dictionary NAME=%s" % self.out, said)

    def test_what_it_refuses(self):
        before = self.read(self.model)
        for name, text, words in [
            ("short.txt", "a\nb\n", ["short.txt has 2 lines; expected 48, one for each atom"]),
            ("far.csv", "atom,label\n0,a\n48,b\n", ["far.csv: line 3 names atom 48; there are 48 atoms"]),
            ("twice.jsonl", '{"atom":1,"label":"a"}\n{"atom":1,"label":"b"}\n', ["twice.jsonl: line 2 names atom 1 again"]),
            ("score.csv", "atom,label,score\n0,a,high\n", ["score.csv: line 2 has a score that is not a number"]),
            ("long.jsonl", json.dumps({"atom": 1, "label": "a", "explanation": "x" * 16385}),
             ["long.jsonl: line 1 has an explanation of 16385 bytes; expected at most 16384"]),
            ("a.tsv", "atom\tlabel\n", ["a.tsv", ".txt, .csv, .jsonl or .ndjson"]),
        ]:
            self.bad(1, words, "label", self.model, self.write(name, text.encode()), "-o", self.model)
            self.assertEqual(self.read(self.model), before)
        self.bad(1, ["bytes.csv: line 2 is not valid UTF-8"], "label", self.model,
                 self.write("bytes.csv", b"atom,label\n1,na\xefve\n"), "-o", self.out)
        labels = self.write("a.csv", b"atom,label\n")
        self.bad(1, ["a.csv"], "label", self.model, labels, "-o", labels)
        self.bad(1, ["topk-mse.final"], "label", CHECKPOINT, labels, "-o", CHECKPOINT)
        self.bad(2, ["MODEL and LABELS"], "label", self.model, "-o", self.out)
        self.assertFalse(os.path.exists(self.out))


if __name__ == "__main__":
    support.main()
