"""proto/python/rasae/{exchange,errors,record,address}.py with a server made for the test: what is repeated and when, which
exception an answer becomes, and records from an older or newer server."""

import environment

environment.enter()

import email.utils
import gzip
import json
import os
import pickle
import socket
import ssl
import sys
import threading
import unittest
from unittest import mock

from environment import TOP

sys.path.insert(0, os.path.join(TOP, "proto", "python"))

import rasae  # noqa: E402
from rasae import Atom, Client, Explanation, Info, RasaeError, Response, errors, exchange  # noqa: E402
from rasae.address import Address  # noqa: E402

INFO = {"name": "d", "concepts": 4, "dimensions": 2}


def reply(status, value=None, **headers):
    return lambda request: Response(status, {"x-request-id": request.headers["x-request-id"],
                                             **{name.replace("_", "-"): text for name, text in headers.items()}},
                                    json.dumps(value if value is not None else {}).encode())


def failure(**how):
    def fail(request):
        raise errors.TransportError("broken", **how)
    return fail


class Script:
    """A transport that answers one request after the other as it is told; the last answer goes for all that follow."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []

    def send(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request)

    def close(self):
        pass


class Told(unittest.TestCase):
    def ask(self, *answers, call=lambda client: client.dictionaries(), **how):
        """What the call returns or raises, the requests, and the pauses between them."""
        script, pauses = Script(*answers), []
        client = Client("http://nowhere", transport=script, **how)
        with mock.patch("rasae.exchange.time.sleep", pauses.append):
            try:
                result = call(client)
            except RasaeError as error:
                result = error
        return result, script.requests, pauses


class Repeats(Told):
    good = staticmethod(reply(200, {"dictionaries": [INFO]}))

    def test_what_the_server_puts_off_is_asked_again_when_it_says(self):
        for status in (429, 503):
            found, requests, pauses = self.ask(reply(status, retry_after="7"), self.good)
            self.assertEqual((found[0].name, len(requests), len(pauses)), ("d", 2, 1))
            self.assertTrue(7 <= pauses[0] <= 8.1, pauses)
            self.assertNotEqual(*(one.headers["x-request-id"] for one in requests))

    def test_a_date_is_taken_by_the_servers_clock(self):
        now = 1_000_000_000
        when = {"retry_after": email.utils.formatdate(now + 20, usegmt=True), "date": email.utils.formatdate(now, usegmt=True)}
        _, _, pauses = self.ask(reply(503, **when), self.good)
        self.assertTrue(20 <= pauses[0] <= 21.1, pauses)
        for text, seconds in (("", None), ("soon", None), ("-1", None), ("0", 0.0),
                              (email.utils.formatdate(now - 5, usegmt=True), 0.0)):
            self.assertEqual(exchange.retry_after({"retry-after": text, "date": when["date"]}), seconds)

    def test_pauses_grow_and_differ(self):
        seen = [self.ask(reply(503), retries=5)[2] for _ in range(20)]
        for pauses in seen:
            self.assertEqual(len(pauses), 5)
            for i, pause in enumerate(pauses):
                self.assertTrue(0.05 * 2 ** i <= pause <= 0.1 * 2 ** i, pauses)
        self.assertGreater(len({tuple(one) for one in seen}), 1)

    def test_repeats_end(self):
        error, requests, _ = self.ask(reply(503, {"detail": "full"}, retry_after="1"), retries=2)
        self.assertIsInstance(error, errors.BusyError)
        self.assertEqual((len(requests), error.retry_after, error.detail), (3, 1.0, "full"))
        self.assertEqual(len(self.ask(reply(503), retries=0)[1]), 1)

    def test_a_pause_beyond_the_deadline_is_not_begun(self):
        error, requests, pauses = self.ask(reply(503, retry_after="400"), deadline=300)
        self.assertEqual((type(error), len(requests), pauses), (errors.BusyError, 1, []))
        self.assertEqual(len(self.ask(reply(503, retry_after="400"), deadline=None)[1]), 4)

    def test_no_other_answer_is_repeated(self):
        for status in (301, 400, 401, 403, 404, 409, 413, 422, 500, 502):
            self.assertEqual(len(self.ask(reply(status))[1]), 1)

    def test_broken_connections(self):
        for how in ({"sent": False}, {}, {"stale": True}):
            found, requests, pauses = self.ask(failure(**how), self.good)
            self.assertEqual((found[0].name, len(requests), len(pauses)), ("d", 2, 0 if how.get("stale") else 1))
        self.assertEqual(self.ask(failure(stale=True), self.good, retries=0)[0][0].name, "d")  # an old connection does not count
        self.assertIsInstance(self.ask(failure(stale=True), retries=0)[0], errors.TransportError)
        error, requests, _ = self.ask(failure())
        self.assertEqual((type(error), error.status, len(requests)), (errors.TransportError, 0, 4))
        self.assertEqual(error.request_id, requests[-1].headers["x-request-id"])

    def test_what_may_not_be_repeated_is_not(self):
        def reload(client):
            client.dictionary("d").reload()
        for answer, tried in ((reply(503, retry_after="0"), 1), (reply(429), 1), (failure(), 1), (failure(sent=False), 4)):
            error, requests, _ = self.ask(reply(200, INFO), answer, call=reload)
            self.assertIsInstance(error, RasaeError)
            self.assertEqual(len([one for one in requests if one.method == "POST"]), tried)
            self.assertFalse(requests[-1].again)

    def test_a_late_answer_is_not_asked_for_again(self):
        def late(request):
            raise errors.RequestTimeoutError("late")
        error, requests, _ = self.ask(late)
        self.assertEqual((type(error), len(requests)), (errors.RequestTimeoutError, 1))

    def test_the_reply_to_another_request_is_not_taken(self):
        def other(request):
            return Response(200, {"x-request-id": "other"}, b"{}")
        found, requests, _ = self.ask(other, self.good)
        self.assertEqual((found[0].name, len(requests)), ("d", 2))
        error, requests, _ = self.ask(other)
        self.assertIsInstance(error, errors.ReplyError)
        self.assertIn("check_ids=False", str(error))
        self.assertIsInstance(self.ask(other, retries=0)[0], errors.ReplyError)

        def numbered(request):
            return Response(200, {"x-request-id": "of-the-proxy"}, b'{"dictionaries": []}')
        self.assertEqual(self.ask(numbered, check_ids=False)[0], [])

    def test_ready_asks_once(self):
        for answer, ready in ((reply(200), True), (reply(503), False), (failure(), False)):
            found, requests, _ = self.ask(answer, call=lambda client: client.ready())
            self.assertEqual((found, len(requests)), (ready, 1))


class Requests(Told):
    def test_headers(self):
        with mock.patch.dict(os.environ, {"RASAE_KEY": "from-environment"}):
            _, (one,), _ = self.ask(reply(200, {"dictionaries": []}), headers={"X-Team": "blue"})
            self.assertEqual((one.headers["authorization"], one.headers["x-team"]), ("Bearer from-environment", "blue"))
            _, (one,), _ = self.ask(reply(200, {"dictionaries": []}), key="given")
            self.assertEqual(one.headers["authorization"], "Bearer given")
            client = Client("http://x", key="given")
            for shown in (client, client._session.policy, one):
                self.assertNotIn("given", repr(shown))
        with mock.patch.dict(os.environ, {"RASAE_KEY": ""}):
            self.assertNotIn("authorization", self.ask(reply(200, {"dictionaries": []}))[1][0].headers)
        with mock.patch.dict(os.environ, {"RASAE_KEY": "from-environment"}):
            _, (other,), _ = self.ask(reply(200, {"dictionaries": []}), headers={"X-API-Key": "given"})
            self.assertNotIn("authorization", other.headers)  # the server takes one key only
            with self.assertRaises(ValueError):
                Client("http://nowhere", key="given", headers={"X-API-Key": "given"})
        self.assertRegex(one.headers["user-agent"], r"\Arasae-python/%s Python/3\.\d+" % rasae.__version__)

    def test_replies_are_packed_where_there_is_a_network(self):
        def packed(request):
            return Response(200, {"content-encoding": "gzip"}, gzip.compress(b'{"dictionaries": []}'))

        def cut(request):
            return Response(200, {"content-encoding": "gzip"}, gzip.compress(b'{"dictionaries": []}')[:-9])

        def unknown(request):
            return Response(200, {"content-encoding": "br"}, b"")
        found, (one,), _ = self.ask(packed)
        self.assertEqual((found, one.headers["accept-encoding"]), ([], "gzip"))
        for bad in (cut, unknown):
            self.assertIsInstance(self.ask(bad)[0], errors.ReplyError)
        for url, local in (("http://127.0.0.1:1", True), ("http://[::1]:1", True), ("http://localhost", True), ("unix:/a", True),
                           ("https://sae.example", False), ("http://10.0.0.1", False)):
            self.assertEqual(Address.read(url).local, local)

    def test_addresses(self):
        for url, parts in (("http://h:1/base/", ("http", "h", 1, "/base")), ("h:1", ("http", "h", 1, "")),
                           ("https://[::1]", ("https", "::1", None, "")),
                           ("unix:/run/s.sock", ("unix", "/run/s.sock", None, "")),
                           ("unix:///run/s.sock", ("unix", "/run/s.sock", None, ""))):
            address = Address.read(url)
            self.assertEqual((address.scheme, address.host, address.port, address.prefix), parts)
        for bad in ("", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://h/?a=1", "unix:", "unix:s", "http://u:p@h"):
            with self.assertRaises(ValueError):
                Client(bad)
        with self.assertRaises(TypeError):
            Client(8080)
        with self.assertRaises(OSError):
            Client("https://h", ca="/nowhere.pem")
        for how in ({"timeout": 0}, {"timeout": -1}, {"deadline": 0}, {"retries": -1}, {"timeout": float("nan")}):
            with self.assertRaises(ValueError):
                Client("http://h", **how)
        with self.assertRaises(TypeError):
            pickle.dumps(Client("https://h", context=ssl.create_default_context()))


class Exceptions(Told):
    def test_each_status_is_an_exception(self):
        for status, kind in ((400, errors.BadRequestError), (406, errors.BadRequestError), (415, errors.BadRequestError),
                             (401, errors.AuthenticationError), (403, errors.PermissionDeniedError), (404, errors.NotFoundError),
                             (409, errors.ConflictError), (422, errors.ConflictError), (413, errors.TooLargeError),
                             (429, errors.BusyError), (503, errors.BusyError), (500, errors.ServerError),
                             (302, errors.StatusError)):
            error, _, _ = self.ask(reply(status, {"detail": "Why."}), retries=0)
            self.assertIs(type(error), kind)
            self.assertIsInstance(error, errors.StatusError)
            self.assertEqual((error.status, error.detail, error.code), (status, "Why.", None))

    def test_a_redirect_says_where_to(self):
        error, _, _ = self.ask(reply(308, location="https://sae.example/v1/dictionaries"))
        self.assertIn("points to https://sae.example/v1/dictionaries", str(error))

    def test_a_problem_with_all_its_members(self):
        problem = {"detail": "There are 9 rows.", "code": "too_many_rows", "pointer": "/inputs", "limit": 7, "actual": 9,
                   "new": 1}
        error, _, _ = self.ask(reply(413, problem))
        self.assertEqual((error.code, error.pointer, error.limit, error.actual), ("too_many_rows", "/inputs", 7, 9))
        self.assertEqual(str(error), "There are 9 rows. (status 413, too_many_rows)")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), vars(again), str(again)), (type(error), vars(error), str(error)))

    def test_an_older_server_and_a_proxy(self):
        error, _, _ = self.ask(reply(400, {"error": "Old."}))
        self.assertEqual((error.detail, error.sentence, error.code, error.limit), ("Old.", "Old.", None, None))

        def page(request):
            return Response(502, {"content-type": "text/html"}, b"<html>")
        error, (one,), _ = self.ask(page)
        self.assertEqual((error.detail, error.request_id), ("the server answered 502, Bad Gateway", one.headers["x-request-id"]))

    def test_replies_that_cannot_be_read(self):
        def text(body):
            return lambda request: Response(200, {}, body)
        for body in (b"", b"<html>", b"[]", b"{}", b'{"dictionaries": 5}', b'{"dictionaries": [{"name": "d"}]}', b"\xff"):
            self.assertIsInstance(self.ask(text(body))[0], errors.ReplyError, body)


class Records(Told):
    def test_an_older_server_says_less(self):
        info = Info.read(INFO)
        self.assertEqual((info.atom_count, info.concepts), (4, 4))
        newer = Info.read({"name": "d", "atom_count": 4, "dimensions": 2, "point_count": None})
        self.assertEqual((newer.concepts, newer.points, newer.extra), (4, None, {}))
        both = Info.read({**INFO, "atom_count": 4, "archetypes": 3, "archetype_count": 3})
        self.assertEqual((both.archetype_count, both.archetypes, both.extra), (3, 3, {}))
        for norms in ({"residual": {"norm": 2}, "input": {"norm": 3}}, {"residual_norm": 2, "input_norm": 3}):
            told = Explanation.read({"concepts": [], **norms})
            self.assertEqual((told.residual_norm, told.residual, told.input_norm, told.input), (2, 2, 3, 3))
        self.assertEqual((info.concepts, info.has_trace, info.settings, info.revision, info.extra), (4, None, None, None, {}))
        atom = Atom.read({"atom": 5})
        self.assertEqual((atom.norm, atom.archetypes, atom.vector, atom.relaxation, atom.statistics), (None,) * 5)
        self.assertEqual(Atom.read({"atom": 5, "relaxation": None, "statistics": None, "layout": None, "trace": None}), atom)
        self.assertEqual(Explanation.read({"concepts": [{"atom": 1, "code": 2.0}]}).concepts[0].code, 2.0)

    def test_a_newer_server_says_more(self):
        atom = Atom.read({"atom": 5, "color": "red", "relaxation": {"norm": 1, "share": 2, "sign": 3},
                          "archetypes": [{"point": 1, "age": 2}]})
        self.assertEqual((atom.extra, atom.relaxation, atom.relaxation_share), ({"color": "red"}, 1, 2))
        self.assertEqual(atom.archetypes[0].extra, {"age": 2})
        self.assertEqual(pickle.loads(pickle.dumps(atom)), atom)

    def test_limits_come_from_the_server_or_are_those_of_its_defaults(self):
        server, _, _ = self.ask(reply(200, {"name": "rasaed", "version": "9", "access": "read", "limits": {"rows": 7}}),
                                call=lambda client: client.server())
        self.assertEqual((server.version, server.access, server.limits.rows, server.limits.page), ("9", "read", 7, 1000))
        server, _, _ = self.ask(reply(404), call=lambda client: client.server())
        self.assertEqual((server.version, server.limits.rows), (None, 4096))

    def test_a_dictionary_of_one_atom(self):
        one = reply(200, {**INFO, "concepts": 1})
        found, requests, _ = self.ask(one, call=lambda client: client.dictionary("d").neighbors(0))
        self.assertEqual((found, len(requests)), ([], 1))
        with self.assertRaises(ValueError):
            self.ask(one, call=lambda client: client.dictionary("d").search(atoms=0, exclude_self=True))

    def test_what_is_too_large_all_the_same_is_halved(self):
        seen = []

        def serve(request):
            if request.path == "/v1":
                return reply(404)(request)
            if request.path == "/v1/dictionaries/d":
                return reply(200, INFO)(request)
            rows = len(request.body) // 8
            seen.append(rows)
            if rows > 3:
                return reply(413, {"detail": "Much."})(request)
            return reply(200, {"explanations": [{"concepts": [], "residual": {"norm": 0}} for _ in range(rows)]})(request)
        found, requests, _ = self.ask(serve, call=lambda client: client.dictionary("d").explain([[1, 2]] * 10))
        self.assertEqual((len(found), seen), (10, [10, 5, 2, 2, 2, 2, 2]))
        self.assertEqual([one.path for one in requests].count("/v1"), 1)

        def never(request):
            return serve(request) if "explain" not in request.path else reply(413, {"detail": "Much."})(request)
        self.assertIsInstance(self.ask(never, call=lambda client: client.dictionary("d").explain([[1, 2]] * 4))[0],
                              errors.TooLargeError)

    def test_a_list_of_dictionaries_with_pages(self):
        def page(names):
            return reply(200, {"dictionaries": [{**INFO, "name": name} for name in names], "total": 3})
        found, requests, _ = self.ask(page("ab"), page("c"))
        self.assertEqual([one.name for one in found], ["a", "b", "c"])
        self.assertEqual([one.path for one in requests], ["/v1/dictionaries", "/v1/dictionaries?offset=2"])


class Sockets(unittest.TestCase):
    def test_a_refusal_before_the_body_was_read_is_heard(self):
        """A server may answer 413 and close while the client still sends."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            def refuse():
                connection, _ = server.accept()
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 19\r\nConnection: close\r\n\r\n"
                                       b'{"detail": "Much."}')
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 20):
                        pass
            thread = threading.Thread(target=refuse)
            thread.start()
            client = Client("http://127.0.0.1:%d" % server.getsockname()[1])
            with self.assertRaises(errors.TooLargeError) as caught:
                rasae.exchange.drive(client._session.ask("POST", "/x", rasae.wire.Body(bytes(20 << 20), {})), client._transport)
            self.assertEqual(caught.exception.detail, "Much.")
            client.close()
            thread.join()

    def test_a_reply_that_ends_early_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def cut():
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            thread = threading.Thread(target=cut)
            thread.start()
            with self.assertRaises(errors.ReplyError):
                Client("http://127.0.0.1:%d" % server.getsockname()[1], retries=0).dictionaries()
            thread.join()


if __name__ == "__main__":
    unittest.main()
