"""Client of rasaed, the server of Relaxed Archetypal SAE dictionaries.

    from rasae import Client

    with Client("http://127.0.0.1:8080") as client:
        words = client.dictionary("words")
        codes = words.encode(x)                  # x is [rows, d]
        x_hat = words.reconstruct(codes)         # [rows, d]
        words.atom(codes[0].index[0]).label

Symbols in the shapes: K concepts (atoms), d dimensions. Arrays that come back are float32. AsyncClient has the same calls
for asyncio.
"""

from .aio import AsyncClient, AsyncDictionary
from .client import Client
from .codes import Codes, Edited, Top
from .dictionary import Dictionary
from .errors import (AuthenticationError, BadRequestError, BusyError, ConflictError, NotFoundError, PermissionDeniedError,
                     RasaeError, ReplyError, RequestTimeoutError, ServerError, StatusError, TooLargeError, TransportError)
from .message import AsyncTransport, Request, Response, Transport
from .records import (Agreement, Archetype, Atom, AtomExplanation, AtomList, Comparison, Concept, Contrast, ContrastAtom, ContrastFigures,
                      ContrastSide, Encoder, Example, Explanation, Form, Info, Item, Label, Limits, Match, NearRow,
                      Partner, Point, Quantile, Server, Standardization, Statistics, Trace, TraceRow, Unavailable, Use)
from .version import VERSION as __version__

__all__ = [
    "Agreement", "Archetype", "AsyncClient", "AsyncDictionary", "AsyncTransport", "Atom", "AtomExplanation", "AtomList",
    "AuthenticationError",
    "BadRequestError", "BusyError", "Client", "Codes", "Comparison", "Concept", "ConflictError", "Contrast", "ContrastAtom", "ContrastFigures",
    "ContrastSide", "Dictionary", "Edited", "Encoder",
    "Example", "Explanation", "Form", "Info", "Item", "Label", "Limits", "Match", "NearRow", "NotFoundError", "Partner",
    "PermissionDeniedError",
    "Point", "Quantile", "RasaeError", "ReplyError", "Request", "RequestTimeoutError", "Response", "Server", "ServerError",
    "Standardization", "Statistics", "StatusError", "TooLargeError", "Top", "Trace", "TraceRow", "Transport",
    "TransportError", "Unavailable", "Use", "__version__"]
