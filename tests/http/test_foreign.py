"""Files of other programs, served as they are (lib/io/torch/, lib/io/source.c, lib/io/safetensors/config.c): what torch.save wrote of
overcomplete's modules, and a folder as hubs lay them out, give the answers that overcomplete computed."""

import json
import os
import shutil
import tempfile
import unittest

from daemon import TOP, Daemon, dense, read_safetensors, relative_error, rows, run, wait_for

FOLDER = os.path.join(TOP, "tests", "data", "interop", "overcomplete")
EXPECTED, FLAGS = read_safetensors(os.path.join(FOLDER, "expected.safetensors"))
X = rows(EXPECTED["x"])
SERVED = {"hub": "hub", "parallel": "ra-batchtopk.pth", "legacy": "ra-batchtopk-legacy.pth", "topk": "ra-topk.pt", "jump": "jump.pt",
          "norm": "sae-bn.pt", "hidden": "mlp-ln-3.pt", "rms": "mlp-rms-gelu.pt"}
LAYOUTS = os.path.dirname(FOLDER)
OTHERS, _ = read_safetensors(os.path.join(LAYOUTS, "expected.safetensors"))


class Foreign(unittest.TestCase):
    def compare(self, daemon, name, file):
        url = "/v1/dictionaries/" + name
        reply = daemon.post(url + "/encode", {"inputs": X})
        self.assertEqual(reply.status, 200, reply.body)
        codes = rows(EXPECTED[file + ".codes"])
        self.assertLess(relative_error(dense(reply.json, len(codes[0])), codes), 1e-5)
        back = daemon.post(url + "/reconstruct", {"latents": reply.json}).json["reconstructions"]
        self.assertLess(relative_error(back, rows(EXPECTED[file + ".x_hat"])), 1e-5)

    def test_answers(self):
        files = [part for name, file in SERVED.items() for part in ("--dictionary", name + "=" + os.path.join(FOLDER, file))]
        for more in [], ["--private-below", "0"]:
            with self.subTest(more), Daemon(*files, *more) as daemon:
                for name, file in SERVED.items():
                    with self.subTest(name):
                        self.compare(daemon, name, file)

    def test_a_latent_of_an_encoder_with_hidden_layers_has_no_vector(self):
        with Daemon("--dictionary", "hidden=" + os.path.join(FOLDER, SERVED["hidden"])) as daemon:
            told = daemon.get("/v1/dictionaries/hidden").json
            self.assertEqual((told["encoder"], told["settings"]["hidden_activation"], told["settings"]["hidden_residual"]), ("mlp_ln_3", "relu", False))
            self.assertIsNone(daemon.get("/v1/dictionaries/hidden/atoms/1?fields=all").json["encoder"])
            explained = daemon.post("/v1/dictionaries/hidden/explain", {"inputs": X[:1]}).json["explanations"][0]
            self.assertAlmostEqual(explained["input_norm"], sum(value * value for value in X[0]) ** 0.5, 4)
            reply = daemon.post("/v1/util/sae-vector", {"model": "", "source": "hidden", "index": 1})
            self.assertEqual(reply.status, 409, reply.body)
            self.assertIn("hidden layers", reply.json["detail"])

    def test_layouts_of_other_libraries(self):
        """Their decoders have a bias, which every answer has in it."""
        names = sorted(key[:-len(".codes")] for key in OTHERS if key.endswith(".codes"))
        files = [part for name in names for part in ("--dictionary", name.replace("/", "-") + "=" + os.path.join(LAYOUTS, name))]
        with Daemon(*files) as daemon:
            for name in names:
                with self.subTest(name):
                    url, codes, back = "/v1/dictionaries/" + name.replace("/", "-"), rows(OTHERS[name + ".codes"]), rows(OTHERS[name + ".x_hat"])
                    reply = daemon.post(url + "/encode", {"inputs": X})
                    self.assertLess(relative_error(dense(reply.json, len(codes[0])), codes), 1e-5)
                    for latents in reply.json, codes:
                        got = daemon.post(url + "/reconstruct", {"latents": latents}).json["reconstructions"]
                        self.assertLess(relative_error(got, back), 1e-5)
                    flat = [value for row in codes for value in row]
                    tensor = {"name": "latents", "datatype": "FP32", "shape": [len(codes), len(codes[0])], "data": flat}
                    output = daemon.post("/v2/models/%s/infer" % name.replace("/", "-"), {"inputs": [tensor]}).json["outputs"][0]
                    width = len(X[0])
                    got = [output["data"][i * width:(i + 1) * width] for i in range(len(X))]
                    self.assertLess(relative_error(got, back), 1e-5)
                    steered = daemon.post(url + "/steer", {"inputs": X, "steer": [], "on": "reconstruction"})
                    if steered.status == 200:
                        self.assertLess(relative_error(steered.json["outputs"], back), 1e-5)
                    unit = 3 / len(X[0]) ** 0.5 if daemon.get(url).json["standardized"] else 1  # of explanations; Llama Scope's mean norm is 3
                    told = daemon.post(url + "/explain", {"inputs": X}).json["explanations"]
                    for x, z, x_hat, one in zip(X, codes, back, told):
                        self.assertEqual({c["atom"] for c in one["concepts"]}, {k for k, value in enumerate(z) if value})
                        gap = sum((a - b) ** 2 for a, b in zip(x, x_hat)) ** 0.5
                        self.assertAlmostEqual(one["residual"]["norm"], gap / unit, places=4)

    def test_settings_of_the_daemon_complete_a_state_dict(self):
        files = ["--dictionary", "state=" + os.path.join(FOLDER, "state.pt")]
        with Daemon(*files, "--sae", "topk", "--top-k", "3", "--delta", "0.5") as daemon:
            self.compare(daemon, "state", "state.pt")
        self.assertIn("--delta", run(*files).stderr)

    def test_a_folder_is_watched(self):
        folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, folder)
        shutil.copytree(os.path.join(FOLDER, "hub"), folder, dirs_exist_ok=True)
        with Daemon("--dictionary", "hub=" + folder, "--watch") as daemon:
            self.compare(daemon, "hub", "hub")
            os.remove(os.path.join(folder, "config.json"))
            shutil.copy(os.path.join(FOLDER, "ra-topk.pt"), os.path.join(folder, ".new"))
            os.rename(os.path.join(folder, ".new"), os.path.join(folder, "model.pth"))
            wait_for(lambda: daemon.get("/v1/dictionaries/hub").json["generation"] == 2, "the second generation")
            self.compare(daemon, "hub", "ra-topk.pt")


if __name__ == "__main__":
    unittest.main()
