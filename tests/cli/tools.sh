#!/usr/bin/env bash
# doctor, bench, explain and plot: exit codes, JSON that parses, and bad input.
. "$BEAVER_SOURCE/tests/support/cli.sh"
export XDG_CACHE_HOME=$folder/cache

one_line() { tr '\n' ' ' <"$1" && echo; }
with() (export "$1" && shift && "$@") # with NAME=VALUE COMMAND...
homeless() (unset HOME XDG_CACHE_HOME && "$@")

# ---- doctor ----
expect 0 "will use c (BEAVER_CPU) with 3 threads" with BEAVER_CPU=c beaver doctor --threads 3
[ ! -s "$folder/out" ] || fail "doctor wrote to standard output"
[ -s "$XDG_CACHE_HOME/beaver/limits.json" ] || fail "no cache"
json 'j["threads"] == 1 and j["limits"]["f32_gflops"] > 0 and j["limits"]["read_gbps"] > 0 and
    j["level"] in [l["name"] for l in j["levels"] if l["usable"]] and j["memory_total"] > 0 and
    isinstance(j["warnings"], list)' beaver doctor --json --threads 1
expect 2 "no such level" with BEAVER_CPU=sse beaver doctor
expect 2 "--threads" beaver doctor --threads many
expect 0 "cannot be remembered" homeless beaver doctor --threads 1

# Control groups, as a container and as systemd's services have them.
# grouped OWN MOUNTS COMMAND...: where the kernel tells that of groups, whose files lie in `groups`
grouped() {
    unshare --mount sh -c 'printf "$1\n" >own && printf "$2\n" >mounts &&
        mount --bind own /proc/$$/cgroup && mount --bind mounts /proc/$$/mountinfo &&
        mount --bind groups /sys/fs/cgroup && shift 2 && exec "$@"' sh "$@"
}
cd "$folder" || exit 1
mkdir -p groups/a/b
version2="41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
program() { grouped "0::$1" "$version2" ${BEAVER_EMULATOR:-} "$BEAVER" doctor --json; }
if grouped 0::/ "$version2" true 2>/dev/null; then
    echo 3000000000 >groups/a/memory.max # of which another group has the most
    echo 2800000000 >groups/a/memory.current
    echo "150000 100000" >groups/a/cpu.max
    echo 1000000000 >groups/a/b/memory.max
    echo 900000000 >groups/a/b/memory.current
    printf 'anon 300000000\nfile 600000000\nactive_file 100000000\ninactive_file 500000000\n' \
        >groups/a/b/memory.stat
    json 'j["memory_total"] == 1e9 and j["memory_available"] == 2e8 and j["cores_quota"] == 1.5' \
        program /a/b
    echo "50000 100000" >groups/a/cpu.max
    json 'j["threads"] == 1 and not any("halted" in w["what"] for w in j["warnings"])' program /a/b
    rm -r groups/a && mkdir groups/a
    echo 1000000000 >groups/memory.max
    echo 900000000 >groups/memory.current
    printf 'active_file 100000000\ninactive_file 500000000\n' >groups/memory.stat
    echo "max 100000" >groups/cpu.max
    json 'j["memory_total"] == 1e9 and j["memory_available"] == 7e8 and j["cores_quota"] == 0' \
        program /
    rm groups/memory.stat
    json 'j["memory_available"] == 1e8' program /
    echo 300000000 >groups/memory.max # as many as are there: more would end in a kill
    echo 100000000 >groups/memory.current
    scarce() { (ulimit -v 250000 && "$@"); }
    if scarce beaver --version >/dev/null 2>&1; then
        json 'j["memory_available"] == 2e8 and j["limits"]["read_gbps"] > 0' scarce program /
    else
        echo "skipped: little memory (a sanitizer's shadow alone is more)"
    fi
    echo max >groups/memory.max
    json 'j["memory_total"] > 1e9' program /
    mkdir groups/cpu groups/memory # of version 1
    echo 25000 >groups/cpu/cpu.cfs_quota_us && echo 50000 >groups/cpu/cpu.cfs_period_us
    echo 1000000000 >groups/memory/memory.limit_in_bytes
    echo 400000000 >groups/memory/memory.usage_in_bytes
    version1='32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n'
    version1="${version1}33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
    first() {
        grouped '2:memory:/\n1:cpu,cpuacct:/' "$version1" ${BEAVER_EMULATOR:-} "$BEAVER" \
            doctor --json
    }
    json 'j["memory_total"] == 1e9 and j["memory_available"] == 6e8 and j["cores_quota"] == 0.5 and
        j["threads"] == 1' first
else
    echo "skipped: control groups (mounting is not allowed here)"
fi

# ---- bench ----
expect 0 "usage: beaver bench SUBCOMMAND" beaver bench
expect 2 "try: beaver bench train" beaver bench trian
for name in limits kernels train generate; do
    expect 0 "usage: beaver bench $name" beaver bench $name --help
done
for name in explain "bench train" "bench generate"; do # settings stand in one place
    expect 0 "beaver train --help" beaver $name --help
    ! grep -q -- "--kv-heads" "$folder/out" || fail "beaver $name --help lists settings"
    expect 2 "try: --kv-heads" beaver $name --kv_hedas 2
done
beaver train --help >"$folder/help"
json '[k for k in j["settings"] if "  --" + k.replace("_", "-") + " " not in
    open("'"$folder"'/help").read()] == []' beaver explain tiny --json
json '[l["threads"] for l in j["limits"]] == [1, 3] and j["limits"][1]["bf16_gflops"] > 0' \
    beaver bench limits --threads 3 --json
json 'j["seconds_here"] > 0' beaver explain tiny --threads 3 --json # the limits are remembered
json 'len(j["kernels"]) > 30 and {k["model"] for k in j["kernels"]} == {"small"} and
    all(k["share_of_limit"] > 0 and k["ms"] > 0 and k["gbps"] > 0 for k in j["kernels"]) and
    all(abs(k["gflops"] - k["share_of_limit"] * k["limit_gflops"]) <= 1e-6 * k["gflops"]
        and k["threads"] == 2 for k in j["kernels"]) and
    any((k.get("m"), k.get("n"), k.get("k")) == (768, 512, 128) for k in j["kernels"]) and
    {"attention backward", "norm", "adamw", "embed"} <= {k["name"] for k in j["kernels"]}' \
    beaver bench kernels --filter small --seconds 0.001 --threads 2 --json
expect 0 "768 x 128 x 128" beaver bench kernels --filter "out small 768" --seconds 0.001
expect 2 'no kernel'"'"'s line contains "nothing"' beaver bench kernels --filter nothing --json
expect 2 "--seconds" beaver bench kernels --seconds 0
train() { beaver bench train --preset tiny --steps 2 --threads 2 --set vocab_size=50 "$@"; }
expect 0 "tokens/s" train
json 'j["preset"] == "tiny" and j["tokens_per_s"] > 0 and j["share_of_limit"] > 0 and
    j["batch"] == 8 and j["context"] == 32 and j["threads"] == 2 and j["dtype"] == "f32" and
    j["peak_memory_bytes"] > 1e6 and
    0 < j["ms_fastest"] <= j["ms_per_step"] <= j["ms_slowest"] and
    abs(j["share_of_limit"] * j["limit_tokens_per_s"] / j["tokens_per_s"] - 1) < 1e-6 and
    abs(j["ms_per_step"] * j["tokens_per_s"] / 1e3 - 8 * 32) < 1e-6' train --json
json 'j["batch"] == 3 and j["context"] == 16 and j["dtype"] == "bf16"' \
    train --json --batch 3 --context 16 --dtype bf16 --set micro_batch=2 --set optimizer=muon
json 'j["batch"] == 65 and j["steps"] == 3' \
    beaver bench train --preset tiny --set vocab_size=50 --set batch=65 --set steps=3 --json
json 'j["batch"] == 12' beaver bench train --preset nanogpt-char-cpu --steps 1 --json \
    --set layers=1 --set width=16
json 'j["parameters"] > 50257 * 32' beaver bench train --preset tiny --steps 1 --json # as explain
expect 2 "try: gpt2" beaver bench train --preset gpt-2
expect 2 "needs KEY=VALUE" train --set layers
expect 2 'no setting is named "layer"' train --set layer=3
expect 2 'dtype cannot be "f16"' train --dtype f16
expect 2 "must be even" train --dtype bf16 --context 15
expect 2 "--batch" train --batch 0
expect 2 "batch 8 is not a multiple of grains 3" train --grains 3
json 'j["batch"] == 6' train --json --set batch=6 --grains 3
json 'j["batch"] == 5' beaver bench train --preset gpt2 --grains 5 --steps 1 --json \
    --set layers=1 --set heads=1 --set width=16 --set context=16 --set vocab_size=50
expect 1 "gpt3-175b needs 2.9 TB of memory" beaver bench train --preset gpt3-175b

generate() { beaver bench generate --preset tiny --set vocab_size=50 --threads 2 "$@"; }
json 'j["tokens_per_s"] > 0 and j["share_of_limit"] > 0 and j["prompt_share_of_limit"] > 0 and
    j["together_tokens_per_s"] > 0 and j["sequences"] == 3 and j["dtype"] == "bf16"' \
    generate --json --prompt 20 --tokens 5 --sequences 3 --dtype bf16
expect 2 "do not fit the context of 32" generate --prompt 30 --tokens 5
expect 1 "gpt3-175b needs 1.1 TB of memory" beaver bench generate --preset gpt3-175b

# ---- explain ----
json 'j["parameter_count"] == 124439808 and j["parameters"][0]["name"] == "wte.weight" and
    j["parameters"][0]["shape"] == [50257, 768] and j["memory"]["activations"] > 1e8 and
    j["memory"]["optimizer"] == 8 * 124439808 and
    j["seconds_here"] is None and j["settings"]["layers"] == 12' \
    with XDG_CACHE_HOME="$folder/none" beaver explain gpt2 --json
json 'j["parameter_count"] > 174e9 and j["train_flops_per_token"] > 1e12' \
    beaver explain gpt3-175b --json
json 'j["memory"]["counts"] is None' beaver explain char-best --json
json 'j["memory"]["counts"] == 0' beaver explain tiny --json
expect 0 "[8192, 2048]" beaver explain gpt3-xl
expect 0 "[65, 128]" beaver explain nanogpt-char-cpu # as many as its text has characters
expect 0 "[65, 128]" beaver explain --preset nanogpt-char-cpu
echo '{"layers": 3, "width": 48, "heads": 4}' >"$folder/c.json"
json 'j["settings"]["layers"] == 3 and j["settings"]["vocab_size"] == 70' \
    beaver explain "$folder/c.json" --vocab 70 --json
expect 0 "does not fit" beaver explain gpt3-175b
expect 0 "lr=0.0006" beaver explain gpt2
awk 'length > 80 { wide = 1; print } END { exit wide }' "$folder/err" ||
    fail "explain is wider than 80 columns"
expect 2 "no preset is named" beaver explain gpt-2

small=(--set layers=2 --set width=32 --set heads=2 --set context=16 --set batch=2 --vocab 50)
json '(t := j["time"]) and t["ms_per_step"] > 0 and t["batch"] == 2 and t["threads"] == 2 and
    {g["direction"] for g in t["groups"]} == {"forward", "backward", "phase"} and
    (lost := [g["lost_ms"] for g in t["groups"]]) == sorted(lost, reverse=True) and
    {"linear h.*.mlp.c_fc.weight", "attention", "optimizer"} <= {g["name"] for g in t["groups"]} and
    all(s["ms"] > 0 and s["bytes"] > 0 and s["limit"] in ("compute", "memory") for s in t["steps"]
        if s["direction"] != "phase")' \
    beaver explain tiny "${small[@]}" --time --threads 2 --json --trace "$folder/trace.json"
json 'len({e["tid"] for e in j["traceEvents"] if "tid" in e}) == 2 and
    any(e["name"] == "optimizer" for e in j["traceEvents"])' one_line "$folder/trace.json"
expect 1 "/nowhere" beaver explain tiny "${small[@]}" --time --trace /nowhere/t.json
! grep -q "measured" "$folder/err" || fail "a trace that cannot be written is told after measuring"
expect 2 "exclude each other" beaver explain tiny --preset gpt2
cp "$folder/c.json" "$folder/kept.json"
expect 2 "would replace what is read" \
    beaver explain "$folder/c.json" --time --trace "$folder/c.json"
expect 2 "would replace what is read" \
    beaver explain --config "$folder/c.json" --time --trace "$folder/c.json"
cmp -s "$folder/c.json" "$folder/kept.json" || fail "a trace replaced the settings"
expect 2 "try: --time" beaver explain tiny --trace "$folder/trace.json"
expect 1 "memory" beaver explain gpt3-175b --time

# ---- plot ----
mkdir "$folder/run"
{
    printf '{"step": 1, "loss": 4.0}\n{"step": 1, "val_loss": 4.1}\nnonsense\n'
    printf '{"step": 2, "loss": 3.0}' # a line that is being written
} >"$folder/run/metrics.jsonl"
json 'j["train_points"] == 1 and j["val_points"] == 1' beaver plot "$folder/run" --json
python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$folder/run/loss.svg" ||
    fail "the picture is no XML"
expect 0 "run: step 1, least validation loss 4.1000 at step 1" beaver plot "$folder/run"
mkdir "$folder/other"
printf '{"step": 1, "loss": 4.0}\n{"step": 2, "loss": 3.5}\n' >"$folder/other/metrics.jsonl"
json 'j["out"] is None and [r["train_points"] for r in j["runs"]] == [1, 2] and
    [r["best_val_loss"] for r in j["runs"]] == [4.1, None] and
    [r["best_val_step"] for r in j["runs"]] == [1, None] and
    j["runs"][1]["run"].endswith("/other")' beaver plot "$folder/run" "$folder/other" --json
[ ! -e "$folder/other/loss.svg" ] || fail "a comparison was drawn into a run"
expect 0 "drawn as" beaver plot "$folder/run" "$folder/other" --out "$folder/both.svg"
python3 -c 'import sys, xml.dom.minidom as x
names = [t.firstChild for t in x.parse(sys.argv[1]).getElementsByTagName("text")]
sys.exit(not any(n.data.endswith("/other") for n in names if n))' "$folder/both.svg" ||
    fail "a picture of two runs that does not name them"
expect 2 "none is no run" beaver plot "$folder/run" "$folder/none"
expect 2 "would replace what belongs to" \
    beaver plot "$folder/run" "$folder/other" --out "$folder/other/metrics.jsonl"
rm -r "$folder/other"
expect 2 "is no run" beaver plot "$folder/none"
mkdir "$folder/begun" && echo '{}' >"$folder/begun/config.json"
expect 1 "begun --resume" beaver plot "$folder/begun"
: >"$folder/run/metrics.jsonl"
expect 1 "has no losses yet" beaver plot "$folder/run"
echo '{"log_x": true, "series": [{"name": "a", "x": [1, 10], "y": [2, 3]}]}' >"$folder/figure.json"
expect 2 "would replace what is read" beaver plot "$folder/figure.json" --out "$folder/figure.json"
json 'j["points"] == 2 and j["out"].endswith("figure.svg")' beaver plot "$folder/figure.json" --json
[ -s "$folder/figure.svg" ] || fail "no picture"
for locale in C.UTF-8 en_US.utf8 de_DE.utf-8; do
    LC_ALL=$locale expect 0 "─" beaver plot "$folder/figure.json"
done
LC_ALL=C expect 0 "---" beaver plot "$folder/figure.json"
# Colours, unless somebody wants none: NO_COLOR, set and not empty.
python3 - "$folder/figure.json" ${BEAVER_EMULATOR:-} "$BEAVER" <<'PYTHON' ||
import os, pty, subprocess, sys
for value, coloured in (None, True), ("", True), ("1", False):
    outer, inner = pty.openpty()
    environment = dict(os.environ, TERM="xterm")
    environment.pop("NO_COLOR", None)
    if value is not None: environment["NO_COLOR"] = value
    subprocess.run(sys.argv[2:] + ["plot", sys.argv[1]], stderr=inner, check=True, env=environment)
    if (b"\x1b[3" in os.read(outer, 65536)) != coloured: sys.exit(repr(value))
PYTHON
    fail "NO_COLOR"
# A terminal that does not know its size has 80 columns.
python3 - "$folder/figure.json" ${BEAVER_EMULATOR:-} "$BEAVER" <<'PYTHON' ||
import os, pty, subprocess, sys
outer, inner = pty.openpty()
subprocess.run(sys.argv[2:] + ["plot", sys.argv[1]], stderr=inner, check=True,
               env=dict(os.environ, LC_ALL="C"))
sys.exit("-" * 60 not in os.read(outer, 65536).decode())
PYTHON
    fail "a terminal without a size"
finish
