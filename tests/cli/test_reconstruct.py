"""`rasae reconstruct`: every form of codes, and everything that can be wrong in a file of codes."""

import math

import support
from support import Case, Tensor, golden, read_npy, read_safetensors

MODEL = golden("topk-mse.final.safetensors")
DATA = golden("topk-mse.x.npy")
K, D = 48, 16


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
