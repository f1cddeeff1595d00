"""Files as people have them, through the commands (lib/io/{kinds,npz,order,zip}.c, lib/data/data.c, trainer/common/files.c):
what is plain to convert is read, and what is something else is named with the line that converts it."""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile

import support
from support import Case, Tensor, golden, npy_bytes, pack_safetensors, read_npy, read_safetensors, safetensors_bytes, small_data

MODEL = golden("topk-mse.final.safetensors")  # d = 16
ROWS, D = 12, 16
NUMPY = {"F64": "<f8", "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1"}


def whole_numbers(low, high):
    """Numbers that every type can hold that has this range."""
    random = support.Random(5)
    return [float(int(value)) for value in random.values(ROWS * D, low, high)]


def raw_npy(descr, shape, blob, fortran=False):
    header = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, tuple(shape))
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + blob


def npz_bytes(arrays, method=zipfile.ZIP_STORED):
    blob = io.BytesIO()
    with zipfile.ZipFile(blob, "w", method) as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as member:  # as numpy.savez does
                member.write(array)
    return blob.getvalue()


class Files(Case):
    def codes(self, data, *flags):
        self.good("encode", MODEL, data, "-o", self.path("z.npy"), *flags)
        return self.read("z.npy")

    def plain(self, values, shape=(ROWS, D)):
        return self.codes(self.write("plain.npy", npy_bytes(Tensor("F32", shape, values))))

    # ---- types and orders

    def test_types_are_read_as_their_numbers(self):
        for dtype, low, high in [("F64", -3, 3), ("I16", -300, 300), ("U16", 0, 300), ("I8", -128, 127), ("U8", 0, 255)]:
            values = whole_numbers(low, high)
            letter = {"F64": "d", "I16": "h", "U16": "H", "I8": "b", "U8": "B"}[dtype]
            numbers = values if dtype == "F64" else [int(value) for value in values]
            blob = struct.pack("<%d%s" % (len(values), letter), *numbers)
            with self.subTest(dtype):
                self.assertEqual(self.codes(self.write("x.npy", raw_npy(NUMPY[dtype], (ROWS, D), blob))), self.plain(values))
                big = struct.pack(">%d%s" % (len(values), letter), *numbers)
                descr = NUMPY[dtype].replace("<", ">")
                self.assertEqual(self.codes(self.write("x.npy", raw_npy(descr, (ROWS, D), big))), self.plain(values))
                header = {"x": {"dtype": dtype, "shape": [ROWS, D], "data_offsets": [0, len(blob)]}}
                self.assertEqual(self.codes(self.write("x", pack_safetensors(header, blob))), self.plain(values))

    def test_float64_trains_the_same_bytes(self):
        x = small_data()
        self.write("narrow.npy", npy_bytes(x))
        self.write("wide.npy", npy_bytes(Tensor("F64", x.shape, x.values)))
        for name in ["narrow", "wide"]:
            self.good("train", self.path(name + ".npy"), "-o", self.path(name), "--steps", "20", "--standardize", "element")
        self.assertEqual(self.read("narrow"), self.read("wide"))

    def test_float64_beyond_float32_is_a_bad_row(self):
        values = [0.5] * (ROWS * D)
        values[37] = 1e39
        self.write("x.npy", npy_bytes(Tensor("F64", [ROWS, D], values)))
        self.bad(1, ["x.npy", "in float32", "row 2, column 5"], "encode", MODEL, self.path("x.npy"), "-o", self.path("z"))

    def test_fortran_order(self):
        values = whole_numbers(-3, 3)
        turned = [values[r * D + c] for c in range(D) for r in range(ROWS)]
        blob = struct.pack("<%df" % len(turned), *turned)
        self.assertEqual(self.codes(self.write("x.npy", raw_npy("<f4", (ROWS, D), blob, True))), self.plain(values))

    def test_float64_points_and_codes(self):
        x = small_data()
        self.write("x.npy", npy_bytes(x))
        self.write("points.npy", npy_bytes(Tensor("F64", [8, 12], x.values[: 8 * 12])))
        self.good("train", self.path("x.npy"), "-o", self.path("m"), "--points", self.path("points.npy"), "--steps", "2")
        self.plain(whole_numbers(-3, 3))
        z = read_npy(self.path("z.npy"))
        self.write("wide.npy", npy_bytes(Tensor("F64", z.shape, z.values)))
        for name in ["z.npy", "wide.npy"]:
            self.good("reconstruct", MODEL, self.path(name), "-o", self.path("hat-" + name))
        self.assertEqual(self.read("hat-z.npy"), self.read("hat-wide.npy"))

    # ---- archives

    def test_npz(self):
        values = whole_numbers(-3, 3)
        one = npy_bytes(Tensor("F32", [ROWS, D], values))
        other = npy_bytes(Tensor("F64", [2, 3], [0.0] * 6))
        for method in zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED:
            with self.subTest(method=method):
                self.write("x.npz", npz_bytes({"arr_0": one}, method))
                self.assertEqual(self.codes(self.path("x.npz")), self.plain(values))
                self.write("two.npz", npz_bytes({"other": other, "acts": one}, method))
                self.assertEqual(self.codes(self.path("two.npz"), "--tensor", "acts"), self.plain(values))
                encode = ["encode", MODEL, self.path("two.npz"), "-o", self.path("y")]
                self.bad(1, ["two.npz", "several arrays (other, acts)"], *encode)
                self.bad(1, ["no array \"x\"", "other, acts"], *encode, "--tensor", "x")
                shown = self.good("inspect", self.path("two.npz"))
                self.assertRegex(shown, r"acts +F32 +\[12, 16\]")
                self.assertRegex(shown, r"other +F64 +\[2, 3\]")
        self.good("train", self.path("x.npz"), "-o", self.path("model"), "--steps", "2")

    def test_damaged_npz(self):
        good = npz_bytes({"x": npy_bytes(Tensor("F32", [ROWS, D], whole_numbers(-3, 3)))}, zipfile.ZIP_DEFLATED)
        for cut in [5, len(good) // 2, len(good) - 1, len(good) - 30]:
            path = self.write("cut.npz", good[:cut])
            self.bad(1, "cut.npz", "encode", MODEL, path, "-o", self.path("z"))
        for at in range(60, len(good) // 2, 97):
            path = self.write("bent.npz", good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
            self.bad(1, "bent.npz", "encode", MODEL, path, "-o", self.path("z"))

    # ---- places

    def test_misaligned_safetensors(self):
        values = whole_numbers(-3, 3)
        blob = struct.pack("<%df" % len(values), *values)
        for odd in 1, 2, 3:
            text = json.dumps({"x": {"dtype": "F32", "shape": [ROWS, D], "data_offsets": [0, len(blob)]}}).encode()
            text += b" " * (-len(text) % 8 + odd)
            path = self.write("odd", struct.pack("<Q", len(text)) + text + blob)
            self.assertEqual(self.codes(path), self.plain(values))

    def test_a_misaligned_model(self):
        with open(MODEL, "rb") as file:
            blob = file.read()
        (size,) = struct.unpack("<Q", blob[:8])
        model = self.write("odd", struct.pack("<Q", size + 1) + blob[8 : 8 + size] + b" " + blob[8 + size :])
        x = golden("topk-mse.x.npy")
        self.good("encode", MODEL, x, "-o", self.path("a"))
        self.good("encode", model, x, "-o", self.path("b"))
        self.assertEqual(self.read("a"), self.read("b"))

    def test_empty_shards_are_left_out_with_a_word(self):
        x = small_data()
        empty = self.write("empty.npy", npy_bytes(Tensor("F32", [0, 12], [])))
        flat = self.write("flat.npy", npy_bytes(Tensor("F32", [0], [])))
        full = self.write("full.npy", npy_bytes(x))
        for order in [empty, full], [full, empty, full], [full, empty]:
            result = self.run_rasae("train", *order, "-o", self.path("m"), "--steps", "2", "--quiet")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(b"empty.npy holds no rows and is left out", result.stderr)
        self.bad(1, ["[0]"], "train", full, flat, "-o", self.path("other"))
        result = self.run_rasae("train", empty, empty, "-o", self.path("other"))
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"neither does any other file", result.stderr)

    def test_layouts(self):
        """2 images of 3 x 4 pixels and 12 channels, as every layout writes them."""
        n, h, w, d = 2, 3, 4, 12
        rows = small_data(n * h * w, d)
        rows.shape = [n, h, w, d]
        nhwc = self.write("nhwc.npy", npy_bytes(rows))
        turned = [rows.values[((i * h + y) * w + x) * d + c] for i in range(n) for c in range(d) for y in range(h) for x in range(w)]
        nchw = self.write("nchw.npy", npy_bytes(Tensor("F32", [n, d, h, w], turned)))
        plain = self.write("rows.npy", npy_bytes(Tensor("F32", [n * h * w, d], rows.values)))
        models = []
        for path, flags in [
            (plain, []),
            (nchw, []),
            (nchw, ["--layout", "nchw"]),
            (nhwc, ["--layout", "nhwc"]),
            (nhwc, ["--layout", "rows"]),
            (plain, ["--layout", "rows"]),
        ]:
            result = self.run_rasae("train", path, "-o", self.path("m"), "--steps", "3", "--quiet", *flags)
            self.assertEqual((result.returncode, result.stderr), (0, b""), path)
            models.append(self.read("m"))
            self.assertEqual(models[0], models[-1], (path, flags))
        result = self.run_rasae("train", nhwc, "-o", self.path("m"), "--steps", "3")
        self.assertIn(b"[2, 3, 4, 12] and is read as [n, d, h, w], so d is 3", result.stderr)
        self.assertIn(b"--layout nhwc", result.stderr)
        self.write("m", models[0])
        for command in ["eval", self.path("m"), nhwc], ["encode", self.path("m"), nhwc, "-o", self.path("z")], ["trace", self.path("m"), nhwc]:
            self.good(*command, "--layout", "nhwc")
        self.bad(1, ["rows.npy", "[24, 12]", "nhwc"], "train", plain, "-o", self.path("x"), "--layout", "nhwc")

    # ---- names

    def test_output_endings(self):
        x = golden("topk-mse.x.npy")
        for ending in ["npz", "pt", "pth", "pkl", "bin", "ckpt", "npy"]:
            out = self.path("out." + ending)
            self.bad(1, ["out." + ending, ".safetensors"], "train", x, "-o", out)
            self.bad(1, ["out." + ending, ".safetensors"], "fuse", MODEL, "-o", out)
            if ending != "npy":
                self.bad(1, ["out." + ending, ".npy or .safetensors"], "encode", MODEL, x, "-o", out)
                self.bad(1, ["out." + ending, ".npy or .safetensors"], "reconstruct", MODEL, x, "-o", out)

    def test_models_and_data_that_are_swapped(self):
        x = golden("topk-mse.x.npy")
        for command in ["eval", x, MODEL], ["encode", x, MODEL, "-o", self.path("z")], ["fuse", x, "-o", self.path("z")]:
            self.bad(1, ["topk-mse.x.npy is a NumPy array, not a model. Did you swap MODEL and DATA?"], *command)

    def test_other_kinds_are_named_with_what_converts_them(self):
        acts = io.BytesIO()
        with zipfile.ZipFile(acts, "w") as archive:
            archive.writestr("acts/data.pkl", b"\x80\x02.")
        plain_zip = io.BytesIO()
        with zipfile.ZipFile(plain_zip, "w") as archive:
            archive.writestr("readme.txt", b"nothing")
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
        save, keep = "numpy.save('%s.npy', ", "safetensors.torch.save_file("
        for name, blob, what, data, model in [
            ("lfs", pointer, "Git LFS pointer", "git lfs pull", "git lfs pull"),
            ("x.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 40, "HDF5", save + "h5py.File('%s')['NAME'][:])", "h5py.File('%s')"),
            ("x.parquet", b"PAR1" + b"\0" * 40, "Parquet", save + "pandas.read_parquet('%s')", "Parquet"),
            ("x.npy.gz", gzip.compress(b"x" * 99), "gzip", "gunzip '%s'", "gunzip '%s'"),
            ("x.pt", acts.getvalue(), "x.pt is damaged", "its pickle", "its pickle"),
            ("x.pkl", pickle.dumps([1.0, 2.0], 4), "pickle", save + "numpy.load('%s', allow_pickle=True))", keep),
            ("x.zip", plain_zip.getvalue(), "zip archive", "unzip '%s'", "unzip '%s'"),
            ("model.safetensors.index.json", b'{"metadata": {}, "weight_map": {"a": "b"}}', "JSON index", ".safetensors", "load_file"),
            ("x.json", b'{"acts": [[1, 2], [3, 4]]}', "JSON", save + "numpy.array(json.load(open('%s'))", ".safetensors"),
            ("x.csv", b"0.25,1.5,3\n1,2,3\n", "table of numbers", save + "numpy.loadtxt('%s', delimiter=','", ".safetensors"),
            ("x.mat", b"MATLAB 5.0 MAT-file, " + b" " * 120, "MATLAB", "scipy.io.loadmat('%s')", "MATLAB"),
        ]:
            with self.subTest(name):
                path = self.write(name, blob)
                self.bad(1, [name, what, data.replace("%s", path)], "train", path, "-o", self.path("out"))
                self.bad(1, [name, what, model.replace("%s", path)], "encode", path, path, "-o", self.path("out"))
        path = self.write("model.npz", npz_bytes({"dictionary": npy_bytes(Tensor("F32", [2, 3], [1.0] * 6))}))
        self.bad(1, ["a .npz archive", "save_file(dict(numpy.load('%s')), '%s.safetensors')" % (path, path)], "fuse", path, "-o", self.path("out"))


if __name__ == "__main__":
    support.main()
