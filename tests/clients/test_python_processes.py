"""proto/python/rasae/pool.py in many processes and threads: each call gets the answer to its own request, however
processes were started, and nobody is given a reply that carries the id of another request."""

import environment

environment.enter()

import concurrent.futures
import itertools
import multiprocessing
import os
import pickle
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

from environment import PATIENCE, TOP, Daemon, golden

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

from rasae import Client, RasaeError  # noqa: E402

CALLS = 100


def wrong_atoms(dictionary, first):
    """How many of the calls were answered with another atom. Calls differ between workers, so that an answer to
    another worker's request is a wrong one."""
    wanted = [(first + i) % len(dictionary) for i in range(CALLS)]
    return sum(dictionary.atom(i, fields=["norm"]).atom != i for i in wanted)


def refused(client):
    client.dictionary("none")


class Processes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "bare=" + golden("dict-basic.checkpoint.safetensors"))
        cls.client = Client("http://%s:%d" % cls.daemon.address)
        cls.bare = cls.client.dictionary("bare")

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.__exit__(None, None, None)

    def in_workers(self, method, bare=None):
        with multiprocessing.get_context(method).Pool(2) as pool:
            work = pool.starmap_async(wrong_atoms, [(bare or self.bare, first) for first in (0, 3, 5, 8)], chunksize=1)
            self.assertEqual(work.get(PATIENCE), [0, 0, 0, 0])

    def test_a_forked_process_gets_its_own_answers(self):
        self.bare.atom(1)  # a connection is kept now
        forked = multiprocessing.get_context("fork")
        answers = forked.SimpleQueue()

        def work(first):
            answers.put(wrong_atoms(self.bare, first))  # the dictionary is inherited, not pickled
        workers = [forked.Process(target=work, args=(first,)) for first in (0, 3, 5)]
        for worker in workers:
            worker.start()
        here = wrong_atoms(self.bare, 7)  # at the same time in the parent
        for worker in workers:
            worker.join(PATIENCE)
            self.assertEqual(worker.exitcode, 0)
        self.assertEqual([here] + [answers.get() for _ in workers], [0] * 4)

    def test_a_pool_of_forked_workers(self):
        self.in_workers("fork")

    def test_a_pool_of_spawned_workers(self):
        self.in_workers("spawn")

    def test_threads_while_processes_are_forked(self):
        """A thread may hold the lock of the pool at the moment of the fork."""
        stop = threading.Event()
        wrong = []

        def busy(first):
            while not stop.is_set():
                wrong.append(wrong_atoms(self.bare, first))
        threads = [threading.Thread(target=busy, args=(first,)) for first in (0, 4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                self.in_workers("fork")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(set(wrong), {0})

    def test_a_pool_of_threads(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(wrong_atoms, itertools.repeat(self.bare), range(8))), [0] * 8)

    def test_the_parents_connections_live_on(self):
        self.bare.atom(1)
        kept = list(self.client._transport._idle.connections)
        child = os.fork()
        if child == 0:
            os._exit(self.bare.atom(2).atom != 2 or any(one in kept for one in self.client._transport._idle.connections))
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.bare.atom(3).atom, 3)
        self.assertEqual(self.client._transport._idle.connections, kept)

    def test_the_parents_tls_sessions_live_on(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1", "-days", "2",
                            "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
            with Daemon("--dictionary", "bare=" + golden("dict-basic.checkpoint.safetensors"),
                        "--tls-certificate", certificate, "--tls-key", key) as daemon, \
                    Client("https://%s:%d" % daemon.address,
                           context=ssl.create_default_context(cafile=certificate)) as client:
                bare = client.dictionary("bare")
                kept, = client._transport._idle.connections
                child = os.fork()
                if child == 0:
                    os._exit(wrong_atoms(bare, 2) > 0)
                self.assertEqual(os.waitpid(child, 0)[1], 0)
                self.assertEqual(wrong_atoms(bare, 5), 0)
                self.assertEqual(client._transport._idle.connections, [kept])
                with self.assertRaises(TypeError):
                    pickle.dumps(client)

    def test_clients_dictionaries_and_errors_can_be_pickled(self):
        client, bare = pickle.loads(pickle.dumps((self.client, self.bare)))
        self.assertEqual(repr(client), repr(self.client))
        self.assertEqual((bare.name, bare.info, bare.atom(7).atom), (self.bare.name, self.bare.info, 7))
        with multiprocessing.get_context("fork").Pool(1) as pool, self.assertRaises(RasaeError) as caught:
            pool.apply_async(refused, [client]).get(PATIENCE)
        self.assertEqual(caught.exception.status, 404)
        self.assertTrue(caught.exception.request_id)


class Echo:
    """A server that answers each request with the JSON object {} under the id that `answer` makes of the one sent."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            for count in itertools.count():
                sent = None
                while (line := lines.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"x-request-id:"):
                        sent = line.split(b":")[1].strip().decode()
                if not line:
                    return
                self.asked.append(sent)
                came = self.answer(sent, count)
                head = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n" + (f"X-Request-Id: {came}\r\n" if came else "") + "\r\n"
                connection.sendall(head.encode() + b'{"dictionaries": []}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Ids(unittest.TestCase):
    def test_each_request_has_an_id_of_its_own(self):
        with Echo(lambda sent, _: sent) as server, Client(server.url) as client:
            for _ in range(3):
                client.dictionaries()
            self.assertEqual(len(set(server.asked)), 3)
            self.assertRegex(server.asked[0], r"\A[0-9a-f]{32}\Z")

    def test_a_connection_with_a_wrong_id_is_left_and_the_call_repeated(self):
        with Echo(lambda sent, count: sent if count == 0 else "another") as server, Client(server.url) as client:
            client.dictionaries()
            client.dictionaries()  # the kept connection answers it wrongly, a fresh one rightly
            self.assertEqual(len(server.asked), 3)

    def test_a_server_that_always_answers_wrongly_is_an_error(self):
        with Echo(lambda *_: "another") as server, Client(server.url) as client:
            with self.assertRaises(RasaeError) as caught:
                client.dictionaries()
            self.assertIn("the reply to request another", str(caught.exception))
            self.assertEqual(client._transport._idle.connections, [])

    def test_a_server_without_ids_is_borne(self):
        with Echo(lambda *_: None) as server, Client(server.url) as client:
            self.assertEqual(client.dictionaries(), [])


if __name__ == "__main__":
    unittest.main()
