"""`rasae fuse`: element types, provenance, artifacts as input, and refusals. test_golden.py checks that D itself is
right."""

import json
import math
import os

import support
from support import Case, golden, read_safetensors

CHECKPOINT = golden("topk-mse.final.safetensors")
K, N, D = 48, 60, 16


class Fuse(Case):
    def fuse(self, source, *flags):
        target = self.path("fused.safetensors")
        self.good("fuse", source, "-o", target, *flags)
        return read_safetensors(target)

    def test_the_artifact_has_the_pinned_tensors(self):
        tensors, metadata = self.fuse(CHECKPOINT)
        for name, dtype, shape in [
            ("dictionary", "F32", [K, D]),
            ("encoder.final_block.0.weight", "F32", [K, D]),
            ("encoder.final_block.0.bias", "F32", [K]),
            ("archetypes.index", "I32", [K, 16]),
            ("archetypes.weight", "F32", [K, 16]),
            ("relaxation.norm", "F32", [K]),
        ]:
            self.assertEqual((tensors[name].dtype, tensors[name].shape), (dtype, shape), name)
        self.assertNotIn("dictionary.W", tensors)
        self.assertEqual((metadata["sae"], metadata["top_k"]), ("topk", "6"))

    def test_archetypes_are_the_largest_contributions_to_each_atom(self):
        checkpoint, metadata = read_safetensors(CHECKPOINT)
        W, C = checkpoint["dictionary.W"].values, checkpoint["dictionary.C"].values
        d = checkpoint["dictionary.C"].shape[1]
        scale = math.exp(checkpoint["dictionary.multiplier"].values[0])
        tensors, _ = self.fuse(CHECKPOINT, "--archetypes", "5")
        self.assertEqual(tensors["archetypes.index"].shape, [K, 5])
        part = lambda name, k: tensors["archetypes." + name].values[k * 5 : k * 5 + 5]
        for k in range(K):
            atom = tensors["dictionary"].values[k * d : (k + 1) * d]
            row = [max(value, 0) for value in W[k * N : (k + 1) * N]]
            weights = [value / sum(row) for value in row]
            shares = [
                scale * weights[j] * sum(c * a for c, a in zip(C[j * d : (j + 1) * d], atom)) / sum(a * a for a in atom)
                for j in range(N)
            ]
            heaviest = sorted(range(N), key=lambda j: -weights[j])[:20]  # four times as many as are kept
            largest = sorted(heaviest, key=lambda j: -shares[j])[:5]
            self.assertEqual(part("index", k), largest)
            self.assertClose(part("weight", k), [weights[j] for j in largest], 1e-5, "row %d" % k)
            self.assertClose(part("contribution", k), [shares[j] for j in largest], 1e-4, "row %d" % k)

    def test_halves_are_the_rounded_singles(self):
        single = self.fuse(CHECKPOINT)[0]["dictionary"].values
        for dtype, bits in [("f16", 11), ("bf16", 8)]:
            half = self.fuse(CHECKPOINT, "--dtype", dtype)[0]["dictionary"]
            self.assertEqual(half.dtype, dtype.upper())
            for a, b in zip(half.values, single):
                self.assertLessEqual(abs(a - b), abs(b) * 2.0**-bits + 1e-7)

    def test_an_artifact_as_input_changes_its_dtype_only(self):
        first = self.path("first.safetensors")
        self.good("fuse", CHECKPOINT, "-o", first)
        text = self.good("fuse", first, "-o", self.path("again.safetensors"))
        self.assertIn("was fused before", text)
        self.assertEqual(self.read("again.safetensors"), self.read("first.safetensors"))
        self.assertEqual(self.fuse(first, "--dtype", "f16")[0]["dictionary"].dtype, "F16")
        other = self.path("other.safetensors")
        self.bad(1, ["16 archetypes", "--archetypes 3"], "fuse", first, "-o", other, "--archetypes", "3")

    def test_what_the_rows_are_is_written_and_kept(self):
        names = ("--model", "gpt2-small", "--hook", 'blocks.6."é"')
        known = {"model": "gpt2-small", "hook": 'blocks.6."é"'}
        self.assertEqual({key: self.fuse(CHECKPOINT)[1].get(key) for key in known}, dict.fromkeys(known))
        first, measured = self.path("first.safetensors"), self.path("measured.safetensors")
        self.good("fuse", CHECKPOINT, "-o", first, *names)
        self.good("eval", first, golden("topk-mse.x.npy"), "--save", measured)
        self.good("layout", measured, "-o", measured)
        for path in (first, measured):
            inspected = json.loads(self.good("inspect", path, "--json"))["model"]
            self.assertEqual({key: inspected[key] for key in known}, known)
            self.assertEqual({key: read_safetensors(path)[1][key] for key in known}, known)
        self.assertIn('of the activations of gpt2-small at blocks.6."é"', self.good("inspect", first))
        again = self.fuse(first, "--hook", "other")[1]
        self.assertEqual((again["model"], again["hook"]), ("gpt2-small", "other"))

    def test_the_shape_of_images_is_written_and_kept(self):
        first, again = self.path("first.safetensors"), self.path("again.safetensors")
        self.good("fuse", CHECKPOINT, "-o", first, "--shape", "4x4")
        self.good("layout", first, "-o", again)
        for path in (first, again):
            self.assertEqual(read_safetensors(path)[1]["shape"], "4x4")
            self.assertEqual(self.good_json("inspect", path, "--json")["model"]["shape"], [4, 4])
        self.assertIn("rows are images of 4 x 4\n", self.good("inspect", first))
        self.assertIsNone(self.good_json("inspect", CHECKPOINT, "--json")["model"]["shape"])
        for shape in ("4x5", "16", "4", "4x4x1", "04x4", "4x4x", "x4x4", "2x2x4", "-4x-4", "4X4", "1x16x1x1", "99999999999999999999x0"):
            self.bad(1, ["--shape is " + shape, "multiply to the 16 dimensions"], "fuse", CHECKPOINT, "-o", self.path("no"), "--shape", shape)
        tensors, metadata = read_safetensors(first)
        other = support.write_safetensors(self.path("other"), tensors, {**metadata, "shape": "[2, 8]"})
        self.assertIsNone(self.good_json("inspect", other, "--json")["model"]["shape"])

    def test_a_missing_setting_is_asked_for_and_can_be_given(self):
        tensors, metadata = read_safetensors(CHECKPOINT)
        whole = self.fuse(CHECKPOINT)[0]["dictionary"].values
        for key in ["delta", "sae", "top_k"]:
            lacking = {other: value for other, value in metadata.items() if other != key}
            path = support.write_safetensors(self.path("lacking"), tensors, lacking)
            flag = "--" + key.replace("_", "-")
            self.bad(1, [key, flag], "fuse", path, "-o", self.path("o"))
            fused, after = self.fuse(path, flag, metadata[key])
            self.assertEqual(fused["dictionary"].values, whole)
            self.assertEqual(
                float(after[key]) if key == "delta" else after[key], 1.0 if key == "delta" else metadata[key]
            )

    def test_a_prefix_of_data_parallel_training_is_accepted(self):
        tensors, metadata = read_safetensors(CHECKPOINT)
        prefixed = {"module." + name: tensor for name, tensor in tensors.items()}
        path = support.write_safetensors(self.path("parallel"), prefixed, metadata)
        self.assertEqual(
            self.fuse(path)[0]["dictionary"].values, self.fuse(CHECKPOINT)[0]["dictionary"].values
        )

    def test_the_same_input_gives_the_same_bytes(self):
        self.fuse(CHECKPOINT, "--threads", "1")
        one = self.read("fused.safetensors")
        self.fuse(CHECKPOINT, "--threads", "2")
        self.assertEqual(self.read("fused.safetensors"), one)

    def test_the_checkpoint_is_never_replaced(self):
        path = support.write_safetensors(self.path("model"), *read_safetensors(CHECKPOINT))
        os.symlink(path, self.path("link"))
        self.bad(1, "would replace", "fuse", path, "-o", path)
        self.bad(1, "would replace", "fuse", path, "-o", self.path("link"))

    def test_a_full_disk_leaves_nothing(self):
        self.bad(1, "fused", "fuse", CHECKPOINT, "-o", self.path("fused"), preexec_fn=support.disk_of(1024))

    def test_quiet(self):
        self.assertEqual(self.good("fuse", CHECKPOINT, "-o", self.path("o"), "--quiet"), "")


if __name__ == "__main__":
    support.main()
