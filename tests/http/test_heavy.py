"""Requests that take long (server/dispatch.c, server/serving/{batcher,compute}.c): off the I/O
threads, joined, limited, with deadlines, and not computed for clients that have left."""

import array
import concurrent.futures
import json
import os
import random
import re
import select
import shutil
import signal
import struct
import tempfile
import threading
import time
import unittest

from daemon import Daemon, read_all, wait_for

K, D = 60000, 64  # so large that the largest request takes a while even on a fast machine
SEARCH, ENCODE, EXPLAIN = ("/v1/dictionaries/big/" + name for name in ("search", "encode", "explain"))
MOST, SHORT = 4096, 128  # rows: a search of as many as take a second or so, and a short one


def write_artifact(path):
    """A dictionary with an encoder, large enough for a slow search."""
    numbers = random.Random(1)  # all atoms differ: among equal scores the last bits would decide
    atoms = array.array("f", (numbers.random() - 0.5 for _ in range(K * D))).tobytes()
    bias = array.array("f", [(i % 11) / 100 for i in range(K)]).tobytes()
    header, data = {"__metadata__": {"sae": "topk", "top_k": "4", "encoder": "linear"}}, b""
    for name, shape, part in (("dictionary", [K, D], atoms),
                              ("encoder.final_block.0.weight", [K, D], atoms),
                              ("encoder.final_block.0.bias", [K], bias)):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def vectors(rows, seed=0):
    return [[((seed + i) * 31 + j * 17) % 101 / 101 - 0.5 for j in range(D)] for i in range(rows)]


def search_body(rows):
    return json.dumps({"vectors": vectors(rows), "k": 1})


class Heavy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        cls.path = os.path.join(cls.folder, "big.safetensors")
        write_artifact(cls.path)
        cls.short = search_body(SHORT)
        with Daemon("--dictionary", "big=" + cls.path) as daemon:
            seconds = min(cls.time_of(daemon, cls.short) for _ in range(3))  # the machine may be busy
        rows = min(MOST, max(SHORT, int(SHORT * 1.5 / seconds)))
        cls.rows, cls.long, cls.medium = rows, search_body(rows), search_body(max(16, rows // 12))

    @staticmethod
    def time_of(daemon, body):
        start = time.monotonic()
        daemon.post(SEARCH, body)
        return time.monotonic() - start

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def start(self, *arguments, env=()):
        return Daemon("--dictionary", "big=" + self.path, *arguments, env=env)

    def begin(self, daemon, body=None, path=SEARCH):
        """A connection that has sent its request."""
        connection = daemon.connect()
        connection.request("POST", path, body or self.long)
        return connection

    def in_background(self, daemon, body, path=SEARCH):
        result = []

        def run():
            reply = daemon.post(path, body)
            result.append((reply.status, reply.headers, reply.body))
        thread = threading.Thread(target=run)
        thread.start()
        return thread, result

    def in_flight(self, daemon):
        """Requests that have begun, besides the one that asks."""
        value = re.search(rb"^rasaed_requests_in_flight (\d+)$", daemon.get("/metrics").body, re.M)
        return int(value.group(1)) - 1

    def ever_longer(self):
        """Bodies of long requests, which come with their heads: what ends before it was seen under way, on a machine with
        much else to do, is sent again with the next."""
        return [json.dumps({"atoms": list(range(min(MOST, self.rows * longer))), "k": 1}) for longer in (1, 2, 4, 8)]

    def busy_with(self, daemon, count):
        """So many long requests in the background that were seen under way at the same time."""
        for body in self.ever_longer():
            waiting = [self.in_background(daemon, body) for _ in range(count)]
            while all(thread.is_alive() for thread, _ in waiting):
                if self.in_flight(daemon) >= count:
                    return waiting
            for thread, _ in waiting:
                thread.join()
        self.fail("no request takes long enough to be seen")

    def test_light_requests_do_not_wait_for_heavy_ones(self):
        with self.start("--threads", "1") as daemon:
            thread, result = self.in_background(daemon, self.long)
            answered = 0
            while thread.is_alive():
                self.assertEqual(daemon.get("/health/live").status, 200)
                self.assertEqual(daemon.get("/v1/dictionaries/big/atoms/5").status, 200)
                answered += 1
            thread.join()
            self.assertEqual(result[0][0], 200)
            self.assertGreater(answered, 3)  # one that waits is answered behind the heavy one

    def test_requests_that_wait_are_joined_and_each_has_its_own_answer(self):
        """To the bit: 40 requests have the bodies that each has alone, whatever they were joined with."""
        for path in (ENCODE, EXPLAIN):
            with self.subTest(path), self.start("--batch-delay-us", "50000") as daemon:
                bodies = [json.dumps({"inputs": vectors(1 + i % 3, i)}) for i in range(40)]
                alone = [daemon.post(path, body).body for body in bodies]
                before = self.batches(daemon)
                bad = json.dumps({"inputs": [[1.0] * (D - 1)]})
                with concurrent.futures.ThreadPoolExecutor(41) as pool:
                    wrong = pool.submit(daemon.post, path, bad)
                    together = list(pool.map(lambda body: daemon.post(path, body), bodies))
                self.assertEqual(wrong.result().status, 400)
                self.assertEqual([reply.status for reply in together], [200] * 40)
                self.assertEqual([reply.body for reply in together], alone)
                self.assertLess(self.batches(daemon) - before, 40)

    def batches(self, daemon):
        for line in daemon.get("/metrics").body.decode().split("\n"):
            if line.startswith("rasaed_batch_rows_count"):
                return float(line.split()[-1])
        self.fail("no rasaed_batch_rows_count")

    def test_pipelined_requests_are_answered_in_order(self):
        with self.start() as daemon:
            data = b""
            for i in range(6):
                body = json.dumps({"vectors": vectors(SHORT if i % 2 else 1, i), "k": 1 + i}).encode()
                data += ("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (
                    SEARCH, "Connection: close\r\n" if i == 5 else "", len(body))).encode() + body
            answers = daemon.raw(data).split(b"HTTP/1.1 200 OK\r\n")[1:]
            counts = [len(json.loads(one.split(b"\r\n\r\n", 1)[1])["results"][0]) for one in answers]
            self.assertEqual(counts, [1, 2, 3, 4, 5, 6])

    def test_a_full_queue_says_when_to_come_back(self):
        with self.start("--max-queue", "1") as daemon:
            body = self.medium
            with concurrent.futures.ThreadPoolExecutor(80) as pool:
                replies = list(pool.map(lambda _: daemon.post(SEARCH, body), range(80)))
            seen = {reply.status for reply in replies}
            self.assertEqual(seen, {200, 503})
            for reply in replies:
                if reply.status == 503:
                    self.assertEqual(reply.headers["Retry-After"], "1")
                    self.assertIn("queue", reply.json["error"])
            self.assertEqual(daemon.post(SEARCH, self.short).status, 200)

    def test_a_deadline(self):
        with self.start("--deadline-ms", "100") as daemon:
            connection = daemon.connect()
            start = time.monotonic()
            reply = daemon.post(SEARCH, self.long, connection=connection)
            self.assertEqual(reply.status, 503)
            self.assertIn("deadline", reply.json["error"])
            self.assertEqual((reply.json["code"], reply.headers["X-Error-Code"]), ("deadline_exceeded",) * 2)
            self.assertEqual(reply.headers["Retry-After"], "1")
            self.assertLess(time.monotonic() - start, 5)
            first = connection.sock
            self.assertEqual(daemon.get("/health/live", connection=connection).status, 200)
            self.assertIs(connection.sock, first)
            connection.close()

    def test_who_left_costs_no_computation(self):
        with self.start() as daemon:
            left = [self.begin(daemon) for _ in range(24)]
            wait_for(lambda: self.in_flight(daemon) > 0, "work")
            for connection in left:
                connection.close()
            wait_for(lambda: daemon.log().count("status=499") == 24, "24 lines in the log")
            start = time.monotonic()
            self.assertEqual(daemon.post(SEARCH, self.short).status, 200)
            computed_all = 24 * 0.2  # much less than they would take one after another
            self.assertLess(time.monotonic() - start, computed_all)
            self.assertIn(b"rasaed_queue_length{for=\"thread\"} 0", daemon.get("/metrics").body)

    def test_too_many_requests_at_once(self):
        with self.start("--max-in-flight", "1") as daemon:
            with daemon.begun(SEARCH, len(self.short)) as begun:
                reply = daemon.get("/v1/dictionaries")
                self.assertEqual(reply.status, 503)
                self.assertEqual(reply.headers["Retry-After"], "1")
                self.assertIn("too many requests", reply.json["error"])
                for path in ("/health/live", "/health/ready", "/metrics"):
                    self.assertEqual(daemon.get(path).status, 200)
                begun.sendall(self.short.encode())
                self.assertIn(b"HTTP/1.1 200", begun.recv(65536))
            wait_for(lambda: daemon.get("/v1/dictionaries").status == 200, "room again")

    # ---- the end

    def test_a_stop_waits_for_what_has_begun(self):
        with self.start() as daemon:
            waiting = self.busy_with(daemon, 2)
            self.assertEqual(daemon.stop(), 0)
            for thread, result in waiting:
                thread.join()
                self.assertEqual(result[0][0], 200)
                self.assertEqual(result[0][1]["Connection"], "close")

    def test_a_stop_that_does_not_wait_answers_503(self):
        # a computation that is still running is left to the end of the process, with its thread
        with self.start("--drain-seconds", "0", env={"TSAN_OPTIONS": "report_thread_leaks=0"}) as daemon:
            waiting = self.busy_with(daemon, 4)
            self.assertEqual(daemon.stop(signal.SIGINT), 0)
            for thread, _ in waiting:
                thread.join()
            refused = [result[0] for _, result in waiting if result[0][0] != 200]  # the first may just have ended
            self.assertGreater(len(refused), 1)
            for status, headers, body in refused:
                self.assertEqual((status, headers["X-Error-Code"]), (503, "stopping"))
                self.assertIn(b"stopping", body)

    # ---- what the body names

    def test_a_scan_is_weighed_by_its_own_dictionary(self):
        """Not by the first one, which may be small."""
        small = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "golden",
                             "dict-basic.checkpoint.safetensors")
        with Daemon("--dictionary", "a=" + small, "--dictionary", "big=" + self.path) as daemon:
            def joined():
                return int(re.search(r"^rasaed_batch_rows_count (\d+)", daemon.get("/metrics").body.decode(), re.M)[1])

            self.assertEqual(joined(), 0)
            reply = daemon.post("/v1/util/sae-topk-by-decoder-cossim",
                                {"feature": {"model": "m", "source": "big", "index": 3}, "model": "m", "source": "big",
                                 "num_results": 2})
            self.assertEqual(reply.status, 200, reply.body)
            self.assertEqual(joined(), 1)  # a compute thread did it

    # ---- clients that leave

    def leave_a_computation(self, daemon):
        busy = re.compile(r'^rasaed_resource_used\{resource="compute_threads"\} [1-9]', re.M)
        for body in self.ever_longer():
            with daemon.socket() as connection:
                connection.sendall(("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                    "Content-Length: %d\r\n\r\n%s" % (SEARCH, len(body), body)).encode())
                while not select.select([connection], [], [], 0)[0]:
                    if busy.search(daemon.get("/metrics").body.decode()):
                        return
        self.fail("no computation takes long enough to be seen")

    def test_a_client_that_leaves_is_no_error(self):
        with self.start() as daemon:
            for _ in range(3):
                self.leave_a_computation(daemon)
            wait_for(lambda: daemon.log().count("status=499") == 3, "the log")
            wait_for(lambda: self.waiting(daemon) == 0, "the end of the computations")
            wait_for(lambda: re.search(r"(?m)^\S+ info .*the request was given up", daemon.log()), "the computation that ends early")
            self.assertNotRegex(daemon.log(), r"(?m)^\S+ error ")

    def waiting(self, daemon):
        found = re.findall(r"^rasaed_queue_length\{for=\"\w+\"\} (\d+)", daemon.get("/metrics").body.decode(), re.M)
        return sum(map(int, found))

    # ---- loads

    def test_many_reloads_are_one_and_hold_no_compute_thread(self):
        """And none is answered 503 by a deadline that a load is longer than."""
        keys = os.path.join(self.folder, "keys")
        with open(keys, "w", encoding="ascii") as file:
            file.write("admin " + "k" * 32 + "\n")
        key = {"Authorization": "Bearer " + "k" * 32}
        path = "/v1/dictionaries/big"
        with self.start("--keys", keys, "--deadline-ms", "2000", "--threads", "2") as daemon:
            def reload():
                connection = daemon.connect()
                try:
                    return daemon.request("POST", path + "/reload", headers=key, connection=connection).status
                finally:
                    connection.close()

            with concurrent.futures.ThreadPoolExecutor(60) as pool:
                waiting = [pool.submit(reload) for _ in range(60)]
                statuses = [daemon.request("POST", SEARCH, search_body(1), headers=key).status for _ in range(3)]
                self.assertEqual({one.result() for one in waiting}, {200})
            self.assertEqual(statuses, [200, 200, 200])
            metrics = daemon.get("/metrics", headers=key).body.decode()
            loads = int(re.search(r'rasaed_dictionary_loads_total\{dictionary="big"\} (\d+)', metrics)[1])
            self.assertGreater(loads, 1)
            self.assertLess(loads, 40)  # those that wait together are joined
            self.assertEqual(daemon.get(path, headers=key).json["generation"], 1)  # of the same content

    # ---- connections

    def serves(self, connection):
        connection.settimeout(1)
        try:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            return b'"live"' in connection.recv(65536)
        except OSError:
            return False

    def test_connections_of_one_address(self):
        with self.start("--max-connections-per-address", "3") as daemon:
            few = [daemon.socket() for _ in range(3)]
            self.assertTrue(all(self.serves(one) for one in few))
            with daemon.socket() as more:
                self.assertFalse(self.serves(more))
            few.pop().close()
            wait_for(lambda: self.opens(daemon), "room for another")
            why = "connections refused: 127.0.0.1 has the 3 that"
            daemon.says(why)
            self.assertEqual(daemon.log().count(why), 1)
            refused = 'rasaed_connections_refused_total{address="main",reason="address"} '
            few[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertRegex(read_all(few[0]).decode(), re.escape(refused) + "[1-9]")
            for one in few:
                one.close()

    def opens(self, daemon):
        with daemon.socket() as one:
            return self.serves(one)

    def opens_for_long(self, daemon):
        with daemon.socket() as one:
            return self.serves(one) and self.serves(one)

    def test_connections_in_all(self):
        ask = b"GET /v1/dictionaries HTTP/1.1\r\nHost: x\r\n\r\n"
        with self.start("--max-connections", "2", "--threads", "1") as daemon:
            few = [daemon.socket() for _ in range(2)]
            self.assertTrue(all(self.serves(one) for one in few))
            for _ in range(40):  # more than there are spare ones
                with daemon.socket() as more:
                    more.sendall(ask)
                    reply = read_all(more)
                    self.assertIn(b"HTTP/1.1 503 ", reply)
                    self.assertIn(b"Retry-After: ", reply)
                    self.assertIn(b"all connections of the server are taken", reply)
                self.assertTrue(self.opens(daemon))  # health
            silent = [daemon.socket() for _ in range(40)]  # they take the spare ones, for a moment
            wait_for(lambda: self.opens(daemon), "health behind silent clients")
            text = daemon.get("/metrics").body.decode()
            self.assertIn('rasaed_connections_refused_total{address="main",reason="full"} 40\n', text)
            self.assertIn('rasaed_resource_used{resource="connections"} 2\n', text)
            self.assertIn('rasaed_connections{address="main",state="idle"}', text)
            self.assertEqual(daemon.log().count("all 2 connections are taken, and clients wait"), 1)
            for one in silent:
                one.close()
            few.pop().close()
            wait_for(lambda: self.opens_for_long(daemon), "an ordinary connection")
            few.pop().close()

    def test_a_moment_without_room_is_only_waited_for(self):
        with self.start("--max-connections", "1", "--threads", "1") as daemon:
            with daemon.socket() as one:
                self.assertTrue(self.serves(one))
                more = daemon.socket()
                more.sendall(b"GET /v1/dictionaries HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"HTTP/1.1 200", more.recv(65536))
            more.close()

    # ---- the address for administration

    def test_a_second_address(self):
        with self.start("--admin-listen", "127.0.0.1:0", "--max-in-flight", "1") as daemon:
            def ask(address, method, path):
                connection = daemon.connect(address)
                reply = daemon.request(method, path, connection=connection)
                connection.close()
                return reply
            for path in ("/health/live", "/health/ready", "/metrics"):
                for address in (daemon.address, daemon.admin_address):
                    self.assertEqual(ask(address, "GET", path).status, 200)
            self.assertEqual(ask(daemon.address, "GET", "/v1/dictionaries").status, 200)
            self.assertEqual(ask(daemon.admin_address, "GET", "/v1/dictionaries").status, 404)
            reload = "/v1/dictionaries/big/reload"
            self.assertEqual(ask(daemon.address, "POST", reload).status, 404)
            self.assertEqual(ask(daemon.admin_address, "POST", reload).status, 403)  # there are no keys

    def test_the_second_address_drains_too(self):
        with self.start("--admin-listen", "127.0.0.1:0") as daemon:
            with daemon.begun(SEARCH, len(self.short)) as begun:
                daemon.send(signal.SIGTERM)
                admin = daemon.connect(daemon.admin_address)
                wait_for(lambda: daemon.get("/health/ready", connection=admin).status == 503, "draining")
                admin.close()
                begun.sendall(self.short.encode())
                self.assertIn(b"HTTP/1.1 200", begun.recv(65536))
            self.assertEqual(daemon.process.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
