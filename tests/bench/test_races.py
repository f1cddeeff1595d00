"""The CUDA kernels have no race and no misaligned access (tests/emulation/races.c): the tests of their operations run on the
checked plugin, which knows of each access of each thread, and whose grids are so small that every loop over rows loops."""
import os
import subprocess

BUILD = os.environ.get("RASAE_BUILD", "build")
SUITES = ["backend", "backend_rows", "backend_sums", "backend_norms", "backend_pursuit", "backend_entries", "backend_cuda_accumulate",
          "mixture_backends", "backend_cuda_kept", "backend_cuda_top_k"]


def main():
    for suite in SUITES:
        run = subprocess.run([f"{BUILD}/tests/unit"], capture_output=True, text=True, timeout=280, env={
            **os.environ, "RASAE_TEST_DEVICE": "cuda-checked", "CK_FORK": "no", "CK_RUN_SUITE": suite})
        assert run.returncode == 0 and "Failures: 0, Errors: 0" in run.stdout and "Checks: 0" not in run.stdout, run.stdout[-2000:] + run.stderr


if __name__ == "__main__":
    if os.path.exists(f"{BUILD}/tests/librasae-cuda-checked.so"):  # not under sanitizers
        main()
