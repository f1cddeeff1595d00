"""What the tests of the contract share: the document, and a daemon whose dictionary fits the document's own examples:
"words", with 8 atoms of 3 dimensions, made of 16 points."""

import json
import os
import random
import tempfile

from environment import TOP, Daemon

import daemon as http

READ_KEY, ADMIN_KEY = "read-key-of-the-tests", "admin-key-of-the-tests"
CONCEPTS, DIMENSIONS, POINTS = 8, 3, 16


def document():
    with open(os.path.join(TOP, "proto", "openapi.json"), encoding="utf-8") as file:
        return json.load(file)


def operations(described):
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def write_checkpoint(path, encoder=True):
    numbers = random.Random(1)

    def tensor(*shape):
        count = 1
        for size in shape:
            count *= size
        return list(shape), [numbers.gauss(0, 1) for _ in range(count)]
    tensors = {"dictionary.W": tensor(CONCEPTS, POINTS), "dictionary.C": tensor(POINTS, DIMENSIONS),
               "dictionary.Relax": tensor(CONCEPTS, DIMENSIONS), "dictionary.multiplier": ([], [0.0])}
    if encoder:
        tensors["encoder.final_block.0.weight"] = tensor(CONCEPTS, DIMENSIONS)
        tensors["encoder.final_block.0.bias"] = tensor(CONCEPTS)
    http.write_safetensors(path, tensors, {"sae": "topk", "top_k": "3", "delta": "0.5"})
    return path


class Server(Daemon):
    """A daemon with keys, and with "words", "spare" (to load and unload) and "bare" (without an encoder)."""

    def __init__(self, *arguments):
        self.files = tempfile.TemporaryDirectory()
        keys = self.file("keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write("read %s\nadmin %s\n" % (READ_KEY, ADMIN_KEY))
        os.chmod(keys, 0o600)
        for name in ("words", "spare", "bare"):
            write_checkpoint(self.file(name), encoder=name != "bare")
        given = [part for name in ("words", "spare", "bare")
                 for part in ("--dictionary", name + "=" + self.file(name))]
        super().__init__(*given, "--keys", keys, *arguments)

    def file(self, name):
        return os.path.join(self.files.name, name)

    def __exit__(self, *why):
        super().__exit__(*why)
        self.files.cleanup()

    @property
    def url(self):
        return "http://%s:%d" % self.address
