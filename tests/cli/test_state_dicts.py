"""State dicts of overcomplete 0.3.0, unedited, as its classes and savers write them (lib/sae/tensors.c,
lib/io/safetensors/names.c, trainer/training/top_k.c): every file of tests/data/state_dicts gives what the package computed, or is refused by name."""

import os
import unittest

import support
from support import Case, Tensor, read_npy, read_safetensors, write_npy, write_safetensors

FOLDER = support.data("state_dicts")
EXPECTED, FLAGS = read_safetensors(os.path.join(FOLDER, "expected.safetensors"))
REFUSED = {
    "qsae": ["the tensor Q", "QSAE", "--ignore-tensor Q"],
    "sae-mlp-ln-3": ["mlp_ln_3"],
    "omp": ["omp", "orthogonal", "third"],
}


def path_of(name):
    return os.path.join(FOLDER, name + ".safetensors")


class StateDicts(Case):
    def setUp(self):
        super().setUp()
        self.x = write_npy(self.path("x.npy"), EXPECTED["x"])

    def compute(self, model, *flags):
        self.good("encode", model, self.x, "-o", self.path("z.npy"), *flags)
        self.good("reconstruct", model, self.path("z.npy"), "-o", self.path("x_hat.npy"), *flags)
        return read_npy(self.path("z.npy")).values, read_npy(self.path("x_hat.npy")).values

    def assertComputes(self, name, codes, x_hat):
        self.assertClose(codes, EXPECTED[name + ".codes"].values, 2e-6, name)
        self.assertClose(x_hat, EXPECTED[name + ".x_hat"].values, 2e-6, name)

    def test_every_class_and_saver(self):
        for name, flags in sorted(FLAGS.items()):
            if name in REFUSED:
                continue
            with self.subTest(name):
                self.assertComputes(name, *self.compute(path_of(name), *flags.split()))
                self.good("fuse", path_of(name), "-o", self.path("fused"), *flags.split())
                self.assertComputes(name, *self.compute(self.path("fused")))

    def test_training_continues_from_each(self):
        for name, flags in sorted(FLAGS.items()):
            if name in REFUSED:
                continue
            if name == "batchtopk":
                flags = flags.replace("--top-k 27", "--top-k 3")
            with self.subTest(name):
                out = self.path("out")
                how = ["--steps", "1", "--lr", "1e-30", "--loss", "mse", "--trace-rows", "0", *flags.split()]
                self.good("train", self.x, "--init", path_of(name), "-o", out, *how)
                if "bn" not in name and name != "batchtopk":  # a step changes running means and thresholds
                    self.assertComputes(name, *self.compute(out))

    def test_what_is_not_supported_is_named(self):
        for name, texts in REFUSED.items():
            for command in ["encode", path_of(name), self.x], ["fuse", path_of(name)], ["train", self.x, "--init", path_of(name)]:
                with self.subTest(name=name, command=command[0]):
                    code = 2 if name == "omp" else 1
                    self.bad(code, texts, *command, "-o", self.path("out"), *FLAGS[name].split())

    def test_tensors_that_change_the_function_are_never_ignored(self):
        tensors, _ = read_safetensors(path_of("topk"))
        for name in ["pre_bias", "b_dec", "decoder.bias", "dictionary.bias", "thresholds", "scaler.mean", "Q"]:
            with self.subTest(name):
                more = dict(tensors, **{name: Tensor("F32", [6], [0.5] * 6)})
                model = write_safetensors(self.path("model"), more)
                self.bad(1, [name, "--ignore-tensor " + name], "fuse", model, "-o", self.path("out"), *FLAGS["topk"].split())
                flags = [*FLAGS["topk"].split(), "--ignore-tensor", name]
                self.assertComputes("topk", *self.compute(model, *flags))
                shown = self.good("inspect", model, *flags)
                self.assertIn("not used: " + name, shown)
                os.remove(model)

    def test_several_are_named_at_once(self):
        tensors, _ = read_safetensors(path_of("topk"))
        more = {name: Tensor("F32", [6], [0.5] * 6) for name in ["b_dec", "pre_bias"]}
        model = write_safetensors(self.path("model"), dict(tensors, **more))
        self.bad(1, ["--ignore-tensor b_dec,pre_bias"], "fuse", model, "-o", self.path("out"), *FLAGS["topk"].split())
        self.assertComputes("topk", *self.compute(model, *FLAGS["topk"].split(), "--ignore-tensor", "b_dec,pre_bias"))

    def test_a_tied_copy_that_differs_is_refused(self):
        tensors, _ = read_safetensors(path_of("tied-file"))
        tensors["encoder.tied_to._weights"].values[3] += 1
        model = write_safetensors(self.path("model"), tensors)
        self.bad(1, "encoder.tied_to._weights", "fuse", model, "-o", self.path("out"), *FLAGS["tied-file"].split())

    def test_inspect_says_what_is_not_used_and_the_prefix(self):
        shown = self.good("inspect", path_of("sae-bn"), *FLAGS["sae-bn"].split())
        self.assertIn("not used: encoder.final_block.1.num_batches_tracked", shown)
        shown = self.good("inspect", path_of("prefix-module-_orig_mod"), *FLAGS["ra-topk"].split())
        self.assertIn("without the prefix module._orig_mod.", shown)
        what = self.good_json("inspect", path_of("tied-file"), "--json", *FLAGS["tied-file"].split())
        self.assertEqual(what["not_used"], ["encoder.tied_to._weights", "encoder.tied_to.multiplier"])

    def test_a_top_k_that_counts_the_batch(self):
        """27 for a batch of 9: more than the 10 concepts."""
        flags = FLAGS["batchtopk"].split()
        result = self.run_rasae("encode", path_of("batchtopk"), self.x, "-o", self.path("z"), *flags)
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"counts a batch", result.stderr)
        out = self.path("out")
        train = ["train", self.x, "--init", path_of("batchtopk"), "-o", out, "--steps", "2", *flags]
        result = self.run_rasae(*train, "--batch-size", "9")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"27 / 9 = 3", result.stdout + result.stderr)
        self.assertEqual(read_safetensors(out)[1]["top_k"], "3")
        os.remove(out)
        self.bad(1, ["27", "10 concepts", "--batch-size"], *train)

    def test_matching_pursuit_without_its_setting(self):
        flags = ["--dictionary-kind", "l2"]
        self.bad(1, ["has no encoder", "--sae mp", "OMPSAE"], "encode", path_of("mp"), self.x, "-o", self.path("z"), *flags)


if __name__ == "__main__":
    support.main()
