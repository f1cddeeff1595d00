"""`rasae train --report` (trainer/report, trainer/training/{save,report}.c): a page that needs no other file, says
what the log says, and says nothing else, whatever the labels are."""

import base64
import hashlib
import html.parser
import json
import math
import os
import re

import support
from support import Case, Tensor, data, npy_bytes, read_safetensors, small_data

VOID = {"meta", "link", "br", "img", "hr", "input", "col", "wbr"}
# Attributes through which a page can ask for something else.
REFERENCES = {"src", "href", "xlink:href", "srcset", "action", "formaction", "data", "poster", "background", "ping"}
SECTIONS = ["results", "curves", "shape", "atoms", "settings"]


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.children = tag, attributes, parent, []

    def text(self):
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def all(self, tag, name=None):
        """Elements below with this tag and, if given, this class, in the page's order."""
        for child in self.children:
            if isinstance(child, str):
                continue
            if child.tag == tag and (name is None or name in child.attributes.get("class", "").split()):
                yield child
            yield from child.all(tag, name)


class Page(html.parser.HTMLParser):
    """The tree of a page; fails if elements are not closed in order, or an attribute appears twice."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.top = self.at = Node("", {}, None)
        self.elements = []
        self.feed(text)
        self.close()
        assert self.at is self.top, "<%s> is not closed" % self.at.tag

    def handle_starttag(self, tag, attributes, closed=False):
        assert len(dict(attributes)) == len(attributes), "an attribute of <%s> is given twice" % tag
        node = Node(tag, dict(attributes), self.at)
        self.at.children.append(node)
        self.elements.append(node)
        if tag not in VOID and not closed:
            self.at = node

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes, closed=True)

    def handle_endtag(self, tag):
        assert self.at.tag == tag, "</%s> closes <%s>" % (tag, self.at.tag)
        self.at = self.at.parent

    def handle_data(self, text):
        self.at.children.append(text)

    def section(self, name):
        return next(node for node in self.elements if node.attributes.get("id") == name)

    def results(self):
        """{name: exact value} of the tiles."""
        return {
            tile.children[0].text(): float(next(tile.all("data")).attributes["value"])
            for tile in self.section("results").all("div")
        }

    def settings(self):
        """{name: text} of the tables at the end."""
        rows = [row.children for row in self.section("settings").all("tr")]
        return {name.text(): value.text() for name, value in rows}

    def figure(self, heading):
        for figure in self.top.all("figure"):
            if next(figure.all("h3")).text().startswith(heading):
                return figure
        raise AssertionError("no figure " + heading)

    def curve(self, heading):
        """[(x, y)] of the line of a chart, read like the script does."""
        chart = next(self.figure(heading).all("svg", "chart"))
        left, top, width, height = map(float, chart.attributes["data-plot"].split())
        path = next(chart.all("path", "line")).attributes["d"]
        self_contained = re.fullmatch(r"M-?\d+ -?\d+l0 0( ?-?\d+ ?-?\d+)*", path)
        assert self_contained, path
        numbers = [int(n) for n in re.findall(r"-?\d+", path)]
        x = y = 0
        points = []
        for i in range(0, len(numbers), 2):
            x, y = x + numbers[i], y + numbers[i + 1]
            if i != 2:  # the l0 0 of the start
                points.append(((x - left) / width, 1 - (y - top) / height))
        axes = [[float(n) for n in chart.attributes["data-" + axis].split()] for axis in "xy"]

        def value(axis, share):
            low, high, logarithmic, _ = axis
            return low * (high / low) ** share if logarithmic else low + share * (high - low)

        return [(value(axes[0], x), value(axes[1], y)) for x, y in points]


class Report(Case):
    def setUp(self):
        super().setUp()
        self.x = support.write_npy(self.path("x.npy"), small_data())
        self.out = self.path("out.safetensors")
        self.html = self.path("page.html")

    def report(self, *flags, x=None):
        self.good("train", x or self.x, "-o", self.out, "--report", self.html, "--quiet", *flags)
        return self.page()

    def page(self):
        return Page(self.read("page.html").decode())

    def refused(self, texts, *flags):
        self.bad(1, texts, "train", self.x, "-o", self.out, *flags)


class Whole(Report):
    def test_every_part_is_there(self):
        page = self.report("--steps", "40", "--concepts", "30", "--points", "40")
        self.assertEqual([node.attributes["id"] for node in page.top.all("section")], SECTIONS)
        headings = [heading.text().split(" ")[0] for heading in page.top.all("h3")]
        self.assertEqual(
            headings, ["Loss", "R²", "L0", "Dead", "Gradient", "Learning", "Firing", "Singular"]
        )
        self.assertEqual(len(list(page.top.all("svg", "chart"))), 8)
        self.assertEqual(next(page.top.all("h1")).text(), "30 concepts from x.npy")
        self.assertEqual(next(page.top.all("title")).text(), "30 concepts from x.npy")
        atoms = list(page.section("atoms").all("article"))
        self.assertTrue(0 < len(atoms) <= 24)
        self.assertEqual(len(list(page.top.all("script"))), 1)
        for link in page.top.all("a"):  # each leads to a part of the page
            page.section(link.attributes["href"].removeprefix("#"))

    def test_nothing_is_asked_for_from_elsewhere(self):
        page = self.report("--steps", "8")
        for node in page.elements:
            for name in REFERENCES & set(node.attributes):
                self.assertRegex(node.attributes[name], r"^(#|data:)", (node.tag, name))
            self.assertEqual([name for name in node.attributes if name.startswith("on")], [])
        text = self.read("page.html").decode()
        self.assertNotRegex(text, r"(?i)https?:|url\(|@import|fetch\(|XMLHttp|import\(|localStorage")
        policy = next(
            node.attributes["content"] for node in page.elements if "http-equiv" in node.attributes
        )
        self.assertIn("default-src 'none'", policy)
        script = next(page.top.all("script")).text().encode()
        digest = "sha256-" + base64.b64encode(hashlib.sha256(script).digest()).decode()
        self.assertIn("'%s'" % digest, policy, "SCRIPT_DIGEST of trainer/report.c is not that of the script")

    def test_light_and_dark_and_phones_are_thought_of(self):
        page = self.report("--steps", "8")
        style = next(page.top.all("style")).text()
        self.assertIn("prefers-color-scheme: dark", style)
        self.assertRegex(style, r"max-width: \d+px")
        names = [node.attributes.get("name") for node in page.elements if node.tag == "meta"]
        self.assertIn("viewport", names)
        for chart in page.top.all("svg", "chart"):
            self.assertEqual(chart.attributes["role"], "img")
            self.assertTrue(chart.attributes["aria-label"])

    def test_settings_are_those_of_the_checkpoint(self):
        page = self.report("--steps", "8", "--sae", "batchtopk", "--top-k", "2", "--lr", "0.004", "--seed", "3")
        shown, metadata = page.settings(), read_safetensors(self.out)[1]
        for name in ["sae", "top_k", "delta", "lr", "loss", "seed", "steps", "batch_size", "schedule", "dictionary"]:
            self.assertEqual(shown[name], metadata[name], name)
        self.assertEqual(shown["data"], self.x)
        self.assertEqual((shown["rows"], shown["dimensions"]), ("96", "12"))
        self.assertEqual(shown["written to"], self.out)

    def test_the_model_is_the_same_with_and_without(self):
        self.report("--steps", "8", "--seed", "2")
        with_report = self.read("out.safetensors")
        self.good("train", self.x, "-o", self.out, "--quiet", "--steps", "8", "--seed", "2")
        self.assertEqual(self.read("out.safetensors"), with_report)

    def test_the_summary_names_it(self):
        flags = ["train", self.x, "-o", self.out, "--report", self.html, "--steps", "4"]
        self.assertIn("page.html: ", self.good(*flags))
        self.assertEqual(self.good_json(*flags, "--json")["report"], self.html)


class Figures(Report):
    def log(self):
        return [json.loads(line) for line in self.read("log").decode().splitlines()]

    def test_results_and_curves_are_those_of_the_log(self):
        flags = ["--batch-size", "32", "--concepts", "20", "--points", "30", "--schedule", "cosine"]
        page = self.report("--steps", "20", "--log", self.path("log"), *flags)
        log, results = self.log(), page.results()
        end = log[-2:]  # the last tenth of 20 steps
        for name, key in [("R²", "r2_per_dimension"), ("R² around one mean", "r2"), ("Loss", "loss"), ("L0", "l0")]:
            mean = sum(step[key] for step in end) / len(end)
            self.assertAlmostEqual(results[name], mean, delta=2e-7 * abs(mean), msg=name)
        self.assertAlmostEqual(results["Dead latents"], 100 * log[-1]["dead"], places=5)
        for heading, key in [
            ("Loss", "loss"),
            ("R²", "r2_per_dimension"),
            ("L0", "l0"),
            ("Dead", "dead"),
            ("Gradient", "grad_norm"),
            ("Learning", "lr"),
        ]:
            curve = page.curve(heading)  # of so few steps each one is drawn as it is
            self.assertEqual([round(x) for x, _ in curve], [step["step"] for step in log])
            values = [step[key] for step in log]
            reach = max(map(abs, values))  # axes begin at 0
            for (_, y), value in zip(curve, values):
                self.assertAlmostEqual(y, value, delta=2e-3 * reach, msg=heading)

    def test_a_long_run_is_averaged(self):
        page = self.report("--steps", "5000", "--batch-size", "8", "--concepts", "8", "--log", self.path("log"))
        log = self.log()
        for heading, key in [("R²", "r2_per_dimension"), ("Loss", "loss")]:
            curve = page.curve(heading)
            self.assertLess(len(curve), 300)
            self.assertEqual(round(curve[-1][0]), 5000)
            late = sum(step[key] for step in log[2500:]) / 2500
            shown = [y for x, y in curve if x > 2500]
            self.assertAlmostEqual(sum(shown) / len(shown), late, delta=0.05 * abs(late))
        self.assertGreater(len(list(page.figure("Loss").all("path", "raw"))), 0)
        self.assertLess(len(self.read("page.html")), 200_000)

    def test_the_model_is_measured_in_evaluation_mode(self):
        labels = data("digits.txt")
        page = self.report(
            "--labels", labels, "--concepts", "40", "--points", "60", "--top-k", "3", "--steps", "60",
            x=data("digits.npy"),
        )
        result = self.good_json("eval", self.out, data("digits.npy"), "--json")
        results = page.results()
        self.assertAlmostEqual(results["Stable rank"], result["stable_rank"], delta=1e-5 * result["stable_rank"])
        self.assertTrue(1 <= results["Effective rank"] <= 40)
        never = next(page.figure("Firing").all("output")).text()
        self.assertEqual(never, "%d never" % round(40 * result["dead_ratio"]))
        self.assertIn("1,797 rows", page.figure("Firing").text())

    def test_atoms_are_those_that_inspect_shows(self):
        labels = self.write("labels.txt", "".join("group %d\n" % (row % 6) for row in range(96)).encode())
        page = self.report("--steps", "30", "--labels", labels, "--points", "6", "--concepts", "6", "--top-k", "2")
        atoms = {
            atom["atom"]: atom
            for atom in self.good_json("inspect", self.out, "--atoms", "6", "--json")["atoms"]
        }
        cards = list(page.section("atoms").all("article"))
        self.assertGreater(len(cards), 0)
        strengths = []
        for card in cards:
            facts = next(card.all("p", "facts")).text()
            number, norm, density, mean = re.fullmatch(
                r"atom (\d+) · norm (\S+) · active on (\S+)% of rows, there (\S+) on average", facts
            ).groups()
            atom = atoms[int(number)]
            strengths.append(float(norm) * float(density) * float(mean))
            self.assertEqual(next(card.all("h4")).text(), atom["label"])
            self.assertEqual(norm, "%.3g" % atom["norm"])
            shares = [item for item in card.all("li") if item.attributes.get("class") != "rest"]
            seen = [archetype for archetype in atom["archetypes"] if archetype["contribution"] >= 0.0005]
            for item, archetype in zip(shares, seen):
                self.assertEqual(next(item.all("span")).text(), "%.1f%%" % (100 * archetype["contribution"]))
                self.assertEqual(next(item.all("bdi")).text(), archetype["label"])
                nearest = archetype["rows"][0]
                self.assertTrue(
                    item.attributes["title"].startswith(
                        "point %d, weight %.3g, nearest to rows %d at "
                        % (archetype["point"], archetype["weight"], nearest["row"])
                    ),
                    item.attributes["title"],
                )
                bar = [rect for rect in item.all("rect") if rect.attributes.get("class") != "track"]
                self.assertAlmostEqual(float(bar[0].attributes["width"]), 1000 * archetype["contribution"], delta=0.51)
        for before, after in zip(strengths, strengths[1:]):
            self.assertGreaterEqual(before, after * 0.98)  # three digits were shown

    def test_negative_codes_count(self):
        """With few atoms, matching pursuit leaves residuals that are opposite to all of them."""
        x = self.write("signed.npy", npy_bytes(small_data(200, 12)))
        labels = self.write("labels.txt", "".join("row %d\n" % row for row in range(200)).encode())
        page = self.report("--sae", "mp", "--concepts", "3", "--top-k", "3", "--points", "all", "--steps", "20", "--labels", labels, x=x)
        self.good("encode", self.out, x, "-o", self.path("codes"))
        tensors, _ = read_safetensors(self.path("codes"))
        codes = list(zip(tensors["codes.index"].values, tensors["codes.value"].values))
        rows = len(tensors["codes.start"].values) - 1
        self.assertTrue(any(value < 0 for _, value in codes), "the case has no negative code")
        seen = []
        for card in page.section("atoms").all("article"):
            facts = next(card.all("p", "facts")).text()
            number, norm, density, mean = re.fullmatch(
                r"atom (\d+) · norm (\S+) · active on (\S+)% of rows, there (\S+) on average", facts
            ).groups()
            own = [value for index, value in codes if index == int(number)]
            self.assertAlmostEqual(float(density), 100 * len(own) / rows, delta=0.005 * float(density))
            self.assertAlmostEqual(float(mean), sum(own) / len(own), delta=0.005 * abs(float(mean)) + 1e-6)
            seen.append(float(norm) * abs(sum(own)) / rows)
        self.assertEqual(len(seen), 3)
        self.assertEqual(seen, sorted(seen, reverse=True))


class Kinds(Report):
    def test_a_plain_dictionary_has_no_points(self):
        page = self.report("--dictionary-kind", "l2", "--concepts", "9", "--steps", "8")
        self.assertIn("not made of points", page.section("atoms").text())
        self.assertEqual(list(page.section("atoms").all("li")), [])

    def test_every_kind_and_every_length(self):
        for flags in [
            ["--sae", "jumprelu", "--steps", "30"],
            ["--sae", "relu", "--steps", "25"],
            ["--sae", "batchtopk", "--steps", "2"],
            ["--steps", "1"],
            ["--delta", "0", "--steps", "3"],
            ["--concepts", "1", "--top-k", "1", "--points", "1", "--steps", "3"],
            ["--lr", "1e-12", "--steps", "30"],
        ]:
            page = self.report(*flags)
            for heading in ["Loss", "R²", "L0", "Dead", "Gradient", "Learning"]:
                for x, y in page.curve(heading):
                    self.assertTrue(math.isfinite(x) and math.isfinite(y), (flags, heading))
            self.assertNotRegex(self.read("page.html").decode(), r"(?<![a-z])-?(nan|inf)(?![a-z])", flags)

    def test_more_concepts_than_points(self):
        result = self.run_rasae(
            "train", self.x, "-o", self.out, "--report", self.html, "--quiet",
            "--points", "6", "--concepts", "40", "--steps", "5",
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertLessEqual(len(list(self.page().section("atoms").all("article"))), 24)

    def test_a_run_that_goes_on_from_another(self):
        self.report("--steps", "4", "--concepts", "10", "--points", "20")
        first = self.path("first.safetensors")
        os.rename(self.out, first)
        page = self.report("--init", first, "--steps", "6")
        self.assertEqual(page.settings()["steps"], "6")
        self.assertEqual(len(page.curve("Loss")), 6)


class Hostile(Report):
    TEXTS = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(2)>",
        "'><svg/onload=alert(3)>",
        "</style></title></bdi>&lt;b&gt; &amp; &#60;",
        "\u202egnp.\u2066 right to left",
        "%s%n%d {{7*7}} ${7*7}",
    ]

    def test_labels_are_text(self):
        labels = self.write("labels.txt", "".join(self.TEXTS[row % 6] + "\n" for row in range(96)).encode())
        page = self.report("--steps", "30", "--labels", labels, "--points", "6", "--concepts", "6", "--top-k", "2")
        self.assertEqual(len(list(page.top.all("script"))), 1)
        self.assertEqual(list(page.top.all("img")), [])
        for node in page.elements:
            self.assertEqual([name for name in node.attributes if name.startswith("on")], [], node.tag)
        shown = {item.text() for item in page.section("atoms").all("bdi")}
        self.assertTrue(set(self.TEXTS) <= shown, shown)

    def test_names_of_files_are_text(self):
        name = self.path("<b>\"&'x\n\x01.npy")
        os.rename(self.x, name)
        self.out = self.path("<i>o&\xff".encode("latin-1").decode("utf-8", "surrogateescape"))
        page = self.report("--steps", "3", x=name)
        self.assertEqual(list(page.top.all("b")) + list(page.top.all("i")), [])
        self.assertEqual(next(page.top.all("title")).text(), "60 concepts from <b>\"&'x  .npy")
        self.assertTrue(page.settings()["written to"].endswith("<i>o&\ufffd"))

    def test_a_long_label_is_cut(self):
        labels = self.write("labels.txt", ("é" * 100_000 + "\n").encode() * 96)
        page = self.report("--steps", "3", "--labels", labels, "--points", "6", "--concepts", "6")
        for item in page.section("atoms").all("bdi"):
            self.assertRegex(item.text(), r"^é{90}…$")


class Output(Report):
    def test_it_is_checked_before_anything_is_computed(self):
        nothing = self.path("nothing.npy")
        for path, texts in [
            (self.path("no/such/page.html"), ["no/such", "directory"]),
            (self.folder, ["directory"]),
        ]:
            self.bad(1, texts, "train", nothing, "-o", self.out, "--report", path)
        self.bad(2, "--report", "train", self.x, "-o", self.out, "--report")

    def test_nothing_else_is_replaced(self):
        labels = self.write("labels.txt", b"label\n" * 96)
        link = self.path("link.npy")
        os.link(self.x, link)
        for flags in [
            ["--report", self.x],
            ["--report", link],
            ["--report", labels, "--labels", labels],
            ["--report", self.out],
            ["--report", self.path("log"), "--log", self.path("log")],
        ]:
            self.refused("would replace", "--steps", "2", *flags)

    def test_an_older_page_is_replaced_whole(self):
        self.write("page.html", b"old" * 100_000)
        self.assertTrue(self.report("--steps", "3").section("atoms"))
        self.assertEqual(sorted(os.listdir(self.folder)), ["out.safetensors", "page.html", "x.npy"])

    def test_a_full_disk_costs_only_the_page(self):
        for old in [None, b"old"]:
            if old:
                self.write("page.html", old)
            result = self.run_rasae(
                "train", self.x, "-o", self.out, "--report", self.html, "--quiet", "--steps", "2",
                "--concepts", "6", "--points", "6", preexec_fn=support.disk_of(12_000),
            )
            sentence = result.stderr.decode()
            self.assertEqual(result.returncode, 1, sentence)
            self.assertEqual(sentence.count("\n"), 1, sentence)
            self.assertIn("the report %s was not written" % self.html, sentence)
            self.assertIn("the model %s was written" % self.out, sentence)
            self.assertEqual(read_safetensors(self.out)[0]["dictionary.Relax"].shape, [6, 12])
            self.assertEqual(os.path.exists(self.html) and self.read("page.html"), old or False)
            os.remove(self.out)

    def test_a_run_that_fails_writes_none(self):
        huge = [1e30 * value for value in small_data().values]
        x = support.write_npy(self.path("huge.npy"), Tensor("F32", [96, 12], huge))
        self.bad(1, "step 1", "train", x, "-o", self.out, "--report", self.html, "--quiet")
        self.assertFalse(os.path.exists(self.html))


if __name__ == "__main__":
    support.main()
