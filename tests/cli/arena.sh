#!/usr/bin/env bash
# arena new, check, list and eval: exit codes, JSON that parses, resuming, and bad input.
. "$BEAVER_SOURCE/tests/support/cli.sh"
export XDG_CACHE_HOME=$folder/cache
unset BEAVER_DATA
problems=$BEAVER_SOURCE/tests/arena/problems
policy=full
beaver sandbox run --policy full -- /bin/true >/dev/null 2>&1 || policy=nested

# ---- limits of a box ----
boxed() { beaver sandbox run --policy $policy "$@" -- /bin/true; }
expect 0 '"verdict": "ok"' boxed --cpu 1 --wall 1.5s --memory 64MiB --output 10kB --files 1M
expect 2 '--cpu: "2x" is no quantity' boxed --cpu 2x
expect 2 "--memory must be more than 0" boxed --memory 0
expect 2 '--files: "2000T" is too much' boxed --files 2000T
echo echo >"$folder/own.sh"
expect 2 "would replace what is read" beaver sandbox run --policy $policy --place "$folder/own.sh" \
    --verdict "$folder/own.sh" -- /bin/true
json 'j["verdict"] == "failed" and j["exit_code"] == 3 and j["output"] == "a\ufffdb\n" and
    j["error"] == "\u00fc"' \
    beaver sandbox run --policy $policy --json -- \
    /bin/sh -c 'printf "a\377b\n"; printf ü >&2; exit 3'

# ---- flags that say nothing alone ----
expect 2 "--pause says nothing without --flood" beaver arena load http://127.0.0.1:1 --pause 5
expect 2 "--attack-share says nothing without --attacks" \
    beaver arena load http://127.0.0.1:1 --attack-share 0.5
expect 2 "--policy says nothing without --attacks" \
    beaver arena load http://127.0.0.1:1 --policy nested
expect 2 "try: --submissions 2" \
    beaver arena load http://127.0.0.1:1 --flood 1 --submissions 1 --levels "$BEAVER_SOURCE/levels"
expect 1 "absent.db cannot be reached" beaver arena load http://127.0.0.1:1 \
    --store "$folder/absent.db" --levels "$BEAVER_SOURCE/levels"
[ -e "$folder/absent.db" ] && fail "a load made a store"
expect 2 "there is no policy" \
    beaver arena serve "$BEAVER_SOURCE/levels" --judges 0 --policy none --host no.such.invalid

# ---- levels ----
expect 0 "beaver arena check" beaver arena new "$folder/sum"
json 'j["path"].endswith("/other")' beaver arena new "$folder/other" --json
rm -r "$folder/other"
expect 2 "exists" beaver arena new "$folder/sum"
mkfifo "$folder/pipe"
expect 2 "exists" beaver arena new "$folder/pipe"
[ -p "$folder/pipe" ] || fail "a new level took a pipe's place"
expect 1 "is no name of a level" beaver arena new "$folder/Not a name"
json 'j["good"] and j["levels"][0]["hidden"] == 10 and
    [s["verdict"] for s in j["levels"][0]["solutions"]] == ["accepted", "wrong-answer"]' \
    beaver arena check "$folder/sum" --policy $policy --json
json 'j["levels"][0]["name"] == "sum" and j["levels"][0]["points"] == 10 and
    "c" in j["levels"][0]["languages"] and j["levels"][0]["deadline"] is None' \
    beaver arena list "$folder" --json

# A language of one's own: a file that describes it.
mkdir "$folder/languages"
cat >"$folder/languages/awk.json" <<'END'
{"name": "awk", "title": "AWK", "source": "main.awk", "run": ["/usr/bin/awk", "-f", "main.awk"],
 "run_binds": ["/usr/bin", "/usr/lib", "/usr/lib64?", "/bin?", "/lib?", "/lib64?",
               "/etc/alternatives?", "/etc/ld.so.cache?"]}
END
echo '{ for (i = 1; i <= NF; i++) sum += $i } END { print sum }' >"$folder/sum/reference/more.awk"
expect 1 "is in no language of the arena" beaver arena check "$folder/sum" --policy $policy
json '"awk" in j["levels"][0]["languages"]' \
    beaver arena list "$folder" --languages "$folder/languages" --json
expect 1 "cannot list" beaver arena list "$folder" --languages "$folder/absent"
mkdir "$folder/none"
expect 1 "has no description of a language" beaver arena list "$folder" --languages "$folder/none"
sed 's/"awk"/"c"/' "$folder/languages/awk.json" >"$folder/none/c.json"
expect 1 'there is a language "c" already' beaver arena list "$folder" --languages "$folder/none"
json 'j["good"] and any(s["name"].endswith("more.awk") and s["verdict"] == "accepted"
                        for s in j["levels"][0]["solutions"])' \
    beaver arena check "$folder/sum" --policy $policy --languages "$folder/languages" --json
rm "$folder/sum/reference/more.awk"
rm -r "$folder/languages" "$folder/none"

# What an author's mistakes look like: why a program failed stands there.
mkdir "$folder/void"
expect 1 "try: beaver arena new DIR" beaver arena check "$folder/void"
rmdir "$folder/void"
cp "$folder/sum/reference/sum.py" "$folder/right.py"
echo '1 / 0' >"$folder/sum/reference/sum.py"
expect 1 "ZeroDivisionError" beaver arena check "$folder/sum" --policy $policy
cp "$folder/right.py" "$folder/sum/reference/sum.py"
echo '1 / 0' >"$folder/sum/wrong/fails.py"
expect 0 "it wrote: ZeroDivisionError: division by zero" \
    beaver arena check "$folder/sum" --policy $policy
rm "$folder/sum/wrong/fails.py" "$folder/right.py"

cp "$folder/sum/reference/sum.py" "$folder/sum/wrong/right.py"
expect 1 "BAD wrong/right.py" beaver arena check "$folder/sum" --policy $policy
expect 1 "one of wrong/ passes" beaver arena check "$folder/sum" --policy $policy
mkdir "$folder/empty"
expect 1 "has no levels" beaver arena list "$folder/empty"
expect 2 "there is no policy" beaver arena check "$folder/sum" --policy none
sed -i 's/"points"/"pionts"/' "$folder/sum/level.json"
expect 1 'try: "points"' beaver arena check "$folder/sum" --policy $policy
expect 1 'try: "points"' beaver arena list "$folder"
[ "$(beaver arena list "$BEAVER_SOURCE/levels" | wc -l)" = 10 ] || fail "not ten levels"

# ---- evaluation of samples ----
eval_tiny() {
    beaver arena eval --set humaneval --data "$problems/humaneval.jsonl" --policy $policy "$@"
}
json 'j["passed"] == 3 and j["total"] == 3 and j["pass_at_k"] == {"1": 1.0} and
    j["intervals"]["1"] == [1.0, 1.0] and not j["forgeable"] and j["way"] == "apart"' \
    eval_tiny --samples canonical --json
grep -q "(0 known before" "$folder/err" || fail "the cache was not empty"
expect 0 "(3 known before" eval_tiny --samples canonical
expect 0 "(0 known before" eval_tiny --samples canonical --fresh
expect 0 "FORGEABLE" eval_tiny --samples canonical --in-process
json 'j["passed"] == 3 and j["forgeable"]' eval_tiny --samples canonical --in-process --json
json 'j["set"] == "mbpp" and j["passed"] == 2 and j["total"] == 2' \
    beaver arena eval --set mbpp --data "$problems/mbpp.jsonl" --samples canonical --json \
    --policy $policy
python3 - "$folder/samples.jsonl" <<'END'
import json, sys
right = ["    return 2 * x\n", "    return ''.join(chr(ord(c) - 1) for c in s)\n", "    return 0\n"]
with open(sys.argv[1], "w") as out:
    for number, text in enumerate(right):
        for wrong in range(4):
            completion = text if wrong == 0 else "    return []\n\ndef more():\n    pass\n"
            print(json.dumps({"task_id": f"Tiny/{number}", "completion": completion}), file=out)
END
# Two problems with 1 of 4, one with 0: pass@1 is 1/6, pass@4 is 2/3.
json 'abs(j["pass_at_k"]["1"] - 1/6) < 1e-12 and abs(j["pass_at_k"]["4"] - 2/3) < 1e-12 and
    j["passed"] == 2 and j["total"] == 12 and j["problems"][2]["passed"] == 0 and
    j["problems"][0]["verdict"] == "failed"' \
    eval_tiny --samples "$folder/samples.jsonl" -k 1,4 --out "$folder/results.jsonl" --json
[ "$(grep -c '"passed": true' "$folder/results.jsonl")" = 2 ] || fail "--out"
[ "$(grep -c '"reward": 1.0' "$folder/results.jsonl")" = 2 ] || fail "rewards"
json 'j["passed"] == 2' eval_tiny --samples "$folder/samples.jsonl" --truncate --json
expect 2 "try: a file with 5 samples" eval_tiny --samples "$folder/samples.jsonl" -k 5 --fresh
grep -q "judged" "$folder/err" && fail "judged before -k was looked at"
head -4 "$folder/samples.jsonl" >"$folder/few.jsonl"
json 'j["problem_count"] == 1 and j["without_samples"] == 2' \
    eval_tiny --samples "$folder/few.jsonl" --json
grep -q "2 problems of the set have no sample" "$folder/err" || fail "problems without samples"
expect 1 "cannot write" eval_tiny --samples canonical --fresh --out "$folder/absent/out.jsonl"
grep -q "judged" "$folder/err" && fail "judged before --out was looked at"
expect 2 "would replace what is read" eval_tiny --samples "$folder/samples.jsonl" \
    --out "$folder/samples.jsonl"
expect 1 "is a folder" eval_tiny --samples canonical --out "$folder"
expect 2 "one of --model, --endpoint and --samples" eval_tiny
expect 2 "is not a whole number" eval_tiny --samples canonical -k one
expect 2 "-n is for samples that are written" eval_tiny --samples canonical -n 3
expect 2 "--top-p is for samples that are written" eval_tiny --samples canonical --top-p 0.9
expect 2 "--cpu: not a time" eval_tiny --samples canonical --cpu 5x
expect 2 "contradict" eval_tiny --samples canonical --fresh --cache "$folder"
expect 1 "cannot open" eval_tiny --samples "$folder/absent.jsonl"
{ cat "$folder/few.jsonl" && echo '{"task_id": "Tiny/0"'; } >"$folder/torn.jsonl"
expect 1 "torn.jsonl:5:" eval_tiny --samples "$folder/torn.jsonl"
echo '{"task_id": "Tiny/0", "solution": "x"}' >"$folder/torn.jsonl"
expect 1 'try: {"task_id": "Tiny/0", "completion": "..."} on each line' \
    eval_tiny --samples "$folder/torn.jsonl"
echo '[]' >"$folder/torn.jsonl"
expect 1 "it is no object" eval_tiny --samples "$folder/torn.jsonl"
sed 's/$/\r/' "$folder/few.jsonl" >"$folder/windows.jsonl"
expect 0 "1 of 4 samples of 1 problems pass" eval_tiny --samples "$folder/windows.jsonl"
expect 2 "try: humaneval" beaver arena eval --set humanval --samples canonical --data "$folder"
expect 2 "Neither --data nor BEAVER_DATA" beaver arena eval --set mbpp --samples canonical
expect 1 "has no mbpp.jsonl" beaver arena eval --set mbpp --samples canonical --data "$folder"

# ---- evaluation of a model ----
for i in $(seq 200); do echo "def f$i(x):"; echo "    return x * $i"; done >"$folder/code.txt"
beaver data prepare "$folder/code.txt" --out "$folder/data" --tokenizer byte 2>"$folder/err" &&
    beaver train --data "$folder/data" --out "$folder/run" --steps 3 --set context=256 \
        --set layers=1 --set heads=2 --set width=16 --set batch=2 --set warmup=1 \
        2>"$folder/err" || cat "$folder/err"
eval_run() { eval_tiny --model "$folder/run" -n 3 --tokens 20 "$@"; }
json 'j["total"] == 9 and set(j["pass_at_k"]) == {"1", "3"}' \
    eval_run -k 1,3 --json --out "$folder/first.jsonl"
expect 0 "(9 known before" eval_run --out "$folder/again.jsonl"
expect 0 "(0 known before" eval_run --out "$folder/fresh.jsonl" --fresh --threads 1
expect 0 "samples of 3 problems" eval_run --out "$folder/other.jsonl" --seed 1
# A sample is the same whatever n is, and those that are known are not written again.
grow() { eval_tiny --model "$folder/run" --tokens 20 --seed 2 -n "$@"; }
expect 0 "6 samples of 3 problems" grow 2
expect 0 "9 samples of 3 problems" grow 3 --out "$folder/grown.jsonl"
expect 0 "9 samples of 3 problems" grow 3 --out "$folder/whole.jsonl" --fresh
cmp -s "$folder/grown.jsonl" "$folder/whole.jsonl" || fail "n changes a sample"
for name in again fresh; do
    cmp -s "$folder/first.jsonl" "$folder/$name.jsonl" || fail "$name.jsonl differs"
done
cmp -s "$folder/first.jsonl" "$folder/other.jsonl" && fail "another seed wrote the same"
# The same weights under other settings are another model; a run whose link is lost is the same one.
cp -r "$folder/run" "$folder/twin"
sed -i 's/"activation": "gelu"/"activation": "relu2"/' "$folder/twin/config.json"
grep -q relu2 "$folder/twin/config.json" || fail "the twin has the same settings"
eval_twin() { eval_tiny --model "$folder/twin" -n 3 --tokens 20 "$@"; }
expect 0 "samples of 3 problems" eval_twin --out "$folder/twin.jsonl"
expect 0 "samples of 3 problems" eval_twin --out "$folder/twin_fresh.jsonl" --fresh
cmp -s "$folder/twin.jsonl" "$folder/twin_fresh.jsonl" || fail "another model's samples were taken"
rm "$folder/run/checkpoints/latest"
expect 0 "(9 known before" eval_run --out "$folder/unlinked.jsonl"
cmp -s "$folder/first.jsonl" "$folder/unlinked.jsonl" || fail "unlinked.jsonl differs"
expect 2 "absent" eval_tiny --model "$folder/absent"

# ---- evaluation of a model behind an endpoint ----
python3 "$BEAVER_SOURCE/tests/cli/fake_endpoint.py" "$folder/samples.jsonl" \
    "$problems/humaneval.jsonl" "$folder/asked" >"$folder/port" &
endpoint=$!
for _ in $(seq 100); do [ -s "$folder/port" ] && break; sleep 0.1; done
place=http://127.0.0.1:$(cat "$folder/port")
eval_endpoint() { OPENAI_API_KEY=secret eval_tiny --endpoint "$place" "$@"; }
asked() { cut -d " " -f "$1" "$folder/asked"; }
# The server gives at most two choices an answer: it is asked again. A larger -n only asks for what
# is missing, a smaller one for nothing.
json 'j["total"] == 9' eval_endpoint -n 3 --json
[ "$(asked 1 | paste -sd " ")" = "3 1 3 1 3 1" ] || fail "what was asked for: $(asked 1)"
json 'j["passed"] == 2 and j["total"] == 12 and abs(j["pass_at_k"]["1"] - 1/6) < 1e-12' \
    eval_endpoint -n 4 --json
[ "$(asked 1 | paste -sd " ")" = "3 1 3 1 3 1 1 1 1" ] || fail "what was asked for: $(asked 1)"
[ "$(asked 2 | sort -u | wc -l)" = 9 ] || fail "two calls had one seed"
expect 0 "(12 known before" eval_endpoint -n 4
json 'j["total"] == 6' eval_endpoint -n 2 --json
place=$place/v1/ json 'j["total"] == 6' eval_endpoint -n 2 --json
[ "$(wc -l <"$folder/asked")" = 9 ] || fail "what was known was asked for"
json 'j["passed"] == 0 and j["total"] == 3' eval_endpoint --model huge --json
expect 1 "no such model" eval_endpoint --model other --fresh
expect 2 "pass@5 needs so many samples" eval_endpoint -n 4 -k 5 --fresh
# What cannot be judged is refused before anything is asked for.
count=$(wc -l <"$folder/asked")
expect 2 "there is no policy" env OPENAI_API_KEY=secret "$BEAVER" arena eval --set humaneval \
    --data "$problems/humaneval.jsonl" --fresh --endpoint "$place" --policy none
without='echo 0 >/proc/sys/user/max_net_namespaces'
if unshare -Ur sh -c "$without" 2>/dev/null; then
    expect 2 "needs a wall that this machine lacks" unshare -Ur sh -c "$without"' && exec "$@"' sh \
        env OPENAI_API_KEY=secret "$BEAVER" arena eval --set humaneval \
        --data "$problems/humaneval.jsonl" --fresh --endpoint "$place" --policy full
fi
[ "$(wc -l <"$folder/asked")" = "$count" ] || fail "asked for what cannot be judged"
expect 1 "try: the key in the variable OPENAI_API_KEY" \
    eval_tiny --endpoint "$place/v1" --fresh
expect 2 "http" eval_tiny --endpoint "https://127.0.0.1/v1"
expect 1 "a name that is no UTF-8" eval_endpoint --model $'\xff' --fresh
OPENAI_API_KEY=secret timeout -s TERM 2 "$BEAVER" arena eval --set humaneval --policy $policy \
    --data "$problems/humaneval.jsonl" --model slow --fresh \
    --endpoint "$place" 2>"$folder/err" &
slow=$!
for _ in $(seq 100); do kill -0 $slow 2>/dev/null || break; sleep 0.1; done
kill -0 $slow 2>/dev/null && fail "an interruption waits for a slow server" && kill -9 $slow
kill $endpoint
wait $endpoint 2>/dev/null
expect 1 "asking http://127.0.0.1" eval_endpoint --fresh
finish
