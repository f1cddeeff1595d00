"""deploy/prometheus: promtool reads the configuration and the rules and runs their unit tests (rules.yml beside this
file); every alert has a case in which it fires and one in which it does not; the daemon has every metric that a
rule or the dashboard names."""

import json
import os
import re
import unittest

import cluster

cluster.enter()

import yaml  # noqa: E402
from cluster import DEPLOY, FOLDER, Daemon, golden  # noqa: E402

RULES = os.path.join(DEPLOY, "prometheus", "rules.yml")
UNIT_TESTS = os.path.join(FOLDER, "rules.yml")
METRIC = re.compile(r"(?<![:\w])(?:rasaed|process)_\w+(?![:\w])")


def rules():
    return [rule for group in cluster.load("prometheus", "rules.yml")[0]["groups"] for rule in group["rules"]]


def dashboard():
    with open(os.path.join(DEPLOY, "grafana", "rasaed.json"), encoding="utf-8") as file:
        return json.load(file)


class Promtool(unittest.TestCase):
    def good(self, *arguments):
        done = cluster.run("promtool", *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_configuration_and_rules(self):
        self.assertIn("is valid prometheus config", self.good("check", "config",
                                                              os.path.join(DEPLOY, "prometheus", "prometheus.yml")))
        self.good("check", "rules", "--lint-fatal", RULES)

    def test_unit_tests_of_the_rules(self):
        self.assertIn("SUCCESS", self.good("test", "rules", UNIT_TESTS))

    def test_the_daemons_metrics(self):
        with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors")) as daemon:
            daemon.get("/v1/dictionaries")
            done = cluster.run("promtool", "check", "metrics", input=daemon.get("/metrics").body.decode())
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Rules(unittest.TestCase):
    def test_the_operators_form_is_the_same(self):
        rule, = cluster.load("kubernetes", "components", "monitoring", "rules.yaml")
        self.assertEqual(rule["spec"], cluster.load("prometheus", "rules.yml")[0])

    def test_every_alert_is_seen_firing_and_silent(self):
        with open(UNIT_TESTS, encoding="utf-8") as file:
            tests = [one for group in yaml.safe_load(file)["tests"] for one in group.get("alert_rule_test", [])]
        for rule in rules():
            if "alert" in rule:
                seen = {bool(one["exp_alerts"]) for one in tests if one["alertname"] == rule["alert"]}
                self.assertEqual(seen, {True, False}, rule["alert"])
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                self.assertEqual(sorted(rule["annotations"]), ["action", "summary"])

    def test_every_record_has_a_unit_test(self):
        with open(UNIT_TESTS, encoding="utf-8") as file:
            text = file.read()
        used = " ".join(rule["expr"] for rule in rules() if "alert" in rule)
        for rule in rules():
            if "record" in rule:
                self.assertTrue(rule["record"] in text or rule["record"] in used, rule["record"])

    def test_every_metric_is_one_of_the_daemons(self):
        with Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors")) as daemon:
            text = daemon.get("/metrics").body.decode()
        types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
        records = {rule["record"] for rule in rules() if "record" in rule}
        expressions = [rule["expr"] for rule in rules()]
        expressions += [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
        self.assertGreater(len(expressions), 40)
        for expression in expressions:
            bare = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", expression)
            for name in METRIC.findall(bare):
                part = re.sub("_(bucket|sum|count)$", "", name)
                self.assertTrue(name in types or types.get(part) == "histogram", "%s in %s" % (name, expression))
            self.assertLessEqual(set(re.findall(r"\w+:\w+:\w+", bare)), records)


if __name__ == "__main__":
    unittest.main()
