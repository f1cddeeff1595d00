"""The headers for pages of other origins in a browser (server/http/cors.c)."""

import unittest

from daemon import Daemon, golden

GIVEN = "given=" + golden("dict-basic.checkpoint.safetensors")
PAGE, OTHER = "https://page.example", "https://other.example"


def vary(reply):
    return [part.strip() for value in reply.headers.get_all("Vary") or [] for part in value.split(",")]


class Cors(unittest.TestCase):
    def test_nothing_is_said_unasked(self):
        with Daemon("--dictionary", GIVEN) as daemon:
            for method in ("GET", "OPTIONS"):
                reply = daemon.request(method, "/v1/dictionaries",
                                       headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"})
                self.assertFalse([name for name in reply.headers if name.startswith("Access-Control-")])
                self.assertNotIn("Origin", vary(reply))

    def test_a_listed_origin_may_read(self):
        with Daemon("--dictionary", GIVEN, "--cors-origin", PAGE, "--cors-origin", "http://localhost:3000") as daemon:
            for path, status in (("/v1/dictionaries", 200), ("/nowhere", 404), ("/v1/dictionaries/none", 404),
                                 ("/v1/dictionaries?x=1", 400)):
                reply = daemon.get(path, headers={"Origin": PAGE})
                self.assertEqual(reply.status, status)
                self.assertEqual(reply.headers.get_all("Access-Control-Allow-Origin"), [PAGE], path)
                self.assertIn("Origin", vary(reply))
                exposed = reply.headers["Access-Control-Expose-Headers"]
                for name in ("ETag", "Link", "X-Request-Id", "X-Tensor-Shape", "X-Tensor-Dtype",
                             "Inference-Header-Content-Length"):
                    self.assertIn(name, exposed)
                self.assertNotIn("Access-Control-Allow-Credentials", reply.headers)
                for origin in (OTHER, "null", PAGE + ".evil"):
                    reply = daemon.get(path, headers={"Origin": origin})
                    self.assertNotIn("Access-Control-Allow-Origin", reply.headers)
                    self.assertIn("Origin", vary(reply))
            self.assertIn("Origin", vary(daemon.get("/v1/dictionaries")))

    def test_preflight(self):
        with Daemon("--dictionary", GIVEN, "--cors-origin", PAGE) as daemon:
            asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "authorization,content-type"}
            reply = daemon.request("OPTIONS", "/v1/dictionaries/given/search", headers=asked)
            self.assertEqual(reply.status, 204)
            self.assertEqual(reply.headers["Access-Control-Allow-Origin"], PAGE)
            self.assertIn("POST", reply.headers["Access-Control-Allow-Methods"])
            self.assertIn("Authorization", reply.headers["Access-Control-Allow-Headers"])
            allowed = {name.strip().lower() for name in reply.headers["Access-Control-Allow-Headers"].split(",")}
            self.assertLessEqual({"content-type", "x-api-key", "traceparent", "baggage", "sentry-trace",
                                  "x-requested-with"}, allowed)
            self.assertTrue(reply.headers["Access-Control-Max-Age"].isdigit())
            reply = daemon.request("OPTIONS", "/v1/dictionaries/given/search", headers=dict(asked, Origin=OTHER))
            self.assertEqual(reply.status, 204)
            self.assertFalse([name for name in reply.headers if name.startswith("Access-Control-")])

    def test_any_origin(self):
        with Daemon("--dictionary", GIVEN, "--cors-origin", "*") as daemon:
            reply = daemon.get("/v1/dictionaries", headers={"Origin": OTHER})
            self.assertEqual(reply.headers["Access-Control-Allow-Origin"], "*")
            self.assertNotIn("Origin", vary(reply))
            self.assertNotIn("Access-Control-Allow-Origin", daemon.get("/v1/dictionaries").headers)


if __name__ == "__main__":
    unittest.main()
