"""The power fails after any call (lib/io/atomic_file.c, server/state/database.c): there is the old file or the new one, and what was
confirmed is there.

A program runs once with power_log.c, which notes what it does to files. Then each beginning of that is played into an empty
folder, as a disk may have it after a failure at this moment: what was flushed is there; of what was not, nothing, or all, or a
beginning, or all but the first write. Names (made, renamed, removed) reach the disk in their order, those before a flush of their folder
for certain, of the later ones any number; a name can be on the disk before the content of its file is."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

import support
from support import RASAE, ROOT, golden

sys.path.insert(0, os.path.join(ROOT, "tests", "http"))
from daemon import Daemon  # noqa: E402

EVERY = bool(os.environ.get("RASAE_POWER_CUTS"))  # every moment; otherwise some 40, spread over all
MOST = 40
KEY = {"Authorization": "Bearer " + "k" * 32}


def read_log(path):
    """[(kind, file, offset, data, name)]"""
    with open(path, "rb") as file:
        log, at, records = file.read(), 0, []
    while at < len(log):
        end = log.index(b"\n", at)
        kind, number, offset, size, name = log[at:end].decode().split(" ", 4)
        at = end + 1 + int(size)
        records.append((kind, int(number), int(offset), log[end + 1:at], name))
    return records


class Inode:
    def __init__(self, content=b""):
        self.flushed, self.pending = content, []

    def content(self, how):
        """After a failure: what was flushed, with a part of the rest."""
        pending = self.pending
        if how == "nothing":
            pending = []
        elif how == "half":
            pending = pending[:len(pending) // 2]
        elif how == "torn":  # and the last write only in part
            pending = [*pending[:-1], *((one[0], one[1], one[2][:len(one[2]) // 2]) for one in pending[-1:])]
        elif how == "late":
            pending = pending[1:]
        data = bytearray(self.flushed)
        for kind, offset, part in pending:
            if kind == "cut":
                del data[offset:]
                data.extend(bytes(offset - len(data)))
            else:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset:offset + len(part)] = part
        return bytes(data)


HOW = ("nothing", "all", "half", "torn", "late")


class Disk:
    """The folder as it was, and what happened since."""

    def __init__(self, files):
        self.names = {name: Inode(content) for name, content in files.items()}  # as the program sees them
        self.lasting = dict(self.names)  # as they are on the disk
        self.steps = []  # of names, since the last flush of the folder
        self.open = {}

    def play(self, record):
        kind, number, offset, data, name = record
        if kind in ("create", "open"):
            if kind == "create":
                self.names[name] = Inode()
                self.steps.append((name, self.names[name]))
            self.open[number] = self.names.get(name)
        elif kind in ("write", "cut"):
            if self.open.get(number):
                self.open[number].pending.append((kind, offset, data))
        elif kind == "flush":
            inode = self.open.get(number)
            if inode:
                inode.flushed, inode.pending = inode.content("all"), []
            else:
                self.settle(len(self.steps))
        elif kind == "rename":
            new = data.decode()
            self.names[new] = self.names.pop(name)
            self.steps.append(((name, new), self.names[new]))
        elif kind == "remove":
            self.names.pop(name, None)
            self.steps.append((name, None))

    def after(self, count):
        names = dict(self.lasting)
        for name, inode in self.steps[:count]:
            if isinstance(name, tuple):
                names.pop(name[0], None)
                names[name[1]] = inode
            elif inode:
                names[name] = inode
            else:
                names.pop(name, None)
        return names

    def settle(self, count):
        self.lasting, self.steps = self.after(count), []

    def possible(self):
        """Every folder that there may be now, as {path: content}."""
        seen = set()
        for count in range(len(self.steps) + 1):
            names = self.after(count)
            for how in HOW:
                files = {name: inode.content(how) for name, inode in names.items()}
                mark = hash(tuple(sorted(files.items())))
                if mark not in seen:
                    seen.add(mark)
                    yield files


def moments(count):
    if EVERY or count <= MOST:
        return range(count + 1)
    return sorted({count * i // MOST for i in range(MOST + 1)} | set(range(max(0, count - 8), count + 1)))


@unittest.skipIf("sanitize" in RASAE, "the sanitizers want to be loaded first")
class PowerCut(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="rasae-power-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.library, self.log = self.folder + "-library.so", self.folder + "-log"
        self.addCleanup(lambda: [os.path.exists(path) and os.unlink(path) for path in (self.library, self.log)])
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", self.library,
                        os.path.join(ROOT, "tests", "cli", "power_log.c"), "-ldl", "-pthread"], check=True, timeout=60)

    def path(self, name):
        return os.path.join(self.folder, name)

    def env(self):
        return {**os.environ, "LD_PRELOAD": self.library, "POWER_FOLDER": self.folder, "POWER_LOG": self.log,
                "OPENBLAS_NUM_THREADS": "1"}

    def files(self):
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    found[os.path.join(folder, name)] = file.read()
        return found

    def record(self, *command):
        """What the command does, and the files before it."""
        before = self.files()
        done = subprocess.run([RASAE, *command], capture_output=True, text=True, timeout=support.TIMEOUT, env=self.env())
        self.assertEqual(done.returncode, 0, done.stderr)
        return before, read_log(self.log)

    def each(self, before, records):
        """(how many records were played, the files that there may be)"""
        chosen = set(moments(len(records)))
        disk = Disk(before)
        for played in range(len(records) + 1):
            if played in chosen:
                for files in disk.possible():
                    yield played, files
            if played < len(records):
                disk.play(records[played])

    def check_command(self, target, *command):
        """The target is the old file or the new one, and at the end the new one."""
        old = self.files().get(target)
        before, records = self.record(*command)
        new = self.files()[target]
        self.assertNotEqual(old, new)
        self.assertTrue(any(record[0] == "rename" for record in records), "nothing was renamed")
        versions = {old, new} | self.versions(before, records, target)
        count = 0
        for played, files in self.each(before, records):
            now = files.get(target)
            self.assertTrue(now in versions, "after %d of %d calls: %d bytes, neither the old file nor a new one"
                            % (played, len(records), len(now or b"")))
            if played == len(records):
                self.assertEqual(now, new, "the command had ended")
            count += 1
        return count

    def versions(self, before, records, target):
        """What was renamed to the target on the way: checkpoints."""
        disk, found = Disk(before), set()
        for record in records:
            disk.play(record)
            if record[0] == "rename" and record[3].decode() == target:
                found.add(disk.names[target].content("all"))
        return found

    def test_fuse(self):
        out = self.path("out.safetensors")
        self.assertGreater(self.check_command(out, "fuse", golden("topk-mse.final.safetensors"), "-o", out), 5)

    def test_fuse_over_an_old_file(self):
        out = self.path("out.safetensors")
        shutil.copy(golden("dict-basic.checkpoint.safetensors"), out)
        self.check_command(out, "fuse", golden("topk-mse.final.safetensors"), "-o", out)

    def test_checkpoints_of_a_training(self):
        data, out = self.path("x.npy"), self.path("out.safetensors")
        support.write_npy(data, support.small_data(rows=64, d=8))
        self.check_command(out, "train", data, "-o", out, "--concepts", "8", "--points", "16", "--top-k", "2", "--batch-size",
                           "16", "--steps", "12", "--checkpoint-steps", "3", "--quiet")

    def test_labels(self):
        out, model, labels = self.path("out.safetensors"), self.path("m.safetensors"), self.path("labels.txt")
        subprocess.run([RASAE, "fuse", golden("topk-mse.final.safetensors"), "-o", model], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        with open(labels, "w", encoding="utf-8") as file:
            file.write("".join("label %d\n" % i for i in range(48)))
        self.check_command(out, "label", model, labels, "-o", out)

    def test_statistics_that_eval_saves(self):
        out, model, data = self.path("out.safetensors"), self.path("m.safetensors"), self.path("x.npy")
        support.write_npy(data, support.small_data(rows=64, d=16))
        subprocess.run([RASAE, "fuse", golden("topk-mse.final.safetensors"), "-o", model], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        self.assertGreater(self.check_command(out, "eval", model, data, "--save", out), 5)
        self.check_command(model, "eval", model, data, "--save", model)

    def test_a_simulation_without_a_flush_is_found_out(self):
        """So the disk above forgets what was not flushed."""
        out = self.path("out.safetensors")
        before, records = self.record("fuse", golden("topk-mse.final.safetensors"), "-o", out)
        new = self.files()[out]
        bad = [files.get(out) for _, files in self.each(before, [r for r in records if r[0] != "flush"])]
        self.assertTrue(any(one is not None and one != new for one in bad))

    def test_labels_of_the_daemon(self):
        """Each label that was confirmed before the power failed is in the database after it."""
        keys, state, confirmed = self.folder + "-keys", self.path("state"), []
        self.addCleanup(os.unlink, keys)
        with open(keys, "w", encoding="ascii") as file:
            file.write("admin " + "k" * 32 + "\n")
        os.chmod(keys, 0o600)
        os.mkdir(state)
        with Daemon("--dictionary", "m=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys, "--state", state,
                    "--sandbox", "off", env=self.env()) as daemon:
            for turn in range(12):
                atom = turn % 5
                reply = daemon.request("PUT", "/v1/dictionaries/m/atoms/%d/label" % atom, '{"label": "label %d"}' % turn,
                                       headers=KEY)
                self.assertEqual(reply.status, 200, reply.body)
                confirmed.append((len(read_log(self.log)), atom, turn))
        records = read_log(self.log)
        self.assertGreater(len(records), 20)
        again = self.folder + "-again"
        self.addCleanup(shutil.rmtree, again, True)
        count = 0
        for played, files in self.each({}, records):
            shutil.rmtree(again, ignore_errors=True)
            os.mkdir(again)
            for path, content in files.items():
                if not path.endswith("-shm"):  # shared memory: made anew
                    with open(os.path.join(again, os.path.basename(path)), "wb") as file:
                        file.write(content)
            due = {atom: turn for at, atom, turn in confirmed if at <= played}
            if not due and not os.path.exists(os.path.join(again, "rasaed.sqlite")):
                continue
            database = sqlite3.connect(os.path.join(again, "rasaed.sqlite"))
            try:
                have = dict(database.execute("SELECT atom, label FROM labels")) if due else {}
                whole = database.execute("PRAGMA integrity_check").fetchone()[0]
            finally:
                database.close()
            self.assertEqual(whole, "ok", "after %d of %d calls" % (played, len(records)))
            for atom, turn in due.items():
                self.assertGreaterEqual(int(have[atom].split()[1]), turn, "after %d of %d calls" % (played, len(records)))
            count += 1
        self.assertGreater(count, 20)


if __name__ == "__main__":
    unittest.main()
