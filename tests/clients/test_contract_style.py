"""proto/openapi.json keeps one style: verbs name its operations, every object has a name, every member, parameter and value
has a text, null is explained where it may come, numbers with a unit say which, and everything that can be shown is."""

import environment

environment.enter()

import re
import unittest

import contract

VERBS = {"get", "list", "search", "find", "encode", "explain", "reconstruct", "steer", "edit", "set", "delete", "load", "unload", "reload", "check",
         "download", "infer", "compare"}
EMPTY = re.compile(r"^(as it is|see|the [a-z_]+|[a-z_]+)\.?$", re.IGNORECASE)
LEAST = 12  # letters of a text that says something


def walk(item, path=()):
    """Every object of the document with its path."""
    if isinstance(item, dict):
        yield path, item
        for name, value in item.items():
            if name not in ("example", "examples", "enum", "default", "const"):
                yield from walk(value, path + (name,))
    elif isinstance(item, list):
        for i, value in enumerate(item):
            yield from walk(value, path + (i,))


def says_something(text):
    return isinstance(text, str) and len(text) >= LEAST and not EMPTY.match(text)


class Style(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.document = contract.document()
        cls.schemas = cls.document["components"]["schemas"]
        cls.operations = list(contract.operations(cls.document))

    def follow(self, item):
        while "$ref" in item:
            reference, item = item["$ref"], self.document
            for name in reference[2:].split("/"):
                item = item[name]
        return item

    def none(self, wrong):
        self.assertEqual([" ".join(map(str, one)) if isinstance(one, tuple) else one for one in wrong], [])

    # ---- operations

    def test_operation_ids_are_verbs(self):
        names = [operation["operationId"] for _, _, operation in self.operations]
        self.assertEqual(len(names), len(set(names)))
        self.none([name for name in names if not re.fullmatch("[a-z][a-z0-9_]*", name)])
        self.none([name for name in names if name.removeprefix("v2_").split("_")[0] not in VERBS])

    def test_operations_have_a_tag_and_two_texts(self):
        tags = {tag["name"] for tag in self.document["tags"]}
        for path, _, operation in self.operations:
            self.assertIn(operation["tags"][0], tags, path)
            self.assertEqual(len(operation["tags"]), 1, path)
        self.none([path for path, _, operation in self.operations for name in ("summary", "description")
                   if not says_something(operation.get(name))])

    def test_files_of_the_page_are_no_operations(self):
        self.none([path for path in self.document["paths"] if path == "/" or path.startswith("/docs")])

    def test_every_body_and_reply_in_json_has_an_example(self):
        wrong = []
        for _, _, operation in self.operations:
            bodies = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for where, body in bodies.items():
                for media, described in self.follow(body).get("content", {}).items():
                    if media.endswith("json") and not {"example", "examples"} & set(described):
                        wrong.append((operation["operationId"], where, media))
        self.none(wrong)

    # ---- schemas

    def test_every_object_has_a_name(self):
        """Generators call those without one BodyItemType3."""
        wrong = []
        for path, item in walk(self.document):
            named = path[:2] == ("components", "schemas") and len(path) == 3
            if not named and ("properties" in item or item.get("enum")) and item.get("type") != "boolean":
                if "properties" in item and isinstance(item["properties"], dict) and "type" in item or "enum" in item:
                    wrong.append(path)
        self.none(wrong)

    def test_enums_have_types_and_every_value_a_text(self):
        wrong = []
        for name, schema in self.schemas.items():
            for value in schema.get("enum", ()):
                if "type" not in schema:
                    wrong.append((name, "has no type"))
                if value is not None and "`%s`" % value not in schema.get("description", ""):
                    wrong.append((name, value, "is not described"))
        self.none(wrong)

    def members(self):
        for name, schema in self.schemas.items():
            for member, described in schema.get("properties", {}).items():
                yield name, member, described

    def text_of(self, described):
        if "description" in described:
            return described["description"]
        return self.follow(described).get("description") if "$ref" in described else None

    def test_every_schema_and_member_has_a_text(self):
        self.none([name for name, schema in self.schemas.items() if not says_something(schema.get("description"))])
        self.none([(name, member) for name, member, described in self.members() if not says_something(self.text_of(described))])

    def may_be_null(self, described):
        """By a type of its own; a schema of a name explains itself."""
        kinds = described.get("type", ())
        choices = described.get("oneOf", ()) or described.get("anyOf", ())
        return ("null" in kinds if isinstance(kinds, list) else False) or {"type": "null"} in list(choices)

    def test_null_is_explained(self):
        named = [(name, schema) for name, schema in self.schemas.items()]
        members = [("%s.%s" % (name, member), described) for name, member, described in self.members()]
        self.none([name for name, described in named + members if self.may_be_null(described)
                   and not re.search(r"\bnull\b", self.text_of(described) or "")])

    def test_times_and_sizes_say_their_unit(self):
        """A member whose name ends in the unit needs no other word; bytes are bytes."""
        for name, member, described in self.members():
            text = (self.text_of(described) or "") + member
            if re.search(r"_(ms|ns|us|seconds|bytes)$|^bytes$", member):
                self.assertRegex(text, r"bytes|Bytes|milliseconds|nanoseconds|seconds|ms\b|ns\b", (name, member))
            if name.startswith("V2") or (name, member) == ("Statistics", "mean"):  # tensors' names; a latent's value
                continue
            if member in ("vector", "vectors", "direction", "location", "inputs", "outputs", "reconstructions", "mean", "scale",
                          "distance", "norm"):
                self.assertRegex(text, r"(?i)\bunit", "%s.%s" % (name, member))

    # ---- parameters and headers

    def test_parameters_and_headers_have_texts(self):
        components = self.document["components"]
        self.none([(kind, name) for kind in ("parameters", "headers") for name, item in components[kind].items()
                   if not says_something(item.get("description"))])
        self.none([name for name, item in components["parameters"].items() if item["in"] == "path" and "example" not in item])

    def test_what_is_deprecated_says_what_takes_its_place(self):
        self.none([path for path, item in walk(self.document) if item.get("deprecated") is True
                   and "`" not in item.get("description", "")])


if __name__ == "__main__":
    unittest.main()
