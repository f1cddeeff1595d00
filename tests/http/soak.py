"""A long run of mixed traffic, every answer of which is checked: make soak MINUTES=30.

One daemon, and at once: clients that keep their connections and clients that do not, curl, computations in JSON and in raw
numbers, a dictionary that is replaced by renaming and reloaded, one that is written in place, SIGHUP, labels that are set and read
back, requests that break off, and those of test_http_table.py. An answer is right if it is what the daemon said first for the same
request of the same revision, and those first ones are compared with plain Python. 503 is right for the dictionary that was
written in place, until its next load, and nowhere else.

All stop at the same time every few seconds, and the memory, the descriptors and the threads of the daemon are read: descriptors
and threads must always be the same, and the memory of the last quarter at most a hundredth more than that of the second one.

    python3 tests/http/soak.py SECONDS"""

import array
import http.client
import json
import math
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import test_http_table
from daemon import Daemon, wait_for

K, D = 1500, 32
KEY = {"Authorization": "Bearer " + "k" * 32}
RAW = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"}
PAUSE = 5  # seconds between two looks
SETTLES = 10  # seconds until what was under way at a rest is done
# In its sandbox, a daemon with keys shows its descriptors to nobody but root.
OPEN = [] if os.geteuid() == 0 else ["--sandbox", "off"]
DRIFT = 0.01


def make(path, seed, replace=True):
    """A dictionary with an encoder; its atoms, for the comparison. In place: the same bytes of the file are others."""
    numbers = random.Random(seed)
    atoms = array.array("f", (numbers.random() - 0.5 for _ in range(K * D)))
    data = atoms.tobytes() + atoms.tobytes() + bytes(4 * K)
    header = {"__metadata__": {"sae": "topk", "top_k": "4", "encoder": "linear"},
              "dictionary": {"dtype": "F32", "shape": [K, D], "data_offsets": [0, 4 * K * D]},
              "encoder.final_block.0.weight": {"dtype": "F32", "shape": [K, D], "data_offsets": [4 * K * D, 8 * K * D]},
              "encoder.final_block.0.bias": {"dtype": "F32", "shape": [K], "data_offsets": [8 * K * D, 8 * K * D + 4 * K]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    whole = struct.pack("<Q", len(text)) + text + data
    with open(path + ".new" if replace else path, "wb" if replace else "r+b") as file:
        file.write(whole)
    if replace:
        os.replace(path + ".new", path)
    return [atoms[i * D:(i + 1) * D] for i in range(K)]


def near(a, b):
    """The same JSON, numbers within the rounding of float32."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(near(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(near(x, y) for x, y in zip(a, b))
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5)
    return a == b


ROW = [((7 * i) % 13 - 6) / 8 for i in range(D)]
LATENTS = {"indices": [[3, 700]], "values": [[1.5, -0.25]]}
# path behind the dictionary, body, headers
REQUESTS = [
    ("/atoms/5", None, {}),
    ("/atoms?limit=10&offset=20", None, {}),
    ("/atoms/9/neighbors?k=5", None, {}),
    ("/search", json.dumps({"vectors": [ROW], "k": 4}), {}),
    ("/reconstruct", json.dumps({"latents": LATENTS}), {}),
    ("/reconstruct", array.array("f", [0.5] + [0.0] * (K - 1)).tobytes(), RAW),
    ("/encode", json.dumps({"inputs": [ROW, ROW]}), {}),
    ("/explain", json.dumps({"inputs": [ROW]}), {}),
    ("/reconstruct", json.dumps({"latents": [[0.25] * K] * 40}), {}),  # for a compute thread
]


class Wrong(Exception):
    pass


class Soak:
    def __init__(self, seconds, threads=1):
        self.seconds, self.threads = seconds, threads
        self.folder = tempfile.mkdtemp(prefix="rasaed-soak-")
        self.first = {}  # (revision, number of the request): the first answer
        self.atoms = {}
        self.lock = threading.Lock()
        self.counts = {}
        self.wrong = []
        self.ends = threading.Event()
        self.runs = threading.Event()  # cleared: everybody stops at the next step
        self.resting, self.settled = 0, None

    def path(self, name):
        return os.path.join(self.folder, name)

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    # ---- asking

    def ask(self, connection, method, path, body=None, headers=(), allowed=(200,)):
        connection.request(method, path, body, {**KEY, **dict(headers)})
        response = connection.getresponse()
        data = response.read()
        if response.status not in allowed:
            raise Wrong("%s %s: %d, expected %s: %r" % (method, path, response.status, allowed, data[:300]))
        return response, data

    def check(self, connection, name, number, allowed=(200,)):
        path, body, headers = REQUESTS[number]
        response, data = self.ask(connection, "POST" if body is not None else "GET", "/v1/dictionaries/%s%s" % (name, path),
                                  body, headers, allowed)
        if response.status != 200:
            self.count("503 of what was written in place")
            return
        revision = response.headers["X-Dictionary-Revision"] or response.headers["ETag"]
        answer = list(array.array("f", data)) if headers else json.loads(data)
        with self.lock:
            known = self.first.setdefault((revision, name, number), answer)
        if not near(known, answer):
            raise Wrong("%s of %s: another answer than before for the revision %s" % (path, name, revision))
        self.count("answers")

    def reload(self, connection, name):
        """Until the file is open for writing nowhere: for a moment, the child that becomes curl has it open, too."""
        for _ in range(50):
            response, _ = self.ask(connection, "POST", "/v1/dictionaries/%s/reload" % name, b"", allowed=(200, 409))
            if response.status == 200:
                return
            time.sleep(0.02)
        raise Wrong("%s could not be reloaded" % name)

    def compare(self, connection, name, atoms):
        """What the daemon says first is what plain Python computes."""
        _, data = self.ask(connection, "POST", "/v1/dictionaries/%s/reconstruct" % name, REQUESTS[4][1])
        wanted = [1.5 * a - 0.25 * b for a, b in zip(atoms[3], atoms[700])]
        if not near(json.loads(data)["reconstructions"], [wanted]):
            raise Wrong("reconstruct of %s is not what the file says" % name)
        _, data = self.ask(connection, "GET", "/v1/dictionaries/%s/atoms/5" % name)
        if not near(json.loads(data)["vector"], list(atoms[5])):
            raise Wrong("an atom of %s is not that of the file" % name)

    # ---- those who run at once; each does one step after another

    def keeper(self, seed):
        chosen, connection = random.Random(seed), self.daemon.connect()
        while (yield):
            self.check(connection, "m", chosen.randrange(len(REQUESTS)))
        connection.close()

    def stranger(self, seed):
        chosen = random.Random(seed)
        while (yield):
            connection = self.daemon.connect()
            self.check(connection, chosen.choice("mm" "c"), chosen.randrange(len(REQUESTS)), (200, 503))
            connection.close()

    def curl(self, _):
        while (yield):
            url = "http://127.0.0.1:%d/v1/dictionaries/m/atoms/5" % self.daemon.address[1]
            done = subprocess.run(["curl", "--silent", "--compressed", "--fail", "-H", "Authorization: " + KEY["Authorization"],
                                   url], capture_output=True, timeout=60)
            if done.returncode or json.loads(done.stdout)["atom"] != 5:
                raise Wrong("curl: %d %r" % (done.returncode, done.stdout[:200]))
            self.count("curl")
            time.sleep(0.2)

    def replacer(self, _):
        connection, version = self.daemon.connect(), 0
        while (yield):
            version += 1
            atoms = make(self.path("m.safetensors"), version % 3)
            self.reload(connection, "m")
            self.compare(connection, "m", atoms)
            if version % 5 == 0:
                self.daemon.send(signal.SIGHUP)
                self.count("SIGHUP")
            self.count("reloads")
            time.sleep(0.3)
        connection.close()

    def writer_in_place(self, _):
        connection, version = self.daemon.connect(), 0
        while (yield):
            version += 1
            atoms = make(self.path("c.safetensors"), 10 + version % 2, replace=False)
            self.reload(connection, "c")
            self.compare(connection, "c", atoms)
            self.count("written in place")
            time.sleep(0.5)
        connection.close()

    def labeller(self, seed):
        connection, turn = self.daemon.connect(), 0
        while (yield):
            turn += 1
            path = "/v1/dictionaries/c/atoms/%d" % (100 + seed)
            words = "label %d" % turn
            response, _ = self.ask(connection, "PUT", path + "/label", json.dumps({"label": words}), allowed=(200, 503))
            if response.status == 200:
                response, data = self.ask(connection, "GET", path, allowed=(200, 503))
                # The revision may be another one by now, whose atoms have labels of their own.
                if response.status == 200 and json.loads(data)["label"] not in (None, words, "label %d" % (turn - 1)) \
                        and not json.loads(data)["label"].startswith("label "):
                    raise Wrong("the label %r of %s" % (json.loads(data)["label"], path))
            self.count("labels")
            time.sleep(0.05)
        connection.close()

    def breaker(self, seed):
        chosen = random.Random(seed)
        table = [row for rows in (test_http_table.SMUGGLING, test_http_table.MALFORMED, test_http_table.PROTOCOL)
                 for row in rows]
        while (yield):
            if chosen.random() < 0.5:  # in the middle, at any byte
                request = chosen.choice(table)[1]
                request = request[:chosen.randrange(len(request) + 1)]
                with socket.create_connection(self.daemon.address, timeout=60) as connection:
                    try:
                        connection.sendall(request)
                        if chosen.random() < 0.5:
                            connection.settimeout(0.05)
                            connection.recv(1 << 16)
                    except OSError:
                        pass
                self.count("broken off")
            else:
                name, request, *_ = chosen.choice(table)
                data = self.daemon.raw(request.replace(b"/basic/", b"/m/") + test_http_table.FOLLOW)
                bad = [status for status, _, _ in test_http_table.answers(data) if status >= 500 and status not in (501, 505)]
                if bad:
                    raise Wrong("%s: %s" % (name, bad))
                self.count("hostile")

    # ---- running them

    def run_one(self, who, seed):
        steps = who(seed)
        next(steps)
        while not self.ends.is_set():
            if not self.runs.is_set():
                with self.lock:
                    self.resting += 1
                self.runs.wait()
                with self.lock:
                    self.resting -= 1
            try:
                steps.send(not self.ends.is_set())
            except StopIteration:
                return
            except Exception as problem:  # pylint: disable=broad-except
                with self.lock:
                    self.wrong.append("%s: %s: %s" % (who.__name__, type(problem).__name__, problem))
                self.ends.set()
                return

    def look(self):
        """Resident bytes, descriptors beside connections, threads."""
        others = self.connections() - 1
        process = "/proc/%d/" % self.daemon.process.pid
        with open(process + "status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file)
        return int(status["VmRSS"].split()[0]) * 1024, len(os.listdir(process + "fd")) - others, int(status["Threads"])

    def connections(self):
        with socket.create_connection(self.daemon.address, timeout=60) as own:
            own.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: own.recv(65536), b"")).decode()
        line = next(line for line in text.splitlines() if line.startswith('rasaed_resource_used{resource="connections"}'))
        return int(float(line.split()[-1]))

    def rest(self, kept):
        """Everybody stops; what the daemon holds then."""
        self.runs.clear()
        wait_for(lambda: self.resting == len(self.workers) or self.ends.is_set(), "a rest")
        wait_for(lambda: self.connections() <= kept + 1 or self.ends.is_set(), "the connections of others to end")
        # A reload of SIGHUP may be under way, and a generation that nobody holds any more be freed.
        end, seen = time.monotonic() + SETTLES, self.look()
        while self.settled and seen[1:] != self.settled and time.monotonic() < end:
            time.sleep(0.05)
            seen = self.look()
        self.settled = seen[1:]
        self.runs.set()
        return seen

    def run(self):
        keys = self.path("keys")
        with open(keys, "w", encoding="ascii") as file:
            file.write("admin " + "k" * 32 + "\n")
        os.chmod(keys, 0o600)
        make(self.path("m.safetensors"), 0)
        make(self.path("c.safetensors"), 10)
        team = [(self.keeper, 1), (self.keeper, 2), (self.stranger, 3), (self.curl, 4), (self.replacer, 5),
                (self.writer_in_place, 6), (self.labeller, 7), (self.breaker, 8)]
        kept = 5  # those of the team who keep one connection
        samples = []
        try:
            with Daemon("--dictionary", "m=" + self.path("m.safetensors"), "--dictionary", "c=" + self.path("c.safetensors"),
                        "--private-below", "1", "--state", self.path("state"), "--keys", keys, "--header-seconds", "2",
                        "--idle-seconds", "600", "--log-level", "warning", *OPEN) as self.daemon:
                self.runs.set()
                self.workers = [threading.Thread(target=self.run_one, args=one, daemon=True) for one in team]
                for worker in self.workers:
                    worker.start()
                end = time.monotonic() + self.seconds
                while time.monotonic() < end and not self.ends.wait(min(PAUSE, max(1, self.seconds / 12))):
                    samples.append(self.rest(kept))
                self.ends.set()
                self.runs.set()
                for worker in self.workers:
                    worker.join(120)
                if self.daemon.process.poll() is not None:
                    self.wrong.append("the daemon ended: " + self.daemon.log()[-2000:])
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.judge(samples)

    def judge(self, samples):
        if not self.wrong:
            settled = samples[len(samples) // 4:]
            quarter = max(1, len(samples) // 4)
            before = statistics.median(rss for rss, _, _ in settled[:quarter])
            after = statistics.median(rss for rss, _, _ in settled[-quarter:])
            descriptors, threads = {one[1] for one in settled}, {one[2] for one in settled}
            self.figures = {"samples": len(samples), "rss": [before, after], "drift": after / before - 1,
                            "descriptors": sorted(descriptors), "threads": sorted(threads), **self.counts}
            if self.seconds >= 600 and after / before - 1 > DRIFT:
                self.wrong.append("the memory grew by %.1f %%, from %d to %d" % (100 * (after / before - 1), before, after))
            if len(descriptors) > 1:
                self.wrong.append("descriptors at rest: %s" % sorted(descriptors))
            if len(threads) > 1:
                self.wrong.append("threads at rest: %s" % sorted(threads))
        return self.wrong


def main():
    soak = Soak(float(sys.argv[1]))
    wrong = soak.run()
    print(json.dumps(getattr(soak, "figures", soak.counts)))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
