"""What the tests of the command line share: running `rasae`, and small readers and writers of its files.

Every test file can run alone: `python3 tests/cli/test_fuse.py`, where RASAE_BUILD names the build folder (default:
build). They use only Python's standard library, so this is an independent reading of the formats' specifications,
not the library's own code."""

import array
import fcntl
import json
import math
import os
import pty
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("RASAE_BUILD", "build"))
RASAE = os.path.join(BUILD, "rasae")
TIMEOUT = 240  # seconds per command; the sanitizers are slow


def golden(name):
    return os.path.join(ROOT, "tests", "golden", name)


def data(name):
    return os.path.join(ROOT, "tests", "data", name)


# ---- numbers -----------------------------------------------------------------------------------------------

CODES = {"F32": "f", "F64": "d", "I64": "q", "I32": "i", "U8": "B"}
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "U8": 1}


def decode(dtype, blob):
    """The numbers in little-endian bytes."""
    if dtype == "F16":
        return list(struct.unpack("<%de" % (len(blob) // 2), blob))
    if dtype == "BF16":
        halves = struct.unpack("<%dH" % (len(blob) // 2), blob)
        return [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves]
    values = array.array(CODES[dtype])
    values.frombytes(blob)
    if sys.byteorder == "big":
        values.byteswap()
    return list(values)


def encode(dtype, values):
    if dtype == "F16":
        return struct.pack("<%de" % len(values), *values)
    if dtype == "BF16":  # cut, not rounded: tests use numbers that fit
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack("<%d%s" % (len(values), CODES[dtype]), *values)


def elements(shape):
    return math.prod(shape)


def relative_error(a, b):
    """||a - b|| / ||b||; absolute when b is zero."""
    if len(a) != len(b):
        return math.inf
    gap = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)))
    norm = math.sqrt(sum(y * y for y in b))
    return gap / norm if norm > 0 else gap


class Random:
    """A small generator of our own: the same numbers in every version of Python."""

    def __init__(self, seed):
        self.state = seed * 2 + 1

    def unit(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 40) / 2**24

    def values(self, n, low=-1.0, high=1.0):
        return [low + (high - low) * self.unit() for _ in range(n)]


# ---- safetensors -------------------------------------------------------------------------------------------


class Tensor:
    def __init__(self, dtype, shape, values):
        self.dtype, self.shape, self.values = dtype, list(shape), values


def read_safetensors(path):
    """({name: Tensor}, metadata)"""
    with open(path, "rb") as file:
        blob = file.read()
    (size,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    for key in "rasae.digest", "rasae.digest_kind":  # what is changed and written again has another digest
        metadata.pop(key, None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = decode(entry["dtype"], blob[8 + size + begin : 8 + size + end])
        assert len(values) == elements(entry["shape"]), name
        tensors[name] = Tensor(entry["dtype"], entry["shape"], values)
    return tensors, metadata


def safetensors_bytes(tensors, metadata=None):
    header, blob = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    # Widest elements first keeps every tensor aligned.
    for name, tensor in sorted(tensors.items(), key=lambda item: (-SIZES[item[1].dtype], item[0])):
        part = encode(tensor.dtype, tensor.values)
        header[name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [len(blob), len(blob) + len(part)],
        }
        blob += part
    return pack_safetensors(header, blob)


def pack_safetensors(header, blob):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + blob


def write_safetensors(path, tensors, metadata=None):
    with open(path, "wb") as file:
        file.write(safetensors_bytes(tensors, metadata))
    return path


# ---- npy ---------------------------------------------------------------------------------------------------

DESCRIPTIONS = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "|u1"}


def read_npy(path):
    with open(path, "rb") as file:
        blob = file.read()
    assert blob[:6] == b"\x93NUMPY" and blob[6] == 1, path
    (size,) = struct.unpack("<H", blob[8:10])
    assert (10 + size) % 64 == 0, "the data is not aligned"
    header = eval(blob[10 : 10 + size], {"__builtins__": {}})  # a literal, by the format's definition
    assert header["fortran_order"] is False
    dtype = {text: name for name, text in DESCRIPTIONS.items()}[header["descr"]]
    values = decode(dtype, blob[10 + size :])
    assert len(values) == elements(header["shape"]), path
    return Tensor(dtype, header["shape"], values)


def npy_bytes(tensor, fortran=False):
    shape = "(%s)" % "".join("%d, " % n for n in tensor.shape)
    header = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (
        DESCRIPTIONS[tensor.dtype],
        fortran,
        shape,
    )
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", len(header))
        + header.encode()
        + encode(tensor.dtype, tensor.values)
    )


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def write_npy(path, tensor):
    with open(path, "wb") as file:
        file.write(npy_bytes(tensor))
    return path


def disk_of(size):
    """For preexec_fn: a disk on which no file grows beyond `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


# ---- running -----------------------------------------------------------------------------------------------


class Case(unittest.TestCase):
    """A test with an empty folder of its own; self.path() names files in it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasae-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, blob):
        with open(self.path(name), "wb") as file:
            file.write(blob)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def run_rasae(self, *arguments, **options):
        return subprocess.run(
            [RASAE, *map(str, arguments)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            **options
        )

    def good(self, *arguments, **options):
        """Runs a command that must succeed; returns its stdout."""
        result = self.run_rasae(*arguments, **options)
        self.assertEqual(result.returncode, 0, (arguments, result.stderr.decode()))
        return result.stdout.decode()

    def run_on_terminal(self, columns, *arguments):
        """Runs a command that must succeed; returns everything that is shown on a terminal of that width."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            [RASAE, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=follower,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # how a pseudo-terminal says that the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(leader)
        self.assertEqual(process.wait(timeout=TIMEOUT), 0)
        return shown.decode()

    def good_json(self, *arguments):
        return json.loads(self.good(*arguments))

    def bad(self, code, texts, *arguments, **options):
        """Runs a command that must fail: with this exit code, one sentence on stderr that contains the texts,
        and no file created, changed or left half-written. Returns the sentence."""
        before = self.snapshot()
        result = self.run_rasae(*arguments, **options)
        sentence = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, code, (arguments, sentence))
        self.assertEqual(sentence.count("\n"), 1, sentence)
        self.assertTrue(sentence.startswith("rasae: "), sentence)
        for text in [texts] if isinstance(texts, str) else texts:
            self.assertIn(text, sentence)
        if code == 2:
            self.assertIn("--help", sentence)
        self.assertEqual(self.snapshot(), before, "a failed command left something")
        return sentence

    def snapshot(self):
        files = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    files[os.path.join(folder, name)] = file.read()
        return files

    def assertClose(self, a, b, tolerance, what=""):
        error = relative_error(a, b)
        self.assertLessEqual(error, tolerance, "%s: relative error %.3g" % (what, error))


def small_data(rows=96, d=12, seed=1):
    """Rows close to six directions, like activations: row r belongs to direction r % 6."""
    random = Random(seed)
    centers = [random.values(d) for _ in range(6)]
    values = []
    for row in range(rows):
        values += [c + 0.05 * (2 * random.unit() - 1) for c in centers[row % 6]]
    return Tensor("F32", [rows, d], decode("F32", encode("F32", values)))


def main():
    if not os.path.exists(RASAE):
        sys.exit("%s is not built" % RASAE)
    unittest.main(verbosity=1)
