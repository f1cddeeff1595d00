"""A file of the shape of RA-SAE-DINOv2-32k, the public checkpoint: DataParallel(BatchTopKSAE) as torch.save pickles it, mlp_ln_1, 768 dimensions,
32,000 concepts on as many points, a W of 32,000 x 32,000, and the running threshold in a config.json beside it. The numbers are random,
and most of W is holes in a sparse file. `rasae fuse` takes it from the pickle to an artifact, and `rasaed` answers with that:

    dictionary, codes and reconstructions are those of overcomplete's classes to 1e-5
    the peak of the memory of the fuse is at most 1.2 GB
    it takes at most 1.3 times the processor time of the product W C, as OpenBLAS computes it in a process of its own

Where memory or disk are scarce, it is 4,000 concepts; there the fuse has to be right, not quick. check.py calls check(). Its children,
`public.py product K THREADS` and `public.py time COMMAND`, are the product and what measures."""

import ctypes
import json
import os
import shutil
import subprocess
import sys

D, DELTA, THRESHOLD, ROWS, ACTIVE = 768, 0.5, 0.829, 64, 8
WHOLE, SMALL = 32_000, 4_000
MOST_BYTES, MOST_TIMES, TOLERANCE = 1_200_000_000, 1.3, 1e-5
HERE = os.path.dirname(os.path.abspath(__file__))
THREADS = 2


def product(concepts, threads):
    """W C in blocks of rows, as large a product."""
    import numpy

    blas = ctypes.CDLL("libopenblas.so.0")
    blas.openblas_set_num_threads(threads)
    rows = 2000
    W, C, D_ = (numpy.random.default_rng(i).random(shape, dtype=numpy.float32) for i, shape in enumerate([(rows, concepts), (concepts, D), (rows, D)]))
    pointer = lambda a: a.ctypes.data_as(ctypes.c_void_p)
    one = ctypes.c_float
    for _ in range(concepts // rows):
        blas.cblas_sgemm(101, 111, 111, rows, D, concepts, one(1), pointer(W), concepts, pointer(C), D, one(0), pointer(D_), D)


def time(words):
    """Prints the processor time and the peak of the memory of a child."""
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
    return os.waitstatus_to_exitcode(status)


def timed(words):
    """The same by way of a small process, since a child's peak begins with what its parent has."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "time", *map(str, words)], stdout=subprocess.PIPE, check=True,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": str(THREADS)})
    return map(float, done.stdout.split())


def place_of(tensor):
    """Where its numbers lie in the file that it is mapped from."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            begin, end = (int(address, 16) for address in line.split()[0].split("-"))
            if begin <= tensor.data_ptr() < end:
                return tensor.data_ptr() - begin + int(line.split()[2], 16)
    raise RuntimeError("a tensor is in no mapping")


def write(path, concepts):
    """torch.save writes it without the numbers, and they are written into the file where torch.load finds them."""
    import torch
    from reference import sae  # which finds the package
    from overcomplete.sae.archetypal_dictionary import RelaxedArchetypalDictionary

    model = sae.BatchTopKSAE(D, concepts, top_k=64, encoder_module="mlp_ln_1")
    dictionary = RelaxedArchetypalDictionary(D, 1, torch.empty(1, D), delta=DELTA)
    dictionary.nb_concepts = dictionary.nb_candidates = concepts
    dictionary.C = torch.empty(concepts, D)
    dictionary.W, dictionary.Relax = (torch.nn.Parameter(torch.empty(concepts, n)) for n in (concepts, D))
    model.dictionary = dictionary
    with torch.serialization.skip_data():
        torch.save(torch.nn.DataParallel(model), path)
    model = torch.load(path, mmap=True, weights_only=False).module
    generator = torch.Generator().manual_seed(1)
    dictionary, (linear, norm) = model.dictionary, model.encoder.final_block
    first = torch.randint(0, concepts - ACTIVE, (concepts,), generator=generator)
    weights = torch.rand(concepts, ACTIVE, generator=generator) - 0.1  # some below 0, which the projection clips
    with open(path, "r+b") as file:
        for tensor, scale, center in [(dictionary.C, 1, 0), (dictionary.Relax, 0.03, 0), (linear.weight, D**-0.5, 0), (linear.bias, 0.1, 0),
                                      (norm.weight, 0.1, 1), (norm.bias, 0.1, 0), (dictionary.multiplier, 0, 0.1)]:
            values = torch.randn(tensor.shape, generator=generator) * scale + center
            os.pwrite(file.fileno(), values.numpy().tobytes(), place_of(tensor))
        start = place_of(dictionary.W)
        for k in range(concepts):
            os.pwrite(file.fileno(), weights[k].numpy().tobytes(), start + 4 * (k * concepts + int(first[k])))


def expected(model, x):
    """What the package's classes compute: the dictionary a block of atoms at a time, for which no atom needs another."""
    import torch
    from overcomplete.sae.archetypal_dictionary import RelaxedArchetypalDictionary

    whole, blocks = model.dictionary, []
    for start in range(0, whole.W.shape[0], 2000):
        block = RelaxedArchetypalDictionary(D, 1, whole.C, delta=whole.delta)
        block.W, block.Relax = (torch.nn.Parameter(tensor[start : start + 2000].clone()) for tensor in (whole.W, whole.Relax))
        block.multiplier.fill_(float(whole.multiplier))
        block.eval()
        blocks.append(block.get_dictionary())
    model.running_threshold = THRESHOLD
    model.encoder.eval()
    model.training = False
    _, codes = model.encode(x)
    atoms = torch.cat(blocks)
    return atoms, codes, codes @ atoms


def scarce(folder):
    with open("/proc/meminfo") as file:
        available = {line.split(":")[0]: int(line.split()[1]) for line in file}["MemAvailable"] << 10
    return available < 8 << 30 or shutil.disk_usage(folder).free < 4 << 30


def answers(rasaed, file, x):
    """Codes and reconstructions over HTTP."""
    import torch

    sys.path[:0] = [os.path.join(os.path.dirname(HERE), "http")]
    from daemon import Daemon

    with Daemon("--dictionary", "public=" + file) as daemon:
        told = daemon.post("/v1/dictionaries/public/encode", {"inputs": x.tolist()}).json
        back = daemon.post("/v1/dictionaries/public/reconstruct", {"latents": told}).json["reconstructions"]
        concepts = daemon.get("/v1/dictionaries/public").json["concepts"]
    codes = torch.zeros(len(x), concepts)
    for row, (indices, values) in enumerate(zip(told["indices"], told["values"])):
        codes[row, indices] = torch.tensor(values)
    return codes, torch.tensor(back)


def check(folder, build, gap, report):
    import torch
    from safetensors.torch import load_file

    os.makedirs(folder, exist_ok=True)
    concepts = SMALL if scarce(folder) else WHOLE
    name = "public checkpoint, %s x %d: " % (format(concepts, ","), D)
    file = os.path.join(folder, "model.pth")
    write(file, concepts)
    model = torch.load(file, mmap=True, weights_only=False).module
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump({"model_type": "RA-SAE", "nb_concepts": concepts, "running_threshold": THRESHOLD}, file)
    x = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(2))
    fused = folder + "-fused.safetensors"  # not in the folder, whose weights would be two the second time
    for _ in range(2):  # again, if another program was in the way
        seconds, peak = timed([os.path.join(build, "rasae"), "fuse", folder, "-o", fused, "--threads", THREADS])
        of_product, _ = timed([sys.executable, os.path.abspath(__file__), "product", concepts, THREADS])
        times = seconds / of_product
        if times <= MOST_TIMES:
            break
    quick = concepts < WHOLE or times <= MOST_TIMES
    report(name + "processor time of fuse", quick, "%.1f s, %.2f times the product's %.1f s" % (seconds, times, of_product))
    report(name + "memory of fuse", peak <= MOST_BYTES, "%.0f MB at most" % (peak / 1e6))
    atoms, codes, x_hat = expected(model, x)
    worst = gap(load_file(fused)["dictionary"], atoms)
    report(name + "dictionary", worst <= TOLERANCE, "%.1e" % worst)
    mine = answers(os.path.join(build, "rasaed"), fused, x)
    worst = max(gap(mine[0], codes), gap(mine[1], x_hat))
    report(name + "POST encode, reconstruct", worst <= TOLERANCE and bool((codes != 0).any()), "%.1e, %d active codes" % (worst, int((codes != 0).sum())))
    shutil.rmtree(folder)
    os.remove(fused)


if __name__ == "__main__" and sys.argv[1:2] == ["product"]:
    product(int(sys.argv[2]), int(sys.argv[3]))
elif __name__ == "__main__" and sys.argv[1:2] == ["time"]:
    sys.exit(time(sys.argv[2:]))
