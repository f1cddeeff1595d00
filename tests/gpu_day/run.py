#!/usr/bin/env python3
"""The first day of a GPU: tries and times the build in pack.tar.gz (pack.py) on this machine, the most telling first.

    run.py --out FOLDER [--seconds 280] [--only quick,suites] [--small]

Each stage has a time limit of its own, and all together have --seconds: a stage for which no time is left is skipped, and
says so. FOLDER gets log.txt, all that the programs printed, and summary.txt, which is printed at the end, too. Nothing is
installed. --small makes the sizes tiny, for a rehearsal on the emulated device."""
import argparse
import array
import concurrent.futures
import glob
import http.client
import json
import math
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Day:
    """What the stages share: where the pack lies, how much time is left, and what they have to say."""

    def __init__(self, options):
        self.options, self.end = options, time.monotonic() + options.seconds
        self.lines, self.lock, self.stage_end = [], threading.Lock(), self.end
        os.makedirs(options.out, exist_ok=True)
        self.log = open(os.path.join(options.out, "log.txt"), "w", encoding="utf-8")
        self.room = tempfile.mkdtemp(prefix="rasae-gpu-day-")
        with tarfile.open(os.path.join(HERE, "pack.tar.gz")) as pack:
            pack.extractall(self.room, filter="fully_trusted") if sys.version_info >= (3, 12) else pack.extractall(self.room)
        self.pack = os.path.join(self.room, "pack")
        self.cublas = find_cublas()
        path = [os.path.join(self.pack, "lib")] + ([self.cublas] if self.cublas else [])
        self.environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(path), "OPENBLAS_NUM_THREADS": "1"}

    def say(self, text):
        with self.lock:
            for line in text.splitlines():
                self.lines.append(line)
                print(line, flush=True)
            with open(os.path.join(self.options.out, "summary.txt"), "w", encoding="utf-8") as file:
                file.write("\n".join(self.lines) + "\n")

    def left(self):
        return self.stage_end - time.monotonic()

    def run(self, *command, limit=None, more=None, ours=True):
        """(status, output) of a command; status 124 if its time is over. What it had printed by then is kept."""
        limit = max(1.0, min(self.left(), limit or self.left()))
        began = time.monotonic()
        environment = {**(self.environment if ours else os.environ), **(more or {})}
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            process = subprocess.Popen(command, cwd=self.pack, env=environment, stdout=output, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = 124
            output.seek(0)
            text = output.read()
        with self.lock:
            self.log.write("\n$ %s\n%s[status %d, %.1f s]\n" % (" ".join(command), text, status, time.monotonic() - began))
            self.log.flush()
        return status, text

    def program(self, name):
        return os.path.join(self.pack, "bin", name)


def find_cublas():
    """The folder of libcublas.so.13 or .12: a toolkit's, or that of a Python package."""
    roots = ["/usr/local/cuda/lib64", *sorted(glob.glob("/usr/local/cuda-*/lib64"), reverse=True),
             *sorted(glob.glob(os.path.join(sys.prefix, "lib", "python*", "site-packages", "nvidia", "*", "lib"))), "/usr/lib/x86_64-linux-gnu"]
    return next((root for root in roots for _ in glob.glob(os.path.join(root, "libcublas.so.1[23]"))), None)


def tail(text, count=6):
    return "\n".join("    " + line[:200] for line in text.strip().splitlines()[-count:])


# ---- stages --------------------------------------------------------------------------------------------------------------

def machine(day):
    for command in (["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,power.limit", "--format=csv,noheader"],
                    ["ldd", "--version"], ["lscpu"]):
        if not shutil.which(command[0]):
            day.say("  no %s" % command[0])
            continue
        status, text = day.run(*command, ours=False)
        found = re.search(r"Model name: *(.*)", text)
        day.say("  " + (found.group(1) if found else text.splitlines()[0] if text else "status %d" % status))
    day.say("  %d cores; cuBLAS in %s; Python %s" % (os.cpu_count(), day.cublas, sys.version.split()[0]))


def bench(day, *arguments):
    return day.run(day.program("bench_gpu"), "--device", "cuda-device", *arguments)


def quick(day):
    status, text = bench(day, "--quick")
    good = status == 0 and "skipped" not in text
    day.say(("  every operation runs, and its checks hold: " + text.splitlines()[0]) if good else "  FAILED, status %d\n%s" % (status, tail(text)))
    return good


def suites(day):
    """make check-gpu, several suites at a time; each process opens the device once."""
    with open(os.path.join(day.pack, "suites"), encoding="ascii") as file:
        names = file.read().split()
    first = ["backend", "backend_sums", "golden_training", "model_golden_runs"]
    names.sort(key=lambda name: first.index(name) if name in first else len(first))

    def one(name):
        began = time.monotonic()
        status, text = day.run(day.program("unit"), limit=100, more={
            "RASAE_TEST_DEVICE": "cuda-device", "CK_FORK": "no", "CK_RUN_SUITE": name, "TMPDIR": day.room})
        return name, status, text, time.monotonic() - began

    bad, checks, slow = [], 0, []
    with concurrent.futures.ThreadPoolExecutor(min(6, max(1, (os.cpu_count() or 2) // 2))) as pool:
        for name, status, text, seconds in pool.map(one, names):
            found = re.search(r"Checks: (\d+)", text)
            checks += int(found.group(1)) if found else 0
            slow.append((seconds, name))
            if status or not found:
                bad.append(name)
                if len(bad) <= 12:  # the reply of a lent machine may be cut; the log has them all
                    day.say("  FAILED %s, status %d, %.1f s\n%s" % (name, status, seconds, tail(text, 3)))
    slow.sort(reverse=True)
    day.say("  %d suites, %d checks, %d suites failed: %s" % (len(names), checks, len(bad), " ".join(bad) or "none"))
    day.say("  slowest: " + ", ".join("%s %.1f s" % (name, seconds) for seconds, name in slow[:4]))
    return not bad


def sanitizers(day):
    if not shutil.which("compute-sanitizer"):
        return day.say("  no compute-sanitizer")
    tools = {"memcheck": ["--leak-check", "full"], "racecheck": [], "initcheck": [], "synccheck": []}

    def one(tool):
        return tool, day.run("compute-sanitizer", "--tool", tool, *tools[tool], "--error-exitcode", "9",
                             day.program("bench_gpu"), "--device", "cuda-device", "--quick")

    good = True
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for tool, (status, text) in pool.map(one, tools):
            said = [line for line in text.splitlines() if "SUMMARY" in line]
            day.say("  %s: status %d, %s" % (tool, status, said[-1].strip("= ") if said else "no summary"))
            if status:
                good = False
                said = [line[:160] for line in text.splitlines() if line.startswith("=========") and "SUMMARY" not in line] or text.splitlines()[-4:]
                day.say("\n".join("    " + line for line in said[:12]))
    return good


def full_bench(day):
    status, text = bench(day, *(["--quick"] if day.options.small else []))
    day.say(text if status == 0 else "  FAILED, status %d\n%s" % (status, tail(text)))
    return status == 0


# ---- training, and what follows it ----------------------------------------------------------------------------------------

def sizes(day):
    if day.options.small:
        return {"d": 16, "concepts": 64, "points": 24, "rows": 256, "top_k": 4, "batches": (32, 64), "steps": (2, 6)}
    return {"d": 768, "concepts": 10000, "points": 1000, "rows": 65536, "top_k": 50, "batches": (1024, 8192), "steps": (20, 120)}


def write_npy(path, rows, width, chunks):
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, width)
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        for chunk in chunks:
            file.write(chunk)


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    numbers = array.array("f")
    numbers.frombytes(data[10 + struct.unpack("<H", data[8:10])[0]:])
    return numbers


def inputs(day):
    """Rows that are mixtures of three points and noise, and those points: as in tests/bench/bench_train.py."""
    s, paths = sizes(day), {name: os.path.join(day.room, name + ".npy") for name in ("x", "points", "few")}
    if os.path.exists(paths["x"]):
        return paths
    try:
        import numpy
        draw = numpy.random.default_rng(1)
        points = draw.standard_normal((s["points"], s["d"]), dtype="float32")
        x = 0.2 * draw.standard_normal((s["rows"], s["d"]), dtype="float32")
        for _ in range(3):
            x += draw.random((s["rows"], 1), dtype="float32") * points[draw.integers(0, s["points"], s["rows"])]
        flat = {"points": points.tobytes(), "x": x.tobytes()}
    except ImportError:
        import random
        draw = random.Random(1)
        flat = {name: array.array("f", (draw.gauss(0, 1) for _ in range(s[of] * s["d"]))).tobytes()
                for name, of in (("points", "points"), ("x", "rows"))}
    few = min(s["rows"], 4096)
    write_npy(paths["points"], s["points"], s["d"], [flat["points"]])
    write_npy(paths["few"], few, s["d"], [flat["x"][:4 * few * s["d"]]])
    write_npy(paths["x"], s["rows"], s["d"], [flat["x"]])
    return paths


def train(day, mixture, batch, steps, device, more=()):
    s, paths = sizes(day), inputs(day)
    target = os.path.join(day.room, "model-%s-%s.safetensors" % (mixture, device))
    status, text = day.run(day.program("rasae"), "train", paths["x"], "--points", paths["points"], "-o", target, "--force", "--mixture", mixture,
                           "--concepts", str(s["concepts"]), "--top-k", str(s["top_k"]), "--batch-size", str(batch), "--steps", str(steps),
                           "--loss", "mse", "--lr", "5e-4", "--schedule", "constant", "--encoder-start", "uniform", "--device", device,
                           "--trace-rows", "0", "--no-state", "--json", *more)
    if status:
        day.say("  FAILED, status %d\n%s" % (status, tail(text)))
        return None
    return json.loads(text[text.index("{"):])


def training(day):
    """The time of a step: that of many steps less that of few, so that start-up does not count."""
    s, good = sizes(day), True
    for mixture in ("dense", "8"):
        for batch in s["batches"]:
            runs = [train(day, mixture, batch, steps, "cuda") for steps in s["steps"]]
            if None in runs:
                good = False
                continue
            step = (runs[1]["seconds"] - runs[0]["seconds"]) / (s["steps"][1] - s["steps"][0])
            day.say("  rasae, mixture %s, batch %d: %.3f ms a step; the first %d steps took %.2f s; loss %.6f" % (
                mixture, batch, step * 1e3, s["steps"][0], runs[0]["seconds"], runs[1]["loss"]))
    on_cpu, on_device = (train(day, "dense", s["batches"][0], s["steps"][0], device) for device in ("cpu", "cuda"))
    if on_cpu and on_device:
        day.say("  loss after %d steps: cpu %.7f, cuda %.7f; the CPU's steps took %.2f s" % (
            s["steps"][0], on_cpu["loss"], on_device["loss"], on_cpu["seconds"]))
    return good


def beside_torch(day):
    reference = os.path.join(day.pack, "reference")
    if not os.path.isdir(reference):
        return day.say("  the pack has no overcomplete")
    s, paths = sizes(day), inputs(day)
    for batch in s["batches"]:
        status, text = day.run(sys.executable, "train_overcomplete.py", paths["x"], paths["points"], str(s["concepts"]), str(s["top_k"]),
                               str(batch), str(s["steps"][1]), str(os.cpu_count()), day.options.torch_device, ours=False,
                               more={"PYTHONPATH": reference})
        if status:
            day.say("  FAILED, status %d\n%s" % (status, tail(text)))
            continue
        about = json.loads(text.splitlines()[-1])
        day.say("  overcomplete's loop, torch %s, batch %d, rows on the device: %.3f ms a step (median), loss %.6f" % (
            about["torch"], batch, about["seconds"] * 1e3, about["loss"]))


def tensors(path):
    """{name: bytes} of a safetensors file."""
    with open(path, "rb") as file:
        data = file.read()
    size, = struct.unpack("<Q", data[:8])
    header, at = json.loads(data[8:8 + size]), 8 + size
    return {name: data[at + one["data_offsets"][0]:at + one["data_offsets"][1]] for name, one in header.items() if name != "__metadata__"}


def relative(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)) / max(sum(y * y for y in b), 1e-30))


def parity(day):
    """Fuse, encode and reconstruct on the CPU and on the device: how far apart the answers are, and how long each took."""
    paths, good, took, fused = inputs(day), True, {}, {}
    model = next(iter(glob.glob(os.path.join(day.room, "model-dense-cuda.safetensors"))), None)
    if not model:
        return day.say("  no model: training failed")
    for device in ("cpu", "cuda"):
        fused[device] = os.path.join(day.room, "fused-%s.safetensors" % device)
        codes, x_hat = (os.path.join(day.room, "%s-%s" % (name, device)) for name in ("codes.safetensors", "x_hat.npy"))
        codes, x_hat = codes.replace("codes.safetensors-", "codes-") + ".safetensors", x_hat.replace("x_hat.npy-", "x_hat-") + ".npy"
        for what, words in (("fuse", ["fuse", model, "-o", fused[device]]), ("encode", ["encode", fused["cpu"], paths["few"], "-o", codes]),
                            ("reconstruct", ["reconstruct", fused["cpu"], os.path.join(day.room, "codes-cpu.safetensors"), "-o", x_hat])):
            began = time.monotonic()
            status, text = day.run(day.program("rasae"), *words, "--device", device)
            took[what, device] = time.monotonic() - began
            if status:
                day.say("  %s on %s FAILED, status %d\n%s" % (what, device, status, tail(text)))
                good = False
    if not good:
        return False
    def floats(data):
        numbers = array.array("f")
        numbers.frombytes(data)
        return numbers
    a, b = (tensors(fused[device])["dictionary"] for device in ("cuda", "cpu"))
    day.say("  fuse: relative difference %.2g; %.2f s with the device, %.2f s without" % (
        relative(floats(a), floats(b)), took["fuse", "cuda"], took["fuse", "cpu"]))
    a, b = (tensors(os.path.join(day.room, "codes-%s.safetensors" % device)) for device in ("cuda", "cpu"))
    same = a["codes.index"] == b["codes.index"]
    pairs = len(b["codes.index"]) // 4
    other = sum(x != y for x, y in zip(*(array.array("i", one["codes.index"]) for one in (a, b))))
    day.say("  encode: %s of %d indices differ, values by %.2g; %.2f s, %.2f s" % (
        0 if same else other, pairs, relative(floats(a["codes.value"]), floats(b["codes.value"])) if same else float("nan"),
        took["encode", "cuda"], took["encode", "cpu"]))
    a, b = (read_npy(os.path.join(day.room, "x_hat-%s.npy" % device)) for device in ("cuda", "cpu"))
    day.say("  reconstruct: relative difference %.2g; %.2f s, %.2f s" % (relative(a, b), took["reconstruct", "cuda"], took["reconstruct", "cpu"]))
    return good


# ---- serving --------------------------------------------------------------------------------------------------------------

class Daemon:
    def __init__(self, day, device, model):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(os.path.join(day.room, "daemon-%s.log" % device), "w+", encoding="utf-8")
        self.day, began = day, time.monotonic()
        self.process = subprocess.Popen([day.program("rasaed"), "--listen", "127.0.0.1:%d" % self.port, "--dictionary", "m=" + model,
                                         "--device", device], env=day.environment, stdout=self.log, stderr=subprocess.STDOUT)
        while self.process.poll() is None and time.monotonic() - began < 30:
            try:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                if self.ask("GET", "/health/ready")[0] == 200:
                    break
            except OSError:
                time.sleep(0.02)
        self.start = time.monotonic() - began

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        reply = self.connection.getresponse()
        return reply.status, reply.read()

    def stop(self):
        self.connection.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        self.day.log.write(self.log.read())
        self.log.close()


def serving(day):
    s, paths = sizes(day), inputs(day)
    model = os.path.join(day.room, "fused-cpu.safetensors")
    if not os.path.exists(model):
        return day.say("  no model: fusing failed")
    good = True
    with open(paths["few"], "rb") as file:
        data = file.read()
    rows = data[10 + struct.unpack("<H", data[8:10])[0]:]
    for device in ("cuda", "cpu"):
        daemon = Daemon(day, device, model)
        try:
            day.say("  %s: ready after %.2f s" % (device, daemon.start))
            for what, batch in (("encode", 1), ("encode", 16), ("encode", 256), ("encode", 2048), ("search", 1), ("search", 256), ("reconstruct", 1),
                                ("reconstruct", 256)):
                if what == "encode":
                    path, body = "/v1/dictionaries/m/encode", rows[:4 * batch * s["d"]]
                    headers = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream", "X-Tensor-Shape": "%d,%d" % (batch, s["d"])}
                    batch = len(body) // 4 // s["d"]
                    headers["X-Tensor-Shape"] = "%d,%d" % (batch, s["d"])
                elif what == "search":
                    batch = min(batch, len(rows) // 4 // s["d"])
                    path, body = "/v1/dictionaries/m/search?k=10", rows[:4 * batch * s["d"]]
                    headers = {"Content-Type": "application/octet-stream", "X-Tensor-Shape": "%d,%d" % (batch, s["d"])}
                else:
                    one = {"indices": [list(range(s["top_k"]))] * batch, "values": [[0.5] * s["top_k"]] * batch}
                    path, body = "/v1/dictionaries/m/reconstruct", json.dumps({"latents": one})
                    headers = {"Content-Type": "application/json", "Accept": "application/octet-stream"}
                times = []
                for _ in range(4 if day.options.small else 60):
                    began = time.monotonic()
                    status, reply = daemon.ask("POST", path, body, headers)
                    times.append(time.monotonic() - began)
                    if status != 200:
                        good = False
                        day.say("  %s %d FAILED: %d %s" % (what, batch, status, reply[:200]))
                        break
                times, first = times[1:] or times, times[0]
                day.say("  %s, %s %d rows: median %.0f us, slowest %.0f us; the first took %.1f ms" % (
                    device, what, batch, statistics.median(times) * 1e6, max(times) * 1e6, first * 1e3))
        finally:
            daemon.stop()
    return good


# ---- counters -------------------------------------------------------------------------------------------------------------

METRICS = {"gpu__time_duration.sum": "us", "dram__throughput.avg.pct_of_peak_sustained_elapsed": "DRAM",
           "lts__throughput.avg.pct_of_peak_sustained_elapsed": "L2", "sm__throughput.avg.pct_of_peak_sustained_elapsed": "SM"}


def counters(day):
    if not shutil.which("ncu"):
        return day.say("  no ncu")
    status, text = day.run("ncu", "--clock-control", "none", "--csv", "--metrics", ",".join(METRICS), "--kernel-name", "regex:^ra_",
                           day.program("bench_gpu"), "--device", "cuda-device", "--runs", "1", *(["--quick"] if day.options.small else ["--latents", "16384"]))
    found = {}
    import csv
    for row in csv.reader(line for line in text.splitlines() if line.startswith('"')):
        if len(row) > 3 and row[-3] in METRICS:
            number = float(row[-1].replace(",", ""))
            unit = {"ns": 1e-3, "nsecond": 1e-3, "us": 1, "usecond": 1, "ms": 1e3, "msecond": 1e3}.get(row[-2], 1)
            found.setdefault(row[4].split("(")[0], {}).setdefault(METRICS[row[-3]], []).append(number * unit)
    if not found:
        day.say("  FAILED, status %d\n%s" % (status, tail(text)))
        return False
    for kernel, metrics in sorted(found.items()):
        day.say("  %-28s %3d launches, longest %8.1f us; of the peak: %s" % (
            kernel, len(metrics["us"]), max(metrics["us"]), ", ".join("%s %.0f %%" % (name, max(values)) for name, values in metrics.items() if name != "us")))
    return True


STAGES = [("machine", 20, machine), ("quick", 60, quick), ("suites", 120, suites), ("bench", 70, full_bench), ("sanitizers", 90, sanitizers),
          ("training", 60, training), ("torch", 60, beside_torch), ("parity", 40, parity), ("serving", 40, serving), ("counters", 80, counters)]


def main():
    parser = argparse.ArgumentParser(description="Tries and times a build on this machine's GPU; see the head of this file.")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--only", default="", help="these stages, with commas between them: " + ", ".join(name for name, _, _ in STAGES))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--torch-device", default="cuda")
    options = parser.parse_args()
    chosen = [name for name in options.only.split(",") if name]
    unknown = set(chosen) - {name for name, _, _ in STAGES}
    if unknown:
        parser.error("there is no stage %s" % ", ".join(sorted(unknown)))
    began, day, results = time.monotonic(), None, []
    day = Day(options)
    try:
        for name, limit, stage in STAGES:
            if chosen and name not in chosen:
                continue
            left, at = day.end - time.monotonic(), time.monotonic()
            if left < 5:
                results.append(name + " skipped")
                continue
            day.stage_end = min(day.end, at + limit)
            day.say("== %s" % name)
            try:
                good = stage(day)
            except Exception as error:  # the stages behind it still have something to tell
                import traceback
                day.log.write(traceback.format_exc())
                day.say("  FAILED: %s: %s" % (type(error).__name__, error))
                good = False
            results.append("%s %s (%.0f s)" % (name, "FAILED" if good is False else "done", time.monotonic() - at))
        day.say("== %s; %.0f s in all" % ("; ".join(results), time.monotonic() - began))
    finally:
        day.log.close()
        shutil.rmtree(day.room, ignore_errors=True)
    sys.exit(any("FAILED" in one for one in results))


if __name__ == "__main__":
    main()
