"""Files of other programs (trainer/import.c, lib/io/torch/, lib/io/{config,source}.c, lib/io/safetensors/config.c): what overcomplete's own
classes wrote gives what they computed, without flags where a module says everything; pickles that would run code are refused by name; config.json,
flags and folders."""

import json
import os
import pickle
import shutil
import struct
import unittest
import zipfile

import support
from support import Case, Tensor, encode, read_npy, read_safetensors, write_npy

FOLDER = support.data(os.path.join("interop", "overcomplete"))
EXPECTED, FLAGS = read_safetensors(os.path.join(FOLDER, "expected.safetensors"))
# Half precision: the package computes with float32 copies of the parameters, and so do we.
TOLERANCE = 2e-6


def path_of(name):
    return os.path.join(FOLDER, name)


class Torch:
    """Writes files as torch.save does, with Python's own zipfile."""

    @staticmethod
    def text(value):
        blob = value.encode()
        return b"X" + struct.pack("<I", len(blob)) + blob

    @classmethod
    def named(cls, module, name):
        return b"c" + module.encode() + b"\n" + name.encode() + b"\n"

    @classmethod
    def tensor(cls, key, shape, strides=None, offset=0, storage="FloatStorage", count=None):
        if strides is None:
            strides = [1] * len(shape)
            for i in reversed(range(len(shape) - 1)):
                strides[i] = strides[i + 1] * shape[i + 1]
        numbers = lambda values: b"(" + b"".join(cls.number(v) for v in values) + b"t"
        identity = (b"(" + cls.text("storage") + cls.named("torch", storage) + cls.text(key) + cls.text("cpu")
                    + cls.number(support.elements(shape) if count is None else count) + b"tQ")
        return (cls.named("torch._utils", "_rebuild_tensor_v2") + b"(" + identity + cls.number(offset) + numbers(shape)
                + numbers(strides) + b"\x89" + cls.named("collections", "OrderedDict") + b")R" + b"tR")

    @staticmethod
    def number(value):
        if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        return b"\x8a\x08" + struct.pack("<q", value)

    @classmethod
    def state(cls, tensors):
        return b"}(" + b"".join(cls.text(name) + value for name, value in tensors.items()) + b"u"

    @staticmethod
    def write(path, root, members, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02" + root + b".")
            for name, blob in members.items():
                archive.writestr("archive/" + name, blob, compress_type=compression)
        return path


def without_config(case):
    """The module whose threshold stands in a config.json, alone."""
    return shutil.copy(path_of("hub/model.pth"), case.path("model.pth"))


class Modules(Case):
    def setUp(self):
        super().setUp()
        self.x = write_npy(self.path("x.npy"), EXPECTED["x"])

    def compute(self, model, *flags):
        self.good("encode", model, self.x, "-o", self.path("z.npy"), *flags)
        self.good("reconstruct", model, self.path("z.npy"), "-o", self.path("x_hat.npy"), *flags)
        return read_npy(self.path("z.npy")).values, read_npy(self.path("x_hat.npy")).values

    def assertComputes(self, name, codes, x_hat):
        self.assertClose(codes, EXPECTED[name + ".codes"].values, TOLERANCE, name)
        self.assertClose(x_hat, EXPECTED[name + ".x_hat"].values, TOLERANCE, name)

    def test_every_class_as_it_is(self):
        self.assertGreater(len(FLAGS), 25)
        for name, flags in sorted(FLAGS.items()):
            with self.subTest(name):
                self.assertComputes(name, *self.compute(path_of(name), *flags.split()))

    def test_every_class_imported(self):
        for name, flags in sorted(FLAGS.items()):
            with self.subTest(name):
                said = self.good("import", path_of(name), "-o", self.path("out"), *flags.split())
                self.assertIn("10 atoms of 6 dimensions", said)
                self.assertIn("settings: sae ", said)
                self.assertComputes(name, *self.compute(self.path("out")))

    def test_every_class_as_a_checkpoint(self):
        for name, flags in sorted(FLAGS.items()):
            with self.subTest(name):
                self.good("import", path_of(name), "--checkpoint", "-o", self.path("kept"), *flags.split())
                self.assertComputes(name, *self.compute(self.path("kept")))
                tensors, metadata = read_safetensors(self.path("kept"))
                self.assertTrue({"dictionary.W", "dictionary._weights"} & set(tensors), tensors)
                self.assertFalse([name for name in tensors if "num_batches" in name])
                self.assertNotIn("optimizer", str(tensors))
                self.assertIn("sae", metadata)

    def test_training_continues_from_each(self):
        for name, flags in sorted(FLAGS.items()):
            if "mlp-" in name:
                continue  # is served and not trained
            if "batchtopk" in name or name == "hub":
                flags += " --top-k 3"
            with self.subTest(name):
                how = ["--steps", "1", "--lr", "1e-30", "--loss", "mse", "--trace-rows", "0", *flags.split()]
                self.good("train", self.x, "--init", path_of(name), "-o", self.path("out"), *how)
                if "bn" not in name and "batchtopk" not in name and name != "hub":  # a step changes means and thresholds
                    self.assertComputes(name, *self.compute(self.path("out")))

    def test_eval_and_inspect_take_them(self):
        for name in "ra-topk.pt", "ra-batchtopk-legacy.pth", "hub":
            with self.subTest(name):
                self.assertLess(self.good_json("eval", path_of(name), self.x, "--json")["l0"], 10)
                shown = self.good("inspect", path_of(name))
                self.assertIn("10 concepts of 6 dimensions on 8 points", shown)
                self.assertIn("delta", shown)

    def test_settings_of_the_module(self):
        told = self.good_json("import", path_of("hub"), "-o", self.path("out"), "--json")
        self.assertEqual(told["concepts"], 10)
        self.assertEqual(told["settings"], {
            "sae": "batchtopk", "encoder": "mlp_ln_1", "top_k": "27", "delta": "0.5", "use_multiplier": "true",
            "running_threshold": "0.829", "threshold_momentum": "0.9", "dictionary": "archetypal"})

    def test_network_and_hook_and_type(self):
        how = ["--model", "dinov2_vitb14_reg", "--hook", "norm"]
        for more in [["--dtype", "f16"], ["--checkpoint"]]:
            self.good("import", path_of("ra-topk.pt"), "-o", self.path("out"), *how, *more)
            shown = self.good("inspect", self.path("out"))
            self.assertIn("dinov2_vitb14_reg at norm", shown)
        self.bad(1, "leave out --dtype", "import", path_of("ra-topk.pt"), "-o", self.path("new"), "--checkpoint", "--dtype", "f16")

    def test_what_is_not_supported_is_named(self):
        cases = {
            "refused-omp.pt": ["omp", "orthogonal"],
            "refused-qsae.pt": ["qsae", "quantized"],
            "refused-gelu.pt": ["torch.nn.modules.activation.GELU", "expected a ReLU"],
            "refused-hardtanh.pt": ["torch.nn.modules.activation.Hardtanh", "expected ReLU, GELU"],
            "refused-leaky.pt": ["torch.nn.modules.activation.LeakyReLU", "with arguments"],
            "refused-mixed.pt": ["different norms or activations"],
            "refused-bare-norm.pt": ["elementwise_affine"],
            "refused-no-bias.pt": ["has no bias", "not supported"],
            "refused-resnet_1b.pt": ["encoder.resnet_blocks", "images"],
            "refused-attention_1b.pt": ["encoder.attention_blocks", "batch"],
        }
        for name, texts in cases.items():
            for command in ["import", path_of(name)], ["encode", path_of(name), self.x]:
                with self.subTest(name):
                    self.bad(1, texts, *command, "-o", self.path("out"))

    def test_an_encoder_that_is_only_served(self):
        for name in "mlp-ln-3.pt", "mlp-rms-1.pt", "mlp-elu.pt":
            encoder = {"mlp-ln-3.pt": "mlp_ln_3", "mlp-rms-1.pt": "mlp_rms_1", "mlp-elu.pt": "mlp_n"}[name]
            with self.subTest(name):
                self.assertEqual(self.good_json("import", path_of(name), "-o", self.path("out"), "--json")["settings"]["encoder"], encoder)
                self.bad(1, [encoder, "cannot be trained here"], "train", self.x, "--init", path_of(name), "--steps", "1", "-o", self.path("new"))
                for kind in "saelens", "overcomplete", "npz":
                    self.bad(1, "RMSNorm" if "rms" in name else "hidden layers", "export", path_of(name), "--to", kind, "-o", self.path("folder"))
        self.bad(1, "cannot be trained here", "train", self.x, "--encoder", "mlp_ln_3", "--sae", "relu", "-o", self.path("new"))

    def test_what_no_tensor_of_hidden_layers_tells(self):
        state, how = path_of("state-mlp-ln-3.pt"), ["-o", self.path("out"), "--sae", "relu", "--dictionary-kind", "l2"]
        self.bad(1, ["--hidden-activation relu", "--no-hidden-residual", "mlp_ln_3"], "import", state, *how)
        self.bad(1, "--no-hidden-residual", "import", state, *how, "--hidden-activation", "relu")
        self.bad(1, "--hidden-activation", "import", state, *how, "--hidden-residual")
        self.bad(1, ["RMSNorm", "--encoder mlp_rms_1"], "import", path_of("state-mlp-rms-1.pt"), *how)
        self.bad(2, "relu, gelu", "import", state, *how, "--hidden-activation", "softplus", "--no-hidden-residual")
        for name in "mlp-rms-gelu.pt", "mlp-ln-silu.pt":  # they say so themselves; a flag is stronger
            self.assertComputes(name, *self.compute(path_of(name)))
            z, _ = self.compute(path_of(name), "--no-hidden-residual")
            self.assertGreater(max(abs(a - b) for a, b in zip(z, EXPECTED[name + ".codes"].values)), 1e-3)

    def test_a_config_tells_what_hidden_layers_end_with(self):
        os.mkdir(self.path("hub"))
        shutil.copy(path_of("state-mlp-ln-3.pt"), self.path("hub/model.pt"))
        self.write("hub/config.json", json.dumps({"hidden_activation": "relu", "hidden_residual": False}).encode())
        flags = ["--sae", "relu", "--dictionary-kind", "l2"]
        self.assertComputes("state-mlp-ln-3.pt", *self.compute(self.path("hub"), *flags))

    def test_what_is_missing_is_named_with_its_flag(self):
        state = path_of("state.pt")
        self.bad(1, ["delta", "--delta"], "import", state, "-o", self.path("out"))
        self.bad(1, ["sae", "--sae"], "import", state, "-o", self.path("out"), "--delta", "0.5")
        self.bad(1, ["top_k", "--top-k"], "import", state, "-o", self.path("out"), "--delta", "0.5", "--sae", "topk")
        self.bad(1, ["running_threshold", "--running-threshold"], "import", without_config(self), "-o", self.path("out"))


class Configs(Case):
    """config.json beside a file, and files of settings that are named."""

    def config(self, name="config.json", **settings):
        return self.write(name, json.dumps(settings).encode())

    def settings(self, *arguments):
        return self.good_json("import", *arguments, "-o", self.path("out.safetensors"), "--json")["settings"]

    def test_a_flag_is_stronger_than_a_named_file_than_the_module_than_one_beside_it(self):
        model = without_config(self)
        self.config(running_threshold=0.829, delta=0.25)
        result = self.run_rasae("import", model, "-o", self.path("out.safetensors"))
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"config.json says that delta is 0.25, but", result.stderr)
        settings = self.settings(model)
        self.assertEqual((settings["running_threshold"], settings["delta"]), ("0.829", "0.5"))
        named = self.config("other.json", running_threshold=0.7, delta=0.125)
        settings = self.settings(model, named)
        self.assertEqual((settings["running_threshold"], settings["delta"]), ("0.7", "0.125"))
        settings = self.settings(model, named, "--running-threshold", "0.6")
        self.assertEqual((settings["running_threshold"], settings["delta"]), ("0.6", "0.125"))

    def test_only_known_keys_at_the_top_level(self):
        model = without_config(self)
        self.config(encoder="dinov2", model="x", dictionary=3, sae={"running_threshold": 1}, running_threshold=0.5, top_k=None)
        self.assertEqual(self.settings(model)["running_threshold"], "0.5")
        self.config(sae={"running_threshold": 1})
        self.bad(1, "--running-threshold", "import", model, "-o", self.path("none"))

    def test_a_config_that_is_no_json(self):
        model = without_config(self)
        self.write("config.json", b"<!DOCTYPE html>")
        result = self.run_rasae("import", model, "-o", self.path("out.safetensors"), "--running-threshold", "1")
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"config.json is not a JSON object", result.stderr)
        named = self.write("named.json", b"[1]")
        self.bad(1, "named.json is not a JSON object", "import", path_of("ra-topk.pt"), named, "-o", self.path("none"))
        named = self.config("named.json", top_k="many")
        self.bad(1, ["named.json", "top_k", "many"], "import", path_of("ra-topk.pt"), named, "-o", self.path("none"))

    def test_sources(self):
        self.bad(1, "two sources", "import", path_of("ra-topk.pt"), path_of("topk.pt"), "-o", self.path("out"))
        self.bad(1, "no source", "import", self.config("a.json", delta=1), "-o", self.path("out"))
        self.bad(1, "there is no file", "import", self.path("nothing.pt"), "-o", self.path("out"))

    def test_folders(self):
        folder = self.path("snapshot")
        os.mkdir(folder)
        self.bad(1, "without weights", "import", folder, "-o", self.path("out"))
        shutil.copy(path_of("ra-topk.pt"), folder)
        self.write("snapshot/README.md", b"# A model\n")
        self.assertEqual(self.settings(folder)["top_k"], "3")
        shutil.copy(path_of("topk.pt"), folder + "/another.pth")
        self.bad(1, ["several files of weights (another.pth, ra-topk.pt)", "give the path of one"], "import", folder, "-o", self.path("out"))


class Hostile(Case):
    """Archives that Python's own modules write."""

    def bytes(self, n):
        return encode("F32", [0.5] * n)

    def refused(self, texts, root, members=None, code=1, **how):
        path = Torch.write(self.path("bad.pt"), root, members or {}, **how)
        for command in ["import", path, "-o", self.path("out")], ["inspect", path], ["eval", path, path]:
            self.bad(code, texts, *command)

    def test_a_pickle_that_would_run_a_command(self):
        class Evil:
            def __reduce__(self):
                return os.system, ("touch %s" % marker,)

        marker = self.path("was-run")
        for protocol in 2, 3, 4, 5:
            with self.subTest(protocol):
                self.refused(["posix.system", "nothing of it was run"], pickle.dumps(Evil(), protocol)[2:-1])
                self.assertFalse(os.path.exists(marker))

    def test_names_that_may_not_be(self):
        for module, name in [("builtins", "exec"), ("subprocess", "Popen"), ("runpy", "run_path"), ("torch", "load"),
                             ("torch.hub", "load"), ("numpy", "load"), ("functools", "partial"), ("__main__", "MySAE"),
                             ("operator", "attrgetter")]:
            with self.subTest(name):
                self.refused("%s.%s" % (module, name), Torch.named(module, name) + b")R")

    def test_circles_and_shared_parts(self):
        self.refused("circle", b"]q\x00h\x00a")
        self.refused("circle", b"}q\x00X\x01\0\0\0ah\x00s")
        doubled = b"]q\x00K\x01a" + b"".join(
            b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
        self.refused("nested more than 48 deep, or are more than", doubled)

    def test_tensors_beyond_their_storage(self):
        good = {"data/0": self.bytes(6)}
        for what, tensor in {
            "ends at element 6": Torch.tensor("0", [2, 3], offset=1),
            "ends at element 10": Torch.tensor("0", [2, 3], strides=[8, 1]),
            "lead beyond its storage": Torch.tensor("0", [5, 3], strides=[2**62, 2**62], count=6),
            "larger than memory can address": Torch.tensor("0", [2**40, 2**40], strides=[0, 0], count=6),
            "expand()": Torch.tensor("0", [100, 6], strides=[0, 1], count=6),
            "not a number of at least 0": Torch.tensor("0", [2, -3], count=6),
            "it describes a storage wrongly": Torch.tensor("0", [2, 3], count=-6),
        }.items():
            with self.subTest(what):
                self.refused(what, Torch.state({"dictionary._weights": tensor}), good)

    def test_members(self):
        state = Torch.state({"dictionary._weights": Torch.tensor("0", [2, 3])})
        self.refused("data/0 is missing", state)
        self.refused("has 20 bytes, but its pickle says 6 numbers of 4", state, {"data/0": self.bytes(5)})
        self.refused("is packed", state, {"data/0": self.bytes(6)}, compression=zipfile.ZIP_DEFLATED)
        self.refused("high byte first", state, {"byteorder": b"big", "data/0": self.bytes(6)})
        self.refused("../../etc/passwd is missing", Torch.state({"a": Torch.tensor("../../etc/passwd", [6])}))

    def test_two_storages_of_one_key(self):
        state = Torch.state({"a": Torch.tensor("0", [6]), "b": Torch.tensor("0", [3], storage="DoubleStorage")})
        self.refused("in two ways", state, {"data/0": self.bytes(6)})

    def test_a_file_that_is_cut(self):
        for name in "ra-topk.pt", "ra-topk-legacy.pt":
            with open(path_of(name), "rb") as file:
                blob = file.read()
            for size in 40, 400, len(blob) // 2, len(blob) - 1:
                with self.subTest(name=name, size=size):
                    path = self.write("cut.pt", blob[:size])
                    self.bad(1, "cut.pt", "import", path, "-o", self.path("out"))

    def test_good_ones_of_these(self):
        path = Torch.write(self.path("good.pt"), Torch.state({"dictionary._weights": Torch.tensor("0", [2, 3])}), {"data/0": self.bytes(6)})
        self.good("import", path, "-o", self.path("out"), "--dictionary-kind", "identity")
        tensors, _ = read_safetensors(self.path("out"))
        self.assertEqual(tensors["dictionary"].values, [0.5] * 6)


class Data(Case):
    def test_activations_of_torch_train(self):
        folder = support.data(os.path.join("interop", "torch"))
        for names in [["acts.pt"], ["acts-legacy.pt"], ["acts-half.pt"], ["acts-named.pt"], ["acts.pt", "acts-legacy.pt"]]:
            with self.subTest(names):
                paths = [os.path.join(folder, name) for name in names]
                how = ["--concepts", "8", "--top-k", "2", "--steps", "3", "-o", self.path("out")]
                self.assertIn("{:,} rows".format(12 * len(names)), self.good("train", *paths, *how))

    def test_the_same_numbers_give_the_same_model(self):
        folder = support.data(os.path.join("interop", "torch"))
        models = []
        for name in "acts.pt", "acts-legacy.pt", "acts.safetensors":
            self.good("train", os.path.join(folder, name), "--concepts", "8", "--top-k", "2", "--steps", "3", "--no-state",
                      "-o", self.path("out"))
            models.append({name: tensor.values for name, tensor in read_safetensors(self.path("out"))[0].items()})
        self.assertEqual(models[0], models[2])
        self.assertEqual(models[1], models[2])

    def test_which_tensor(self):
        path = support.data(os.path.join("interop", "torch", "zip.pt"))
        how = ["--concepts", "3", "--top-k", "2", "--steps", "1", "-o", self.path("out")]
        self.bad(1, "several tensors", "train", path, *how)
        self.bad(1, "is BOOL [3]", "train", path, "--tensor", "bool", *how)
        self.good("train", path, "--tensor", "strided", *how)


if __name__ == "__main__":
    support.main()
