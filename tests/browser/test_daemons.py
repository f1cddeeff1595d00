"""The explorer over daemons with other settings: media and their heat maps, labels and lists that are kept, keys and a prefix."""

import os
import subprocess
import unittest
import urllib.parse

from browser import BUILD, DATA, Explorer, make, rasae


class Media(Explorer):
    """Digits cut into sixteen patches, with their pictures, behind a key."""
    KEY = "the-key-that-reads"

    @classmethod
    def dictionaries(cls):
        import numpy
        digits = numpy.load(os.path.join(DATA, "digits.npy")).astype(numpy.float32)[:600]
        pictures = os.path.join(cls.folder, "pictures")
        os.mkdir(pictures)
        for i, row in enumerate(digits):
            with open(os.path.join(pictures, "%d.png" % i), "wb") as file:
                file.write(png(255 - row.reshape(8, 8) * 15.9))
        rows, labels = os.path.join(cls.folder, "patches.npy"), os.path.join(cls.folder, "labels.txt")
        numpy.save(rows, digits.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4))
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("patch %d\n" % i for i in range(600 * 16))
        keys = os.path.join(cls.folder, "keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write("read %s\n" % cls.KEY)
        os.chmod(keys, 0o600)
        cls.flags = ("--media", "patches=" + pictures, "--media-url", "patches={item}.png", "--keys", keys)
        return {"patches": make(cls.folder, "patches", rows, labels, "--concepts", "24", "--top-k", "3", "--epochs", "5",
                                measure=("--item-shape", "4x4", "--items", "6"))}

    def test_pictures_have_their_patch_and_their_heat_map(self):
        ask = lambda path: self.daemon.get("/v1/dictionaries/patches/atoms" + path, headers={"Authorization": "Bearer " + self.KEY}).json
        strongest = ask("?sort=energy&limit=1&fields=label")["atoms"][0]["atom"]
        told = ask("/%d/items?k=8" % strongest)
        page = self.page()
        page.add_init_script("sessionStorage.setItem('rasaed-key', '%s')" % self.KEY)
        page.goto(self.home + "/#/d/patches/atom/%d" % strongest)
        self.wait(page, "atom")
        self.until(page, "[...document.querySelectorAll('[data-panel=rows] img, [data-panel=items] img')].every((one) => one.naturalWidth === 8)")
        self.assertEqual(page.locator("[data-panel=rows] .patch").count(), page.locator("[data-panel=rows] img").count())
        self.assertEqual(page.locator("[data-panel=items] canvas.heat").count(), len(told["items"]))
        page.wait_for_selector("[data-panel=quantiles] .thumb img")
        strengths = page.evaluate("[...document.querySelector('canvas.heat').getContext('2d').getImageData(0, 0, 4, 4).data].filter((_, i) => i % 4 === 3)")
        codes = told["items"][0]["codes"]
        self.assertEqual([alpha > 0 for alpha in strengths], [code > 0.003 * max(codes) for code in codes])
        atom = ask("/%d?fields=archetypes,trace" % strongest)
        self.assertEqual(page.locator("[data-panel=made] .thumb img").count(), sum(point["media"] is not None for point in atom["archetypes"]))
        self.assertEqual(page.locator("[data-panel=trace] .thumb img").count(), len(atom["trace"]["rows"]))
        self.shot(page, "patches-atom-1400", full=True)
        page = self.open("#/d/patches/point/%d" % atom["archetypes"][0]["point"], "point", page=page)
        self.assertGreater(page.locator("[data-panel=near] .thumb .patch").count(), 0)


class Texts(Explorer):
    """Texts of a class token and fifteen words, of which the file of tokens has the words."""

    @classmethod
    def dictionaries(cls):
        import json
        import numpy
        digits = numpy.load(os.path.join(DATA, "digits.npy")).astype(numpy.float32)[:300].reshape(-1, 4)
        rows, labels, tokens = (os.path.join(cls.folder, name) for name in ("rows.npy", "labels.txt", "tokens.jsonl"))
        numpy.save(rows, digits)
        with open(labels, "w", encoding="utf-8") as file:
            file.writelines("text %d\n" % (i // 16) for i in range(300 * 16))
        with open(os.path.join(DATA, "words.txt"), encoding="utf-8") as file:
            words = file.read().split("\n")
        cls.texts = [[" " + words[(31 * i + p) % 900] for p in range(12)] + ["\n", "<i>\u00eb</i>", ""] for i in range(300)]
        with open(tokens, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(text) + "\n" for text in cls.texts)
        return {"texts": make(cls.folder, "texts", rows, labels, "--concepts", "24", "--top-k", "3", "--epochs", "5",
                              measure=("--item-shape", "1+15", "--items", "4", "--tokens", tokens))}

    def test_texts_are_shaded_by_their_codes(self):
        ask = lambda path: self.daemon.get("/v1/dictionaries/texts/atoms" + path).json
        strongest = ask("?sort=energy&limit=1&fields=label")["atoms"][0]["atom"]
        told = ask("/%d/items?k=8" % strongest)["items"]
        page = self.open("#/d/texts/atom/%d" % strongest, "atom")
        page.wait_for_selector("[data-panel=items] figure.text")
        shown = page.eval_on_selector_all("[data-panel=items] figure.text", """all => all.map((figure) =>
            [...figure.querySelectorAll('.token')].map((one) => [one.textContent, one.style.backgroundColor !== '']))""")
        self.assertEqual(len(shown), len(told))
        signs = {"\n": "\u21b5"}
        for figure, item in zip(shown, told):
            self.assertEqual(figure, [[signs.get(token, token), code != 0] for token, code in zip(self.texts[item["item"]], item["codes"][1:])])
        self.assertEqual(page.locator("[data-panel=items] i").count(), 0)
        rows = ask("/%d?fields=statistics" % strongest)["statistics"]["top"]
        names = page.eval_on_selector_all("[data-panel=rows] li span:first-child", "all => all.map((one) => one.textContent)")
        empty = {"\n": "\u21b5", "": "\u2205"}
        wanted = [(empty.get(row["token"], row["token"]) + " in " if row["token"] is not None else "") + row["label"] for row in rows]
        self.assertEqual([name for name in names if " in text" in name or name.startswith("text")], wanted)
        self.shot(page, "texts-atom-1400", full=True)


def png(pixels):
    """Gray pixels as a file."""
    import struct
    import zlib
    rows = b"".join(b"\0" + bytes(int(value) for value in row) for row in pixels)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def serves(flag):
    return flag in subprocess.run([os.path.join(BUILD, "rasaed"), "--help"], capture_output=True, text=True).stdout


@unittest.skipUnless(serves("--state "), "this daemon keeps no changes")
class State(Explorer):
    """A daemon that keeps labels, with a contrast of small against large digits."""
    KEY = "the-key-that-administers"

    @classmethod
    def dictionaries(cls):
        import numpy
        digits = numpy.load(os.path.join(DATA, "digits.npy"))
        with open(os.path.join(DATA, "digits.txt"), encoding="utf-8") as file:
            small = numpy.array([int(line) < 5 for line in file])
        path = os.path.join(cls.folder, "digits.safetensors")
        make(cls.folder, "digits", os.path.join(DATA, "digits.npy"), os.path.join(DATA, "digits.txt"), "--concepts", "64", "--top-k", "8", "--epochs", "10")
        for name, rows in (("small", digits[small]), ("large", digits[~small])):
            numpy.save(os.path.join(cls.folder, name + ".npy"), rows)
        rasae("contrast", path, os.path.join(cls.folder, "small.npy"), "--", os.path.join(cls.folder, "large.npy"), "-o", path, "--name", "size",
              "--a", "0 to 4", "--b", "5 to 9")
        keys = os.path.join(cls.folder, "keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write("admin %s\n" % cls.KEY)
        os.chmod(keys, 0o600)
        cls.flags = ("--state", os.path.join(cls.folder, "state"), "--keys", keys)
        return {"digits": path}

    def keyed(self, address, shown):
        page = self.page()
        page.add_init_script("sessionStorage.setItem('rasaed-key', '%s')" % self.KEY)
        return self.open(address, shown, page=page)

    def ask(self, path):
        return self.daemon.get("/v1/dictionaries/digits" + path, headers={"Authorization": "Bearer " + self.KEY}).json

    def test_a_label_is_set(self):
        page = self.keyed("#/d/digits/atom/3", "atom")
        page.click("text=Change the label")
        page.fill("[aria-label='Label of the atom']", "upper bow")
        page.click("text=Save")
        page.wait_for_selector("h1:text-is('upper bow')")
        self.assertEqual(self.ask("/atoms/3?fields=label")["label"], "upper bow")
        self.shot(page, "label-1400")

    def test_a_list_goes_to_the_server_and_back(self):
        page = self.keyed("#/d/digits/atom/5", "atom")
        page.fill("[aria-label='Name of the list']", "loops & bows")
        page.click("text=Add to list")
        page = self.open("#/d/digits/lists", "lists", page=page)
        page.click("text=Save on the server")
        page.wait_for_selector("[data-panel='shared-0']")
        self.assertEqual(self.ask("/lists/loops-bows")["atoms"], [5])
        page.click("text=Copy to this browser")
        page.wait_for_selector("h2:text-is('loops-bows, 1 atom')")
        self.daemon.request("PUT", "/v1/dictionaries/digits/lists/loops-bows", '{"atoms": [1]}',
                            {"Authorization": "Bearer " + self.KEY, "Content-Type": "application/json"})
        page.expected = (412,)
        page.click("text=Save on the server >> nth=0")  # what somebody else changed meanwhile stays
        page.wait_for_selector("main .failure")
        self.assertEqual(self.ask("/lists/loops-bows")["atoms"], [1])

    def test_contrasts_are_listed_and_color_the_map(self):
        page = self.keyed("#/d/digits/dictionary", "dictionary")
        self.assertIn("0 to 4 against 5 to 9", page.inner_text("[data-panel='contrasts']"))
        page.click("[data-panel='contrasts'] >> text=the largest differences")
        self.wait(page, "compare")
        self.assertIn("0 to 4 against 5 to 9", page.inner_text("[data-panel='contrast-size']"))
        links = page.eval_on_selector_all("[data-panel='contrast-size'] tbody a", "all => all.map((one) => Number(one.hash.split('/').pop()))")
        order = [one["atom"] for one in self.ask("/contrasts/size?sort=energy&order=desc&limit=64")["atoms"]]
        self.assertEqual((links[0], links[-1]), (order[0], order[-1]))
        page.click("[data-panel='contrast-size'] >> text=On the map")
        self.wait(page, "map")
        self.assertEqual(page.input_value("#map-color"), "contrast:size")
        self.shot(page, "contrast-map-1400")


class Keys(Explorer):
    """A daemon that asks for keys, behind a prefix."""
    flags = ("--base-path", "/rasae")

    @classmethod
    def dictionaries(cls):
        path = os.path.join(cls.folder, "keys")
        with open(path, "w", encoding="utf-8") as file:
            file.write("read the-key-that-reads\nadmin the-key-that-administers\n")
        os.chmod(path, 0o600)
        cls.flags = ("--base-path", "/rasae", "--keys", path)
        from environment import golden
        return {"basic": golden("dict-basic.checkpoint.safetensors")}

    def test_a_key_is_asked_for_and_kept_in_the_session(self):
        page = self.page()
        page.expected = (401,)
        page.goto(self.home + "/rasae/")
        page.wait_for_selector("main[data-shown=failure]")
        self.assertIn("This server asks for a key.", page.inner_text("main"))
        self.shot(page, "key-1400")
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=The server does not know this key.")
        page.fill("#key", "the-key-that-reads")
        page.keyboard.press("Enter")
        page.wait_for_selector("main[data-shown=table]")
        self.assertEqual(urllib.parse.urlsplit(page.url).path, "/rasae/")
        page.reload()
        page.wait_for_selector("main[data-shown=table]")
        self.assertEqual(page.evaluate("sessionStorage.getItem('rasaed-key')"), "the-key-that-reads")
        self.assertEqual(page.evaluate("localStorage.length"), 0)


if __name__ == "__main__":
    unittest.main()
