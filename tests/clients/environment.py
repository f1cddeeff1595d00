"""What the tests of this folder share: their Python packages, and the daemon of tests/http.

    import environment
    environment.enter()         # from here on, the packages of requirements.txt are available
    import numpy
    from environment import Daemon, golden

Each test can still run alone: `python3 tests/clients/test_openapi.py`.
"""

import os
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(FOLDER))
sys.path.insert(0, os.path.join(TOP, "tests", "http"))

from daemon import PATIENCE, PROGRAM, Daemon, golden  # noqa: E402,F401  (given on)


def enter():
    """Continues in the environment that `venv` makes; returns at once if this is it."""
    python = subprocess.run(["sh", os.path.join(FOLDER, "venv")], check=True, stdout=subprocess.PIPE,
                            text=True).stdout.strip()
    if os.path.realpath(sys.prefix) != os.path.dirname(os.path.dirname(python)):
        sys.stdout.flush()
        os.execv(python, [python, *sys.argv])
