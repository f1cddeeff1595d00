"""The explorer at / (server/web/explorer), in a headless Chromium against a live daemon with the words and the digits: every
view shows what the calls answer, wide and narrow, and axe finds no serious fault."""

import json
import os
import re
import unittest

from browser import DATA, Explorer  # first: it enters the environment of the packages

import axe_core_python

AXE = open(os.path.join(os.path.dirname(axe_core_python.__file__), "axe.min.js"), encoding="utf-8").read()
D = "/v1/dictionaries/words"


class Views(Explorer):
    def accessible(self, page):
        page.evaluate(AXE)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [(one["id"], one["help"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found["violations"]
                   if one["impact"] in ("serious", "critical")]
        self.assertEqual(serious, [])

    def both(self, address, name, shown=None):
        """Wide in light and narrow in dark, each looked at by axe."""
        for width, scheme in ((1400, "light"), (400, "dark")):
            page = self.open(address, shown, width=width, scheme=scheme)
            page.wait_for_timeout(250)
            self.fits(page)
            self.accessible(page)
            self.shot(page, "%s-%d" % (name, width), full=True)
        return page

    def test_the_first_page_is_the_map_of_the_first_dictionary(self):
        page = self.open("", "map")
        self.assertIn("#/d/words/map", page.url)
        self.assertEqual(page.eval_on_selector_all("#dictionary option", "all => all.map((one) => one.value)"), ["words", "digits", "digits-again"])
        page.select_option("#dictionary", "digits")
        page.wait_for_url("**#/d/digits/map")

    def test_every_view_wide_and_narrow(self):
        for view in ("map", "table", "atom/5", "point/3", "input?point=12", "lists", "dictionary"):
            self.both("#/d/words/" + view, "words-" + re.split(r"\W", view)[0])
        self.both("#/service", "service")

    # ---- an atom

    def test_an_atom_shows_what_it_is_made_of_first(self):
        atom = self.daemon.get(D + "/atoms/5").json
        page = self.open("#/d/words/atom/5", "atom")
        self.assertEqual(page.inner_text("h1"), atom["label"])
        self.assertEqual(page.eval_on_selector_all("[data-panel]", "all => all[0].dataset.panel"), "made")
        names = page.eval_on_selector_all("[data-panel=made] .bars .name", "all => all.map((one) => one.textContent)")
        self.assertEqual(names, [one["label"] for one in atom["archetypes"]] + ["the relaxation"])
        shares = page.eval_on_selector_all("[data-panel=made] .bars .value", "all => all.map((one) => parseFloat(one.textContent))")
        self.assertAlmostEqual(sum(shares), 100, delta=2)
        for row in atom["trace"]["rows"]:
            self.assertIn(row["label"], page.inner_text("[data-panel=trace]"))
        self.assertIn("%.3g" % atom["trace"]["cosine"], page.inner_text("[data-panel=trace]"))
        self.assertIn("rasae eval MODEL DATA --runs", page.inner_text("[data-panel=agreement]"))  # unknown: the command
        delta = self.daemon.get(D).json["settings"]["delta"]
        self.assertIn("%.3g" % delta, page.inner_text("[data-panel=relaxation]"))

    def test_an_atom_leads_to_its_points_and_they_to_other_atoms(self):
        page = self.open("#/d/words/atom/5", "atom")
        page.click("[data-panel=made] .bars a.name >> nth=0")
        self.wait(page, "point")
        self.assertTrue(page.eval_on_selector_all("[data-panel=uses] .bars a", "all => all.map((one) => one.hash)").index("#/d/words/atom/5") >= 0)
        page.go_back()
        self.wait(page, "atom")
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**/atom/6")

    def test_when_it_fires(self):
        measured = self.daemon.get(D + "/atoms/5").json["statistics"]
        page = self.open("#/d/words/atom/5", "atom")
        text = page.inner_text("[data-panel=fires]")
        self.assertIn("%d of 7,400" % measured["count"], text.replace("\n", " "))
        self.assertEqual(page.locator("[data-panel=fires] svg .mark").count(), sum(one > 0 for one in measured["histogram"]["counts"]))
        self.assertEqual(page.locator("[data-panel=fires] svg .marker").count(), 1)
        rows = page.inner_text("[data-panel=rows]")
        for row in measured["top"]:
            self.assertIn(row["label"], rows)

    def test_neighbors_in_order(self):
        wanted = self.daemon.get(D + "/atoms/5/neighbors?k=10").json["neighbors"]
        page = self.open("#/d/words/atom/5", "atom")
        found = page.eval_on_selector_all("[data-panel=neighbors] a", "all => all.map((one) => one.hash)")
        self.assertEqual(found, ["#/d/words/atom/%d" % one["atom"] for one in wanted])

    def test_the_vector_as_a_file(self):
        page = self.open("#/d/words/atom/5", "atom")
        with page.expect_download() as download:
            page.click("[data-panel=vector] button:text-is('npy')")
        with open(download.value.path(), "rb") as file:
            self.assertEqual(file.read(), self.daemon.get(D + "/atoms/5?fields=vector&format=npy").body)

    def test_what_a_file_lacks_names_its_command(self):
        from environment import Daemon, golden
        with Daemon("--dictionary", "bare=" + golden("dict-basic.checkpoint.safetensors")) as bare:
            page = self.page()
            for view, panel, command in (("atom/0", "fires", "rasae eval"), ("atom/0", "trace", "rasae trace"), ("dictionary", "training", "rasae train"), ("map", None, "rasae layout")):
                page.goto("http://%s:%d/#/d/bare/%s" % (*bare.address, view))
                self.wait(page, view.split("/")[0])
                self.assertIn(command, page.inner_text("[data-panel=%s]" % panel if panel else "main"))
            page.goto("about:blank")
            page.evaluate("window.violations = []")

    def test_no_such_atom_is_a_sentence(self):
        page = self.open("#/d/words/atom/999999", "failure")
        self.assertIn("There is no atom 999999", page.inner_text("main"))

    # ---- the table

    def test_the_table_sorts_filters_and_scrolls(self):
        page = self.open("#/d/words/table", "table")
        cells = lambda: page.eval_on_selector_all(".atoms .body [role=row] a", "all => all.map((one) => Number(one.hash.split('/').pop()))")
        order = lambda query: [one["atom"] for one in self.daemon.get(D + "/atoms?fields=norm&limit=1000&" + query).json["atoms"]]
        self.assertEqual(cells()[:10], order("sort=energy&order=desc")[:10])
        page.click(".atoms [role=columnheader] >> text=length")
        self.until(page, "document.querySelector('[aria-sort]').textContent.startsWith('length')")
        self.until(page, "document.querySelector('.atoms .body a')")
        self.assertEqual(cells()[:10], order("sort=norm&order=desc")[:10])
        self.assertIn("sort=norm", page.url)
        page.evaluate("document.querySelector('.atoms').scrollTop = 1e6")
        last = order("sort=norm&order=desc")[-1]
        page.wait_for_selector(".atoms .body a[href$='/atom/%d']" % last)
        self.assertLess(len(cells()), 60)  # only what is in sight
        page.fill("#filter", "water")
        wanted = order("q=water&sort=norm&order=desc")
        self.until(page, "document.querySelector('.atoms').getAttribute('aria-rowcount') == '%d'" % (len(wanted) + 1))
        self.assertEqual(sorted(cells()), sorted(wanted)[:len(cells())])

    # ---- the map

    def test_the_map_answers_keys_pointer_and_lasso(self):
        page = self.open("#/d/words/map", "map")
        page.focus(".cloud canvas[tabindex]")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".cloud .said:not([hidden])")
        said = page.inner_text(".cloud .said")
        self.assertRegex(said, r"^Atom \d+")
        page.keyboard.press("ArrowRight")
        self.assertNotEqual(page.inner_text(".cloud .said"), said)
        atom = re.match(r"Atom (\d+)", page.inner_text(".cloud .said")).group(1)
        page.keyboard.press("Enter")
        page.wait_for_url("**/atom/" + atom)

        page = self.open("#/d/words/map?lines=neighbors", "map")
        at = page.evaluate("(() => { const c = document.querySelector('.cloud').cloud; const b = c.above.getBoundingClientRect();"
                           "const [x, y] = c.toScreen(5); return [x + b.left, y + b.top]; })()")
        page.mouse.move(*at)
        self.until(page, "document.querySelector('.cloud').cloud.hovered >= 0")
        self.until(page, "document.querySelector('.cloud').cloud.lines.length > 0")
        self.shot(page, "map-lines-1400")
        page.mouse.click(*at)
        self.wait(page, "atom")

        page = self.open("#/d/words/map", "map")
        page.click("#lasso")
        box = page.locator(".cloud").bounding_box()
        corners = [(box["x"] + box["width"] * a, box["y"] + box["height"] * b) for a, b in ((0.3, 0.2), (0.6, 0.2), (0.6, 0.7), (0.3, 0.7))]
        page.mouse.move(*corners[0])
        page.mouse.down()
        for corner in corners[1:]:
            page.mouse.move(*corner, steps=4)
        page.mouse.up()
        page.wait_for_selector("[data-panel=chosen]")
        count = int(page.inner_text("#panel-chosen").split()[0])
        inside = page.evaluate("(b) => { const c = document.querySelector('.cloud').cloud; let n = 0; for (let i = 0; i < c.count; i++) {"
                               "const [x, y] = c.toScreen(i); n += x > 0.3 * b.width && x < 0.6 * b.width && y > 0.2 * b.height && y < 0.7 * b.height; }"
                               "return n; }", box)
        self.assertAlmostEqual(count, inside, delta=3)
        page.click("[data-panel=chosen] button[type=submit]")
        self.shot(page, "map-lasso-1400", full=True)
        page.goto(self.home + "/#/d/words/lists")
        self.wait(page, "lists")
        self.assertIn("My list, %d atoms" % count, page.inner_text("main"))
        with page.expect_download() as download:
            page.click("text=Export as JSON")
        with open(download.value.path(), encoding="utf-8") as file:
            self.assertEqual(len(json.load(file)["lists"][0]["atoms"]), count)

    def test_words_light_up_atoms(self):
        page = self.open("#/d/words/map?color=relaxation&size=hull_share", "map")
        page.fill("#match", "water")
        total = self.daemon.get(D + "/atoms?q=water&fields=label").json["total"]
        page.wait_for_selector("text=/^%d atoms?$/" % total)
        self.assertIn("q=water", page.url)
        self.shot(page, "map-match-1400")

    # ---- inputs

    def row(self, name, number):
        import numpy
        return numpy.load(os.path.join(DATA, name))[number].astype(float)

    def test_an_input_is_explained_edited_and_drawn(self):
        import numpy
        row = self.row("digits.npy", 10)
        told = self.daemon.request("POST", "/v1/dictionaries/digits/explain?fields=label", json.dumps({"inputs": [row.tolist()]}),
                                   {"Content-Type": "application/json"}).json["explanations"][0]
        page = self.open("#/d/digits/input", "input")
        page.fill("#numbers", ", ".join(map(str, row)))
        page.click("#explain")
        page.wait_for_selector("[data-panel=edited] .tile")
        self.assertIn("%.3f" % told["r2"], page.inner_text("[data-panel=explained]"))
        atoms = page.eval_on_selector_all(".edits li", "all => all.map((one) => Number(one.dataset.atom))")
        self.assertEqual(atoms, [one["atom"] for one in told["concepts"]])
        page.click(".edits li >> nth=0 >> text=Ablate")
        rest = told["concepts"][1:]
        ask = lambda concepts: numpy.array(self.daemon.request("POST", "/v1/dictionaries/digits/reconstruct", json.dumps({"latents": {
            "indices": [[one["atom"] for one in concepts]], "values": [[one["code"] for one in concepts]]}}),
            {"Content-Type": "application/json"}).json["reconstructions"][0])
        moved = float(numpy.linalg.norm(ask(rest) - ask(told["concepts"])))
        self.until(page, "document.querySelector('[data-panel=edited] .tile b')?.textContent == %s" % json.dumps(page.evaluate(
            "(value) => import('/explorer/dom.js').then((dom) => dom.num(value))", moved)))
        page.check("text=Draw vectors as pictures of")
        self.wait(page, "input")
        page.fill("#numbers", json.dumps({"inputs": [row.tolist()]}))
        page.click("#explain")
        page.wait_for_selector("[data-panel=edited] canvas.picture")
        self.assertEqual(page.locator("[data-panel=explained] canvas.picture").count(), 3)
        drawn = page.evaluate("(() => { const c = document.querySelector('canvas.picture'); const p = c.getContext('2d').getImageData(0, 0, 8, 8).data;"
                              "return [c.width, c.height, Array.from({length: 64}, (_, i) => 255 - p[4 * i])]; })()")
        self.assertEqual(drawn[:2], [8, 8])
        numpy.testing.assert_allclose(drawn[2], row * 255 / row.max(), atol=1)
        self.shot(page, "digits-input-1400", full=True)
        for view in ("atom/3", "point/3"):
            page = self.open("#/d/digits/" + view, page=page)
            page.wait_for_selector("canvas.picture")
            self.shot(page, "digits-%s-1400" % view.split("/")[0], full=True)

    def test_a_file_of_rows_is_read(self):
        page = self.open("#/d/digits/input", "input")
        page.set_input_files("#file", os.path.join(DATA, "digits.npy"))
        page.wait_for_selector("[data-panel=explained]")
        page.wait_for_selector("text=1,797 rows")
        self.assertEqual(json.loads(page.input_value("#numbers")), self.row("digits.npy", 0).tolist())
        page.fill("[aria-label='Row of the file']", "7")
        page.press("[aria-label='Row of the file']", "Enter")
        page.keyboard.press("Tab")
        self.until(page, "JSON.parse(document.querySelector('#numbers').value).join() == %s" % json.dumps(",".join(
            str(int(value)) for value in self.row("digits.npy", 7))))

    def test_what_is_no_input_is_a_sentence(self):
        page = self.open("#/d/digits/input", "input")
        for text, said in (("1, 2, 3", "An input has 64 numbers; these are 3."), ("", "There are no numbers yet."), ("[1, ", "This is no JSON"),
                           ("1, x", "Number 2 of them is none.")):
            page.fill("#numbers", text)
            page.click("#explain")
            page.wait_for_selector("text=" + said)

    # ---- media

    def test_media_are_shown_by_their_kind(self):
        page = self.open("#/d/digits/table", "table")
        tag = lambda media: page.evaluate("""([media]) => import('/explorer/media.js').then(({ rowMedia }) => {
            const node = rowMedia({item_shape: {rows: 5, skip: 1, height: 2, width: 2}}, {row: 8, position: 3, media}, 'row 8');
            return node && node.outerHTML; })""", [media])
        self.assertIn('<span class="patch" aria-hidden="true" style="left: 0%; top: 50%; width: 50%; height: 50%;">', tag("/none.png?v=1"))
        self.assertIn("<audio", tag("/none.mp3"))
        self.assertIn('<a href="/page">row 8</a>', tag("/page"))
        self.assertIsNone(tag(None))

    def test_a_heat_map_has_the_codes_of_its_patches(self):
        page = self.open("#/d/digits/table", "table")
        found = page.evaluate("""import('/explorer/media.js').then((media) => {
            const figure = media.heat({rows: 7, skip: 1, height: 2, width: 3}, {item: 4, label: null, value: 2, codes: [9, 0, 1, 2, 0, 0, 2]}, 2);
            const canvas = figure.querySelector('canvas');
            return [canvas.width, canvas.height, figure.textContent, Array.from(canvas.getContext('2d').getImageData(0, 0, 3, 2).data)]; })""")
        colors = [found[3][4 * i:4 * i + 3] for i in range(6)]
        self.assertEqual((found[0], found[1]), (3, 2))
        self.assertIn("item 4", found[2])
        self.assertEqual(colors[2], colors[5])
        self.assertEqual(colors[0], colors[3])
        self.assertEqual(len({tuple(color) for color in colors}), 3)

    # ---- the dictionary and the service

    def test_the_spectrum_is_that_of_the_dictionary(self):
        import io
        import numpy
        values = numpy.linalg.svd(numpy.load(io.BytesIO(self.daemon.get("/v1/dictionaries/digits/dictionary?format=npy").body)), compute_uv=False)
        page = self.open("#/d/digits/dictionary", "dictionary")
        found = page.evaluate("""Promise.all([import('/explorer/ask.js'), import('/explorer/spectrum.js')]).then(async ([ask, spectrum]) => {
            const array = ask.npy(await (await fetch('/v1/dictionaries/digits/dictionary?format=npy')).arrayBuffer());
            return spectrum.singularValues(Float64Array.from(array.values), ...array.shape); })""")
        numpy.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6 * values[0])
        self.assertIn("%.3g" % (numpy.sum(values ** 2) / values[0] ** 2), page.inner_text("[data-panel=spectrum]"))

    def test_two_dictionaries_are_compared(self):
        import io
        import numpy
        unit = lambda name: (lambda x: x / numpy.maximum(numpy.linalg.norm(x, axis=1, keepdims=True), 1e-30))(numpy.load(io.BytesIO(
            self.daemon.get("/v1/dictionaries/%s/dictionary?format=npy" % name).body)).astype(float))
        cosines = unit("digits") @ unit("digits-again").T
        best = cosines.max(1)
        mutual = cosines.argmax(0)[cosines.argmax(1)] == numpy.arange(len(best))
        page = self.both("#/d/digits/compare?with=digits-again", "digits-compare", "compare")
        text = page.inner_text("[data-panel=alike]")
        self.assertIn("%.3f" % best.mean(), text)
        for share in (numpy.mean(best >= 0.7), numpy.mean(best >= 0.9), mutual.mean()):
            self.assertIn(page.evaluate("(share) => import('/explorer/dom.js').then((dom) => dom.percent(share))", float(share)), text)
        order = numpy.argsort(-best, kind="stable")
        links = page.eval_on_selector_all("[data-panel=both] tbody tr", "all => all.map((row) => [...row.querySelectorAll('a')].map((one) => Number(one.hash.split('/').pop())))")
        self.assertEqual(links[0], [int(order[0]), int(cosines[order[0]].argmax())])
        self.assertIn("no other dictionary of 384 dimensions", self.open("#/d/words/compare", "compare").inner_text("main"))

    def test_the_course_of_the_training(self):
        found = self.daemon.get("/v1/dictionaries/digits/training").json["columns"]
        page = self.both("#/d/digits/dictionary?", "digits-dictionary", "dictionary")
        page.wait_for_selector("[data-panel=training] svg")
        text = page.inner_text("[data-panel=training] p")
        for value in (found["step"][-1], found["loss"][-1], found["r2"][-1]):
            self.assertIn(page.evaluate("(value) => import('/explorer/dom.js').then((dom) => dom.num(value))", value), text)
        self.assertEqual(page.locator("[data-panel=training] svg").count(), 4)
        path = page.get_attribute("[data-panel=training] svg >> nth=0 >> path.line", "d")
        self.assertEqual(path.count("M") + path.count("L"), len(found["step"]))
        chart = page.locator("[data-panel=training] svg").nth(0)
        chart.hover(position={"x": chart.bounding_box()["width"] - 5, "y": 20})
        page.wait_for_selector("[data-panel=training] >> text=/^step %d: /" % found["step"][-1])

    def test_the_service_counts_requests(self):
        page = self.open("#/service", "service")
        page.wait_for_selector("[data-panel=routes] tbody tr")
        for _ in range(20):
            self.daemon.get(D + "/atoms/5")
        self.until(page, "parseFloat(document.querySelector('[data-panel=load] .tile b').textContent) > 0")
        row = [line for line in page.inner_text("[data-panel=routes] tbody").splitlines() if line.startswith("atom\t")][0].split("\t")
        self.assertGreaterEqual(int(row[1].replace(",", "")), 20)

    def test_reloading_needs_a_key(self):
        page = self.open("#/d/words/dictionary", "dictionary")
        page.expected = (401, 403)
        page.click("text=Reload the file")
        page.wait_for_selector("[data-panel=file] .failure")

    # ---- the frame

    def test_finding_an_atom_from_everywhere(self):
        page = self.open("#/d/words/table", "table")
        page.keyboard.press("/")
        page.keyboard.type("tuesday")  # Enter need not wait for the list
        first = self.daemon.get(D + "/atoms?q=tuesday&fields=label&limit=8").json["atoms"][0]["atom"]
        page.keyboard.press("Enter")
        page.wait_for_url("**/atom/%d" % first)

    def test_the_theme_is_kept(self):
        page = self.open("#/d/words/atom/5", "atom")
        page.click("#theme")
        self.assertEqual(page.evaluate("document.documentElement.dataset.theme"), "dark")
        page.reload()
        self.wait(page, "atom")
        self.assertEqual(page.evaluate("document.documentElement.dataset.theme"), "dark")
        self.shot(page, "atom-dark-1400")

    def test_embedded_panels(self):
        page = self.open("?embed=1&panels=made,rows#/d/words/atom/5", "atom", width=640, height=500)
        self.assertFalse(page.is_visible(".top"))
        self.assertEqual(page.eval_on_selector_all("[data-panel]", "all => all.map((one) => one.dataset.panel)"), ["made", "rows"])
        self.shot(page, "embed-640")

    def test_without_scripts_the_links_are_there(self):
        text = self.daemon.get("/").body.decode()
        for link in ("docs", "openapi.json", "v1/dictionaries", "health/ready"):
            self.assertIn('href="%s"' % link, text)


if __name__ == "__main__":
    unittest.main()
