"""Commands and the daemon with a limit on memory, as `ulimit -v` and `ulimit -d` set it (lib/backend/cpu/blas.c, lib/app/start.c): each
does its work or ends with one sentence, soon, and is never deaf to signals."""

import json
import os
import resource
import signal
import subprocess
import time
import unittest
import urllib.request

import support
from support import BUILD, Case, golden

PATIENCE = 60
SANITIZED = "sanitize" in BUILD
MIB = [120, 160, 200, 260, 340, 450, 600, 900, 1500, 4000]


def limited(mib, what=resource.RLIMIT_AS):
    def limit():
        resource.setrlimit(what, (mib << 20, mib << 20))
    return limit


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}


@unittest.skipIf(SANITIZED, "sanitizers need all addresses")
class LimitedMemory(Case):
    def run_limited(self, mib, *arguments, what=resource.RLIMIT_AS):
        done = subprocess.run([support.RASAE, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, preexec_fn=limited(mib, what), env=environment())
        if done.returncode:
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), (mib, arguments, done))
        return done

    def test_every_command_ends(self):
        model, x = golden("topk-mse.final.safetensors"), golden("topk-mse.x.npy")
        commands = [("--version",), ("inspect", model), ("eval", model, x), ("compare", model, model),
                    ("encode", model, x, "-o", self.path("codes.safetensors")),
                    ("train", x, "-o", self.path("out.safetensors"), "--force", "--points", "8", "--concepts", "8",
                     "--steps", "3", "--quiet")]
        for command in commands:
            for what in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
                codes = [self.run_limited(mib, *command, what=what).returncode for mib in MIB]
                self.assertEqual(codes[-1], 0, command)

    def test_the_sentence_says_what_to_do(self):
        done = self.run_limited(900, "eval", golden("topk-mse.final.safetensors"), golden("topk-mse.x.npy"), "--threads",
                                "32")
        self.assertRegex(done.stderr, "OpenBLAS needs 128 MiB of addresses for each of 32 threads.*use fewer threads")

    def test_the_daemon_serves_or_says_why_not(self):
        served = 0
        for mib in MIB:
            process = subprocess.Popen(
                [os.path.join(BUILD, "rasaed"), "--listen", "127.0.0.1:0", "--threads", "1", "--compute-threads", "2",
                 "--dictionary", "topk=" + golden("topk-mse.final.safetensors"), "--log-level", "error"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                preexec_fn=limited(mib), env=environment())
            line = process.stdout.readline()
            if line:
                served += 1
                for rows in (1, 300):
                    body = json.dumps({"inputs": [self.inputs()[0]] * rows}).encode()
                    ask = urllib.request.Request(line.split()[-1] + "/v1/dictionaries/topk/encode", body,
                                                 {"Content-Type": "application/json"})
                    with urllib.request.urlopen(ask, timeout=PATIENCE) as reply:
                        self.assertEqual(len(json.load(reply)["indices"]), rows)
                process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 0 if line else 1, (mib, err))
            if not line:
                self.assertEqual(err.count("\n"), 1, err)
        self.assertGreater(served, 0)
        self.assertLess(served, len(MIB))

    def inputs(self):
        with open(golden("topk-mse.x.npy"), "rb") as file:
            blob = file.read()
        header = blob[10:10 + int.from_bytes(blob[8:10], "little")].decode()
        shape = eval(header)["shape"]
        numbers = support.decode("F32", blob[-4 * shape[0] * shape[1]:])
        return [numbers[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]

    def test_a_start_that_fails_ends_soon(self):
        before = time.monotonic()
        done = self.run_limited(160, "inspect", self.path("missing.safetensors"))
        self.assertEqual(done.returncode, 1)
        self.assertLess(time.monotonic() - before, 20)

    def test_openblas_starts_no_threads(self):
        threads = {}
        for wanted in ("1", "7"):
            process = subprocess.Popen(
                [os.path.join(BUILD, "rasaed"), "--listen", "127.0.0.1:0", "--threads", "1", "--compute-threads", "2",
                 "--dictionary", "topk=" + golden("topk-mse.final.safetensors"), "--log-level", "error"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**environment(), "OPENBLAS_NUM_THREADS": wanted})
            self.assertIn("serving", process.stdout.readline())
            threads[wanted] = len(os.listdir("/proc/%d/task" % process.pid))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        self.assertEqual(threads["7"], threads["1"])


if __name__ == "__main__":
    support.main()
