"""The page of proto/examples, from another origin than the daemon's (server/http/cors.c): it draws map, list and atom from
public calls, and a daemon that does not name its origin gives it nothing."""

import functools
import http.server
import math
import os
import threading
import unittest

from browser import DATA, TOP, Explorer, make  # first: it enters the environment of the packages

from environment import Daemon

EXAMPLES = os.path.join(TOP, "proto", "examples")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


class Example(Explorer):
    @classmethod
    def setUpClass(cls):
        cls.pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=EXAMPLES))
        threading.Thread(target=cls.pages.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.pages.server_close)
        cls.addClassCleanup(cls.pages.shutdown)
        cls.origin = "http://127.0.0.1:%d" % cls.pages.server_address[1]
        cls.flags = ("--cors-origin", cls.origin)
        super().setUpClass()

    @classmethod
    def dictionaries(cls):
        return {"words": make(cls.folder, "words", os.path.join(DATA, "words.safetensors"), os.path.join(DATA, "words.txt"),
                              "--concepts", "300", "--top-k", "16", "--epochs", "6")}

    def example(self, server, name):
        page = self.page()
        page.goto("%s/page.html?server=%s&name=%s" % (self.origin, server, name))
        return page

    def test_it_draws_map_list_and_atom(self):
        page = self.example(self.home, "words")
        self.until(page, "document.getElementById('atom').textContent.startsWith('Atom')")
        asked = self.daemon.get("/v1/dictionaries/words/atoms?sort=energy&limit=12&fields=label").json["atoms"]
        self.assertEqual(page.eval_on_selector_all("#list li", "all => all.map((one) => one.textContent)"), [one["label"] for one in asked])
        one = self.daemon.get("/v1/dictionaries/words/atoms/%d" % asked[0]["atom"]).json
        text = page.text_content("#atom")
        for shown in (one["label"], one["archetypes"][0]["label"], one["statistics"]["top"][0]["label"]):
            self.assertIn(shown, text)
        page.click("#list li:nth-child(3)")
        self.until(page, "document.getElementById('atom').textContent.startsWith('Atom %d:')" % asked[2]["atom"])
        table = self.daemon.get("/v1/dictionaries/words/table?columns=x,y").json["columns"]
        places = [(250 + 240 * x, 250 - 240 * y) for x, y in zip(table["x"], table["y"])]
        alone = max(range(len(places)), key=lambda i: min(math.dist(places[i], other) for other in places[:i] + places[i + 1:]))
        x, y = places[alone]
        painted = page.evaluate("([x, y]) => document.getElementById('map').getContext('2d').getImageData(x, y, 1, 1).data[3]", [x, y])
        self.assertGreater(painted, 0)
        page.click("#map", position={"x": x, "y": y})
        self.until(page, "document.getElementById('atom').textContent.startsWith('Atom %d:')" % alone)
        self.shot(page, "example-page")

    def test_another_origin_reads_nothing(self):
        with Daemon("--dictionary", "words=" + os.path.join(self.folder, "words.safetensors")) as other:
            page = self.example("http://%s:%d" % other.address, "words")
            self.until(page, "/fetch/i.test(document.getElementById('atom').textContent)")
            self.assertTrue(any("CORS" in fault for fault in page.faults))
            self.assertEqual(page.locator("#list li").count(), 0)
            page.close()


if __name__ == "__main__":
    unittest.main()
