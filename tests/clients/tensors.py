"""Tensors for tests of what takes them: torch's own where torch is installed, else a stand-in that has what the client uses
of them, and refuses what torch refuses: numbers of a tensor that is on a device, that needs a gradient, or whose type
numpy does not have.

    tensor(numpy array, "bfloat16", grad=True, device="cuda")
"""

import numpy as np

try:
    import torch
except ImportError:
    torch = None


def tensor(values, dtype="float32", grad=False, device="cpu"):
    if torch:
        made = torch.tensor(np.asarray(values)).to(getattr(torch, dtype))
        if device != "cpu":
            made = made.to(device if torch.cuda.is_available() else "cpu")
        return made.requires_grad_() if grad else made
    return StandIn(np.asarray(values), dtype, grad, device)


class DType:
    """Is shown as torch's types are, and is no type of numpy."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "torch." + self.name


class StandIn:
    _held = {"bfloat16": np.float32, "float8_e4m3fn": np.float32, "half": np.float16}

    def __init__(self, values, dtype, grad=False, device="cpu"):
        self._values = values.astype(self._held.get(dtype) or dtype)
        if dtype == "bfloat16":  # rounded to 8 bits, as torch does it
            bits = self._values.view(np.uint32).astype(np.uint64)
            self._values = ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
        self.dtype, self.requires_grad, self.device = DType(dtype), grad, device

    def _like(self, values, **changed):
        made = StandIn.__new__(StandIn)
        made._values = values
        for name in ("dtype", "requires_grad", "device"):
            setattr(made, name, changed.get(name, getattr(self, name)))
        return made

    @property
    def shape(self):
        return self._values.shape

    def __len__(self):
        return len(self._values)

    def __getitem__(self, which):
        return self._like(self._values[which])

    def reshape(self, *shape):
        return self._like(self._values.reshape(*shape))

    def detach(self):
        return self._like(self._values, requires_grad=False)

    def cpu(self):
        return self._like(self._values, device="cpu")

    def float(self):
        with np.errstate(over="ignore"):
            return self._like(self._values.astype(np.float32), dtype=DType("float32"))

    def numpy(self):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if self.dtype.name in ("bfloat16", "float8_e4m3fn"):
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self._values

    def __array__(self, dtype=None, copy=None):
        values = self.numpy()
        return values if dtype is None else values.astype(dtype)

    def __index__(self):
        if self._values.size != 1 or self._values.dtype.kind not in "iu":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._values.reshape(-1)[0])
