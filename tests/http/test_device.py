"""--device (server/serving/device.c): rasaed ends with one sentence when the device that it is told to use is not
there; `auto` then serves on the CPU and logs why. With a device: answers like the CPU's, dictionaries that do not
fit, and a device that is lost."""

import os
import shutil
import signal
import tempfile
import threading
import time
import unittest

import daemon
from daemon import PATIENCE, Daemon, golden, relative_error, wait_for

EMULATED = os.path.join(os.path.dirname(daemon.PROGRAM), "tests", "librasae-cuda-emulated.so")
GIVEN = ["--dictionary", "given=" + golden("dict-basic.checkpoint.safetensors")]
WORDS = ["--dictionary", "words=" + golden("topk-mse.final.safetensors")]
INPUTS = [[((7 * row + 3 * column) % 11 - 5) / 4 for column in range(16)] for row in range(6)]
EXIT_DEVICE = 3


class Device(unittest.TestCase):
    def program_with(self, plugin):
        folder = tempfile.mkdtemp(prefix="rasaed-device-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        program = shutil.copy2(daemon.PROGRAM, folder)
        if plugin:
            os.symlink(plugin, os.path.join(folder, "librasae-cuda.so"))
        original, daemon.PROGRAM = daemon.PROGRAM, program
        self.addCleanup(setattr, daemon, "PROGRAM", original)

    def test_without_the_plugin(self):
        missing = "the device cuda needs the plugin librasae-cuda.so, which is not installed"
        self.program_with(None)
        ended = daemon.run("--listen", "127.0.0.1:0", *GIVEN, "--device", "cuda")
        self.assertNotEqual(ended.returncode, 0)
        self.assertRegex(ended.stderr.splitlines()[-1], "^rasaed: .*" + missing)
        with Daemon(*GIVEN, "--device", "auto") as served:
            reply = served.get("/v1/dictionaries/given")
            self.assertEqual((reply.status, reply.json["device"]), (200, "cpu"))
            lines = [line for line in served.log().splitlines() if "using the CPU: " + missing in line]
            self.assertEqual(len(lines), 1)

    # ---- with a device: the plugin over an emulated one (tests/emulation)

    def ask(self, served):
        """Everything that computes, of many rows at once."""
        base = "/v1/dictionaries/words/"
        codes = served.post(base + "encode", {"inputs": INPUTS}).json
        latents = {"latents": {key: codes[key] for key in ["indices", "values"]}}
        return {
            "device": served.get("/v1/dictionaries/words").json["device"],
            "codes": codes,
            "x_hat": served.post(base + "reconstruct", latents).json["reconstructions"],
            "steered": served.post(base + "steer", {"inputs": INPUTS, "steer": [{"atom": 3, "scale": 2}],
                                                    "on": "reconstruction"}).json["outputs"],
            "explained": served.post(base + "explain", {"inputs": INPUTS}).json["explanations"],
            "found": served.post(base + "search", {"vectors": INPUTS, "k": 5}).json,
            "near": served.get(base + "atoms/7/neighbors?k=9&metric=dot").json,
        }

    def assert_same(self, got, expected):
        self.assertEqual(got["codes"]["indices"], expected["codes"]["indices"])
        for numbers in ["x_hat", "steered"]:
            self.assertLess(relative_error(got[numbers], expected[numbers]), 1e-5)
        for one, other in zip(got["explained"], expected["explained"], strict=True):
            self.assertEqual({entry["atom"] for entry in one["concepts"]}, {entry["atom"] for entry in other["concepts"]})
        self.assertEqual([got["found"], got["near"]], [expected["found"], expected["near"]])

    def test_answers_are_those_of_the_cpu(self):
        self.program_with(EMULATED)
        with Daemon(*WORDS, "--device", "cpu") as served:
            expected = self.ask(served)
        for device in [["--device", "cuda"], ["--device", "auto"]]:
            with Daemon(*WORDS, *device) as served:
                got = self.ask(served)
                self.assertEqual(got["device"], "cuda")
                self.assert_same(got, expected)
                wrong = []

                def client():
                    try:
                        for _ in range(3):
                            self.assert_same(self.ask(served), expected)
                    except AssertionError as error:
                        wrong.append(error)

                threads = [threading.Thread(target=client) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(wrong, [])
                self.assertNotIn("using the CPU", served.log())
                metrics = served.get("/metrics").body.decode()  # every computation has taken its turn
                self.assertNotIn("rasaed_batch_rows_count 0\n", metrics)
                self.assertNotIn('rasaed_dictionary_device_bytes{dictionary="words"} 0\n', metrics)

    def test_what_does_not_fit_is_served_by_the_cpu(self):
        self.program_with(EMULATED)
        with Daemon(*GIVEN, *WORDS, "--device", "cuda", env={"EMULATION_MEMORY": "1000"}) as served:
            for name in ["given", "words"]:
                self.assertEqual(served.get("/v1/dictionaries/" + name).json["device"], "cpu")
                self.assertIn('rasaed_dictionary_device_fallbacks_total{dictionary="%s"} 1\n' % name,
                              served.get("/metrics").body.decode())
            self.assertRegex(served.log(), r"dictionary words: the CPU serves it: out of memory: \S+ needs \d+ bytes on "
                                           r"the device cuda, but only 744 of its 1000 bytes are free")
            self.assertEqual(served.get("/health/ready").status, 200)

    def test_a_lost_device_ends_the_program(self):
        self.program_with(EMULATED)
        lost = os.path.join(os.path.dirname(daemon.PROGRAM), "lost")
        with Daemon(*WORDS, "--device", "cuda", "--admin-listen", "127.0.0.1:0", "--drain-seconds", str(PATIENCE),
                    env={"EMULATION_LOST": lost}) as served:
            begun = served.begun("/v1/dictionaries/words/search", 2)  # the drain waits for its end
            self.assertEqual(self.admin(served, "/health/ready").status, 200)
            open(lost, "wb").close()
            reply = served.post("/v1/dictionaries/words/encode", {"inputs": INPUTS})
            self.assertEqual((reply.status, reply.json["code"]), (500, "internal_error"))
            ready = self.admin(served, "/health/ready")
            self.assertEqual((ready.status, ready.json["status"]), (503, "failed"))
            self.assertIn("does not respond until the program is restarted", ready.json["reason"])
            self.assertEqual(self.admin(served, "/health/live").status, 200)
            begun.sendall(b"{}")
            self.assertEqual(served.process.wait(PATIENCE), EXIT_DEVICE)
            begun.close()
            served.says("the device is lost: the device cuda:0 failed at")
            self.assertEqual(served.log().count("the device is lost"), 1)

    def test_a_reload_finds_a_lost_device(self):
        self.program_with(EMULATED)
        lost = os.path.join(os.path.dirname(daemon.PROGRAM), "lost")
        with Daemon(*WORDS, "--device", "cuda", env={"EMULATION_LOST": lost}) as served:
            open(lost, "wb").close()
            served.send(signal.SIGHUP)
            self.assertEqual(served.process.wait(PATIENCE), EXIT_DEVICE)
            served.says("dictionary words: not reloaded, generation 1 keeps serving: the device cuda:0 failed")

    def half_a_request(self, served):
        begun = served.begun("/v1/dictionaries/words/search", 2, "Connection: close")
        begun.sendall(b"{")
        return begun

    def test_a_device_that_is_lost_while_draining(self):
        """It is no second signal: what is under way goes on, and the status tells of the device."""
        self.program_with(EMULATED)
        lost = os.path.join(os.path.dirname(daemon.PROGRAM), "lost")
        with Daemon(*WORDS, "--device", "cuda", "--admin-listen", "127.0.0.1:0", "--drain-seconds", str(PATIENCE),
                    env={"EMULATION_LOST": lost}) as served:
            kept = served.connect()
            self.assertEqual(served.get("/health/live", connection=kept).status, 200)
            begun = self.half_a_request(served)
            served.send(signal.SIGTERM)
            wait_for(lambda: "draining" in served.log(), "the drain")
            open(lost, "wb").close()
            body = {"inputs": INPUTS}
            self.assertEqual(served.post("/v1/dictionaries/words/encode", body, connection=kept).status, 500)
            wait_for(lambda: "the device is lost" in served.log(), "the loss")
            self.assertEqual(self.admin(served, "/health/live").status, 200)
            begun.sendall(b"}")
            self.assertIn(b"HTTP/1.1 400", daemon.read_all(begun))
            begun.close()
            self.assertEqual(served.process.wait(PATIENCE), EXIT_DEVICE)

    def test_a_supervisor_that_answers_a_loss_with_SIGTERM(self):
        self.program_with(EMULATED)
        lost = os.path.join(os.path.dirname(daemon.PROGRAM), "lost")
        for signals in (1, 2):  # the first changes nothing, the second ends it at once
            with Daemon(*WORDS, "--device", "cuda", "--admin-listen", "127.0.0.1:0", "--drain-seconds", str(PATIENCE),
                        env={"EMULATION_LOST": lost}) as served:
                begun = self.half_a_request(served)
                open(lost, "wb").close()
                self.assertEqual(served.post("/v1/dictionaries/words/encode", {"inputs": INPUTS}).status, 500)
                wait_for(lambda: "draining" in served.log(), "the drain")
                served.send(signal.SIGTERM)
                if signals == 1:
                    self.assertEqual(self.admin(served, "/health/live").status, 200)
                    begun.sendall(b"}")
                    self.assertIn(b"HTTP/1.1 400", daemon.read_all(begun))
                else:
                    time.sleep(0.1)
                    served.send(signal.SIGINT)
                self.assertEqual(served.process.wait(PATIENCE), EXIT_DEVICE)
                begun.close()
            os.unlink(lost)

    def admin(self, served, path):
        connection = served.connect(served.admin_address)
        try:
            return served.request("GET", path, connection=connection)
        finally:
            connection.close()


if __name__ == "__main__":
    unittest.main()
