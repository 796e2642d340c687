"""The parts of bench/run. Each returns rows: what was done, the limit, Beaver, the peers."""
import json
import os
import shutil
import subprocess
import tempfile
import time

import texts
from harness import (BEAVER, CACHE, PEERS, Late, Peer, Steady, answer, beaver, environment,
                     installed, middle, say, script, series, spread)

PEER_SECONDS = 0.3  # that a product is repeated


def cores():
    return len(os.sched_getaffinity(0))


# ---- matmul ----

def wish(row, library):
    form = {"matmul gradient": "gradient", "matmul decode": "cold"}.get(row["name"], "packed")
    return (f"{library} {row['m']} {row['n']} {row['k']} {row['dtype']} {form} "
            f"{row['threads']} {PEER_SECONDS}")


def matmul(options):
    rows, steady = {}, Steady()
    for threads in sorted({1, cores()}):
        for _ in range(options.rounds):
            measure_products(threads, rows, steady)
    for row in rows.values():
        row["beaver"] = series(row.pop("ours"))
        row["peers"] = {name: series(list_) for name, list_ in row["peers"].items()}
        row["share_of_limit"] = middle(row.pop("shares"))
        row["limit_gflops"] = row["beaver"]["median"] / row["share_of_limit"]
    return list(rows.values())


def measure_products(threads, rows, steady):
    found = beaver("bench", "kernels", "--filter", "matmul", "--threads", threads, "--seconds", 0.1)
    for r in found["kernels"]:
        key = (r["name"], r["model"], r["m"], r["n"], r["k"], r["dtype"], threads)
        row = rows.setdefault(key, {
            "name": r["name"], "model": r["model"], "m": r["m"], "n": r["n"], "k": r["k"],
            "dtype": r["dtype"], "threads": threads, "level": found["level"], "limit": r["limit"],
            "ours": [], "shares": [], "peers": {}, "steady": True})
        row["ours"].append(r["gflops"])
        row["shares"].append(r["share_of_limit"])
        row["steady"] = row["steady"] and r["steady"]
    try:
        if installed("matmul"):
            with Peer("matmul") as peer:
                measure_peers(peer, [r for r in rows.values() if r["threads"] == threads], steady)
    except (Late, RuntimeError) as reason:
        say(f"left out: {reason}")


def measure_peers(peer, rows, steady):
    for row in rows:
        for library in ("openblas", "onednn"):
            r, held = steady_product(peer, row, library, steady)
            if r["gflops"]:
                row["peers"].setdefault(r["peer"], []).append(r["gflops"])
                row["steady"] = row["steady"] and held


def steady_product(peer, row, library, steady):
    """Products of several threads between two looks at the peak."""
    if row["threads"] == 1 or (library == "openblas" and row["dtype"] != "f32"):
        return peer.ask(wish(row, library)), True
    return steady.time(lambda: peer.ask(wish(row, library)))


# ---- training ----

MODES = [("f32", []), ("f32", ["--compile"]), ("bf16", []), ("bf16", ["--compile"])]


def training(preset, shape, options, steps, extra):
    """Rows of our two types, and of each of PyTorch's ways in turns with ours."""
    rows, steady = {}, Steady()

    def ours(dtype):
        r, held = steady.time(lambda: beaver("bench", "train", "--preset", preset, "--dtype", dtype,
                                             "--steps", steps, *extra))
        row = rows.setdefault(("Beaver", dtype), {"who": "Beaver", "mode": "", "dtype": dtype,
                                                  "rates": [], "shares": [], "steady": True})
        row["rates"].append(r["tokens_per_s"])
        row["shares"].append(r["share_of_limit"])
        row["steady"] = row["steady"] and held
        row.update({key: r[key] for key in ("parameters", "batch", "context", "threads", "level",
                                            "peak_gflops", "peak_memory_bytes")})

    for dtype, mode in MODES:
        ours(dtype)
        try:
            if installed("torchrun"):
                peer_training(shape, dtype, mode, options, steps, rows, steady, ours)
        except (Late, RuntimeError) as reason:
            say(reason)
            rows[("PyTorch", dtype, *mode)] = {"who": "PyTorch", "mode": name_of(mode),
                                               "dtype": dtype, "late": str(reason)}
    for row in rows.values():
        if "rates" in row:
            row["tokens_per_s"] = series(row.pop("rates"))
            row["share_of_limit"] = middle(row.pop("shares")) if row.get("shares") else None
            row.pop("shares", None)
    return list(rows.values())


def flags_of(shape):
    return [w for key, value in shape.items()
            for w in ([f"--{key}", value] if value else [f"--{key}"])]


def name_of(mode):
    return "compiled" if mode else "eager"


def peer_training(shape, dtype, mode, options, steps, rows, steady, ours):
    words = flags_of(shape)
    begin = time.monotonic()
    with script("gpt.py", *words, *mode, "--dtype", dtype, "--warm-up", 0, "--serve") as peer:
        peer.ask("1", options.seconds)  # compiles, and warms up
        for turn in range(options.rounds):
            left = options.seconds - (time.monotonic() - begin)
            if turn and left <= 0:
                break
            r, held = steady.time(lambda: peer.ask(str(steps), max(left, options.seconds / 2)))
            row = rows.setdefault(("PyTorch", dtype, *mode), {
                "who": r["peer"], "mode": r["mode"], "dtype": dtype, "rates": [], "steady": True})
            row["rates"].append(r["tokens_per_s"])
            row["steady"] = row["steady"] and held
            row.update({key: r[key] for key in ("parameters", "batch", "context", "threads",
                                                "peak_memory_bytes", "memory_before_bytes")})
            if turn + 1 < options.rounds:
                ours(dtype)


def train(options):
    """4 x 1024 tokens a step; on a CPU that needs more than 20 s for it at its peak, 1 x 1024, and
    where even that is long, single steps."""
    peak = beaver("bench", "limits", "--seconds", 0.3)["limits"][-1]["f32_gflops"]
    seconds = 4096 * 856e6 / (1e9 * peak)
    batch = 4 if seconds <= 20 else 1
    steps = 3 if seconds * batch / 4 <= 5 else 1
    shape = {"layers": 12, "heads": 12, "width": 768, "context": 1024, "vocab": 50257,
             "batch": batch}
    return training("gpt2", shape, options, steps, ["--batch", batch])


NANO = {"layers": 4, "heads": 4, "width": 128, "context": 64, "vocab": 65, "batch": 12,
        "no-bias": None}


def nano(options):
    return training("nanogpt-char-cpu", NANO, options, 50, [])


# ---- time to quality ----

NANO_STEPS = 2000  # of nanoGPT's setting for CPUs
SEEDS = 5


def quality(options):
    """nanoGPT's loss, about 1.88, in the shortest time: preset char-fast, each seed in turns with
    steps of PyTorch (eager), of which nanoGPT makes 2,000."""
    return time_to_quality("char-fast", SEEDS, lambda: NANO_STEPS * eager_step(options.seconds))


def best(options):
    """The loss of nanoGPT's large setting, 1.4697 after 3 minutes of a GPU, by char-best; no peer
    of ours trains that here."""
    return time_to_quality("char-best", 3, None)


def time_to_quality(preset, seeds, peer):
    text = texts.shakespeare()
    if not text:
        say("no $BEAVER_DATA/text/tinyshakespeare.txt")
        return []
    row = {"what": preset, "seconds": [], "loss": [], "steps": NANO_STEPS, "peer_seconds": []}
    with tempfile.TemporaryDirectory(prefix="beaver-bench-") as folder:
        for seed in range(1, seeds + 1):
            train_and_judge(text, preset, seed, folder, row)
            try:
                if peer and installed("torchrun"):
                    row["peer_seconds"].append(peer())
            except (Late, RuntimeError) as reason:
                say(f"left out: {reason}")
    for key in ("seconds", "loss", "peer_seconds"):
        row[key] = series(row[key]) if row[key] else None
    return [row]


def train_and_judge(text, preset, seed, folder, row):
    """From exec until the program has ended, which is after its checkpoint; then the loss over the
    whole validation text, the last tenth, in windows of the model's context."""
    data, out = os.path.join(folder, "data"), os.path.join(folder, f"run-{seed}")
    val = os.path.join(folder, "val.txt")
    if not os.path.exists(data):
        beaver("data", "prepare", text, "--tokenizer", "char", "--val-fraction", 0.1, "--out", data)
        with open(text, "rb") as file:
            whole = file.read()
        texts.write(val, whole[int(0.9 * len(whole)):])
    begin = time.perf_counter()
    beaver("train", "--data", data, "--out", out, "--preset", preset, "--seed", seed, timeout=3600)
    row["seconds"].append(time.perf_counter() - begin)
    row["loss"].append(beaver("eval", out, val)["loss"])


def eager_step(seconds):
    """Seconds of a step of nanoGPT's setting in PyTorch."""
    with script("gpt.py", *flags_of(NANO), "--warm-up", 0, "--serve") as peer:
        peer.ask("3", seconds)
        rate = peer.ask("30", seconds)["tokens_per_s"]
    return NANO["batch"] * NANO["context"] / rate


# ---- generation ----

def generate(options):
    rows, steady = [], Steady()
    for dtype in ("f32", "bf16"):
        for threads in sorted({1, cores()}):
            runs = [steady.time(lambda d=dtype, t=threads: beaver(
                "bench", "generate", "--preset", "gpt2", "--dtype", d, "--threads", t, "--prompt",
                256, "--tokens", 24)) for _ in range(min(options.rounds, 2))]
            row = {"dtype": dtype, "threads": threads, "level": runs[0][0]["level"],
                   "steady": all(held for _, held in runs)}
            for key in ("prompt_tokens_per_s", "tokens_per_s", "together_tokens_per_s"):
                row[key] = series([r[key] for r, _ in runs])
            for key in ("prompt_share_of_limit", "forward_share_of_limit", "share_of_limit",
                        "together_share_of_limit", "read_gbps"):
                row[key] = middle([r[key] for r, _ in runs])
            rows.append(row)
    return rows


# ---- start ----

def opens(run):
    """Is it whole, and are its settings today's?"""
    if not os.path.exists(os.path.join(run, "checkpoints", "latest", "manifest.json")):
        return False
    try:
        beaver("explain", run)
    except RuntimeError:
        return False
    return True


def run_of_124m():
    """A run of GPT-2's shape after one step, made once in the cache."""
    folder = os.path.join(CACHE, "start-124m")
    if opens(os.path.join(folder, "run")):
        return os.path.join(folder, "run")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tokenizer = os.path.join(folder, "tokenizer.json")
    text = os.path.join(folder, "text.txt")
    some = texts.english() or texts.python()
    if not some:
        raise RuntimeError("no text: neither $BEAVER_DATA's books nor Python's library")
    with open(some, "rb") as file:
        texts.write(text, file.read(3_000_000))
    ranks = os.path.join(PEERS, "ranks", "r50k_base.tiktoken")
    words = (["import", ranks] if os.path.exists(ranks) else ["train", text, "--vocab", 8192])
    beaver("tokenizer", *words, "--out", tokenizer)
    beaver("data", "prepare", text, "--tokenizer", tokenizer, "--out",
           os.path.join(folder, "data"))
    beaver("train", "--data", os.path.join(folder, "data"), "--out", os.path.join(folder, "run"),
           "--preset", "gpt2", "--vocab-size", 50257, "--batch", 1, "--micro-batch", 1, "--steps",
           1, "--warmup", 0, "--eval-every", 0)
    return os.path.join(folder, "run")


def first_token(run):
    begin = time.perf_counter()
    with subprocess.Popen([BEAVER, "generate", run, "--tokens", "1", "--temperature", "0"],
                          stdout=subprocess.PIPE, env=environment()) as process:
        first = process.stdout.read(1)
        seconds = time.perf_counter() - begin
        process.stdout.read()
    if process.returncode or not first:
        raise RuntimeError(f"beaver generate {run}: no first token")
    return seconds


def start(options):
    run = run_of_124m()
    first_token(run)  # the file comes into the page cache
    seconds = [first_token(run) for _ in range(5 * options.rounds)]
    return [{"what": "exec to the first token, GPT-2 124M", "seconds": series(seconds)}]


# ---- tokenizer ----

def tokenizer(options):
    rows = []
    for language, path in (("English", texts.english()), ("Python", texts.python())):
        if not path:
            continue
        for ranks in ("r50k", "cl100k"):
            file = os.path.join(PEERS, "ranks", ranks + "_base.tiktoken")
            if os.path.exists(file):
                rows.append(encoding(language, path, ranks, file, options))
    path = texts.english() or texts.python()
    return rows + learning(path, options) if path else rows


def encoding(language, path, ranks, file, options):
    folder = tempfile.mkdtemp(prefix="beaver-bench-")
    ours = os.path.join(folder, "tokenizer.json")
    row = {"what": f"encode {language}, {ranks}", "bytes": os.path.getsize(path), "steady": True}
    rates, peer_rates, prepared, steady = {}, [], [], Steady()
    try:
        beaver("tokenizer", "import", file, "--out", ours)
        for turn in range(options.rounds):
            for r in beaver("bench", "tokenizer", path, "--tokenizer", ours)["codec"]:
                rates.setdefault(r["threads"], []).append(r["encode_mbps"])
                row["steady"] = row["steady"] and r["steady"]
            rate, held = steady.time(
                lambda: preparing(path, ours, os.path.join(folder, "data")))
            prepared.append(rate)
            row["steady"] = row["steady"] and held
            wish = json.dumps({"do": "tiktoken", "ranks": file, "text": path})
            r = answer(wish) if turn < 2 else None
            if r:
                peer_rates.append(r["mbps"])
                row["peer"], row["peer_sha256"] = r["peer"], r["sha256"]
        row["sha256"] = hash_of_tokens(ours, path)
        if "peer" in row:
            row["identical"] = row["sha256"] == row["peer_sha256"]
            row["peer_mbps"] = series(peer_rates)
    finally:
        shutil.rmtree(folder)
    row["mbps"] = {str(threads): series(list_) for threads, list_ in rates.items()}
    row["prepare_mbps"] = series(prepared)
    return row


def preparing(path, tokenizer_path, out):
    """MB of text a second by `data prepare`, from exec to the finished folder."""
    begin = time.perf_counter()
    beaver("data", "prepare", path, "--tokenizer", tokenizer_path, "--out", out)
    seconds = time.perf_counter() - begin
    shutil.rmtree(out)
    return os.path.getsize(path) / 1e6 / seconds


def hash_of_tokens(tokenizer_path, path):
    """SHA-256 of all tokens as 32-bit little-endian numbers."""
    import array
    import hashlib
    done = subprocess.run([BEAVER, "tokenizer", "encode", tokenizer_path, path],
                          capture_output=True, check=True, env=environment())
    tokens = array.array("I", map(int, done.stdout.split()))
    return hashlib.sha256(tokens.tobytes()).hexdigest()


def learning(path, options):
    """Learning 32,768 tokens, on one thread and on all, in turns with Hugging Face's tokenizers."""
    rows, size = [], os.path.getsize(path)
    ours, theirs, name = {}, {}, None
    for turn in range(min(options.rounds, 2)):
        found = beaver("bench", "tokenizer", path, "--vocab", 32768, "--seconds", 0.01)
        for r in found["training"]:
            ours.setdefault(r["threads"], []).append(r["seconds"])
        for threads in sorted({1, cores()}) if turn == 0 else ():
            r = answer(json.dumps({"do": "hf-train", "text": path, "vocab": 32768,
                                   "threads": threads}), 300)
            if r:
                theirs.setdefault(threads, []).append(r["seconds"])
                name = r["peer"]
    for threads, seconds in ours.items():
        row = {"what": "learn 32,768 byte pairs", "threads": threads, "bytes": size,
               "seconds": series(seconds)}
        if threads in theirs:
            row["peer"], row["peer_seconds"] = name, series(theirs[threads])
        rows.append(row)
    return rows


# ---- scaling ----

# layers, heads, width, vocabulary, batch of 256 tokens; steps that count
SIZES = [(4, 4, 128, 1024, 8, 10), (6, 6, 288, 4096, 8, 5), (8, 8, 512, 8192, 4, 3),
         (12, 12, 768, 50257, 2, 2), (24, 16, 1024, 50257, 2, 1)]
CONTEXTS = [64, 128, 256, 512, 1024, 2048, 4096]  # of 6 layers, 6 heads, 384
TOKENS = 1024  # of a step along the contexts, or one sequence if that is more
THREADS = [("preset nanogpt-char-cpu", ["--preset", "nanogpt-char-cpu", "--steps", 20]),
           ("GPT-2 124M, 1 x 1024", ["--preset", "gpt2", "--batch", 1, "--steps", 1])]


class Clock:
    """What scaling may still take."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def train(self, *words):
        left = self.end - time.monotonic()
        if left < 1:
            raise Late("scaling: no time left")
        return beaver("bench", "train", *words, timeout=left)


def scaling(options):
    """Time of a token in training; the limit is its FLOPs at the best peak measured beside all of
    them. The cheap ones first: what does not fit into the time is left out, and said."""
    rows, steady, clock = [], Steady(), Clock(options.scaling_seconds)
    work = [lambda i=i: along_sizes(rows, steady, clock, *SIZES[i]) for i in range(len(SIZES))]
    work[3:3] = [lambda c=c: along_contexts(rows, steady, clock, c) for c in CONTEXTS]
    work[3:3] = [lambda: along_threads(rows, clock, options, *THREADS[0])]
    work.insert(-1, lambda: along_threads(rows, clock, options, *THREADS[1]))
    for step in work:
        try:
            step()
        except Late as reason:
            say(reason)
    against_best_peak([r for r in rows if r["axis"] != "threads"])
    return rows


def against_best_peak(rows):
    """A peak that was taken in a bad moment would flatter, and bend the line of the limit."""
    best = {r["dtype"]: max(o["peak_gflops"] for o in rows if o["dtype"] == r["dtype"])
            for r in rows}
    for r in rows:
        r["share_of_limit"] *= r["peak_gflops"] / best[r["dtype"]]
        r["peak_gflops"] = best[r["dtype"]]
        r["limit_us_per_token"] = r["us_per_token"] * r["share_of_limit"]


def along_sizes(rows, steady, clock, layers, heads, width, vocabulary, batch, steps):
    measure_token(rows, steady, clock, "size",
                  ["--layers", layers, "--heads", heads, "--width", width, "--context", 256,
                   "--batch", batch, "--vocab-size", vocabulary, "--steps", steps])


def along_contexts(rows, steady, clock, context):
    measure_token(rows, steady, clock, "context",
                  ["--layers", 6, "--heads", 6, "--width", 384, "--context", context, "--batch",
                   max(1, TOKENS // context), "--vocab-size", 8192, "--steps",
                   3 if context <= TOKENS else 2])


def measure_token(rows, steady, clock, axis, words):
    for dtype in ("f32", "bf16"):
        r, held = steady.time(lambda d=dtype: clock.train(*words, "--dtype", d), attempts=2)
        rows.append({"axis": axis, "dtype": dtype, "parameters": r["parameters"],
                     "context": r["context"], "batch": r["batch"], "threads": r["threads"],
                     "level": r["level"], "us_per_token": 1e6 / r["tokens_per_s"],
                     "peak_gflops": r["peak_gflops"], "share_of_limit": r["share_of_limit"],
                     "steady": held})


def along_threads(rows, clock, options, what, words):
    """One thread and all of them in turns; the ratio is the median of those of a turn."""
    for dtype in ("f32", "bf16") if "nano" in what else ("f32",):
        rates = {1: [], cores(): []}
        for turn in range(options.rounds if "nano" in what else 2):
            for threads in rates if turn % 2 == 0 else reversed(list(rates)):
                rates[threads].append(clock.train(*words, "--dtype", dtype, "--threads",
                                                  threads)["tokens_per_s"])
        if cores() > 1:
            ratios = [all_ / one for one, all_ in zip(*rates.values())]
            rows.append({"axis": "threads", "what": what, "dtype": dtype, "threads": cores(),
                         "one": series(rates[1]), "all": series(rates[cores()]),
                         "ratio": series(ratios)})
