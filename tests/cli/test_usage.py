"""The command line itself (trainer/main.c, trainer/common/command.c, lib/app/settings/, lib/app/nearest.c): help, and every way to use it
wrongly."""

import subprocess

import support
from support import Case, golden

COMMANDS = ["train", "fuse", "encode", "reconstruct", "inspect", "trace", "eval", "compare", "layout", "consensus",
            "contrast", "label", "import", "export", "serve", "explore"]


class Help(Case):
    def test_the_program_lists_its_commands(self):
        for words in [["--help"], ["-h"], ["help"]]:
            text = self.good(*words)
            for command in COMMANDS:
                self.assertRegex(text, r"\n  %s +\w" % command)

    def test_every_command_explains_itself_with_an_example(self):
        for command in COMMANDS:
            text = self.good(command, "--help")
            self.assertTrue(text.startswith("Usage: rasae %s " % command), text)
            self.assertIn("Example:\n  rasae %s " % command, text)
            self.assertEqual(text, self.good("help", command))
            self.assertLessEqual(max(len(line) for line in text.splitlines()), 110)

    def test_help_is_found_behind_other_words(self):
        self.assertIn("Usage:", self.good("train", "x.npy", "--epochs", "3", "--help"))

    def test_train_names_every_pinned_flag(self):
        text = self.good("train", "--help")
        for flag in """--sae --encoder --concepts --top-k --points --delta --no-multiplier --loss --penalty
                       --lr --schedule --bandwidth --kernel --threshold-momentum --batch-size --epochs --steps
                       --clip-grad --seed --init --no-shuffle --threads --device --log --labels --tensor
                       --output""".split():
            self.assertIn(flag + " ", text)

    def test_version(self):
        self.assertRegex(self.good("--version"), r"^rasae \d+\.\d+\.\d+\n$")

    def test_help_on_a_full_disk_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                [support.RASAE, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60
            )
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"No space left", result.stderr)


class WrongUsage(Case):
    def test_commands(self):
        self.bad(2, "a command is missing")
        self.bad(2, ['"tarin"', "did you mean train?"], "tarin")
        self.bad(2, '"frobnicate"', "frobnicate")
        self.bad(2, '"frobnicate"', "help", "frobnicate")

    def test_unknown_flags_name_the_command_whose_help_to_read(self):
        for command in COMMANDS:
            self.bad(2, ["no flag --frob", "see rasae %s --help" % command], command, "a", "b", "--frob", "1")
            self.bad(2, "no flag -q", command, "a", "b", "-q")
            self.bad(2, "no flag --frob=1", command, "--frob=1")

    def test_a_misspelt_flag_is_suggested(self):
        self.bad(2, "did you mean --epochs?", "train", "x.npy", "--epoch", "3")
        self.bad(2, "did you mean --top-k?", "train", "x.npy", "--topk=3")

    def test_missing_values(self):
        self.bad(2, "-o needs a value", "train", "x.npy", "-o")
        self.bad(2, "--lr needs a value", "train", "x.npy", "--lr", "--seed", "1")
        self.bad(2, "--init needs a value", "train", "x.npy", "--init=", "-o", self.path("o"))

    def test_repeated_flags(self):
        self.bad(2, "-o is given more than once", "train", "x", "-o", "a", "-o", "b")
        self.bad(2, "-o is given more than once", "train", "x", "-o", "a", "--output=b")
        self.bad(2, "--lr is given more than once", "train", "x", "--lr", "1", "--lr=1")
        self.bad(2, "more than once", "train", "x", "--shuffle", "--no-shuffle")

    def test_flags_without_a_value_take_none_but_true_and_false(self):
        self.bad(2, ['--quiet is "yes"', "true or false"], "train", "x", "--quiet=yes")
        self.bad(2, "--no-shuffle takes no value", "train", "x", "--no-shuffle=1")

    def test_missing_and_stray_arguments(self):
        out = self.path("o")
        self.bad(2, ["-o", "missing"], "train", "x.npy")
        self.bad(2, "needs DATA", "train", "-o", out)
        self.bad(2, "-o", "fuse", "x")
        self.bad(2, "one argument too many", "fuse", "a", "b", "-o", out)
        self.bad(2, "needs MODEL and DATA", "encode", "a", "-o", out)
        self.bad(2, ['"c" is one argument too many', "MODEL and CODES"], "reconstruct", "a", "b", "c", "-o", out)
        self.bad(2, "needs MODEL and CODES", "reconstruct", "-o", out)
        self.bad(2, "needs one FILE", "inspect")
        self.bad(2, "needs MODEL and DATA", "eval", "a")
        self.bad(2, "needs two dictionaries", "compare", "a")
        self.bad(2, "needs MODEL and DATA", "trace", "a")

    def test_values_out_of_their_range(self):
        for flag, values in {
            "--concepts": ["0", "-1", "4294967296", "99999999999999999999999", "1.5", "many", ""],
            "--top-k": ["0", "3000000000"],
            "--batch-size": ["0", "2147483648"],
            "--epochs": ["0"],
            "--steps": ["0"],
            "--delta": ["-1", "nan", "inf", "1y", "x", "-1x"],
            "--mixture": ["33", "-1", "sparse"],
            "--hull-share": ["1.5", "-0.1"],
            "--trace-rows": ["33", "-1"],
            "--lr": ["-0.1", "nan"],
            "--sae": ["gelu"],
            "--encoder": ["mlp"],
            "--loss": ["huber"],
            "--kernel": ["box"],
            "--schedule": ["step"],
            "--threads": ["0", "100000", "two"],
            "--seed": ["-1"],
        }.items():
            for value in values:
                self.bad(2, flag, "train", "x.npy", "-o", self.path("o"), flag + "=" + value)
        self.bad(2, ["f32, f16 or bf16", '"f64"'], "fuse", "x", "-o", self.path("o"), "--dtype", "f64")
        self.bad(2, "--archetypes", "fuse", "x", "-o", self.path("o"), "--archetypes", "0")

    def test_flags_that_contradict_each_other(self):
        out = self.path("o")
        self.bad(2, ["--epochs", "--steps"], "train", "x", "-o", out, "--epochs", "1", "--steps", "1")
        self.bad(2, ["--points", "--init"], "train", "x", "-o", out, "--points", "9", "--init", "i")
        self.bad(
            2, ["--points", "--dictionary-kind"], "train", "x", "-o", out, "--points", "9", "--dictionary-kind", "l2"
        )

    def test_flags_about_points_that_contradict_each_other(self):
        for texts, flags in [
            (["--points-method", "file"], ["--points", "p.npy", "--points-method", "sample"]),
            (["--points", "--points-method"], ["--points", "sample:9", "--points-method", "kmeans"]),
            (["--points", "--points-method"], ["--points", "all", "--points-method", "sample"]),
            (["every row", "number"], ["--points", "9", "--points-method", "all"]),
            (["k-means"], ["--points", "sample:9", "--kmeans", "lloyd"]),
            (["k-means"], ["--points", "all", "--points-rows", "9", "--mixture", "dense"]),
            (["k-means"], ["--points", "all", "--points-rows", "9", "--init-weights", "eye"]),
            (["k-means"], ["--points", "p.npy", "--points-iterations", "9"]),
            (["k-means"], ["--points", "9", "--points-method", "sample", "--kmeans", "minibatch"]),
            (["--points-seed", "random"], ["--points", "all", "--points-seed", "1", "--mixture", "dense"]),
            (["--point-labels", "--points"], ["--point-labels", "names.txt", "--points", "9"]),
            (["--points-seed", "random"], ["--points", "p.npy", "--points-seed", "1"]),
            (["--kmeans", "--init"], ["--kmeans", "lloyd", "--init", "i"]),
            (["--points-seed", "--init"], ["--points-seed", "1", "--init", "i"]),
            (["--points-rows", "--dictionary-kind"], ["--points-rows", "9", "--dictionary-kind", "l2"]),
        ]:
            self.bad(2, texts, "train", "x", "-o", self.path("o"), *flags)
        for flag, value in [("--kmeans", "elkan"), ("--points-method", "grid"), ("--points-rows", "0")]:
            self.bad(2, flag, "train", "x", "-o", self.path("o"), flag, value)

    def test_a_name_that_starts_with_dashes_comes_after_two_dashes(self):
        self.bad(1, "--strange.npy", "inspect", "--", "--strange.npy")

    def test_control_characters_do_not_reach_the_terminal(self):
        sentence = self.bad(2, "no flag", "train", "--evil\x1b[31m\n")
        self.assertNotIn("\x1b", sentence)
        self.assertNotIn("\x1b", self.bad(1, "", "inspect", self.path("\x1b[2J")))


class Next(Case):
    def test_every_command_says_what_to_run_next(self):
        x, model = golden("topk-mse.x.npy"), golden("topk-mse.final.safetensors")
        codes, fused = self.path("codes"), self.path("fused")
        for command, following in [
            (["train", x, "-o", self.path("out"), "--steps", "2"], "rasae eval %s DATA, then rasae fuse %s" % ((self.path("out"),) * 2)),
            (["train", x, "-o", self.path("two"), "--steps", "2", "--seed", "2"], "rasae eval " + self.path("two")),
            (["consensus", self.path("out"), self.path("two"), "-o", self.path("start")],
             "rasae train DATA --init " + self.path("start")),
            (["fuse", model, "-o", fused], "rasaed --dictionary NAME=" + fused),
            (["encode", model, x, "-o", codes], "rasae reconstruct %s %s" % (model, codes)),
            (["reconstruct", model, codes, "-o", self.path("hat")], "rasae eval " + model),
            (["eval", model, x], "rasae fuse " + model),
            (["eval", fused, x], "rasaed --dictionary NAME=" + fused),
            (["compare", model, fused], "rasae inspect " + model),
            (["layout", fused, "-o", self.path("map")], "rasaed --dictionary NAME=" + self.path("map")),
            (["trace", fused, x], "rasae trace %s DATA -o OUT" % fused),
            (["inspect", model], "rasae eval %s DATA" % model),
            (["inspect", x], "rasae train " + x),
        ]:
            last = self.good(*command).splitlines()[-1]
            self.assertTrue(last.startswith("next: " + following), (command, last))


class Json(Case):
    def test_every_command_prints_one_object(self):
        x, model = golden("topk-mse.x.npy"), golden("topk-mse.final.safetensors")
        codes, fused = self.path("codes"), self.path("fused")
        for command, members in [
            (["train", x, "-o", self.path("out"), "--steps", "2"], ["output", "concepts", "dimensions", "r2_per_dimension", "r2", "l0", "dead"]),
            (["train", x, "-o", self.path("two"), "--steps", "2", "--seed", "2"], ["output", "concepts"]),
            (["consensus", self.path("out"), self.path("two"), "-o", self.path("start")], ["output", "concepts", "runs", "atoms"]),
            (["fuse", model, "-o", fused], ["output", "concepts", "dimensions", "archetypes", "dtype", "has_encoder"]),
            (["encode", model, x, "-o", codes], ["output", "rows", "concepts", "l0"]),
            (["reconstruct", model, codes, "-o", self.path("hat")], ["output", "rows", "dimensions"]),
            (["eval", model, x], ["rows", "r2_per_dimension", "r2", "l0", "dead_ratio", "skipped"]),
            (["compare", model, fused], ["stability_with_flips"]),
            (["layout", fused, "-o", self.path("map")], ["concepts", "method"]),
            (["trace", fused, x], []),
            (["inspect", model], ["path", "kind", "tensors", "not_used", "model"]),
        ]:
            report = self.good_json(*command, "--json")
            for member in members:
                self.assertIn(member, report, command)
        measured, encoded = self.good_json("eval", model, x, "--json"), self.good_json("encode", model, x, "-o", codes, "--json")
        self.assertEqual((encoded["l0"], encoded["rows"]), (measured["l0"], measured["rows"]))


if __name__ == "__main__":
    support.main()
