"""GET /metrics as Prometheus reads it. tests/deploy/test_prometheus.py has promtool look at it, too."""

import os
import re
import shutil
import signal
import tempfile
import unittest

from daemon import Daemon, golden, wait_for

SOURCE = golden("dict-basic.checkpoint.safetensors")
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\})? ([0-9.e+-]+|\+Inf)')


class Metrics:
    def __init__(self, reply):
        self.text = reply.body.decode()
        self.types, self.samples = {}, {}
        described = set()
        for line in self.text.splitlines():
            if line.startswith("# HELP "):
                described.add(line.split()[2])
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                assert name in described and name not in self.types, line
                self.types[name] = kind
            else:
                match = SAMPLE.fullmatch(line)
                assert match, line
                labels = tuple(sorted(re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', match.group(2) or "")))
                assert (match.group(1), labels) not in self.samples, line
                self.samples[match.group(1), labels] = float(match.group(3))

    def get(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))), 0)


def read(daemon):
    return Metrics(daemon.get("/metrics"))


class Scrape(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="rasaed-metrics-")
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "given.safetensors")
        shutil.copy(SOURCE, self.path)
        self.daemon = Daemon("--dictionary", "given=" + self.path)
        self.addCleanup(self.daemon.__exit__, None, None, None)

    def test_format(self):
        reply = self.daemon.get("/metrics")
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        metrics = Metrics(reply)
        for name, _ in metrics.samples:
            family = re.sub("_(bucket|sum|count)$", "", name)
            self.assertTrue(name in metrics.types or metrics.types.get(family) == "histogram", name)
        self.assertEqual(self.daemon.request("HEAD", "/metrics").status, 200)

    def test_requests_are_counted(self):
        before = read(self.daemon)
        for _ in range(3):
            self.daemon.get("/v1/dictionaries")
        self.daemon.get("/v1/dictionaries/none")
        self.daemon.get("/nowhere")
        body = '{"vectors":[[1,2]]}'
        refused = self.daemon.post("/v1/dictionaries/given/search", body)
        self.assertEqual(refused.status, 400)
        wait_for(lambda: read(self.daemon).get("rasaed_requests_total", route="search", method="POST",
                                               status="400") == 1, "the counter")
        after = read(self.daemon)

        def grown(name, **labels):
            return after.get(name, **labels) - before.get(name, **labels)

        self.assertEqual(grown("rasaed_requests_total", route="dictionaries", method="GET", status="200"), 3)
        self.assertEqual(grown("rasaed_requests_total", route="dictionary", method="GET", status="404"), 1)
        self.assertEqual(grown("rasaed_requests_total", route="unknown", method="GET", status="404"), 1)
        self.assertEqual(grown("rasaed_request_duration_seconds_count", route="dictionaries"), 3)
        self.assertEqual(grown("rasaed_request_duration_seconds_bucket", route="dictionaries", le="+Inf"), 3)
        self.assertGreater(grown("rasaed_request_duration_seconds_sum", route="dictionaries"), 0)
        self.assertEqual(grown("rasaed_request_body_bytes_total", route="search"), len(body))
        self.assertEqual(grown("rasaed_response_body_bytes_total", route="search"), len(refused.body))
        # The request for the metrics itself is in flight; the one before it ends only after its client has read it.
        wait_for(lambda: read(self.daemon).get("rasaed_requests_in_flight") == 1, "the request before to end")

    def test_buckets_ascend(self):
        self.daemon.get("/v1/dictionaries")
        wait_for(lambda: read(self.daemon).get("rasaed_request_duration_seconds_count", route="dictionaries"),
                 "the counter")
        metrics = read(self.daemon)
        buckets = sorted((float(dict(labels)["le"]), value) for (name, labels), value in metrics.samples.items()
                         if name == "rasaed_request_duration_seconds_bucket"
                         and dict(labels)["route"] == "dictionaries")
        self.assertGreater(len(buckets), 10)
        self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))

    def test_dictionaries_and_their_reloads(self):
        def value(name):
            return read(self.daemon).get("rasaed_dictionary_" + name, dictionary="given")

        self.assertEqual(value("generation"), 1)
        self.assertEqual(value("ready"), 1)
        self.assertEqual(value("load_failures_total"), 0)
        self.assertGreater(value("size_bytes"), 0)
        self.daemon.send(signal.SIGHUP)
        wait_for(lambda: value("generation") == 2, "the reload")
        with open(self.path + ".new", "wb") as file:
            file.write(b"not a dictionary")
        os.replace(self.path + ".new", self.path)
        self.daemon.send(signal.SIGHUP)
        wait_for(lambda: value("load_failures_total") == 1, "the failure")
        self.assertEqual(value("last_load_failed"), 1)
        self.assertEqual(value("generation"), 2)
        self.assertEqual(value("ready"), 1)

    def test_process_and_build(self):
        metrics = read(self.daemon)
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
                     "process_max_fds", "process_start_time_seconds", "process_threads"):
            self.assertGreater(metrics.get(name), 0, name)
        self.assertEqual([value for (name, _), value in metrics.samples.items() if name == "rasaed_build_info"], [1])


if __name__ == "__main__":
    unittest.main()
