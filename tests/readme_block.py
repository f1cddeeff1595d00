"""The block between two markers of a README, which a program writes."""
import sys


def around(path, markers):
    """What stands before and behind the block; called before long work, too."""
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
