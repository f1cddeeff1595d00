"""A real Prometheus with the configuration and the rules of deploy/prometheus scrapes a daemon under load: every
query of the dashboard returns data, every rule evaluates, and an alert fires when its cause appears. Only
addresses and intervals differ: once per second instead of every 15."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import cluster

cluster.enter()

from environment import Daemon, golden  # noqa: E402
from cluster import DEPLOY, PATIENCE  # noqa: E402

RATE_INTERVAL = "10s"
VARIABLES = {"$__rate_interval": RATE_INTERVAL, "$job": "rasaed", "$instance": ".*"}


def filled_in(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def is_number(sample):
    return sample[1] not in ("NaN", "+Inf", "-Inf")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Prometheus:
    """Scrapes one target until it is stopped."""

    def __init__(self, folder, target):
        with open(os.path.join(DEPLOY, "prometheus", "prometheus.yml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("127.0.0.1:8080", target), ("_interval: 15s", "_interval: 1s"),
                         ("rules.yml", os.path.join(DEPLOY, "prometheus", "rules.yml"))):
            assert old in text, old
            text = text.replace(old, new)
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        path, environment = cluster.tool("prometheus")
        port = free_port()
        self.url = "http://127.0.0.1:%d/api/v1/" % port
        self.log_path = os.path.join(folder, "prometheus.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [path, "--config.file=" + config, "--storage.tsdb.path=" + os.path.join(folder, "data"),
                 "--web.listen-address=127.0.0.1:%d" % port], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def get(self, path, **parameters):
        with urllib.request.urlopen(self.url + path + "?" + urllib.parse.urlencode(parameters), timeout=PATIENCE) as reply:
            return json.load(reply)["data"]

    def query(self, expression):
        try:
            return self.get("query", query=expression)["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it is still starting
                return []
            raise AssertionError("%s: %s" % (expression, error.read().decode())) from error
        except urllib.error.URLError:  # not even listening yet
            assert self.process.poll() is None, self.log()
            return []

    def wait_for(self, expression, what):
        end = time.monotonic() + PATIENCE
        while not self.query(expression):
            assert time.monotonic() < end, "waited in vain for %s (%s)" % (what, expression)
            time.sleep(0.2)


def load(daemon, dimensions, concepts, over):
    """Requests of clients, light and heavy, right and wrong, until the end."""
    connection = daemon.connect()
    x, z = [[0.5] * dimensions], [[0.5] * concepts]
    heavy = {"vectors": x * 2000}
    while not over.is_set():
        for path, body in (("/v1/dictionaries/words/search", {"vectors": x}), ("/v1/dictionaries/words/search", heavy),
                           ("/v1/dictionaries/words/reconstruct", {"latents": z}),
                           ("/v2/models/words/infer", {"inputs": [{"name": "latents", "datatype": "FP32",
                                                                   "shape": [1, concepts], "data": z[0]}]})):
            status = daemon.post(path, body, connection=connection).status
            assert status == 200, (path, status)
        assert daemon.get("/v1/dictionaries/none", connection=connection).status == 404
        over.wait(0.02)
    connection.close()


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.path = os.path.join(cls.folder, "words.safetensors")
        shutil.copy(golden("dict-basic.checkpoint.safetensors"), cls.path)
        cls.daemon = Daemon("--dictionary-dir", cls.folder)
        cls.addClassCleanup(cls.daemon.kill)
        info = cls.daemon.get("/v1/dictionaries/words").json
        cls.prometheus = Prometheus(cls.folder, "%s:%d" % cls.daemon.address)
        cls.addClassCleanup(cls.prometheus.stop)
        over = threading.Event()
        client = threading.Thread(target=load, args=(cls.daemon, info["dimensions"], info["concepts"], over))
        client.start()
        cls.addClassCleanup(client.join)
        cls.addClassCleanup(over.set)
        cls.prometheus.wait_for("count_over_time(up{job=\"rasaed\"}[10s]) > 5", "scrapes")
        cls.prometheus.wait_for("job:rasaed_errors:ratio_rate6h", "the last of the records")

    def test_every_query_of_the_dashboard_returns_data(self):
        with open(os.path.join(DEPLOY, "grafana", "rasaed.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        queries = 0
        for panel in dashboard["panels"]:
            self.assertEqual(panel["type"] == "row", not panel.get("targets"), panel["title"])
            for target in panel.get("targets", []):
                queries += 1
                with self.subTest(panel=panel["title"], query=target["refId"]):
                    result = self.prometheus.query(filled_in(target["expr"]))
                    self.assertTrue([one for one in result if is_number(one["value"])], target["expr"])
                    for one in result:  # what the legend names is there
                        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                            self.assertIn(label, one["metric"])
        self.assertGreater(queries, 30)
        for annotation in dashboard["annotations"]["list"]:
            self.prometheus.query(filled_in(annotation["expr"]))

    def test_the_dashboards_variables_find_the_daemon(self):
        series, = self.prometheus.get("series", **{"match[]": "rasaed_build_info"})
        self.assertEqual((series["job"], series["instance"]), ("rasaed", "%s:%d" % self.daemon.address))

    def test_every_rule_evaluates(self):
        rules = [rule for group in self.prometheus.get("rules")["groups"] for rule in group["rules"]]
        self.assertGreater(len(rules), 15)
        for rule in rules:
            self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""), rule["name"])
        self.assertEqual({rule["name"] for rule in rules if rule["type"] == "recording"
                          and not self.prometheus.query(rule["name"])}, set())

    def test_an_alert_wakes(self):
        quiet = self.prometheus.query('ALERTS{alertname!="RasaedReloadFailed"}')
        self.assertEqual(quiet, [])
        with open(self.path + ".new", "wb") as file:
            file.write(b"not a dictionary")
        os.replace(self.path + ".new", self.path)
        self.daemon.send(signal.SIGHUP)
        self.prometheus.wait_for('ALERTS{alertname="RasaedReloadFailed",dictionary="words"}', "the alert")


if __name__ == "__main__":
    unittest.main()
