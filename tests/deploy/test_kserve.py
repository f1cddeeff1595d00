"""The manifests of deploy/kserve against the types of KServe's own Python SDK, and against the daemon: it starts with
the runtime's arguments, and answers the runtime's probes and KServe's inference client, unmodified, under the name
that the InferenceService gives it."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

import cluster

cluster.enter()

import numpy as np  # noqa: E402
from httpx import HTTPStatusError  # noqa: E402
from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig, models  # noqa: E402
from kserve.protocol.infer_type import RequestedOutput  # noqa: E402
from kubernetes import client as core  # noqa: E402
from cluster import PATIENCE, PROGRAM, golden  # noqa: E402

SCALARS = {"str": str, "bool": bool, "int": int, "float": (int, float), "object": object}


def check(value, kind, where="it"):
    """Compares a value with a type of the SDK, which knows the members of each type and their types."""
    listed = re.fullmatch(r"[Ll]ist\[(.+)\]", kind)
    mapped = re.fullmatch(r"dict\(str, (.+)\)|Dict\[str, (.+)\]", kind)
    if listed:
        assert isinstance(value, list), where
        for i, one in enumerate(value):
            check(one, listed[1], "%s[%d]" % (where, i))
    elif mapped:
        assert isinstance(value, dict), where
        for name, one in value.items():
            check(one, mapped[1] or mapped[2], "%s.%s" % (where, name))
    elif kind in SCALARS:
        exact = kind == "int" and isinstance(value, bool)
        assert isinstance(value, SCALARS[kind]) and not exact, "%s is no %s" % (where, kind)
    elif kind.endswith("Quantity") or kind == "IntOrString":
        assert isinstance(value, (str, int)), where
    else:
        model = getattr(models, kind, None) or getattr(core, kind)
        names = {outer: inner for inner, outer in model.attribute_map.items()}
        assert isinstance(value, dict), where
        for name, one in value.items():
            assert name in names, "%s has no %s" % (where, name)
            check(one, model.openapi_types[names[name]], "%s.%s" % (where, name))
        # The model itself refuses missing members.
        model(**{names[name]: one for name, one in value.items()})


KINDS = {"serving.kserve.io/v1alpha1 ClusterServingRuntime": "V1alpha1ClusterServingRuntime",
         "serving.kserve.io/v1beta1 InferenceService": "V1beta1InferenceService"}


def validate(value):
    check(value, KINDS[value["apiVersion"] + " " + value["kind"]])


class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.runtime, = cluster.load("kserve", "runtime.yaml")
        cls.service, = cluster.load("kserve", "words.yaml")

    def test_they_are_as_the_sdk_knows_them(self):
        validate(self.runtime)
        validate(self.service)

    def test_mistakes_are_found(self):
        container = self.runtime["spec"]["containers"][0]
        for place in (self.runtime["spec"], container, container["readinessProbe"], container["securityContext"],
                      self.service["spec"], self.service["spec"]["predictor"], self.service["spec"]["predictor"]["model"]):
            place["unheardOf"] = "x"
            with self.assertRaises(AssertionError):
                validate(self.runtime)
                validate(self.service)
            del place["unheardOf"]
        self.test_they_are_as_the_sdk_knows_them()

    def test_the_service_asks_for_what_the_runtime_offers(self):
        model = self.service["spec"]["predictor"]["model"]
        self.assertEqual(model["runtime"], self.runtime["metadata"]["name"])
        self.assertIn((model["modelFormat"]["name"], model["modelFormat"]["version"]),
                      [(one["name"], one["version"]) for one in self.runtime["spec"]["supportedModelFormats"]])
        self.assertIn(model["protocolVersion"], self.runtime["spec"]["protocolVersions"])

    def test_the_container(self):
        container, = self.runtime["spec"]["containers"]
        self.assertEqual(container["name"], "kserve-container")
        port = container["ports"][0]["containerPort"]
        self.assertIn("--listen=0.0.0.0:%d" % port, container["args"])
        self.assertEqual(self.runtime["spec"]["annotations"]["prometheus.kserve.io/port"], str(port))
        for probe in ("readinessProbe", "livenessProbe"):
            self.assertEqual(container[probe]["httpGet"]["port"], port)
        cores = container["resources"]["limits"]["cpu"]
        self.assertLessEqual({"--threads=" + cores, "--compute-threads=" + cores}, set(container["args"]))
        waits = [int(one.split("=")[1]) for one in container["args"] if one.startswith("--drain")]
        self.assertEqual(len(waits), 2)
        self.assertLessEqual(sum(waits) + 5, 30)  # the default grace of a pod


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.addClassCleanup(shutil.rmtree, folder)
        runtime, = cluster.load("kserve", "runtime.yaml")
        service, = cluster.load("kserve", "words.yaml")
        cls.container, = runtime["spec"]["containers"]
        cls.name = service["metadata"]["name"]
        shutil.copy(golden("dict-basic.checkpoint.safetensors"), os.path.join(folder, cls.name + ".safetensors"))
        arguments = [one.replace("/mnt/models", folder) for one in cls.container["args"]]
        arguments[0] = "--listen=127.0.0.1:0"
        cls.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(cls.end)
        cls.url = cls.process.stdout.readline().split()[-1]
        with urllib.request.urlopen(cls.url + "/v1/dictionaries/%s/atoms?limit=1000&fields=vector" % cls.name,
                                    timeout=PATIENCE) as reply:
            cls.atoms = np.array([atom["vector"] for atom in json.load(reply)["atoms"]], np.float64)
        cls.z = np.random.default_rng(1).standard_normal((3, len(cls.atoms))).astype(np.float32)

    @classmethod
    def end(cls):
        cls.process.kill()
        cls.process.wait()
        cls.process.stdout.close()

    def ask(self, what):
        """Runs what(client) with KServe's client for the protocol, version 2."""
        async def run():
            client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=PATIENCE))
            try:
                return await what(client)
            finally:
                await client.close()
        return asyncio.run(run())

    def test_probes(self):
        for probe in ("readinessProbe", "livenessProbe"):
            with urllib.request.urlopen(self.url + self.container[probe]["httpGet"]["path"], timeout=PATIENCE) as reply:
                self.assertEqual(reply.status, 200)

    def test_health(self):
        self.assertTrue(self.ask(lambda client: client.is_server_live(self.url)))
        self.assertTrue(self.ask(lambda client: client.is_server_ready(self.url)))
        self.assertTrue(self.ask(lambda client: client.is_model_ready(self.url, self.name)))
        self.assertFalse(self.ask(lambda client: client.is_model_ready(self.url, "none")))

    def test_infer_in_every_form(self):
        for binary_in in (False, True):
            for binary_out in (None, False, True):
                latents = InferInput("latents", list(self.z.shape), "FP32")
                latents.set_data_from_numpy(self.z, binary_data=binary_in)
                outputs = None if binary_out is None else [RequestedOutput("reconstructions",
                                                                           {"binary_data": binary_out})]
                request = InferRequest(self.name, [latents], request_id="seven", request_outputs=outputs)
                reply = self.ask(lambda client: client.infer(self.url, request, model_name=self.name))
                self.assertEqual((reply.model_name, reply.id), (self.name, "seven"))
                got = reply.outputs[0].as_numpy()
                expected = self.z.astype(np.float64) @ self.atoms
                self.assertEqual(got.shape, expected.shape)
                self.assertLess(np.linalg.norm(got - expected) / np.linalg.norm(expected), 1e-5)

    def test_a_mistake_is_told(self):
        latents = InferInput("latents", [1, 2], "FP32", data=[1.0, 2.0])
        with self.assertRaises(HTTPStatusError) as error:
            self.ask(lambda client: client.infer(self.url, InferRequest(self.name, [latents]), model_name=self.name))
        self.assertEqual(error.exception.response.status_code, 400)
        self.assertIn("latents", str(error.exception))


if __name__ == "__main__":
    unittest.main()
