"""The options of the method (trainer/training/{plan,points,run}.c): kinds, encoders, losses, starts, optimizers and
schedules, through the command line."""

import json
import math

import support
from support import Case, Tensor, data, golden, read_safetensors, small_data


class Method(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data())
        self.out = self.path("out.safetensors")

    def train(self, *flags):
        self.good(
            "train", self.x, "-o", self.out, "--quiet", "--steps", "12", "--points", "20",
            "--concepts", "16", *flags,
        )  # fmt: skip
        return read_safetensors(self.out)

    def plain(self, *flags):
        self.good(
            "train", self.x, "-o", self.out, "--quiet", "--steps", "4", "--dictionary-kind", "identity",
            "--concepts", "16", "--lr", "0", *flags,
        )  # fmt: skip
        return read_safetensors(self.out)

    def refused(self, texts, *flags, code=1):
        self.bad(code, texts, "train", self.x, "-o", self.out, "--steps", "2", *flags)


class Codes(Method):
    """Kinds that encode with the dictionary itself."""

    def check_round(self, *flags):
        """Trains; the fused artifact and the checkpoint give the same codes and reconstructions, and these make
        R2 what eval says."""
        tensors, metadata = self.train(*flags)
        fused = self.path("fused.safetensors")
        self.good("fuse", self.out, "-o", fused)
        for model in [self.out, fused]:
            codes, x_hat = self.path("z.npy"), self.path("x_hat.npy")
            self.good("encode", model, self.x, "-o", codes)
            self.good("reconstruct", model, codes, "-o", x_hat)
            both = support.read_npy(codes), support.read_npy(x_hat)
            if model == self.out:
                first = both
            self.assertEqual([t.values for t in both], [t.values for t in first])
        measured = self.good_json("eval", fused, self.x, "--json")
        gap = sum((a - b) ** 2 for a, b in zip(small_data().values, first[1].values))
        self.assertTrue(math.isclose(measured["mse"], gap / len(first[1].values), rel_tol=1e-4))
        return tensors, metadata, read_safetensors(fused), first[0]

    def test_matching_pursuit_has_no_encoder_tensors(self):
        tensors, metadata, (fused, settings), codes = self.check_round("--sae", "mp", "--top-k", "3")
        self.assertEqual([name for name in tensors if name.startswith("encoder")], [])
        self.assertEqual([name for name in fused if name.startswith("encoder")], [])
        for values in [metadata, settings]:
            self.assertEqual((values["sae"], values["encoder"], values["top_k"]), ("mp", "identity", "3"))
        self.assertEqual(metadata["loss"], "mse")
        for row in range(96):
            active = sum(z != 0 for z in codes.values[row * 16 : (row + 1) * 16])
            self.assertTrue(1 <= active <= 3, active)

    def test_a_tied_encoder_saves_its_bias_alone(self):
        for sae in ["relu", "topk", "batchtopk", "jumprelu"]:
            tensors, metadata, (fused, settings), _ = self.check_round("--sae", sae, "--encoder", "tied")
            for held in [tensors, fused]:
                names = [name for name in held if name.startswith("encoder")]
                self.assertEqual(names, ["encoder.final_block.0.bias"], sae)
            self.assertEqual((metadata["encoder"], settings["encoder"]), ("tied", "tied"))

    def test_plain_dictionaries_encode_too(self):
        for flags in [["--sae", "mp"], ["--encoder", "tied"]]:
            self.good(
                "train", self.x, "-o", self.out, "--quiet", "--steps", "6", "--dictionary-kind", "l2", *flags
            )
            self.good("encode", self.out, self.x, "-o", self.path("z.npy"))

    def test_training_goes_on_from_their_files(self):
        for flags in [["--sae", "mp"], ["--encoder", "tied"]]:
            self.train(*flags)
            again = self.path("again.safetensors")
            self.good("train", self.x, "--init", self.out, "-o", again, "--quiet", "--steps", "3")
            before, after = read_safetensors(self.out), read_safetensors(again)
            self.assertEqual(before[0].keys(), after[0].keys())
            self.assertNotEqual(
                before[0]["dictionary.Relax"].values, after[0]["dictionary.Relax"].values, flags
            )
            self.assertEqual(before[1]["encoder"], after[1]["encoder"])

    def test_a_state_dict_with_settings_given_as_flags(self):
        """The reference's own final state of its matching pursuit, without metadata."""
        tensors = read_safetensors(golden("mp-mse.final.safetensors"))[0]
        expected = read_safetensors(golden("mp-mse.expected.safetensors"))[0]
        model = support.write_safetensors(self.path("state.safetensors"), tensors)
        x = support.read_npy(golden("mp-mse.x.npy"))
        batch = support.write_npy(self.path("batch.npy"), Tensor("F32", [32, 16], x.values[: 32 * 16]))
        flags = ["--sae", "mp", "--top-k", "5", "--delta", "1"]
        self.good("encode", model, batch, "-o", self.path("z.npy"), *flags)
        codes = support.read_npy(self.path("z.npy"))
        self.assertClose(codes.values, expected["eval.codes"].values, 1e-5, "codes")
        self.bad(1, ["top_k", "--top-k"], "encode", model, batch, "-o", self.path("z2.npy"), *flags[:2], *flags[4:])

    def test_atoms_start_no_longer_than_one(self):
        """Otherwise points of raw data would never recover from the first steps."""
        values = [100 * value for value in small_data().values]
        self.x = support.write_npy(self.path("large.npy"), Tensor("F32", [96, 12], values))
        for flags in [["--sae", "mp"], ["--encoder", "tied"]]:
            tensors, _ = self.train(*flags, "--lr", "0")
            scale = math.exp(tensors["dictionary.multiplier"].values[0])
            C = tensors["dictionary.C"].values
            longest = max(
                scale * math.sqrt(sum(v * v for v in C[i * 12 : (i + 1) * 12])) for i in range(16)
            )
            self.assertTrue(math.isclose(longest, 1, rel_tol=1e-5), longest)
            tensors, _ = self.train(*flags, "--lr", "0", "--no-multiplier")
            self.assertEqual(tensors["dictionary.multiplier"].values, [0])

    def test_what_does_not_go_together(self):
        self.refused(["encoder linear does not fit the sae mp"], "--sae", "mp", "--encoder", "linear")
        self.refused(["encoder identity does not fit the sae topk"], "--encoder", "identity")
        self.train()
        self.bad(1, ["sae is mp", "linear"], "train", self.x, "--init", self.out, "-o", self.path("o"), "--sae", "mp")


class Losses(Method):
    def test_each_is_stored_with_its_penalty(self):
        for loss, flags, penalty in [
            ("elastic", [], "0.5"),
            ("hoyer", [], "-0.1"),
            ("kappa_4", [], "-0.1"),
            ("hoyer", ["--penalty", "-0.5"], "-0.5"),
            ("l0", ["--sae", "jumprelu"], "0.001"),
            ("elastic", ["--penalty", "0.25"], "0.25"),
        ]:
            metadata = self.train("--loss", loss, *flags)[1]
            self.assertEqual((metadata["loss"], metadata["penalty"]), (loss, penalty))

    def test_the_l0_term_moves_thresholds(self):
        flags = ["--sae", "jumprelu", "--bandwidth", "0.5", "--loss", "l0", "--penalty"]
        free, held = (self.train(*flags, p)[0]["thresholds"].values for p in ["0", "10"])
        self.assertNotEqual(free, held)
        self.assertGreater(sum(held), sum(free))

    def test_a_target_of_active_latents_is_reached(self):
        """By the penalty, which follows it. jumprelu's thresholds move at a rate of their own: with 64 concepts and a
        target of 4, single runs end between 2.5 and 5.5, so the mean of some is compared."""
        x, size = data("digits.npy"), ["--standardize", "element", "--concepts", 64, "--trace-rows", "0", "--force"]
        for flags, seeds, tolerance in [(["--sae", "jumprelu", "--loss", "l0", "--steps", 2500], 4, 0.2),
                                        (["--sae", "relu", "--steps", 900], 1, 0.1)]:
            for target in [4, 12]:
                found = [self.good_json("train", x, "-o", self.out, "--json", *size, *flags, "--target-l0", target,
                                        "--seed", seed)["l0"] for seed in range(seeds)]
                self.assertLess(abs(sum(found) / seeds - target), tolerance * target, (flags, target, found))
        self.refused(["--target-l0", "losses l0 and mse_l1", "mse"], "--target-l0", "4")
        self.refused(["--target-l0"], "--sae", "relu", "--target-l0", "4", "--penalty", "0")

    def test_what_cannot_be_is_refused_before_points_are_looked_for(self):
        for texts, flags in [
            (["loss l0", "only jumprelu"], ["--loss", "l0"]),
            (["penalty of the loss elastic is 2", "at most 1"], ["--loss", "elastic", "--penalty", "2"]),
            (["penalty of the loss mse is -1", "at least 0"], ["--penalty", "-1"]),
            (["weight decay is 0.1", "adamw"], ["--weight-decay", "0.1"]),
        ]:
            result = self.run_rasae("train", self.x, "-o", self.out, "--points", "9", *flags)
            self.assertEqual(result.returncode, 1)
            text = (result.stdout + result.stderr).decode()
            for part in texts:
                self.assertIn(part, text)
            self.assertNotIn("k-means", text)


class Starts(Method):
    def largest(self, tensor):
        rows, columns = tensor.shape
        picked = []
        for i in range(rows):
            row = tensor.values[i * columns : (i + 1) * columns]
            picked.append((row.index(max(row)), sum(v > 0 for v in row)))
        return picked

    def test_archetypal(self):
        start = ["--mixture", "dense", "--lr", "0", "--seed"]
        eye, metadata = self.train(*start, "1")
        self.assertEqual(self.largest(eye["dictionary.W"]), [(k, 1) for k in range(16)])
        self.assertEqual(metadata["init"], "eye")
        permuted, metadata = self.train(*start, "1", "--init-weights", "permuted")
        picked = self.largest(permuted["dictionary.W"])
        self.assertEqual(len(set(picked)), 16)
        self.assertEqual({count for _, count in picked}, {1})
        self.assertNotEqual(picked, sorted(picked))
        self.assertEqual(metadata["init"], "permuted")
        self.assertEqual(permuted["dictionary.C"].values, eye["dictionary.C"].values)
        random, metadata = self.train(*start, "1", "--init-weights", "random")
        self.assertEqual({count for _, count in self.largest(random["dictionary.W"])}, {8})
        self.assertEqual(metadata["init"], "random")
        other = self.train(*start, "2", "--init-weights", "random")[0]
        self.assertNotEqual(other["dictionary.W"].values, random["dictionary.W"].values)

    def test_only_eye_leaves_atoms_at_zero(self):
        for init, warned in [("eye", True), ("permuted", False), ("random", False)]:
            result = self.run_rasae(
                "train", self.x, "-o", self.out, "--points", "6", "--concepts", "10", "--steps", "2",
                "--quiet", "--init-weights", init,
            )  # fmt: skip
            self.assertEqual(result.returncode, 0)
            self.assertEqual(b"start at zero" in result.stderr, warned, init)
        self.good("train", self.x, "--init", self.out, "-o", self.path("o.safetensors"), "--steps", "1", "--quiet")

    def test_plain_ones_on_points(self):
        tensors, metadata = self.plain("--init-weights", "points", "--points", "all")
        self.assertEqual(metadata["init"], "points")
        rows = small_data().values
        atoms = tensors["dictionary._weights"].values
        rows = {tuple(rows[i * 12 : (i + 1) * 12]) for i in range(96)}
        atoms = {tuple(atoms[i * 12 : (i + 1) * 12]) for i in range(16)}
        self.assertEqual(len(atoms), 16)
        self.assertTrue(atoms <= rows)
        self.assertNotIn("points.rows", tensors)
        centroids, _ = self.plain("--init-weights", "points")
        self.assertEqual(centroids["dictionary._weights"].shape, [16, 12])
        xavier, metadata = self.plain()
        self.assertEqual(metadata["init"], "xavier")
        self.assertNotEqual(xavier["dictionary._weights"].values, centroids["dictionary._weights"].values)

    def test_names_of_the_other_kind(self):
        self.refused(["eye, permuted or random", "archetypal"], "--init-weights", "points")
        self.refused(["xavier or points", "plain"], "--init-weights", "eye", "--dictionary-kind", "l2")
        self.train()
        self.bad(2, ["--init-weights cannot be given with --init"], "train", self.x, "--init", self.out,
                 "-o", self.path("o"), "--init-weights", "eye")  # fmt: skip


class Optimizers(Method):
    def rates(self, *flags):
        self.train(*flags, "--log", self.path("log.jsonl"))
        return [json.loads(line)["lr"] for line in self.read("log.jsonl").decode().splitlines()]

    def test_adamw_decays_weights(self):
        bias = {}
        for name, flags in {
            "adam": [],
            "adamw": ["--optimizer", "adamw"],
            "none": ["--optimizer", "adamw", "--weight-decay", "0"],
            "much": ["--optimizer", "adamw", "--weight-decay", "10"],
        }.items():
            tensors, metadata = self.train("--lr", "0.01", *flags)
            bias[name] = tensors["encoder.final_block.0.weight"].values
            self.assertEqual(metadata["optimizer"], "adamw" if flags else "adam")
            self.assertEqual(float(metadata["weight_decay"]), {"adamw": 0.01, "much": 10}.get(name, 0), name)
        self.assertEqual(bias["adam"], bias["none"])
        self.assertNotEqual(bias["adam"], bias["adamw"])
        norm = {name: sum(v * v for v in values) for name, values in bias.items()}
        self.assertLess(norm["much"], 0.5 * norm["adam"])

    def test_another_optimizer_does_not_inherit_a_decay(self):
        self.train("--optimizer", "adamw", "--weight-decay", "0.5")
        again = self.path("again.safetensors")
        self.good("train", self.x, "--init", self.out, "-o", again, "--quiet", "--optimizer", "adam")
        self.assertEqual(read_safetensors(again)[1]["weight_decay"], "0")
        self.good("train", self.x, "--init", self.out, "-o", again, "--quiet")
        self.assertEqual(read_safetensors(again)[1]["weight_decay"], "0.5")

    def test_betas(self):
        default = self.train()[0]["dictionary.Relax"].values
        other, metadata = self.train("--beta1", "0.5", "--beta2", "0.99")
        self.assertEqual((metadata["beta1"], metadata["beta2"]), ("0.5", "0.99"))
        self.assertNotEqual(other["dictionary.Relax"].values, default)
        self.refused(["--beta1", "from 0 to"], "--beta1", "1", code=2)

    def test_schedules(self):
        flags = ["--lr", "1", "--clip-grad", "1e-9", "--warmup", "4"]
        constant = self.rates(*flags)
        for rate, expected in zip(constant, [0.25, 0.5, 0.75] + [1] * 9):
            self.assertTrue(math.isclose(rate, expected, rel_tol=1e-6), constant)
        linear = self.rates(*flags, "--schedule", "linear", "--lr-final", "0.2")
        for rate, expected in zip(linear, [0.25, 0.5, 0.75, 1] + [1 - 0.1 * i for i in range(8)]):
            self.assertTrue(math.isclose(rate, expected, rel_tol=1e-6), linear)
        cosine = self.rates(*flags, "--schedule", "cosine", "--lr-final", "0")
        self.assertEqual(len(cosine), 12)
        self.assertTrue(cosine[11] < cosine[8] < cosine[5], cosine)
        for rate, expected in zip(cosine, [0.25, 0.5, 0.75, 1]):  # the warm-up is that of every schedule
            self.assertTrue(math.isclose(rate, expected, rel_tol=1e-6), cosine)
        reference = self.rates(*flags, "--schedule", "reference_cosine", "--lr-final", "0")
        self.assertEqual(reference[0], 1)  # its quirk
        self.assertTrue(math.isclose(reference[1], 1 / 3, rel_tol=1e-6), reference)
        self.assertEqual(reference[4:], cosine[4:])
        self.refused(["warm-up of 99 steps", "--warmup"], "--warmup", "99")


if __name__ == "__main__":
    support.main()
