#!/usr/bin/env bash
# What docs/cli.md says of JSON is what is printed: every member that a command prints stands in its
# section, and every member that the section's sentences on JSON name is printed by some command.
. "$BEAVER_SOURCE/tests/support/cli.sh"
cd "$folder" || exit 1
export XDG_CACHE_HOME=$folder/cache
unset BEAVER_DATA
policy=full
beaver sandbox run --policy full -- /bin/true >/dev/null 2>&1 || policy=nested
problems=$BEAVER_SOURCE/tests/arena/problems/humaneval.jsonl

# printed SECTION COMMAND...: keeps what beaver COMMAND prints for the section "## beaver SECTION".
printed() {
    local section=$1
    shift
    beaver "$@" >>"$section.json" 2>err </dev/null || fail "$*: $(cat err)"
}
# written SECTION FILE: keeps a file's JSON for it.
written() { tr '\n' ' ' <"$2" >>"$1.json" && echo >>"$1.json"; }

for i in $(seq 300); do echo "the old beaver builds dam $i of river $((i % 13))."; done >text.txt
printed doctor doctor --threads 1 --json
printed version version --json
printed tokenizer tokenizer train text.txt --vocab 300 --out tok.json --json
printed tokenizer tokenizer encode tok.json text.txt --json
echo 104 105 >numbers
printed tokenizer tokenizer decode tok.json numbers --json
printed data data prepare text.txt --out data --tokenizer tok.json --json
printed train train --data data --out run --preset tiny --set context=16 --steps 20 --json
printed train train --data data --out tuned --from run --steps 2 --json
cat run/metrics.jsonl >>train.json
written train tuned/config.json
written train run/checkpoints/latest/manifest.json
printed generate generate run --prompt the --tokens 4 --json
printed generate generate run --prompt the --tokens 4 --json --logprobs
printed eval eval run text.txt --json
printed eval eval run --logprobs the --json
printed "arena new" arena new sum --json
printed "arena new" arena check sum --policy $policy --json
printed "arena new" arena list . --json
printed "arena new" arena eval --set humaneval --data "$problems" --policy $policy \
    --samples canonical --json --out samples.jsonl
cat samples.jsonl >>"arena new.json"
printed explain explain run --time --json
printed plot plot run --json
printed plot plot run tuned --json
echo '{"series": [{"name": "a", "x": [1, 10], "y": [2, 3]}]}' >figure.json
printed plot plot figure.json --json
printed sandbox sandbox run --policy $policy --json -- /bin/sh -c 'exit 3'
printed sandbox sandbox selftest --json
printed bench bench limits --seconds 0.05 --json
printed bench bench kernels --filter small --seconds 0.001 --json
printed bench bench train --preset tiny --steps 2 --json
printed bench bench generate --preset tiny --prompt 8 --tokens 4 --sequences 2 --json
printed bench bench tokenizer text.txt --vocab 300 --seconds 0.05 --json
printed bench bench sandbox --runs 10 --policy $policy --json

python3 - "$BEAVER_SOURCE/docs/cli.md" <<'END' || fail "docs/cli.md"
import json, pathlib, re, sys

# Members whose own members have names of their own: settings, numbers k, languages, files.
OPEN = {"settings", "config", "pass_at_k", "intervals", "peers", "guard", "sha256"}
# Words that the sentences on JSON name beside members: values, flags' names, other files' parts.
WORDS = set("""true false null ok failed time wall memory pids output disk stop length compute
    generate doctor train eval explain set holds weaker missing limit apart phase forward
    backward f32 bf16 int8 c shell python steady step byte
    list serve judge load kneser_ney in-process set-fault forbidden-call sandbox-fault""".split())

def names(value, found):
    if isinstance(value, dict):
        for key, inner in value.items():
            found.add(key)
            if key not in OPEN:
                names(inner, found)
    elif isinstance(value, list):
        for inner in value:
            names(inner, found)
    return found

sections = {}
for part in pathlib.Path(sys.argv[1]).read_text().split("\n## beaver ")[1:]:
    sections[part.split("\n")[0]] = part
bad = 0
for path in sorted(pathlib.Path(".").glob("*.json")):
    section = next((s for s in sections if s.startswith(path.stem)), None)
    if section is None or path.stem in ("tok", "figure"):
        continue
    text = sections[section]
    quoted = set(re.findall(r"`([a-z][a-z0-9_-]*)`", text))
    printed = set()
    for line in path.read_text().splitlines():
        names(json.loads(line), printed)
    for name in sorted(printed - quoted):
        print(f"beaver {section}: {name} is printed, and not told")
        bad += 1
    told = set()
    for paragraph in text.split("\n\n"):
        for sentence in re.findall(r"JSON[^:]*:(.*)", paragraph, re.S):
            told |= set(re.findall(r"`([a-z][a-z0-9_-]*)`", sentence))
    for name in sorted(told - printed - WORDS):
        print(f"beaver {section}: {name} is told, and not printed")
        bad += 1
sys.exit(bad > 0)
END
finish
