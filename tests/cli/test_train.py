"""`rasae train` (trainer/train.c, trainer/common/progress.c, trainer/training/{log,models,plan,points,run,summary}.c): its
defaults, where points and settings come from, determinism, and every way to end."""

import json
import os
import re

import support
from support import Case, Tensor, data, golden, read_safetensors, small_data


class Train(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data())
        self.out = self.path("out.safetensors")

    def train(self, *flags):
        """Trains for a moment; returns (tensors, metadata)."""
        steps = (
            [] if any(str(flag).startswith(("--epochs", "--init")) for flag in flags) else ["--steps", "6"]
        )
        self.good("train", self.x, "-o", self.out, "--quiet", *steps, *flags)
        return read_safetensors(self.out)

    def refused(self, texts, *flags):
        self.bad(1, texts, "train", self.x, "-o", self.out, *flags)


class Defaults(Train):
    def test_a_newcomer_gets_a_model_that_fits_the_data(self):
        text = self.good("train", self.x, "-o", self.out)
        tensors, metadata = read_safetensors(self.out)
        # 5 d = 60 concepts; all 96 rows are candidates, of which an atom has 8 at most; k = least(60 / 10, 12 / 8)
        self.assertEqual(tensors["dictionary.W.index"].shape, [60, 8])
        self.assertEqual(tensors["dictionary.W.weight"].shape, [60, 8])
        numbers = tensors["dictionary.C.number"].values
        values = support.decode("F32", support.encode("F32", small_data().values))
        self.assertEqual(
            tensors["dictionary.C"].values, [v for row in numbers for v in values[row * 12 : row * 12 + 12]]
        )
        self.assertEqual(tensors["points.rows"].values, numbers)
        self.assertEqual(tensors["trace.row"].shape, [60, 5])
        self.assertEqual(tensors["encoder.final_block.0.weight"].shape, [60, 12])
        for key, value in {
            "sae": "topk",
            "top_k": "1",
            "mixture": "8",
            "hull_share": "0.905",
            "train.delta": "0.5x",
            "encoder": "linear",
            "dictionary": "archetypal",
            "loss": "mse",
            "nb_concepts": "60",
            "in_dimensions": "12",
            "epochs": "2000",  # 4,000 steps
            "batch_size": "64",
            "seed": "0",
            "encoder_start": "dictionary",
            "precision": "float32",
            "schedule": "cosine",
            "lr": "0.002",
        }.items():
            self.assertEqual(metadata.get(key), value, key)
        self.assertIn("out.safetensors: 60 concepts of 12 dimensions", text)
        self.assertEqual(sorted(os.listdir(self.folder)), ["out.safetensors", "x.npy"])

    def test_kinds_without_a_bound_are_given_the_l1_term(self):
        for sae in ["relu", "jumprelu"]:
            metadata = self.train("--sae", sae)[1]
            self.assertEqual(metadata["loss"], "mse_l1")
            self.assertGreater(float(metadata["penalty"]), 0)
            self.assertNotIn("top_k", metadata)

    def test_the_checkpoint_is_projected_and_complete(self):
        flags = ["--concepts", "20", "--points", "30", "--top-k", "3"]
        tensors, _ = self.train("--sae", "batchtopk", "--mixture", "dense", *flags)
        W, relax = tensors["dictionary.W"], tensors["dictionary.Relax"]
        for k in range(20):
            row = W.values[k * 30 : (k + 1) * 30]
            self.assertGreaterEqual(min(row), 0)
            self.assertAlmostEqual(sum(row), 1, places=5)
            self.assertLessEqual(sum(v * v for v in relax.values[k * 12 : (k + 1) * 12]), 1 + 1e-5)
        self.assertGreaterEqual(float(read_safetensors(self.out)[1]["running_threshold"]), 0)


class Start(Train):
    def encoder(self, *flags):
        flags = ["--concepts", "6", "--top-k", "1", "--lr", "0"] + list(flags)
        tensors, metadata = self.train(*flags)
        return tensors, metadata, tensors["encoder.final_block.0.weight"].values

    def cosines_with_the_points(self, *flags):
        tensors, _, rows = self.encoder("--mixture", "dense", *flags)
        points = tensors["dictionary.C"].values
        return [support.cosine(rows[k * 12 : k * 12 + 12], points[k * 12 : k * 12 + 12]) for k in range(6)]

    def test_the_encoder_starts_along_the_atoms(self):
        for cosine in self.cosines_with_the_points():
            self.assertGreater(cosine, 1 - 1e-5)

    def test_or_at_random(self):
        self.assertLess(min(self.cosines_with_the_points("--encoder-start", "uniform")), 0.9)

    def test_a_plain_dictionary_starts_as_the_reference_does(self):
        metadata = self.encoder("--dictionary-kind", "l2")[1]
        self.assertEqual(metadata["encoder_start"], "uniform")


class Points(Train):
    def test_a_number_asks_for_centroids(self):
        tensors, _ = self.train("--points", "6")
        self.assertEqual(tensors["dictionary.C"].shape, [6, 12])
        self.assertEqual(tensors["points.rows"].shape, [6, 5])
        # the data has six directions: k-means finds them, and the nearest rows are of one direction
        for point in range(6):
            rows = tensors["points.rows"].values[point * 5 : point * 5 + 5]
            self.assertEqual(len({row % 6 for row in rows}), 1, rows)
            distances = tensors["points.row_distance"].values[point * 5 : point * 5 + 5]
            self.assertEqual(distances, sorted(distances))

    def test_all_rows(self):
        every = self.train("--points", "all", "--mixture", "dense")
        self.assertEqual(every[1]["points_method"], "all")
        self.assertNotIn("points_seed", every[1])
        method = self.train("--points-method", "all", "--mixture", "dense")
        self.assertEqual(method[0]["dictionary.C"].values, every[0]["dictionary.C"].values)
        self.assertEqual(every[0]["dictionary.C"].values, small_data().values)
        self.assertEqual(every[0]["points.rows"].values[:: every[0]["points.rows"].shape[1]], list(range(96)))

    def test_random_rows(self):
        tensors, metadata = self.train("--points", "sample:20", "--seed", "3")
        rows = tensors["points.rows"].values[::5]
        values = support.decode("F32", support.encode("F32", small_data().values))
        self.assertEqual(rows, sorted(set(rows)))
        self.assertEqual(len(rows), 20)
        self.assertNotEqual(rows, list(range(20)))
        taken = [v for row in rows for v in values[row * 12 : row * 12 + 12]]
        self.assertEqual(tensors["dictionary.C"].values, taken)
        self.assertEqual(set(tensors["points.row_distance"].values[::5]), {0.0})
        self.assertEqual((metadata["points_method"], metadata["points_seed"]), ("sample", "0"))
        self.assertNotIn("kmeans", metadata)
        same = self.train("--points", "20", "--points-method", "sample", "--seed", "4")
        self.assertEqual(same[0]["dictionary.C"].values, taken)
        other = self.train("--points", "sample:20", "--points-seed", "5", "--seed", "3")
        self.assertNotEqual(other[0]["dictionary.C"].values, taken)

    def test_the_seed_of_points_is_apart_from_that_of_the_run(self):
        both = [self.train("--points", "9", "--points-seed", "2", "--seed", seed)[0] for seed in "56"]
        self.assertEqual(both[0]["dictionary.C"].values, both[1]["dictionary.C"].values)
        self.assertNotEqual(both[0]["dictionary.Relax"].values, both[1]["dictionary.Relax"].values)

    def test_methods_of_k_means(self):
        for flags, expected in [
            ([], {"points_method": "kmeans", "kmeans": "lloyd", "points_seed": "0"}),
            (["--kmeans", "minibatch", "--points-iterations", "30"], {"kmeans": "minibatch"}),
            (["--points-rows", "60", "--points-method", "kmeans"], {"points_rows": "60", "kmeans": "lloyd"}),
        ]:
            tensors, metadata = self.train("--points", "6", *flags)
            for key, value in expected.items():
                self.assertEqual(metadata[key], value, flags)
            self.assertEqual("points_rows" in metadata, "--points-rows" in flags)
            for point in range(6):  # of the data's six directions each has a point
                rows = tensors["points.rows"].values[point * 5 : point * 5 + 5]
                self.assertEqual(len({row % 6 for row in rows}), 1, rows)

    def test_ways_to_points_do_not_depend_on_threads(self):
        for flags in [
            ["--points", "7"],
            ["--points", "7", "--kmeans", "minibatch"],
            ["--points", "7", "--points-rows", "50"],
            ["--points", "sample:7"],
        ]:
            files = []
            for threads in "123":
                self.train(*flags, "--threads", threads)
                with open(self.out, "rb") as file:
                    files.append(file.read())
            self.assertEqual(len(set(files)), 1, flags)

    def test_a_start_keeps_the_settings_of_its_points(self):
        self.train("--points", "8", "--kmeans", "minibatch", "--points-seed", "4")
        first = self.path("first.safetensors")
        os.rename(self.out, first)
        metadata = self.train("--init", first)[1]
        self.assertEqual((metadata["kmeans"], metadata["points_seed"]), ("minibatch", "4"))

    def test_a_file(self):
        given = Tensor("F32", [7, 12], support.Random(3).values(84))
        single = support.decode("F32", support.encode("F32", given.values))
        for name in ["p.npy", "7"]:  # with its folder in front, a name of digits is a file
            path = support.write_npy(self.path(name), given)
            self.assertEqual(
                self.train("--points", path, "--concepts", "7")[0]["dictionary.C"].values, single
            )
        checkpoint = self.path("checkpoint")
        os.rename(self.out, checkpoint)
        self.assertEqual(self.train("--points", checkpoint, "--seed", "5")[0]["dictionary.C"].values, single)
        path = support.write_safetensors(self.path("p.safetensors"), {"p": given})
        self.assertEqual(self.train("--points", path)[0]["dictionary.C"].values, single)

    def test_runs_of_different_seeds_share_their_points(self):
        points = self.train("--points", "9", "--seed", "1")[0]["dictionary.C"].values
        self.assertEqual(self.train("--points", "9", "--seed", "2")[0]["dictionary.C"].values, points)
        other = self.train("--points", "9", "--seed", "1", "--points-seed", "2")[0]["dictionary.C"].values
        self.assertNotEqual(other, points)

    def test_one_point_a_concept_where_concepts_are_asked_for(self):
        flags = ["--concepts", "9", "--mixture", "dense"]
        self.assertEqual(self.train(*flags)[0]["dictionary.W"].shape, [9, 9])

    def test_points_that_cannot_be(self):
        self.refused(["--points is 97", "96 rows"], "--points", "97")
        self.refused(["--points is 0", "96 rows"], "--points", "0")
        self.refused("--points is 18446744073709551617", "--points", "18446744073709551617")
        self.refused(["--points is sample:97", "sample:1 to sample:96"], "--points", "sample:97")
        self.refused("--points is sample:0", "--points", "sample:0")
        self.refused("sample:many", "--points", "sample:many")
        self.refused(["--points-rows is 97", "9 to 96"], "--points", "9", "--points-rows", "97")
        self.refused(["--points-rows is 8", "9 to 96"], "--points", "9", "--points-rows", "8")
        self.refused("nowhere.npy", "--points", self.path("nowhere.npy"))
        other = support.write_npy(self.path("other.npy"), Tensor("F32", [4, 5], [1.0] * 20))
        self.refused(["5", "12"], "--points", other)
        nan = support.write_npy(self.path("nan.npy"), Tensor("F32", [1, 12], [float("nan")] * 12))
        self.refused("NaN", "--points", nan)

    def test_more_concepts_than_points_is_allowed_with_a_warning(self):
        result = self.run_rasae(
            "train", self.x, "-o", self.out, "--points", "6", "--concepts", "10", "--steps", "2", "--quiet"
        )
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), r"^rasae: warning: .*\n$")

    def test_plain_dictionaries_have_none(self):
        for kind in ["l2", "max_l2", "l1", "max_l1", "identity"]:
            tensors, metadata = self.train("--dictionary-kind", kind, "--concepts", "9")
            self.assertEqual(metadata["dictionary"], kind)
            self.assertEqual(tensors["dictionary._weights"].shape, [9, 12])
            self.assertNotIn("points.rows", tensors)
            self.assertNotIn("dictionary.C", tensors)

    def test_labels_explain_the_points(self):
        labels = self.write("labels.txt", "".join("group %d\n" % (row % 6) for row in range(96)).encode())
        tensors, _ = self.train("--points", "6", "--labels", labels)
        text = bytes(tensors["points.row_labels"].values).decode()
        for point, line in enumerate(text.splitlines()):
            row = tensors["points.rows"].values[point * 5]
            self.assertEqual(line.split("\t"), ["group %d" % (row % 6)] * 5)
        short = self.write("short.txt", b"one\ntwo\n")
        self.bad(1, ["2 labels", "96 rows"], "train", self.x, "-o", self.path("o"), "--labels", short)


class Settings(Train):
    def test_flags_win_over_the_metadata_of_init_and_that_over_defaults(self):
        self.train("--top-k", "2", "--concepts", "20", "--points", "30", "--delta", "0.5", "--lr", "0.01")
        first = self.path("first.safetensors")
        os.rename(self.out, first)
        kept = self.train("--init", first)[1]
        for key, value in {
            "top_k": "2",
            "delta": "0.5",
            "lr": "0.01",
            "steps": "6",
            "nb_concepts": "20",
        }.items():
            self.assertEqual(kept[key], value)
        changed = self.train("--init", first, "--top-k=3", "--lr=0.02", "--epochs", "2", "--loss", "auxk")[1]
        for key, value in {
            "top_k": "3",
            "lr": "0.02",
            "epochs": "2",
            "loss": "auxk",
            "penalty": "0.1",
        }.items():
            self.assertEqual(changed[key], value)
        self.assertNotIn("steps", changed)

    def test_no_multiplier_and_no_shuffle_hold_until_they_are_taken_back(self):
        tensors, metadata = self.train("--no-multiplier", "--no-shuffle")
        self.assertEqual((metadata["use_multiplier"], metadata["shuffle"]), ("false", "false"))
        self.assertEqual(tensors["dictionary.multiplier"].values, [0.0])
        first = self.path("first.safetensors")
        os.rename(self.out, first)
        self.assertEqual(self.train("--init", first)[1]["shuffle"], "false")
        tensors, metadata = self.train("--init", first, "--multiplier", "--shuffle")
        self.assertEqual((metadata["use_multiplier"], metadata["shuffle"]), ("true", "true"))
        self.assertNotEqual(tensors["dictionary.multiplier"].values, [0.0])

    def test_delta_zero_keeps_every_atom_in_the_hull(self):
        tensors, _ = self.train("--delta", "0")
        self.assertEqual(set(tensors["dictionary.Relax"].values), {0.0})

    def test_what_cannot_work_is_refused_by_name(self):
        self.refused(["top_k is 50", "40 concepts"], "--concepts", "40", "--top-k", "50")
        self.refused(["2147483647 concepts", "memory"], "--concepts", "2147483647")
        self.refused("--delta", "--init", self.lacking("delta"))
        self.refused("--top-k", "--init", self.lacking("top_k"))
        self.refused("--sae", "--init", self.lacking("sae"))
        self.refused(["12 dimensions", "16"], "--init", golden("topk-mse.init.safetensors"))

    def test_a_dictionary_without_encoder_is_no_start(self):
        bare = golden("dict-basic.checkpoint.safetensors")
        self.bad(1, "encoder", "train", golden("topk-mse.x.npy"), "--init", bare, "-o", self.out)

    def lacking(self, key):
        """A checkpoint for this data without one setting."""
        path = self.path("lacks-%s.safetensors" % key)
        self.good("train", self.x, "-o", path, "--steps", "1", "--quiet")
        tensors, metadata = read_safetensors(path)
        del metadata[key]
        return support.write_safetensors(path, tensors, metadata)

    def test_concepts_must_agree_with_init(self):
        self.train("--concepts", "20")
        other = self.path("other.safetensors")
        self.bad(
            1,
            ["--concepts is 9", "has 20"],
            "train",
            self.x,
            "--init",
            self.out,
            "-o",
            other,
            "--concepts",
            "9",
        )

    def test_a_missing_setting_can_be_given_as_a_flag(self):
        lacking = self.lacking("top_k")
        self.assertEqual(self.train("--init", lacking, "--top-k", "2")[1]["top_k"], "2")


class Data(Train):
    def test_several_files_are_one_after_the_other(self):
        whole = small_data()
        half = len(whole.values) // 2
        first = support.write_npy(self.path("1.npy"), Tensor("F32", [48, 12], whole.values[:half]))
        second = support.write_safetensors(
            self.path("2.safetensors"), {"acts": Tensor("F32", [48, 12], whole.values[half:])}
        )
        self.train()
        together = self.path("together.safetensors")
        self.good("train", first, second, "-o", together, "--quiet", "--steps", "6")
        self.assertEqual(self.read("together.safetensors"), self.read("out.safetensors"))

    def test_one_tensor_of_several(self):
        two = {"a": small_data(), "b": Tensor("F32", [2, 2], [1.0] * 4)}
        path = support.write_safetensors(self.path("two.safetensors"), two)
        self.good("train", path, "--tensor", "a", "-o", self.out, "--steps", "2", "--quiet")
        self.bad(1, ["two.safetensors", '"a", "b"'], "train", path, "-o", self.path("o"))
        self.bad(1, '"c"', "train", path, "--tensor", "c", "-o", self.path("o"))

    def test_half_precision(self):
        exact = [round(value * 8) / 8 for value in small_data().values]
        for dtype in ["F16", "BF16"]:
            path = support.write_safetensors(self.path(dtype), {"x": Tensor(dtype, [96, 12], exact)})
            self.good("train", path, "-o", self.path("half"), "--steps", "3", "--quiet")
            path = support.write_safetensors(self.path("F32"), {"x": Tensor("F32", [96, 12], exact)})
            self.good("train", path, "-o", self.path("single"), "--steps", "3", "--quiet")
            self.assertEqual(self.read("half"), self.read("single"), dtype)


class Determinism(Train):
    def bytes_of(self, *flags):
        self.good(
            "train", data("digits.npy"), "-o", self.out, "--quiet", "--steps", "5", "--points", "50", *flags
        )
        return self.read("out.safetensors")

    def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(self):
        for sae in ["topk", "batchtopk", "jumprelu"]:
            one = self.bytes_of("--sae", sae, "--seed", "7")
            self.assertEqual(self.bytes_of("--sae", sae, "--seed", "7"), one)
            self.assertEqual(self.bytes_of("--sae", sae, "--seed", "7", "--threads", "1"), one)
            self.assertEqual(self.bytes_of("--sae", sae, "--seed", "7", "--threads", "2"), one)

    def test_another_seed_gives_others(self):
        self.assertNotEqual(self.bytes_of("--seed", "1"), self.bytes_of("--seed", "2"))

    def test_the_name_of_the_file_is_not_in_it(self):
        one = self.bytes_of()
        self.out = self.path("another name")
        self.good("train", data("digits.npy"), "-o", self.out, "--quiet", "--steps", "5", "--points", "50")
        self.assertEqual(self.read("another name"), one)


class Output(Train):
    def test_the_output_is_checked_before_anything_is_computed(self):
        # were the data read first, its absence would be what is said
        nowhere = self.path("no/such/folder/o")
        self.bad(1, ["no/such/folder", "directory"], "train", self.path("nothing.npy"), "-o", nowhere)
        self.bad(1, "directory", "train", self.x, "-o", self.folder)

    def test_inputs_are_never_replaced(self):
        labels = self.write("labels.txt", b"label\n" * 96)
        link = self.path("link.npy")
        os.link(self.x, link)
        os.symlink(self.x, self.path("symbolic.npy"))
        self.train()
        for out, flags in [
            (self.x, []),
            (link, []),
            (self.path("symbolic.npy"), []),
            (labels, ["--labels", labels]),
            (self.out, ["--init", self.out]),
            (self.x, ["--points", self.x, "--log", self.path("log")]),
        ]:
            self.bad(1, "would replace", "train", self.x, "-o", out, *flags)
        self.bad(1, "would replace", "train", self.x, "-o", self.path("o"), "--log", self.x)
        self.bad(1, "would replace", "train", self.x, "-o", self.path("o"), "--log", self.path("o"))

    def test_an_older_file_is_replaced_whole(self):
        self.write("out.safetensors", b"old")
        self.assertIn("dictionary.C", self.train()[0])

    def test_a_full_disk_leaves_nothing(self):
        self.bad(
            1,
            ["out.safetensors"],
            "train",
            self.x,
            "-o",
            self.out,
            "--quiet",
            "--steps",
            "2",
            preexec_fn=support.disk_of(4096),
        )
        self.write("out.safetensors", b"old")
        self.bad(
            1,
            ["out.safetensors"],
            "train",
            self.x,
            "-o",
            self.out,
            "--quiet",
            "--steps",
            "2",
            preexec_fn=support.disk_of(4096),
        )
        self.assertEqual(self.read("out.safetensors"), b"old")

    def test_a_log_that_cannot_be_written_is_said_and_costs_no_model(self):
        result = self.run_rasae(
            "train", self.x, "-o", self.out, "--steps", "3", "--quiet", "--log", "/dev/full"
        )
        self.assertEqual(result.returncode, 1)
        self.assertRegex(
            result.stderr.decode(), r"^rasae: the log /dev/full is incomplete .*No space left.*\n$"
        )
        self.assertIn("dictionary.C", read_safetensors(self.out)[0])
        self.bad(1, "no/log", "train", self.x, "-o", self.path("o"), "--log", self.path("no/log"))

    def test_a_loss_that_runs_away_stops_with_its_step_and_rate(self):
        huge = support.write_npy(self.path("huge.npy"), Tensor("F32", [3, 12], [1e30] * 36))
        flags = ["--points", huge, "--concepts", "3", "--top-k", "1", "--steps", "50", "--mixture", "dense"]
        self.bad(1, ["at step", "rate", "--lr"], "train", self.x, "-o", self.out, *flags)


class Reports(Train):
    def test_plain_lines_without_a_terminal(self):
        text = self.good("train", self.x, "-o", self.out, "--epochs", "3")
        self.assertNotIn("\r", text)
        self.assertNotIn("\x1b", text)
        self.assertRegex(
            text, r"training 100%  in 0:0\d  loss [\d.e+-]+  R2 -?[\d.]+ \(one mean -?[\d.]+\)  L0 [\d.]+  dead [\d.]+%"
        )
        self.assertLess(len(text.splitlines()), 12)

    def test_a_long_training_is_not_replaced_without_a_word(self):
        flags = ["--concepts", "4", "--points", "4", "--batch-size", "8", "--quiet", "--trace-rows", "0"]
        train = ["train", self.x, "-o", self.out, *flags]
        self.good(*train, "--steps", "1000")
        with open(self.out, "rb") as file:
            before = file.read()
        self.bad(1, ["holds a model of 1000 steps", "--resume", "--force"], *train, "--steps", "3")
        self.good(*train, "--steps", "1001", "--resume", self.out)
        self.good(*train, "--steps", "1001", "--auto-resume")
        self.good(*train, "--steps", "3", "--force")
        self.good(*train, "--steps", "4")  # a short trial is replaced
        self.assertNotEqual(self.read(self.out), before)

    def test_quiet_prints_nothing(self):
        self.assertEqual(self.good("train", self.x, "-o", self.out, "--steps", "2", "--quiet"), "")

    def test_json_is_one_object(self):
        summary = self.good_json(
            "train", self.x, "-o", self.out, "--steps", "4", "--json", "--concepts", "10"
        )
        self.assertEqual((summary["steps"], summary["concepts"], summary["output"]), (4, 10, self.out))
        for key in ["loss", "r2_per_dimension", "r2", "l0", "dead", "seconds"]:
            self.assertIsInstance(summary[key], (int, float))

    def test_the_log_has_one_object_a_step_with_exact_numbers(self):
        self.train("--log", self.path("log"), "--lr", "0.001", "--schedule", "cosine", "--warmup", "2")
        lines = [json.loads(line) for line in self.read("log").decode().splitlines()]
        self.assertEqual([line["step"] for line in lines], [1, 2, 3, 4, 5, 6])
        self.assertEqual([line["lr"] for line in lines[:3]], [0.0005, 0.001, 0.001])
        self.assertNotEqual(lines[3]["lr"], 0.001)
        for line in self.read("log").decode().splitlines():
            digits = re.search(r'"loss":([\d.]+)', line).group(1).replace(".", "").lstrip("0")
            self.assertGreaterEqual(len(digits), 6, "the loss keeps its digits")

    def on_a_terminal(self, columns, *flags):
        return self.run_on_terminal(columns, "train", self.x, "-o", self.out, *flags)

    def test_a_terminal_gets_a_bar_as_wide_as_it_is(self):
        for columns in [40, 80, 200]:
            shown = self.on_a_terminal(columns, "--steps", "300")
            bars = re.findall(r"\r([^\r\n\x1b]+)\x1b\[K", shown)
            self.assertTrue(any("%" in bar and "[" in bar for bar in bars), shown)
            self.assertLessEqual(max(map(len, bars)), columns - 1)
            self.assertIn("out.safetensors: 60 concepts of 12 dimensions", shown)
            self.assertIn("next: rasae eval", shown.rstrip().splitlines()[-1])
        self.assertIn("ETA", shown)

    def test_a_terminal_of_no_width_at_all_does_no_harm(self):
        for columns in [1, 2, 7, 15, 25]:
            self.on_a_terminal(columns, "--steps", "50")


if __name__ == "__main__":
    support.main()
