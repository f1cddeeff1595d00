"""The layouts of other libraries (lib/io/safetensors/{layouts,layout_settings}.c) and the bias of a decoder (lib/model/standardize.c):
each folder of tests/data/interop that SAELens, dictionary_learning or sparsify wrote, or that is laid out like OpenAI's, gives the codes and reconstructions that the library
computed, as it is and imported, or is refused by name."""

import json
import os
import shutil
import unittest

import support
from support import Case, Tensor, read_npy, read_safetensors, write_npy, write_safetensors

FOLDER = support.data("interop")
EXPECTED, _ = read_safetensors(os.path.join(FOLDER, "expected.safetensors"))
MODELS = sorted(name[: -len(".codes")] for name in EXPECTED if name.endswith(".codes"))
X = EXPECTED["x"]
ROWS, D, K = 9, 6, 10
TOLERANCE = 2e-6
STANDARDIZED = ["llama_scope/r1-distill", "llama_scope/llamascopium", "llama_scope/llamascopium-relu", "llama_scope/llamascopium-topk"]


def path_of(name):
    return os.path.join(FOLDER, name)


class Layouts(Case):
    def setUp(self):
        super().setUp()
        self.x = write_npy(self.path("x.npy"), X)

    def compute(self, model, *flags):
        self.good("encode", model, self.x, "-o", self.path("z.npy"), *flags)
        self.good("reconstruct", model, self.path("z.npy"), "-o", self.path("x_hat.npy"), *flags)
        return read_npy(self.path("z.npy")).values, read_npy(self.path("x_hat.npy")).values

    def assertComputes(self, name, codes, x_hat):
        self.assertClose(codes, EXPECTED[name + ".codes"].values, TOLERANCE, name + " codes")
        self.assertClose(x_hat, EXPECTED[name + ".x_hat"].values, TOLERANCE, name + " x_hat")

    def copy(self, name, without=()):
        """The folder of a model, without these files."""
        folder = self.path("copy")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(path_of(name), folder, ignore=lambda _, names: [n for n in names if n in without])
        return folder

    def edit(self, folder, file, **changes):
        path = os.path.join(folder, file)
        with open(path) as stream:
            config = json.load(stream)
        config.update(changes)
        with open(path, "w") as stream:
            json.dump({key: value for key, value in config.items() if value is not None}, stream)

    def test_every_model_as_it_is(self):
        self.assertEqual(len(MODELS), 29)
        for name in MODELS:
            with self.subTest(name):
                self.assertComputes(name, *self.compute(path_of(name)))

    def test_every_model_imported(self):
        for name in MODELS:
            with self.subTest(name):
                self.good("import", path_of(name), "-o", self.path("out"))
                self.assertComputes(name, *self.compute(self.path("out")))
                again = self.good("fuse", self.path("out"), "-o", self.path("again"))
                self.assertIn("10 atoms of 6 dimensions", again)
                self.assertEqual(self.read("out"), self.read("again"))  # nothing is lost on the way

    def test_the_file_in_the_folder_is_the_same(self):
        self.assertComputes("saelens/topk", *self.compute(path_of("saelens/topk/sae_weights.safetensors")))
        self.assertComputes("dictionary_learning/topk", *self.compute(path_of("dictionary_learning/topk/ae.pt")))

    def test_eval_measures_what_the_library_reconstructs(self):
        for name in MODELS:
            with self.subTest(name):
                told = self.good_json("eval", path_of(name), self.x, "--json")
                unit = 3 / D**0.5 if name in STANDARDIZED else 1  # figures are in standardized units
                gap = [(a - b) / unit for a, b in zip(X.values, EXPECTED[name + ".x_hat"].values)]
                self.assertAlmostEqual(told["mse"], sum(g * g for g in gap) / len(gap), places=5)
                means = [sum(X.values[j::D]) / ROWS for j in range(D)]
                spread = sum(((v - means[i % D]) / unit) ** 2 for i, v in enumerate(X.values))
                self.assertAlmostEqual(told["r2_per_dimension"], 1 - sum(g * g for g in gap) / spread, places=5)
                active = sum(v != 0 for v in EXPECTED[name + ".codes"].values)
                self.assertAlmostEqual(told["l0"], active / ROWS, places=6)

    def test_what_is_refused_is_named(self):
        for name, texts in {
            "saelens/refused-layer-norm": ["normalize_activations", "layer_norm"],
            "dictionary_learning/refused-crosscoder": ["crosscoder", "tensor `dictionary`"],
            "openai/refused-topk": ["TopK", "standardizes each input"],
            "llama_scope/refused-token-wise": ["token-wise", "at run time"],
            "llama_scope/refused-transcoder": ["transcoder", "blocks.15.hook_mlp_out"],
            "llama_scope/refused-crosscoder": ["sae_type", "crosscoder"],
            "saelens/refused-transcoder": ["transcoder", "other activations"],
            "saelens/refused-skip-transcoder": ["W_skip", "transcoder"],
            "saelens/refused-jumprelu-transcoder": ["jumprelu_transcoder", "other activations"],
            "saelens/refused-jumprelu-skip-transcoder": ["W_skip", "transcoder"],
            "saelens/refused-matching-pursuit": ["matching_pursuit", "batchtopk"],
            "saelens/refused-abstopk": ["abstopk", "batchtopk"],
            "sparsify/refused-groupmax": ["groupmax"],
            "sparsify/refused-transcoder": ["W_skip", "transcoder"],
        }.items():
            with self.subTest(name):
                for command in ["import", path_of(name)], ["encode", path_of(name), self.x]:
                    self.bad(1, texts if command[0] == "import" else texts[-1], *command, "-o", self.path("out"))

    def test_settings_that_change_the_function_are_refused(self):
        for name, file, change, text in [
            ("llama_scope/jumprelu", "hyperparams.json", {"act_fn": "tanh"}, "tanh"),
            ("llama_scope/jumprelu", "hyperparams.json", {"jump_relu_threshold": -1}, "of at least 0"),
            ("llama_scope/jumprelu", "hyperparams.json", {"norm_activation": None}, "does not say how activations are normalized"),
            ("llama_scope/jumprelu", "hyperparams.json", {"use_glu_encoder": True}, "use_glu_encoder"),
            ("llama_scope/jumprelu", "hyperparams.json", {"dataset_average_activation_norm": {"in": 3.0, "out": 0}}, "NORM"),
            ("llama_scope/jumprelu", "hyperparams.json", {"dataset_average_activation_norm": None}, "mean norm"),
            ("llama_scope/r1-distill", "config.json", {"norm_activation": "batch-wise"}, "batch-wise"),
            ("llama_scope/r1-distill", "config.json", {"act_fn": None}, "missing"),
            ("llama_scope/r1-distill", "config.json", {"hook_point_in": "blocks.1", "hook_point_out": "blocks.1"}, "mean norm"),
            ("llama_scope/llamascopium", "config.json", {"sae_type": "lorsa"}, "lorsa"),
            ("saelens/standard", "cfg.json", {"normalize_activations": "expected_average_only_in"}, "expected_average_only_in"),
            ("saelens/standard", "cfg.json", {"architecture": "temporal"}, "temporal"),
            ("saelens/standard", "cfg.json", {"architecture": None, "activation_fn_str": "tanh-relu"}, "tanh-relu"),
            ("sparsify/topk", "cfg.json", {"transcode": True}, "transcoder"),
            ("dictionary_learning/topk", "config.json", {"trainer": {"dict_class": "CrossCoder"}}, "CrossCoder"),
            ("saelens/standard", "cfg.json", {"architecture": "skip_transcoder"}, "other activations"),
            ("saelens/standard", "cfg.json", {"architecture": "gated"}, "not those of a gated encoder"),
            ("saelens/gated", "cfg.json", {"architecture": "standard"}, "those of a gated encoder"),
            ("sparsify/topk", "cfg.json", {"signed": True}, "signed"),
        ]:
            with self.subTest(text):
                folder = self.copy(name)
                self.edit(folder, file, **change)
                self.bad(1, text, "import", folder, "-o", self.path("out"))

    def test_llama_scope_without_its_json_is_asked_for_it(self):
        folder = self.copy("llama_scope/llamascopium", without=["config.json"])
        self.bad(1, ["config.json", "norm_activation"], "import", folder, "-o", self.path("out"))
        folder = self.copy("llama_scope/r1-distill", without=["config.json"])
        self.bad(1, ["config.json", "norm_activation"], "import", folder, "-o", self.path("out"))

    def test_what_llama_scope_does_not_say(self):
        folder = self.copy("llama_scope/jumprelu")
        self.edit(folder, "hyperparams.json", apply_decoder_bias_to_pre_encoder=None)
        self.bad(1, ["center_input", "--center-input"], "import", folder, "-o", self.path("out"))
        self.assertComputes("llama_scope/jumprelu", *self.compute(folder, "--no-center-input"))
        folder = self.copy("llama_scope/r1-distill")  # the mean norm in the JSON in place of the tensor
        self.edit(folder, "config.json", hook_point_in="norm", hook_point_out="norm", dataset_average_activation_norm={"norm": 3.0})
        self.assertComputes("llama_scope/r1-distill", *self.compute(folder))
        folder = self.copy("llama_scope/llamascopium-topk")
        self.edit(folder, "config.json", act_fn="batchtopk")
        self.bad(1, "--running-threshold", "import", folder, "-o", self.path("out"))

    def test_an_older_file_of_saelens(self):
        folder = self.copy("saelens/topk")
        self.edit(folder, "cfg.json", architecture=None, k=None, activation_fn_str="topk", activation_fn_kwargs={"k": 3})
        self.assertComputes("saelens/topk", *self.compute(folder))

    def test_without_the_json_flags_are_asked_for(self):
        folder = self.copy("saelens/topk", without=["cfg.json"])
        self.bad(1, ["sae", "--sae"], "import", folder, "-o", self.path("out"))
        self.bad(1, "--top-k", "import", folder, "-o", self.path("out"), "--sae", "topk")
        self.bad(1, ["center_input", "--center-input"], "import", folder, "-o", self.path("out"), "--sae", "topk", "--top-k", "3")
        flags = ["--sae", "topk", "--top-k", "3", "--center-input"]
        self.assertComputes("saelens/topk", *self.compute(folder, *flags))
        folder = self.copy("saelens/jumprelu-plain-input", without=["cfg.json"])
        self.assertComputes("saelens/jumprelu-plain-input", *self.compute(folder, "--sae", "jumprelu", "--no-center-input"))
        folder = self.copy("dictionary_learning/batchtopk", without=["config.json"])
        self.assertComputes("dictionary_learning/batchtopk", *self.compute(folder, "--sae", "batchtopk", "--center-input"))
        for name in "gated", "matryoshka":  # whose tensors say enough
            folder = self.copy("dictionary_learning/" + name, without=["config.json"])
            self.assertComputes("dictionary_learning/" + name, *self.compute(folder))
        folder = self.copy("saelens/gated", without=["cfg.json"])
        self.assertComputes("saelens/gated", *self.compute(folder, "--center-input"))
        folder = self.copy("sparsify/topk", without=["cfg.json"])
        self.bad(1, "--sae", "import", folder, "-o", self.path("out"))

    def test_a_code_that_equals_its_threshold(self):
        """Is not active there: these comparisons are strict, ours are not."""
        eye = [float(i % 3 == i // 3) for i in range(9)]
        folder = self.path("strict")
        os.mkdir(folder)
        tensors = {"W_enc": Tensor("F32", [3, 3], eye), "W_dec": Tensor("F32", [3, 3], eye), "b_enc": Tensor("F32", [3], [0.0] * 3),
                   "b_dec": Tensor("F32", [3], [0.0] * 3), "threshold": Tensor("F32", [3], [0.5, 0.0, -1.0])}
        write_safetensors(os.path.join(folder, "sae_weights.safetensors"), tensors)
        with open(os.path.join(folder, "cfg.json"), "w") as stream:
            json.dump({"architecture": "jumprelu"}, stream)
        x = write_npy(self.path("strict.npy"), Tensor("F32", [3, 3], [0.5, 0.0, -0.25, 0.5000001, 0.25, 0.0, 0.4, -1.0, 2.0]))
        self.good("encode", folder, x, "-o", self.path("z.npy"))
        codes = read_npy(self.path("z.npy")).values
        self.assertEqual([c > 0 for c in codes], [False, False, False, True, True, False, False, False, True])

    def test_where_it_is_from(self):
        self.good("import", path_of("saelens/standard"), "-o", self.path("out"))
        self.assertIn("of gpt2-small at blocks.6.hook_resid_pre", self.good("inspect", self.path("out")))
        self.assertIn("of pythia-70m at resid_post_layer_3", self.good("inspect", path_of("dictionary_learning/topk")))

    def test_factorizations(self):
        """A dictionary without an encoder."""
        for name in "nmf", "convex-nmf":
            codes = write_npy(self.path("codes.npy"), EXPECTED["factors/" + name + ".given"])
            self.good("import", path_of("factors/" + name), "-o", self.path("factors"))
            for model in path_of("factors/" + name), self.path("factors"):
                self.good("reconstruct", model, codes, "-o", self.path("x_hat.npy"))
                self.assertClose(read_npy(self.path("x_hat.npy")).values, EXPECTED["factors/" + name + ".decoded"].values, TOLERANCE)
            self.bad(1, "has no encoder", "encode", path_of("factors/" + name), self.x, "-o", self.path("z.npy"))

    def test_a_snapshot_of_a_hub(self):
        """Links to blobs, as a hub's cache has them, among files that are no weights."""
        folder, blobs = self.path("snapshots/0123"), self.path("blobs")
        os.makedirs(folder)
        os.mkdir(blobs)
        for number, name in enumerate(["sae_weights.safetensors", "cfg.json"]):
            shutil.copy(os.path.join(path_of("saelens/topk"), name), os.path.join(blobs, str(number)))
            os.symlink(os.path.join("..", "..", "blobs", str(number)), os.path.join(folder, name))
        for name in "README.md", "sparsity.safetensors", ".gitattributes", "optimizer.pt":
            with open(os.path.join(folder, name), "w") as file:
                file.write("# no weights\n")
        self.assertComputes("saelens/topk", *self.compute(folder))
        os.mkdir(self.path("repository"))
        for name in "layers.0", "layers.1":
            shutil.copytree(path_of("sparsify/topk"), os.path.join(self.path("repository"), name))
        self.bad(1, ["layers.0, layers.1", "give the path of one"], "import", self.path("repository"), "-o", self.path("out"))
        self.assertComputes("sparsify/topk", *self.compute(self.path("repository/layers.1")))

    def test_it_cannot_be_trained(self):
        for model in path_of("saelens/topk"), path_of("dictionary_learning/topk"):
            self.bad(1, "has a bias of the decoder", "train", self.x, "--init", model, "-o", self.path("out"), "--steps", "1")


class Bias(Case):
    """Artifacts of ours with output.bias."""

    def setUp(self):
        super().setUp()
        self.x = write_npy(self.path("x.npy"), X)
        random = support.Random(3)
        self.tensors = {"dictionary": Tensor("F32", [K, D], random.values(K * D)),
                        "encoder.final_block.0.weight": Tensor("F32", [K, D], random.values(K * D)),
                        "encoder.final_block.0.bias": Tensor("F32", [K], random.values(K)),
                        "output.bias": Tensor("F32", [D], random.values(D)),
                        "input.mean": Tensor("F32", [D], random.values(D)),
                        "input.scale": Tensor("F32", [D], random.values(D, 0.5, 2))}

    def save(self, center="true", without=(), **metadata):
        tensors = {name: tensor for name, tensor in self.tensors.items() if name not in without}
        return write_safetensors(self.path("model"), tensors, {"sae": "relu", "center_input": center, **metadata})

    def expected(self, center, standardized=True):
        """Number by number: u = (x - mean) / scale; z = relu(E (u - b) + c), or of u; x_hat = (z D + b) scale + mean."""
        E, Dm, c, b = (self.tensors[name].values for name in ("encoder.final_block.0.weight", "dictionary", "encoder.final_block.0.bias", "output.bias"))
        mean, scale = (self.tensors[name].values for name in ("input.mean", "input.scale"))
        codes, back = [], []
        for r in range(ROWS):
            u = [(X.values[r * D + j] - mean[j]) / scale[j] if standardized else X.values[r * D + j] for j in range(D)]
            seen = [a - o for a, o in zip(u, b)] if center else u
            z = [max(0.0, c[k] + sum(E[k * D + j] * seen[j] for j in range(D))) for k in range(K)]
            codes += z
            out = [b[j] + sum(z[k] * Dm[k * D + j] for k in range(K)) for j in range(D)]
            back += [o * s + m for o, s, m in zip(out, scale, mean)] if standardized else out
        return codes, back

    def test_with_and_without_a_standardization(self):
        for center in True, False:
            for without in (), ("input.mean", "input.scale"):
                with self.subTest(center=center, without=without):
                    model = self.save("true" if center else "false", without)
                    self.good("encode", model, self.x, "-o", self.path("z.npy"))
                    self.good("reconstruct", model, self.path("z.npy"), "-o", self.path("x_hat.npy"))
                    codes, back = self.expected(center, not without)
                    self.assertClose(read_npy(self.path("z.npy")).values, codes, TOLERANCE)
                    self.assertClose(read_npy(self.path("x_hat.npy")).values, back, TOLERANCE)
                    self.good("fuse", model, "-o", self.path("again"))
                    tensors, metadata = read_safetensors(self.path("again"))
                    for name, tensor in self.tensors.items():
                        if name not in without:
                            self.assertEqual(tensors[name].values, support.decode("F32", support.encode("F32", tensor.values)), name)
                    self.assertEqual(metadata["center_input"], "true" if center else "false")

    def test_what_is_malformed(self):
        self.tensors["output.bias"] = Tensor("F32", [D - 1], [0.0] * (D - 1))
        self.bad(1, ["output.bias", "[5]", "[6]"], "fuse", self.save(), "-o", self.path("out"))
        self.tensors["output.bias"] = Tensor("F32", [D], [0.0] * (D - 1) + [float("nan")])
        self.bad(1, ["output.bias", "NaN"], "fuse", self.save(), "-o", self.path("out"))

    def test_matching_pursuit(self):
        for name in "encoder.final_block.0.weight", "encoder.final_block.0.bias":
            del self.tensors[name]
        model = self.save("false", sae="mp", top_k="2")
        self.bad(1, "matching pursuit with a bias", "encode", model, self.x, "-o", self.path("z.npy"))
        self.good("encode", self.save("true", sae="mp", top_k="2"), self.x, "-o", self.path("z.npy"))


if __name__ == "__main__":
    support.main()
