"""The documents that the daemon contains (server/api/docs.c): the contract as it is in proto/, and a page that loads nothing
from elsewhere."""

import json
import os
import re
import unittest

from daemon import Daemon, golden

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCUMENTS = (("/openapi.json", "application/json", "proto/openapi.json"),
             ("/", "text/html; charset=utf-8", "server/web/index.html"),
             ("/docs", "text/html; charset=utf-8", "server/web/docs.html"),
             ("/docs/docs.css", "text/css; charset=utf-8", "server/web/docs.css"),
             ("/docs/docs.js", "text/javascript; charset=utf-8", "server/web/docs.js"),
             ("/docs/tensors.md", "text/markdown; charset=utf-8", "proto/tensors.md"))
PAGES = ("/", "/docs")


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors"))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def test_the_files_of_the_tree(self):
        for path, media_type, name in DOCUMENTS:
            reply = self.daemon.get(path)
            self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, media_type), path)
            with open(os.path.join(TOP, name), "rb") as file:
                self.assertEqual(reply.body.rstrip(b"\n"), file.read().rstrip(b"\n"), path)
            self.assertEqual(self.daemon.get(path, headers={"If-None-Match": reply.headers["ETag"]}).status, 304)

    def test_a_page_that_asks_nobody_else(self):
        for path, _, _ in DOCUMENTS:
            reply = self.daemon.get(path)
            self.assertIn("default-src 'none'", reply.headers["Content-Security-Policy"])
            self.assertEqual(reply.headers["X-Content-Type-Options"], "nosniff")
        page = self.daemon.get("/docs").body.decode()
        wanted = re.findall(r'(?:src|href)="([^"]+)"', page)
        self.assertIn("docs/docs.js", wanted)
        for target in wanted:
            self.assertNotRegex(target, r"^(?:[a-z]+:)?//", "an address elsewhere")

    def test_links_of_the_pages_lead_somewhere(self):
        for page in PAGES:
            for link in re.findall(r'(?:href|src)="([^"#:]+)"', self.daemon.get(page).body.decode()):
                self.assertEqual(self.daemon.get("/" + link).status, 200, link)
        self.assertEqual(self.daemon.get("/docs/").status, 308)

    def test_no_file_names_another_server(self):
        for path in PAGES + ("/docs/docs.css", "/docs/docs.js"):
            self.assertNotRegex(self.daemon.get(path).body.decode(), r"https?://|['\"(]//|@import")

    def test_the_contract_is_json(self):
        document = json.loads(self.daemon.get("/openapi.json").body)
        self.assertIn("/v1/dictionaries", document["paths"])


if __name__ == "__main__":
    unittest.main()
