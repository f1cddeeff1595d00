"""Starts rasaed for a test on a free port of 127.0.0.1, talks to it, and stops it.

    with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors")) as daemon:
        reply = daemon.get("/v1/dictionaries/basic")
        reply.status, reply.headers["Content-Type"], reply.json

RASAE_BUILD names the folder of the program (default: build). Standard library only."""

import array
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"), "rasaed")
PATIENCE = 60  # seconds until something that must happen counts as failed; sanitizers are slow


def golden(name):
    return os.path.join(TOP, "tests", "golden", name)


def environment(extra=()):
    """The environment of this process without settings for the daemon."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RASAED_")}
    kept.update(extra)
    return kept


def run(*arguments, env=()):
    """Runs the daemon until it exits, for calls that must not serve."""
    return subprocess.run([PROGRAM, *arguments], env=environment(env), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE)


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain for " + what)


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


def handing_over(sockets, names=""):
    """The beginning of a command line that gives the rest of it these sockets from descriptor 3 on, like a service
    manager; pass the sockets' numbers as pass_fds."""
    numbers = [one.fileno() for one in sockets]
    moves = ["exec %d<&%d" % (100 + i, number) for i, number in enumerate(numbers)]  # none overwrites another
    moves += ["exec %d<&%d %d<&-" % (3 + i, 100 + i, 100 + i) for i in range(len(numbers))]
    script = "; ".join(moves + ["export LISTEN_FDS=%d LISTEN_PID=$$ LISTEN_FDNAMES=%s" % (len(numbers), names),
                                'exec "$0" "$@"'])
    return ["bash", "-c", script]


def obeying_permissions():
    """The beginning of a command line whose rest may write and read what the permissions of files say, as root, too, who may
    write everywhere by two capabilities: these are dropped."""
    script = """import ctypes, os, sys
for capability in 1, 2:  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])"""
    return [sys.executable, "-c", script]


class Daemon:
    """through: the beginning of the command line, which becomes the daemon."""

    def __init__(self, *arguments, env=(), sockets=(), names="", through=()):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*(handing_over(sockets, names) if sockets else ()), *through,
                                             PROGRAM, "--listen", "127.0.0.1:0", *arguments],
                                            env=environment(env), stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=log,
                                            pass_fds=[one.fileno() for one in sockets])
        self.line = self.process.stdout.readline().decode()
        match = re.fullmatch(r"rasaed: serving (https?)://127\.0\.0\.1:(\d+)\n", self.line)
        if not match:
            self.kill()
            raise AssertionError("rasaed did not start: " + self.line + self.log())
        self.secure = match.group(1) == "https"
        self.address = ("127.0.0.1", int(match.group(2)))
        self.admin_address = None
        if "--admin-listen" in arguments:  # on 127.0.0.1:0 as well
            self.admin_address = ("127.0.0.1", int(self.process.stdout.readline().decode().rsplit(":", 1)[1]))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None and self.process.poll() is None:
                status = self.stop()
                assert status == 0, "rasaed ended with %s\n%s" % (status, self.log())
        finally:
            self.kill()
            if kind is not None:
                sys.stderr.write(self.log()[-8000:])
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def says(self, text):
        """The log is written by a thread of its own, so a line can come a moment after the reply."""
        wait_for(lambda: text in self.log(), "%r in the log" % text)

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        self.send(number)
        return self.process.wait(PATIENCE)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    # ---- talking

    def connect(self, address=None):
        if self.secure:  # accepts the certificate that the test made
            context = ssl._create_unverified_context()
            return http.client.HTTPSConnection(*(address or self.address), timeout=PATIENCE, context=context)
        return http.client.HTTPConnection(*(address or self.address), timeout=PATIENCE)

    def request(self, method, path, body=None, headers=(), connection=None):
        own = connection or self.connect()
        try:
            own.request(method, path, body, dict(headers))
            return Reply(own.getresponse())
        finally:
            if not connection:
                own.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, value, **more):
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        return self.request("POST", path, body, **more)

    def socket(self):
        return socket.create_connection(self.address, timeout=PATIENCE)

    def begun(self, path, size, *headers):
        """A connection whose POST the daemon has begun, with a body of `size` bytes that is still to come."""
        lines = ["POST %s HTTP/1.1" % path, "Host: x", "Expect: 100-continue", "Content-Length: %d" % size, *headers]
        connection = self.socket()
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 100 "), answer
        return connection

    def raw(self, data):
        """Sends bytes on a new connection; returns everything that it receives until the connection is closed."""
        with self.socket() as connection:
            connection.sendall(data)
            return read_all(connection)


def read_all(connection):
    """What a connection sends until the other side closes it."""
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_safetensors(path):
    """{name: (shape, flat list of numbers)} of the F32 tensors, and the metadata."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    for key in "rasae.digest", "rasae.digest_kind":  # what is changed and written again has another digest
        metadata.pop(key, None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            continue
        start, end = entry["data_offsets"]
        numbers = array.array("f", data[8 + size + start:8 + size + end])
        if sys.byteorder == "big":
            numbers.byteswap()
        tensors[name] = (entry["shape"], numbers.tolist())
    return tensors, metadata


def rows(tensor):
    """A tensor of rank 2 as a list of rows."""
    (count, width), numbers = tensor
    return [numbers[i * width:(i + 1) * width] for i in range(count)]


def write_safetensors(path, tensors, metadata):
    """The reverse of read_safetensors(); renamed into place, as files that are served must be."""
    header, data = {"__metadata__": metadata}, b""
    for name, (shape, numbers) in tensors.items():
        raw = struct.pack("<%df" % len(numbers), *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".new", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    os.replace(path + ".new", path)


def relative_error(got, expected):
    """||got - expected|| / ||expected|| of two lists of rows."""
    assert len(got) == len(expected)
    difference = norm = 0.0
    for row, wanted in zip(got, expected):
        assert len(row) == len(wanted)
        difference += sum((a - b) ** 2 for a, b in zip(row, wanted))
        norm += sum(b * b for b in wanted)
    return (difference / norm) ** 0.5


def dense(reply, width):
    """The rows of {"indices": ..., "values": ...} with their zeros."""
    matrix = []
    for indices, values in zip(reply["indices"], reply["values"]):
        row = [0.0] * width
        for index, value in zip(indices, values):
            row[index] = value
        matrix.append(row)
    return matrix
