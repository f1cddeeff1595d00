"""The version of this package; pyproject.toml has the same one."""

VERSION = "0.1.0"
