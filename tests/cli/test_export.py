"""rasae export (trainer/export.c, trainer/export/, lib/model/weights.c, lib/io/npz_write.c): what is written for other programs opens here
again with the same codes and reconstructions; what a format cannot hold is refused with the reason, and nothing is left."""

import csv
import json
import os
import struct
import unittest
import zipfile

import support
from support import Case, Tensor, read_npy, read_safetensors, small_data, write_npy, write_safetensors

FOLDER = support.data("interop")
EXPECTED, _ = read_safetensors(os.path.join(FOLDER, "expected.safetensors"))
OVERCOMPLETE, FLAGS = read_safetensors(os.path.join(FOLDER, "overcomplete", "expected.safetensors"))
LIBRARIES = sorted(name[: -len(".codes")] for name in EXPECTED if name.endswith(".codes"))
X = EXPECTED["x"]
TOLERANCE = 2e-6


def npz_arrays(path):
    """{name: Tensor} of an npz, read with Python's own zipfile, which checks the checksums."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            blob = archive.read(name)
            (size,) = struct.unpack("<H", blob[8:10])
            header = eval(blob[10 : 10 + size], {"__builtins__": {}})
            arrays[name[: -len(".npy")]] = Tensor("F32", header["shape"], support.decode("F32", blob[10 + size :]))
    return arrays


def single(decimals):
    """The float32 that each decimal stands for."""
    return support.decode("F32", support.encode("F32", [float(text) for text in decimals]))


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Export(Case):
    def setUp(self):
        super().setUp()
        self.x = write_npy(self.path("x.npy"), X)
        self.made = 0

    def compute(self, model, *flags):
        self.good("encode", model, self.x, "-o", self.path("z.npy"), *flags)
        self.good("reconstruct", model, self.path("z.npy"), "-o", self.path("x_hat.npy"), *flags)
        return read_npy(self.path("z.npy")).values, read_npy(self.path("x_hat.npy")).values

    def export(self, model, kind, *flags):
        self.made += 1
        folder = self.path("out%d" % self.made)
        told = self.good_json("export", model, "--to", kind, "-o", folder, "--json", *flags)
        self.assertEqual((told["format"], told["output"]), (kind, folder))
        return folder, told

    def assertRoundTrip(self, model, kind, *flags):
        """The same codes and reconstructions, to the bit unless weights were multiplied."""
        folder, told = self.export(model, kind, *flags)
        before, after = self.compute(model, *flags), self.compute(folder)
        if told["folded"]:
            self.assertClose(after[0], before[0], TOLERANCE, "codes")
            self.assertClose(after[1], before[1], TOLERANCE, "x_hat")
        else:
            self.assertEqual(after, before, (model, kind))
        self.assertTrue(any(before[0]))
        return folder

    def test_models_of_libraries_and_back(self):
        for name in LIBRARIES:
            with self.subTest(name):
                model = os.path.join(FOLDER, name)
                folder = self.assertRoundTrip(model, "saelens")
                self.assertEqual(sorted(os.listdir(folder)), ["cfg.json", "sae_weights.safetensors"])
                folder = self.assertRoundTrip(model, "npz")
                self.assertEqual(sorted(os.listdir(folder)), ["cfg.json", "params.npz"])
                self.bad(1, ["overcomplete", "bias", "--to saelens"], "export", model, "--to", "overcomplete", "-o", self.path("none"))

    def test_models_of_overcomplete_and_back(self):
        for name, how in FLAGS.items():
            with self.subTest(name):
                model, flags = os.path.join(FOLDER, "overcomplete", name), how.split()
                if "mlp" in name:  # hidden layers or an RMSNorm, for which no format here has a place
                    for kind in "overcomplete", "saelens", "npz":
                        result = self.run_rasae("export", model, "--to", kind, "-o", self.path("none"), *flags)
                        self.assertEqual((result.returncode, os.path.exists(self.path("none"))), (1, False))
                        self.assertRegex(result.stderr.decode(), "(hidden layers|an RMSNorm), which .*rasae import")
                    continue
                folder = self.assertRoundTrip(model, "overcomplete", *flags)
                self.assertEqual(sorted(os.listdir(folder)), ["config.json", "load.py", "model.safetensors"])
                pursues, layer_norm = name == "mp.pt", name in ("sae-ln.pt", "hub") or name.startswith("ra-batchtopk")
                for kind in "saelens", "npz":
                    if pursues and kind == "saelens":
                        self.bad(1, ["matching pursuit", "--to overcomplete"], "export", model, "--to", kind, "-o", self.path("none"))
                    elif layer_norm and kind == "saelens":
                        result = self.run_rasae("export", model, "--to", kind, "-o", self.path("none"), *flags)
                        self.assertEqual((result.returncode, os.path.exists(self.path("none"))), (1, False))
                        self.assertRegex(result.stderr.decode(), "LayerNorm.*--to npz")
                    elif not pursues:
                        self.assertRoundTrip(model, kind, *flags)

    def test_what_saelens_reads(self):
        """The transpose of the weight, D, no bias, thresholds one float below."""
        model = os.path.join(FOLDER, "overcomplete", "ra-jump.pt")
        folder, _ = self.export(model, "saelens", "--model", "gpt2-small", "--hook", "blocks.6.hook_resid_post")
        tensors, _ = read_safetensors(os.path.join(folder, "sae_weights.safetensors"))
        with open(os.path.join(folder, "cfg.json")) as file:
            config = json.load(file)
        self.assertEqual((config["architecture"], config["d_in"], config["d_sae"], config["apply_b_dec_to_input"], config["normalize_activations"]),
                         ("jumprelu", 6, 10, False, "none"))
        self.assertEqual((config["metadata"]["model_name"], config["metadata"]["hook_name"]), ("gpt2-small", "blocks.6.hook_resid_post"))
        self.good("import", model, "-o", self.path("ours"))
        ours, _ = read_safetensors(self.path("ours"))
        weight = ours["encoder.final_block.0.weight"].values
        self.assertEqual(tensors["W_enc"].shape, [6, 10])
        self.assertEqual(tensors["W_enc"].values, [weight[k * 6 + j] for j in range(6) for k in range(10)])
        self.assertEqual(tensors["W_dec"].values, ours["dictionary"].values)
        self.assertEqual(tensors["b_enc"].values, ours["encoder.final_block.0.bias"].values)
        self.assertEqual(tensors["b_dec"].values, [0.0] * 6)
        again, _ = self.export(folder, "saelens")
        self.assertEqual(read_safetensors(os.path.join(again, "sae_weights.safetensors"))[0]["threshold"].values, tensors["threshold"].values)
        below = [struct.unpack("<I", struct.pack("<f", t))[0] + 1 for t in tensors["threshold"].values]
        self.good("import", folder, "-o", self.path("back"))
        thresholds = read_safetensors(self.path("back"))[0]["thresholds.value"].values
        self.assertEqual([struct.unpack("<I", struct.pack("<f", t))[0] for t in thresholds], below)

    def test_what_numpy_reads(self):
        folder, _ = self.export(os.path.join(FOLDER, "saelens", "jumprelu"), "npz")
        arrays = npz_arrays(os.path.join(folder, "params.npz"))
        tensors, _ = read_safetensors(os.path.join(FOLDER, "saelens", "jumprelu", "sae_weights.safetensors"))
        self.assertEqual({name: (list(a.shape), a.values) for name, a in arrays.items()},
                         {name: (t.shape, t.values) for name, t in tensors.items()})  # nothing has changed on the way in and out

    def test_a_standardization_and_a_batch_norm(self):
        random = support.Random(5)
        K, d = 10, 6
        tensors = {"dictionary": Tensor("F32", [K, d], random.values(K * d)),
                   "encoder.final_block.0.weight": Tensor("F32", [K, d], random.values(K * d)),
                   "encoder.final_block.0.bias": Tensor("F32", [K], random.values(K)),
                   "input.mean": Tensor("F32", [d], random.values(d)), "input.scale": Tensor("F32", [d], random.values(d, 0.5, 2)),
                   "output.bias": Tensor("F32", [d], random.values(d))}
        norm = {"encoder.final_block.1.weight": Tensor("F32", [K], random.values(K)), "encoder.final_block.1.bias": Tensor("F32", [K], random.values(K)),
                "encoder.final_block.1.running_mean": Tensor("F32", [K], random.values(K)),
                "encoder.final_block.1.running_var": Tensor("F32", [K], random.values(K, 0.5, 2))}
        for with_norm in False, True:
            for left_out in (), ("output.bias",), ("input.mean", "input.scale"):
                for center in "true", "false":
                    with self.subTest(norm=with_norm, left_out=left_out, center=center):
                        chosen = {name: t for name, t in {**tensors, **(norm if with_norm else {})}.items() if name not in left_out}
                        model = write_safetensors(self.path("model"), chosen, {"sae": "relu", "center_input": center})
                        for kind in "saelens", "npz":
                            self.assertRoundTrip(model, kind)

    def test_tables(self):
        model = os.path.join(FOLDER, "saelens", "jumprelu")
        folder, _ = self.export(model, "csv")
        self.assertEqual(sorted(os.listdir(folder)), ["atoms.csv", "decoder.csv", "decoder_bias.csv", "encoder.csv"])
        tensors, _ = read_safetensors(os.path.join(model, "sae_weights.safetensors"))
        table = {name: read_csv(os.path.join(folder, name + ".csv")) for name in ("decoder", "encoder", "decoder_bias", "atoms")}
        self.assertEqual(single(row[str(j)] for row in table["decoder"] for j in range(6)), tensors["W_dec"].values)
        self.assertEqual(single(row[str(j)] for j in range(6) for row in table["encoder"]), tensors["W_enc"].values)
        self.assertEqual(single(row["bias"] for row in table["encoder"]), tensors["b_enc"].values)
        self.assertEqual(single(row["value"] for row in table["decoder_bias"]), tensors["b_dec"].values)
        self.assertEqual([row["atom"] for row in table["atoms"]], [str(k) for k in range(10)])
        self.assertEqual({row["label"] for row in table["atoms"]}, {""})

    def trained(self):
        data = write_npy(self.path("data.npy"), small_data())
        labels = self.write("labels.txt", "".join('"%d", said\n' % (row % 6) for row in range(96)).encode())
        self.good("train", data, "--labels", labels, "--concepts", "140", "--points", "48", "--top-k", "2", "--steps", "30", "-o", self.path("run"))
        self.good("fuse", self.path("run"), "-o", self.path("words"))
        return self.path("words"), data, labels

    def test_what_neuronpedia_reads(self):
        model, data, labels = self.trained()
        how = ["--to", "neuronpedia", "-o", self.path("batches")]
        self.bad(1, ["no statistics", "rasae eval"], "export", model, *how)
        self.good("eval", model, data, "--labels", labels, "--save", model)
        self.bad(1, ["--model NAME"], "export", model, *how)
        self.bad(1, ["--layer N"], "export", model, *how, "--model", "gpt2-small", "--hook", "somewhere")
        self.bad(1, ["--set NAME"], "export", model, *how, "--model", "gpt2-small", "--hook", "blocks.6.hook_resid_post")
        self.good("export", model, *how, "--model", "gpt2-small", "--hook", "blocks.6.hook_resid_post", "--set", "res-ra")
        self.assertEqual(sorted(os.listdir(self.path("batches"))), ["batch-0.json", "batch-1.json"])
        batches = []
        for name in "batch-0.json", "batch-1.json":
            with open(os.path.join(self.path("batches"), name)) as file:
                batches.append(json.load(file))
        self.assertEqual([(b["model_id"], b["layer"], b["sae_set"], len(b["features"])) for b in batches],
                         [("gpt2-small", 6, "res-ra", 128), ("gpt2-small", 6, "res-ra", 12)])
        features = batches[0]["features"] + batches[1]["features"]
        self.good("encode", model, data, "-o", self.path("z.npy"))
        codes = read_npy(self.path("z.npy"))
        for k, feature in enumerate(features):
            column = codes.values[k :: codes.shape[1]]
            self.assertEqual(feature["feature_index"], k)
            self.assertAlmostEqual(feature["frac_nonzero"], sum(v != 0 for v in column) / 96)
            self.assertEqual(sum(feature["freq_hist_data_bar_heights"]), sum(v != 0 for v in column))
            top = [a for a in feature["activations"] if a["bin_min"] == -1]
            self.assertEqual(single([a["values"][0] for a in top]), sorted((v for v in column if v), reverse=True)[: len(top)])
            self.assertTrue(all('", said' in a["tokens"][0] for a in top))
            self.assertEqual(len(feature["neuron_alignment_indices"]), 3)
        self.assertTrue(any(feature["activations"] for feature in features))
        folder, _ = self.export(model, "csv")
        rows = read_csv(os.path.join(folder, "atoms.csv"))
        self.assertEqual([round(float(row["frequency"]), 6) for row in rows], [round(feature["frac_nonzero"], 6) for feature in features])
        self.assertTrue(any('"' in row["label"] for row in rows))
        self.assertTrue(any(":" in row["archetypes"] for row in rows))

    def test_neuronpedia_reads_texts_where_their_tokens_are_known(self):
        model, data, _ = self.trained()
        texts = [["t%d.%d" % (text, p) for p in range(7)] for text in range(12)]
        with open(self.path("tokens.jsonl"), "w") as file:
            file.writelines(json.dumps(text) + "\n" for text in texts)
        self.good("eval", model, data, "--save", model, "--item-shape", "1+7", "--items", "3", "--tokens", self.path("tokens.jsonl"))
        self.good("export", model, "--to", "neuronpedia", "-o", self.path("batches"), "--model", "m", "--layer", "6", "--set", "s")
        with open(os.path.join(self.path("batches"), "batch-0.json")) as file:
            features = json.load(file)["features"]
        self.good("encode", model, data, "-o", self.path("z.npy"))
        codes = read_npy(self.path("z.npy"))
        for k, feature in enumerate(features):
            column = codes.values[k :: codes.shape[1]]
            parts = [column[8 * text : 8 * text + 8] for text in range(12)]
            best = sorted((text for text in range(12) if max(parts[text]) > 0), key=lambda text: -max(parts[text]))[:3]
            top = [one for one in feature["activations"] if one["bin_min"] == -1]
            self.assertEqual([one["tokens"] for one in top], [texts[text] for text in best])
            self.assertEqual([single(one["values"]) for one in top], [list(parts[text][1:]) for text in best])
            self.assertEqual(feature["n_tokens_in_prompt"], 7)
            drawn = [one["tokens"][0] for one in feature["activations"] if one["bin_min"] != -1]
            self.assertTrue(all(token[0] == "t" or token.startswith("row ") for token in drawn))

    def test_a_dictionary_alone(self):
        model = write_safetensors(self.path("alone"), {"dictionary": Tensor("F32", [2, 3], [1.0, 2, 3, 4, 5, 6])})
        for kind in "saelens", "overcomplete":
            self.bad(1, ["no encoder", "--to csv"], "export", model, "--to", kind, "-o", self.path("none"))
        folder, _ = self.export(model, "npz")
        self.assertEqual(npz_arrays(os.path.join(folder, "params.npz"))["W_dec"].values, [1, 2, 3, 4, 5, 6])
        folder, _ = self.export(model, "csv")
        self.assertEqual(sorted(os.listdir(folder)), ["atoms.csv", "decoder.csv"])

    def test_the_folder_appears_whole_or_not_at_all(self):
        model = os.path.join(FOLDER, "saelens", "topk")
        os.mkdir(self.path("empty"))
        self.good("export", model, "--to", "npz", "-o", self.path("empty") + "/")
        self.bad(1, ["not empty", "new name"], "export", model, "--to", "npz", "-o", self.path("empty"))
        self.bad(1, ["is not a folder"], "export", model, "--to", "npz", "-o", self.x)
        self.bad(1, ["cannot create a folder beside it"], "export", model, "--to", "npz", "-o", self.path("no/such"))
        for kind in "saelens", "npz", "csv":
            for size in 1, 100, 600:  # not 0: ThreadSanitizer writes a file of its own before main()
                with self.subTest(kind=kind, size=size):
                    self.bad(1, "cannot write", "export", model, "--to", kind, "-o", self.path("full"), preexec_fn=support.disk_of(size))
                    self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".")], [])
        self.bad(2, "--to", "export", model, "-o", self.path("new"))
        self.bad(2, "saelens", "export", model, "-o", self.path("new"), "--to", "onnx")


if __name__ == "__main__":
    support.main()
