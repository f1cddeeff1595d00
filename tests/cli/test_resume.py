"""`rasae train --resume` (trainer/training/{begun,save}.c): an interrupted run continues to the same bytes, whatever
interrupted it."""

import json
import os
import random
import signal
import subprocess
import time

import support
from support import Case, Tensor, read_safetensors, small_data

KILLS = int(os.environ.get("RASAE_KILLS", "30"))

# All kinds of runs: each needs different state between steps.
RUNS = {
    "topk": ["--sae", "topk", "--top-k", "3"],
    "batchtopk keeps its threshold": ["--sae", "batchtopk", "--top-k", "3"],
    "jumprelu": ["--sae", "jumprelu", "--bandwidth", "0.1"],
    "a norm keeps its statistics": ["--encoder", "mlp_bn_1"],
    "a loss with dead latents": ["--loss", "reanimate"],
    "a loss with all atoms": ["--loss", "auxk"],
    "a plain dictionary": ["--dictionary-kind", "l2"],
    "rows in their order": ["--no-shuffle"],
    "matching pursuit": ["--sae", "mp", "--top-k", "3"],
    "a tied encoder": ["--encoder", "tied", "--init-weights", "permuted"],
    "thresholds pushed by their number": ["--sae", "jumprelu", "--bandwidth", "0.1", "--loss", "l0"],
    "a number of active latents that is aimed at": ["--sae", "jumprelu", "--loss", "l0", "--target-l0", "3"],
    "a decay, and a rate that falls": [
        "--optimizer", "adamw", "--weight-decay", "0.5", "--beta1", "0.8", "--warmup", "5",
    ],
    "atoms at points": ["--dictionary-kind", "l2", "--init-weights", "points"],
    "no relaxation, no multiplier": ["--delta", "0", "--no-multiplier"],
    "the reference's dense W": ["--mixture", "dense"],
    "mixtures of rows": ["--points", "all", "--delta", "0.3x"],
    "mixtures of three rows, tied": ["--points", "all", "--mixture", "3", "--encoder", "tied"],
}


class Resume(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=200))
        self.out = self.path("out.safetensors")
        self.flags = ["--concepts", "16", "--batch-size", "24", "--seed", "3", "--quiet"]
        self.points = ["--points", "20"]

    def train(self, *flags, out=None):
        out = out or self.out
        points = [] if "--dictionary-kind" in flags or "--points" in flags else self.points
        self.good("train", self.x, "-o", out, *self.flags, *points, *flags)
        return self.read(os.path.basename(out))

    def start(self, *flags):
        command = [support.RASAE, "train", self.x, "-o", self.out, "--force", *self.flags, *self.points, *flags]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )


class SameBytes(Resume):
    def test_a_run_in_two_parts_is_the_run_in_one(self):
        for name, flags in RUNS.items():
            with self.subTest(name):
                whole = self.train(*flags, "--steps", "41")
                self.train(*flags, "--steps", "17")
                again = self.train(*flags, "--steps", "41", "--resume", self.out)
                self.assertEqual(again, whole)

    def test_auto_resume_begins_and_goes_on_with_one_command(self):
        whole = self.train("--steps", "41")
        os.remove(self.out)
        self.train("--steps", "17", "--auto-resume")
        self.assertEqual(self.train("--steps", "41", "--auto-resume"), whole)
        self.assertEqual(self.train("--steps", "41", "--auto-resume"), whole)

    def test_auto_resume_leaves_init_to_the_first_start(self):
        init = self.path("init.safetensors")
        self.train("--steps", "5", out=init)
        self.points = []
        whole = self.train("--steps", "41", "--init", init, "--auto-resume")
        os.remove(self.out)
        self.train("--steps", "17", "--init", init, "--auto-resume")
        self.assertEqual(self.train("--steps", "41", "--init", init, "--auto-resume"), whole)

    def test_a_schedule_goes_on_where_it_was(self):
        # it spans the whole run, so the first part is what a checkpoint holds, not a shorter run
        flags = ["--schedule", "cosine", "--warmup", "7", "--steps", "3000"]
        whole = self.train(*flags, out=self.path("whole.safetensors"))
        process = self.start(*flags, "--checkpoint-steps", "1")
        self.wait_for(self.out)
        process.kill()
        process.communicate()
        done = int(read_safetensors(self.out)[1]["train.step"])
        self.assertLess(done, 3000, "the run was over before it could be killed")
        self.assertEqual(self.train(*flags, "--resume", self.out), whole)

    def wait_for(self, path):
        deadline = time.monotonic() + 60
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.001)

    def test_checkpoints_on_the_way_change_nothing(self):
        whole = self.train("--steps", "30")
        self.assertEqual(self.train("--steps", "30", "--checkpoint-steps", "4"), whole)

    def test_neither_threads_nor_parts_matter_where_the_dictionary_is_not_computed(self):
        # wide rows and few active latents: x_hat is z W C + z Relax, and no atom is computed (ra_dictionary_decodes())
        self.x = support.write_npy(self.path("wide.npy"), small_data(rows=96, d=64))
        self.flags = ["--concepts", "64", "--batch-size", "8", "--seed", "3", "--quiet"]
        flags = ["--mixture", "dense", "--top-k", "3"]
        whole = self.train(*flags, "--steps", "30", "--threads", "1")
        self.assertEqual(self.train(*flags, "--steps", "30", "--threads", "3"), whole)
        self.train(*flags, "--steps", "13", "--threads", "2")
        self.assertEqual(self.train(*flags, "--steps", "30", "--threads", "1", "--resume", self.out), whole)

    def test_the_number_of_threads_may_change(self):
        whole = self.train("--steps", "30", "--threads", "1")
        self.train("--steps", "13", "--threads", "2")
        self.assertEqual(self.train("--steps", "30", "--threads", "3", "--resume", self.out), whole)

    def test_a_finished_run_has_nothing_left_to_do(self):
        whole = self.train("--steps", "9")
        self.assertEqual(self.train("--steps", "9", "--resume", self.out), whole)

    def test_the_labels_of_the_points_stay(self):
        labels = self.write("labels.txt", b"".join(b"row %d\n" % i for i in range(200)))
        none = ["--trace-rows", "0"]  # its rows can be any, so their labels are not kept
        whole = self.train("--steps", "20", "--labels", labels, *none)
        self.train("--steps", "11", "--labels", labels, *none)
        self.assertEqual(self.train("--steps", "20", "--resume", self.out, *none), whole)

    def test_the_labels_of_candidate_rows_are_given_again(self):
        labels = self.write("labels.txt", b"".join(b"row %d\n" % i for i in range(200)))
        flags = ["--points", "all", "--labels", labels]
        whole = self.train("--steps", "20", *flags)
        self.train("--steps", "11", *flags)
        without = self.path("without.safetensors")
        command = ["train", self.x, "-o", without, *self.flags, "--points", "all", "--steps", "20", "--resume", self.out]
        result = self.run_rasae(*command)
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), "warning: .*labels of its points.*--labels")
        self.assertEqual(self.train("--steps", "20", "--resume", self.out, *flags), whole)


class Killed(Resume):
    def test_killed_at_random_moments_a_run_loses_no_more_than_since_the_last_checkpoint(self):
        steps, every = 6000, 20
        flags = ["--steps", str(steps), "--checkpoint-steps", str(every), "--log", self.path("log")]
        started = time.monotonic()
        whole = self.train(*flags, out=self.path("whole.safetensors"))
        length = time.monotonic() - started
        moments = random.Random(1)
        kills, last = 0, 0
        while kills < KILLS:
            resume = ["--resume", self.out] if os.path.exists(self.out) else []
            process = self.start(*flags, *resume)
            time.sleep(moments.uniform(0.01, max(0.05, length / 20)))
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(errors, b"")
            kills += 1
            if os.path.exists(self.out):
                _, metadata = read_safetensors(self.out)
                done = int(metadata["train.step"])
                self.assertGreaterEqual(done, last)
                self.assertTrue(done % every == 0 or done == steps)
                logged = self.logged()
                self.assertEqual(logged, list(range(1, len(logged) + 1)), "each step is logged once")
                self.assertGreaterEqual(len(logged), done, "the log reaches as far as the checkpoint")
                last = done
            if last == steps:
                os.remove(self.out)  # it finished between two kills: start over
                last = 0
        resume = ["--resume", self.out] if os.path.exists(self.out) else []
        self.assertEqual(self.train(*flags, *resume), whole)
        self.assertEqual(self.logged(), list(range(1, steps + 1)))

    def logged(self):
        """The steps of the whole lines of the log; the last line of a killed run may be cut."""
        lines = self.read("log").decode().split("\n")[:-1]
        return [json.loads(line)["step"] for line in lines]


class Interrupted(Resume):
    def test_a_signal_saves_and_stops_a_chain_of_commands(self):
        whole = self.train("--steps", "20000", out=self.path("whole.safetensors"))
        for sign in [signal.SIGINT, signal.SIGTERM]:
            log = self.path("log")
            process = self.start("--steps", "20000", "--log", log)
            try:
                deadline = time.monotonic() + 60
                while not (os.path.exists(log) and os.path.getsize(log)) and time.monotonic() < deadline:
                    time.sleep(0.001)
                process.send_signal(sign)
                _, errors = process.communicate(timeout=60)
            finally:
                process.kill()
            self.assertEqual((process.returncode, errors), (128 + sign, b""))
            done = int(read_safetensors(self.out)[1]["train.step"])
            self.assertTrue(0 < done < 20000, done)
            lines = self.read("log").decode().splitlines()
            self.assertEqual(json.loads(lines[-1])["step"], done, "the log is complete up to there")
            self.assertEqual(self.train("--steps", "20000", "--log", log, "--resume", self.out), whole)
            self.assertEqual(len(self.read("log").decode().splitlines()), 20000)
            os.remove(log)

    def test_what_to_do_next_is_said(self):
        log = self.path("log")
        self.flags.remove("--quiet")
        process = subprocess.Popen(
            [support.RASAE, "train", self.x, "-o", self.out, *self.flags, *self.points, "--steps", "100000000", "--log", log],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            deadline = time.monotonic() + 60
            while not (os.path.exists(log) and os.path.getsize(log)) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        self.assertRegex(output.decode(), r"interrupted at step \d+ of 100000000; .*--resume .*out.safetensors\n")


class Points(Resume):
    """Interrupted during k-means, which may take hours."""

    def setUp(self):
        super().setUp()
        values = support.Random(7).values(8000 * 12) * 2
        for i in range(len(values)):  # no row is there twice
            values[i] += (i // (8000 * 12)) * (0.01 + i % 7 / 1000)
        self.x = support.write_npy(self.path("x.npy"), Tensor("F32", [16000, 12], values))
        self.points = ["--points", "400"]

    def interrupted(self, *flags, parts=12):
        """The files that interrupts left, each after one more part of the time that a run takes, until training had
        begun."""
        started = time.monotonic()
        self.train(*flags, out=self.path("timed.safetensors"))
        length = time.monotonic() - started
        for part in range(1, 2 * parts):
            process = self.start(*flags)
            time.sleep(length * part / parts)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=support.TIMEOUT)
            if process.returncode == -signal.SIGINT:
                continue  # it had not begun to listen
            self.assertIn((process.returncode, errors), [(0, b""), (128 + signal.SIGINT, b"")])
            tensors, metadata = read_safetensors(self.out)
            yield tensors, metadata
            if metadata.get("train.stage") != "points":
                return

    def test_k_means_goes_on_to_the_same_bytes(self):
        whole = self.train("--steps", "30", out=self.path("whole.safetensors"))
        iterations = set()
        for parts in 12, 40, 120:  # a machine that was busy while a run was timed needs smaller parts
            if iterations - {None}:
                break
            for tensors, metadata in self.interrupted("--steps", "30", parts=parts):
                if metadata.get("train.stage") == "points":
                    self.assertEqual(metadata["train.points"], "400")
                    iterations.add(metadata.get("train.kmeans.iteration"))
                self.assertEqual(self.train("--steps", "30", "--resume", self.out), whole)
                # and with nothing but the data and the file, which knows the rest
                if "train.kmeans.iteration" in metadata and len(iterations) < 3:
                    support.write_safetensors(self.out, tensors, metadata)
                    again = self.path("again.safetensors")
                    self.good("train", self.x, "-o", again, "--quiet", "--resume", self.out)
                    self.assertEqual(self.read("again.safetensors"), whole)
        self.assertGreater(len(iterations - {None}), 0, "k-means was never seen at work")

    def test_it_is_no_model_and_other_settings_are_no_continuation(self):
        for _, metadata in self.interrupted("--steps", "30"):
            break
        self.assertEqual(metadata["train.stage"], "points")
        flags = ["--steps", "30", *self.flags, *self.points, "--resume", self.out]
        self.bad(1, ["--lr", "--init"], "train", self.x, "-o", self.path("b"), *flags, "--lr", "0.3")
        self.bad(1, "dictionary", "fuse", self.out, "-o", self.path("fused.safetensors"))
        support.write_npy(self.x, small_data(rows=16000))
        self.bad(1, "other data", "train", self.x, "-o", self.path("b"), *flags)


class Seeds(Resume):
    def test_each_seed_is_the_run_it_would_be_alone(self):
        self.flags[self.flags.index("--seed") : self.flags.index("--seed") + 2] = []
        self.good("train", self.x, "-o", self.out, *self.flags, *self.points, "--steps", "20", "--seeds", "5,2,9")
        self.assertEqual(
            sorted(os.listdir(self.folder)),
            ["out.seed2.safetensors", "out.seed5.safetensors", "out.seed9.safetensors", "x.npy"],
        )
        points, _ = read_safetensors(self.path("out.seed5.safetensors"))
        for seed in ["5", "2", "9"]:
            together, metadata = read_safetensors(self.path(f"out.seed{seed}.safetensors"))
            self.assertEqual(metadata["seed"], seed)
            self.assertEqual(together["dictionary.C"].values, points["dictionary.C"].values, "shared points")
            alone = self.path("alone.safetensors")
            C = self.path("points.npy")
            support.write_npy(C, points["dictionary.C"])
            flags = ["--concepts", "16", "--batch-size", "24", "--quiet", "--steps", "20", "--points", C, "--init-weights", "eye"]
            self.good("train", self.x, "-o", alone, "--seed", seed, *flags)
            tensors, _ = read_safetensors(alone)
            for name in ["dictionary.W.index", "dictionary.W.weight", "dictionary.Relax", "encoder.final_block.0.weight"]:
                self.assertEqual(tensors[name].values, together[name].values, name)

    def test_seeds_have_orders_of_their_own_unless_they_are_given_one(self):
        self.flags[self.flags.index("--seed") : self.flags.index("--seed") + 2] = []
        relax = []
        for flags in [[], ["--shuffle-seed", "4"]]:
            self.good("train", self.x, "-o", self.out, *self.flags, "--steps", "20", "--seeds", "1,2", *flags)
            for seed in "12":
                tensors, metadata = read_safetensors(self.path(f"out.seed{seed}.safetensors"))
                self.assertEqual(metadata["shuffle_seed"], flags[1] if flags else seed)
                self.assertEqual(metadata["window_seed"], flags[1] if flags else "1")
                relax.append(tensors["dictionary.Relax"].values)
        self.assertNotEqual(relax[0], relax[1])
        # all that could differ is the order: atoms and encoders start at the points
        self.assertEqual(relax[2], relax[3])

    def test_auto_resume_goes_on_only_when_all_seeds_are_there(self):
        self.flags[self.flags.index("--seed") : self.flags.index("--seed") + 2] = []
        command = ["train", self.x, "-o", self.out, *self.flags, *self.points, "--seeds", "5,2", "--auto-resume"]
        names = ["out.seed5.safetensors", "out.seed2.safetensors"]
        self.good(*command, "--steps", "30")
        whole = [self.read(name) for name in names]
        self.good(*command, "--steps", "30")
        self.assertEqual([self.read(name) for name in names], whole)
        os.remove(self.path(names[1]))
        self.good(*command, "--steps", "30")
        self.assertEqual([self.read(name) for name in names], whole)

    def test_several_seeds_go_on_together_from_different_steps(self):
        self.flags[self.flags.index("--seed") : self.flags.index("--seed") + 2] = []
        seeds = ["--seeds", "1,2"]
        self.good("train", self.x, "-o", self.out, *self.flags, *self.points, "--steps", "30", *seeds)
        whole = [self.read(f"out.seed{seed}.safetensors") for seed in (1, 2)]
        self.good("train", self.x, "-o", self.out, *self.flags, *self.points, "--steps", "21", *seeds)
        ahead = self.read("out.seed2.safetensors")
        self.good("train", self.x, "-o", self.out, *self.flags, *self.points, "--steps", "12", *seeds)
        self.write("out.seed2.safetensors", ahead)
        self.good("train", self.x, "-o", self.out, *self.flags, *self.points, "--steps", "30", *seeds, "--resume", self.out)
        self.assertEqual([self.read(f"out.seed{seed}.safetensors") for seed in (1, 2)], whole)

    def test_seeds_that_cannot_be(self):
        for seeds, text in [("1,1", "twice"), ("1,,2", "commas"), ("x", "whole numbers"), ("1,2,", "commas")]:
            self.bad(1, [text], "train", self.x, "-o", self.out, "--seeds", seeds)


class Refused(Resume):
    def refused(self, texts, *flags):
        self.bad(1, texts, "train", self.x, "-o", self.path("other.safetensors"), "--resume", self.out, *flags)

    def test_other_settings_are_no_continuation(self):
        self.train("--steps", "5")
        self.refused(["--lr", "0.1", "0.002", "--init"], "--lr", "0.1")
        self.refused(["--delta", "0.3x", "0.5x"], "--delta", "0.3x")
        self.refused(["--sae", "relu", "topk"], "--sae", "relu")
        self.refused(["--seed", "7", "3"], "--seed", "7")

    def test_other_data_are_no_continuation(self):
        self.train("--steps", "5")
        support.write_npy(self.x, small_data(rows=199))
        self.refused(["200 rows", "199"])
        support.write_npy(self.x, small_data(rows=200, seed=2))
        self.refused(["other data", "same order"])

    def test_a_file_without_state_is_no_continuation(self):
        self.train("--steps", "5", "--no-state")
        self.refused(["no state of training", "--init"])
        tensors, metadata = read_safetensors(self.out)
        self.assertFalse([name for name in tensors if name.startswith(("optimizer.", "train."))])

    def test_a_damaged_state_is_told(self):
        self.train("--steps", "5", "--mixture", "dense")
        tensors, metadata = read_safetensors(self.out)
        name = "optimizer.dictionary.W.exp_avg"
        good = tensors.pop(name)
        support.write_safetensors(self.out, tensors, metadata)
        self.refused([name])
        tensors[name] = Tensor("F32", [16, 2], good.values[:32])
        support.write_safetensors(self.out, tensors, metadata)
        self.refused([name, "[16, 2]", "[16, 20]"])
        tensors[name] = good
        tensors["train.last_active"].values[3] = 6
        support.write_safetensors(self.out, tensors, metadata)
        self.refused(["train.last_active", "latent 3", "0 to 5"])
        for step in ["", "five", "-5", "99999999999999999999"]:
            support.write_safetensors(self.out, tensors, dict(metadata, **{"train.step": step}))
            self.refused(["train.step", '"%s"' % step, "a number of steps"])

    def test_contradicting_flags_are_usage_errors(self):
        self.bad(2, ["--resume", "--init"], "train", self.x, "-o", self.out, "--resume", self.out, "--init", self.out)
        self.bad(2, ["--seed", "--seeds"], "train", self.x, "-o", self.out, "--seed", "1", "--seeds", "1,2")
        self.bad(2, ["--no-state"], "train", self.x, "-o", self.out, "--no-state", "--checkpoint-steps", "5")
        self.bad(2, ["--no-state"], "train", self.x, "-o", self.out, "--no-state", "--auto-resume")
        self.bad(2, ["--resume"], "train", self.x, "-o", self.out, "--resume", self.out, "--auto-resume")


class NotFinite(Resume):
    def test_the_last_checkpoint_stays_and_the_sentence_says_all(self):
        self.train("--steps", "5")
        before = self.read("out.safetensors")
        huge = small_data(rows=200)
        huge.values = [value * 1e30 for value in huge.values]
        x = support.write_npy(self.path("huge.npy"), huge)
        self.bad(
            1,
            ["step 1", "learning rate", "norms", "encoder.final_block.0.weight", "the batch was rows", "--lr"],
            "train", x, "-o", self.out, *self.flags, *self.points, "--steps", "5",
        )
        self.assertEqual(self.read("out.safetensors"), before)


if __name__ == "__main__":
    support.main()
