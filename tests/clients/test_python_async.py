"""proto/python/rasae/aio.py against a live daemon: AsyncClient has every call of Client, and answers the same."""

import environment

environment.enter()

import asyncio
import contextlib
import dataclasses
import inspect
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import numpy as np

from environment import PATIENCE, PROGRAM, TOP, Daemon, golden

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

from rasae import (AsyncClient, AsyncDictionary, Client, Dictionary, NotFoundError, RequestTimeoutError,  # noqa: E402
                   TransportError)


SERVED = "bare=" + golden("dict-basic.checkpoint.safetensors")


def public(kind):
    return {name: member for name, member in vars(kind).items() if not name.startswith("_") and callable(member)}


class SameCalls(unittest.TestCase):
    def test_every_call_with_the_same_arguments(self):
        for blocking, awaited in ((Client, AsyncClient), (Dictionary, AsyncDictionary)):
            self.assertEqual(public(blocking).keys(), public(awaited).keys())
            for name, member in public(blocking).items():
                other = public(awaited)[name]
                self.assertEqual(inspect.signature(member).parameters, inspect.signature(other).parameters, name)
                self.assertTrue(inspect.iscoroutinefunction(other) or inspect.isasyncgenfunction(other), name)
        ours, theirs = (list(inspect.signature(kind).parameters) for kind in (Client, AsyncClient))
        self.assertEqual(ours, theirs)


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "topk=" + golden("topk-mse.final.safetensors"))
        cls.url = "http://%s:%d" % cls.daemon.address
        cls.x = np.load(golden("topk-mse.x.npy")).astype(np.float32)[:16]
        cls.client = Client(cls.url)
        cls.topk = cls.client.dictionary("topk")

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.__exit__(None, None, None)

    def test_they_are_those_of_the_blocking_client(self):
        x, topk = self.x, self.topk

        async def work():
            async with AsyncClient(self.url) as client:
                self.assertTrue(await client.ready())
                self.assertEqual(await client.server(), self.client.server())
                self.assertEqual([one.name for one in await client.dictionaries()], ["topk"])
                with self.assertRaises(NotFoundError):
                    await client.dictionary("none")
                other = await client.dictionary("topk")
                self.assertEqual((repr(other), len(other)), ("Async" + repr(topk), len(topk)))
                self.assertEqual((await other.refresh()).concepts, other.info.concepts)
                self.assertEqual(await other.atom(5), topk.atom(5))
                self.assertEqual(await other.atoms([9, 1]), topk.atoms([9, 1]))
                self.assertEqual([atom.atom async for atom in other], list(range(len(topk))))
                self.assertEqual([atom.atom async for atom in other.iter_atoms([9, 1], page=1)], [9, 1])
                np.testing.assert_array_equal(await other.vectors([9, 1]), topk.vectors([9, 1]))
                np.testing.assert_array_equal(await other.matrix(), topk.matrix())
                self.assertEqual(await other.point(3), topk.point(3))
                self.assertEqual(await other.neighbors(5), topk.neighbors(5))
                self.assertEqual(await other.search(x), topk.search(x))
                for one, same in zip(await other.search_arrays(x), topk.search_arrays(x)):
                    np.testing.assert_array_equal(one, same)
                codes = await other.encode(x)
                self.assertEqual(codes, topk.encode(x))
                np.testing.assert_array_equal(await other.reconstruct(codes), topk.reconstruct(codes))
                np.testing.assert_array_equal(await other.steer(x, {5: 2}), topk.steer(x, {5: 2}))
                self.assertEqual(await other.explain(x), topk.explain(x))
                for got, same in ((await other.steer(x, {5: 2}, method="cap"), topk.steer(x, {5: 2}, method="cap")),
                                  ((await other.edit(x, {5: 2})).outputs, topk.edit(x, {5: 2}).outputs)):
                    np.testing.assert_array_equal(got, same)
                with self.assertRaises(TypeError):
                    await other.atom(5.7)
        asyncio.run(work())

    def test_packed_replies_are_the_same(self):
        """As they come over a network; on one machine nothing is packed."""
        packed = Client(self.url)
        packed._session.policy = dataclasses.replace(packed._session.policy, packed=True)
        send, codings = packed._transport.send, []

        def watch(request):
            response = send(request)
            codings.append(response.headers.get("content-encoding"))
            return response
        packed._transport.send = watch
        self.assertEqual(packed.dictionary("topk").explain(self.x), self.topk.explain(self.x))
        self.assertIn("gzip", codings)

        async def work():
            async with AsyncClient(self.url) as client:
                client._session.policy = packed._session.policy
                return await (await client.dictionary("topk")).explain(self.x)
        self.assertEqual(asyncio.run(work()), self.topk.explain(self.x))
        packed.close()

    def test_many_tasks_share_a_client(self):
        async def work():
            async with AsyncClient(self.url) as client:
                topk = await client.dictionary("topk")
                atoms = await asyncio.gather(*(topk.atom(i % len(topk), ["norm"]) for i in range(200)))
                self.assertEqual([one.atom for one in atoms], [i % len(topk) for i in range(200)])
        asyncio.run(work())

    def test_one_client_in_several_loops_and_processes(self):
        client = AsyncClient(self.url)

        async def right(first):
            topk = await client.dictionary("topk")
            atoms = await asyncio.gather(*((topk.atom((first + i) % len(topk), ["norm"])) for i in range(40)))
            return [one.atom for one in atoms] == [(first + i) % len(topk) for i in range(40)]
        for first in range(3):
            self.assertTrue(asyncio.run(right(first)))
        forked = multiprocessing.get_context("fork")
        workers = [forked.Process(target=lambda: sys.exit(not asyncio.run(right(first)))) for first in (1, 2)]
        for worker in workers:
            worker.start()
        self.assertTrue(asyncio.run(right(5)))
        for worker in workers:
            worker.join(PATIENCE)
            self.assertEqual(worker.exitcode, 0)
        asyncio.run(client.close())

    def test_a_task_that_is_cancelled_leaves_the_client_whole(self):
        async def work():
            async with AsyncClient(self.url) as client:
                topk = await client.dictionary("topk")
                for _ in range(20):
                    task = asyncio.ensure_future(topk.atom(7))
                    await asyncio.sleep(0.0002)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    self.assertEqual((await topk.atom(3)).atom, 3)
        asyncio.run(work())


class Ways(unittest.TestCase):
    def test_nobody_there_and_no_answer_in_time(self):
        async def work(port):
            async with AsyncClient("http://127.0.0.1:%d" % port, timeout=1, retries=1) as client:
                return await client.ready(), await asyncio.gather(client.dictionaries(), return_exceptions=True)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            ready, (error,) = asyncio.run(work(port))
            self.assertEqual((ready, type(error)), (False, RequestTimeoutError))
            self.assertIn("1 seconds", str(error))
        ready, (error,) = asyncio.run(work(port))
        self.assertEqual((ready, type(error), error.sent), (False, TransportError, False))

    def both(self, url, **how):
        with Client(url, **how) as client:
            self.assertEqual(client.dictionary("bare").atom(3).atom, 3)

        async def work():
            async with AsyncClient(url, **how) as client:
                return (await (await client.dictionary("bare")).atom(3)).atom
        self.assertEqual(asyncio.run(work()), 3)

    def test_https(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = (os.path.join(folder, name) for name in ("certificate.pem", "key.pem"))
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1", "-days", "2",
                            "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
            with Daemon("--dictionary", SERVED, "--tls-certificate", certificate, "--tls-key", key) as daemon:
                url = "https://%s:%d" % daemon.address
                self.both(url, ca=certificate)
                with mock.patch("rasae.exchange._pause", side_effect=AssertionError("asking again cannot help")):
                    with self.assertRaisesRegex(TransportError, "certificate .* ca="), Client(url) as client:
                        client.dictionaries()
                    with self.assertRaisesRegex(TransportError, "certificate .* ca="):
                        asyncio.run(AsyncClient(url).dictionaries())

    def test_https_where_http_is_spoken(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def speak_http():
                connection, _ = server.accept()
                with connection, contextlib.suppress(ConnectionError):
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    connection.recv(4096)
            thread = threading.Thread(target=speak_http)
            thread.start()
            url = "https://127.0.0.1:%d" % server.getsockname()[1]
            with self.assertRaisesRegex(TransportError, "is it http?"):
                Client(url, timeout=PATIENCE).dictionaries()
            thread.join()

    def test_a_socket_of_the_file_system(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s.sock")
            with open(os.path.join(folder, "log"), "wb") as log:
                process = subprocess.Popen([PROGRAM, "--listen", "unix:" + path, "--dictionary", SERVED],
                                           stdout=subprocess.PIPE, stderr=log)
            try:
                self.assertTrue(process.stdout.readline())
                self.both("unix:" + path)
            finally:
                process.terminate()
                process.stdout.close()
                self.assertEqual(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # of sockets whose event loop ended before the client was closed
