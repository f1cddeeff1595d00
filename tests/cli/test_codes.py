"""`rasae encode` and `rasae reconstruct`: both forms of codes, there and back, and everything wrong in a
file of codes."""

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


class Reconstruct(Case):
    def setUp(self):
        super().setUp()
        self.good("fuse", MODEL, "-o", self.path("fused.safetensors"))
        self.dictionary = read_safetensors(self.path("fused.safetensors"))[0]["dictionary"].values

    def expected(self, z, rows):
        """z D in double precision."""
        out = []
        for row in range(rows):
            active = [(k, z[row * K + k]) for k in range(K) if z[row * K + k]]
            out += [sum(v * self.dictionary[k * D + j] for k, v in active) for j in range(D)]
        return out

    def test_every_form_of_codes(self):
        z = support.Random(5).values(4 * K)
        z = [value if value > 0.7 else 0.0 for value in z]
        dense = Tensor("F32", [4, K], z)
        start, index, value = [0], [], []
        for row in range(4):
            active = [k for k in range(K) if z[row * K + k]]
            index += active
            value += [z[row * K + k] for k in active]
            start.append(len(index))
        files = [
            support.write_npy(self.path("z.npy"), dense),
            support.write_safetensors(self.path("dense"), {"anything": dense}),
            support.write_safetensors(
                self.path("sparse"),
                {
                    "codes.start": Tensor("I64", [5], start),
                    "codes.index": Tensor("I32", [len(index)], index),
                    "codes.value": Tensor("F32", [len(value)], value),
                },
            ),
        ]
        for codes in files:
            self.good("reconstruct", MODEL, codes, "-o", self.path("x_hat.npy"))
            x_hat = read_npy(self.path("x_hat.npy"))
            self.assertEqual(x_hat.shape, [4, D])
            self.assertClose(x_hat.values, self.expected(z, 4), 1e-6, codes)
            self.good("reconstruct", MODEL, codes, "-o", self.path("x_hat.safetensors"))
            tensors, _ = read_safetensors(self.path("x_hat.safetensors"))
            self.assertEqual(list(tensors), ["x_hat"])
            self.assertEqual(tensors["x_hat"].values, x_hat.values)
        two = support.write_safetensors(self.path("two"), {"a": dense, "b": dense})
        self.good("reconstruct", MODEL, two, "--tensor", "b", "-o", self.path("x_hat.npy"))
        self.bad(1, "two", "reconstruct", MODEL, two, "-o", self.path("o"))

    def test_half_precision_codes(self):
        z = [0.5 if k % 7 == 0 else 0.0 for k in range(K)]
        codes = support.write_safetensors(self.path("z"), {"z": Tensor("BF16", [1, K], z)})
        self.good("reconstruct", MODEL, codes, "-o", self.path("x_hat.npy"))
        self.assertClose(read_npy(self.path("x_hat.npy")).values, self.expected(z, 1), 1e-6)

    def test_rows_without_active_latents_are_zero(self):
        tensors = {
            "codes.start": Tensor("I64", [4], [0, 0, 0, 0]),
            "codes.index": Tensor("I32", [0], []),
            "codes.value": Tensor("F32", [0], []),
        }
        codes = support.write_safetensors(self.path("z"), tensors)
        self.good("reconstruct", MODEL, codes, "-o", self.path("x_hat.npy"))
        self.assertEqual(read_npy(self.path("x_hat.npy")).values, [0.0] * (3 * D))

    def bad_sparse(
        self, texts, start=(0, 2, 3), index=(1, 5, 2), value=(1.0, 2.0, 3.0), metadata=None, **other
    ):
        tensors = {
            "codes.start": Tensor("I64", [len(start)], list(start)),
            "codes.index": Tensor("I32", [len(index)], list(index)),
            "codes.value": Tensor("F32", [len(value)], list(value)),
            **other,
        }
        path = support.write_safetensors(self.path("codes.safetensors"), tensors, metadata)
        self.bad(1, ["codes.safetensors", *texts], "reconstruct", MODEL, path, "-o", self.path("o.npy"))

    def test_wrong_sparse_codes(self):
        self.bad_sparse(["row 0", "latent 48", "has 48"], index=(1, 48, 2))
        self.bad_sparse(["row 1", "latent -1"], index=(1, 5, -1))
        self.bad_sparse(["row 0", "latent 5", "twice"], index=(5, 5, 2))
        self.bad_sparse(["row 0", "latent 1", "out of order"], index=(5, 1, 2))
        self.bad_sparse(["row 0", "nan"], value=(1.0, math.nan, 3.0))
        self.bad_sparse(["row 1", "inf"], value=(1.0, 2.0, math.inf))
        self.bad_sparse(["begins with 1"], start=(1, 2, 3))
        self.bad_sparse(["ends with 2", "3 entries"], start=(0, 1, 2))
        self.bad_sparse(["falls from 3 to 2"], start=(0, 3, 2, 3))
        self.bad_sparse(["falls from 0 to -5"], start=(0, -5, 3))
        self.bad_sparse(["codes.start is empty"], start=(), index=(), value=())
        self.bad_sparse(["3 entries", "codes.value 2"], value=(1.0, 2.0))
        self.bad_sparse(["49 latents", "model has 48"], metadata={"latents": "49"})
        self.bad_sparse(["codes.index", "I64"], **{"codes.index": Tensor("I64", [3], [1, 5, 2])})
        self.bad_sparse(["codes.value", "[3, 1]"], **{"codes.value": Tensor("F32", [3, 1], [1.0] * 3)})
        tensors = {"codes.start": Tensor("I64", [1], [0])}
        path = support.write_safetensors(self.path("codes"), tensors)
        self.bad(1, "codes.index", "reconstruct", MODEL, path, "-o", self.path("o"))

    def test_wrong_dense_codes(self):
        for tensor, texts in [
            (Tensor("F32", [2, K - 1], [0.0] * (2 * K - 2)), ["[2, 47]", "48"]),
            (Tensor("F32", [K], [0.0] * K), ["[48]"]),
            (Tensor("I64", [1, K], [0] * K), ["I64", "F32"]),
            (Tensor("F32", [2, K], [0.0] * (K + 3) + [math.nan] + [0.0] * (K - 4)), ["row 1", "latent 3"]),
        ]:
            path = support.write_npy(self.path("z.npy"), tensor)
            self.bad(1, ["z.npy", *texts], "reconstruct", MODEL, path, "-o", self.path("o.npy"))
            self.bad(1, ["z.npy", *texts], "reconstruct", MODEL, path, "-o", self.path("o.safetensors"))

    def test_the_codes_are_never_replaced(self):
        path = support.write_npy(self.path("z.npy"), Tensor("F32", [1, K], [0.0] * K))
        self.bad(1, "would replace", "reconstruct", MODEL, path, "-o", path)


if __name__ == "__main__":
    support.main()
