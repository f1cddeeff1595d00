"""Three daemons behind a real HAProxy and a real nginx with the configurations of deploy/proxy (only addresses
differ). Under load, one daemon after another is restarted, and one is killed: no request is lost, and each daemon
gets its share again. Then real clients, unmodified, get answers that a daemon gives before it has read a body."""

import http.client
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

import cluster
from cluster import DEPLOY, PATIENCE, PROGRAM, TOP, golden

cluster.enter()

import requests  # noqa: E402

CLIENTS = 6
SOURCES = os.path.join(TOP, "tests", "clients")
SMALL = json.dumps({"latents": {"indices": [[0]], "values": [[1]]}})
LARGE = SMALL + " " * 100000  # more than a proxy keeps in one buffer


def free_ports(count):
    """Ports that are free now; a daemon that restarts needs the same one again."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


class Replica:
    """A daemon on a port of its own that can be started again."""

    def __init__(self, port, log, more=()):
        self.port, self.log_path, self.more = port, log, more
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--listen=127.0.0.1:%d" % self.port, "--drain-delay-seconds=2", "--drain-seconds=20",
                 "--trusted-proxy=127.0.0.1", "--dictionary=words=" + golden("dict-basic.checkpoint.safetensors"),
                 *self.more],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        assert b"serving" in self.process.stdout.readline()

    def stop(self, number):
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def answered(self):
        """How many requests it has reconstructed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        found = re.search(r'^rasaed_requests_total\{route="reconstruct",method="POST",status="200"\} (\d+)$', text, re.M)
        return int(found.group(1)) if found else 0


class Load:
    """Clients that send requests until they are stopped, and note failures."""

    def __init__(self, port, tenth):
        self.port, self.tenth, self.over, self.done, self.lost = port, tenth, threading.Event(), 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(i,)) for i in range(CLIENTS)]
        for one in self.threads:
            one.start()

    def client(self, number):
        """Even ones keep their connection, odd ones take a new one each time; every tenth request has another body."""
        connection = None
        for i in range(10**6):
            if self.over.is_set():
                break
            try:
                if connection is None or number % 2:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
                connection.request("POST", "/v1/dictionaries/words/reconstruct", self.tenth if i % 10 == 9 else SMALL)
                reply = connection.getresponse()
                body = reply.read()
                fault = None if reply.status == 200 and b"reconstructions" in body else (reply.status, body[:200])
                if number % 2:
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                fault, connection = repr(error), None
            with self.lock:
                self.done += 1
                if fault:
                    self.lost.append(fault)
            self.over.wait(0.002)
        if connection:
            connection.close()

    def stop(self):
        self.over.set()
        for one in self.threads:
            one.join()


class Proxied:
    """Three daemons behind a proxy."""

    more = ()  # settings of the daemons

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.port, self.secure_port, *ports = free_ports(5)
        self.certificate = self.make_certificate()
        self.replicas = [Replica(port, os.path.join(self.folder, "log.%d" % port), self.more) for port in ports]
        for one in self.replicas:
            self.addCleanup(lambda one=one: one.process.poll() is None and one.stop(signal.SIGKILL))
        self.start_proxy(["127.0.0.1:%d" % port for port in ports])
        self.wait_until(lambda: self.get("/health/ready") == 200, "the proxy")

    def configuration(self, name, addresses):
        with open(os.path.join(DEPLOY, "proxy", name), encoding="utf-8") as file:
            text = file.read()
        for i, address in enumerate(addresses):
            self.assertEqual(text.count("192.0.2.%d:8080" % (i + 1)), 1)
            text = text.replace("192.0.2.%d:8080" % (i + 1), address)
        return text

    def make_certificate(self):
        path = os.path.join(self.folder, "rasaed.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "1", "-subj", "/CN=localhost", "-keyout", path + ".key", "-out", path], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, "a", encoding="utf-8") as file, open(path + ".key", encoding="utf-8") as key:
            file.write(key.read())
        return path

    def with_http2(self, text, line, own):
        """The commented line about HTTP/2 in force, with our port and certificate."""
        self.assertEqual(text.count("# " + line), 1)
        return text.replace("# " + line, own)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self, name, *arguments):
        path, environment = cluster.tool(name)
        with open(os.path.join(self.folder, "proxy.log"), "wb") as log:
            self.proxy = subprocess.Popen([path, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log)
        self.addCleanup(self.proxy.wait, PATIENCE)
        self.addCleanup(self.proxy.terminate)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            with open(os.path.join(self.folder, "proxy.log"), encoding="utf-8") as file:
                self.assertIsNone(self.proxy.poll(), file.read())
            return None
        finally:
            connection.close()

    def wait_until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, "waited in vain for " + what)
            time.sleep(0.05)


class Behind(Proxied):
    """The tests; each proxy is a class below."""

    def every_replica_gets_a_share(self):
        before = [one.answered() for one in self.replicas]
        self.wait_until(lambda: all(one.answered() > start + 20 for one, start in zip(self.replicas, before)),
                        "a share for each")

    def test_a_rolling_restart_loses_no_request(self):
        load = Load(self.port, tenth=LARGE)
        try:
            self.every_replica_gets_a_share()
            for one in self.replicas:
                self.assertEqual(one.stop(signal.SIGTERM), 0)
                one.start()
                self.every_replica_gets_a_share()
        finally:
            load.stop()
        self.assertEqual(load.lost, [], "of %d" % load.done)
        self.assertGreater(load.done, 500)

    def test_the_end_of_one_loses_no_small_request(self):
        """Killed, without a drain. A proxy cannot repeat what does not fit into its buffer."""
        load = Load(self.port, tenth=SMALL)
        try:
            self.every_replica_gets_a_share()
            self.replicas[1].stop(signal.SIGKILL)
            done = load.done
            self.wait_until(lambda: load.done > done + 200, "200 requests")
            self.replicas[1].start()
            self.every_replica_gets_a_share()
        finally:
            load.stop()
        self.assertEqual(load.lost, [], "of %d" % load.done)

    def test_answers_before_the_body_arrive(self):
        """36 of 36 from daemons that refuse a request by its head, to a client that sends everything first."""
        basic = "/v1/dictionaries/words"
        refused = ((404, "/nothing", "application/json"), (405, basic, "application/json"),
                   (415, basic + "/reconstruct", "text/csv"))
        for turn in range(4):
            for status, path, kind in refused:
                for size in (300000, 3000000, 9000000):
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
                    connection.request("POST", path, b" " * size, {"Content-Type": kind})
                    reply = connection.getresponse()
                    self.assertEqual(reply.status, status, (turn, path, size))
                    self.assertTrue(json.loads(reply.read())["error"])
                    connection.close()

    def clients(self, path):
        """[(client, peer), ...] of the log, for requests of this path."""
        found = re.compile(r"^.* path=%s .* client=(\S+)(?: peer=(\S+))?" % re.escape(path), re.M)
        return [pair for one in self.replicas for pair in found.findall(one.log())]

    def test_the_log_has_the_address_of_the_client(self):
        """The client is 127.0.0.2, whatever it says, and the proxy 127.0.0.1."""
        made_up = {}, {"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9", "X-Forwarded-For": '"'}
        for i, headers in enumerate(made_up):
            path = "/v1/dictionaries/words/atoms/%d" % i
            connection = http.client.HTTPConnection("127.0.0.1", self.port, PATIENCE, ("127.0.0.2", 0))
            connection.request("GET", path, headers=headers)
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            self.wait_until(lambda path=path: self.clients(path), "the request in a log")
            self.assertEqual(self.clients(path), [("127.0.0.2", "127.0.0.1")], headers)
        self.assertFalse([one for one in self.replicas if "warning" in one.log()])  # of two headers that differ

    def test_http2_is_the_proxys(self):
        done = subprocess.run(["curl", "-sS", "--http2", "-k", "-w", "\n%{http_version} %{http_code}", "-d", SMALL,
                               "https://127.0.0.1:%d/v1/dictionaries/words/reconstruct" % self.secure_port],
                              capture_output=True, text=True, timeout=PATIENCE)
        body, status = done.stdout.rsplit("\n", 1)
        self.assertEqual(status, "2 200", done.stderr)
        self.assertIn("reconstructions", body)

    def test_metrics_are_not_for_everybody(self):
        self.assertEqual(self.get("/metrics"), 404)


class WithHaproxy:
    def start_proxy(self, addresses):
        text = self.configuration("haproxy.cfg", addresses)
        for old, new in (("bind :80\n", "bind 127.0.0.1:%d\n" % self.port),
                         ("log /dev/log local0\n", "log stderr format raw local0\n")):
            self.assertEqual(text.count(old), 1)
            text = text.replace(old, new)
        text = self.with_http2(text, "bind :443 ssl crt /etc/haproxy/rasaed.pem",
                               "bind 127.0.0.1:%d ssl crt %s" % (self.secure_port, self.certificate))
        path = self.write("haproxy.cfg", text)
        done = cluster.run("haproxy", "-c", "-f", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotRegex(done.stderr, "WARNING|ALERT")
        self.start("haproxy", "-db", "-f", path)


class Haproxy(WithHaproxy, Behind, unittest.TestCase):
    pass


class EarlyAnswers(WithHaproxy, Proxied, unittest.TestCase):
    """Each client 40 of 40 times, through HAProxy and without it (server/http/lingering.c)."""

    KEY = "k" * 32

    def setUp(self):
        keys = tempfile.NamedTemporaryFile("w", prefix="rasaed-test-", encoding="ascii")
        self.addCleanup(keys.close)
        keys.write("admin %s\n" % self.KEY)
        keys.flush()
        self.more = ("--dictionary=basic=" + golden("dict-basic.checkpoint.safetensors"), "--keys", keys.name,
                     "--max-body=200000")
        super().setUp()
        self.ways = ["http://127.0.0.1:%d" % port for port in (self.port, self.replicas[0].port)]

    def check(self, *command, env=None):
        for url in self.ways:
            done = subprocess.run([*command, url, self.KEY], capture_output=True, text=True, timeout=5 * PATIENCE, env=env)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            seen = json.loads(done.stdout)
            self.assertEqual(len(seen), 40)
            self.assertEqual([pair for pair in seen if pair[0] != pair[1]], [], url)

    def test_node(self):
        self.check("node", os.path.join(SOURCES, "early_answers.js"))

    def test_go(self):
        go, _ = cluster.tool("go")
        program = os.path.join(self.folder, "early_answers")
        root = os.path.dirname(os.path.dirname(os.path.realpath(go)))
        own = {"GOROOT": root, "GOCACHE": os.path.join(self.folder, "cache"), "CGO_ENABLED": "0", "GO111MODULE": "off"}
        subprocess.run([go, "build", "-o", program, os.path.join(SOURCES, "early_answers.go")], check=True,
                       timeout=10 * PATIENCE, env={**os.environ, **own})
        self.check(program)

    def test_requests_of_python(self):
        key, basic = {"Authorization": "Bearer " + self.KEY}, "/v1/dictionaries/basic"
        refused = ((401, basic + "/reconstruct", {}), (404, "/nothing", key), (405, basic, key),
                   (413, basic + "/reconstruct", key), (415, basic + "/reconstruct", {**key, "Content-Type": "text/csv"}))
        for url in self.ways:
            for size in (300000, 3000000, 9000000, 50000000):
                for status, path, headers in refused:
                    for body in (b" " * size, iter([b" " * 65536] * (size // 65536))):
                        reply = requests.post(url + path, headers={"Content-Type": "application/json", **headers},
                                              data=body, timeout=PATIENCE)
                        self.assertEqual((reply.status_code, bool(reply.json()["error"])), (status, True), (url, path, size))


class Nginx(Behind, unittest.TestCase):
    # Debian's nginx.conf around conf.d, without its paths and its user.
    AROUND = """daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include rasaed.conf;
}
"""

    def start_proxy(self, addresses):
        text = self.configuration("nginx.conf", addresses)
        self.assertEqual(text.count("listen 80;"), 1)
        text = self.with_http2(text, "listen 443 ssl http2;", "listen 127.0.0.1:%d ssl http2;" % self.secure_port)
        text = text.replace("/etc/nginx/rasaed.pem", self.certificate)
        self.write("rasaed.conf", text.replace("listen 80;", "listen 127.0.0.1:%d;" % self.port))
        path = self.write("nginx.conf", ("user root;\n" if os.getuid() == 0 else "") + self.AROUND)
        done = cluster.run("nginx", "-t", "-p", self.folder, "-c", path, "-e", "stderr")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("[warn]", done.stderr)
        self.start("nginx", "-p", self.folder, "-c", path, "-e", "stderr")


if __name__ == "__main__":
    unittest.main()
