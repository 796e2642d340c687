#!/usr/bin/env bash
# bench/run without peers, with a program in Beaver's place that answers at once, late, or not at
# all; and the README's table, which is what bench/run makes of the committed results.
. "$BEAVER_SOURCE/tests/support/cli.sh"
export XDG_CACHE_HOME=$folder/cache
cd "$folder" || exit 1
run() { "$BEAVER_SOURCE/bench/run" --results "$folder/results" "$@"; }
with() (export "$1" && shift && "$@") # with NAME=VALUE COMMAND...

expect 0 "Without names" run --help
expect 2 'no part is named "tran": matmul, train, nano' run tran
expect 2 "0 is not above 0" run --rounds 0 nano
expect 2 "is not above 0" run --seconds -1 nano
expect 1 "try: make build" with BEAVER=/none run nano
expect 1 "try: bench/run" run --readme

cat >fake <<'P'
#!/bin/sh
case "$* " in
*slow*) exec sleep 60 ;;
"bench limits --peak"*) echo '{"f32_gflops": 100.0}' ;;
"bench train"*) echo '{"tokens_per_s": 50.0, "share_of_limit": 0.5, "parameters": 10, "batch": 1,
    "context": 2, "threads": 2, "level": "c", "peak_gflops": 100.0, "peak_memory_bytes": 1000}' |
    tr -d '\n' ;;
"tokenizer"* | "data"* | "train"*) echo '{}' ;;
"generate"*) printf %s "$TOKEN" && [ -n "$TOKEN" ] ;;
*) echo "no answer to $*" >&2 && exit 1 ;;
esac
P
chmod +x fake
export BEAVER=$folder/fake
expect 0 "| nanoGPT's character model step, bf16, tokens/s | 100 |  | 50.0 | 50 % |  |" run nano
grep -q '"parts"' results/*.json && grep -q "50.0 ± 0 %" results/*.md || fail "no results"
TOKEN=x expect 0 "exec to the first token" run start
TOKEN='' expect 1 "start failed: beaver generate" run start
expect 1 "generate failed: beaver bench" run generate nano
expect 0 "nanoGPT's character" run nano # what had been measured is still there
grep -q '"start"' results/*.json || fail "an older part is gone"

sed -i 's/\*slow\*/bench*/' fake
"$BEAVER_SOURCE/bench/run" --results "$folder/results" nano >out 2>err &
sleep 1
kill -TERM $!
wait $!
[ $? = 143 ] || fail "an interrupted run has another exit code"
grep -q "interrupted" err && ! grep -q Traceback err || fail "interrupted: $(cat err)"

python3 - "$BEAVER_SOURCE" <<'P' || fail "README.md has another table: bench/run --readme"
import glob, json, shutil, sys
sys.path.insert(0, sys.argv[1] + "/bench")
import tables
readme = open(sys.argv[1] + "/README.md", encoding="utf-8").read()
def made(path):
    shutil.copy(sys.argv[1] + "/README.md", "README.md")
    tables.into_readme("README.md", json.load(open(path, encoding="utf-8")))
    return open("README.md", encoding="utf-8").read()
sys.exit(not any(made(p) == readme for p in glob.glob(sys.argv[1] + "/bench/results/*.json")))
P
finish
