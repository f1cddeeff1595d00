"""Where a server is: http://host:port, https://host:port, or unix:/path of a socket in the file system."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from typing import Union
from urllib.parse import urlsplit

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Address:
    """A server's address, and whose certificate it may have.

    ca       a file with the certificates that sign the server's; None: those of the system
    context  for everything else of TLS; cannot be pickled
    """

    url: str
    scheme: str  #: "http", "https" or "unix"
    host: str  #: or the path of a socket
    port: int | None
    prefix: str  #: in front of every path, when a proxy shows the server under one; ends without "/"
    ca: str | None = None
    context: ssl.SSLContext | None = None

    @classmethod
    def read(cls, url: str, ca: Path | None = None, context: ssl.SSLContext | None = None) -> Address:
        """ValueError when it is none."""
        if not isinstance(url, str):
            raise TypeError(f"url is {url!r}, expected text like 'http://127.0.0.1:8080'")
        if url.startswith("unix:"):
            path = url[len("unix:"):]
            path = "/" + path.lstrip("/") if path.startswith("//") else path
            if not path.startswith("/") or "\0" in path:
                raise ValueError(f"{url!r} is not the address of a socket, like 'unix:/run/rasaed/words.sock'")
            return cls("unix:" + path, "unix", path, None, "")
        parts = urlsplit(url if "//" in url else "http://" + url)
        try:
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{url!r} is not the address of a server: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError(f"{url!r} is not the address of a server, like 'http://127.0.0.1:8080', "
                             "'https://sae.example' or 'unix:/run/rasaed/words.sock'")
        prefix = parts.path.rstrip("/")
        return cls(f"{parts.scheme}://{parts.netloc}{prefix}", parts.scheme, parts.hostname, port, prefix,
                   None if ca is None else os.fspath(ca), context)

    @property
    def local(self) -> bool:
        """On this machine, where packing costs more time than it saves."""
        if self.scheme == "unix" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def tls(self) -> ssl.SSLContext:
        """For https. OSError when the file of `ca` cannot be read."""
        return self.context or ssl.create_default_context(cafile=self.ca)

    def __getstate__(self) -> dict[str, object]:
        if self.context is not None:
            raise TypeError("a client with an ssl context of its own cannot be pickled: give the file of certificates as ca=")
        return vars(self)
