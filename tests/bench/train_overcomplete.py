"""The reference's side of bench_train.py, run by its environment's Python:

    train_overcomplete.py X POINTS CONCEPTS TOP_K BATCH STEPS THREADS [DEVICE]

prints one JSON object. On another device than the CPU the rows lie in its memory, and a batch is picked there. The package's own __init__ imports vision models and plotting, which need more packages
than its autoencoders do. An empty package in its place lets this script import the autoencoders alone."""
import contextlib
import importlib.util
import io
import json
import re
import resource
import statistics
import sys
import time
import types


def import_reference():
    package = types.ModuleType("overcomplete")
    package.__path__ = list(importlib.util.find_spec("overcomplete").submodule_search_locations)
    sys.modules["overcomplete"] = package
    from overcomplete.sae import rasae, train
    return rasae.RATopKSAE, train.train_sae


class Picked:
    """Batches of shuffled rows, picked on their own device: a DataLoader would collect them row by row."""

    def __init__(self, torch, rows, batch):
        self.torch, self.rows, self.batch = torch, rows, batch

    def __iter__(self):
        order = self.torch.randperm(len(self.rows), device=self.rows.device)
        for first in range(0, len(order), self.batch):
            yield self.rows[order[first:first + self.batch]]


def main():
    x, points, *sizes = sys.argv[1:]
    device = sizes.pop() if len(sizes) > 5 else "cpu"
    concepts, top_k, batch, steps, threads = map(int, sizes)
    import numpy
    import torch
    torch.set_num_threads(threads)
    model_class, train_sae = import_reference()
    imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    torch.manual_seed(1)
    rows, candidates = (torch.from_numpy(numpy.load(path)).to(device) for path in (x, points))
    model = model_class(rows.shape[1], concepts, candidates, top_k=top_k, device=device)
    if device == "cpu":
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows), batch_size=batch, shuffle=True)
    else:
        loader = Picked(torch, rows, batch)
    began = []

    class Clocked:
        """The loader, with the times at which the loop asks for a batch: a step is the time from one to the next."""

        def __iter__(self):
            for item in loader:
                began.append(time.perf_counter())
                yield item
            began.append(time.perf_counter())

    def mse(x, x_hat, pre_codes, codes, dictionary):
        return (x - x_hat).square().mean()

    epochs = -(-steps * batch // len(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        logs = train_sae(model, Clocked(), mse, torch.optim.Adam(model.parameters(), lr=5e-4), nb_epochs=epochs, clip_grad=1.0, device=device)
    per_epoch = len(rows) // batch + 1  # the marks of an epoch: its steps and its end
    times = [b - a for i, (a, b) in enumerate(zip(began, began[1:])) if (i + 1) % per_epoch != 0]
    peak = 0.0
    a, b = torch.full((2048, 2048), 0.5), torch.full((2048, 2048), 0.5)
    for _ in range(8):
        start = time.perf_counter()
        a @ b
        peak = max(peak, 2e-9 * 2048 ** 3 / (time.perf_counter() - start))
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    print(json.dumps({"seconds": statistics.median(times[1:]), "loss": float(numpy.mean(logs["step_loss"][-2:])), "steps": len(times),
                      "imports": imports, "torch": torch.__version__, "blas": found.group(1) if found else "unknown", "sgemm": peak}))


if __name__ == "__main__":
    main()
