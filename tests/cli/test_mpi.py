"""`rasae train` under a real mpirun (trainer/training/{ranks_alone,ranks_mpi}.c): the same model from 1, 2 and 4
processes."""

import os
import signal
import subprocess
import time
import unittest

import support
from support import Case, read_safetensors, relative_error, small_data

RASAE_MPI = os.path.join(support.BUILD, "tests", "rasae-mpi")

# More processes than cores, bound to none, on this machine alone: through shared memory and the loopback. The address
# says so to Open MPI 4 and 5; 5 finds no interface by its name, lo.
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader"]
MPIRUN += ["--mca", "btl_vader_single_copy_mechanism", "none", "--mca", "oob_tcp_if_include", "127.0.0.0/8"]
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
# Memory that MPI itself keeps is no leak of ours.
ENVIRONMENT["ASAN_OPTIONS"] = ENVIRONMENT.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

# Everything that looks at a whole batch: selections, averages, losses over dead latents.
RUNS = {
    "topk": [],
    "batchtopk selects over the batch of all": ["--sae", "batchtopk"],
    "jumprelu with its L0 term": ["--sae", "jumprelu", "--bandwidth", "0.1", "--loss", "l0"],
    "BatchNorm averages over the batch of all": ["--encoder", "mlp_bn_1"],
    "LayerNorm": ["--encoder", "mlp_ln_1"],
    "dead latents are those dead everywhere": ["--loss", "reanimate"],
    "auxk": ["--loss", "auxk"],
    "elastic has a term that all share": ["--loss", "elastic"],
    "tied": ["--encoder", "tied"],
    "mp": ["--sae", "mp"],
    "a plain dictionary": ["--dictionary-kind", "l2"],
    "the reference's dense W": ["--mixture", "dense"],
    "mixtures of rows": ["--points", "all"],
}

# A mixture of few points and its relaxation add up to the atom, which is what a step moves; which points it is of may turn
# on the last bit.
SPLIT = ("dictionary.W.", "dictionary.C", "dictionary.Relax")


@unittest.skipUnless(os.path.exists(RASAE_MPI), "rasae-mpi is not built")
class Mpi(Case):
    def setUp(self):
        super().setUp()
        # rows and batches that no number of processes divides
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=203))
        self.flags = ["--concepts", "16", "--batch-size", "27", "--seed", "3", "--steps", "25", "--threads", "1"]
        self.flags += ["--device", "cpu"]  # the emulated plugin lies beside this program, and auto would take it

    def mpirun(self, processes, *arguments, expect=0):
        command = [*MPIRUN, "-np", str(processes), RASAE_MPI, "train", self.x, *map(str, arguments)]
        result = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=support.TIMEOUT, env=ENVIRONMENT
        )
        self.assertEqual(result.returncode, expect, result.stderr.decode())
        return result

    def test_the_number_of_processes_changes_nothing_but_rounding(self):
        for name, flags in RUNS.items():
            points = [] if {"--dictionary-kind", "--points"} & set(flags) else ["--points", "20"]
            if "jumprelu" not in flags:
                flags = [*flags, "--top-k", "3"]
            results = {}
            for processes in [1, 2, 4]:
                out = self.path("out%d.safetensors" % processes)
                self.mpirun(processes, "-o", out, "--quiet", *self.flags, *points, *flags)
                results[processes] = read_safetensors(out)
                fused = self.path("fused.safetensors")
                self.good("fuse", out, "-o", fused)
                results[processes][0]["dictionary"] = read_safetensors(fused)[0]["dictionary"]
            for processes in [2, 4]:
                for tensor, expected in results[1][0].items():
                    if tensor.startswith(("points.", "train.history", "trace.")):
                        continue
                    if tensor.startswith(SPLIT) and "dictionary.W.index" in results[1][0]:
                        continue
                    with self.subTest(name, processes=processes, tensor=tensor):
                        got = results[processes][0][tensor]
                        self.assertEqual(got.shape, expected.shape)
                        moments = tensor.startswith("optimizer.")
                        self.assertLessEqual(relative_error(got.values, expected.values), 1e-4 if moments else 1e-5)
                self.assertEqual(results[processes][1]["seed"], "3")

    def test_one_process_of_mpi_is_the_program_without(self):
        flags = [*self.flags, "--points", "20", "--quiet"]
        self.mpirun(1, "-o", self.path("mpi.safetensors"), *flags)
        self.good("train", self.x, "-o", self.path("alone.safetensors"), *flags)
        self.assertEqual(self.read("mpi.safetensors"), self.read("alone.safetensors"))

    def test_more_processes_than_rows_of_a_batch(self):
        self.flags[self.flags.index("27")] = "3"
        for processes in [1, 4]:
            self.mpirun(processes, "-o", self.path("out%d.safetensors" % processes), "--quiet", *self.flags)
        a, b = (read_safetensors(self.path("out%d.safetensors" % n))[0] for n in (1, 4))
        self.assertEqual(b["dictionary.W.index"].values, a["dictionary.W.index"].values)
        self.assertClose(b["dictionary.W.weight"].values, a["dictionary.W.weight"].values, 1e-5)

    def test_each_process_takes_a_device_of_its_own(self):
        """The second device is too old, which only the second process finds."""
        self.flags[-1] = "cuda-emulated"
        ENVIRONMENT["EMULATION_DEVICES"] = "90,61"
        self.addCleanup(ENVIRONMENT.pop, "EMULATION_DEVICES")
        result = self.mpirun(2, "-o", self.path("out.safetensors"), *self.flags, expect=1)
        self.assertIn("the device cuda:1 has compute capability 6.1; at least 7.5 is needed", result.stderr.decode())
        self.flags[-1] = "cuda-emulated:0"
        self.mpirun(2, "-o", self.path("out.safetensors"), *self.flags, "--quiet")

    def test_one_rank_speaks_and_writes(self):
        log = self.path("log")
        result = self.mpirun(3, "-o", self.path("out.safetensors"), *self.flags, "--log", log)
        self.assertEqual(result.stdout.decode().count("concepts of 12 dimensions\n"), 1)
        self.assertEqual(len(self.read("log").splitlines()), 25)
        self.assertEqual(sorted(os.listdir(self.folder)), ["log", "out.safetensors", "x.npy"])

    def test_what_all_find_wrong_is_said_once(self):
        result = self.mpirun(2, "-o", self.path("none/out.safetensors"), *self.flags, expect=1)
        self.assertEqual(result.stderr.decode().count("rasae: "), 1, result.stderr.decode())
        result = self.mpirun(2, "-o", self.path("out.safetensors"), "--nonsense", expect=2)
        self.assertEqual(result.stderr.decode().count("rasae: "), 1, result.stderr.decode())

    def test_a_resumed_run_may_have_another_number_of_processes(self):
        out, whole = self.path("out.safetensors"), self.path("whole.safetensors")
        self.mpirun(2, "-o", whole, "--quiet", *self.flags)
        steps = self.flags.index("25")
        self.flags[steps] = "11"
        self.mpirun(2, "-o", out, "--quiet", *self.flags)
        self.flags[steps] = "25"
        self.mpirun(2, "-o", self.path("same.safetensors"), "--quiet", *self.flags, "--resume", out)
        self.assertEqual(self.read("same.safetensors"), self.read("whole.safetensors"))
        self.mpirun(1, "-o", self.path("other.safetensors"), "--quiet", *self.flags, "--resume", out)
        a, b = (read_safetensors(self.path(name))[0] for name in ("other.safetensors", "whole.safetensors"))
        self.assertClose(a["encoder.final_block.0.weight"].values, b["encoder.final_block.0.weight"].values, 1e-5)

    def test_auto_resume_begins_and_goes_on(self):
        out, whole = self.path("out.safetensors"), self.path("whole.safetensors")
        self.mpirun(2, "-o", whole, "--quiet", *self.flags)
        flags = [*self.flags, "--quiet", "--auto-resume"]
        flags[flags.index("25")] = "11"
        self.mpirun(2, "-o", out, *flags)
        flags[flags.index("11")] = "25"
        self.mpirun(2, "-o", out, *flags)
        self.assertEqual(self.read("out.safetensors"), self.read("whole.safetensors"))

    def test_a_signal_saves_what_all_have(self):
        log, out = self.path("log"), self.path("out.safetensors")
        self.flags[self.flags.index("25")] = "100000000"
        process = subprocess.Popen(
            [*MPIRUN, "-np", "2", RASAE_MPI, "train", self.x, "-o", out, "--log", log, "--quiet", *self.flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        try:
            deadline = time.monotonic() + 60
            while not (os.path.exists(log) and os.path.getsize(log)) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        finally:
            process.kill()
        self.assertGreater(int(read_safetensors(out)[1]["train.step"]), 0)

    def test_without_mpi_several_processes_are_refused(self):
        environment = dict(os.environ, OMPI_COMM_WORLD_SIZE="2")
        self.bad(
            1, ["2 processes", "MPI=1"], "train", self.x, "-o", self.path("out.safetensors"), env=environment
        )


if __name__ == "__main__":
    support.main()
