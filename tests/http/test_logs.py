"""One log line per request (server/telemetry/log.c), in both formats, which no client can forge."""

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import unittest

from daemon import PATIENCE, PROGRAM, Daemon, environment, golden, wait_for

GIVEN = "given=" + golden("dict-basic.checkpoint.safetensors")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00-" + TRACE + "-00f067aa0ba902b7-01"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def requests(daemon):
    """The lines about requests of a log in JSON, in which every line must be an object."""
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    return [line for line in lines if line["message"] == "request"]


class Json(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon("--dictionary", GIVEN, "--log-format", "json")
        self.addCleanup(self.daemon.__exit__, None, None, None)

    def one(self, identity):
        def found():
            return [line for line in requests(self.daemon) if line["id"] == identity]

        wait_for(found, "the line of " + identity)
        self.assertEqual(len(found()), 1)
        return found()[0]

    def test_a_request_has_one_line(self):
        body = '{"vectors":[[1,2]]}'
        reply = self.daemon.post("/v1/dictionaries/given/search?", body,
                                 headers={"X-Request-Id": "mine-1", "Traceparent": PARENT})
        line = self.one("mine-1")
        self.assertRegex(line["time"], "^" + STAMP + "$")
        self.assertEqual(line["level"], "info")
        expected = {"method": "POST", "route": "search", "path": "/v1/dictionaries/given/search",
                    "status": reply.status, "bytes_in": len(body), "bytes_out": len(reply.body),
                    "client": "127.0.0.1", "dictionary": "given", "trace_id": TRACE}
        self.assertEqual({key: line.get(key) for key in expected}, expected)
        stages = [line["us_" + stage] for stage in ("receive", "queue", "compute", "send")]
        self.assertEqual(sum(stages), line["us"])
        self.assertGreaterEqual(min(stages), 0)

    def test_traceparent_is_given_back(self):
        for method in ("GET", "HEAD"):
            reply = self.daemon.request(method, "/v1/dictionaries", headers={"traceparent": PARENT})
            self.assertEqual(reply.headers.get_all("Traceparent"), [PARENT])
        refused = self.daemon.get("/nowhere", headers={"traceparent": PARENT})
        self.assertEqual(refused.headers["Traceparent"], PARENT)
        for bad in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", "x", PARENT.upper(), PARENT + "-more"):
            reply = self.daemon.get("/v1/dictionaries", headers={"traceparent": bad, "X-Request-Id": "bad-trace"})
            self.assertEqual(reply.status, 200)
            self.assertNotIn("Traceparent", reply.headers)
        wait_for(lambda: [line for line in requests(self.daemon) if line["id"] == "bad-trace"], "the line")
        for line in requests(self.daemon):
            if line["id"] == "bad-trace":
                self.assertNotIn("trace_id", line)

    def test_refusals_are_logged(self):
        for path, status, route in (("/nowhere", 404, "unknown"), ("/v1/dictionaries/none", 404, "dictionary"),
                                    ("/v1/dictionaries?x=1", 400, "dictionaries"),
                                    ("/v1/dictionaries/given/search", 405, "search")):
            identity = "refused%d" % len(path)
            self.assertEqual(self.daemon.get(path, headers={"X-Request-Id": identity}).status, status)
            line = self.one(identity)
            self.assertEqual((line["status"], line["route"]), (status, route))
        answer = self.daemon.raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        self.assertIn(b" 400 ", answer)
        wait_for(lambda: [line for line in requests(self.daemon) if line["status"] == 400 and line["path"] == ""
                          or line["path"] == "/"], "the line of the broken request")

    def test_lines_cannot_be_forged(self):
        forged = "/v1/%0a%7b%22message%22%3a%22request%22%7d%1b%5b2J%22%c2%9b%ff%e2%80%ae"
        self.daemon.get(forged, headers={"X-Request-Id": "evil\tid"})
        self.daemon.get(forged, headers={"X-Request-Id": "evil"})
        line = self.one("evil")
        self.assertEqual(line["status"] // 100, 4)
        raw = self.daemon.log()
        self.assertNotIn("\x1b", raw)
        self.assertNotIn("\x9b", raw)
        for text in raw.splitlines():
            json.loads(text)

    def test_the_rest_of_the_log_is_json_too(self):
        wait_for(lambda: "serving http://" in self.daemon.log(), "the line about the address")
        lines = [json.loads(line) for line in self.daemon.log().splitlines()]
        for line in lines:
            self.assertRegex(line["time"], "^" + STAMP + "$")
            self.assertIn(line["level"], ("debug", "info", "warning", "error"))


class Text(unittest.TestCase):
    def test_a_request_has_one_line(self):
        with Daemon("--dictionary", GIVEN) as daemon:
            daemon.get("/v1/dictionaries/given/atoms/1", headers={"X-Request-Id": "mine-2"})
            wait_for(lambda: "id=mine-2" in daemon.log(), "the line")
            line = [line for line in daemon.log().splitlines() if "id=mine-2" in line]
            self.assertEqual(len(line), 1)
            self.assertTrue(re.fullmatch(
                STAMP + r" info    request id=mine-2 method=GET route=atom path=/v1/dictionaries/given/atoms/1 "
                r"status=200 bytes_in=0 bytes_out=\d+ us=\d+ us_receive=\d+ us_queue=0 us_compute=\d+ us_send=\d+ "
                r"client=127\.0\.0\.1 dictionary=given", line[0]), line[0])

    def test_levels(self):
        # a build without the sandbox warns of that
        with Daemon("--dictionary", GIVEN, "--log-level", "warning", "--sandbox", "off") as daemon:
            daemon.get("/v1/dictionaries")
            daemon.get("/nowhere")
            self.assertEqual(daemon.stop(), 0)
            self.assertEqual(daemon.log(), "")


class Unread(unittest.TestCase):
    """Standard error is a full pipe that nobody reads."""

    reads = None

    def close(self):
        if self.reads is not None:
            os.close(self.reads)
        self.reads = None

    def start(self, *arguments):
        self.close()
        self.addCleanup(self.close)
        self.reads, writes = os.pipe()
        process = subprocess.Popen([PROGRAM, "--listen", "127.0.0.1:0", "--dictionary", GIVEN, *arguments],
                                   env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writes)
        os.close(writes)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        self.address = ("127.0.0.1", int(process.stdout.readline().decode().rsplit(":", 1)[1]))
        return process

    def ask(self, count):
        """One connection, `count` requests of some hundred bytes of log each; the text of the last reply."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        for _ in range(count):
            connection.request("GET", "/v1/dictionaries?" + "x" * 500)
            connection.getresponse().read()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return int(float(re.search(r"^rasaed_log_lines_dropped_total (\S+)$", text, re.M).group(1)))

    def status(self, path):
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
        return status

    def read_all(self):
        """Everything until the process closes its end."""
        parts = []
        while part := os.read(self.reads, 65536):
            parts.append(part)
        return b"".join(parts).decode()

    def test_requests_go_on_and_what_is_missing_is_told(self):
        process = self.start("--log-format", "json")
        count, dropped = 0, 0
        while not dropped and count < 20000:
            dropped = self.ask(1000)
            count += 1001
        self.assertGreater(dropped, 0)
        received = []
        reader = threading.Thread(target=lambda: received.append(self.read_all()))
        reader.start()
        wait_for(lambda: self.ask(1) >= dropped, "the log to flow")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)
        reader.join(PATIENCE)
        lines = [json.loads(line) for line in received[0].splitlines()]
        told = [re.match(r"(\d+) lines of the log were dropped here", line["message"]) for line in lines]
        self.assertGreaterEqual(sum(int(one.group(1)) for one in told if one), dropped)
        self.assertEqual(lines[-1]["message"], "stopped")

    def test_every_signal_ends_it_as_promised(self):
        for number in signal.SIGTERM, signal.SIGINT:
            process = self.start()
            self.ask(1000)
            process.send_signal(number)
            self.assertEqual(process.wait(PATIENCE), 0)
        process = self.start("--drain-delay-seconds", "60")
        self.ask(1000)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.status("/health/ready") == 503, "draining")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 1)

    def test_a_log_that_is_closed_stops_nothing(self):
        process = self.start()
        self.close()
        self.assertGreater(self.ask(50), 0)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
