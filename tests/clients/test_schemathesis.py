"""schemathesis runs all its checks against the running daemon and finds nothing.

It makes requests from the document. A copy of the document adds what depends on the dictionary: the names, the
length of a vector, the number of atoms. Where JSON Schema has no words for a rule (rows of indices and values of
equal length, shapes that fit their data), the copy allows only examples."""

import environment

environment.enter()

import json
import os
import subprocess
import sys
import unittest

import contract

SECONDS = 240

# Operations where schemathesis reports a fault that is none, and why.
CONFIGURATION = """
[checks.negative_data_rejection]    # 413 and 414: more than is taken at once
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, "5xx"]

[[operations]]
include-operation-id = "list_atoms" # ids stands beside offset or limit; a file without labels has none to find
[operations.checks.positive_data_acceptance]
expected-statuses = [200, 304, 400, 409]

[[operations]]
include-operation-id = "get_table"  # npy has columns of numbers only
[operations.checks.positive_data_acceptance]
expected-statuses = [200, 304, 400, 409]

[[operations]]
include-operation-id = "search"     # exclude_self is for a search by atoms; a file without labels has none to find
[operations.checks.positive_data_acceptance]
expected-statuses = [200, 400, 409]

[[operations]]
include-tag = "inference"           # 501 is that protocol's word for what is not offered
[operations.checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501]
"""


def tailored():
    document = contract.document()
    schemas, parameters = document["components"]["schemas"], document["components"]["parameters"]
    atom = {"type": "integer", "minimum": 0, "maximum": contract.CONCEPTS - 1}
    number = schemas["Float32"]
    schemas["Vector"].update(minItems=contract.DIMENSIONS, maxItems=contract.DIMENSIONS)
    schemas["Feature"]["properties"]["index"] = atom
    schemas["DenseLatents"]["items"].update(minItems=contract.CONCEPTS, maxItems=contract.CONCEPTS)
    pair = {"minItems": 2, "maxItems": 2}
    schemas["SparseLatents"]["properties"]["indices"].update(
        maxItems=1, items={"type": "array", "items": atom, "uniqueItems": True, **pair})
    schemas["SparseLatents"]["properties"]["values"].update(
        maxItems=1, items={"type": "array", "items": number, **pair})
    # A feature's own source and model are only repeated in the reply; the request's are used.
    whole = json.loads(json.dumps(schemas["Feature"]))
    spellings = ("TopkRequestSnake", "TopkRequestCamel")
    for name in (*spellings, "TopkFeaturesSnake", "TopkFeaturesCamel", "TopkFeature", "TopkFeatureCamel"):
        text = json.dumps(schemas[name]).replace(
            "#/components/schemas/Feature", "#/components/schemas/AnyFeature")
        schemas[name] = json.loads(text)
    schemas["AnyFeature"] = whole
    # What its description says in words.
    for name in spellings:
        schemas[name]["oneOf"] = [
            {"required": [one], "properties": {one: {"type": kind}, other: {"type": "null"}}}
            for one, kind, other in (("feature", "object", "vector"), ("vector", "array", "feature"))]
    for name in ("Feature", *spellings):
        schemas[name]["properties"]["source"] = {"enum": ["words"]}
    inputs = [[{"name": "latents", "datatype": "FP32", "shape": [1, contract.CONCEPTS],
                "data": [0.5] * contract.CONCEPTS}],
              [{"name": "indices", "datatype": "INT32", "shape": [2, 1], "data": [[5], [-1]]},
               {"name": "values", "datatype": "FP64", "shape": [2, 1], "data": [[1], [2]]}]]
    schemas["V2InferRequest"]["properties"]["inputs"] = {"enum": inputs}
    schemas["V2InferRequest"]["properties"]["outputs"]["maxItems"] = 1
    schemas["V2OutputName"]["enum"] = ["reconstructions"]  # of this model
    for name in ("dictionary", "model"):
        parameters[name]["schema"] = {"enum": ["words"]}
    parameters["version"]["schema"] = {"enum": ["1"]}
    parameters["atom"]["schema"] = atom
    parameters["point"]["schema"]["maximum"] = contract.POINTS - 1
    parameters["ids"]["schema"]["items"] = atom
    # Without a member to follow: it would put the whole list into the path of one atom.
    schemas["IdsRequest"] = {"enum": [{"ids": [5]}, {"ids": [7, 1, 5]}, {"ids": [0, 0]}]}
    # Keys in one header only: the run sends Authorization.
    del document["components"]["securitySchemes"]["key"]
    document["security"].remove({"key": []})
    for _, _, operation in contract.operations(document):
        if {"key": []} in operation.get("security", []):
            operation["security"].remove({"key": []})
    some = {"type": "array", "items": atom}
    schemas["SearchByAtoms"]["properties"].update(atoms={**some, "minItems": 1})
    schemas["SearchByExamples"]["properties"].update(positive={**some, "minItems": 1}, negative=some)
    schemas["Excluded"]["items"] = atom
    # A binary reply has the vector alone, so a request for one without it is refused.
    members = schemas["AtomField"]["enum"]
    parameters["fields"]["schema"] = {"type": "array", "enum": [["vector"], [members[0], "vector"], members]}
    # What the query and the body may both have must be the same there, so these requests have it in the body.
    schemas["SteerRequest"]["required"] = ["inputs", "steer"]
    schemas["EditRequest"]["required"] = ["inputs", "set"]
    schemas["Edit"]["required"] = ["atom", "op", "value"]
    schemas["LabelChange"]["properties"]["atom"] = schemas["ListRequest"]["properties"]["atoms"]["items"] = atom
    schemas["Push"]["properties"]["atom"] = schemas["Edit"]["properties"]["atom"] = atom
    twice = {"search": ("k", "metric", "as", "exclude_self", "exclude", "min_score", "q", "min_frequency", "dead", "point"),
             "explain": ("k",), "steer": ("steer", "on", "method"), "edit": ("set", "keep_error"),
             "contrast": ("format",)}  # pages and parts are of JSON alone
    for path, name in (("/v2/repository/models/{model}/load", "spare"),
                       ("/v2/repository/models/{model}/unload", "spare"),
                       ("/v1/dictionaries/{dictionary}/load", "spare"),
                       ("/v1/dictionaries/{dictionary}/unload", "spare"),
                       ("/v1/dictionaries/{dictionary}/reload", "bare")):
        parameter = document["paths"][path]["post"]["parameters"][0]  # that of the path
        described = parameters[parameter.pop("$ref").split("/")[-1]]
        parameter.update({**described, "schema": {"enum": [name]}, "example": name})
        # Under a name of its own, or the name in another reply would be put here.
        document["paths"][path.replace("{%s}" % described["name"], "{%s}" % name)] = document["paths"].pop(path)
        parameter["name"] = name
    # tests/http has the binary forms: no schema says which bytes fit.
    for _, _, operation in contract.operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        for media in set(content) - {"application/json"}:
            del content[media]
        given = [parameters.get(one.get("$ref", "").split("/")[-1], one)
                 for one in operation.get("parameters", [])]
        spared = twice.get(operation["x-route"], ())
        operation["parameters"] = [one for one in given if one["in"] != "header" and one["name"] not in spared]
    return document


class Schemathesis(unittest.TestCase):
    def test_all_checks_find_nothing(self):
        with contract.Server() as server:
            for name, content in (("openapi.json", json.dumps(tailored())),
                                  ("schemathesis.toml", CONFIGURATION)):
                with open(server.file(name), "w", encoding="utf-8") as file:
                    file.write(content)
            program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
            ran = subprocess.run(
                [program, "--config-file", server.file("schemathesis.toml"), "run",
                 server.file("openapi.json"), "--url", server.url,
                 "--header", "Authorization: Bearer " + contract.ADMIN_KEY,
                 # an atom whose label is taken back has that of the file, so it is there; tests/http has that of lists
                 "--checks", "all", "--exclude-checks", "use_after_free",
                 "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "25",
                 "--seed", "1", "--generation-database", "none", "--suppress-health-check", "all",
                 "--no-color"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=SECONDS, cwd=server.files.name,
                env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
                     "PYTHONPATH": environment.FOLDER})
            self.assertEqual(ran.returncode, 0, ran.stdout[-20000:])
            self.assertEqual(server.get("/health/live").status, 200)


if __name__ == "__main__":
    unittest.main()
