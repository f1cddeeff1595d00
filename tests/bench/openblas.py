"""OpenBLAS's own sgemm, which our programs and the benchmarks are measured beside."""
import os
import subprocess
import sys

CORES = [None, "COOPERLAKE", "SKYLAKEX", "HASWELL"]  # the kernels that it chooses, and those that it may have missed


def with_kernels(core, threads, shape):
    """(seconds on the clock, seconds of the processor) of the fastest of some products A B transposed of (m, n, k), and the name of
    the kernels that were taken; None where there is no OpenBLAS. In a process of its own, because OpenBLAS chooses when it is loaded."""
    variables = {**os.environ, **({"OPENBLAS_CORETYPE": core} if core else {})}
    if not core:
        variables.pop("OPENBLAS_CORETYPE", None)
    done = subprocess.run([sys.executable, "-c", SGEMM, str(threads), *map(str, shape)], env=variables, capture_output=True, text=True)
    if done.returncode:
        return None
    clock, processor, name = done.stdout.split()
    return float(clock), float(processor), name


def best(threads, shape=(2048, 2048, 2048), cores=CORES):
    """The fastest of all kernels, as with_kernels() gives it; None where there is no OpenBLAS."""
    return min(filter(None, (with_kernels(core, threads, shape) for core in cores)), default=None)


SGEMM = """
import ctypes, mmap, sys, time
blas = ctypes.CDLL("libopenblas.so.0")
threads, m, n, k = map(int, sys.argv[1:])
def matrix(rows, columns):
    memory = mmap.mmap(-1, 4 * rows * columns)
    memory.write(b"\\0\\0\\0\\x3f" * (rows * columns))  # 0.5; each page is there before the clock starts
    return (ctypes.c_float * (rows * columns)).from_buffer(memory)
a, b, c = matrix(m, k), matrix(n, k), matrix(m, n)
blas.openblas_set_num_threads(threads)
blas.openblas_get_corename.restype = ctypes.c_char_p
best = None
for _ in range(max(2, min(8, int(3e11 / (2 * m * n * k))))):
    clock, processor = time.perf_counter(), time.process_time()
    blas.cblas_sgemm(101, 111, 112, m, n, k, ctypes.c_float(1), a, k, b, k, ctypes.c_float(0), c, n)
    took = time.perf_counter() - clock, time.process_time() - processor
    best = min(best or took, took)
print(*best, blas.openblas_get_corename().decode())
"""
