"""Client of rasaed, the server of Relaxed Archetypal SAE dictionaries.

    from rasae import Client

    with Client("http://127.0.0.1:8080") as client:
        words = client.dictionary("words")
        codes = words.encode(x)                  # x is [rows, d]
        x_hat = words.reconstruct(codes)         # [rows, d]
        words.atom(codes.indices[0][0]).label

Symbols in the shapes: K concepts (atoms), d dimensions, B rows of a batch. Arrays that come back are float32.
"""

from .client import Client
from .codes import Codes
from .dictionary import Dictionary
from .errors import RasaeError
from .records import Agreement, Archetype, Atom, Concept, Example, Explanation, Info, Match, Point, Row, Statistics, Use

__version__ = "0.1.0"

__all__ = ["Agreement", "Archetype", "Atom", "Client", "Codes", "Concept", "Dictionary", "Example", "Explanation", "Info", "Match",
           "Point", "RasaeError", "Row", "Statistics", "Use"]
