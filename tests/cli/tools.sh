#!/usr/bin/env bash
# doctor, bench, explain and plot: exit codes, JSON that parses, and bad input.
set -u
beaver() { ${BEAVER_EMULATOR:-} "$BEAVER" "$@"; }
failures=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export XDG_CACHE_HOME=$folder/cache

with() (export "$1" && shift && "$@") # with NAME=VALUE COMMAND...
homeless() (unset HOME XDG_CACHE_HOME && "$@")

# expect CODE TEXT COMMAND...: the command exits with CODE and its output (both kinds) has TEXT.
expect() {
    local code=$1 text=$2
    shift 2
    "$@" >"$folder/out" 2>"$folder/err" </dev/null
    local got=$?
    if [ "$got" != "$code" ] || ! grep -qF -- "$text" "$folder/out" "$folder/err"; then
        echo "FAILED: $* : exit $got instead of $code, or no \"$text\" in:"
        cat "$folder/out" "$folder/err"
        failures=$((failures + 1))
    fi
}

# json CONDITION COMMAND...: prints one line of JSON, j, of which the Python expression is true.
json() {
    local condition=$1
    shift
    if ! "$@" >"$folder/out" 2>"$folder/err" </dev/null ||
        [ "$(wc -l <"$folder/out")" != 1 ] ||
        ! python3 -c "import json,sys; j=json.load(open(sys.argv[1])); sys.exit(not ($condition))" \
            "$folder/out"; then
        echo "FAILED: $* : not $condition in:"
        cat "$folder/out" "$folder/err"
        failures=$((failures + 1))
    fi
}

# ---- doctor ----
expect 0 "will use c (BEAVER_CPU) with 3 threads" with BEAVER_CPU=c beaver doctor --threads 3
[ ! -s "$folder/out" ] || { echo "FAILED: doctor wrote to standard output"; failures=1; }
[ -s "$XDG_CACHE_HOME/beaver/limits.json" ] || { echo "FAILED: no cache"; failures=1; }
json 'j["threads"] == 1 and j["limits"]["f32_gflops"] > 0 and j["limits"]["read_gbps"] > 0 and
    j["level"] in [l["name"] for l in j["levels"] if l["usable"]] and j["memory_total"] > 0 and
    isinstance(j["warnings"], list)' beaver doctor --json --threads 1
expect 2 "no such level" with BEAVER_CPU=sse beaver doctor
expect 2 "--threads" beaver doctor --threads many
expect 0 "cannot be remembered" homeless beaver doctor --threads 1

# ---- bench ----
expect 0 "usage: beaver bench SUBCOMMAND" beaver bench
expect 2 "try: beaver bench train" beaver bench trian
for name in limits kernels train; do
    expect 0 "usage: beaver bench $name" beaver bench $name --help
done
json '[l["threads"] for l in j["limits"]] == [1, 3] and j["limits"][1]["bf16_gflops"] > 0' \
    beaver bench limits --seconds 0.05 --threads 3 --json
expect 2 "--seconds" beaver bench limits --seconds 0
json 'len(j["kernels"]) > 30 and {k["model"] for k in j["kernels"]} == {"small"} and
    all(k["share"] > 0 and k["seconds"] > 0 and k["gbps"] > 0 for k in j["kernels"]) and
    {"attention backward", "norm", "adamw"} <= {k["kernel"] for k in j["kernels"]}' \
    beaver bench kernels --filter small --seconds 0.001 --threads 2 --json
expect 0 "768 x 128 x 128" beaver bench kernels --filter "out small 768" --seconds 0.001
json 'j["kernels"] == []' beaver bench kernels --filter nothing --json
train() { beaver bench train --preset tiny --steps 2 --threads 2 --set vocab_size=50 "$@"; }
expect 0 "tokens/s" train
json 'j["preset"] == "tiny" and j["tokens_per_s"] > 0 and j["mfu"] > 0 and j["batch"] == 8 and
    j["context"] == 32 and j["threads"] == 2 and j["dtype"] == "f32" and j["peak_memory"] > 1e6 and
    abs(j["ms_per_step"] * j["tokens_per_s"] / 1e3 - 8 * 32) < 1e-6' train --json
json 'j["batch"] == 3 and j["context"] == 16 and j["dtype"] == "bf16" and j["micro_batch"] == 2' \
    train --json --batch 3 --context 16 --dtype bf16 --set micro_batch=2 --set optimizer=muon
json 'j["batch"] == 12' beaver bench train --preset nanogpt-char-cpu --steps 1 --json \
    --set layers=1 --set width=16
expect 2 "--preset" beaver bench train
expect 2 "try: gpt2" beaver bench train --preset gpt-2
expect 2 "not KEY=VALUE" train --set layers
expect 2 'no setting is named "layer"' train --set layer=3
expect 2 'dtype cannot be "f16"' train --dtype f16
expect 2 "must be even" train --dtype bf16 --context 15
expect 2 "--batch" train --batch 0
expect 1 "are available" beaver bench train --preset gpt3-175b

# ---- explain ----
expect 0 "h.0..11.attn.c_attn.weight" beaver explain gpt2
expect 0 "[2304, 768]" beaver explain gpt2
expect 0 "assuming 30% of this machine's measured bf16 peak" beaver explain gpt2 --share 0.3
expect 0 "MORE than" beaver explain gpt3-175b
json 'j["parameter_count"] == 124439808 and len(j["parameters"]) == 148 and
    {"name": "ln_f.weight", "shape": [768], "kind": "vector", "init": "ones"} in j["parameters"]
    and j["tokens"] == 20000 * 512 * 1024 and j["memory"]["optimizer"] == 8 * 124439808 and
    j["kv_bytes_per_token"] == 2 * 2 * 12 * 768 and 2.4e8 < j["weight_bytes_per_token"] < 2.6e8 and
    abs(j["seconds"] * j["peak_gflops"] * 1e9 * 0.5 / j["training_flops"] - 1) < 1e-9 and
    j["settings"]["vocab_size"] == 50257' beaver explain gpt2 --json
json 'j["settings"]["layers"] == 3 and j["settings"]["vocab_size"] == 100 and
    sum(__import__("math").prod(p["shape"]) for p in j["parameters"]) == j["parameter_count"]' \
    beaver explain demo --set layers=3 --vocab 100 --json
echo '{"layers": 2, "width": 64, "heads": 2}' >"$folder/config.json"
json 'j["settings"]["layers"] == 2' beaver explain "$folder/config.json" --json
json 'j["settings"]["width"] == 64' beaver explain "$folder" --json
printf '{"layers": 2,\n "widht": 64}' >"$folder/typo.json"
expect 2 "typo.json:2" beaver explain "$folder/typo.json"
expect 2 "try: width" beaver explain "$folder/typo.json"
echo '{"layers": ' >"$folder/half.json"
expect 1 "half.json" beaver explain "$folder/half.json"
expect 1 "absent.json" beaver explain "$folder/absent.json"
expect 2 'no preset is named "gpt5"' beaver explain gpt5
expect 1 "is no run" beaver explain "$XDG_CACHE_HOME"
expect 2 "not a multiple of heads" beaver explain tiny --set width=33
expect 2 "--share" beaver explain tiny --share 2
expect 2 "WHAT" beaver explain

# ---- plot ----
mkdir "$folder/run"
for i in $(seq 1 300); do
    echo "{\"step\": $i, \"loss\": $((600 - i)).5, \"grad_norm\": 1.1, \"lr\": 0.001}"
    [ $((i % 100)) != 0 ] || echo "{\"step\": $i, \"val_loss\": $((620 - i))}"
done >"$folder/run/metrics.jsonl"
expect 0 "training (mean)" with LC_ALL=C beaver plot "$folder/run"
if LC_ALL=C grep -q '[^ -~]' "$folder/err"; then
    echo "FAILED: plot wrote more than ASCII to a terminal without Unicode"
    failures=1
fi
grep -q "</svg>" "$folder/run/loss.svg" || { echo "FAILED: no loss.svg"; failures=1; }
expect 0 "●" with LC_ALL=C.UTF-8 beaver plot "$folder/run" --out "$folder/other.svg"
cmp -s "$folder/run/loss.svg" "$folder/other.svg" || { echo "FAILED: pictures differ"; failures=1; }
json 'j["loss_points"] == 300 and j["val_loss"] == 320 and j["loss"] == 300.5' \
    beaver plot "$folder/run" --json
expect 1 "no such folder" beaver plot "$folder/nowhere"
expect 1 "metrics.jsonl" beaver plot "$folder"
expect 2 "RUN" beaver plot
expect 1 "absent" beaver plot "$folder/run" --out "$folder/absent/loss.svg"
echo '{"step": 301, "loss": oops}' >>"$folder/run/metrics.jsonl"
expect 1 "metrics.jsonl:304" beaver plot "$folder/run"

exit $((failures > 0))
