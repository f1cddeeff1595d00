"""`rasae eval` (trainer/eval): its figures as text and as JSON, the statistics that --save writes, --classes,
--directions and --memory; compared with plain loops over what `rasae encode` writes."""

import json
import math
import os

import support
from support import Case, Tensor, data, golden, read_npy, read_safetensors

CHECKPOINT = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")
ROWS, K = 1280, 48


class Figures(Case):
    def test_json_has_the_names_of_the_result(self):
        measured = self.good_json("eval", CHECKPOINT, DATA, "--json")
        names = """rows mse r2_per_dimension r2 l0 l0_share dead_ratio hoyer kappa_4 l1_l2_ratio codes_l1 codes_l2
                   codes_lp average_l1 average_l2 relative_l1 relative_l2 wasserstein_1d wasserstein_rows
                   frechet_distance connectivity negative_interference negative_interference_frobenius
                   max_correlation collinearity coherence stable_rank effective_rank ood energy plausibility
                   identifiability skipped strongest classes""".split()
        self.assertEqual(list(measured), names)
        self.assertEqual(measured["rows"], 1280)

    def test_runs_give_the_agreement_of_the_atoms(self):
        other = golden("topk-mse-tied.final.safetensors")
        self.good("fuse", CHECKPOINT, "-o", self.path("fused"))
        kept = self.path("kept")
        flags = ["--basic", "--runs", "%s,%s" % (CHECKPOINT, other), "--save", kept]
        measured = self.good_json("eval", self.path("fused"), DATA, *flags, "--json")
        cosines = sorted((1 + c) / 2 for c in self.good_json("compare", CHECKPOINT, other, "--json")["match_cosine"])
        self.assertEqual(measured["agreement"]["runs"], 2)
        self.assertAlmostEqual(measured["agreement"]["cosine"], cosines[K // 2], places=5)
        tensors, metadata = read_safetensors(kept)
        self.assertEqual(metadata["agreement.runs"], "2")
        self.assertClose(sorted(tensors["agreement.cosine"].values), cosines, 1e-5)
        self.assertIn("agreement_found_by_half", self.good("eval", kept, DATA, *flags))
        self.bad(1, ["empty name"], "eval", CHECKPOINT, DATA, "--runs", "a,,b")
        self.bad(1, ["nothing.safetensors"], "eval", CHECKPOINT, DATA, "--runs", "nothing.safetensors")

    def test_figures_agree_with_the_reconstruction(self):
        measured = self.good_json("eval", CHECKPOINT, DATA, "--json")
        self.good("encode", CHECKPOINT, DATA, "-o", self.path("z.npy"))
        self.good("reconstruct", CHECKPOINT, self.path("z.npy"), "-o", self.path("x_hat.npy"))
        x, x_hat, z = (
            read_npy(DATA).values,
            read_npy(self.path("x_hat.npy")).values,
            read_npy(self.path("z.npy")).values,
        )
        squares = sum((a - b) ** 2 for a, b in zip(x, x_hat))
        mean = sum(x) / len(x)
        total = sum((a - mean) ** 2 for a in x)
        active = {i % 48 for i, value in enumerate(z) if value}
        for name, value in {
            "mse": squares / len(x),
            "r2": 1 - squares / total,
            "l0": sum(value != 0 for value in z) / 1280,
            "dead_ratio": 1 - len(active) / 48,
        }.items():
            self.assertTrue(math.isclose(measured[name], value, rel_tol=1e-5), (name, measured[name], value))

    def test_the_table_says_the_same(self):
        text = self.good("eval", CHECKPOINT, DATA)
        for name, value in self.good_json("eval", CHECKPOINT, DATA, "--json").items():
            if name != "rows" and isinstance(value, (int, float)):
                self.assertRegex(text, r"\n  %s +%s " % (name, ("%.6g" % value).replace("+", r"\+")))

    def test_what_does_not_fit(self):
        narrow = support.write_npy(self.path("narrow.npy"), Tensor("F32", [2, 3], [1.0] * 6))
        self.bad(1, ["narrow.npy", "3 dimensions", "16"], "eval", CHECKPOINT, narrow)
        self.bad(1, "encoder", "eval", golden("dict-basic.checkpoint.safetensors"), DATA)


class Saved(Case):
    """The golden model, fused, with the statistics of its latents."""

    def setUp(self):
        super().setUp()
        self.model = self.path("fused.safetensors")
        self.good("fuse", CHECKPOINT, "-o", self.model)
        self.good("encode", self.model, DATA, "-o", self.path("z.npy"))
        self.z = read_npy(self.path("z.npy")).values

    def column(self, k):
        return self.z[k::K]


class Statistics(Saved):
    def test_the_saved_statistics_are_those_of_the_codes(self):
        self.good("eval", self.model, DATA, "--save", self.path("measured"), "--examples", "5")
        tensors, metadata = read_safetensors(self.path("measured"))
        self.assertEqual(metadata["latents.rows"], str(ROWS))
        norms = [math.hypot(*tensors["dictionary"].values[16 * k : 16 * k + 16]) for k in range(K)]
        self.assertEqual(tensors["latents.top_row"].shape, [K, 5])
        for k in range(K):
            column = self.column(k)
            active = [value for value in column if value]
            self.assertEqual(tensors["latents.count"].values[k], len(active))
            mean, energy = sum(active) / max(len(active), 1), sum(column) / ROWS * norms[k]
            self.assertClose([tensors["latents.mean"].values[k]], [mean], 1e-5)
            self.assertClose([tensors["latents.max"].values[k]], [max(column)], 0)
            self.assertClose([tensors["latents.energy"].values[k]], [energy], 1e-5)
            order = sorted(range(ROWS), key=lambda row: (-column[row], row))[: min(5, len(active))]
            rows = tensors["latents.top_row"].values[5 * k : 5 * k + 5]
            self.assertEqual(rows, order + [-1] * (5 - len(order)))
            top, bins = tensors["latents.histogram_top"].values[k], [0] * 50
            for value in active:
                bins[int(value * 50 / top)] += 1
            self.assertEqual(tensors["latents.histogram"].values[50 * k : 50 * k + 50], bins)

    def test_an_artifact_takes_its_statistics_in_place(self):
        before, _ = read_safetensors(self.model)
        report = self.good_json("eval", self.model, DATA, "--save", self.model, "--json")
        after, _ = read_safetensors(self.model)
        for name, tensor in before.items():
            self.assertEqual(after[name].values, tensor.values, name)
        self.assertIn("latents.count", after)
        self.assertEqual(sorted(os.listdir(self.folder)), ["fused.safetensors", "z.npy"])
        again = self.good_json("eval", self.model, DATA, "--json")
        self.assertEqual(report, again)
        self.good("fuse", self.model, "-o", self.path("half"), "--dtype", "f16")
        self.assertEqual(read_safetensors(self.path("half"))[0]["latents.count"].values,
                         after["latents.count"].values)

    def test_examples_carry_labels(self):
        self.write("labels", "".join("row %d\n" % row for row in range(ROWS)).encode())
        self.good("eval", self.model, DATA, "--labels", self.path("labels"), "--save", self.path("measured"))
        tensors, _ = read_safetensors(self.path("measured"))
        lines = bytes(tensors["latents.top_labels"].values).decode().split("\n")
        for k in range(K):
            rows = tensors["latents.top_row"].values[16 * k : 16 * k + 16]
            self.assertEqual(lines[k].split("\t"), ["row %d" % row if row >= 0 else "" for row in rows])

    def test_rows_that_are_skipped_keep_their_numbers(self):
        x = read_npy(DATA).values[: 40 * 16]
        for row in 0, 7, 8:
            x[16 * row] = math.nan
        support.write_npy(self.path("x.npy"), Tensor("F32", [40, 16], x))
        self.write("labels", "".join("row %d\n" % row for row in range(40)).encode())
        self.write("classes", ("a\n" * 8 + "b\n" * 32).encode())
        report = self.good_json("eval", self.model, self.path("x.npy"), "--skip-bad-rows", "--save",
                                self.path("m"), "--labels", self.path("labels"), "--classes",
                                self.path("classes"), "--json")
        tensors, metadata = read_safetensors(self.path("m"))
        self.assertEqual((report["rows"], metadata["latents.rows"]), (37, "37"))
        lines = bytes(tensors["latents.top_labels"].values).decode().split("\n")
        seen = set()
        for k in range(K):
            rows = [row for row in tensors["latents.top_row"].values[16 * k : 16 * k + 16] if row >= 0]
            self.assertEqual([one for one in lines[k].split("\t") if one], ["row %d" % row for row in rows])
            for row, value in zip(rows, tensors["latents.top_value"].values[16 * k :]):
                self.assertAlmostEqual(value, self.column(k)[row], places=5)
            seen.update(rows)
        self.assertFalse(seen & {0, 7, 8})
        self.assertIn(39, seen)

    def test_latents_that_are_active_together(self):
        self.good("eval", self.model, DATA, "--save", self.path("measured"), "--cofiring", "4", "--together", "3")
        tensors, metadata = read_safetensors(self.path("measured"))
        self.assertEqual(metadata["latents.cofiring.least"], "3")
        active = [{row for row, value in enumerate(self.column(k)) if value} for k in range(K)]
        for k in range(K):
            together = [len(active[k] & active[j]) if j != k else 0 for j in range(K)]
            lift = [n * ROWS / (len(active[k]) * len(active[j])) if n else 0 for j, n in enumerate(together)]
            for measure, key in ("count", together), ("pmi", lift):
                atoms = tensors["latents.cofiring.%s.atom" % measure].values[4 * k : 4 * k + 4]
                counts = tensors["latents.cofiring.%s.count" % measure].values[4 * k : 4 * k + 4]
                listed = [j for j in range(K) if together[j] >= 3 and (measure == "count" or lift[j] > 1)]
                listed.sort(key=lambda j: (-key[j], j))
                self.assertEqual(atoms, (listed + [-1] * 4)[:4])
                self.assertEqual(counts, ([together[j] for j in listed] + [0] * 4)[:4])

    def test_the_memory_for_the_codes_changes_nothing(self):
        """1 MiB holds the codes of 1,280 rows; those of 40 times as many go to a file, of which nothing is left."""
        x = read_npy(DATA).values
        support.write_npy(self.path("x.npy"), Tensor("F32", [40 * ROWS, 16], x * 40))
        for name, memory in ("roomy", "100"), ("tight", "1"):
            self.good("eval", self.model, self.path("x.npy"), "--basic", "--save", self.path(name), "--memory", memory)
        self.assertEqual(self.read("roomy"), self.read("tight"))
        self.bad(1, ["do not fit into memory", "writing a file", self.folder], "eval", self.model, self.path("x.npy"),
                 "--basic", "--save", self.path("full"), "--memory", "1", preexec_fn=support.disk_of(1 << 20))
        self.assertEqual(sorted(os.listdir(self.folder)), ["fused.safetensors", "roomy", "tight", "x.npy", "z.npy"])

    def test_rows_of_each_quantile(self):
        self.write("labels", "".join("row %d\n" % row for row in range(ROWS)).encode())
        self.good("eval", self.model, DATA, "--save", self.path("whole"), "--labels", self.path("labels"),
                  "--quantiles", "4", "--quantile-rows", "3")
        tensors, _ = read_safetensors(self.path("whole"))
        lines = bytes(tensors["latents.quantile_labels"].values).decode().split("\n")
        self.assertEqual(tensors["latents.quantile_row"].shape, [K, 12])
        for k in range(K):
            column = self.column(k)
            positive = sorted((value, row) for row, value in enumerate(column) if value > 0)
            for q in range(4):
                part = positive[q * len(positive) // 4 : (q + 1) * len(positive) // 4]
                at = 12 * k + 3 * q
                rows = [row for row in tensors["latents.quantile_row"].values[at : at + 3] if row >= 0]
                self.assertEqual(len(rows), min(3, len(part)))
                self.assertLessEqual({(column[row], row) for row in rows}, set(part))
                self.assertEqual([column[row] for row in rows], sorted((column[row] for row in rows), reverse=True))
                labels = [label for label in lines[k].split("\t")[3 * q : 3 * q + 3] if label]
                self.assertEqual(labels, ["row %d" % row for row in rows])
        # Neither threads nor files decide which rows.
        x = read_npy(DATA).values
        for name, part in ("a", x[: 16 * 500]), ("b", x[16 * 500 :]):
            support.write_npy(self.path(name + ".npy"), Tensor("F32", [len(part) // 16, 16], part))
        self.good("eval", self.model, self.path("a.npy"), self.path("b.npy"), "--threads", "3", "--save",
                  self.path("parts"), "--labels", self.path("labels"), "--quantiles", "4", "--quantile-rows", "3")
        self.assertEqual(self.read("whole"), self.read("parts"))

    def test_rows_are_parts_of_items(self):
        x = read_npy(DATA).values
        for shape, text in ([20, 64, 16], "64"), ([20, 8, 8, 16], "8x8"), ([ROWS, 16], None):
            support.write_npy(self.path("x.npy"), Tensor("F32", shape, x))
            self.good("eval", self.model, self.path("x.npy"), "--save", self.path("m"), "--layout", "rows", "--basic")
            self.assertEqual(read_safetensors(self.path("m"))[1].get("latents.item_shape"), text)
            atom = self.good_json("inspect", self.path("m"), "--json", "--atoms", "1")["atoms"][0]
            for row in atom["quantiles"][9]["rows"]:
                if text:
                    self.assertEqual((row["item"], row["position"]), divmod(row["row"], 64))
                else:
                    self.assertIsNone(row["item"])
        support.write_npy(self.path("y.npy"), Tensor("F32", [20, 16, 8, 8], x))
        self.good("eval", self.model, self.path("y.npy"), "--save", self.path("m"), "--basic")
        self.assertEqual(read_safetensors(self.path("m"))[1]["latents.item_shape"], "8x8")
        self.good("eval", self.model, self.path("x.npy"), self.path("y.npy"), "--save", self.path("m"), "--basic")
        self.assertNotIn("latents.item_shape", read_safetensors(self.path("m"))[1])

    def test_codes_of_whole_items(self):
        self.write("labels", "".join("row %d\n" % row for row in range(ROWS)).encode())
        self.good("eval", self.model, DATA, "--save", self.path("m"), "--labels", self.path("labels"), "--basic",
                  "--item-shape", "4+6x10", "--items", "3")
        tensors, metadata = read_safetensors(self.path("m"))
        self.assertEqual(metadata["latents.item_shape"], "4+6x10")
        self.assertEqual(tensors["latents.item"].shape, [K, 3])
        self.assertEqual(tensors["latents.item_codes"].shape, [K, 3 * 64])
        lines = bytes(tensors["latents.item_labels"].values).decode().split("\n")
        for k in range(K):
            parts = [self.column(k)[item * 64 : item * 64 + 64] for item in range(20)]
            best = sorted((item for item in range(20) if max(parts[item]) > 0), key=lambda item: -max(parts[item]))[:3]
            self.assertEqual(list(tensors["latents.item"].values[3 * k : 3 * k + 3]), best + [-1] * (3 - len(best)))
            codes = tensors["latents.item_codes"].values[3 * 64 * k : 3 * 64 * (k + 1)]
            self.assertEqual(list(codes), sum((list(parts[item]) for item in best), []) + [0] * 64 * (3 - len(best)))
            rows = [64 * item + parts[item].index(max(parts[item])) for item in best]
            self.assertEqual([label for label in lines[k].split("\t") if label], ["row %d" % row for row in rows])
        # Without a shape, each row is an item.
        self.good("eval", self.model, DATA, "--save", self.path("m"), "--basic", "--items", "2", "--examples", "2")
        tensors, _ = read_safetensors(self.path("m"))
        self.assertEqual(tensors["latents.item_codes"].shape, [K, 2])
        for row, item in zip(tensors["latents.top_row"].values, tensors["latents.item"].values):
            self.assertEqual(row, item)

    def token_lines(self, skip=4):
        """Texts of 64 rows; every third line leaves out the first `skip`."""
        texts = [["w%d" % (7 * item % 5), "\n", "\u00eb\U0001f98a", ""] * 16 for item in range(20)]
        self.write("tokens.jsonl", "".join(json.dumps(text[skip if item % 3 == 0 else 0 :], ensure_ascii=item % 2 == 0) + "\n"
                                           for item, text in enumerate(texts)).encode())
        return [[None] * skip + text[skip:] if item % 3 == 0 else text for item, text in enumerate(texts)]

    def test_tokens_of_items_and_rows(self):
        texts = self.token_lines()
        self.good("eval", self.model, DATA, "--save", self.path("m"), "--basic", "--item-shape", "4+60", "--items", "2",
                  "--tokens", self.path("tokens.jsonl"), "--quantiles", "3", "--quantile-rows", "2")
        tensors, _ = read_safetensors(self.path("m"))
        words = bytes(tensors["latents.token_words"].values).decode().split("\0")
        self.assertEqual(words.pop(), "")
        self.assertEqual(len(set(words)), len(words))
        named = sorted(set(tensors["latents.item"].values) - {-1})
        self.assertEqual(list(tensors["latents.token_item"].values), named)
        numbers = tensors["latents.token_word"].values
        self.assertEqual(tensors["latents.token_word"].shape, [len(named), 64])
        for m, item in enumerate(named):
            self.assertEqual([None if n < 0 else words[n] for n in numbers[64 * m : 64 * m + 64]], texts[item])
        for row, token in (("latents.top_row", "latents.top_token"), ("latents.quantile_row", "latents.quantile_token")):
            self.assertEqual(tensors[row].shape, tensors[token].shape)
            for r, n in zip(tensors[row].values, tensors[token].values):
                self.assertEqual(None if n < 0 else words[n], texts[r // 64][r % 64] if r >= 0 else None)
        atom = self.good_json("inspect", self.path("m"), "--json", "--atoms", "1")["atoms"][0]
        for row in atom["quantiles"][2]["rows"]:
            self.assertEqual(row["token"], texts[row["item"]][row["position"]])
        # They go with the statistics, and new statistics without tokens take them away.
        self.good("layout", self.path("m"), "-o", self.path("m2"))
        for name in "token_words", "token_item", "token_word", "top_token", "quantile_token":
            self.assertEqual(read_safetensors(self.path("m2"))[0]["latents." + name].values, tensors["latents." + name].values)
        self.good("eval", self.path("m2"), DATA, "--save", self.path("m2"), "--basic")
        self.assertFalse([name for name in read_safetensors(self.path("m2"))[0] if "token" in name])

    def test_tokens_that_cannot_be(self):
        self.token_lines()
        tokens = self.path("tokens.jsonl")
        eval = ["eval", self.model, DATA, "--basic", "--tokens", tokens]
        save = [*eval, "--save", self.path("m")]
        self.bad(1, ["--tokens", "--save"], *eval, "--item-shape", "4+60")
        self.bad(1, ["--item-shape N"], *save)
        self.bad(1, ["grids of patches", "--item-shape 64"], *save, "--item-shape", "8x8")
        self.bad(1, ["tokens.jsonl has 20 lines", "expected 40"], *save, "--item-shape", "4+28")
        self.bad(1, ["line 1 has 60 tokens; expected 64,"], *save, "--item-shape", "64")
        self.bad(1, ["line 1 has 60 tokens; expected 64, one for each row of a text, or 59 without the 5 class"], *save,
                 "--item-shape", "5+59")
        self.write("tokens.jsonl", b'["a"]\n["b", 1]\n' + 18 * b'["c"]\n')
        self.bad(1, ["line 1 has 1 tokens"], *save, "--item-shape", "64")
        for line, word in (b'{"text": "a"}', "no JSON array"), (b'["\xff"]', "not valid UTF-8"), (b'["\\u0000"]', "a NUL"):
            self.write("tokens.jsonl", line + b"\n" + 19 * b'["c"]\n')
            self.bad(1, ["line 1", word], *save, "--item-shape", "64")
        self.bad(1, ["missing"], "eval", self.model, DATA, "--basic", "--tokens", self.path("missing"), "--save", self.path("m"),
                 "--item-shape", "64")
        self.bad(1, ["tokens.jsonl"], *eval, "--item-shape", "64", "--save", tokens)
        self.assertFalse(os.path.exists(self.path("m")))

    def test_items_that_cannot_be(self):
        eval = ["eval", self.model, DATA, "--basic"]
        self.bad(1, ["--item-shape", "5+16x16"], *eval, "--item-shape", "x4")
        self.bad(1, ["49 rows", "1280"], *eval, "--item-shape", "7x7")
        support.write_npy(self.path("x.npy"), Tensor("F32", [20, 64, 16], read_npy(DATA).values))
        self.bad(1, ["16 rows", "have 64"], "eval", self.model, self.path("x.npy"), "--item-shape", "4x4", "--layout", "rows")
        self.bad(1, ["do not fit"], *eval, "--save", self.path("m"), "--item-shape", "640", "--items", "1000", "--memory", "1")

    def test_neither_partners_nor_quantiles(self):
        self.good("eval", self.model, DATA, "--save", self.path("m"), "--cofiring", "0", "--quantiles", "0")
        tensors, metadata = read_safetensors(self.path("m"))
        self.assertFalse([name for name in tensors if "cofiring" in name or "quantile" in name])
        self.assertNotIn("latents.cofiring.least", metadata)
        self.bad(2, "--cofiring", "eval", self.model, DATA, "--cofiring", "257")
        self.bad(2, "--quantile-rows", "eval", self.model, DATA, "--quantile-rows", "0")

    def test_what_cannot_be_saved(self):
        self.bad(1, "would replace", "eval", CHECKPOINT, DATA, "--save", CHECKPOINT)
        self.bad(1, "would replace", "eval", self.model, DATA, "--save", DATA)
        self.bad(1, "nowhere", "eval", self.model, DATA, "--save", self.path("nowhere/file"))
        self.write("labels", b"one\ntwo\n")
        self.bad(1, ["2 lines", "1280"], "eval", self.model, DATA, "--labels", self.path("labels"))

    def test_the_strongest_are_listed(self):
        report = self.good_json("eval", self.model, DATA, "--json")
        energies = [one["energy"] for one in report["strongest"]]
        self.assertEqual(energies, sorted(energies, reverse=True))
        self.assertEqual(len(energies), 10)
        first = report["strongest"][0]
        active = [value for value in self.column(first["atom"]) if value]
        self.assertAlmostEqual(first["frequency"], len(active) / ROWS)
        self.assertIn("latent %d " % first["atom"], self.good("eval", self.model, DATA))


class Metrics(Saved):
    def test_pairs_of_latents(self):
        tensors, _ = read_safetensors(self.model)
        D = [tensors["dictionary"].values[16 * k : 16 * k + 16] for k in range(K)]
        columns = [self.column(k) for k in range(K)]
        dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        together = correlation = interference = 0
        means = [sum(column) / ROWS for column in columns]
        G = [[dot(columns[i], columns[j]) for j in range(K)] for i in range(K)]
        deviations = [math.sqrt(max(G[i][i] - ROWS * means[i] ** 2, 0) / (ROWS - 1)) for i in range(K)]
        for i in range(K):
            for j in range(K):
                together += G[i][j] != 0
                interference += max(-G[i][j] * dot(D[i], D[j]), 0) ** 2
                if i != j and deviations[i] * deviations[j] > 0:
                    covariance = (G[i][j] - ROWS * means[i] * means[j]) / (ROWS - 1)
                    correlation = max(correlation, abs(covariance) / (deviations[i] * deviations[j]))
        for memory in "1024", "1":
            report = self.good_json("eval", self.model, DATA, "--json", "--memory", memory)
            self.assertClose([report["connectivity"]], [1 - together / K**2], 1e-12)
            self.assertClose([report["negative_interference_frobenius"]], [math.sqrt(interference)], 1e-5)
            self.assertClose([report["max_correlation"]], [correlation], 1e-6)
            self.assertLessEqual(report["negative_interference"], math.sqrt(interference) * (1 + 1e-5))

    def test_several_passes_give_the_same(self):
        """1 MiB holds less than half of the products of 400 latents."""
        words = data("words.safetensors")
        self.good("train", words, "--concepts", 400, "--points", 400, "--top-k", 8, "--steps", 3, "--delta", 1,
                  "--quiet", "-o", self.path("c"))
        whole = self.good_json("eval", self.path("c"), words, "--json")
        pieces = self.good_json("eval", self.path("c"), words, "--json", "--memory", "1")
        for name in "connectivity", "max_correlation", "negative_interference_frobenius", "r2", "ood", "l0":
            self.assertClose([pieces[name]], [whole[name]], 1e-9, name)
        self.assertIsNone(pieces["negative_interference"])
        self.assertIn("80200 numbers", pieces["skipped"]["negative_interference"])
        self.assertLess(pieces["wasserstein_rows"], whole["wasserstein_rows"])
        self.assertIn("skipped", self.good("eval", self.path("c"), words, "--memory", "1"))

    def test_classes_and_directions(self):
        names = ["even" if row % 2 == 0 else "odd" for row in range(ROWS)]
        self.write("classes", "\n".join(names).encode())
        tensors, _ = read_safetensors(self.model)
        directions = Tensor("F32", [2, 16], tensors["dictionary"].values[: 16] + [0.0] * 15 + [1.0])
        support.write_npy(self.path("directions.npy"), directions)
        report = self.good_json("eval", self.model, DATA, "--json", "--classes", self.path("classes"),
                                "--directions", self.path("directions.npy"))
        self.assertEqual(report["skipped"], {})
        best = max(tensors["dictionary"].values[16 * k + 15] /
                   math.hypot(*tensors["dictionary"].values[16 * k : 16 * k + 16]) for k in range(K))
        self.assertClose([report["plausibility"]], [(1 + best) / 2], 1e-5)
        self.assertEqual([one["class"] for one in report["classes"]], ["even", "odd"])
        for one in report["classes"]:
            if one["threshold"] is None:
                continue
            told = [value > one["threshold"] for value in self.column(one["atom"])]
            right = sum(a == (name == one["class"]) for a, name in zip(told, names)) / ROWS
            self.assertAlmostEqual(right, one["accuracy"], places=9)
        mean = sum(one["accuracy"] for one in report["classes"]) / 2
        self.assertAlmostEqual(report["identifiability"], mean, places=12)
        self.assertIn("even: ", self.good("eval", self.model, DATA, "--classes", self.path("classes")))

    def test_digits_are_told_by_single_latents(self):
        digits = data("digits.npy")
        self.good("train", digits, "--concepts", 64, "--points", 64, "--top-k", 8, "--steps", 40, "--delta", 1,
                  "--seed", 1, "--quiet", "-o", self.path("c"))
        report = self.good_json("eval", self.path("c"), digits, "--classes", data("digits.txt"), "--json")
        self.assertEqual([one["class"] for one in report["classes"]], list("0123456789"))
        for one in report["classes"]:
            self.assertGreaterEqual(one["accuracy"], 0.89)  # nine tenths of the rows are not of a class

    def test_what_does_not_fit(self):
        self.write("classes", b"a\nb\n")
        self.bad(1, ["2 lines", "1280"], "eval", self.model, DATA, "--classes", self.path("classes"))
        self.write("classes", b"a\n" * 7 + b"\n" + b"a\n" * (ROWS - 8))
        self.bad(1, ["line 8 is empty"], "eval", self.model, DATA, "--classes", self.path("classes"))
        support.write_npy(self.path("narrow.npy"), Tensor("F32", [1, 3], [1.0] * 3))
        self.bad(1, ["narrow.npy", "3 dimensions"], "eval", self.model, DATA, "--directions",
                 self.path("narrow.npy"))
        self.bad(2, "--memory", "eval", self.model, DATA, "--memory", "0")

    def test_the_basic_ones_are_enough_for_some(self):
        report = self.good_json("eval", self.model, DATA, "--json", "--basic")
        whole = self.good_json("eval", self.model, DATA, "--json")
        for name in "connectivity", "wasserstein_1d", "frechet_distance", "effective_rank":
            self.assertIsNone(report[name])
            self.assertIn("basic", report["skipped"][name])
            self.assertIsNotNone(whole[name])
        self.assertEqual(report["r2"], whole["r2"])


if __name__ == "__main__":
    support.main()
