"""What the tests of this folder share: the daemon of tests/http with dictionaries that are made for them, and pages of a
headless Chromium that report what a reader would not forgive.

    class View(Explorer):
        def test_x(self):
            page = self.open("#/d/words/atom/5")

A test fails when its page logs an error, throws, or asks for what the policy forbids. Screenshots are under BUILD/browser."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import environment  # noqa: E402

environment.enter()

import axe_core_python  # noqa: E402
import numpy  # noqa: E402
from environment import TOP, Daemon  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("RASAE_BUILD", "build"))
SHOTS = os.path.join(BUILD, "browser")
DATA = os.path.join(TOP, "tests", "data")
CHROMIUM = "/usr/bin/chromium"
with open(os.path.join(os.path.dirname(axe_core_python.__file__), "axe.min.js"), encoding="utf-8") as axe:
    AXE = axe.read()
PATIENCE = 30000  # milliseconds
WATCH = "window.violations = []; addEventListener('securitypolicyviolation', (event) => violations.push(" \
        "event.violatedDirective + ' ' + event.blockedURI));"


def rasae(*arguments):
    done = subprocess.run([os.path.join(BUILD, "rasae"), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, "rasae %s: %s" % (arguments[0], done.stderr)


def make(folder, name, data, labels, *flags, measure=(), fuse=()):
    """Trains, fuses, measures and lays out, as a user would."""
    checkpoint, model = (os.path.join(folder, name + end) for end in (".checkpoint.safetensors", ".safetensors"))
    rasae("train", data, "--labels", labels, "-o", checkpoint, "--quiet", *flags)
    rasae("fuse", checkpoint, "-o", model, "--quiet", *fuse)
    rasae("eval", model, data, "--labels", labels, "--basic", "--save", model, *measure)
    rasae("layout", model, "-o", model)
    return model


def safetensors(path, tensors, metadata):
    import json
    import struct
    kinds = {"float32": "F32", "int64": "I64", "int32": "I32", "uint8": "U8"}
    header, data = {"__metadata__": metadata}, []
    at = 0
    for tensor_name, array in tensors.items():
        raw = numpy.ascontiguousarray(array).tobytes()
        header[tensor_name] = {"dtype": kinds[str(array.dtype)], "shape": list(array.shape), "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def make_large(path, atoms=32000, dimensions=16):
    """Clusters on a plane; every tenth atom is dead."""
    random = numpy.random.default_rng(7)
    centers = random.uniform(-0.9, 0.9, (120, 2))
    layout = centers[random.integers(0, 120, atoms)] + random.normal(0, 0.035, (atoms, 2))
    rows = 100000
    count = (rows * 10 ** random.uniform(-5, -1, atoms)).astype(numpy.int64)
    count[::10] = 0
    alive = (count > 0).astype(numpy.float32)
    histogram = numpy.zeros((atoms, 50), numpy.int64)
    histogram[:, 12] = count
    top = numpy.where(count[:, None] > 0, numpy.arange(4)[None, :] + numpy.arange(atoms)[:, None], -1)
    top[:, 1:] = numpy.where(count[:, None] >= 4, top[:, 1:], -1)
    values = numpy.where(top >= 0, 0.4, 0).astype(numpy.float32)
    tensors = {
        "dictionary": random.normal(0, 1, (atoms, dimensions)).astype(numpy.float32),
        "atoms.layout": numpy.clip(layout, -1, 1).astype(numpy.float32),
        "atoms.labels": numpy.frombuffer("".join("concept %d\n" % i for i in range(atoms)).encode(), numpy.uint8),
        "latents.count": count, "latents.mean": 0.25 * alive, "latents.max": 0.4 * alive,
        "latents.energy": (alive * random.lognormal(-5, 1, atoms)).astype(numpy.float32), "latents.histogram": histogram,
        "latents.histogram_top": 0.5 * alive, "latents.top_row": top.astype(numpy.int64), "latents.top_value": values,
    }
    safetensors(path, tensors, {"format": "rasae.fused.v1", "latents.rows": str(rows)})
    return path


class Explorer(unittest.TestCase):
    """A daemon with the words, the digits and, where a class asks for it, 32,000 made atoms; one browser for all tests."""
    large = False
    flags = ()

    @classmethod
    def setUpClass(cls):
        os.makedirs(SHOTS, exist_ok=True)
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="rasae-browser-"))
        served = cls.dictionaries()
        arguments = [part for name, path in served.items() for part in ("--dictionary", name + "=" + path)]
        if "words" in served:
            arguments += ["--data", "words=" + os.path.join(DATA, "words.safetensors")]
        cls.daemon = cls.enterClassContext(Daemon(*arguments, *cls.flags))
        cls.home = "http://%s:%d" % cls.daemon.address
        playwright = cls.enterClassContext(sync_playwright())
        cls.browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        cls.addClassCleanup(cls.browser.close)

    @classmethod
    def dictionaries(cls):
        served = {
            "words": make(cls.folder, "words", os.path.join(DATA, "words.safetensors"), os.path.join(DATA, "words.txt"),
                          "--concepts", "300", "--top-k", "16", "--epochs", "6"),
            "digits": make(cls.folder, "digits", os.path.join(DATA, "digits.npy"), os.path.join(DATA, "digits.txt"),
                           "--concepts", "64", "--top-k", "8", "--epochs", "30"),
            "digits-again": make(cls.folder, "digits-again", os.path.join(DATA, "digits.npy"), os.path.join(DATA, "digits.txt"),
                                 "--concepts", "48", "--top-k", "8", "--epochs", "20", "--seed", "2"),
            "digits-third": make(cls.folder, "digits-third", os.path.join(DATA, "digits.npy"), os.path.join(DATA, "digits.txt"),
                                 "--concepts", "64", "--top-k", "8", "--epochs", "20", "--seed", "3", fuse=("--shape", "8x8"))}
        if cls.large:
            served = {"large": make_large(os.path.join(cls.folder, "large.safetensors"))}
        return served

    def page(self, width=1400, height=900, scheme="light"):
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True)
        self.addCleanup(context.close)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.faults = []
        page.expected = ()  # statuses that a test provokes, which Chromium logs as errors
        page.on("console", lambda message: message.type in ("error", "warning") and page.faults.append(self.said(message)))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        self.addCleanup(self.check, page)
        return page

    @staticmethod
    def said(message):
        return "%s %s (%s)" % (message.type, message.text, message.location.get("url", ""))

    def check(self, page):
        if page.is_closed():
            return
        faults = [fault for fault in page.faults if not any("status of %d" % status in fault for status in page.expected)]
        self.assertEqual(faults + page.evaluate("violations"), [])

    def open(self, address="", shown=None, **how):
        page = how.pop("page", None) or self.page(**how)
        page.goto(self.home + "/" + address)
        self.wait(page, shown)
        return page

    def wait(self, page, shown=None):
        page.wait_for_selector("main[data-shown%s]" % ("='%s'" % shown if shown else ""))
        self.until(page, "!document.querySelector('.waiting')")

    def until(self, page, condition):
        """Like wait_for_function, which would need eval within the page."""
        end = time.monotonic() + PATIENCE / 1000
        while not page.evaluate(condition):
            self.assertLess(time.monotonic(), end, "waited in vain for " + condition)
            page.wait_for_timeout(30)

    def shot(self, page, name, full=False):
        page.screenshot(path=os.path.join(SHOTS, name + ".png"), full_page=full)

    def fits(self, page):
        """Nothing is wider than the window."""
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), page.viewport_size["width"])

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
