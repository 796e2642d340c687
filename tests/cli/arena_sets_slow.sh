#!/usr/bin/env bash
# The canonical solutions of HumanEval and MBPP, in both ways, twice: needs the sets in BEAVER_DATA.
. "$BEAVER_SOURCE/tests/support/cli.sh"
[ -n "${BEAVER_DATA:-}" ] || exit 77
policy=full
beaver sandbox run --policy full -- /bin/true >/dev/null 2>&1 || policy=nested
canonical() {
    beaver arena eval --samples canonical --fresh --policy $policy --json --set "$@"
}
json 'j["passed"] == 164 and j["total"] == 164 and j["pass_at_k"]["1"] == 1' canonical humaneval
json 'j["passed"] == 164 and j["total"] == 164' canonical humaneval --in-process
# Three solutions bring classes of which the tests make objects: these stay in the candidate's box.
missing='["MBPP/367", "MBPP/601", "MBPP/927"]'
json "j['passed'] == 971 and j['total'] == 974 and
    [p['task_id'] for p in j['problems'] if not p['passed']] == $missing" canonical mbpp
json 'j["passed"] == 974' canonical mbpp --in-process
# Equal on repetition, one sample after another.
canonical humaneval --out "$folder/a.jsonl" >/dev/null 2>&1 || fail "first"
canonical humaneval --out "$folder/b.jsonl" --threads 1 >/dev/null 2>&1 || fail "second"
cmp -s "$folder/a.jsonl" "$folder/b.jsonl" || fail "two evaluations differ"
finish
