"""Times the table, the query and the search of a served dictionary (server/api/{table,find,search}.c) of 32,000 and of 1,000,000
atoms, each beside the strongest simple alternative on the same machine: NumPy with Python's own zlib and json for the table, SQLite
for the query, NumPy for the search. The files are made here. What the server answers is compared with the alternative's answer
before anything is timed.

    python3 tests/bench/bench_atoms.py [ATOMS...]

Times are the best of several and hold for whole requests over a socket of this machine; beside them stands the processor time that
the server took, which other work on the machine changes less."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import environment

environment.enter()

import gzip
import http.client
import io
import json
import sqlite3
import struct
import tempfile
import time
import zlib

import numpy as np
from environment import Daemon

POINTS, ROWS, KEPT, EXAMPLES, WORDS = 20000, 100000, 4, 4, 20000
TYPES = {"f4": "F32", "i4": "I32", "i8": "I64", "u1": "U8"}
D = "/v1/dictionaries/atoms"
TICK = os.sysconf("SC_CLK_TCK")


def lines(texts):
    return np.frombuffer(("\n".join(texts) + "\n").encode(), "u1")


def make(path, K, d):
    """A dictionary with labels, provenance and statistics of all atoms; returns what the alternatives work with."""
    random = np.random.default_rng(1)
    words = ["".join(chr(97 + c) for c in random.integers(0, 26, random.integers(3, 9))) for _ in range(WORDS)]
    count = np.minimum((random.pareto(1.0, K) * 5).astype("<i8"), ROWS)
    largest = np.where(count > 0, random.random(K) + 1, 0).astype("<f4")
    row = np.where(np.arange(EXAMPLES) < count[:, None], random.integers(0, ROWS, (K, EXAMPLES)), -1).astype("<i8")
    chosen = (WORDS * random.random((K, EXAMPLES)) ** 3).astype(int)
    labels = [words[chosen[k, 0]] + " %d" % k for k in range(K)]
    rows = [[words[chosen[k, e]] if row[k, e] >= 0 else "" for e in range(EXAMPLES)] for k in range(K)]
    weight = np.sort(random.random((K, KEPT)).astype("<f4"), axis=1)[:, ::-1] / KEPT
    tensors = {
        "dictionary": random.standard_normal((K, d)).astype("<f4"),
        "archetypes.index": random.integers(0, POINTS, (K, KEPT)).astype("<i4"),
        "archetypes.weight": np.ascontiguousarray(weight),
        "latents.count": count, "latents.mean": largest / 2, "latents.max": largest,
        "latents.energy": np.where(count > 0, random.random(K), 0).astype("<f4"),
        "latents.histogram": count.reshape(K, 1), "latents.histogram_top": np.where(count > 0, 2, 0).astype("<f4"),
        "latents.top_row": row, "latents.top_value": np.where(row >= 0, largest[:, None], 0).astype("<f4"),
        "latents.top_labels": lines("\t".join(one) for one in rows),
        "points.labels": lines(words[i % WORDS] for i in range(POINTS)), "atoms.labels": lines(labels),
        "atoms.layout": np.clip(random.standard_normal((K, 2)) / 5, -1, 1).astype("<f4")}
    header, at = {"__metadata__": {"format": "rasae.fused.v1", "points": str(POINTS), "latents.rows": str(ROWS)}}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": TYPES[values.dtype.str[1:]], "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())
    points = [[words[i % WORDS] for i in one] for one in tensors["archetypes.index"]]
    return {**tensors, "labels": labels, "row_labels": rows, "point_labels": points, "word": words[5]}


def goes_on(rounds, began, least, most=5.0):
    """Three rounds and `least` seconds; what takes long has fewer."""
    past = time.monotonic() - began
    return rounds == 0 or (past < most and (rounds < 3 or past < least))


class Asked:
    """One connection to the server; times requests and the processor time that they take there."""

    def __init__(self, daemon):
        self.process = daemon.process.pid
        self.connection = http.client.HTTPConnection(*daemon.address, timeout=600)

    def processor(self):
        with open("/proc/%d/stat" % self.process) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def check(self, method, target, body=None, coding="identity"):
        """The same on a connection of its own."""
        self.connection.close()
        return self.ask(method, target, body, coding)

    def ask(self, method, target, body=None, coding="identity"):
        self.connection.request(method, D + target, body, {"Accept-Encoding": coding, "Content-Type": "application/json"})
        reply = self.connection.getresponse()
        content = reply.read()
        assert reply.status == 200, (target, content[:300])
        return content

    def time(self, method, target, body=None, coding="identity", least=1.0):
        self.connection.close()  # idle ones are closed by the server
        best, rounds, began, before = float("inf"), 0, time.monotonic(), self.processor()
        while goes_on(rounds, began, least):
            start = time.perf_counter()
            self.ask(method, target, body, coding)
            best, rounds = min(best, time.perf_counter() - start), rounds + 1
        return best, (self.processor() - before) / rounds


def best_of(work, least=0.5):
    best, began, rounds = float("inf"), time.monotonic(), 0
    while goes_on(rounds, began, least):
        start = time.perf_counter()
        work()
        best, rounds = min(best, time.perf_counter() - start), rounds + 1
    return best


def show(what, ours, other, name):
    seconds, processor = ours
    print("  %-34s %8.2f ms (of the processor %8.2f)   %-20s %9.3f ms   ratio %8.3g"
          % (what, seconds * 1e3, processor * 1e3, name, other * 1e3, other / seconds), flush=True)


# ---- what is compared


def bench_table(asked, made):
    K = len(made["labels"])
    norm = np.sqrt((made["dictionary"].astype("f8") ** 2).sum(axis=1))
    columns = {"index": np.arange(K), "x": made["atoms.layout"][:, 0], "y": made["atoms.layout"][:, 1],
               "energy": made["latents.energy"], "count": made["latents.count"], "frequency": made["latents.count"] / ROWS,
               "max": made["latents.max"], "norm": norm.astype("f4")}
    table = json.loads(asked.check("GET", "/table"))["columns"]
    assert table["label"] == made["labels"]
    for name, values in columns.items():
        np.testing.assert_allclose(np.array(table[name], "f8"), values, rtol=1e-5, err_msg=name)
    query = "/table?columns=label," + ",".join(columns)
    packed = asked.check("GET", query, coding="gzip")
    assert json.loads(gzip.decompress(packed)) == json.loads(asked.check("GET", query))

    def text():
        return json.dumps({"columns": {"label": made["labels"], **{name: values.tolist() for name, values in columns.items()}}}).encode()

    def binary():
        out = io.BytesIO()
        for values in columns.values():
            np.save(out, values)
        return out.getvalue()
    show("table, JSON", asked.time("GET", query), best_of(text), "json of NumPy")
    theirs = best_of(lambda: zlib.compress(text(), 1))
    show("in gzip, %d KiB" % (len(packed) >> 10), asked.time("GET", query, coding="gzip"), theirs, "zlib, level 1, too")
    show("in zstd", asked.time("GET", query, coding="zstd"), theirs, "the same")
    show("in gzip, all columns", asked.time("GET", "/table", coding="gzip"), theirs, "the same")
    names = ",".join(columns)
    show("table, npy", asked.time("GET", "/table?columns=%s&format=npy" % names), best_of(binary), "numpy.save")


def bench_query(asked, made):
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE atoms(atom INTEGER PRIMARY KEY, energy REAL, frequency REAL, count INTEGER)")
    database.executemany("INSERT INTO atoms VALUES(?,?,?,?)", zip(range(len(made["labels"])), made["latents.energy"].tolist(),
                                                                 (made["latents.count"] / ROWS).tolist(), made["latents.count"].tolist()))
    database.execute("CREATE INDEX energies ON atoms(energy DESC, atom)")
    database.execute("CREATE VIRTUAL TABLE labels USING fts5(text, content='', prefix='4')")
    database.executemany("INSERT INTO labels(rowid, text) VALUES(?,?)",
                         ((k + 1, " ".join([label, *made["point_labels"][k], *made["row_labels"][k]]))
                          for k, label in enumerate(made["labels"])))
    word = made["word"][:4]
    least = 0.0005
    queries = (
        ("20 of the largest energy", "sort=energy", "SELECT atom FROM atoms ORDER BY energy DESC, atom LIMIT 20", ()),
        ("the same, frequent ones", "sort=energy&min_frequency=%g" % least,
         "SELECT atom FROM atoms WHERE frequency >= ? ORDER BY energy DESC, atom LIMIT 20", (least,)),
        ("q, by energy", "sort=energy&q=" + word,
         "WITH found AS MATERIALIZED (SELECT rowid - 1 AS atom FROM labels WHERE labels MATCH ?) "
         "SELECT atoms.atom FROM found CROSS JOIN atoms USING(atom) ORDER BY energy DESC, atom LIMIT 20",
         ('"%s"*' % word,)),
        ("dead ones", "dead=true", "SELECT atom FROM atoms WHERE count = 0 ORDER BY atom LIMIT 20", ()))
    for what, query, sql, values in queries:
        target = "/atoms?limit=20&fields=label&" + query
        ours = [atom["atom"] for atom in json.loads(asked.check("GET", target))["atoms"]]
        assert ours == [row[0] for row in database.execute(sql, values)], what
        show("query, " + what, asked.time("GET", target), best_of(lambda: database.execute(sql, values).fetchall()), "SQLite, no HTTP")


def bench_search(asked, made):
    atoms, vectors = made["dictionary"], made["dictionary"][[5, 77]]
    norms = np.sqrt((atoms.astype("f8") ** 2).sum(axis=1)).astype("f4")
    often, alive = made["latents.count"] >= 0.0005 * ROWS, made["latents.count"] > 0

    def order(scores, ids):
        first = np.argpartition(-scores, 10)[:10]
        return ids[first[np.argsort(-scores[first])]].tolist()

    def masked(keep):
        return [order(scores if keep is None else np.where(keep, scores, -np.inf), every) for scores in (vectors @ atoms.T) / norms]

    def gathered(keep):
        ids = np.flatnonzero(keep)
        return [order(scores, ids) for scores in (vectors @ atoms[ids].T) / norms[ids]]
    every = np.arange(len(atoms))
    for what, more, keep in (("2 vectors", {}, None), ("the same, %.0f %% of the atoms" % (100 * often.mean()), {"filter": {"min_frequency": 0.0005}}, often),
                             ("the same, %.0f %% of them" % (100 * alive.mean()), {"filter": {"dead": False}}, alive)):
        body = json.dumps({"vectors": vectors.tolist(), "k": 10, **more})
        ours = [[one["atom"] for one in matches] for matches in json.loads(asked.check("POST", "/search", body))["results"]]
        ways = (masked,) if keep is None else (masked, gathered)
        for way in ways:
            assert ours == way(keep), what
        theirs = min(best_of(lambda way=way, keep=keep: way(keep)) for way in ways)
        show("search, " + what, asked.time("POST", "/search", body), theirs, "NumPy, no HTTP")


def main():
    for K in map(int, sys.argv[1:] or ("32000", "1000000")):
        with tempfile.TemporaryDirectory(prefix="rasae-bench-") as folder:
            path = os.path.join(folder, "atoms.safetensors")
            d = 256 if K <= 100000 else 64
            made = make(path, K, d)
            began = time.monotonic()
            with Daemon("--dictionary", "atoms=" + path) as daemon:
                asked = Asked(daemon)
                print("%d atoms of %d dimensions, loaded in %.1f s (of the processor %.1f)"
                      % (K, d, time.monotonic() - began, asked.processor()))
                bench_table(asked, made)
                bench_query(asked, made)
                bench_search(asked, made)


if __name__ == "__main__":
    main()
