"""What we read of the files that the fuzzer found (tests/fuzz/corpus/safetensors), beside a reader in Python that follows the
format's description and the reference implementation's checks (lib/io/safetensors/{read,header}.c)."""

import glob
import json
import os
import struct
import subprocess

import support
from support import Case

CORPUS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz", "corpus", "safetensors")
SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4,
         "F32": 4, "F64": 8, "I64": 8, "U64": 8, "F8_E8M0": 1, "C64": 8}
READ = {"F32", "F16", "BF16", "F64", "U8", "I8", "I16", "I32", "I64"}
MOST_RANK = 8


class Refused(Exception):
    pass


def members(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("a name twice")
    return dict(pairs)


def whole(value):
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise Refused("not a size")
    return value


def read(blob):
    """[(dtype, shape, bytes)] in the order of the data."""
    if len(blob) < 8:
        raise Refused("short")
    (size,) = struct.unpack("<Q", blob[:8])
    if size > len(blob) - 8 or size > 100_000_000 or blob[8:9] != b"{":
        raise Refused("the header")
    try:
        text = blob[8:8 + size].decode()
        header = json.loads(text, object_pairs_hook=members, parse_constant=lambda name: members([(0, 0), (0, 0)]))
    except (ValueError, RecursionError) as error:
        raise Refused("not JSON") from error
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or any(type(value) is not str for value in metadata.values()):
        raise Refused("the metadata")
    found = []
    for entry in header.values():
        if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"} or type(entry["dtype"]) is not str:
            raise Refused("an entry")
        if type(entry["shape"]) is not list or type(entry["data_offsets"]) is not list or len(entry["data_offsets"]) != 2:
            raise Refused("an entry")
        begin, end = map(whole, entry["data_offsets"])
        elements = 1
        for one in map(whole, entry["shape"]):
            elements *= one
        size_of_one = SIZES.get(entry["dtype"])  # of a type that is not known yet, we do not know it either
        if end < begin or size_of_one and end - begin != elements * size_of_one:
            raise Refused("the bytes of a tensor")
        found.append((begin, end, entry["dtype"], entry["shape"]))
    covered = 0
    for begin, end, _, _ in sorted(found, key=lambda one: one[:2]):
        if begin != covered:
            raise Refused("a gap")
        covered = end
    if covered != len(blob) - 8 - size:
        raise Refused("bytes that are no tensor's")
    return [(dtype, shape, end - begin) for begin, end, dtype, shape in found]


def order(listed):
    """Without the order of the sizes, which the layouts of other libraries turn around."""
    return sorted(((dtype, sorted(shape), size) for dtype, shape, size in listed), key=repr)


class Peer(Case):
    def test_both_read_the_same_or_refuse(self):
        paths = sorted(glob.glob(os.path.join(CORPUS, "*")))
        self.assertTrue(paths)
        taken = 0
        for path in paths:
            with open(path, "rb") as file:
                blob = file.read()
            done = subprocess.run([support.RASAE, "inspect", path, "--json"], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=60)
            ours = json.loads(done.stdout) if done.stdout else None
            try:
                theirs = read(blob)
            except Refused:
                self.assertIsNone(ours, path)
                continue
            if ours is None:  # a model of another library that we do not have, or a digest that the other reader ignores
                self.assertRegex(done.stderr, "which is not supported| digest", path)
                continue
            taken += 1
            listed = [(one["dtype"], one["shape"], one["bytes"]) for one in ours["tensors"]]
            expected = [one for one in theirs if one[0] in READ and len(one[1]) <= MOST_RANK]
            self.assertEqual(order(listed), order(expected), path)
        self.assertGreater(taken, 10)


if __name__ == "__main__":
    support.main()
