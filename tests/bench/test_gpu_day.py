"""make gpu-day, rehearsed: what tests/gpu_day/pack.py packs runs elsewhere, with the emulated plugin in the device's place and
stand-ins for the tools of CUDA, and every stage of run.py has something to say."""
import os
import re
import stat
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("RASAE_BUILD", "build")
TOOLS = {
    "nvidia-smi": 'echo "a device, 1.0, 16 MiB"',
    "compute-sanitizer": 'while [ "${1#--}" != "$1" ]; do shift 2; done; "$@" && echo "========= ERROR SUMMARY: 0 errors"',
    "ncu": """printf '"%s"\\n' 'ID","Process ID","Process Name","Host Name","Kernel Name","Metric Name","Metric Unit","Metric Value' \
      '0","1","bench","host","ra_relu(const float *)","gpu__time_duration.sum","ns","1,500' \
      '0","1","bench","host","ra_relu(const float *)","dram__throughput.avg.pct_of_peak_sustained_elapsed","%","12.5'""",
}


def rehearse(folder, *arguments):
    tools = os.path.join(folder, "tools")
    os.makedirs(tools, exist_ok=True)
    for name, script in TOOLS.items():
        path = os.path.join(tools, name)
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n%s\n" % script)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return subprocess.run([sys.executable, os.path.join(folder, "day", "run.py"), "--out", os.path.join(folder, "out"), "--small", *arguments],
                          env={**os.environ, "PATH": tools + ":" + os.environ["PATH"]}, cwd=folder, capture_output=True, text=True, timeout=280)


def main():
    with tempfile.TemporaryDirectory(prefix="rasae-gpu-day-") as folder:
        subprocess.run([sys.executable, os.path.join(TOP, "tests", "gpu_day", "pack.py"), os.path.join(folder, "day"), "--suites",
                        "backend_rows activation mixture_devices", "--plugin", os.path.join(BUILD, "tests", "librasae-cuda-emulated.so")],
                       check=True, capture_output=True, cwd=TOP)
        run = rehearse(folder)
        assert run.returncode == 0, run.stdout + run.stderr
        for said in [r"a device, 1\.0, 16 MiB", r"every operation runs, and its checks hold: an emulated device",
                     r"3 suites, \d{3} checks, 0 suites failed: none", r"racecheck: status 0, ERROR SUMMARY: 0 errors", r"decode, bfloat16 .* GB/s",
                     r"rasae, mixture 8, batch 64: [\d.]+ ms a step", r"loss after 2 steps: cpu ([\d.]{6}).*, cuda \1", r"the pack has no overcomplete",
                     r"encode: 0 of \d+ indices differ", r"cuda, reconstruct 256 rows: median \d+ us",
                     r"ra_relu +1 launches, longest +1\.5 us; of the peak: DRAM 12 %", r"== machine done .* counters done"]:
            assert re.search(said, run.stdout), (said, run.stdout)
        assert "FAILED" not in run.stdout, run.stdout
        with open(os.path.join(folder, "out", "summary.txt"), encoding="utf-8") as file:
            assert file.read() == run.stdout

        # A failure is told, the others go on; so do those behind a stage that has no time left.
        os.remove(os.path.join(folder, "tools", "compute-sanitizer"))
        TOOLS["compute-sanitizer"] = "echo '========= Invalid __global__ write'; exit 9"
        run = rehearse(folder, "--only", "sanitizers,quick")
        assert run.returncode == 1 and "memcheck: status 9, no summary" in run.stdout, run.stdout
        assert "Invalid __global__ write" in run.stdout and "quick done" in run.stdout and "sanitizers FAILED" in run.stdout, run.stdout
        run = rehearse(folder, "--only", "suites,quick", "--seconds", "4")
        assert run.returncode == 0 and "== quick skipped; suites skipped" in run.stdout, run.stdout
        run = rehearse(folder, "--only", "quik")
        assert run.returncode == 2 and "there is no stage quik" in run.stderr, run.stderr


if __name__ == "__main__":
    main()
