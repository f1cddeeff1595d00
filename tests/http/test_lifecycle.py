"""From the command line to the last answer (server/{main,daemon,signals,stop}.c, server/http/server.c): settings,
start, load, reload, stop."""

import concurrent.futures
import http.client
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from daemon import (PROGRAM, Daemon, environment, golden, read_all, read_safetensors, relative_error, rows,
                    run, wait_for, write_safetensors)

BASIC = golden("dict-basic.checkpoint.safetensors")
GIVEN = "basic=" + BASIC
RECONSTRUCT = "/v1/dictionaries/basic/reconstruct"
BODY = json.dumps({"latents": {"indices": [[0]], "values": [[1]]}})


class Settings(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def refused(self, status, arguments, *parts, env=()):
        done = run(*arguments, env=env)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        line = done.stderr.strip().split("\n")[-1]
        self.assertTrue(line.startswith("rasaed: "), line)
        for part in parts:
            self.assertIn(part, line)
        return done

    def test_help_and_version(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for flag in ("--listen", "--dictionary", "--device", "--threads", "--max-body", "--max-rows",
                     "--config", "--drain-seconds", "--log-level", "--top-k", "--delta",
                     "--running-threshold"):
            self.assertIn(flag + " ", done.stdout)
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^rasaed \d+\.\d+\.\d+\n$")

    def test_wrong_usage_is_status_2_and_one_sentence(self):
        self.refused(2, [], "no dictionary", "--dictionary NAME=FILE")
        for arguments, part in ((["--bogus"], "--bogus"), (["--bogus=1"], "--bogus"), (["file"], '"file"'),
                                (["-q"], "no flag -q"), (["--listen"], "--listen needs a value"),
                                (["--listen", "8080"], "HOST:PORT"), (["--listen", "h:99999"], "65535"),
                                (["--listen", "::1:80"], "[ADDRESS]:PORT"),
                                (["--threads", "x"], '--threads is "x"'),
                                (["--threads=1", "--threads=1"], "--threads is given more than once"),
                                (["--listne", "x"], "did you mean --listen?"),
                                (["--threads=1025"], "1024"), (["--max-body", "0"], "--max-body"),
                                (["--max-body", "-1"], "--max-body"), (["--max-rows", "1e3"], "--max-rows"),
                                (["--log-level", "loud"], "loud"), (["--top-k", "0"], "--top-k"),
                                (["--sae", "gated"], "gated"), (["--no-multiplier=1"], "--no-multiplier"),
                                (["--dictionary", "basic"], "NAME=FILE"),
                                (["--dictionary", "basic="], "NAME=FILE"),
                                (["--dictionary", "=x"], 'the name ""'),
                                (["--dictionary", "a/b=x"], '"a/b"'),
                                (["--dictionary", "a" * 65 + "=x"], "64"),
                                (["--dictionary", "a=x", "--dictionary", "a=y"], "twice")):
            done = self.refused(2, [*arguments, *(() if "twice" in part else ("--dictionary", GIVEN))], part)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_environment_and_file_are_checked_too(self):
        self.refused(2, ["--dictionary", GIVEN], 'RASAED_THREADS is "x"', env={"RASAED_THREADS": "x"})
        path = self.file("conf", "# a comment\n\nthreads = 2\ncolor = red\n")
        self.refused(2, ["--dictionary", GIVEN, "--config", path], path, "line 4", '"color"')
        self.refused(2, ["--config", self.file("conf", "threads 2\n")], "line 1", "key = value")
        self.refused(2, ["--config", self.file("conf", "config = x\n")], "line 1", '"config"')
        self.refused(1, ["--config", os.path.join(self.folder, "none")], "none")

    def test_a_flag_wins_over_the_environment_and_that_over_the_file(self):
        path = self.file("conf", "max_rows = 1\nmax_body = 2000\ndictionary = file=%s\n  top_k=3  \n" % BASIC)
        env = {"RASAED_MAX_ROWS": "2", "RASAED_MAX_BODY": "1000"}
        with Daemon("--config", path, "--max-rows", "3", env=env) as daemon:
            listed = daemon.get("/v1/dictionaries").json["dictionaries"]
            self.assertEqual([one["name"] for one in listed], ["file"])
            body = {"latents": {"indices": [[0]] * 4, "values": [[1]] * 4}}
            reply = daemon.post("/v1/dictionaries/file/reconstruct", body)
            self.assertIn("at most 3", reply.json["error"])
            reply = daemon.post("/v1/dictionaries/file/reconstruct", BODY + " " * 1000)
            self.assertIn("1000 bytes", reply.json["error"])

    def test_dictionaries_of_the_environment(self):
        with Daemon(env={"RASAED_DICTIONARY": "a=%s;b=%s" % (BASIC, BASIC)}) as daemon:
            listed = daemon.get("/v1/dictionaries").json["dictionaries"]
            self.assertEqual([one["name"] for one in listed], ["a", "b"])

    def test_a_missing_setting_is_completed_by_a_flag_and_a_given_one_stays(self):
        tensors, metadata = read_safetensors(BASIC)
        delta = float(metadata.pop("delta"))
        path = os.path.join(self.folder, "bare.safetensors")
        write_safetensors(path, tensors, metadata)
        self.refused(1, ["--dictionary", "bare=" + path], "delta", "--delta")
        with Daemon("--dictionary", "bare=" + path, "--dictionary", GIVEN, "--delta", "0") as daemon:
            def atoms(name):
                reply = daemon.get("/v1/dictionaries/%s/atoms?limit=1000&fields=relaxation" % name).json
                return [atom["relaxation"]["norm"] for atom in reply["atoms"]]
            self.assertEqual(set(atoms("bare")), {0})
            self.assertGreater(max(atoms("basic")), 0)
            self.assertEqual(daemon.get("/v1/dictionaries/basic").json["settings"]["delta"], delta)

    # ---- files and addresses that do not work

    def test_files_that_do_not_open_are_status_1_and_one_sentence(self):
        with open(BASIC, "rb") as file:
            content = file.read()
        cut = os.path.join(self.folder, "cut")
        with open(cut, "wb") as file:
            file.write(content[:-10])
        for path in (os.path.join(self.folder, "none"), self.folder, self.file("empty", ""),
                     self.file("text", "hello, world\n"), cut):
            self.refused(1, ["--listen", "127.0.0.1:0", "--dictionary", "x=" + path], path)

    def test_an_address_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = "127.0.0.1:%d" % other.getsockname()[1]
            self.refused(1, ["--listen", address, "--dictionary", GIVEN], address, "in use")

    def test_ipv6(self):
        if not socket.has_ipv6:
            self.skipTest("no IPv6 here")
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("no IPv6 here")
        process = subprocess.Popen([PROGRAM, "--listen", "[::1]:0", "--dictionary", GIVEN], env=environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            line = process.stdout.readline().decode()
            self.assertRegex(line, r"^rasaed: serving http://\[::1\]:\d+\n$")
            with socket.create_connection(("::1", int(line.rsplit(":", 1)[1])), timeout=60) as connection:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertIn(b'"live"', read_all(connection))
        finally:
            process.terminate()
            self.assertEqual(process.wait(60), 0)
            process.stdout.close()


class Serving(unittest.TestCase):
    def test_a_hundred_clients_at_once(self):
        with Daemon("--dictionary", GIVEN, "--threads", "4") as daemon:
            wanted = daemon.post(RECONSTRUCT, BODY).body
            ready = threading.Barrier(100)

            def client(number):
                connection = daemon.connect()
                connection.connect()
                ready.wait(60)
                for i in range(10):
                    reply = daemon.post(RECONSTRUCT, BODY, connection=connection)
                    if reply.status != 200 or reply.body != wanted:
                        return "client %d, request %d: %d" % (number, i, reply.status)
                connection.close()
                return None

            with concurrent.futures.ThreadPoolExecutor(100) as pool:
                self.assertEqual([fault for fault in pool.map(client, range(100)) if fault], [])
            self.assertEqual(daemon.get("/v1/dictionaries/basic").json["requests"], 1002)

    def test_one_thread_is_enough(self):
        single = ("--threads", "1", "--compute-threads", "1", "--device", "reference")
        with Daemon("--dictionary", GIVEN, *single) as daemon:
            self.assertEqual(daemon.get("/v1/dictionaries/basic").json["device"], "reference")
            self.assertEqual(daemon.post(RECONSTRUCT, BODY).status, 200)

    def test_an_idle_connection_is_closed(self):
        with Daemon("--dictionary", GIVEN, "--idle-seconds", "1") as daemon:
            with daemon.socket() as connection:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b'"live"', read_all(connection))  # is answered, without a request to close


class Reload(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="rasaed-test-")
        self.addCleanup(shutil.rmtree, folder)
        self.path = os.path.join(folder, "served.safetensors")
        self.tensors, self.metadata = read_safetensors(BASIC)
        self.store(1)

    def store(self, scale):
        """The golden dictionary times `scale`, under the served name."""
        (shape, (multiplier,)) = self.tensors["dictionary.multiplier"]
        changed = dict(self.tensors)
        changed["dictionary.multiplier"] = (shape, [multiplier + math.log(scale)])
        write_safetensors(self.path, changed, self.metadata)

    def start(self, *arguments):
        return Daemon("--dictionary", "basic=" + self.path, *arguments)

    def reload(self, daemon, generation):
        daemon.send(signal.SIGHUP)
        wait_for(lambda: daemon.get("/v1/dictionaries/basic").json["generation"] == generation,
                 "generation %d" % generation)

    def test_sighup_takes_the_new_file(self):
        with self.start() as daemon:
            before = daemon.get("/v1/dictionaries/basic/atoms/0").json["vector"]
            self.store(4)
            self.assertEqual(daemon.get("/v1/dictionaries/basic/atoms/0").json["vector"], before)
            self.reload(daemon, 2)
            after = daemon.get("/v1/dictionaries/basic/atoms/0").json["vector"]
            self.assertLess(relative_error([after], [[4 * x for x in before]]), 1e-6)

    def test_a_bad_file_changes_nothing_and_the_log_says_why(self):
        with self.start() as daemon:
            before = daemon.post(RECONSTRUCT, BODY).body
            for content in (b"", b"not a dictionary"):
                with open(self.path + ".new", "wb") as file:
                    file.write(content)
                os.replace(self.path + ".new", self.path)
                said = daemon.log().count("not reloaded")
                daemon.send(signal.SIGHUP)
                wait_for(lambda: daemon.log().count("not reloaded") > said, "the log")
                wait_for(lambda: self.path in daemon.log().rsplit("not reloaded", 1)[1], "the reason")
                self.assertEqual(daemon.get("/v1/dictionaries/basic").json["generation"], 1)
                self.assertEqual(daemon.post(RECONSTRUCT, BODY).body, before)
            os.unlink(self.path)
            daemon.send(signal.SIGHUP)
            wait_for(lambda: daemon.log().count("not reloaded") == 3, "the log")
            self.assertEqual(daemon.post(RECONSTRUCT, BODY).body, before)
            self.store(2)
            self.reload(daemon, 2)
            self.assertNotEqual(daemon.post(RECONSTRUCT, BODY).body, before)

    def test_no_request_fails_or_mixes_two_generations(self):
        with self.start("--threads", "2") as daemon:
            atom = rows(read_safetensors(golden("dict-basic.expected.safetensors"))[0]["fused"])[0]
            scales, stop, faults, seen = (1, 4), threading.Event(), [], [0]

            def client():
                connection = daemon.connect()
                while not stop.is_set():
                    reply = daemon.post(RECONSTRUCT, BODY, connection=connection)
                    seen[0] += 1
                    got = reply.json["reconstructions"] if reply.status == 200 else None
                    if not got or min(relative_error(got, [[s * x for x in atom]]) for s in scales) > 1e-5:
                        faults.append(reply.body)
                connection.close()

            clients = [threading.Thread(target=client) for _ in range(4)]
            for one in clients:
                one.start()
            try:
                for generation in range(2, 12):
                    self.store(scales[(generation + 1) % 2])
                    self.reload(daemon, generation)
            finally:
                stop.set()
                for one in clients:
                    one.join()
            self.assertEqual(faults, [])
            self.assertGreater(seen[0], 20)


class Stop(unittest.TestCase):
    def begin(self, daemon):
        """A connection with half a request that the server has received."""
        connection = daemon.begun(RECONSTRUCT, len(BODY))
        connection.sendall(BODY[:5].encode())
        return connection

    def test_stop_signals_end_it_with_status_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Daemon("--dictionary", GIVEN) as daemon:
                with daemon.socket():  # an idle connection does not delay the stop
                    self.assertEqual(daemon.stop(number), 0)
                daemon.says("stopped")

    def test_stops_under_load(self):
        """Connections come, requests are deferred and resumed at every moment of a stop: none aborts, and each request
        that was accepted is answered, also by the system before the daemon saw it. A client that begins to connect
        while the socket closes hears of it when it tries again, after a second."""
        heavy = json.dumps({"latents": {"indices": [[0]] * 4000, "values": [[1]] * 4000}})
        for round in range(int(os.environ.get("STOPS", "8"))):
            with Daemon("--dictionary", GIVEN, "--threads", "3", "--log-level", "warning") as daemon:
                lost, over = [], threading.Event()

                def load(body):
                    while not over.is_set():
                        try:
                            connection = daemon.connect()
                            connection.connect()
                        except OSError:
                            return  # it accepts no more
                        try:
                            for first in (True, False, False):  # a kept connection may end between two requests
                                reply = daemon.post(RECONSTRUCT, body, connection=connection)
                                if reply.status != 200:
                                    lost.append(reply.status)
                                if reply.headers.get("Connection", "").lower() == "close":
                                    break
                        except (OSError, http.client.HTTPException) as failure:
                            if first:
                                lost.append(type(failure).__name__)
                        finally:
                            connection.close()

                clients = [threading.Thread(target=load, args=(body,)) for body in (BODY, BODY, heavy, heavy)]
                for client in clients:
                    client.start()
                time.sleep(0.05 + round % 10 * 0.01)
                self.assertEqual(daemon.stop(), 0, daemon.log())
                over.set()
                for client in clients:
                    client.join()
                self.assertEqual(lost, [])

    def test_a_request_that_has_begun_is_finished(self):
        with Daemon("--dictionary", GIVEN) as daemon:
            idle = daemon.connect()
            self.assertEqual(daemon.get("/health/ready", connection=idle).status, 200)
            with self.begin(daemon) as connection:
                daemon.send(signal.SIGTERM)
                wait_for(lambda: "draining" in daemon.log(), "the log")

                def refused():
                    try:
                        daemon.socket().close()
                        return False
                    except ConnectionRefusedError:
                        return True

                wait_for(refused, "new connections to be refused")
                reply = daemon.get("/health/ready", connection=idle)
                self.assertEqual((reply.status, reply.json), (503, {"status": "draining"}))
                self.assertEqual(reply.headers["Connection"].lower(), "close")
                self.assertIsNone(daemon.process.poll())
                connection.sendall(BODY[5:].encode())
                answer = read_all(connection)
                self.assertIn(b"HTTP/1.1 200 OK", answer)
                self.assertIn(b"reconstructions", answer)
            self.assertEqual(daemon.process.wait(60), 0)

    def test_requests_for_administration_are_finished(self):
        with Daemon("--dictionary", GIVEN, "--admin-listen", "127.0.0.1:0") as daemon:
            with socket.create_connection(daemon.admin_address, timeout=60) as connection:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
                time.sleep(0.2)
                daemon.send(signal.SIGTERM)
                wait_for(lambda: "draining" in daemon.log(), "the log")
                time.sleep(0.2)
                self.assertIsNone(daemon.process.poll())
                connection.sendall(b"\r\n")
                self.assertIn(b"HTTP/1.1 200", read_all(connection))
            self.assertEqual(daemon.process.wait(60), 0)

    def test_signals_of_other_tools_change_nothing(self):
        with Daemon("--dictionary", GIVEN) as daemon:
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE):
                daemon.send(number)
                self.assertEqual(daemon.get("/health/ready").status, 200)

    def test_connections_are_taken_until_the_delay_is_over(self):
        with Daemon("--dictionary", GIVEN, "--drain-delay-seconds", "600") as daemon:
            daemon.send(signal.SIGTERM)
            wait_for(lambda: "draining" in daemon.log(), "the log")
            reply = daemon.get("/health/ready")
            self.assertEqual((reply.status, reply.json), (503, {"status": "draining"}))
            reply = daemon.post(RECONSTRUCT, BODY)
            self.assertEqual((reply.status, reply.headers["Connection"].lower()), (200, "close"))
            self.assertEqual(daemon.stop(), 1)  # a second signal ends it at once
        with Daemon("--dictionary", GIVEN, "--drain-delay-seconds", "1") as daemon:
            begun = time.monotonic()
            self.assertEqual(daemon.stop(), 0)
            self.assertGreaterEqual(time.monotonic() - begun, 1)

    def test_a_connection_that_was_just_let_in_gets_its_answer(self):
        with Daemon("--dictionary", GIVEN, "--threads", "1") as daemon:
            with daemon.socket() as new:
                self.assertEqual(daemon.get("/health/live").status, 200)  # a later connection: by now the other one is accepted, too
                daemon.send(signal.SIGTERM)
                wait_for(lambda: "draining" in daemon.log(), "the log")
                new.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b'"live"', read_all(new))
            self.assertEqual(daemon.process.wait(60), 0)

    def test_the_wait_is_limited(self):
        with Daemon("--dictionary", GIVEN, "--drain-seconds", "1") as daemon:
            with self.begin(daemon):
                self.assertEqual(daemon.stop(), 0)
            daemon.says("1 requests were not done within 1 s")

    def test_a_second_signal_ends_it_at_once(self):
        with Daemon("--dictionary", GIVEN, "--drain-seconds", "600") as daemon:
            with self.begin(daemon):
                daemon.send(signal.SIGTERM)
                wait_for(lambda: "draining" in daemon.log(), "the log")
                self.assertEqual(daemon.stop(), 1)


if __name__ == "__main__":
    unittest.main()
