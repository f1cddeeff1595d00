"""Clients that generators make of proto/openapi.json, against a live daemon. openapi-python-client and
datamodel-code-generator make theirs without a warning; every operation is called through the first one's functions, and
every reply fits the second one's pydantic classes."""

import environment

environment.enter()

import importlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import numpy

import contract

CONFIG = os.path.join(environment.TOP, "proto", "openapi-python-client.yaml")
DOCUMENT = os.path.join(environment.TOP, "proto", "openapi.json")
PACKAGE = "rasaed_client"
JSON = "application/json"

# Operations that change what is served, on a dictionary that no other call needs.
OTHERS = {"v2_load": "spare", "v2_unload": "spare", "reload": "bare", "load": "spare",
          "unload": "spare"}

# What else an operation may be given, as its function names it; `body` is an array, which becomes npy.
MORE = {
    "atoms": ({"offset": 2, "limit": 3}, {"ids": [5, 1]}, {"ids": [5], "fields": ["norm", "label"]}),
    "atoms_by_ids": ({"fields": ["norm", "label"]},),
    "atom": ({"fields": ["norm", "vector"]},),
    "items": ({"k": 3}, {"format_": "json"}),
    "cofiring": ({"k": 3, "measure": "count"}, {"fields": ["norm", "quantiles"]}),
    "neighbors": ({"k": 3, "metric": "dot"}, {"fields": ["all"]}),
    "search": ({"exclude": [1, 2], "min_score": 0.1, "dead": False}, {"k": 2, "metric": "cosine"}, {"fields": ["norm", "vector"]},
               {"body": numpy.ones((2, contract.DIMENSIONS), "f4"), "k": 2, "as_": "inputs"}),
    "encode": ({"format_": "json"}, {"body": numpy.ones((2, contract.DIMENSIONS), "f4")}),
    "explain": ({"body": numpy.ones((2, contract.DIMENSIONS), "f4"), "k": 2}, {"fields": ["all"]}),
    "reconstruct": ({"body": numpy.ones((2, contract.CONCEPTS), "f4")},),
    "steer": ({"steer": ["5:2.0"], "on": "input"},
              {"body": numpy.ones((2, contract.DIMENSIONS), "f4"), "steer": ["5:2.0"]}),
    "edit": ({"set_": ["5:scale:2"], "keep_error": True},
             {"body": numpy.ones((2, contract.DIMENSIONS), "f4"), "set_": ["5:ablate"]}),
    "contrast": ({"limit": 2},),
    "training": ({"columns": ["step", "loss"]},),
    "sae_vector": ({"which": "decoder"},),
}


def moments(reply):
    """The reply with the two spellings of UTC as one."""
    return json.loads(json.dumps(reply).replace("+00:00", "Z"))


def generate(*command):
    """Runs a generator of the environment; returns what it printed."""
    folder = os.path.dirname(sys.executable)
    done = subprocess.run([os.path.join(folder, command[0]), *command[1:]], stdout=subprocess.PIPE, timeout=120,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]})
    assert done.returncode == 0, done.stdout
    return done.stdout


class Generated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.said = generate("openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none",
                            "--config", CONFIG, "--output-path", os.path.join(folder, PACKAGE))
        cls.said_by_models = generate(
            "datamodel-codegen", "--input", DOCUMENT, "--input-file-type", "openapi", "--formatters", "builtin",
            "--output-model-type", "pydantic_v2.BaseModel", "--output", os.path.join(folder, "rasaed_models.py"))
        sys.path.insert(0, folder)
        cls.addClassCleanup(sys.path.remove, folder)
        cls.package, cls.models, cls.pydantic = (importlib.import_module(name) for name in (
            PACKAGE, PACKAGE + ".models", "rasaed_models"))
        cls.types = importlib.import_module(PACKAGE + ".types")
        cls.document = contract.document()
        cls.server = cls.enterClassContext(contract.Server())
        cls.client = cls.enterClassContext(cls.package.AuthenticatedClient(base_url=cls.server.url,
                                                                           token=contract.ADMIN_KEY))

    def function(self, operation):
        return importlib.import_module("%s.api.%s.%s" % (PACKAGE, operation["tags"][0], operation["operationId"]))

    def schema_name(self, media):
        return media["schema"].get("$ref", "").split("/")[-1]

    def path_arguments(self, operation):
        """The examples of the path."""
        found = {}
        for one in operation.get("parameters", []):
            parameter = self.document["components"]["parameters"][one["$ref"].split("/")[-1]] if "$ref" in one else one
            if parameter["in"] == "path":
                found[parameter["name"]] = parameter["example"]
        for name in found:
            if name in ("dictionary", "model"):
                found[name] = OTHERS.get(operation["x-route"], found[name])
        return found

    def example(self, operation):
        """The example of the JSON body as the generated class; nothing if there is none."""
        content = operation.get("requestBody", {}).get("content", {}).get(JSON)
        if not content:
            return {}
        kind = self.schema_name(content)
        getattr(self.pydantic, kind).model_validate(content["example"])
        choices = self.document["components"]["schemas"][kind].get("oneOf")
        if choices:
            kind = next(one["$ref"].split("/")[-1] for one in choices
                        if set(self.document["components"]["schemas"][one["$ref"].split("/")[-1]]["required"]) <=
                        set(content["example"]))
        body = getattr(self.models, kind).from_dict(content["example"])
        self.assertEqual(body.to_dict(), content["example"])
        return {"body": body}

    def arguments(self, given):
        """Plain values as what the functions take."""
        made = dict(given)
        enums = {"metric": "Metric", "format_": "MatrixForm", "on": "SteerBase", "which": "VectorOf",
                 "as_": "SearchKind", "measure": "CofiringMeasure"}
        for name, value in given.items():
            if name in enums:
                made[name] = getattr(self.models, enums[name])(value)
            elif name == "fields":
                made[name] = [self.models.AtomField(one) for one in value]
            elif name == "columns":
                made[name] = [self.models.TrainingColumn(one) for one in value]
            elif name == "body" and isinstance(value, numpy.ndarray):
                file = io.BytesIO()
                numpy.save(file, value)
                made[name] = self.types.File(payload=io.BytesIO(file.getvalue()))
        return made

    def call(self, operation, given):
        reply = self.function(operation).sync_detailed(client=self.client, **self.path_arguments(operation),
                                                       **self.arguments({**self.example(operation), **given}))
        what = "%s %s" % (operation["operationId"], given)
        usual = 204 if "204" in operation["responses"] else 200
        self.assertEqual(reply.status_code, usual, "%s: %s" % (what, reply.content[:300]))
        if usual == 204:
            return
        described = operation["responses"]["200"].get("content", {})
        if JSON not in described:
            return reply
        plain, kind = json.loads(reply.content), self.schema_name(described[JSON])
        self.assertIsNotNone(reply.parsed, what)
        if hasattr(reply.parsed, "to_dict"):
            self.assertEqual(moments(reply.parsed.to_dict()), moments(plain), what)
        if kind:
            getattr(self.pydantic, kind).model_validate(plain)
        return reply

    def test_the_generators_warn_of_nothing(self):
        self.assertNotRegex(self.said + self.said_by_models, "(?i)warn|unable|error|fail|skip")

    def test_no_class_has_a_number_for_a_name(self):
        names = [name for name in vars(self.pydantic) if isinstance(getattr(self.pydantic, name), type)
                 and name not in self.document["components"]["schemas"]]
        self.assertEqual([name for name in names if re.search("[0-9]$", name)], [])
        self.assertEqual([name for name in os.listdir(os.path.dirname(self.models.__file__))
                          if re.search("_item_|type_[0-9]_[a-z]", name)], [])

    def test_every_operation_is_there_and_works(self):
        for _, _, operation in contract.operations(self.document):
            with self.subTest(operation["operationId"]):
                for given in ({}, *MORE.get(operation["x-route"], ())):
                    self.call(operation, given)

    def test_what_the_functions_return(self):
        api = {operation["x-route"]: operation for _, _, operation in contract.operations(self.document)}
        page = self.call(api["atoms"], {"ids": [5, 1], "fields": ["norm", "label"]}).parsed
        self.assertEqual([atom.atom for atom in page.atoms], [5, 1])
        self.assertEqual([atom.vector for atom in page.atoms], [self.types.UNSET] * 2)
        codes = self.call(api["encode"], {}).parsed
        self.assertEqual(len(codes.indices), len(codes.values))
        answer = self.call(api["v2_infer"], {}).parsed
        self.assertEqual(answer.outputs[0].name, "reconstructions")
        file = self.call(api["dictionary_file"], {}).parsed
        self.assertGreater(len(file.payload.read()), 4 * contract.CONCEPTS * contract.DIMENSIONS)
        refused = self.function(api["atom"]).sync_detailed(client=self.client, dictionary="words", atom=99)
        self.assertEqual((refused.status_code, refused.parsed.status), (404, 404))
        self.pydantic.Problem.model_validate(json.loads(refused.content))


if __name__ == "__main__":
    unittest.main()
