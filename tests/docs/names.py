#!/usr/bin/env python3
"""names.py [TOP] - finds what comments and documents name and the tree does not have.

    a path or a file     `lib/sae/encoder.c`, `encoder.c`, `http/`, [text](path#heading)
    a document           a word in capitals before "section 2", and those of DOCUMENT
    a target of make     `make check-fast`, and each name of .PHONY
    a function           ra_model_open(), in comments of C and in Markdown

It reads Markdown and manual pages whole, and the comments and docstrings of sources and scripts. It prints each finding
as `file:line: text` and exits with 1 if there is one. A path may begin at the top, at a folder of HOMES, or at any folder
above the file that names it; * and {a,b} stand for several. A stem of one letter and a name of PLACEHOLDER (x.c, NAME.c)
mean any file. tests/docs/test_names.py plants faults and expects each to be found.
"""
import fnmatch
import os
import re
import sys

PARTS = ("lib", "server", "trainer", "proto", "deploy", "tests")
HOMES = ("", "lib", "server", "trainer", "tests", "tests/unit", "deploy", "deploy/kubernetes", "proto")
SKIPPED = {".git", "build", "__pycache__", "shared"}
WHOLE = (".md", ".in")
C_COMMENTS = (".c", ".h", ".cu", ".cuh", ".css", ".js")
HASH_COMMENTS = (".sh", ".awk", ".yaml", ".yml", "Makefile", ".service", ".socket", ".cfg", ".conf", "Dockerfile", ".cuda")

# The reference implementation's files, which some comments name.
FOREIGN = {"archetypal_dictionary.py", "dictionary.py", "kernels.py", "losses.py", "metrics.py", "mp_sae.py", "optimizer.py",
           "train.py"}

CODE_ENDS = r"\.(?:c|h|cu|cuh|py|sh|awk|md)\b"
# What precedes it is no part of a longer name, what follows it neither.
PATH = re.compile(r"(?<![\w./$@%~=<>:)}*\\-])"
                  r"([\w.{][\w.*{},+-]*(?:/[\w.*{},+@-]+)+/?"  # with a slash within
                  r"|(?<=`)[a-z][\w-]*/(?=`)"  # a folder in backticks
                  r"|[\w.*{},+-]*\w" + CODE_ENDS + r")(?![\w/(<%-])")
PLACEHOLDER = re.compile(r"(?<![A-Za-z])(?:NAME|LAYER|FILE|FOLDER)(?![A-Za-z])|(?:^|/)[a-z][.][a-z]+$|[.]{3}")
DOCUMENT = re.compile(r"\b(?:(ARCHITECTURE|CONTRIBUTING|REFERENCE|CHANGELOG|ROADMAP|HACKING)"
                      r"|([A-Z]{4,})(?=,? (?:section|chapter) \d))\b")
TARGETS = re.compile(r"`(?:sudo )?make((?: [^`]+)?)`|^make( .+)|\(make ([a-z-]+)\)|^\"\"\"make ([a-z-]+):")
FUNCTION = re.compile(r"\b(ra_\w+)\(\)")
LINK = re.compile(r"\]\(([^)\s]+)\)")


BYTES = "tests/fuzz/corpus/"  # what the fuzzer made names nothing


def files_below(top):
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), top)


def comments_and_code(text):
    """Two texts of as many lines as this one: the comments of C, and what is none. Strings belong to neither."""
    comments, code, end = [], [], 0
    for token in re.finditer(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", text, re.S):
        code.append(text[end:token.start()])
        is_comment = token.group().startswith("/")
        comments.append("\n" * code[-1].count("\n") + (token.group() if is_comment else ""))
        code.append("\n" * token.group().count("\n"))
        end = token.end()
    code.append(text[end:])
    return "".join(comments), "".join(code)


def hash_comments(text):
    """The comments of a script, and the docstrings of Python, on their lines."""
    result = []
    for token in re.finditer(r'"""(?:.*?)"""|(?:(?<=\n)|(?<=\s)|^)#[^\n]*|\n', text, re.S):
        result.append(token.group())
    return "".join(result)


def prose(path, text):
    """What of a file this check reads, on the lines where it stands."""
    if path.endswith(WHOLE):
        return text
    if path.endswith(C_COMMENTS):
        return comments_and_code(text)[0]
    if path.endswith((".py",) + HASH_COMMENTS) or text.startswith("#!"):
        return hash_comments(text)
    return ""


def alternatives(path):
    """With {a,b} written out."""
    found = re.search(r"\{([^{}]*)\}", path)
    if not found:
        return [path]
    return [way for part in found.group(1).split(",")
            for way in alternatives(path[:found.start()] + part + path[found.end():])]


class Tree:
    def __init__(self, top):
        self.top = top
        self.files = list(files_below(top))
        self.paths = set(self.files)
        for path in self.files:
            while (path := os.path.dirname(path)):
                self.paths.add(path)
        self.names = {os.path.basename(path) for path in self.paths}
        self.texts, self.words, self.headers, makefile = {}, set(), set(), ""
        for path in self.files:
            if path.startswith(BYTES):
                continue
            with open(os.path.join(top, path), encoding="utf-8", errors="replace") as file:
                text = file.read()
            if path.endswith((".c", ".h", ".cu", ".cuh")):
                self.headers.update(re.findall(r"#\s*include\s*<([^>]+)>", text))
                self.words.update(re.findall(r"\w+", comments_and_code(text)[1]))
            if path == "Makefile":
                makefile = text.replace("\\\n", " ")
            self.texts[path] = prose(path, text)
        self.headers |= {os.path.basename(name) for name in self.headers}
        self.targets = {target for line in re.findall(r"^([a-z][a-z -]*):(?!=)", makefile, re.M) for target in line.split()}
        self.phony = [name for line in re.findall(r"^\.PHONY:(?! *\$\()(.*)", makefile, re.M) for name in line.split()]

    def has(self, path, source):
        path = path.rstrip("/")
        folder, homes = os.path.dirname(source), list(HOMES)
        while folder:
            homes.append(folder)
            folder = os.path.dirname(folder)
        places = [os.path.normpath(os.path.join(home, path)) for home in homes]
        if "*" in path:
            return any(fnmatch.filter(self.paths, place) for place in places)
        return any(place in self.paths for place in places)

    def lacks_path(self, path, source):
        name = os.path.basename(path.rstrip("/"))
        if name in FOREIGN or path in self.headers or PLACEHOLDER.search(path) or path.split("/")[0] == "build":
            return False
        if "/" not in path.rstrip("/"):
            return not fnmatch.filter(self.names, name)
        if path.split("/")[0] in PARTS or re.search(CODE_ENDS + "$", path) or path.endswith("/"):
            return not self.has(path, source)
        return False

    def headings(self, path):
        """The anchors of a Markdown file, as GitHub makes them."""
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^#+ +(.*)$", self.texts[path], re.M)}

    def findings(self):
        for name in self.phony:
            if name not in self.targets:
                yield "Makefile", 1, "%s is .PHONY and has no rule" % name
        for source, text in self.texts.items():
            for number, line in enumerate(text.split("\n"), 1):
                yield from ((source, number, what) for what in self.of_line(source, line))

    def of_line(self, source, line):
        for found in PATH.findall(LINK.sub("]", line) if source.endswith(".md") else line):
            for path in alternatives(found.rstrip(".,")):
                if self.lacks_path(path, source):
                    yield "%s does not exist" % path
        for known, numbered in DOCUMENT.findall(line):
            name = known or numbered
            if name not in self.names and name + ".md" not in self.names:
                yield "there is no document %s" % name
        for found in TARGETS.findall(line):
            for word in re.split(r"[#;&]", "".join(found))[0].split():
                if re.fullmatch(r"[a-z][a-z-]*", word) and word not in self.targets:
                    yield "make %s: there is no such target" % word
        if source.endswith((".c", ".h", ".cu", ".cuh", ".md")):
            for name in FUNCTION.findall(line):
                if name not in self.words:
                    yield "%s() does not exist" % name
        if source.endswith(".md"):
            for link in LINK.findall(line):
                path, _, anchor = link.partition("#")
                if re.match(r"[a-z]+:", link):
                    continue
                target = os.path.normpath(os.path.join(os.path.dirname(source), path)) if path else source
                if target not in self.paths:
                    yield "%s: the link leads nowhere" % link
                elif anchor and anchor not in self.headings(target):
                    yield "%s: there is no such heading" % link


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tree, count = Tree(top), 0
    for finding in tree.findings():
        print("%s:%d: %s" % finding)
        count += 1
    print("names: %d texts, %d findings" % (len(tree.texts), count))
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
