"""The calls of Neuronpedia's inference server (server/api/neuronpedia.c), with its own generated client and pydantic
classes, neuronpedia-inference-client, unmodified: requests go out and replies come back as for its own server.

The package speaks snake case. Its server answers camel case since its classes take their aliases from to_camel
(BaseSchema of its inference app, hijohnnylin/neuronpedia at ebb8426fc550), so the same classes are compared under those
names, too. /v1/capabilities has no class there; its members are those that capabilities() returns."""

import environment

environment.enter()

import json
import os
import subprocess
import tempfile
import unittest

import neuronpedia_inference_client as neuronpedia
import numpy as np
from pydantic.alias_generators import to_camel

import contract

RASAE = os.path.join(os.path.dirname(environment.PROGRAM), "rasae")
MODEL, HOOK = "gpt2-small", "blocks.6.hook_resid_post"

# The types of what capabilities() there returns, as far as it has a meaning here.
CAPABILITIES = {
    "model": str, "backend": str, "device": str, "max_tokens": int, "token_limit": int, "lens_token_limit": int,
    "activation_token_limit": int, "max_num_results": int, "capture_points": list, "hooks_available": bool,
    "graph_replay": bool, "static_points": list, "static_writes": list, "generation_only": bool, "num_layers": int,
    "sae_sets": list, "endpoints": dict}
ENDPOINTS = {"tokenize", "activation_single", "activation_all", "activation_source", "activation_raw",
             "activation_topk_by_token", "activation_attention", "dfa", "steer_completion", "steer_completion_chat",
             "lens_logit", "lens_jacobian", "neurons"}


class Neuronpedia(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.file = os.path.join(cls.folder, "fused.safetensors")
        checkpoint = environment.golden("topk-mse.final.safetensors")
        subprocess.run([RASAE, "fuse", checkpoint, "-o", cls.file, "--model", MODEL, "--hook", HOOK, "--quiet"], check=True)
        cls.keys = os.path.join(cls.folder, "keys")
        with open(os.open(cls.keys, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write("read %s\n" % contract.READ_KEY)
        cls.daemon = cls.enterClassContext(environment.Daemon("--dictionary", "words=" + cls.file, "--keys", cls.keys))
        configuration = neuronpedia.Configuration(host="http://%s:%d/v1" % cls.daemon.address,
                                                  api_key={"SimpleSecretAuth": contract.READ_KEY})
        cls.api = neuronpedia.DefaultApi(cls.enterClassContext(neuronpedia.ApiClient(configuration)))
        cls.encoder = cls.tensor("encoder.final_block.0.weight")
        cls.D = cls.tensor("dictionary")

    @classmethod
    def tensor(cls, name):
        with open(cls.file, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            described = json.loads(file.read(size))[name]
            begin, end = described["data_offsets"]
            file.seek(8 + size + begin)
            return np.frombuffer(file.read(end - begin), "<f4").reshape(described["shape"])

    def request(self, method, target, body=None):
        reply = self.daemon.request(method, target, body and json.dumps(body).encode(),
                                    {"X-SECRET-KEY": contract.READ_KEY})
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json

    def test_the_vector_of_a_feature(self):
        request = neuronpedia.UtilSaeVectorPostRequest(model=MODEL, source="words", index=5)
        reply = self.api.util_sae_vector_post(request)
        self.assertEqual(reply.hook_name, HOOK)
        np.testing.assert_array_equal(np.float32(reply.vector), self.encoder[5])
        again = neuronpedia.UtilSaeVectorPost200Response.model_validate(
            self.request("POST", "/v1/util/sae-vector?which=decoder", request.to_dict()), strict=True)
        np.testing.assert_array_equal(np.float32(again.vector), self.D[5])

    def nearest(self, **given):
        return neuronpedia.UtilSaeTopkByDecoderCossimPostRequest(model=MODEL, source="words", **given)

    def test_the_nearest_features(self):
        unit = self.D / np.linalg.norm(self.D, axis=1, keepdims=True)
        feature = neuronpedia.NPFeature(model=MODEL, source="words", index=5)
        for given in {"feature": feature}, {"vector": self.D[5].tolist()}:
            reply = self.api.util_sae_topk_by_decoder_cossim_post(self.nearest(num_results=4, **given))
            self.assertEqual(reply.feature, given.get("feature"))
            found = reply.topk_decoder_cossim_features
            wanted = np.argsort(-(unit @ unit[5]), kind="stable")[:4]
            self.assertEqual([one.feature.index for one in found], wanted.tolist())
            self.assertEqual({(one.feature.model, one.feature.source) for one in found}, {(MODEL, "words")})
            np.testing.assert_allclose([one.cosine_similarity for one in found], (unit @ unit[5])[wanted], atol=1e-5)

    def test_the_names_that_its_server_has_now(self):
        body = self.nearest(num_results=2, vector=self.D[5].tolist()).to_dict()
        reply = self.request("POST", "/v1/util/sae-topk-by-decoder-cossim", {to_camel(name): value for name, value in body.items()})
        kind = neuronpedia.UtilSaeTopkByDecoderCossimPost200Response
        self.assertEqual(set(reply), {to_camel(name) for name in kind.model_fields})
        entry = neuronpedia.UtilSaeTopkByDecoderCossimPost200ResponseTopkDecoderCossimFeaturesInner
        for one in reply["topkDecoderCossimFeatures"]:
            self.assertEqual(set(one), {to_camel(name) for name in entry.model_fields})
            entry.model_validate({name: one[to_camel(name)] for name in entry.model_fields}, strict=True)

    def test_what_its_server_refuses_is_refused(self):
        for request in (self.nearest(num_results=1),
                        self.nearest(num_results=1, vector=[1.0], feature=neuronpedia.NPFeature(
                            model=MODEL, source="words", index=5)),
                        self.nearest(num_results=1, feature=neuronpedia.NPFeature(
                            model=MODEL, source="words", index=len(self.D)))):
            with self.assertRaises(neuronpedia.ApiException) as caught:
                self.api.util_sae_topk_by_decoder_cossim_post(request)
            self.assertEqual(caught.exception.status, 400)
            self.assertTrue(json.loads(caught.exception.body)["error"])
        stranger = neuronpedia.Configuration(host=self.api.api_client.configuration.host,
                                             api_key={"SimpleSecretAuth": "wrong"})
        with neuronpedia.ApiClient(stranger) as client, self.assertRaises(neuronpedia.ApiException) as caught:
            neuronpedia.DefaultApi(client).util_sae_vector_post(
                neuronpedia.UtilSaeVectorPostRequest(model=MODEL, source="words", index=5))
        self.assertEqual(caught.exception.status, 401)

    def test_capabilities(self):
        reply = self.request("GET", "/v1/capabilities")
        self.assertEqual({name: type(value) for name, value in reply.items()}, CAPABILITIES)
        self.assertEqual((reply["model"], reply["sae_sets"]), (MODEL, ["words"]))
        self.assertLessEqual(ENDPOINTS, set(reply["endpoints"]))
        self.assertFalse(any(reply["endpoints"][name] for name in ENDPOINTS))
        self.assertEqual({type(value) for value in reply["endpoints"].values()}, {bool})


if __name__ == "__main__":
    unittest.main()
