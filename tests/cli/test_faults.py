"""One call of the system fails, each in its turn, once or from then on (failing_system.c), while a command trains, resumes,
fuses, evaluates, imports (lib/io/{atomic_file,mapping}.c, lib/base/memory.c, lib/base/pool.c): the command gives the same files as
ever, or ends with one sentence and status 1 and changes no file. It never crashes, hangs, leaves half a file, or loses memory: each
run ends with LeakSanitizer's look at what is still held (gcc's liblsan, loaded into the program as it is).

`make check` tries some calls of each kind; with RASAE_FAULTS=40, so many; with RASAE_FAULTS=all, as `make check-faults` has it, each of them."""

import os
import subprocess

import support
from support import Case, golden, small_data

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "failing_system.c")
KINDS = ("memory", "read", "write", "sync", "rename", "map", "open", "reserve", "thread")
WANTED = os.environ.get("RASAE_FAULTS", "3")  # calls of each kind
SAMPLE = 1 << 30 if WANTED == "all" else int(WANTED)
PATIENCE = 60
LEAKED = 99  # the status of a program that lost memory


def leak_finder():
    """The path of gcc's library, or None."""
    done = subprocess.run(["gcc", "-print-file-name=liblsan.so.0"], capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout.strip() if done.returncode == 0 and os.path.isabs(done.stdout.strip()) else None


def spread(count):
    """Which of `count` calls fail: all of them, or some, the first and the last among them."""
    if count <= SAMPLE:
        return range(1, count + 1)
    return sorted({1 + i * (count - 1) // (SAMPLE - 1) for i in range(SAMPLE)})


@support.unittest.skipIf("sanitize" in support.RASAE, "the sanitizers want to be loaded first")
class Faults(Case):
    def setUp(self):
        super().setUp()
        self.library = os.path.join(self.folder, "failing.so")
        finder = leak_finder()
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", *(["-DFAIL_LEAVES_MALLOC"] if finder else []), "-o",
                        self.library, SOURCE, "-ldl"], check=True, timeout=PATIENCE)
        self.preload = ":".join([self.library] + ([finder] if finder else []))
        self.counts = os.path.join(self.folder, "counts")
        self.x = support.write_npy(self.path("x.npy"), small_data(rows=60))
        self.run_file, self.model, self.out = (self.path(name + ".safetensors") for name in ("run", "model", "out"))
        self.train = ["train", self.x, "--concepts", "8", "--batch-size", "20", "--quiet", "--force"]
        self.good(*self.train, "--points", "12", "--steps", "3", "-o", self.run_file)
        self.good("fuse", self.run_file, "-o", self.model)
        self.tried = self.failed = 0

    def one(self, arguments, **more):
        env = {**os.environ, "LD_PRELOAD": self.preload, "LSAN_OPTIONS": "exitcode=%d" % LEAKED, "OPENBLAS_NUM_THREADS": "1", "FAIL_COUNTS": self.counts, **more}
        done = subprocess.run([support.RASAE, *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE)
        with open(self.counts, encoding="ascii") as file:
            counts = dict(line.split() for line in file)
        os.remove(self.counts)
        return done, {kind: int(count) for kind, count in counts.items()}

    def restore(self, files):
        for path in set(self.snapshot()) - set(files):
            os.remove(path)
        for path, content in files.items():
            with open(path, "wb") as file:
                file.write(content)

    def each(self, *arguments):
        """The command with each of its calls failing."""
        with open(self.out, "wb") as file:
            file.write(b"what was there before")
        before = self.snapshot()
        done, counts = self.one(arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        good, output = self.snapshot(), done.stdout
        for kind in KINDS:
            for at in spread(counts[kind]):
                for on in "01":
                    self.restore(before)
                    with self.subTest(command=arguments[0], kind=kind, at=at, on=on):
                        self.expect(before, good, output, *self.one(arguments, FAIL_KIND=kind, FAIL_AT=str(at), FAIL_ON=on))

    def expect(self, before, good, output, done, _):
        self.tried += 1
        sentence, after = done.stderr.decode(errors="replace"), self.snapshot()
        self.assertNotEqual(done.returncode, LEAKED, sentence)
        self.assertIn(done.returncode, (0, 1), sentence)
        if done.returncode == 0:
            self.assertEqual(done.stdout, output)
            self.assertEqual(set(after), set(good))
            self.assertTrue(after == good, "another file")
        else:
            self.failed += 1
            self.assertRegex(sentence, "^(.*\n)?rasae: [^\n]+\n$")
            self.assertEqual(set(after), set(before))
            # The folder is flushed after the new file has its name.
            self.assertTrue(after in (before, good), "half a file")

    def tearDown(self):
        if "RASAE_FAULTS" in os.environ:
            print("%s: %d runs, %d ended with a sentence" % (self.id().split(".")[-1], self.tried, self.failed), flush=True)
        super().tearDown()

    def test_train(self):
        self.each(*self.train, "--points", "12", "--steps", "2", "-o", self.out)

    def test_resume(self):
        self.each(*self.train, "--points", "12", "--steps", "5", "--resume", self.run_file, "-o", self.out)

    def test_fuse(self):
        self.each("fuse", self.run_file, "-o", self.out)

    def test_eval(self):
        self.each("eval", self.model, self.x, "--save", self.out)

    def test_import(self):
        self.each("import", golden("../data/interop/overcomplete/ra-topk.pt"), "-o", self.out)

    def test_encode(self):
        self.each("encode", self.model, self.x, "-o", self.out)


if __name__ == "__main__":
    support.main()
