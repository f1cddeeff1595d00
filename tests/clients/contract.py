"""What the tests of the contract share: the document, and a daemon whose dictionary fits the document's own examples:
"words", with 8 atoms of 3 dimensions, made of 16 points, and what was measured of their latents."""

import json
import math
import os
import random
import struct
import subprocess
import tempfile

from environment import PROGRAM, TOP, Daemon

import daemon as http

RASAE = os.path.join(os.path.dirname(PROGRAM), "rasae")
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
        tensors["train.history"] = [2, 9], [8, 64, 0.5, 0.25, 3, 1, 0.125, 0.001, 0.5, 16, 64, 0.25, math.nan, 3, 1, 0, 0.001, 0.75]
    http.write_safetensors(path, tensors, {"sae": "topk", "top_k": "3", "delta": "0.5"})
    return path


def measure(path):
    """Makes an artifact of the checkpoint, with the statistics of its latents on 64 rows."""
    numbers, data = random.Random(2), path + ".npy"
    rows = [numbers.gauss(0, 1) for _ in range(64 * DIMENSIONS)]
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (64, %d), }" % DIMENSIONS
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(data, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<%df" % len(rows), *rows))
    fused, tokens = path + ".fused", path + ".jsonl"
    with open(tokens, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(["t%d" % item, " \u00eb\n", ""]) + "\n" for item in range(16))
    for arguments in (("fuse", path, "-o", fused), ("layout", fused, "-o", fused),
                      ("eval", fused, data, "--save", path, "--basic", "--item-shape", "1+3", "--items", "3", "--tokens", tokens)):
        subprocess.run([RASAE, *arguments], check=True, capture_output=True, timeout=60)
    os.remove(data)
    os.remove(tokens)
    os.remove(fused)


def add_contrast(path, folder):
    """Puts a contrast "heat" into an artifact."""
    numbers = random.Random(2)
    sides = []
    for name, mean in ("a", 1), ("b", -1):
        sides.append(os.path.join(folder, name + ".safetensors"))
        http.write_safetensors(sides[-1], {"rows": ([40, DIMENSIONS], [numbers.gauss(mean, 1) for _ in range(40 * DIMENSIONS)])},
                               {})
    subprocess.run([RASAE, "contrast", path, sides[0], "--", sides[1], "--a", "warm", "--b", "cold", "--name", "heat", "-o", path],
                   check=True, capture_output=True, timeout=60)


class Server(Daemon):
    """A daemon with keys and a state directory, and with "words", "spare" (to load and unload), "bare" (without an encoder) and
    "plain" (vectors alone)."""

    @classmethod
    def without_state(cls):
        return cls(state=False)

    def __init__(self, *arguments, state=True):
        self.files = tempfile.TemporaryDirectory()
        keys = self.file("keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write("read %s\nadmin %s\n" % (READ_KEY, ADMIN_KEY))
        os.chmod(keys, 0o600)
        for name in ("words", "spare", "bare"):
            write_checkpoint(self.file(name), encoder=name != "bare")
        measure(self.file("words"))
        add_contrast(self.file("words"), self.files.name)
        http.write_safetensors(self.file("plain"), {"dictionary": ([3, 2], [1, 2, 3, 4, 5, 6])}, {})
        given = [part for name in ("words", "spare", "bare", "plain")
                 for part in ("--dictionary", name + "=" + self.file(name))]
        http.write_safetensors(self.file("rows"), {"rows": ([2, DIMENSIONS], [1, 2, 3, 4, 5, 6])}, {})
        os.mkdir(self.file("media"))
        with open(os.path.join(self.file("media"), "dog.png"), "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n" + bytes(64))
        super().__init__(*given, "--data", "words=" + self.file("rows"), "--media", "words=" + self.file("media"), "--media-url", "words={item}.png", "--item-shape", "words=2x2", "--keys", keys,
                         *(("--state", self.file("state")) if state else ()), *arguments)
        for path, body in (("lists/zoo", {"atoms": [5, 1]}), ("atoms/5/label", {"label": "dog"})) if state else ():
            made = self.request("PUT", "/v1/dictionaries/words/" + path, json.dumps(body),
                                {"Authorization": "Bearer " + ADMIN_KEY})
            assert made.status == 200 or "--max-body" in arguments, made.body

    def file(self, name):
        return os.path.join(self.files.name, name)

    def __exit__(self, *why):
        super().__exit__(*why)
        self.files.cleanup()

    @property
    def url(self):
        return "http://%s:%d" % self.address
