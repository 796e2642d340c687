"""Results of bench/run as Markdown: all of them for bench/results, a few for the README; and the
plots of scaling as SVG."""
import json
import os
import subprocess
import tempfile

from harness import BEAVER

BEGIN, END = "<!-- bench/run --readme writes from here", "<!-- to here -->"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def number(x):
    if x is None:
        return ""
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def with_spread(s):
    return f"{number(s['median'])} ± {100 * s['spread']:.0f} %"


def share(x):
    return "" if x is None else f"{100 * x:.0f} %"


def times(x):
    return f"{x:.2f} ×" if x < 10 else f"{x:.0f} ×"


def mark(row):
    return "" if row.get("steady", True) else " (peak fell)"


def best_peer(row):
    """(name, series) of the fastest peer of a product, or None."""
    peers = row.get("peers") or {}
    return max(peers.items(), key=lambda item: item[1]["median"]) if peers else None


# ---- the parts ----

def matmul(rows):
    out = []
    for r in rows:
        peer = best_peer(r)
        ratio = times(r["beaver"]["median"] / peer[1]["median"]) if peer else ""
        out.append([r["name"] + " " + r["model"], f"{r['m']} × {r['n']} × {r['k']}", r["dtype"],
                    r["threads"], number(r["limit_gflops"]) + " (" + r["limit"] + ")",
                    f"{with_spread(peer[1])}, {peer[0]}" if peer else "",
                    with_spread(r["beaver"]) + mark(r), share(r["share_of_limit"]), ratio])
    return table(["product", "m × n × k", "type", "threads", "limit, GFLOP/s (int8: GOP/s)",
                  "best peer", "Beaver", "of the limit", "Beaver / peer"], out)


def training(rows):
    ours = {r["dtype"]: r for r in rows if r["who"] == "Beaver"}
    out = []
    for r in rows:
        who = " ".join(filter(None, [r["who"], r["mode"]]))
        if "late" in r:
            out.append([who, r["dtype"], "", "", r["late"], "", "", ""])
            continue
        ratio = ours[r["dtype"]]["tokens_per_s"]["median"] / r["tokens_per_s"]["median"]
        memory = r["peak_memory_bytes"]
        beyond = memory - r.get("memory_before_bytes", 0) - 16 * r["parameters"]
        out.append([who, r["dtype"], f"{r['batch']} × {r['context']}", r["threads"],
                    with_spread(r["tokens_per_s"]) + mark(r), share(r.get("share_of_limit")),
                    "" if r["who"] == "Beaver" else times(ratio),
                    f"{memory / 1e9:.2f}, {max(beyond, 0) / 1e9:.2f}"])
    return table(["who", "type", "tokens", "threads", "tokens/s", "of the limit",
                  "Beaver's speed beside it", "memory, GB: peak, beyond 16 bytes a parameter"], out)


def quality(rows):
    return table(["preset", "exec to checkpoint, s", "loss, whole validation text", "seeds",
                  "PyTorch eager, 2,000 steps, s", "Beaver beside it"],
                 [[r["what"], with_spread(r["seconds"]), f"{r['loss']['median']:.4f}",
                   r["loss"]["runs"],
                   with_spread(r["peer_seconds"]) if r["peer_seconds"] else "",
                   times(r["peer_seconds"]["median"] / r["seconds"]["median"])
                   if r["peer_seconds"] else ""] for r in rows])


def generate(rows):
    return table(
        ["type", "threads", "prompt, tokens/s", "of the peak", "training's forward, of the peak",
         "one sequence, tokens/s",
         "of the bandwidth", "16 together, tokens/s", "beside one", "bandwidth, GB/s"],
        [[r["dtype"], r["threads"], with_spread(r["prompt_tokens_per_s"]) + mark(r),
          share(r["prompt_share_of_limit"]), share(r["forward_share_of_limit"]),
          with_spread(r["tokens_per_s"]),
          share(r["share_of_limit"]), with_spread(r["together_tokens_per_s"]),
          times(r["together_tokens_per_s"]["median"] / r["tokens_per_s"]["median"]),
          number(r["read_gbps"])] for r in rows])


def start(rows):
    return table(["what", "ms"], [[r["what"], f"{1e3 * r['seconds']['median']:.0f} ± "
                                   f"{100 * r['seconds']['spread']:.0f} %"] for r in rows])


def tokenizer(rows):
    out = []
    for r in (r for r in rows if "mbps" in r):
        one = r["mbps"]["1"]["median"]
        peer = r.get("peer_mbps")
        for threads, s in r["mbps"].items():
            alone = threads == "1"
            beside = (times(one / peer["median"]) if peer and alone
                      else "" if alone else times(s["median"] / one) + " of one thread")
            out.append([r["what"] + ", MB/s", threads, with_spread(s),
                        f"{with_spread(peer)}, {r['peer']}" if peer and alone else "", beside,
                        {True: "yes", False: "NO"}.get(r.get("identical"), "") if alone else ""])
        all_ = list(r["mbps"].values())[-1]["median"]
        out.append(["  data prepare, MB/s", "", with_spread(r["prepare_mbps"]), "",
                    share(r["prepare_mbps"]["median"] / all_) + " of encoding", ""])
    for r in (r for r in rows if "seconds" in r):
        peer = r.get("peer_seconds")
        out.append([r["what"] + ", s", r["threads"], with_spread(r["seconds"]),
                    f"{with_spread(peer)}, {r['peer']}" if peer else "",
                    times(peer["median"] / r["seconds"]["median"]) if peer else "", ""])
    return table(["what", "threads", "Beaver", "peer", "Beaver beside it", "identical"], out)


def scaling(rows):
    out = table(["along", "type", "parameters", "tokens", "µs a token", "limit", "of the limit"],
                [[r["axis"], r["dtype"], f"{r['parameters'] / 1e6:.1f} M",
                  f"{r['batch']} × {r['context']}", number(r["us_per_token"]) + mark(r),
                  number(r["limit_us_per_token"]), share(r["share_of_limit"])]
                 for r in rows if r["axis"] != "threads"])
    threads = [[r["what"], r["dtype"], with_spread(r["one"]), r["threads"], with_spread(r["all"]),
                f"{times(r['ratio']['median'])} ± {100 * r['ratio']['spread']:.0f} %"]
               for r in rows if r["axis"] == "threads"]
    if not threads:
        return out
    return out + "\n\n" + table(["training step", "type", "1 thread, tokens/s", "threads",
                                 "tokens/s", "beside one"], threads)


PARTS = {"matmul": ("Products", matmul), "train": ("GPT-2 124M, a training step", training),
         "nano": ("nanoGPT's character-level setting, a training step", training),
         "quality": ("nanoGPT's loss in the shortest time", quality),
         "best": ("Towards the loss of nanoGPT's large setting, 1.4697", quality),
         "generate": ("Generation, GPT-2 124M", generate), "start": ("Start", start),
         "tokenizer": ("Tokens", tokenizer), "scaling": ("Scaling of a training step", scaling)}


def about(results):
    m = results["machine"]
    return (f"{m['cpu']} (family and model {m['family']}; {' '.join(m['flags'])}), {m['cores']} "
            f"cores, {m['memory_bytes'] / 2**30:.0f} GiB, Linux {m['kernel']}.")


def write(path, results):
    text = ["# What bench/run found", "", about(results), "",
            "Medians of interleaved runs ± half of the distance between the ends. Peaks and peers",
            "differ from machine to machine and from hour to hour: only ratios within a row count.",
            ""]
    for name, (title, render) in PARTS.items():
        part = results["parts"].get(name)
        if not part:
            continue
        text += [f"## {title}", "", f"{part['date']}, {part['commit']}, {part['seconds']} s.", "",
                 render(part["rows"]), ""]
        if name == "scaling":
            text += plots(path, part["rows"])
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(line.rstrip() for line in text).rstrip("\n") + "\n")


# ---- the short table ----

def best(rows, dtype=None):
    """The fastest of PyTorch's ways (of a type)."""
    found = [r for r in rows if r["who"] != "Beaver" and "tokens_per_s" in r and
             dtype in (None, r["dtype"])]
    return max(found, key=lambda r: r["tokens_per_s"]["median"], default=None)


def short_training(title, rows):
    for ours in (r for r in rows if r["who"] == "Beaver"):
        peer = best(rows, ours["dtype"])
        rate = ours["tokens_per_s"]["median"]
        yield [f"{title}, {ours['dtype']}, tokens/s",
               number(rate / ours["share_of_limit"]),
               f"{number(peer['tokens_per_s']['median'])} ({peer['who']} {peer['mode']})"
               if peer else "", number(rate), share(ours["share_of_limit"]),
               times(rate / peer["tokens_per_s"]["median"]) if peer else ""]


def short_rows(parts):
    rows = {name: part["rows"] for name, part in parts.items()}
    for r in rows.get("matmul", []):
        if r["name"] == "matmul square" and r["m"] == 1024 and r["threads"] > 1:
            peer = best_peer(r)
            unit = "GOP/s" if r["dtype"] == "int8" else "GFLOP/s"
            yield [f"matmul 1024³, {r['dtype']}, {r['threads']} threads, {unit}",
                   number(r["limit_gflops"]),
                   f"{number(peer[1]['median'])} ({peer[0]})" if peer else "",
                   number(r["beaver"]["median"]), share(r["share_of_limit"]),
                   times(r["beaver"]["median"] / peer[1]["median"]) if peer else ""]
    yield from short_training("GPT-2 124M step", rows.get("train", []))
    yield from short_training("nanoGPT's character model step", rows.get("nano", []))
    for r in rows.get("quality", []) + rows.get("best", []):
        peer = r["peer_seconds"]
        yield [f"Shakespeare to loss {r['loss']['median']:.2f}, s", "",
               f"{number(peer['median'])} (PyTorch eager)" if peer else "",
               number(r["seconds"]["median"]), "",
               times(peer["median"] / r["seconds"]["median"]) if peer else ""]
    for r in rows.get("generate", [])[-1:]:
        rate = r["tokens_per_s"]["median"]
        yield [f"GPT-2 124M writes, {r['dtype']}, {r['threads']} threads, tokens/s",
               number(rate / r["share_of_limit"]), "", number(rate), share(r["share_of_limit"]), ""]
    for r in rows.get("start", []):
        yield [r["what"] + ", ms", "", "", number(1e3 * r["seconds"]["median"]), "", ""]
    for r in rows.get("tokenizer", []):
        if "mbps" in r and "r50k" in r["what"]:
            peer = r.get("peer_mbps")
            yield [r["what"] + ", 1 thread, MB/s", "",
                   f"{number(peer['median'])} ({r['peer']})" if peer else "",
                   number(r["mbps"]["1"]["median"]), "",
                   times(r["mbps"]["1"]["median"] / peer["median"]) if peer else ""]
    for r in [r for r in rows.get("tokenizer", []) if "seconds" in r][-1:]:
        peer = r.get("peer_seconds")
        yield [f"{r['what']}, {r['threads']} threads, s", "",
               f"{number(peer['median'])} ({r['peer']})" if peer else "",
               number(r["seconds"]["median"]), "",
               times(peer["median"] / r["seconds"]["median"]) if peer else ""]


def short(results):
    return table(["work", "limit", "best peer", "Beaver", "of the limit", "Beaver beside the peer"],
                 list(short_rows(results["parts"])))


def into_readme(path, results):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    begin, end = text.index(BEGIN), text.index(END)
    dates = sorted(part["date"] for part in results["parts"].values())
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    body = [BEGIN + " -->", "", f"{when}, {about(results)}", "", short(results), "", ""]
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:begin] + "\n".join(body) + text[end:])


# ---- plots: cost of a token against size or context, both logarithmic, with the limit ----

def plots(path, rows):
    """Drawn by Beaver; lines of Markdown that show them."""
    lines = []
    for axis, key, title in (("size", "parameters", "parameters"),
                             ("context", "context", "tokens of context")):
        chosen = [r for r in rows if r["axis"] == axis]
        if len({r[key] for r in chosen}) < 2:
            continue
        name = os.path.splitext(path)[0] + f"-{axis}.svg"
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(figure(chosen, key, title), file)
            file.flush()
            subprocess.run([BEAVER, "plot", file.name, "--out", name], check=True,
                           stderr=subprocess.DEVNULL)
        lines += [f"![Cost of a token against {title}]({os.path.basename(name)})", ""]
    return lines


def figure(rows, key, title):
    series = []
    for color, dtype in enumerate(("f32", "bf16"), 1):
        of_type = sorted((r for r in rows if r["dtype"] == dtype), key=lambda r: r[key])
        for name, value, limit in ((dtype, "us_per_token", False),
                                   (f"{dtype}, limit", "limit_us_per_token", True)):
            series.append({"name": name, "x": [r[key] for r in of_type],
                           "y": [r[value] for r in of_type], "dots": not limit, "dashed": limit,
                           "color": color})
    threads = rows[0]["threads"]
    return {"title": f"Time of a training token, {threads} threads, {rows[0]['level']}",
            "x_label": title, "y_label": "µs a token", "log_x": True, "log_y": True,
            "series": series}
