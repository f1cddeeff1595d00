"""`rasae encode`: both forms of codes, rows of several files, and what does not fit."""

import math

import support
from support import Case, Tensor, golden, read_npy, read_safetensors

MODEL = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")
K, D = 48, 16


class Encode(Case):
    def test_rows_go_on_from_file_to_file(self):
        data = support.read_npy(DATA)
        rows, d = data.shape
        cut = rows // 3
        parts = [
            support.write_npy(self.path("a.npy"), support.Tensor("F32", [cut, d], data.values[: cut * d])),
            support.write_npy(self.path("b.npy"), support.Tensor("F32", [rows - cut, d], data.values[cut * d :])),
        ]
        self.good("encode", MODEL, DATA, "-o", self.path("whole.npy"))
        self.good("encode", MODEL, *parts, "-o", self.path("parts.npy"))
        self.assertEqual(self.read("parts.npy"), self.read("whole.npy"))
        self.assertEqual(
            self.good_json("eval", MODEL, *parts, "--json"), self.good_json("eval", MODEL, DATA, "--json")
        )
        self.bad(1, "would replace", "encode", MODEL, *parts, "-o", parts[1])
    def test_sparse_and_dense_codes_are_the_same(self):
        self.good("encode", MODEL, DATA, "-o", self.path("z.safetensors"))
        self.good("encode", MODEL, DATA, "-o", self.path("z.npy"))
        tensors, metadata = read_safetensors(self.path("z.safetensors"))
        start, index, value = (tensors["codes." + name] for name in ["start", "index", "value"])
        self.assertEqual([start.dtype, index.dtype, value.dtype], ["I64", "I32", "F32"])
        self.assertEqual(metadata["latents"], str(K))
        rows = len(start.values) - 1
        dense = [0.0] * (rows * K)
        for row in range(rows):
            entries = range(start.values[row], start.values[row + 1])
            self.assertLessEqual(len(entries), 6)
            self.assertEqual(sorted({index.values[e] for e in entries}), [index.values[e] for e in entries])
            for e in entries:
                dense[row * K + index.values[e]] = value.values[e]
        matrix = read_npy(self.path("z.npy"))
        self.assertEqual((matrix.dtype, matrix.shape), ("F32", [rows, K]))
        self.assertEqual(matrix.values, dense)

    def test_a_fused_artifact_encodes_as_its_checkpoint(self):
        fused = self.path("fused.safetensors")
        self.good("fuse", MODEL, "-o", fused)
        self.good("encode", MODEL, DATA, "-o", self.path("a"))
        self.good("encode", fused, DATA, "-o", self.path("b"))
        self.assertEqual(self.read("a"), self.read("b"))

    def assert_near(self, some, others):
        """To the last bits, which follow a row's place in a product: OpenBLAS has kernels for the edges."""
        self.assertEqual(len(some), len(others))
        self.assertLess(max(abs(a - b) for a, b in zip(some, others)), 2e-6)

    def test_blocks_leave_no_seam(self):
        x = read_npy(DATA)
        many = Tensor("F32", [3000, D], (x.values * 3)[: 3000 * D])
        self.good("encode", MODEL, support.write_npy(self.path("x.npy"), many), "-o", self.path("z.npy"))
        z = read_npy(self.path("z.npy")).values
        self.assert_near(z[: 1280 * K], z[1280 * K : 2560 * K])
        self.good("reconstruct", MODEL, self.path("z.npy"), "-o", self.path("x_hat.npy"))
        x_hat = read_npy(self.path("x_hat.npy")).values
        self.assert_near(x_hat[: 1280 * D], x_hat[1280 * D : 2560 * D])

    def test_what_does_not_fit(self):
        narrow = support.write_npy(self.path("narrow.npy"), Tensor("F32", [2, 3], [1.0] * 6))
        self.bad(1, ["3 dimensions", "16"], "encode", MODEL, narrow, "-o", self.path("z"))
        nan = support.write_npy(
            self.path("nan.npy"), Tensor("F32", [2, D], [1.0] * 20 + [math.nan] + [0.0] * 11)
        )
        self.bad(1, ["nan.npy", "row 1", "column 4"], "encode", MODEL, nan, "-o", self.path("z"))
        bare = golden("dict-basic.checkpoint.safetensors")
        self.bad(1, "encoder", "encode", bare, DATA, "-o", self.path("z"))
        self.bad(1, "would replace", "encode", MODEL, narrow, "-o", narrow)
        self.bad(1, "directory", "encode", MODEL, DATA, "-o", self.path("no/z"))

    def test_batchtopk_without_its_threshold_says_so(self):
        tensors, metadata = read_safetensors(golden("batchtopk-mse.final.safetensors"))
        metadata.pop("running_threshold", None)
        path = support.write_safetensors(self.path("model"), tensors, metadata)
        self.bad(1, ["running_threshold", "--running-threshold"], "encode", path, DATA, "-o", self.path("z"))
        self.good("encode", path, DATA, "-o", self.path("z"), "--running-threshold", "0.5")

    def test_a_full_disk_leaves_nothing(self):
        for name in ["z.npy", "z.safetensors"]:
            self.bad(1, name, "encode", MODEL, DATA, "-o", self.path(name), preexec_fn=support.disk_of(2048))


if __name__ == "__main__":
    support.main()
