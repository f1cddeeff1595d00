"""`rasae train --device` (trainer/train.c): the same options as on the CPU, the same numbers, and the same bytes when
a run is cut in two.

The device is the CUDA plugin over an emulated device (tests/emulation), whose memory stops a program that touches
it."""

import json
import os
import shutil
import subprocess
import time

import support
from support import Case, read_safetensors, relative_error, small_data
from test_resume import RUNS

EMULATED = os.path.join(support.BUILD, "tests", "librasae-cuda-emulated.so")
PARITY = 1e-4
# A mixture of few points and its relaxation add up to the atom, which is what a step moves; which points it is of may turn
# on the last bit, and so may which rows come near to it.
SPLIT = ("dictionary.W.", "dictionary.C", "dictionary.Relax", "trace.", "points.")

# What is left over to try on a device, beyond what a run may be made of.
MORE = {
    "batches shared by the whole of them": ["--sae", "batchtopk", "--top-k", "3", "--encoder", "mlp_ln_1"],
    "all that is positive": ["--sae", "relu", "--loss", "mse_l1"],
    "scores of rows": ["--loss", "hoyer"],
    "fourth moments": ["--loss", "kappa_4"],
    "a penalty on the dictionary": ["--loss", "elastic"],
    "atoms of one length": ["--dictionary-kind", "max_l1"],
    "an encoder drawn at random": ["--encoder-start", "uniform", "--init-weights", "random"],
    "points by mini-batches": ["--kmeans", "minibatch"],
    "random rows as points": ["--points-method", "sample"],
    "standardized rows": ["--standardize", "element"],
}


class Device(Case):
    def setUp(self):
        super().setUp()
        folder = self.path("bin")
        os.mkdir(folder)
        program = shutil.copy2(support.RASAE, folder)
        os.symlink(EMULATED, os.path.join(folder, "librasae-cuda.so"))
        original, support.RASAE = support.RASAE, program
        self.addCleanup(setattr, support, "RASAE", original)
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=60))

    def arguments(self, device, name, flags):
        points = [] if {"--dictionary-kind", "--points", "--init"} & set(flags) else ["--points", "14"]
        return ["train", self.x, "-o", self.path(name), "--concepts", "12", "--batch-size", "24", "--seed", "3",
                "--quiet", "--device", device, "--log", self.path(name + ".log"), *points, *flags]

    def train(self, device, *flags, name="out", **options):
        self.good(*self.arguments(device, name, flags), **options)
        return self.read(name)

    def atoms(self, name):
        self.good("fuse", self.path(name), "-o", self.path("fused"))
        return read_safetensors(self.path("fused"))[0]["dictionary"].values

    def losses(self, name):
        with open(self.path(name + ".log"), encoding="utf-8") as file:
            return [json.loads(line)["loss"] for line in file]


class Parity(Device):
    def test_every_option_gives_what_it_gives_on_the_cpu(self):
        for name, flags in {**RUNS, **MORE}.items():
            with self.subTest(name):
                self.train("cpu", *flags, "--steps", "6", name="cpu")
                self.train("cuda", *flags, "--steps", "6", name="cuda")
                self.assertEqual(len(self.losses("cuda")), 6)
                self.assertLess(relative_error(self.losses("cuda"), self.losses("cpu")), PARITY)
                expected, _ = read_safetensors(self.path("cpu"))
                found, _ = read_safetensors(self.path("cuda"))
                self.assertEqual(sorted(found), sorted(expected))
                self.assertClose(self.atoms("cuda"), self.atoms("cpu"), PARITY, "atoms")
                for tensor in expected:
                    if tensor.startswith(SPLIT) and "dictionary.W.index" in expected:
                        continue
                    if expected[tensor].dtype == "F32" and not tensor.startswith("optimizer."):
                        self.assertClose(found[tensor].values, expected[tensor].values, PARITY, tensor)

    def test_a_run_in_two_parts_is_the_run_in_one(self):
        for name in ("topk", "jumprelu", "a norm keeps its statistics", "a loss with all atoms", "matching pursuit", "mixtures of rows"):
            with self.subTest(name):
                whole = self.train("cuda", *RUNS[name], "--steps", "9")
                self.train("cuda", *RUNS[name], "--steps", "4")
                again = self.train("cuda", *RUNS[name], "--steps", "9", "--resume", self.path("out"))
                self.assertEqual(again, whole)

    def test_a_run_may_change_devices(self):
        self.train("cpu", "--steps", "9", name="whole")
        self.train("cuda", "--steps", "4")
        self.train("cpu", "--steps", "9", "--resume", self.path("out"))
        self.assertLess(relative_error(self.losses("out"), self.losses("whole")), PARITY)

    def test_a_checkpoint_fused_there_is_the_one_fused_here(self):
        self.train("cpu", "--steps", "4")
        fused = {}
        for device in ("cpu", "cuda"):
            self.good("fuse", self.path("out"), "-o", self.path(device), "--device", device)
            fused[device] = read_safetensors(self.path(device))[0]
        self.assertEqual(fused["cuda"]["archetypes.index"].values, fused["cpu"]["archetypes.index"].values)
        self.assertClose(fused["cuda"]["dictionary"].values, fused["cpu"]["dictionary"].values, 1e-6, "D")


class Loss(Device):
    def test_a_device_that_is_lost_ends_the_run_and_the_checkpoint_goes_on_elsewhere(self):
        lost = self.path("lost")
        process = subprocess.Popen(
            [support.RASAE, *self.arguments("cuda", "out", ["--steps", "100000", "--checkpoint-steps", "1"])],
            env={**os.environ, "EMULATION_LOST": lost}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not os.path.exists(self.path("out")) and time.monotonic() < deadline:
            time.sleep(0.01)
        open(lost, "wb").close()
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertRegex(errors.decode(), "^rasae: the device cuda:0 failed at .*\n$")
        done = int(read_safetensors(self.path("out"))[1]["train.step"])
        self.assertGreater(done, 0)
        self.good(*self.arguments("cpu", "out", ["--steps", str(done + 5), "--resume", self.path("out")]))
        self.assertEqual(int(read_safetensors(self.path("out"))[1]["train.step"]), done + 5)


class Tf32(Device):
    def test_factors_are_rounded_on_a_device_alone(self):
        flags = ["--sae", "topk", "--top-k", "3", "--steps", "6"]
        runs = {(device, tf32): (self.train(device, *flags, *tf32), self.losses("out"))
                for device in ["cpu", "cuda"] for tf32 in [(), ("--tf32",)]}
        self.assertEqual(runs["cpu", ("--tf32",)], runs["cpu", ()])
        exact, rounded = runs["cuda", ()][1], runs["cuda", ("--tf32",)][1]
        self.assertNotEqual(rounded, exact)
        self.assertLess(relative_error(rounded, exact), 1e-2)


class Precision(Device):
    FLAGS = ["--sae", "topk", "--top-k", "3", "--encoder", "mlp_ln_1"]

    def refused(self, code, sentence, device, *flags):
        self.bad(code, sentence, *self.arguments(device, "out", [*self.FLAGS, *flags]))

    def test_a_run_keeps_the_precision_that_it_began_with(self):
        for mixture in ([], ["--mixture", "dense"]):
            losses = {}
            for precision in ("float32", "tf32", "bf16"):
                flags = [*self.FLAGS, *mixture, "--precision", precision]
                whole = self.train("cuda", *flags, "--steps", "9", name="whole")
                losses[precision] = self.losses("whole")
                self.assertEqual(read_safetensors(self.path("whole"))[1]["precision"], precision)
                self.train("cuda", *flags, "--steps", "4")
                again = self.train("cuda", *self.FLAGS, *mixture, "--steps", "9", "--resume", self.path("out"))
                self.assertEqual(again, whole)
                tensors, _ = read_safetensors(self.path("out"))
                self.assertNotIn("BF16", {tensor.dtype for name, tensor in tensors.items() if name != "start.atoms"})
            self.assertEqual(len({tuple(of) for of in losses.values()}), 3)
            for precision in ("tf32", "bf16"):
                self.assertLess(relative_error(losses[precision], losses["float32"]), 3e-2)

    def test_another_one_is_refused_when_a_run_goes_on(self):
        self.train("cuda", *self.FLAGS, "--precision", "bf16", "--steps", "4")
        out = self.path("out")
        self.refused(1, "--precision says tf32, but the run in %s has bf16" % out, "cuda", "--precision", "tf32", "--steps", "9",
                     "--resume", out)
        self.refused(1, "--precision bf16 needs a GPU", "cpu", "--steps", "9", "--resume", out)
        os.rename(out, self.path("first"))
        self.train("cuda", *self.FLAGS, "--init", self.path("first"), "--steps", "2", name="kept")
        self.assertEqual(read_safetensors(self.path("kept"))[1]["precision"], "bf16")
        self.train("cpu", *self.FLAGS, "--init", self.path("first"), "--precision", "float32", "--steps", "2", name="other")
        self.assertEqual(read_safetensors(self.path("other"))[1]["precision"], "float32")

    def test_the_cpu_computes_in_float32_only(self):
        self.train("cpu", *self.FLAGS, "--precision", "float32", "--steps", "2", name="float32")
        for precision in ("tf32", "bf16"):
            self.refused(1, "rasae: --precision %s needs a GPU that multiplies such numbers (--device cuda), but the CPU computes in "
                         "float32 only; take --precision float32" % precision, "cpu", "--precision", precision, "--steps", "2")
        self.refused(2, "--tf32 rounds the factors of all products", "cuda", "--precision", "float32", "--tf32", "--steps", "2")
        self.train("cuda", *self.FLAGS, "--precision", "bf16", "--tf32", "--steps", "2", name="both")


class Memory(Device):
    def test_a_run_that_does_not_fit_says_so_and_leaves_nothing(self):
        flags = self.arguments("cuda", "out", ["--steps", "3"])
        flags.remove("--log"), flags.remove(self.path("out.log"))
        little = {**os.environ, "EMULATION_MEMORY": "16000"}
        self.bad(1, ["on the device cuda"], *flags, env=little)


if __name__ == "__main__":
    support.main()
