"""The data of `rasae train` (trainer/training/standardize.c): several files, images as rows, rows that are not
finite, standardized training, activations of a real network in half precision."""

import math

import support
from support import Case, Tensor, data, decode, encode, read_npy, read_safetensors, small_data

D = 12


def f32(values):
    return decode("F32", encode("F32", values))


def rows_of(values, d=D):
    return [values[i : i + d] for i in range(0, len(values), d)]


def flat(rows):
    return [value for row in rows for value in row]


class Data(Case):
    def setUp(self):
        super().setUp()
        self.values = small_data().values
        self.x = self.npy("x.npy", self.values)

    def npy(self, name, values, shape=None):
        shape = shape or [len(values) // D, D]
        return support.write_npy(self.path(name), Tensor("F32", shape, values))

    def tensors(self, name, dtype, values, shape):
        return support.write_safetensors(self.path(name), {"x": Tensor(dtype, shape, values)})

    def train(self, out, *arguments):
        """Trains for a moment; returns (tensors, metadata)."""
        flags = ["--steps", "8", "--batch-size", "20", "--points", "20", "--concepts", "16", "--seed", "3"]
        if "--points" in arguments or "--init" in arguments:
            flags = flags[:4]
        self.good("train", "-o", self.path(out), "--quiet", *flags, *arguments)
        return read_safetensors(self.path(out))


class Files(Data):
    def test_shards_train_as_one_file(self):
        quarters = [round(8 * value) / 8 for value in self.values]  # exact in float16 and bfloat16
        whole = self.npy("whole.npy", quarters)
        shards = [
            self.npy("a.npy", quarters[: 30 * D]),
            self.tensors("b.safetensors", "BF16", quarters[30 * D : 31 * D], [1, D]),
            self.tensors("c.safetensors", "F16", quarters[31 * D : 91 * D], [5, D, D]),  # tokens
            self.npy("d.npy", quarters[91 * D :]),
        ]
        self.train("one.safetensors", whole)
        self.train("four.safetensors", *shards)
        self.assertEqual(self.read("one.safetensors"), self.read("four.safetensors"))

    def test_pixels_of_images_are_rows(self):
        n, h, w = 4, 4, 6
        self.assertEqual(n * h * w * D, len(self.values))
        rows = rows_of(self.values)
        images = [rows[i * h * w + p][c] for i in range(n) for c in range(D) for p in range(h * w)]
        self.train("rows.safetensors", self.x)
        self.train("images.safetensors", self.npy("images.npy", images, [n, D, h, w]))
        self.assertEqual(self.read("rows.safetensors"), self.read("images.safetensors"))
        for name, data in [("rows", self.x), ("images", self.path("images.npy"))]:
            self.good("encode", self.path("rows.safetensors"), data, "-o", self.path(name + ".z.npy"))
        self.assertEqual(self.read("rows.z.npy"), self.read("images.z.npy"))
        # d is the second of four
        narrow = self.npy("narrow.npy", [0.5] * 48, [1, 4, 3, 4])
        text = self.bad(1, "narrow.npy", "train", self.x, narrow, "-o", self.path("out"))
        self.assertIn("4 dimensions per row; expected 12", text)


BAD = [0, 17, 18, 60, 61, 95]


class BadRows(Data):
    def setUp(self):
        super().setUp()
        rows = rows_of(self.values)
        self.good_rows = [row for row in range(96) if row not in BAD]
        self.good_x = self.npy("good.npy", flat(rows[row] for row in self.good_rows))
        for i, row in enumerate(BAD):
            rows[row][i] = [math.nan, math.inf, -math.inf][i % 3]
        # the numbers go on from file to file
        self.bad_x = [self.npy("first.npy", flat(rows[:18])), self.npy("second.npy", flat(rows[18:]))]

    def test_are_refused_with_their_numbers(self):
        text = self.bad(1, "first.npy", "train", *self.bad_x, "-o", self.path("out"))
        for part in ["row 0, column 0", "6 of the 96", "0, 17, 18, 60, 61, ...", "--skip-bad-rows"]:
            self.assertIn(part, text)

    def test_are_skipped_with_a_warning_and_labels_go_on_matching(self):
        labels = self.write("labels.txt", "".join("row %d\n" % row for row in range(96)).encode())
        flags = ["--steps", "8", "--batch-size", "20", "--concepts", "16", "--seed", "3", "--points", "30"]
        out = self.path("skipped.safetensors")
        result = self.run_rasae(
            "train", *self.bad_x, "--skip-bad-rows", "--labels", labels, "-o", out, "--quiet", *flags
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        warning = r"^rasae: warning: 6 of the 96 rows .* 0, 17, 18, 60, 61, \.\.\.\n$"
        self.assertRegex(result.stderr.decode(), warning)
        self.good("train", self.good_x, "-o", self.path("clean.safetensors"), "--quiet", *flags)
        skipped, clean = (read_safetensors(self.path(n + ".safetensors"))[0] for n in ["skipped", "clean"])
        for name in clean:
            if name not in ("points.rows", "trace.row"):
                self.assertEqual(skipped[name].values, clean[name].values, name)
        numbers = skipped["points.rows"].values
        self.assertEqual(numbers, [self.good_rows[row] for row in clean["points.rows"].values])
        traced = [self.good_rows[row] if row >= 0 else -1 for row in clean["trace.row"].values]
        self.assertEqual(skipped["trace.row"].values, traced)
        text = bytes(skipped["points.row_labels"].values).decode()
        self.assertEqual(text.split(), flat(["row", str(row)] for row in numbers))

    def test_labels_are_those_of_all_rows(self):
        labels = self.write("labels.txt", b"x\n" * 90)
        command = ["train", *self.bad_x, "--labels", labels, "-o", self.path("out"), "--skip-bad-rows"]
        result = self.run_rasae(*command)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"90 labels, but the data has 96 rows", result.stderr)

    def test_eval_leaves_them_out_and_encode_refuses_them(self):
        self.train("model.safetensors", self.good_x)
        model = self.path("model.safetensors")
        whole = self.npy("whole.npy", flat(map(self.read_rows, self.bad_x)))
        clean = self.good("eval", model, self.good_x, "--json")
        self.assertEqual(self.good("eval", model, whole, "--json", "--skip-bad-rows"), clean)
        self.bad(1, ["whole.npy", "row 0", "6 of the 96"], "eval", model, whole)
        self.bad(1, ["whole.npy", "row 0"], "encode", model, whole, "-o", self.path("z"))
        self.bad(2, "--skip-bad-rows", "encode", model, whole, "-o", self.path("z"), "--skip-bad-rows")

    def test_some_row_must_be_left(self):
        nan = self.npy("nan.npy", [math.nan] * (3 * D))
        self.bad(1, "no row is left", "train", nan, "--skip-bad-rows", "-o", self.path("out"))

    def read_rows(self, path):
        return support.read_npy(path).values


class Standardized(Data):
    """--standardize trains like standardizing the data beforehand."""

    def setUp(self):
        super().setUp()
        rows = rows_of(self.values)
        for row in rows:
            for j in range(D):
                row[j] = 3 * j - 10 + row[j] * (j + 1)
            row[5] = 2.5
        self.values = f32(flat(rows))
        self.x = self.npy("x.npy", self.values)

    def moments(self, how):
        columns = list(zip(*rows_of(self.values))) if how == "element" else [self.values] * D
        mean = [math.fsum(c) / len(c) for c in columns]
        scale = [math.sqrt(math.fsum((x - m) ** 2 for x in c) / len(c)) for c, m in zip(columns, mean)]
        return mean, [s if s > 0 else 1.0 for s in scale]

    def standardized(self, values, tensors):
        """Rounded like the library does: to float32 after each of the two operations."""
        mean, scale = tensors["input.mean"].values, tensors["input.scale"].values
        shifted = f32([x - mean[i % D] for i, x in enumerate(values)])
        return f32([x / scale[i % D] for i, x in enumerate(shifted)])

    def test_mean_and_scale_are_measured_stored_and_used(self):
        for how in ["element", "global"]:
            tensors, metadata = self.train(how + ".safetensors", self.x, "--standardize", how)
            mean, scale = self.moments(how)
            self.assertEqual(metadata["standardize"], how)
            self.assertEqual(tensors["input.mean"].shape, [D])
            self.assertClose(tensors["input.mean"].values, mean, 1e-6, "mean")
            self.assertClose(tensors["input.scale"].values, scale, 1e-6, "scale")
            z = self.npy(how + ".npy", self.standardized(self.values, tensors))
            by_hand, _ = self.train("by-hand.safetensors", z)
            self.assertNotIn("input.mean", by_hand)
            for name, tensor in by_hand.items():
                self.assertEqual(tensors[name].values, tensor.values, name)
        self.assertEqual(self.train("none.safetensors", self.x)[1]["standardize"], "none")

    def test_commands_take_and_give_activations_in_their_own_units(self):
        names = ["checkpoint", "fused", "by-hand"]
        checkpoint, fused, by_hand = (self.path(name + ".safetensors") for name in names)
        tensors, _ = self.train("checkpoint.safetensors", self.x, "--standardize", "element")
        z = self.npy("z.npy", self.standardized(self.values, tensors))
        self.train("by-hand.safetensors", z)
        self.good("fuse", checkpoint, "-o", fused)
        kept = read_safetensors(fused)[0]
        self.assertEqual(kept["input.mean"].values, tensors["input.mean"].values)
        self.assertEqual(kept["input.scale"].values, tensors["input.scale"].values)
        self.assertTrue(self.good_json("inspect", fused, "--json")["model"]["standardized"])
        self.assertIn("inputs are standardized", self.good("inspect", fused))

        self.good("encode", by_hand, z, "-o", self.path("expected.npy"))
        self.good("reconstruct", by_hand, self.path("expected.npy"), "-o", self.path("z_hat.npy"))
        z_hat = support.read_npy(self.path("z_hat.npy")).values
        mean, scale = tensors["input.mean"].values, tensors["input.scale"].values
        x_hat = [value * scale[i % D] + mean[i % D] for i, value in enumerate(z_hat)]
        metrics = self.good("eval", by_hand, z, "--json")
        for model in [checkpoint, fused]:
            self.good("encode", model, self.x, "-o", self.path("codes.npy"))
            self.assertEqual(self.read("codes.npy"), self.read("expected.npy"))
            self.good("reconstruct", model, self.path("codes.npy"), "-o", self.path("x_hat.npy"))
            self.assertClose(support.read_npy(self.path("x_hat.npy")).values, x_hat, 1e-6, "x_hat")
            self.assertEqual(self.good("eval", model, self.x, "--json"), metrics)

    def test_init_goes_on_in_its_own_space(self):
        first = self.path("first.safetensors")
        tensors, _ = self.train("first.safetensors", self.x, "--standardize", "element")
        other = self.npy("other.npy", f32([2 * value + 1 for value in self.values]))
        after, metadata = self.train("after.safetensors", other, "--init", first)
        for name in ["input.mean", "input.scale"]:
            self.assertEqual(after[name].values, tensors[name].values)
        self.assertEqual(metadata["standardize"], "element")
        self.train("named.safetensors", other, "--init", first, "--standardize", "element")
        self.assertEqual(self.read("named.safetensors"), self.read("after.safetensors"))
        z = self.npy("z.npy", self.standardized(support.read_npy(other).values, tensors))
        bare = {name: tensor for name, tensor in tensors.items() if not name.startswith("input.")}
        settings = {k: v for k, v in read_safetensors(first)[1].items() if k != "standardize"}
        plain = support.write_safetensors(self.path("plain.safetensors"), bare, settings)
        by_hand, _ = self.train("by-hand.safetensors", z, "--init", plain)
        for name, tensor in by_hand.items():
            self.assertEqual(after[name].values, tensor.values, name)

        for how, model, there in [
            ("none", first, "element"),
            ("global", first, "element"),
            ("element", plain, "none"),
        ]:
            command = ["train", self.x, "--init", model, "-o", self.path("out"), "--standardize", how]
            self.bad(1, ["--standardize is " + how, "trained with " + there], *command)
        half = dict(bare, **{"input.mean": tensors["input.mean"]})
        broken = support.write_safetensors(self.path("half.safetensors"), half, settings)
        command = ["train", self.x, "--init", broken, "-o", self.path("out")]
        self.bad(1, "input.mean without input.scale", *command)

    def test_points_of_a_file_are_in_the_units_of_the_data(self):
        some = self.npy("some.npy", self.values[: 25 * D])
        flags = ["--standardize", "element", "--concepts", "9", "--points"]
        tensors, _ = self.train("points.safetensors", self.x, *flags, some)
        points = tensors["dictionary.C"].values
        self.assertEqual(points, self.standardized(self.values[: 25 * D], tensors))
        # those of a checkpoint in the units of its own training: nothing changes between equals,
        checkpoint = self.path("points.safetensors")
        again, _ = self.train("again.safetensors", self.x, *flags, checkpoint)
        self.assertEqual(again["dictionary.C"].values, points)
        # they are what they were without a standardization,
        plain, _ = self.train("plain.safetensors", self.x, "--concepts", "9", "--points", checkpoint)
        self.assertClose(plain["dictionary.C"].values, self.values[: 25 * D], 1e-6)
        # and change from one to the other.
        other, _ = self.train(
            "other.safetensors", self.x, "--standardize", "global", "--concepts", "9", "--points", checkpoint
        )
        self.assertClose(other["dictionary.C"].values, self.standardized(self.values[: 25 * D], other), 1e-6)


class Activations(Case):
    """tests/data/patches.npy: a hidden layer of a network, one row per 512 bytes of a file of one of twelve kinds."""

    X, KINDS, WIDTH = data("patches.npy"), data("patches.txt"), 512

    def train(self, *flags):
        size = ["--concepts", 64, "--top-k", 8, "--steps", 300, "--seed", 1, "--holdout", "0.1"]
        return self.good_json("train", self.X, "--labels", self.KINDS, "-o", self.path("out"), *size, "--json", *flags)

    def test_half_precision_needs_to_be_standardized(self):
        x = read_npy(self.X)
        self.assertEqual((x.dtype, list(x.shape)), ("F16", [3900, self.WIDTH]))
        columns = [x.values[j :: self.WIDTH] for j in range(self.WIDTH)]
        means = [math.fsum(column) / len(column) for column in columns]
        variances = [math.fsum((v - mean) ** 2 for v in column) / len(column) for mean, column in zip(means, columns)]
        self.assertGreater(math.fsum(mean**2 for mean in means), 8 * math.fsum(variances))
        self.assertGreater(max(variances), 50 * min(variances))
        self.assertGreater(self.train()["dead"], 0.5)  # the mean, which all rows share, is all that most atoms see
        standardized = self.train("--standardize", "element")
        self.assertEqual(standardized["dead"], 0)
        self.assertGreater(standardized["r2_holdout"], 0.41)
        self.assertLess(abs(standardized["r2_holdout"] - standardized["r2"]), 0.05)
        tensors, _ = read_safetensors(self.path("out"))
        self.assertEqual(tensors["input.mean"].shape, [self.WIDTH])
        for mean, kept in zip(means, tensors["input.mean"].values):  # of the nine tenths that it was trained on
            self.assertLess(abs(kept - mean), 0.05 * mean)

    def test_an_atom_is_made_of_one_kind_or_two(self):
        self.train("--standardize", "element")
        atoms = self.good_json("inspect", self.path("out"), "--atoms", 64, "--json")["atoms"]
        self.assertEqual(len(atoms), 64)
        traced = [{row["label"] for row in atom["trace"]["rows"]} for atom in atoms]
        mixed = [{archetype["label"] for archetype in atom["archetypes"]} for atom in atoms]
        with open(self.KINDS, encoding="utf-8") as file:
            kinds = set(file.read().split())
        self.assertEqual(len(kinds), 12)
        self.assertLessEqual(set().union(*mixed), kinds)
        self.assertEqual(set().union(*traced), kinds)
        # Five rows drawn at random are of one kind or two in one case of a hundred.
        self.assertGreaterEqual(sum(len(some) <= 2 for some in traced), 45)
        self.assertGreaterEqual(sum(len(some) <= 2 for some in mixed), 32)


if __name__ == "__main__":
    support.main()
