#!/usr/bin/env python3
"""Makes patches.npy and patches.txt: a hidden layer of a neural network that tells the types of files by their bytes.

    python3 -m venv /tmp/patches && . /tmp/patches/bin/activate
    pip install magika==1.0.3 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
    pip install --no-deps django==5.2.19 docutils==0.23 sphinx==9.0.4 botocore==1.44.8 cython==3.3.1 matplotlib==3.11.2
    python3 make_patches.py [FOLDER]

Each row is one patch, 512 successive bytes of a file of those packages, as the network sees a file of that length: its
bytes from the front, its bytes to the end, and padding between them. patches.txt holds the kind of the file, after its
extension, one per line.

The network is Magika's standard_v3_3, from the package magika: an embedding of every byte, four of which make one
position, a normalization over the positions, a convolution over five positions with a GELU, and for each of its 512
channels the greatest value over all positions. These greatest values are the rows. A further normalization and a
linear layer make a file type of them, which is not needed here.

The arithmetic is in float64, so that rounding to float16 at the end gives the same bytes on every machine; it is
compared with that of onnxruntime. The order of the rows is that of the patches' SHA-256, which is as good as random.
"""

import hashlib
import importlib.metadata
import sys
from pathlib import Path

import magika
import numpy as np
import onnx
import onnxruntime

PATCH = 512  # bytes
PER_KIND = 325
BATCH = 16

# The network's input: the first and the last half of it, both padded.
HALF, PADDING = 1024, 256
MODEL = Path(magika.__file__).parent / "models" / "standard_v3_3" / "model.onnx"
LAYERS = "jax2tf_get_logits_/pjit_get_logits_/MagikaV2/"
HIDDEN = LAYERS + "Max_Squeeze__213:0"

# kind: packages, extensions
KINDS = {
    "afm": ("matplotlib", ".afm"),
    "c": ("cython onnx", ".c .h .cc"),
    "css": ("django docutils sphinx", ".css"),
    "cython": ("cython", ".pyx .pxd"),
    "gzip": ("botocore", ".gz"),
    "javascript": ("django docutils sphinx", ".js"),
    "json": ("botocore", ".json"),
    "latex": ("docutils sphinx", ".sty .cls .tex"),
    "mo": ("django", ".mo"),
    "po": ("django", ".po"),
    "python": ("django docutils sphinx", ".py"),
    "ttf": ("matplotlib", ".ttf"),
}


def patches():
    """PER_KIND different patches of each kind as (SHA-256, kind, bytes), in the order of the first."""
    chosen = []
    for kind, (packages, extensions) in KINDS.items():
        found = {}
        for package in packages.split():
            for path in importlib.metadata.files(package):
                if path.suffix in extensions.split():
                    data = path.locate().read_bytes()
                    for start in range(0, len(data) - PATCH + 1, PATCH):
                        patch = data[start:start + PATCH]
                        found[hashlib.sha256(patch).hexdigest()] = patch
        assert len(found) >= PER_KIND, f"{len(found)} patches of {kind}, {PER_KIND} are wanted"
        chosen += [(name, kind, found[name]) for name in sorted(found)[:PER_KIND]]
    return sorted(chosen)


class Network:
    """The layers of Magika up to its pooling."""

    def __init__(self):
        graph = onnx.load(MODEL).graph
        weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        made_by = {node.output[0]: node for node in graph.node}

        def weight(name):
            return weights[name].astype(np.float64)

        bias = made_by[LAYERS + "Conv_0/AddV2:0"].input[1]
        self.embedding = self._gelu(weight("jax2tf_get_logits_/Const:0") + weight(LAYERS + "Dense_0/Reshape:0")[0])
        self.scale, self.shift = (weight(LAYERS + f"LayerNorm_0/Reshape_{i}:0")[0] for i in (2, 3))
        kernel = weight(LAYERS + "Conv_0/transpose_3:0")[..., 0]  # channels, inputs, positions
        self.span = kernel.shape[2]
        self.kernel = kernel.transpose(2, 1, 0).reshape(-1, kernel.shape[0])
        self.bias = weight(bias).reshape(-1)

    def hidden(self, tokens):
        """Bytes and paddings [B, 2048] to the greatest values over the positions [B, 512]."""
        x = self.embedding[tokens].reshape(len(tokens), 512, -1)
        mean = x.mean(axis=1, keepdims=True)
        variance = np.maximum((x**2).mean(axis=1, keepdims=True) - mean**2, 0)
        x = (x - mean) / np.sqrt(variance + 1e-6) * self.scale + self.shift
        count = x.shape[1] - self.span + 1
        x = np.concatenate([x[:, i:i + count] for i in range(self.span)], axis=2)
        greatest = (x @ self.kernel + self.bias).max(axis=1)
        assert greatest.min() > 0  # where GELU grows, so that it may come after the maximum
        return self._gelu(greatest)

    @staticmethod
    def _gelu(x):
        return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))


def tokens_of(patch):
    padding = [PADDING] * (HALF - len(patch))
    return [*patch, *padding, *padding, *patch]


def check(tokens, rows):
    """The same layer as onnxruntime computes it, in float32, which loses digits where a feature hardly varies."""
    model = onnx.load(MODEL)
    model.graph.output.append(onnx.helper.make_tensor_value_info(HIDDEN, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run([HIDDEN], {"bytes": tokens.astype(np.int32)})[0]
    difference = np.abs(rows - expected) / expected
    assert np.median(difference) < 1e-5 and difference.max() < 1e-2, f"onnxruntime differs by {difference.max():.1e}"


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    chosen = patches()
    tokens = np.array([tokens_of(patch) for _, _, patch in chosen])
    network = Network()
    rows = np.concatenate([network.hidden(tokens[i:i + BATCH]) for i in range(0, len(tokens), BATCH)])
    check(tokens[:64], rows[:64])
    np.save(folder / "patches.npy", rows.astype("<f2"))
    (folder / "patches.txt").write_text("".join(kind + "\n" for _, kind, _ in chosen))


if __name__ == "__main__":
    main()
