"""What the parts of bench/run share: Beaver and its peers as processes, medians, a steady peak.

On a shared machine two cores are sometimes one, and no figure says so by itself. So what runs on
several threads is timed between two looks at the register-only peak (`steady`), and discarded and
timed again where the peak fell. Runs of Beaver and of a peer take turns, and only ratios count.
"""
import json
import os
import select
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEAVER = os.environ.get("BEAVER", os.path.join(ROOT, "build", "beaver"))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "beaver")
PEERS = os.path.join(CACHE, "peers")
HELD = 0.9  # of the best peak that was seen
ATTEMPTS = 3


class Late(Exception):
    """Something took longer than it may."""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def environment():
    """Without what chooses old kernels for a peer."""
    return {key: value for key, value in os.environ.items()
            if key not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def beaver(*words, timeout=600):
    """What a command of Beaver prints with --json."""
    try:
        done = subprocess.run([BEAVER, *map(str, words), "--json"], capture_output=True, text=True,
                              timeout=timeout, env=environment(), check=False)
    except subprocess.TimeoutExpired as late:
        raise Late(f"beaver {words[0]} {words[1]}: more than {timeout:.0f} s") from late
    if done.returncode:
        raise RuntimeError(f"beaver {' '.join(map(str, words))}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def installed(name):
    return os.path.exists(os.path.join(PEERS, "bin", name))


class Peer:
    """A program that answers each line with a line of JSON. Ended by `with`."""

    def __init__(self, program, *words):
        path = os.path.join(PEERS, "bin", program)
        self.name = os.path.basename(words[0] if words else program)
        self.process = subprocess.Popen([path, *map(str, words)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env=environment())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()

    def ask(self, line, timeout=120):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: no answer
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise Late(f"{self.name}: more than {timeout:.0f} s")
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended without an answer to {line}")
        return json.loads(answer)


def script(name, *words):
    """A peer in Python."""
    return Peer("python", os.path.join(ROOT, "bench", "peers", name), *words)


def answer(line, timeout=120):
    """What the peers of texts say; None, and why, where they are not installed or fail."""
    if not installed("python"):
        return None
    try:
        with script("text.py") as peer:
            return peer.ask(line, timeout)
    except (Late, RuntimeError) as reason:
        say(f"left out: {reason}")
        return None


# ---- the peak ----

class Steady:
    """Timings between two looks at the peak of all threads."""

    def __init__(self):
        self.best = 0.0

    def holds(self):
        now = beaver("bench", "limits", "--peak")["f32_gflops"]
        self.best = max(self.best, now)
        return now >= HELD * self.best

    def time(self, measure, attempts=ATTEMPTS):
        """What `measure` returns, and whether the peak held before and after it."""
        for _ in range(attempts):
            before = self.holds()
            result = measure()
            if before and self.holds():
                return result, True
        return result, False


# ---- figures ----

def middle(values):
    return statistics.median(values)


def spread(values):
    """Half of the distance between the ends, as a share of the median."""
    return (max(values) - min(values)) / 2 / middle(values)


def series(values):
    return {"median": middle(values), "spread": spread(values), "runs": len(values)}


def machine():
    """What the results are of: CPU, caches, flags, and a name for the file."""
    fields = {}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    model = fields.get("model name") or fields.get("CPU part", "cpu")
    known = "avx2 avx512f avx512_bf16 avx512_vnni avx_vnni amx_bf16 asimd bf16 i8mm sve".split()
    flags = (fields.get("flags") or fields.get("Features", "")).split()
    cores = len(os.sched_getaffinity(0))
    words = model.lower().replace("(r)", "").replace("(tm)", "").split()
    family = [fields[key] for key in ("cpu family", "model") if key in fields]
    return {"name": "-".join([*words[:4], *family, f"{cores}-cores"]).replace("/", "-"),
            "cpu": model, "family": " ".join(family), "cores": cores,
            "flags": [flag for flag in known if flag in flags],
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "kernel": os.uname().release}


def commit():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def today():
    return time.strftime("%Y-%m-%d", time.gmtime())
