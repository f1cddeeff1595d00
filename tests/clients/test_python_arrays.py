"""proto/python/rasae/{codes,rows,arguments}.py without a server: numbers of every kind and shape go in, wrong ones are
refused with their place, and codes are indexed, joined and converted as arrays are."""

import environment

environment.enter()

import os
import pickle
import sys
import unittest
import warnings

import numpy as np
import scipy.sparse

from environment import TOP
from tensors import tensor, torch

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

from rasae import Codes, arguments  # noqa: E402
from rasae.rows import Rows  # noqa: E402

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8


def all_of(values, width=4):
    rows = Rows(values, width, "inputs")
    return rows.leading, rows.take(0, rows.count)


class RowsOfEveryKind(unittest.TestCase):
    def test_numbers_of_every_type(self):
        flat = X.reshape(6, 4)
        for values in (flat.tolist(), flat, flat.astype(np.float16), flat.astype(np.float64), flat.astype(np.longdouble),
                       np.asfortranarray(flat), flat.astype(">f4"), tuple(map(tuple, flat)), list(flat)):
            leading, rows = all_of(values)
            self.assertEqual((leading, rows.dtype, rows.flags.c_contiguous), ((6,), np.float32, True))
            np.testing.assert_array_equal(rows, flat)
        for kind in (np.int8, np.uint16, np.int64):
            np.testing.assert_array_equal(all_of((flat * 8).astype(kind))[1], flat * 8)

    def test_tensors_of_every_type_with_gradient_and_on_a_device(self):
        for dtype in ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn"):
            for grad in (False, True):
                for device in ("cpu", "cuda"):
                    with self.subTest(dtype=dtype, grad=grad, device=device):
                        if dtype == "float8_e4m3fn" and grad:
                            continue
                        leading, rows = all_of(tensor(X, dtype, grad, device))
                        self.assertEqual(leading, (2, 3))
                        np.testing.assert_allclose(rows, X.reshape(6, 4), atol=0.13 if "8" in dtype else 0)
        np.testing.assert_array_equal(all_of(tensor(X * 8, "int64"))[1], X.reshape(6, 4) * 8)
        np.testing.assert_array_equal(all_of([tensor(row, "bfloat16", grad=True) for row in X[0]])[1], X[0])

    def test_axes_before_the_last_are_kept(self):
        for leading in ((), (1,), (5,), (2, 3), (1, 1, 1), (0,), (2, 0)):
            values = np.zeros((*leading, 4), np.float32)
            found, rows = all_of(values)
            self.assertEqual((found, rows.shape), (leading, (values.size // 4, 4)))

    def test_a_batch_at_a_time(self):
        rows = Rows(tensor(X, "bfloat16"), 4, "inputs")
        np.testing.assert_array_equal(rows.take(2, 4), X.reshape(6, 4)[2:4])

    def test_other_shapes_are_refused(self):
        for values in (5, X[..., :3], [[1, 2], [3]], [], "abcd"):
            with self.assertRaises((ValueError, TypeError)) as caught:
                all_of(values)
            self.assertIn("inputs", str(caught.exception))
        with self.assertRaisesRegex(ValueError, r"inputs has the shape \[2, 3, 3\], expected \[\.\.\., 4\]"):
            all_of(X[..., :3])

    def test_what_is_no_real_number_is_refused(self):
        for values in (np.ones((1, 4), bool), np.ones((1, 4), complex), np.array([["a"] * 4]), np.array([[None] * 4]),
                       tensor(np.ones((1, 4)), "bool"), tensor(np.ones((1, 4)), "complex64"),
                       np.zeros((1, 4), "datetime64[s]")):
            with self.assertRaisesRegex(TypeError, "inputs"):
                all_of(values)

    def test_masked_numbers_are_refused(self):
        masked = np.ma.masked_greater(X[0], 0.5)
        with self.assertRaisesRegex(TypeError, "masked"):
            all_of(masked)
        np.testing.assert_array_equal(all_of(np.ma.masked_greater(X[0], 99))[1], X[0])

    def test_numbers_that_are_not_finite_are_named_with_their_place(self):
        for bad in (np.nan, np.inf, -np.inf, 1e300):
            values = X.astype(np.float64)
            values[1, 2, 3] = bad
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                for one in (values, tensor(values, "float64")):
                    with self.assertRaisesRegex(ValueError, r"inputs is -?(nan|inf) at \[1, 2, 3\]"):
                        all_of(one)
        with self.assertRaisesRegex(ValueError, r"at \[2\]"):
            all_of([1, 2, np.nan, 4])


class Arguments(unittest.TestCase):
    def test_the_number_of_an_atom(self):
        for good in (5, np.int8(5), np.uint64(5), np.array(5), tensor(5, "int64")):
            self.assertEqual(arguments.position(good, "atom", 6), 5)
        for bad in (5.7, 5.0, True, np.True_, "5", None, [5], np.float32(5), tensor(5.0, "float32")):
            with self.assertRaisesRegex(TypeError, "atom is .*expected a whole number"):
                arguments.position(bad, "atom", 6)
        for bad in (-1, 6, 10 ** 30):
            with self.assertRaisesRegex(IndexError, f"atom is {bad}, expected 0 to 5"):
                arguments.position(bad, "atom", 6)

    def test_numbers_of_atoms(self):
        for ids in ([4, 0], (4, 0), np.array([4, 0], np.uint8), tensor([4, 0], "int64"), iter([4, 0]), {4: 1, 0: 1}.keys(),
                    [tensor(4, "int32"), tensor(0, "int32")]):
            self.assertEqual(arguments.positions(ids, 6).tolist(), [4, 0])
        self.assertEqual(arguments.positions(slice(None, None, -2), 6), range(5, -1, -2))
        self.assertEqual(arguments.positions(range(1, 4), 6), range(1, 4))
        self.assertEqual(arguments.positions(np.zeros((2, 3), int), 6).shape, (2, 3))
        self.assertEqual(arguments.positions([], 6).size, 0)
        for bad in ([1.0], [True], ["1"], np.ones(2), [None]):
            with self.assertRaises(TypeError):
                arguments.positions(bad, 6)
        for bad in ([6], [-1], range(4, 8), range(-1, 2)):
            with self.assertRaises(IndexError):
                arguments.positions(bad, 6)

    def test_scales(self):
        self.assertEqual(arguments.pushes({np.int64(5): np.float32(2), 1: -1}, 6), {5: 2.0, 1: -1.0})
        for bad, error in (({5.5: 1}, TypeError), ({6: 1}, IndexError), ({5: np.nan}, ValueError), ({5: np.inf}, ValueError),
                           ({5: "much"}, TypeError), ({5: True}, TypeError), ([(5, 1.0)], TypeError)):
            with self.assertRaises(error):
                arguments.pushes(bad, 6)

    def test_headers_and_keys(self):
        self.assertEqual(arguments.headers({"X-Team": "a b"}, "k3y"), {"x-team": "a b", "authorization": "Bearer k3y"})
        for bad in ({"X-Team": "a\r\nX: b"}, {"X Team": "a"}, {"": "a"}, {"X-Request-Id": "1"}, {"Content-Length": "1"}):
            with self.assertRaises(ValueError):
                arguments.headers(bad, None)
        for bad in ("", "key\n", "two words", "schlüssel"):
            with self.assertRaises(ValueError):
                arguments.headers(None, bad)


class CodesLikeArrays(unittest.TestCase):
    def setUp(self):
        dense = np.random.default_rng(7).normal(size=(2, 3, 5)).astype(np.float32)
        self.dense = np.where(np.abs(dense) > 0.7, dense, 0)
        self.codes = Codes.from_dense(self.dense)

    def test_their_shape_is_that_of_the_rows(self):
        self.assertEqual((self.codes.shape, self.codes.rows, len(self.codes)), ((2, 3, 5), 6, 2))
        np.testing.assert_array_equal(self.codes.to_dense(), self.dense)
        row = Codes.from_dense(self.dense[0, 1])
        self.assertEqual((row.shape, row.rows), ((5,), 1))
        with self.assertRaises(TypeError):
            len(row)
        with self.assertRaises(TypeError):
            row[0]
        self.assertIn("(2, 3, 5)", repr(self.codes))

    def test_indexing_is_that_of_an_array(self):
        for which in (0, -1, np.int64(1), slice(None), slice(1, None), slice(None, None, -1), [1, 0, 1],
                      np.array([True, False]), [], slice(0, 0), tensor([1, 0], "int64")):
            expected = self.dense[np.asarray(which, int if isinstance(which, list) else None)
                                  if isinstance(which, list) or hasattr(which, "detach") else which]
            np.testing.assert_array_equal(self.codes[which].to_dense(), expected)
        flat = Codes.from_dense(self.dense.reshape(6, 5))
        row = flat[4]
        np.testing.assert_array_equal(row.index, np.flatnonzero(self.dense.reshape(6, 5)[4]))
        np.testing.assert_array_equal(row.value, self.dense.reshape(6, 5)[4][row.index])
        for bad in (2, -3, [2]):
            with self.assertRaises(IndexError):
                self.codes[bad]

    def test_iteration(self):
        np.testing.assert_array_equal([[row.to_dense() for row in part] for part in self.codes], self.dense)
        for (index, value), row in zip(zip(self.codes.indices, self.codes.values), self.dense.reshape(6, 5)):
            np.testing.assert_array_equal(index, np.flatnonzero(row))
            np.testing.assert_array_equal(value, row[index])

    def test_concat(self):
        np.testing.assert_array_equal(Codes.concat([self.codes, self.codes[1:]]).to_dense(),
                                      np.concatenate([self.dense, self.dense[1:]]))
        flat = Codes.from_dense(self.dense[0])
        self.assertEqual(Codes.concat(flat), flat)  # the rows of codes make these codes
        for bad in ([], [self.codes, flat], [flat, Codes.from_dense(np.zeros((2, 6)))]):
            with self.assertRaises(ValueError):
                Codes.concat(bad)
        with self.assertRaises(TypeError):
            Codes.concat([self.dense])

    def test_top(self):
        top = self.codes.top(2)
        self.assertEqual((top.atoms.shape, top.values.shape), ((2, 3, 2), (2, 3, 2)))
        for atoms, values, row in zip(top.atoms.reshape(6, 2), top.values.reshape(6, 2), self.dense.reshape(6, 5)):
            order = [i for i in np.argsort(-np.abs(row), kind="stable") if row[i]][:2]
            self.assertEqual(atoms.tolist(), order + [-1] * (2 - len(order)))
            np.testing.assert_array_equal(values[:len(order)], row[order])
        whole = self.codes.top(5)
        np.testing.assert_array_equal(Codes.from_top(*whole, 5).to_dense(), self.dense)
        for bad in (0, -1, 1.5, True):
            with self.assertRaises(ValueError):
                self.codes.top(bad)

    def test_other_kinds_and_back(self):
        flat = self.dense.reshape(6, 5)
        codes = Codes.from_dense(flat)
        np.testing.assert_array_equal(codes.to_scipy().toarray(), flat)
        for sparse in (codes.to_scipy(), codes.to_scipy().tocoo(), scipy.sparse.csc_matrix(flat)):
            self.assertEqual(Codes.from_scipy(sparse), codes)
        self.assertEqual(Codes.from_rows(codes.indices, codes.values, 5), codes)
        self.assertEqual(Codes.from_dense(tensor(flat)), codes)
        self.assertEqual(pickle.loads(pickle.dumps(codes)), codes)
        self.assertNotEqual(codes, self.codes)
        self.assertNotEqual(codes, 2 * codes.to_scipy())
        pairs = Codes.from_rows(tensor([[1, 0], [2, 3]], "int64"), tensor([[0.5, 1], [2, 3]], "bfloat16", grad=True), 5)
        np.testing.assert_array_equal(pairs.to_dense(), [[1, .5, 0, 0, 0], [0, 0, 2, 3, 0]])
        self.assertEqual(Codes.from_rows([], [], 5).shape, (0, 5))
        self.assertEqual(Codes.from_rows([], [], 5).indices, [])

    @unittest.skipUnless(torch, "torch is not installed")
    def test_torch(self):
        flat = self.dense.reshape(6, 5)
        codes = Codes.from_dense(flat)
        for one, wanted in ((codes, flat), (self.codes, self.dense), (codes[3], flat[3])):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                made = one.to_torch()
            self.assertTrue(made.is_sparse)
            np.testing.assert_array_equal(made.to_dense().numpy(), wanted)
            self.assertEqual(Codes.from_torch(made), one)
            self.assertEqual(Codes.from_torch(made.to_dense()), one)
        self.assertEqual(Codes.from_torch(codes.to_torch().to_sparse_csr()), codes)
        np.testing.assert_array_equal(torch.sparse.mm(codes.to_torch(), torch.eye(5)).numpy(), flat)
        np.testing.assert_array_equal(self.codes.to_torch(dense=True).numpy(), self.dense)

    def test_codes_that_do_not_fit_together_are_refused(self):
        for start, index, value, error in (([0, 2], [0], [1.], ValueError), ([1, 1], [], [], ValueError),
                                           ([0, 2, 1], [0], [1.], ValueError), ([0, 1], [5], [1.], ValueError),
                                           ([0, 1], [-1], [1.], ValueError), ([0, 1], [0], [1., 2.], ValueError),
                                           ([0, 1], [0.5], [1.], TypeError), ([0, 1], [True], [1.], TypeError),
                                           ([0, 1], [2 ** 40], [1.], ValueError), ([0, 1], [0], [np.nan], ValueError),
                                           ([0, 1], [0], [1e300], ValueError), ([0, 1], [0], ["a"], TypeError),
                                           ([], [], [], ValueError)):
            with self.assertRaises(error):
                Codes(start, index, value, 5)
        for index, value, error in (([[5.7]], [[1]], TypeError), ([[True]], [[1]], TypeError), ([[1]], [[1, 2]], ValueError),
                                    ([[1], [2]], [[1]], ValueError), ([1], [1], ValueError), ([[9]], [[1]], ValueError)):
            with self.assertRaises(error):
                Codes.from_rows(index, value, 5)


if __name__ == "__main__":
    unittest.main()
