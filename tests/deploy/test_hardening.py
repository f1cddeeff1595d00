"""The hardening of the programs and of the CUDA plugin, read from their ELF files; a copy without each part is found out.

Standard library only. Elf is what this file needs of the format: segments, dynamic entries, symbols."""

import glob
import os
import re
import struct
import subprocess
import tempfile
import unittest

from support import PROGRAMS, SANITIZED

PT_LOAD, PT_DYNAMIC, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 0x6474E551, 0x6474E552
DT_FLAGS, DT_TEXTREL, DT_FLAGS_1 = 30, 22, 0x6FFFFFFB
DF_BIND_NOW, DF_1_NOW, DF_1_PIE = 8, 1, 0x08000000
EXECUTE, WRITE = 1, 2
AUTO_INIT = re.compile(r"-ftrivial-auto-var-init=(\w+)")
ENDBR64 = bytes((0xF3, 0x0F, 0x1E, 0xFA))
X86_64 = 62


class Elf:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.kind, self.machine = struct.unpack_from("<HH", self.bytes, 16)
        segments_at, sections_at = struct.unpack_from("<QQ", self.bytes, 32)
        size, count, section_size, section_count, names = struct.unpack_from("<HHHHH", self.bytes, 54)
        # type, flags, offset, address, physical, size in the file, size in memory, alignment
        self.segments = [struct.unpack_from("<IIQQQQQQ", self.bytes, segments_at + i * size) for i in range(count)]
        # name, type, flags, address, offset, size, link, info, alignment, entry
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, sections_at + i * section_size)
                         for i in range(section_count)]
        self.names = self.sections[names][4]

    def text(self, at):
        return self.bytes[at:self.bytes.index(b"\0", at)].decode()

    def section(self, name):
        return next((s for s in self.sections if self.text(self.names + s[0]) == name), None)

    def of(self, kind):
        return [s for s in self.segments if s[0] == kind]

    def dynamic(self):
        found = {}
        for segment in self.of(PT_DYNAMIC):
            for at in range(segment[2], segment[2] + segment[5], 16):
                tag, value = struct.unpack_from("<QQ", self.bytes, at)
                found[tag] = value
        return found

    def symbols(self, name):
        """Name to address of a table of symbols; {} without it."""
        table = self.section(name)
        if not table:
            return {}
        texts = self.sections[table[6]][4]
        rows = (struct.unpack_from("<IBBHQQ", self.bytes, table[4] + at) for at in range(0, table[5], 24))
        return {self.text(texts + row[0]).split("@")[0]: row[4] for row in rows}

    def at(self, address, size):
        for s in self.of(PT_LOAD):
            if s[3] <= address < s[3] + s[5]:
                return self.bytes[s[2] + address - s[3]:][:size]
        return b""


def missing(elf, program=True):
    """What is missing, one word each."""
    dynamic, wants = elf.dynamic(), elf.symbols(".dynsym")
    if program and not (elf.kind == 3 and dynamic.get(DT_FLAGS_1, 0) & DF_1_PIE):
        yield "pie"
    if not elf.of(PT_GNU_RELRO):
        yield "relro"
    if not (dynamic.get(DT_FLAGS, 0) & DF_BIND_NOW or dynamic.get(DT_FLAGS_1, 0) & DF_1_NOW):
        yield "now"
    if not elf.of(PT_GNU_STACK) or elf.of(PT_GNU_STACK)[0][1] & EXECUTE:
        yield "noexecstack"
    if any(s[1] & EXECUTE and s[1] & WRITE for s in elf.segments) or DT_TEXTREL in dynamic:
        yield "writable-code"
    code = [s for s in elf.of(PT_LOAD) if s[1] & EXECUTE]
    constants = elf.section(".rodata")
    if any(s[2] == 0 or s[3] <= constants[3] < s[3] + s[6] for s in code):
        yield "separate-code"
    if "__stack_chk_fail" not in wants:
        yield "stack-protector"
    if not SANITIZED and not any(name.startswith("__") and name.endswith("_chk") for name in wants):
        yield "fortify"
    # A stripped program has no main to look at.
    main = elf.symbols(".symtab").get("main") if program else None
    if elf.machine == X86_64 and main and elf.at(main, 4) != ENDBR64:
        yield "cf-protection"
    if any(AUTO_INIT.findall(producer)[-1:] != ["zero"] for producer in producers(elf)):
        yield "auto-init"


def producers(elf):
    """The options of each of our C compilations, which gcc writes into the debugging information. Others have none to look at: a
    stripped program, clang's, a link of files that were built without -g."""
    texts = elf.section(".debug_str")
    if not texts or SANITIZED:
        return []
    strings = elf.bytes[texts[4]:texts[4] + texts[5]].split(b"\0")
    return [text.decode() for text in strings if text.startswith(b"GNU C17 ")]


SMALL = """
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    char text[64];
    memcpy(text, argv[0], (size_t)argc);
    return printf("%s", text) < 0;
}
"""
# As the Makefile has them, and what each is taken away with.
X86 = os.uname().machine == "x86_64"
FLAGS = ("-g -O2 -ftrivial-auto-var-init=zero -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fPIE -pie "
         "-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code").split() + ["-fcf-protection=full"] * X86
WITHOUT = {
    "pie": ["-no-pie", "-fno-pie"],
    "relro": ["-Wl,-z,norelro"],
    "now": ["-Wl,-z,lazy"],
    "noexecstack": ["-Wl,-z,execstack"],
    "separate-code": ["-Wl,-z,noseparate-code"],
    "stack-protector": ["-fno-stack-protector"],
    "fortify": ["-U_FORTIFY_SOURCE"],
    "auto-init": ["-ftrivial-auto-var-init=uninitialized"],
    **({"cf-protection": ["-fcf-protection=none"]} if X86 else {}),
}


class Hardening(unittest.TestCase):
    def test_both_programs_have_every_part(self):
        for name in ("rasae", "rasaed"):
            self.assertEqual(list(missing(Elf(os.path.join(PROGRAMS, name)))), [], name)

    @unittest.skipUnless(glob.glob(os.path.join(PROGRAMS, "librasae*.so")), "no plugin was built")
    def test_the_plugin_has_every_part(self):
        for path in glob.glob(os.path.join(PROGRAMS, "librasae*.so")):
            self.assertEqual(list(missing(Elf(path), program=False)), [], path)

    @unittest.skipIf(SANITIZED, "the small program is built without sanitizers")
    def test_a_program_without_one_is_found_out(self):
        with tempfile.TemporaryDirectory() as folder:
            for part, flags in {"": [], **WITHOUT}.items():
                program = os.path.join(folder, "small")
                done = subprocess.run(["gcc", *FLAGS, *flags, "-x", "c", "-o", program, "-"], input=SMALL, text=True,
                                      capture_output=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                found = list(missing(Elf(program)))
                self.assertTrue(part in found if part else found == [], (part, found))
            elf = Elf(program)
            elf.segments = [(s[0], s[1] | WRITE, *s[2:]) for s in elf.segments]
            self.assertIn("writable-code", missing(elf))


if __name__ == "__main__":
    unittest.main()
