"""Completion in bash and zsh, as the shells run it."""

import os
import re
import shutil
import subprocess
import unittest

from support import PROGRAMS, TOP, commands, flags

ASK = """
source "$COMPLETIONS"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
[[ ${#COMPREPLY[@]} -eq 0 ]] || printf '%s\\n' "${COMPREPLY[@]}"
"""


def listed(flag):
    """The values that the help of `rasae train` lists for a flag: "relu, topk or mp" gives "relu topk mp"."""
    text = subprocess.run([os.path.join(PROGRAMS, "rasae"), "train", "--help"], capture_output=True, text=True).stdout
    values = re.search(r"^ +%s [A-Z]+ +((?:\w+, )*\w+ or \w+)" % flag, text, re.M)
    return " ".join(word for word in re.findall(r"\w+", values.group(1)) if word != "or")


class Bash(unittest.TestCase):
    def asked(self, *words):
        """The completions that bash offers for the last word."""
        env = dict(os.environ, PATH=PROGRAMS + ":" + os.environ["PATH"],
                   COMPLETIONS=os.path.join(TOP, "deploy", "completions", "rasae.bash"))
        done = subprocess.run(["bash", "-c", ASK, "bash", *words], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout.split("\n")[:-1]

    def test_commands(self):
        self.assertEqual(self.asked("rasae", ""), commands() + ["--help", "--version"])
        self.assertEqual(self.asked("rasae", "re"), ["reconstruct"])
        self.assertEqual(self.asked("rasae", "x"), [])

    def test_every_flag(self):
        for command in commands():
            self.assertEqual(self.asked("rasae", command, "--"), flags("rasae", command))
        self.assertEqual(self.asked("rasaed", "--"), flags("rasaed"))
        self.assertEqual(self.asked("rasaed", "--max-b"), ["--max-body", "--max-body-memory", "--max-batch"])
        self.assertEqual(self.asked("rasae", "fuse", "in.safetensors", "--dt"), ["--dtype"])

    def test_values(self):
        for words, offered in (
                (("rasae", "train", "--sae", ""), listed("--sae")),
                (("rasae", "train", "--sae", "j"), "jumprelu"),
                (("rasae", "train", "--loss", ""), listed("--loss")),
                (("rasae", "fuse", "--dtype", ""), "f32 f16 bf16"),
                (("rasaed", "--log-format", ""), "text json"),
                (("rasaed", "--log-level", "=", "w"), "warning"),
                (("rasaed", "--log-level", "="), "debug info warning error"),
                (("rasaed", "--listen", ""), ""), (("rasae", "train", ""), ""), (("rasae", "nothing", "--"), "")):
            self.assertEqual(" ".join(self.asked(*words)), offered, words)


@unittest.skipUnless(shutil.which("zsh"), "no zsh here; make check-deploy installs it")
class Zsh(unittest.TestCase):
    def asked(self, *words):
        """The arguments of zsh's own _describe and _files when our function calls them."""
        script = """
        _describe() { print -l -- ${(P)2}; }
        _files() { print files; }
        words=("$@") CURRENT=$#words service=$1 PREFIX=$words[-1]
        completion() { source $COMPLETIONS }
        completion
        """
        env = dict(os.environ, PATH=PROGRAMS + ":" + os.environ["PATH"],
                   COMPLETIONS=os.path.join(TOP, "deploy", "completions", "rasae.zsh"))
        done = subprocess.run(["zsh", "-fc", script, "zsh", *words], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout.split("\n")[:-1]

    def test_commands_and_flags(self):
        self.assertEqual([line.split(":")[0] for line in self.asked("rasae", "")], commands())
        for words in (("rasae", "train"), ("rasae", "fuse"), ("rasaed",)):
            offered = [line.split(":")[0] for line in self.asked(*words, "-")]
            self.assertEqual(list(dict.fromkeys(offered)), flags(*words))
        self.assertEqual(self.asked("rasae", "train", ""), ["files"])


if __name__ == "__main__":
    unittest.main()
