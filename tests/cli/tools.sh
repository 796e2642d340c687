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

exit $((failures > 0))
