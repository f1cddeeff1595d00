"""The manifests of deploy/kubernetes, built by kubectl's own kustomize with every component: against the schemas of
Kubernetes and of the Prometheus operator, against the restricted Pod Security Standard, and against each other.
The commands in them run: the daemon starts and stops with the arguments of its pod, and the jobs train.

No package brings a schema of MPIJob. Its own members are compared with a schema that is written down here from the
types of kubeflow.org/v2beta1; the pods in it are validated like any others."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.request

import cluster

cluster.enter()

import jsonschema  # noqa: E402
import kubernetes_validate  # noqa: E402
from cluster import KUBERNETES, PATIENCE, TOP, build, golden, pod_specs  # noqa: E402

# `sleep` of preStop is on by default from 1.30 on, matchLabelKeys from 1.27, unhealthyPodEvictionPolicy from 1.27.
VERSIONS = ("1.30.0", kubernetes_validate.latest_version())
COMPONENTS = ("fetch", "keys", "monitoring", "requests-in-flight")

COUNT = {"type": "integer", "minimum": 0}
REPLICAS = {
    "type": "object",
    "required": ["template"],
    "additionalProperties": False,
    "properties": {"replicas": COUNT, "restartPolicy": {"enum": ["Never", "OnFailure"]}, "template": {"type": "object"}},
}
MPIJOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "kubeflow.org/v2beta1"},
        "kind": {"const": "MPIJob"},
        "metadata": {"type": "object", "required": ["name"], "additionalProperties": False,
                     "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}}},
        "spec": {
            "type": "object",
            "required": ["mpiReplicaSpecs"],
            "additionalProperties": False,
            "properties": {
                "slotsPerWorker": COUNT,
                "sshAuthMountPath": {"type": "string"},
                "mpiImplementation": {"enum": ["OpenMPI", "Intel", "MPICH"]},
                "runPolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "cleanPodPolicy": {"enum": ["All", "Running", "None"]},
                        "ttlSecondsAfterFinished": COUNT,
                        "activeDeadlineSeconds": COUNT,
                        "backoffLimit": COUNT,
                        "suspend": {"type": "boolean"},
                    },
                },
                "mpiReplicaSpecs": {
                    "type": "object",
                    "required": ["Launcher", "Worker"],
                    "additionalProperties": False,
                    "properties": {"Launcher": REPLICAS, "Worker": REPLICAS},
                },
            },
        },
    },
}


def validate_core(value):
    for version in VERSIONS:
        kubernetes_validate.validate(value, version, strict=True)


def validate_operator(value):
    """The operator's own types, as pydantic models: they drop members that are not in their schema."""
    from cloudcoil.models.prometheus_operator import v1
    model = getattr(v1, value["kind"]).model_validate(value)
    kept = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert kept == value, "not in the schema of %s: %s" % (value["kind"], kept)


def validate_mpijob(value):
    jsonschema.validate(value, MPIJOB)
    for replicas in value["spec"]["mpiReplicaSpecs"].values():
        validate_core({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"},
                       "template": replicas["template"]})


VALIDATORS = {"monitoring.coreos.com/v1": validate_operator, "kubeflow.org/v2beta1": validate_mpijob}


def validate(value):
    VALIDATORS.get(value["apiVersion"], validate_core)(value)


def with_components(overlay, names):
    """The overlay with components, as a user would edit its kustomization.yaml."""
    with tempfile.TemporaryDirectory(prefix="rasaed-overlays-") as folder:
        shutil.copytree(cluster.DEPLOY, os.path.join(folder, "deploy"))
        copied = os.path.join(folder, "deploy", "kubernetes", overlay)
        with open(os.path.join(copied, "kustomization.yaml"), "a", encoding="utf-8") as file:
            file.write("\ncomponents:\n" + "".join("  - ../../components/%s\n" % name for name in names))
        return build(copied)


def find(objects, kind, name=None):
    found, = [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    return found


def container_of(objects):
    return find(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def flag(container, name):
    value, = [argument.split("=", 1)[1] for argument in container["args"] if argument.startswith(name + "=")]
    return value


def every_build():
    """(name, objects) of every build of deploy/kubernetes: each component alone and all together."""
    for overlay in ("overlays/cpu", "overlays/gpu"):
        yield overlay, build(overlay)
        for names in (*((name,) for name in COMPONENTS), COMPONENTS):
            yield "%s with %s" % (overlay, ", ".join(names)), with_components(overlay, names)
    yield "train", build("train")
    yield "train-mpi", build("train-mpi")
    pod = cluster.load("kubernetes", "upload.yaml")
    yield "upload", pod
    yield "upload, for the other claim", json.loads(json.dumps(pod).replace("models", "activations"))


class Schemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.builds = list(every_build())

    def each(self):
        """(name, object) of all builds."""
        for what, objects in self.builds:
            for one in objects:
                yield {"build": what, "object": "%s/%s" % (one["kind"], one["metadata"]["name"])}, one

    def test_everything_is_here(self):
        self.assertEqual(sorted(os.listdir(os.path.join(KUBERNETES, "components"))), sorted(COMPONENTS))
        kinds = {one["kind"] for _, objects in self.builds for one in objects}
        self.assertGreaterEqual(kinds, {"Namespace", "ServiceAccount", "PersistentVolumeClaim", "Deployment",
                                        "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
                                        "ServiceMonitor", "PrometheusRule", "ConfigMap", "Job", "MPIJob", "Pod"})

    def test_every_object_is_as_its_schema_says(self):
        valid = []  # most builds have most objects in common
        for what, one in self.each():
            if one not in valid:
                with self.subTest(**what):
                    validate(one)
                valid.append(one)

    def test_the_schemas_find_mistakes(self):
        """A wrong name planted at every depth of every kind."""
        seen = {}
        for _, objects in self.builds:
            for one in objects:
                seen.setdefault(one["kind"], one)
        for kind, one in seen.items():
            for path in [(), ("metadata",), ("spec",), ("spec", "template", "spec"),
                         ("spec", "mpiReplicaSpecs", "Worker", "template", "spec"), ("spec", "endpoints", 0)]:
                spoilt = place = copy.deepcopy(one)
                try:
                    for step in path:
                        place = place[step]
                except (KeyError, IndexError):
                    continue
                place["contaners"] = "x"
                with self.subTest(kind=kind, path=path), self.assertRaises(Exception):
                    validate(spoilt)

    def test_every_pod_keeps_to_the_restricted_profile(self):
        """The controls of https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and
        what we promise beyond: no token, a root file system that nobody writes, bounded resources."""
        pods = 0
        for what, one in self.each():
            for spec in pod_specs(one):
                pods += 1
                with self.subTest(**what):
                    self.check_restricted(spec)
        self.assertGreater(pods, 15)

    def check_restricted(self, spec):
        for member in ("hostNetwork", "hostPID", "hostIPC"):
            self.assertFalse(spec.get(member))
        for volume in spec.get("volumes", []):
            kind, = set(volume) - {"name"}
            self.assertIn(kind, ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
                                 "projected", "secret"))
        self.assertFalse(spec["automountServiceAccountToken"])
        self.assertTrue(spec["securityContext"]["runAsNonRoot"])
        self.assertGreater(spec["securityContext"]["runAsUser"], 0)
        self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        for container in spec["containers"] + spec.get("initContainers", []):
            self.assertEqual(container["securityContext"],
                             {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                              "capabilities": {"drop": ["ALL"]}})
            self.assertEqual(sorted(container["resources"]), ["limits", "requests"])
            self.assertRegex(container["image"], r"^[a-z0-9./-]+:[0-9][0-9a-z.-]*$")
            self.assertFalse([port for port in container.get("ports", []) if "hostPort" in port])

    def test_what_is_mounted_and_referred_to_is_there(self):
        def claims_of(objects):
            return {one["metadata"]["name"] for one in objects if one["kind"] == "PersistentVolumeClaim"}

        every = set().union(*(claims_of(objects) for _, objects in self.builds))
        for what, objects in self.builds:
            claims = claims_of(objects) if what.startswith("overlays") else every
            maps = {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"}
            for one in objects:
                for spec in pod_specs(one):
                    with self.subTest(build=what, object=one["metadata"]["name"]):
                        names = {volume["name"] for volume in spec["volumes"]}
                        for container in spec["containers"] + spec.get("initContainers", []):
                            self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, names)
                            for variable in container.get("env", []):
                                source = variable.get("valueFrom", {}).get("configMapKeyRef")
                                self.assertTrue(source is None or source["name"] in maps)
                        self.assertLessEqual({volume["persistentVolumeClaim"]["claimName"]
                                              for volume in spec["volumes"] if "persistentVolumeClaim" in volume},
                                             claims)


class Together(unittest.TestCase):
    """Rules that no schema has."""

    @classmethod
    def setUpClass(cls):
        cls.overlays = [build("overlays/cpu"), build("overlays/gpu"), with_components("overlays/cpu", COMPONENTS),
                        with_components("overlays/gpu", COMPONENTS)]

    def test_the_same_pods_are_meant_everywhere(self):
        for objects in self.overlays:
            deployment = find(objects, "Deployment")["spec"]
            labels = deployment["template"]["metadata"]["labels"]
            self.assertEqual(deployment["selector"]["matchLabels"], labels)
            self.assertEqual(find(objects, "Service")["spec"]["selector"], labels)
            self.assertEqual(find(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels)
            self.assertEqual(find(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels)
            for spread in deployment["template"]["spec"]["topologySpreadConstraints"]:
                self.assertEqual(spread["labelSelector"]["matchLabels"], labels)
            target = find(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
            self.assertEqual((target["kind"], target["name"]), ("Deployment", "rasaed"))
            self.assertNotIn("replicas", deployment)
            namespaced = [one["metadata"].get("namespace") for one in objects if one["kind"] != "Namespace"]
            self.assertEqual(set(namespaced), {find(objects, "Namespace")["metadata"]["name"]})
        monitor = find(self.overlays[2], "ServiceMonitor")["spec"]
        service = find(self.overlays[2], "Service")
        self.assertEqual(monitor["selector"]["matchLabels"].items() - service["metadata"]["labels"].items(), set())
        self.assertEqual(service["metadata"]["labels"][monitor["jobLabel"]], "rasaed")

    def test_ports_are_those_the_daemon_listens_on(self):
        for objects in self.overlays:
            container = container_of(objects)
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            self.assertEqual(flag(container, "--listen"), "0.0.0.0:%d" % ports["http"])
            self.assertEqual(flag(container, "--admin-listen"), "0.0.0.0:%d" % ports["admin"])
            for port in find(objects, "Service")["spec"]["ports"]:
                self.assertIn(port["targetPort"], ports)
            for rule in find(objects, "NetworkPolicy")["spec"]["ingress"]:
                self.assertIn(rule["ports"][0]["port"], ports)
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                self.assertIn(container[probe]["httpGet"]["port"], ports)
        self.assertIn(find(self.overlays[2], "ServiceMonitor")["spec"]["endpoints"][0]["port"], ports)

    def test_the_grace_is_longer_than_all_that_a_stop_waits_for(self):
        for objects in self.overlays:
            container = container_of(objects)
            waits = (container["lifecycle"]["preStop"]["sleep"]["seconds"],
                     int(flag(container, "--drain-delay-seconds")), int(flag(container, "--drain-seconds")))
            self.assertTrue(all(waits))
            grace = find(objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            self.assertGreaterEqual(grace, sum(waits) + 5)

    def test_the_dictionaries_come_from_a_volume_or_from_an_address(self):
        plain, fetching = self.overlays[0], self.overlays[2]
        self.assertEqual(find(plain, "NetworkPolicy")["spec"]["egress"], [])
        self.assertNotIn("initContainers", find(plain, "Deployment")["spec"]["template"]["spec"])
        self.assertEqual([one for one in fetching if one["kind"] == "PersistentVolumeClaim"], [])
        spec = find(fetching, "Deployment")["spec"]["template"]["spec"]
        models, = [volume for volume in spec["volumes"] if volume["name"] == "models"]
        self.assertIn("emptyDir", models)
        for container in spec["containers"] + spec["initContainers"]:
            self.assertIn({"name": "models", "mountPath": "/mnt/models"},
                          [{key: mount[key] for key in ("name", "mountPath")} for mount in container["volumeMounts"]])

    def test_the_gpu_overlay_asks_for_one(self):
        container = container_of(self.overlays[1])
        self.assertEqual(container["resources"]["limits"]["nvidia.com/gpu"], "1")
        self.assertEqual(flag(container, "--device"), "cuda")


class Commands(unittest.TestCase):
    """The commands of the containers, run here; only paths, addresses and sizes differ."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        programs = os.path.dirname(cluster.PROGRAM)
        self.places = {"/usr/bin/rasae": programs + "/rasae"}  # and rasaed
        for place in ("/mnt/models", "/data", "/etc/rasaed"):
            self.places[place] = self.folder + place
            os.makedirs(self.places[place])

    def local(self, text):
        for place, here in self.places.items():
            text = text.replace(place, here)
        return text

    def environment(self, container, **others):
        """The environment as the kubelet makes it: values, and the limits of the container."""
        variables = {}
        for one in container.get("env", []):
            source = one.get("valueFrom", {}).get("resourceFieldRef")
            limit = container["resources"]["limits"][source["resource"].split(".")[1]] if source else None
            variables[one["name"]] = self.local(limit or one["value"])
        return {**os.environ, **variables, **others}

    def test_the_daemon_starts_answers_its_probes_and_stops_in_time(self):
        shutil.copy(golden("dict-basic.checkpoint.safetensors"), self.places["/mnt/models"] + "/words.safetensors")
        with open(self.places["/etc/rasaed"] + "/keys", "w", encoding="ascii") as file:
            file.write("read read-key-for-tests-000001\n")
        objects = with_components("overlays/cpu", COMPONENTS)
        container = container_of(objects)
        words = [re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", self.local(word))
                 for word in container["command"] + container["args"]]
        grace = find(objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        process = subprocess.Popen(words, env=self.environment(container), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            urls = {"http": process.stdout.readline().split()[-1], "admin": process.stdout.readline().split()[-1]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                where = container[probe]["httpGet"]
                with urllib.request.urlopen(urls[where["port"]] + where["path"], timeout=PATIENCE) as reply:
                    self.assertEqual(reply.status, 200)
            endpoint = find(objects, "ServiceMonitor")["spec"]["endpoints"][0]
            with urllib.request.urlopen(urls[endpoint["port"]] + endpoint["path"], timeout=PATIENCE) as reply:
                self.assertIn(b"rasaed_requests_total", reply.read())
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(grace), 0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def run_container(self, container, **sizes):
        """Runs a container's command to its end, with these values for these flags."""
        environment = self.environment(container, THREADS="1")
        words = [re.sub(r"\$\((\w+)\)", lambda match: environment[match.group(1)], self.local(word))
                 for word in container["command"] + container["args"]]
        for name, value in sizes.items():
            at, = [i for i, word in enumerate(words) if word.startswith("--%s=" % name)]
            words[at] = "--%s=%s" % (name, value)
        done = subprocess.run(words, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE * 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_the_job_trains_goes_on_and_fuses(self):
        shutil.copy(os.path.join(TOP, "tests", "data", "digits.npy"), self.places["/data"] + "/activations.npy")
        spec = find(build("train"), "Job")["spec"]["template"]["spec"]
        train, = spec["initContainers"]
        fuse, = spec["containers"]
        self.assertNotIn("continuing", self.run_container(train, concepts=16, points=20, **{"top-k": 4}, epochs=1))
        self.assertIn("continuing from step", self.run_container(train, concepts=16, points=20, **{"top-k": 4}, epochs=2))
        self.run_container(fuse)
        done = subprocess.run([cluster.PROGRAM, "--check-config", "--dictionary-dir", self.places["/mnt/models"]],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertTrue(done.stdout.endswith("\nOK\n"), done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
