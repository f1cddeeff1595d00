"""The views of the explorer (server/web/explorer) that compute: inputs and their edits, two dictionaries, the dictionary as a
whole, and the service."""

import csv
import json
import os
import unittest

from browser import DATA, Explorer  # first: it enters the environment of the packages

D = "/v1/dictionaries/words"


class Inputs(Explorer):
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

    def test_what_the_file_calls_images_is_drawn(self):
        page = self.open("#/d/digits-third/atom/3", "atom")
        page.wait_for_selector("canvas.picture")
        self.assertEqual(page.locator("text=Draw vectors as pictures of").count(), 0)
        page = self.open("#/d/digits-third/input", "input", page=page)
        page.set_input_files("#file", os.path.join(DATA, "digits.npy"))
        page.wait_for_selector("[data-panel=edited] canvas.picture")
        self.shot(page, "digits-third-input-1400", full=True)

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

    def test_a_row_of_the_data_is_explained(self):
        strongest = self.daemon.get(D + "/atoms/5").json["statistics"]["top"][0]
        page = self.open("#/d/words/atom/5", "atom")
        page.click("[data-panel=rows] a >> nth=0")
        self.wait(page, "input")
        page.wait_for_selector("[data-panel=edited] .tile")
        row = self.daemon.get(D + "/rows?limit=1&offset=%d" % strongest["row"]).json["rows"][0]["vector"]
        shown = json.loads(page.input_value("#numbers"))
        self.assertLess(max(abs(a - b) for a, b in zip(row, shown)), 1e-6)
        found = page.inner_text(".edits li[data-atom='5']").split("\n")
        self.assertIn("%.3g" % strongest["value"], " ".join(found))
        page.fill("[aria-label='or a row of the data']", "99999")
        page.press("[aria-label='or a row of the data']", "Enter")
        page.wait_for_selector("text=There is no row 99999")

    def test_archives_and_tensors_are_read(self):
        import numpy
        from browser import safetensors
        rows = numpy.arange(3 * 64, dtype=numpy.float32).reshape(3, 64)
        paths = {name: os.path.join(self.folder, "rows." + name) for name in ("npz", "packed.npz", "safetensors")}
        numpy.savez(paths["npz"], other=numpy.zeros((2, 5)), rows=rows)
        numpy.savez_compressed(paths["packed.npz"], rows=rows.astype(numpy.float16))
        safetensors(paths["safetensors"], {"narrow": numpy.zeros((4, 3), numpy.float32), "rows": rows}, {})
        page = self.open("#/d/digits/input", "input")
        for path in paths.values():
            page.set_input_files("#file", path)
            page.wait_for_selector("text=" + os.path.basename(path) + ", rows: 3 rows")
            self.assertEqual(json.loads(page.input_value("#numbers")), rows[0].tolist())
            page.fill("[aria-label='Row of the file']", "2")
            page.keyboard.press("Tab")
            self.until(page, "JSON.parse(document.querySelector('#numbers').value)[0] === 128")
        numpy.savez(paths["npz"], other=numpy.zeros((2, 5)))
        page.set_input_files("#file", paths["npz"])
        page.wait_for_selector("text=rows.npz has other, 2 x 5.")

    def test_a_point_by_its_label_and_an_atom_that_is_not_active(self):
        words = [point for point in self.daemon.get(D + "/points?fields=label&limit=1000").json["points"] if point["label"].startswith("wa")]
        first = min(words, key=lambda point: len(point["label"]))
        page = self.open("#/d/words/input", "input")
        page.fill("[aria-label='or a point']", "wa")
        page.press("[aria-label='or a point']", "Enter")
        page.wait_for_selector("text=point %d: %s" % (first["point"], first["label"]))
        page.wait_for_selector("[data-panel=edited] .tile")
        active = page.eval_on_selector_all(".edits li", "all => all.map((one) => Number(one.dataset.atom))")
        other = next(i for i in range(300) if i not in active)
        page.fill("[aria-label='Another atom']", str(other))
        page.press("[aria-label='Another atom']", "Enter")
        slider = page.locator(".edits li[data-atom='%d'] input[type=range]" % other)
        slider.focus()
        slider.press("End")
        set_to = float(slider.input_value())
        row = json.loads(page.input_value("#numbers"))
        edited = self.daemon.request("POST", D + "/edit", json.dumps({"inputs": [row], "set": [{"atom": other, "op": "set", "value": set_to}]}),
                                     {"Content-Type": "application/json"}).json["outputs"][0]
        moved = sum((a - b) ** 2 for a, b in zip(edited, row)) ** 0.5
        self.until(page, "[...document.querySelectorAll('[data-panel=edited] .tile b')].slice(0, 2).every((one) => one.textContent == %s)" % json.dumps(page.evaluate(
            "(value) => import('/explorer/dom.js').then((dom) => dom.num(value))", moved)))
        self.assertIn("edit?set=%d:set:" % other, page.inner_text("[data-panel=edited]"))
        page.fill("[aria-label='or a point']", "no such words")
        page.press("[aria-label='or a point']", "Enter")
        page.wait_for_selector("text=No point has these words.")

    def test_what_is_no_input_is_a_sentence(self):
        page = self.open("#/d/digits/input", "input")
        for text, said in (("1, 2, 3", "An input has 64 numbers; these are 3."), ("", "There are no numbers yet."), ("[1, ", "This is no JSON"),
                           ("1, x", "Number 2 of them is none.")):
            page.fill("#numbers", text)
            page.click("#explain")
            page.wait_for_selector("text=" + said)

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
        self.assertIn("different numbers of atoms, 64 and 48", text)
        page = self.both("#/d/words/compare", "words-compare", "compare")
        self.assertIn("no other dictionary of 384 dimensions", page.inner_text("main"))
        self.assertIn("rasae contrast MODEL A -- B", page.inner_text("[data-panel=contrasts]"))

    def test_dictionaries_of_one_shape_are_matched_by_the_server(self):
        told = self.daemon.request("POST", "/v1/dictionaries/digits/compare", json.dumps({"with": "digits-third"}),
                                   {"Content-Type": "application/json"}).json
        page = self.both("#/d/digits/compare?with=digits-third", "digits-matched", "compare")
        text = page.inner_text("[data-panel=alike]")
        for name in ("stability_without_flips", "stability_with_flips", "stability_centered"):
            self.assertIn("%.3f" % told[name], text)
        self.assertIn("%d of %d candidate points" % (told["shared_points_in_any_order"], told["points"]), text)
        best = max(range(64), key=lambda i: told["match_cosine"][i])
        links = page.eval_on_selector_all("[data-panel=both] tbody tr", "all => all.map((row) => [...row.querySelectorAll('a')].map((one) => one.hash))")
        self.assertEqual(links[0], ["#/d/digits/atom/%d" % best, "#/d/digits-third/atom/%d" % told["match"][best]])
        with page.expect_download() as download:
            page.click("text=All pairs as CSV")
        with open(download.value.path(), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([int(row["partner"]) for row in rows], told["match"])
        # A file that the server does not hold under a name of its own: as an earlier generation.
        page.set_input_files("#other-file", os.path.join(self.folder, "digits.safetensors"))
        page.wait_for_selector("[data-panel=alike] >> text=is in this browser alone")
        self.assertIn("1.000", page.inner_text("[data-panel=alike]"))
        same = page.eval_on_selector_all("[data-panel=own] tbody tr", "all => all.map((row) => [row.cells[0].textContent, row.querySelector('a').hash])")
        self.assertTrue(all(to.endswith("/" + name.split()[1]) for name, to in same), same)

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


if __name__ == "__main__":
    unittest.main()
