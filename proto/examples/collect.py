"""collect.py - writes the activations of a layer as shards that `rasae train` reads: shards/00000.npy, shards/00001.npy, ...

    from collect import Shards
    with Shards("shards") as shards, torch.no_grad():
        shards.watch(model.blocks[6])           # any module of PyTorch; a forward hook
        for batch in batches:
            model(batch)

    rasae train shards/*.npy --concepts 4096 --top-k 32 -o model.safetensors

Each shard holds [rows, d] in float32 (dtype="float16" halves it), about 256 MB, so rows need not fit into memory: one row per token,
image or pixel. A convolution's output [n, d, h, w] gives one row per pixel with channels=1. It needs torch and NumPy."""

import os

import numpy


class Shards:
    def __init__(self, folder, megabytes=256, dtype="float32", channels=-1):
        self.folder, self.most, self.dtype, self.channels = folder, megabytes << 20, dtype, channels
        self.parts, self.bytes, self.written, self.rows, self.hooks = [], 0, 0, 0, []
        os.makedirs(folder, exist_ok=True)
        if any(name.endswith(".npy") for name in os.listdir(folder)):
            raise FileExistsError("%s holds shards already; rasae would read them, too" % folder)

    def watch(self, module):
        self.hooks.append(module.register_forward_hook(self._keep))

    def _keep(self, module, inputs, output):
        hidden = output[0] if isinstance(output, tuple) else output
        self.add(hidden.detach().float().cpu().numpy())

    def add(self, array):
        """Rows along every axis but that of the channels."""
        array = numpy.moveaxis(array, self.channels, -1)
        rows = numpy.ascontiguousarray(array.reshape(-1, array.shape[-1]), dtype=self.dtype)
        self.parts.append(rows)
        self.bytes += rows.nbytes
        self.rows += len(rows)
        if self.bytes >= self.most:
            self.flush()

    def flush(self):
        if not self.parts:
            return
        name = os.path.join(self.folder, "%05d.npy" % self.written)
        with open(name + ".new", "wb") as file:  # a shard is whole or not there
            numpy.save(file, numpy.concatenate(self.parts))
        os.replace(name + ".new", name)
        self.parts, self.bytes, self.written = [], 0, self.written + 1

    def close(self):
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
