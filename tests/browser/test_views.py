"""The explorer at / (server/web/explorer), in a headless Chromium against a live daemon with the words and the digits: map,
table, atoms and the frame around the views show what the calls answer, wide and narrow, and axe finds no serious fault."""

import json
import re
import unittest

from browser import Explorer  # first: it enters the environment of the packages

D = "/v1/dictionaries/words"


class Views(Explorer):
    def test_the_first_page_is_the_map_of_the_first_dictionary(self):
        page = self.open("", "map")
        self.assertIn("#/d/words/map", page.url)
        self.assertEqual(page.eval_on_selector_all("#dictionary option", "all => all.map((one) => one.value)"), ["words", "digits", "digits-again", "digits-third"])
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
        first = self.daemon.get(D + "/points/%d" % atom["archetypes"][0]["point"]).json
        near = [row["label"] for row in first["rows"] if row["label"] != first["label"]][:4]
        if near:
            page.wait_for_selector("[data-panel=made] >> text=nearest rows: " + ", ".join(near))
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
        self.until(page, "document.querySelector('.atoms:not([aria-busy]) .body a')")
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

    def test_the_atoms_of_a_point_in_the_table(self):
        point = self.daemon.get(D + "/atoms/5?fields=archetypes").json["archetypes"][0]
        page = self.open("#/d/words/table", "table")
        page.fill("[aria-label='made of point']", str(point["point"]))
        page.press("[aria-label='made of point']", "Enter")
        total = self.daemon.get(D + "/atoms?fields=label&point=%d" % point["point"]).json["total"]
        page.wait_for_selector("text=/^%d atoms? of 300$/" % total)
        page.wait_for_selector("text=made of " + point["label"])
        self.assertIn("point=%d" % point["point"], page.url)
        page.click("[aria-label='Atoms of any point']")
        page.wait_for_selector("text=/^300 atoms$/")

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
