"""The files of the explorer (server/api/explorer.c), as they are in server/web/explorer. What they do is tested in a browser,
by tests/browser."""

import gzip
import os
import re
import unittest

from daemon import TOP, Daemon, golden

FOLDER = os.path.join(TOP, "server", "web", "explorer")
MOST = 300000  # bytes, of the whole page


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon("--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors")))
        cls.names = sorted(os.listdir(FOLDER))

    def read(self, name):
        with open(os.path.join(FOLDER, name), "rb") as file:
            return file.read()

    def test_each_file_of_the_folder_is_served(self):
        for name in self.names:
            reply = self.daemon.get("/explorer/" + name)
            self.assertEqual((reply.status, reply.headers["Content-Type"].split(";")[0]),
                             (200, "text/css" if name.endswith(".css") else "text/javascript"), name)
            self.assertEqual(reply.body, self.read(name))
            self.assertEqual(self.daemon.get("/explorer/" + name, headers={"If-None-Match": reply.headers["ETag"]}).status, 304)
            packed = self.daemon.get("/explorer/" + name, headers={"Accept-Encoding": "gzip"})
            self.assertEqual((packed.headers["Content-Encoding"], gzip.decompress(packed.body)), ("gzip", reply.body))
            self.assertEqual(packed.headers["X-Content-Type-Options"], "nosniff")

    def test_what_a_module_imports_is_there(self):
        for name in self.names:
            for wanted in re.findall(r'(?:from |import\(|")"?\./([\w.]+)"', self.read(name).decode()):
                self.assertIn(wanted, self.names, name)

    def test_another_name_is_not_found(self):
        for name in ("none.js", "..%2findex.html", "start.js/x", ""):
            self.assertEqual(self.daemon.get("/explorer/" + name).status, 404, name)
        self.assertEqual(self.daemon.get("/explorer/none.js").json["code"], "unknown_path")

    def test_the_page_loads_only_what_this_server_has(self):
        policy = self.daemon.get("/").headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        page = self.daemon.get("/").body.decode()
        self.assertNotRegex(page, r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=")
        for name in self.names:
            self.assertNotRegex(self.read(name).decode().replace("http://www.w3.org/2000/svg", ""), r"https?://|['\"(]//|@import", name)

    def test_media_may_come_from_where_the_settings_say(self):
        with Daemon("--dictionary", "a=" + golden("dict-basic.checkpoint.safetensors"), "--dictionary", "b=" + golden("dict-basic.checkpoint.safetensors"),
                    "--media-url", "a=https://media.example.org:8443/{row}.webp", "--media-url", "b=http://name@host/{row}.png") as daemon:
            policy = daemon.get("/").headers["Content-Security-Policy"]
        self.assertIn("img-src 'self' data: blob: https://media.example.org:8443;", policy)
        self.assertIn("script-src 'self';", policy)
        self.assertNotIn("name", policy)

    def test_it_is_small(self):
        total = sum(len(self.read(name)) for name in self.names) + len(self.daemon.get("/").body)
        self.assertLess(total, MOST)

    def test_behind_a_prefix(self):
        with Daemon("--base-path", "/rasae", "--dictionary", "basic=" + golden("dict-basic.checkpoint.safetensors")) as daemon:
            self.assertEqual(daemon.get("/rasae").headers["Location"], "rasae/")
            for link in re.findall(r'(?:href|src)="([^"#:]+)"', daemon.get("/rasae/").body.decode()):
                self.assertEqual(daemon.get("/rasae/" + link).status, 200, link)
        self.assertEqual(self.daemon.get("/?embed=1&panels=made&theme=dark").status, 200)


if __name__ == "__main__":
    unittest.main()
