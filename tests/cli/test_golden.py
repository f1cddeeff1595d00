"""Whole training runs through the command line, against the reference (tests/golden/README.md; trainer/train.c)."""

import json
import math

import support
from support import Case, Tensor, golden, read_safetensors

TENSORS = 2e-5  # relative l2 norm, of every final tensor
METRICS = 1e-4  # and of the running threshold


class Golden(Case):
    def train(self, run):
        """Runs it; returns the expected tensors and the checkpoint's name."""
        checkpoint = self.path("trained.safetensors")
        init = golden(run + ".init.safetensors")
        log = self.path("log.jsonl")
        flags = ["--init", init, "--no-shuffle", "--schedule", "constant", "--log", log, "-o", checkpoint]
        self.good("train", golden(run + ".x.npy"), *flags)
        return read_safetensors(golden(run + ".expected.safetensors"))[0], checkpoint

    def first_batch(self, run):
        x = support.read_npy(golden(run + ".x.npy"))
        batch = int(read_safetensors(golden(run + ".init.safetensors"))[1]["batch_size"])
        d = x.shape[1]
        return support.write_npy(self.path("batch.npy"), Tensor("F32", [batch, d], x.values[: batch * d]))

    def check_log(self, expected):
        lines = [json.loads(line) for line in self.read("log.jsonl").decode().splitlines()]
        losses = expected["loss_per_step"].values
        self.assertEqual([line["step"] for line in lines], list(range(1, len(losses) + 1)))
        self.assertEqual(
            list(lines[0]),
            ["step", "loss", "r2_per_dimension", "r2", "l0", "dead", "lr", "grad_norm"],
            "the members of a log line",
        )
        self.assertClose([line["loss"] for line in lines], losses, TENSORS, "losses")
        for line, loss in zip(lines, losses):
            self.assertTrue(math.isclose(line["loss"], loss, rel_tol=TENSORS), (line, loss))

    def check_parameters(self, expected, checkpoint):
        tensors, metadata = read_safetensors(checkpoint)
        names = [name[len("final.") :] for name in expected if name.startswith("final.")]
        self.assertIn("dictionary.W", names)
        for name in names:
            if name == "running_threshold":
                threshold = expected["final." + name].values[0]
                self.assertTrue(
                    math.isclose(float(metadata[name]), threshold, rel_tol=METRICS), metadata[name]
                )
                continue
            self.assertEqual(tensors[name].shape, expected["final." + name].shape, name)
            self.assertClose(tensors[name].values, expected["final." + name].values, TENSORS, name)

    def check_eval(self, run, expected, checkpoint):
        batch = self.first_batch(run)
        measured = self.good_json("eval", checkpoint, batch, "--json")
        for name in ["r2", "l0", "dead_ratio", "collinearity", "hoyer"]:
            value = expected["metrics." + name].values[0]
            self.assertTrue(
                math.isclose(measured[name], value, rel_tol=METRICS, abs_tol=1e-6), (name, measured, value)
            )
        self.good("encode", checkpoint, batch, "-o", self.path("codes.npy"))
        self.good("reconstruct", checkpoint, self.path("codes.npy"), "-o", self.path("x_hat.npy"))
        codes, x_hat = support.read_npy(self.path("codes.npy")), support.read_npy(self.path("x_hat.npy"))
        self.assertClose(codes.values, expected["eval.codes"].values, METRICS, "eval.codes")
        self.assertClose(x_hat.values, expected["eval.x_hat"].values, METRICS, "eval.x_hat")

    def check_fuse(self, expected, checkpoint):
        self.good("fuse", checkpoint, "-o", self.path("fused.safetensors"))
        fused = read_safetensors(self.path("fused.safetensors"))[0]["dictionary"]
        self.assertEqual(fused.shape, expected["fused"].shape)
        self.assertClose(fused.values, expected["fused"].values, TENSORS, "fused")

    def check_run(self, run):
        expected, checkpoint = self.train(run)
        self.check_log(expected)
        self.check_parameters(expected, checkpoint)
        self.check_eval(run, expected, checkpoint)
        self.check_fuse(expected, checkpoint)

    def test_relu_with_mse_l1(self):
        self.check_run("relu-mse_l1")

    def test_topk_with_mse(self):
        self.check_run("topk-mse")

    def test_batchtopk_with_mse(self):
        self.check_run("batchtopk-mse")

    def test_jumprelu_with_mse_l1(self):
        self.check_run("jumprelu-mse_l1")

    def test_topk_with_auxk(self):
        self.check_run("topk-auxk")

    def test_topk_behind_a_layer_norm(self):
        self.check_run("topk-mse-mlp_ln_1")

    def check_shorter_run(self, run):
        """Checks a run whose files hold no metrics."""
        expected, checkpoint = self.train(run)
        self.check_log(expected)
        self.check_parameters(expected, checkpoint)
        self.check_fuse(expected, checkpoint)

    def test_topk_with_a_tied_encoder(self):
        self.check_shorter_run("topk-mse-tied")

    def test_matching_pursuit(self):
        self.check_shorter_run("mp-mse")

    def test_jumprelu_with_its_l0_term(self):
        self.check_shorter_run("jumprelu-l0")

    def test_elastic_with_adamw(self):
        self.check_shorter_run("topk-elastic-adamw")


class FinalStates(Case):
    """The reference's own state dicts after its run, opened as they are."""

    def test_encoders_of_every_kind_encode_like_the_reference(self):
        for run in ["topk-mse-mlp_ln_1", "topk-mse-mlp_bn_1", "topk-mse-tied", "mp-mse"]:
            expected = read_safetensors(golden(run + ".expected.safetensors"))[0]
            x = support.read_npy(golden(run + ".x.npy"))
            batch, d = expected["eval.x_hat"].shape
            first = support.write_npy(self.path("x.npy"), Tensor("F32", [batch, d], x.values[: batch * d]))
            model = golden(run + ".final.safetensors")
            self.good("encode", model, first, "-o", self.path("z.npy"))
            self.good("reconstruct", model, self.path("z.npy"), "-o", self.path("x_hat.npy"))
            self.assertClose(
                support.read_npy(self.path("z.npy")).values,
                expected["eval.codes"].values,
                1e-5,
                run + " codes",
            )
            self.assertClose(
                support.read_npy(self.path("x_hat.npy")).values,
                expected["eval.x_hat"].values,
                1e-5,
                run + " x_hat",
            )


class Dictionaries(Case):
    def test_bare_dictionaries_fuse_like_the_reference(self):
        for case in ["dict-basic", "dict-tight", "dict-one"]:
            expected = read_safetensors(golden(case + ".expected.safetensors"))[0]
            fused = self.path(case + ".safetensors")
            self.good("fuse", golden(case + ".checkpoint.safetensors"), "-o", fused)
            self.assertClose(
                read_safetensors(fused)[0]["dictionary"].values, expected["fused"].values, 1e-6, case
            )

    def test_bare_dictionaries_reconstruct_like_the_reference(self):
        for case in ["dict-basic", "dict-tight", "dict-one"]:
            expected = read_safetensors(golden(case + ".expected.safetensors"))[0]
            codes = support.write_safetensors(self.path("z.safetensors"), {"z": expected["z"]})
            self.good(
                "reconstruct", golden(case + ".checkpoint.safetensors"), codes, "-o", self.path("x_hat.npy")
            )
            x_hat = support.read_npy(self.path("x_hat.npy"))
            self.assertClose(x_hat.values, expected["x_hat_eval"].values, 1e-6, case)

    def test_stability_equals_the_reference(self):
        tensors = read_safetensors(golden("stability.safetensors"))[0]
        for name in ["a", "b"]:
            support.write_safetensors(self.path(name), {"dictionary": tensors[name]})
        measured = self.good_json("compare", self.path("a"), self.path("b"), "--json")
        for name in ["cosine_hungarian_loss", "hungarian_loss"]:
            expected = tensors[name].values[0]
            self.assertTrue(
                math.isclose(measured[name], expected, rel_tol=METRICS), (name, measured[name], expected)
            )


if __name__ == "__main__":
    support.main()
