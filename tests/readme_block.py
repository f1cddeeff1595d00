"""The block between two markers of a README, which a program writes."""
import sys


def around(path, markers):
    """The text before and after the block. Call it before long work, too: it fails if there is no block."""
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    begin, end = whole.find(markers[0]), whole.find(markers[1])
    if begin < 0 or end < begin:
        sys.exit("%s has no %s followed by %s" % (path, *markers))
    return whole[:begin + len(markers[0])], whole[end:]


def replace(path, markers, text):
    before, behind = around(path, markers)
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + "\n" + text + "\n" + behind)
