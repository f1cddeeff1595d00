"""Files that are missing, cut, wrong or poisoned, through every command that reads (trainer/common/{files,codes_file}.c):
one sentence that names the file, exit code 1, and nothing written."""

import math
import os
import struct

import support
from support import (
    Case,
    Tensor,
    golden,
    npy_bytes,
    pack_safetensors,
    read_safetensors,
    safetensors_bytes,
    small_data,
)

MODEL = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


class BadFiles(Case):
    def readers(self, bad):
        """Every command line that reads the file `bad`."""
        out = self.path("out")
        return [
            ["train", bad, "-o", out],
            ["train", DATA, "--init", bad, "-o", out],
            ["train", DATA, "--points", bad, "-o", out],
            ["fuse", bad, "-o", out],
            ["encode", bad, DATA, "-o", out],
            ["encode", MODEL, bad, "-o", out],
            ["reconstruct", MODEL, bad, "-o", out],
            ["reconstruct", bad, DATA, "-o", out],
            ["inspect", bad],
            ["eval", bad, DATA],
            ["eval", MODEL, bad],
            ["compare", bad, MODEL],
            ["compare", MODEL, bad],
        ]

    def refused_by_all(self, path, *texts):
        for command in self.readers(path):
            self.bad(1, [os.path.basename(path), *texts], *command)

    def test_a_missing_file(self):
        self.refused_by_all(self.path("nowhere"))
        self.bad(1, "nowhere", "train", DATA, "--labels", self.path("nowhere"), "-o", self.path("out"))

    def test_a_folder(self):
        os.mkdir(self.path("folder"))
        self.refused_by_all(self.path("folder"))

    def test_an_empty_file(self):
        self.refused_by_all(self.write("empty", b""))

    def test_neither_format(self):
        self.refused_by_all(self.write("text", b"This is no model, and no data either.\n" * 9))
        self.refused_by_all(self.write("zip", b"PK\x03\x04" + b"\0" * 60))

    def test_cut_files(self):
        for source, name in [(MODEL, "cut.safetensors"), (DATA, "cut.npy")]:
            with open(source, "rb") as file:
                whole = file.read()
            for size in [1, 7, 8, 9, 60, len(whole) // 2, len(whole) - 1]:
                self.refused_by_all(self.write(name, whole[:size]))

    def test_a_header_longer_than_the_file(self):
        for size in [1000, 2**31, 2**63, 2**64 - 1]:
            self.refused_by_all(self.write("long", struct.pack("<Q", size) + b"{}" + b" " * 40))

    def test_headers_that_are_no_headers(self):
        for text in [
            b"[]",
            b"{",
            b'{"a":1}',
            b'{"a":{"dtype":"F32","shape":[1]}}',
            b"\xff\xfe{}",
            b'{"a":{},"a":{}}',
        ]:
            self.refused_by_all(self.write("header", struct.pack("<Q", len(text)) + text + b"\0" * 8))

    def test_offsets(self):
        for name, header, size in [
            ("overlap", {"a": entry("F32", [4], 0, 16), "b": entry("F32", [4], 8, 24)}, 24),
            ("beyond", {"a": entry("F32", [4], 0, 16), "b": entry("F32", [4], 16, 32)}, 24),
            ("backwards", {"a": entry("F32", [4], 16, 0)}, 16),
            ("wrong-size", {"a": entry("F32", [5], 0, 16)}, 16),
            ("overflow", {"a": entry("F32", [2**32, 2**32], 0, 16)}, 16),
            ("negative", {"a": entry("F32", [-4], 0, 16)}, 16),
            ("gap", {"a": entry("U8", [2], 0, 2), "b": entry("F32", [4], 3, 19)}, 19),
        ]:
            self.refused_by_all(self.write(name, pack_safetensors(header, b"\0" * size)))

    def test_an_element_type_that_is_not_known_is_named(self):
        header = {"acts": entry("F8_E4M3", [4, 16], 0, 64)}
        path = self.write("eight-bits", pack_safetensors(header, b"\0" * 64))
        self.bad(1, ["eight-bits", "F8_E4M3"], "train", path, "--tensor", "acts", "-o", self.path("out"))

    def test_npy_variants_that_are_not_read(self):
        x = Tensor("F32", [4, 16], [0.0] * 64)
        good = npy_bytes(x)
        for name, old, new in [
            ("unsigned.npy", b"<f4", b"<u4"),
            ("complex.npy", b"<f4", b"<c8"),
            ("object.npy", b"'<f4'", b"'|O' "),
            ("negative.npy", b"(4, 16, )", b"(-4, 16,)"),
            ("huge.npy", b"(4, 16, )", b"(4, 99999)"),
        ]:
            self.refused_by_all(self.write(name, good.replace(old, new)))

    def test_data_of_a_wrong_type_or_shape(self):
        out = self.path("out")
        for name, tensor, texts in [
            ("i32.npy", Tensor("I32", [4, 16], [0] * 64), ["I32"]),
            ("i64.npy", Tensor("I64", [4, 16], [0] * 64), ["I64"]),
            ("vector.npy", Tensor("F32", [16], [0.0] * 16), ["[16]"]),
            ("five.npy", Tensor("F32", [1, 1, 2, 2, 16], [0.0] * 64), ["[1, 1, 2, 2, 16]"]),
            ("no-pixels.npy", Tensor("F32", [2, 16, 0, 4], []), ["[2, 16, 0, 4]"]),
            ("no-rows.npy", Tensor("F32", [0, 16], []), ["[0, 16]"]),
            ("no-columns.npy", Tensor("F32", [4, 0], []), ["[4, 0]"]),
        ]:
            path = self.write(name, npy_bytes(tensor))
            for command in [
                ["train", path, "-o", out],
                ["encode", MODEL, path, "-o", out],
                ["eval", MODEL, path],
            ]:
                self.bad(1, [name, *texts], *command)
        self.write("narrow.npy", npy_bytes(Tensor("F32", [4, 3], [0.0] * 12)))
        self.bad(1, ["narrow.npy", "3"], "train", DATA, self.path("narrow.npy"), "-o", out)

    def test_data_that_are_not_finite(self):
        out = self.path("out")
        for value in [math.nan, math.inf, -math.inf]:
            values = [0.0] * 64
            values[37] = value
            path = self.write("poison.npy", npy_bytes(Tensor("F32", [4, 16], values)))
            for command in [
                ["train", path, "-o", out],
                ["encode", MODEL, path, "-o", out],
                ["eval", MODEL, path],
            ]:
                self.bad(1, ["poison.npy", "row 2", "column 5"], *command)

    def check_model(self, tensors, metadata, texts):
        """A model that every command must refuse."""
        path = support.write_safetensors(self.path("model"), tensors, metadata)
        out = self.path("out")
        for command in [
            ["train", DATA, "--init", path, "-o", out],
            ["fuse", path, "-o", out],
            ["encode", path, DATA, "-o", out],
            ["eval", path, DATA],
            ["compare", path, MODEL],
        ]:
            self.bad(1, texts, *command)

    def test_parameters_that_are_not_finite(self):
        for name in ["dictionary.W", "dictionary.C", "dictionary.Relax", "encoder.final_block.0.bias"]:
            tensors, metadata = read_safetensors(MODEL)
            tensors[name].values[1] = math.nan
            self.check_model(tensors, metadata, ["model"])

    def test_parameters_of_a_wrong_shape_or_type(self):
        for name, tensor in [
            ("dictionary.W", Tensor("F32", [48, 59], [0.5] * (48 * 59))),
            ("dictionary.C", Tensor("F32", [60, 15], [0.5] * 900)),
            ("dictionary.Relax", Tensor("F32", [47, 16], [0.0] * (47 * 16))),
            ("dictionary.W", Tensor("F32", [48 * 60], [0.5] * (48 * 60))),
            ("dictionary.W", Tensor("I32", [48, 60], [1] * (48 * 60))),
            ("encoder.final_block.0.weight", Tensor("F32", [16, 48], [0.5] * 768)),
            ("encoder.final_block.0.bias", Tensor("F32", [16], [0.5] * 16)),
        ]:
            tensors, metadata = read_safetensors(MODEL)
            tensors[name] = tensor
            self.check_model(tensors, metadata, ["model"])

    def test_parameters_that_are_missing(self):
        for name in ["dictionary.W", "dictionary.C", "dictionary.Relax"]:
            tensors, metadata = read_safetensors(MODEL)
            del tensors[name]
            self.check_model(tensors, metadata, ["model", name])

    def test_settings_that_make_no_sense(self):
        for key, value, texts in [
            ("sae", "gelu", ["model", "sae", "gelu"]),
            ("top_k", "0", ["top_k"]),
            ("top_k", "49", ["49", "48"]),
            ("top_k", "4294967297", ["top_k"]),
            ("delta", "-1", ["delta"]),
            ("delta", "NaN", ["delta"]),
            ("encoder", "transformer", ["encoder"]),
        ]:
            tensors, metadata = read_safetensors(MODEL)
            metadata[key] = value
            self.check_model(tensors, metadata, texts)

    def test_labels_that_are_no_text(self):
        x = self.write("x.npy", npy_bytes(small_data()))
        for blob in [b"\xff\xfe" * 96, b"a\0b\n" * 96]:
            labels = self.write("labels", blob)
            self.bad(1, "labels", "train", x, "--labels", labels, "-o", self.path("out"))

    def test_a_file_that_may_not_be_read(self):
        path = self.write("secret", safetensors_bytes({"x": small_data()}))
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            self.skipTest("this user may read everything")
        for command in self.readers(path):
            result = self.run_rasae(*command)  # not self.bad(), which reads every file itself
            self.assertEqual((result.returncode, result.stderr.count(b"\n")), (1, 1), command)
            self.assertIn(b"Permission denied", result.stderr)


if __name__ == "__main__":
    support.main()
