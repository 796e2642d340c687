#!/usr/bin/env bash
# From text to a model and back, as a user would: prepare, train, resume, generate, eval; and what
# the program says when something is wrong.
. "$BEAVER_SOURCE/tests/support/cli.sh"
cd "$folder" || exit 1

# value KEY: of the one line of JSON on standard input.
value() { python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"; }

python3 - >text.txt <<'P'
beasts, things = "beaver otter heron badger marten".split(), "dam nest burrow lodge raft".split()
for i in range(400):
    print(f"the old {beasts[i % 5]} builds {things[i * 7 % 11 % 5]} {i % 17} of river {i % 13}.")
P
tiny=(--preset tiny --set layers=1 --set width=16 --set context=16 --set batch=4
    --set warmup=2 --set eval_every=10 --set checkpoint_every=10)

# ---- preparing ----
prepare() { beaver data prepare "$@"; }
expect 0 '"vocab_size": 300' prepare text.txt --out data --vocab 300 --json
expect 0 "" prepare text.txt --out chars --tokenizer char
expect 2 "one of --tokenizer and --vocab" prepare text.txt --out x
expect 2 "exclude each other" prepare text.txt --out x --tokenizer byte --vocab 300
expect 2 "takes no --vocab" beaver tokenizer train text.txt --kind char --vocab 300 --out x
expect 2 "takes no --pattern" beaver tokenizer train text.txt --kind char --pattern gpt2 --out x
expect 1 "No such file" prepare missing.txt --out x --tokenizer byte
: >empty.txt
expect 1 "there is no text" prepare empty.txt --out x --tokenizer byte
head -c 1000 /dev/zero >binary.bin
expect 1 "is not text" prepare binary.bin --out x --tokenizer byte
printf '\n\n\n' >blank.txt
expect 1 "no text but separators" prepare blank.txt --out x --tokenizer byte --separator '\n'
expect 2 "--separator TEXT is empty" prepare text.txt --out x --tokenizer byte --separator ''
seq 20000 >lines.txt # as many documents: their characters are gathered once
expect 0 '"vocab_size": 10' timeout 30 ${BEAVER_EMULATOR:-} "$BEAVER" data prepare lines.txt \
    --out numbered --tokenizer char --separator '\n' --val-fraction 0 --json
mkfifo fifo
expect 1 "is a pipe or a device" timeout 10 ${BEAVER_EMULATOR:-} "$BEAVER" data prepare fifo \
    --out x --tokenizer byte
expect 2 "fifo exists" prepare text.txt --out fifo --tokenizer byte
expect 2 "fifo exists" beaver train --data chars --out fifo --steps 1
mkdir -p texts/inner && cp text.txt texts/inner/ && ln -s .. texts/inner/back
expect 1 "texts/inner/back is a link back to texts" prepare texts --out x --tokenizer byte
grep -q "try: remove the link" err || fail "no remedy for a link that leads back"
rm texts/inner/back && mkdir texts/outer
ln -s texts/inner other && ln -s ../inner texts/outer/in # links elsewhere are read
expect 0 '"documents": 1' prepare texts --out twice --tokenizer byte --json
expect 0 "" prepare other --out linked --tokenizer byte
deep=texts/$(printf 'd/%.0s' {1..70})
mkdir -p "$deep"
expect 1 "more than 64 deep" prepare texts --out x --tokenizer byte
rm -r texts
printf 'fine \377 not' >invalid.txt
expect 1 "no UTF-8" prepare invalid.txt --out x --tokenizer char
expect 1 "invalid.txt is no UTF-8: byte 5" prepare invalid.txt --out x --tokenizer byte
expect 1 "try: iconv -f" prepare text.txt invalid.txt --out x --vocab 300
expect 1 "is no UTF-8" beaver tokenizer train invalid.txt --vocab 300 --out x
head -c 100 text.txt >short.txt
iconv -f UTF-8 -t UTF-16 text.txt >wide.txt
expect 1 "try: iconv -f UTF-16 -t UTF-8 wide.txt" prepare wide.txt --out x --tokenizer byte
printf '%%PDF-1.4\n%%\342\343\n' >book.pdf
expect 1 "try: pdftotext book.pdf" prepare text.txt book.pdf --out x --tokenizer byte
printf '\211PNG\r\n\032\n\0\0' >picture.png # no Latin-1 either
expect 1 "picture.png is not text: byte 8 is NUL" prepare picture.png --out x --tokenizer byte
expect 0 "stands nowhere in the text" prepare text.txt --out nocut --tokenizer byte \
    --separator '<|endoftext|>'
sed 's/$/\r/' text.txt >windows.txt
expect 0 'try: \r\n for each \n' prepare windows.txt --out nocut2 --tokenizer byte \
    --separator '\n\n'
expect 0 '"documents": 354' prepare windows.txt --out cut --tokenizer byte --separator '\r\n' --json
! grep -q "stands nowhere" err || fail "a separator that stands there is said not to"
expect 0 "the text has pairs for" prepare short.txt --out few --vocab 5000
expect 2 "exists" prepare text.txt --out data --tokenizer byte
expect 2 "data exists" prepare invalid.txt --out data --vocab 300 # before the text is read
(
    mkdir here && cd here || exit 1
    for out in . ./ ../here/.; do
        expect 2 "$out cannot be replaced" prepare ../text.txt --out $out --tokenizer byte
        expect 2 "$out cannot be replaced" beaver train --data ../chars --out $out --steps 1
    done
    exit $failures
) || fail "a folder without a name of its own"
[ -z "$(ls -A here)" ] || fail "left in the current folder: $(ls -A here)"
# The name under which a folder is made: what was left there goes, what is somebody's stays.
mkdir precious.partial left.partial
touch precious.partial/file left.partial/.lock left.partial/shard
expect 2 "precious.partial is in the way" prepare text.txt --out precious --tokenizer byte
expect 2 "precious.partial is in the way" beaver train --data chars --out precious --steps 1
[ -e precious.partial/file ] || fail "somebody's folder was cleared"
expect 0 "" prepare text.txt --out left --tokenizer byte
[ ! -e left.partial ] || fail "what was left stays"
[ ! -e x ] || fail "a failed prepare left something"
expect 0 "" prepare text.txt --out slashes// --tokenizer byte
cp text.txt own.txt
own=$(sha256sum own.txt)
for out in own.txt ./own.txt; do
    expect 2 "$out would replace what is read, own.txt" beaver tokenizer train own.txt \
        --vocab 300 --out $out
done
ln own.txt own2.txt
expect 2 "would replace what is read" beaver tokenizer import own2.txt --out own.txt
[ "$own" = "$(sha256sum own.txt)" ] || fail "a text was replaced by its tokenizer"
rm own.txt own2.txt
expect 0 "to validate" prepare text.txt short.txt --out unequal --tokenizer byte
grep -q "validation has 0.599 %" err || fail "not told that validation has less than asked for"
expect 0 '"bytes": 100' prepare short.txt text.txt --out unequal2 --tokenizer byte --json

# ---- stopped: by the signal itself, and nothing is left ----
# stop WORDS...: SIGTERM as soon as it has said something
stop() {
    rm -f out err
    ${BEAVER_EMULATOR:-} "$BEAVER" "$@" >out 2>err &
    local pid=$!
    until [ -s err ]; do sleep 0.01; done
    kill -TERM $pid
    wait $pid 2>/dev/null
    [ $? = 143 ] || fail "$* was not ended by SIGTERM: $(cat out err)"
    [ ! -s out ] || fail "$* wrote half a result: $(cat out)"
    [ -z "$(find . -name 'stopped*')" ] || fail "$* left $(find . -name 'stopped*')"
}
python3 -c "import random
random.seed(1)
for i in range(600000): print(''.join(random.choices('abcdefghij', k=7)), end=' ')" >long.txt
stop data prepare long.txt --out stopped --vocab 20000
stop tokenizer train long.txt --out stopped.json --vocab 20000
rm long.txt

# ---- too long a text for counted n-grams: the shard is a hole, which nothing may read ----
cp -r chars long && long=$(((1 << 28) + 1))
shard=$(python3 - $long <<'P'
import json, sys
m, n = json.load(open("long/manifest.json")), int(sys.argv[1])
shard = m["splits"]["train"]["shards"][0]
m["splits"]["train"]["tokens"], shard["bytes"] = n, n * m["token_bytes"]
json.dump(m, open("long/manifest.json", "w"))
print(shard["name"])
P
)
truncate -s $((2 * long)) "long/$shard"
expect 2 "n-grams are counted of at most 268435456 tokens, not $long" beaver train --data long \
    --out x "${tiny[@]}" --set kneser_ney=3 --set tied=false
[ ! -e x ] || fail "a text too long for n-grams left something"
rm -r long

# ---- tokenizers ----
expect 0 '"kind": "bpe"' beaver tokenizer train text.txt --vocab 300 --out tok.json --json
expect 0 '"vocab_size": 300' beaver tokenizer info tok.json --json
beaver tokenizer encode tok.json text.txt | beaver tokenizer decode tok.json >back.txt
cmp text.txt back.txt || fail "decode(encode(text)) is not the text"
head -c 3000 /dev/urandom >random.bin
beaver tokenizer encode tok.json random.bin | beaver tokenizer decode tok.json >back.bin
cmp random.bin back.bin || fail "decode(encode(bytes)) are not the bytes"
echo 300 >numbers
expect 1 "not below the vocabulary" beaver tokenizer decode tok.json numbers
printf '104\0 105' >numbers
expect 1 "byte 3 is NUL" beaver tokenizer decode tok.json numbers
[ ! -s out ] || fail "half of the numbers were decoded"
for bad in 99999999999 -1 +1 1.5 1x; do
    echo "104 $bad 105" >numbers
    expect 1 "\"$bad\" is no token number" beaver tokenizer decode tok.json numbers
done
expect 1 "not JSON" beaver tokenizer info text.txt
echo '{"version": "1.0", "model": {"type": "BPE"}}' >others.json # of Hugging Face's tokenizers
for file in others.json text.txt; do
    expect 1 "beaver tokenizer import $file" prepare text.txt --out x --tokenizer $file
done

# ---- training ----
expect 2 "--out RUN is missing" beaver train --data data
expect 2 "try: beaver data prepare TEXT --out DIR" beaver train --out nowhere
expect 2 "reading --keep" beaver train --data data --out run --keep 0
expect 2 "reading --eval-every" beaver train --data data --out run --eval-every -1
json 'j["settings"]["rope_base"] == 10000' beaver explain tiny --json
grep -q 'rope_base=10000.0' err || fail "10000 as people do not write it: $(grep rope_base err)"
expect 0 "training    1 step of" beaver explain tiny --steps 1
expect 0 '"layers": 7' beaver explain tiny --layers 7 --eval-every 3 --json
grep -q '"eval_every": 3' out || fail "--eval-every is no setting"
expect 2 "try: --preset" beaver train --data data --out run --presett tiny
expect 2 "no preset is named" beaver train --data data --out run --preset tinny
expect 2 'try: lr' beaver train --data data --out run --set lrr=1
# What other trainers call it.
expect 2 'try: lr' beaver train --data data --out run --set learning_rate=1
expect 2 'try: context' beaver train --data data --out run --set block_size=64
expect 2 'try: --batch' beaver train --data data --out run --batch-size 3
expect 2 'try: --out' beaver train --data data --out_dir run
expect 2 'try: --tokens' beaver generate run --max_new_tokens 3
expect 2 'try: --temperature' beaver generate run --temp 1
expect 2 'try: --prompt' beaver generate run -p x
expect 2 'try: beaver generate --help' beaver generate run -t x
expect 2 'try: --vocab' prepare text.txt --out x --vocab-size 300
expect 2 'try: --eval-every' beaver train --data data --out run --eval_interval=3
expect 0 "learning rate at its peak (default: 0.001)" beaver train --help
expect 2 "is not a multiple" beaver train --data data --out run --set width=130 --set heads=4
printf '{\n  "layers": 2,\n  "laiers": 3\n}\n' >config.json
expect 2 "config.json:3" beaver train --data data --out run --config config.json
expect 2 'try: layers' beaver train --data data --out run --config config.json
printf '{\n  "layers": 2,\n\n  "xyzzy": 3\n}\n' >config.json
expect 2 "config.json:4" beaver train --data data --out run --config config.json
expect 2 "try: beaver train --help" beaver train --data data --out run --config config.json
echo '{"settings": {"layers": 2}}' >config.json
expect 2 'no setting is named "settings"' beaver train --data data --out run --config config.json
echo '{"settings": 5}' >config.json
expect 2 'no setting is named "settings"' beaver train --data data --out run --config config.json
expect 2 "must be less than 1" beaver train --data data --out run --beta2 1
expect 2 "--out RUN is empty" beaver train --data data --out ""
expect 2 "steps: 0 is not between" beaver train --data data --out run --steps 0
expect 1 "of memory" beaver train --data data --out run --preset gpt3-175b --set context=8
large=(--data data --set layers=8 --set width=256 --keep 1000000)
expect 1 "1000003 checkpoints of" \
    beaver train "${large[@]}" --out run --steps 2000000 --checkpoint-every 2
expect 0 '"step": 20' beaver train "${tiny[@]}" --width 256 --data data --out keeps-all \
    --keep 1000000 --steps 20 --json # which are few
expect 1 "a context of 99999 needs" beaver train --data data --out run --set context=99999
expect 1 "nothing is no data: it has no manifest.json" beaver train --data nothing --out run
expect 1 "try: beaver data prepare TEXT --out nothing" beaver train --data nothing --out run
expect 1 "try: beaver data prepare text.txt --out DIR" beaver train --data text.txt --out run
[ ! -e run ] || fail "a failed train left something"
expect 0 '"step": 20' beaver train --data data --out run "${tiny[@]}" --steps 20 --json
for file in config.json metrics.jsonl tokenizer.json checkpoints/latest/model.safetensors \
    checkpoints/latest/optimizer.safetensors checkpoints/latest/manifest.json; do
    [ -s "run/$file" ] || fail "run/$file is missing"
done
expect 2 "is a run already" beaver train --data data --out run "${tiny[@]}"
expect 0 "is finished" beaver train --out run --resume
json 'j["step"] == 20 and 0 < j["val_loss"] < 10 and j["loss"] is None' \
    beaver train --out run --resume --json
expect 2 "the run has seed=1337, not 3" beaver train --out run --resume --seed 3
expect 2 "try: without it, or another --out" beaver train --out run --resume --seed 3
expect 2 "the run has steps=20, not 30" beaver train --out run --resume --steps 30
expect 2 "the run has steps=20, not 30" beaver train --out run --resume --set steps=30
expect 2 "the run has lr=0.003, not 0.00300000001" \
    beaver train --out run --resume --lr 0.00300000001
python3 - <<'P' || fail "the manifest"
import hashlib, json
folder = "run/checkpoints/latest/"
m, c = json.load(open(folder + "manifest.json")), json.load(open("run/config.json"))
assert m["config"] == c["settings"] and m["step"] == 20 and m["sequence"] == 80, m
assert m["regular"] and m["numerics"] == "f32/1" and m["threads"] > 0 and m["level"], m
for file, digest in m["sha256"].items():
    assert hashlib.sha256(open(folder + file, "rb").read()).hexdigest() == digest, file
P
expect 2 "is no run" beaver train --out nowhere --resume
# Names of any bytes; only where a file of JSON must hold one it has to be UTF-8.
expect 0 '"run": "odd' \
    beaver train --data data --out $'odd\377' "${tiny[@]}" --steps 2 --json
cp -r data $'data\377'
expect 1 "no UTF-8" beaver train --data $'data\377' --out odd "${tiny[@]}" --steps 2
[ ! -e odd ] && [ ! -e odd.partial ] || fail "a name that JSON cannot hold left a run"
expect 0 "" beaver train --data data --out grows "${tiny[@]}" --steps 10 --set schedule=constant
expect 0 '"step": 20' beaver train --out grows --resume --steps 20 --json
# The same data elsewhere: on another machine, or moved.
mv data elsewhere
expect 1 "--data DIR, if it lies elsewhere" beaver train --out grows --resume
expect 2 "is not the one that the run began with" beaver train --out grows --resume --data chars
expect 0 '"step": 25' beaver train --out grows --resume --data elsewhere --steps 25 --json
expect 0 '"step": 25' beaver train --out grows --resume --json
mv elsewhere data
expect 0 "is finished" beaver train --out grows --resume --data data
wsd=(--data data "${tiny[@]}" --set schedule=wsd --set decay=0.5 --set keep=9)
expect 0 "" beaver train --out bent "${wsd[@]}" --steps 40
expect 2 "the run has steps=40, not 80" beaver train --out bent --resume --steps 80
ln -sfn 20 bent/checkpoints/latest # those of 30 and 40 would stay as the decay left them
expect 2 "move those after bent/checkpoints/20 away" beaver train --out bent --resume --steps 80
rm -r bent/checkpoints/{30,40}
expect 0 '"step": 80' beaver train --out bent --resume --steps 80 --json
expect 0 "" beaver train --out unbent "${wsd[@]}" --steps 80
cmp {bent,unbent}/checkpoints/40/model.safetensors || fail "more steps made other bits"

# ---- from another run's weights ----
from=(--data data --from run --steps 30 --lr 1e-4)
expect 0 "beginning with the weights of" beaver train --out tuned "${from[@]}"
python3 - <<'P' || fail "the first evaluation of a run is not the last one of its origin"
import json
def val(run, step):
    lines = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    return next(l["val_loss"] for l in lines if l["step"] == step and "val_loss" in l)
assert val("tuned", 0) == val("run", 20) and val("tuned", 30) < val("tuned", 0)
c, other = (json.load(open(run + "/config.json")) for run in ("tuned", "run"))
assert c["from"]["step"] == 20 and c["from"]["run"].endswith("/run")
assert c["settings"]["lr"] == 1e-4 and c["settings"]["width"] == other["settings"]["width"]
P
cp -r tuned again && rm -r again/checkpoints # killed before its first checkpoint
expect 0 "beginning with the weights of" beaver train --out again --resume
cmp {tuned,again}/checkpoints/30/optimizer.safetensors || fail "begun again it made other bits"
rm -r again/checkpoints && mv run elsewhere
expect 1 "taking the weights of" beaver train --out again --resume
expect 0 "is finished" beaver train --out tuned --resume # it has its own
mv elsewhere run
expect 2 "the model has layers=1, not 2" beaver train --out x "${from[@]}" --layers 2
expect 2 "try: without it: --from takes the model" beaver train --out x "${from[@]}" --preset nano
expect 2 "/run/tokenizer.json" beaver train --data chars --out x --from run
expect 2 "min_lr 0.0001 is more than lr 1e-05" beaver train --data data --out x --from run --lr 1e-5
expect 2 "try: --min-lr 1e-06" beaver train --data data --out x --from run --lr 1e-5
expect 0 "beginning with" beaver train --data data --out flat --from run --lr 1e-5 \
    --schedule constant --steps 3 # which has no end
! grep -q "never reaches" err || fail "a short warm-up is said to be long"
expect 0 "warmup 2 does not end before step 2: the learning rate never reaches its peak" \
    beaver train --data data --out cold --from run --steps 2
expect 2 "none is no run" beaver train --data data --out x --from none
expect 2 "exclude each other" beaver train --out tuned --resume --from run
cp -r run damaged-run
printf '\001' | dd of=damaged-run/checkpoints/20/model.safetensors bs=1 seek=3000 conv=notrunc \
    status=none
expect 1 "model.safetensors is damaged" beaver train --data data --out x --from damaged-run
[ ! -e x ] && [ ! -e x.partial ] || fail "a run that could not begin left something"
asked() { printf 'the\nold\n' | beaver generate damaged-run --interactive --tokens 3; }
expect 1 "model.safetensors is damaged" asked
[ "$(wc -l <out)" -le 1 ] || fail "a damaged model goes on talking: $(cat out)"

# ---- checkpoints by their names: also one that is not the latest.
expect 0 "" beaver train --data data --out steps "${tiny[@]}" --steps 20 --keep 9
best=$(beaver eval steps/checkpoints/10 text.txt --json 2>err)
last=$(beaver eval steps text.txt --json 2>err)
[ "$best" != "$last" ] || fail "checkpoint 10 is the last one: $best"
[ "$last" = "$(beaver eval steps/checkpoints/20/ text.txt --json 2>err)" ] || fail "checkpoint 20"
[ "$last" = "$(beaver eval steps/checkpoints/latest/model.safetensors text.txt --json 2>err)" ] ||
    fail "a checkpoint by its model"
cp -r steps/checkpoints/10 moved
expect 0 "weights of $PWD/steps, step 10" \
    beaver train --data data --out onward --from steps/checkpoints/10 --steps 1
expect 1 "loading the checkpoint of step 15" beaver eval steps/checkpoints/15 text.txt
expect 2 "moved is no run" beaver eval moved text.txt
for command in "explain" "plot" "train --resume --out"; do # these want the run
    expect 2 "try: steps" beaver $command steps/checkpoints/10
done
# Models of others, and files of a run.
cp moved/model.safetensors alone.safetensors
printf 'GGUF\3\0\0\0' >other.gguf
printf 'PK\3\4' >other.pt
expect 1 "it is safetensors: weights without settings" beaver generate alone.safetensors
expect 1 "it is GGUF, of llama.cpp" beaver generate other.gguf --tokenizer tok.json
expect 1 "it is a checkpoint of PyTorch" beaver eval other.pt text.txt
expect 1 "try: a run's folder, as beaver train makes it" beaver generate steps/config.json
inside() (cd "$1" && shift && beaver "$@")
expect 0 "loss" inside steps eval checkpoints/10 ../text.txt

# ---- interrupted as by Ctrl-C, then resumed: the same bits as a run that was not ----
whole=$(sha256sum <run/checkpoints/20/model.safetensors)
# Of a script without job control the background does not hear Ctrl-C unless it is told to.
env --default-signal=INT ${BEAVER_EMULATOR:-} "$BEAVER" train --data data --out late "${tiny[@]}" \
    --steps 20000 2>err &
pid=$!
for _ in $(seq 300); do
    [ -s late/metrics.jsonl ] && break
    sleep 0.1
done
expect 2 "is in use by process" beaver train --out late --resume
kill -INT $pid
wait $pid
code=$?
[ $code = 130 ] || fail "SIGINT: exit $code instead of 130"
grep -q "train --out late --resume" err || fail "SIGINT: not said how to go on"
[ -s late/checkpoints/latest/model.safetensors ] || fail "SIGINT: no checkpoint"
BEAVER_CPU=c beaver train --data data --out plain "${tiny[@]}" --steps 20 --threads 3 2>err
again=$(sha256sum <plain/checkpoints/20/model.safetensors)
[ "$whole" = "$again" ] || fail "plain C and 3 threads gave other bits"

# signalled FOLDER SIGNAL DISPOSITION: a training that gets a signal, which is as env says
signalled() {
    rm -f err
    env --"$3"="$2" ${BEAVER_EMULATOR:-} "$BEAVER" train --data data --out "$1" "${tiny[@]}" \
        --steps 20000 2>err &
    pid=$!
    for _ in $(seq 300); do
        [ -s "$1/metrics.jsonl" ] && break
        sleep 0.1
    done
    kill -"$2" $pid
    [ "$3" = default-signal ] || { sleep 0.3 && kill -TERM $pid; }
    wait $pid
}
signalled hung HUP default-signal
code=$?
[ $code = 129 ] || fail "SIGHUP: exit $code instead of 129"
[ -s hung/checkpoints/latest/model.safetensors ] || fail "SIGHUP: no checkpoint"
for signal in HUP INT; do
    signalled heedless-$signal $signal ignore-signal
    code=$?
    [ $code = 143 ] || fail "an ignored SIG$signal: exit $code instead of SIGTERM's 143"
done
expect 0 "steps take about" beaver train --data data --out timed "${tiny[@]}" --minutes 0.01
expect 0 "1 step takes about" beaver train --data data --out timed1 --preset mini --minutes 0.001 \
    --set eval_every=0 --set context=32 --set batch=16
expect 2 "exclude each other" beaver train --data data --out z --minutes 1 --set steps=5
expect 2 "the run has minutes=0.01" beaver train --out timed --resume --minutes 5
expect 2 "the run has warmup=" beaver train --out timed --resume --warmup 7777
expect 2 "the run has grains=1, not 3" beaver train --out timed --resume --grains 3
z80() { BEAVER_CPU=z80 beaver "$@"; }
expect 2 "BEAVER_CPU" z80 train --data data --out y "${tiny[@]}"
expect 2 "BEAVER_CPU" z80 version
expect 0 "example:" z80 train --help
cp -r data damaged
shard=$(find damaged -name '*.bin' | sort | head -1)
printf '\001' | dd of="$shard" bs=1 seek=2 conv=notrunc status=none
expect 1 "$shard is damaged" beaver train --data damaged --out y "${tiny[@]}"
# What is wrong besides is told before all of the data is read.
expect 2 "is not a multiple" beaver train --data damaged --out y --set width=130 --set heads=4
expect 1 "a context of 99999 needs" beaver train --data damaged --out y --set context=99999
expect 2 "is a run already" beaver train --data damaged --out run "${tiny[@]}"
expect 2 "exists and is no run" beaver train --data damaged --out data "${tiny[@]}"
mkdir locked
chmod 755 "$folder" locked
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
if [ "$(id -u)" = 0 ] && [ -z "${BEAVER_EMULATOR:-}" ] && nobody test -x "$BEAVER"; then
    expect 1 "cannot write locked/y" nobody "$BEAVER" train --data damaged --out locked/y
fi
[ -e y ] && fail "damaged data left a run"

# What cannot be read just now is nothing to throw away; what is lost is told where it is.
cp -r run unreadable
chmod -R a+rX "$folder"
chmod 600 unreadable/checkpoints/20/model.safetensors
if [ "$(id -u)" = 0 ] && [ -z "${BEAVER_EMULATOR:-}" ] && nobody test -x "$BEAVER"; then
    expect 1 "Permission denied" nobody "$BEAVER" generate unreadable --prompt x
    grep -q "away" err && fail "advice to remove a checkpoint that is whole"
fi
rm unreadable/checkpoints/20/model.safetensors
expect 1 "move unreadable/checkpoints/20 away" beaver generate unreadable --prompt x
rm unreadable/tokenizer.json
expect 1 "/data/tokenizer.json unreadable/tokenizer.json" beaver generate unreadable --prompt x

# ---- what a model says ----
expect 0 "the old" beaver generate run --prompt "the old" --tokens 5
one=$(beaver generate run --prompt "the old" --tokens 9 --seed 4 --threads 1)
two=$(beaver generate run --prompt "the old" --tokens 9 --seed 4 --threads 3)
[ "$one" = "$two" ] || fail "threads change what is written"
expect 0 '"finish_reason": "length"' beaver generate run --prompt "the" --tokens 40 --n 3 --json
[ "$(wc -l <out)" = 3 ] || fail "--n 3 gave other than three lines"
expect 1 "do not fit the model's context" beaver generate run --prompt "$(cat text.txt)"
expect 2 "is no run" beaver generate nowhere --prompt x
# Room for a thousand texts of a million tokens, with 40 layers of 64 numbers, is 20 TB.
expect 0 "" beaver train --data data --out rotary "${tiny[@]}" --set layers=40 --set width=64 \
    --set position=rope --set batch=1 --steps 1
sed -i 's/"context": 16/"context": 1000000/' rotary/config.json
expect 1 "the context of so many tokens needs" \
    timeout 60 ${BEAVER_EMULATOR:-} "$BEAVER" generate rotary -n 1000 --tokens 1000000
expect 1 "the context of so many tokens needs" timeout 60 ${BEAVER_EMULATOR:-} "$BEAVER" generate \
    rotary -n 1000 --tokens 1 --prompt "$(cat text.txt)" # each has a copy of it
expect 0 "the old" beaver generate rotary --prompt "the old" --tokens 9
(cd run/checkpoints && expect 0 "the old" beaver generate ../../run/checkpoints/20 \
    --prompt "the old" --tokens 5 && exit "$failures") || fail "a checkpoint as a model"
# A tokenizer that the model was not trained with, of as many tokens.
foreign="is not the tokenizer that the model was trained with"
expect 0 "" beaver tokenizer train "$BEAVER_SOURCE/README.md" --vocab 300 --out foreign.json
expect 0 '"vocab_size": 300' prepare text.txt --out foreign --tokenizer foreign.json --json
expect 2 "$foreign" beaver generate run --tokenizer foreign.json
expect 2 "$foreign" beaver generate run --tokenizer chars/tokenizer.json
expect 2 "$foreign" beaver eval run text.txt --tokenizer foreign.json
expect 0 "the" beaver generate run --tokenizer tok.json --prompt "the" --tokens 3
expect 2 "is not the one that the run began with" beaver train --data foreign --out grows --resume
cp -r run swapped
cp foreign.json swapped/tokenizer.json
expect 2 "$foreign" beaver generate swapped
expect 2 "/data/tokenizer.json swapped/tokenizer.json" beaver eval swapped text.txt
expect 2 "$foreign" beaver train --out swapped --resume
expect 2 "$foreign" beaver explain swapped --time
expect 0 "the" beaver generate swapped --tokenizer tok.json --prompt "the" --tokens 3
cp tok.json foreign/tokenizer.json
expect 2 "that the data was prepared with" beaver train --data foreign --out z "${tiny[@]}"
[ ! -e z ] || fail "data with a foreign tokenizer left a run"
sed -i 's/tokenizer_sha256/forgotten/' swapped/config.json # as runs of old
expect 0 "" beaver generate swapped --tokens 3
expect 2 "$foreign" beaver generate swapped --tokenizer tok.json
expect 0 "" beaver train --data chars --out cr "${tiny[@]}" --steps 2
expect 1 "is not in the vocabulary" beaver generate cr --prompt Z
# Without an end of text a text begins behind the end of a line, where there is one.
json 'j["prompt_tokens"] == [0] and j["prompt_logprobs"] == [None]' \
    beaver generate cr --tokens 2 --logprobs --json
printf 'the\nold\n' >lines
beaver generate run --interactive --tokens 3 <lines >out 2>err || fail "--interactive"
[ "$(wc -l <out)" -ge 2 ] || fail "--interactive answered fewer than two lines"
{ tr '\n' ' ' <text.txt && echo && echo the; } >lines # the first is too long for the model
beaver generate run --interactive --tokens 3 --json --suffix ' old' <lines >out 2>err ||
    fail "--interactive --json"
[ "$(wc -l <out)" = 1 ] || fail "--interactive --json: not one line a text: $(cat out)"
[ "$(grep -c "do not fit" err)" = 1 ] || fail "--interactive: a long line is not one prompt"
grep -q '"prompt": "the old"' out || fail "--interactive: no suffix"
unreadable() { beaver generate run --interactive --tokens 3 <.; }
expect 1 "cannot read standard input: Is a directory" unreadable
closed() { beaver generate run --interactive --tokens 3 <&-; }
expect 1 "cannot read standard input" closed
python3 - ${BEAVER_EMULATOR:-} "$BEAVER" <<'P' || fail "--interactive: input that does not block"
import os, subprocess, sys, time
r, w = os.pipe()
os.set_blocking(r, False)
p = subprocess.Popen(sys.argv[1:] + ["generate", "run", "--interactive", "--tokens", "3", "--json"],
                     stdin=r, stdout=subprocess.PIPE)
for word in b"the", b"old":
    time.sleep(0.5)
    os.write(w, word + b"\n")
os.close(w)
sys.exit(len(p.communicate()[0].splitlines()) != 2 or p.returncode)
P
expect 2 "exclude each other" beaver generate run --interactive --prompt x
expect 2 "try: --interactive" beaver generate run --suffix x

# ---- counted n-grams: a run keeps their text, and is nothing without it ----
counts=("${tiny[@]}" --kneser-ney 5 --tied false --steps 12)
expect 2 "needs a head of its own" beaver train --data chars --out cn "${tiny[@]}" --kneser-ney 5
expect 2 "at most 256 different tokens, not 300" beaver train --data data --out cn "${counts[@]}"
expect 2 "exclude each other" beaver train --data chars --out cn "${counts[@]}" --logit-soft-cap 5
expect 2 "9 is not between 0 and 8" beaver train --data chars --out cn "${tiny[@]}" --tied false \
    --kneser-ney 9
[ ! -e cn ] || fail "a refused model left a run"
expect 0 "" beaver train --data chars --out uncounted "${tiny[@]}" --tied false --steps 12
expect 0 "" beaver train --data chars --out cn "${counts[@]}"
mv chars elsewhere
expect 0 "the old" beaver generate cn --prompt "the o" --temperature 0 --tokens 40
for run in cn uncounted; do
    beaver eval $run text.txt --json >$run.json || fail "eval of $run"
done
python3 - <<'P' || fail "counts do not help"
import json
assert json.load(open("cn.json"))["loss"] < 0.5 * json.load(open("uncounted.json"))["loss"]
P
mv elsewhere chars
cp -r cn broken
printf x | dd of=broken/counted.bin bs=1 conv=notrunc status=none
expect 1 "counted.bin is not what the run was made with" beaver generate broken --tokens 3
rm broken/counted.bin
expect 1 "No such file" beaver eval broken text.txt
expect 0 "kneser_ney.weight" beaver explain cn
json "j['memory']['counts'] == 17 * $(stat -c %s cn/counted.bin)" beaver explain cn --json

# ---- traces ----
expect 0 "trace " beaver train --data chars --out tr "${tiny[@]}" --steps 3 --trace tr.json
python3 - <<'P' || fail "train --trace"
import json
names = [e["name"] for e in json.load(open("tr.json"))["traceEvents"]]
assert names.count("step") == 3 and names.count("optimizer") >= 3, names
assert {"read batch", "evaluate", "save checkpoint"} <= set(names), set(names)
P
for trace in none/t.json chars; do # told before there is a run
    expect 1 "cannot write $trace" beaver train --data chars --out tn "${tiny[@]}" --trace "$trace"
    [ ! -e tn ] || fail "a training whose trace cannot be written began"
done
expect 0 "trace " beaver train --data chars --out tn "${tiny[@]}" --steps 1 --trace tn/t.json
expect 0 "of the limits" beaver explain tr --time --threads 2

# ---- what is written never replaces what it is made of ----
for own in tr/config.json tr/../tr/tokenizer.json chars/manifest.json chars/train-00000.bin; do
    cp "$own" kept
    expect 2 "would replace what" beaver explain tr --time --trace "$own"
    expect 2 "would replace what" beaver train --out tr --resume --trace "$own"
    cmp -s "$own" kept || fail "a trace replaced $own"
done
for own in to/config.json chars/tokenizer.json chars/val-00000.bin; do
    expect 2 "would replace what" beaver train --data chars --out to "${tiny[@]}" --trace "$own"
    [ ! -e to ] || fail "a training whose trace would replace $own began"
done
expect 2 "would replace what" beaver plot tr --out tr/metrics.jsonl
mv chars elsewhere
expect 0 "the run's data is gone" beaver explain tr --time
mv elsewhere chars

# Log-probabilities: the same bits by eval at once and by generate token after token.
beaver generate run --prompt "the old" --tokens 6 --logprobs --json >generated.json || fail generate
text=$(value text <generated.json)
beaver eval run --logprobs "the old$text" --json >evaluated.json || fail "eval --logprobs"
python3 - <<'P' || fail "eval and generate disagree"
import json
g, e = json.load(open("generated.json")), json.load(open("evaluated.json"))
tokens = g["prompt_tokens"] + g["tokens"]
if tokens == e["tokens"]:  # the text may be cut into other tokens than were written
    assert g["prompt_logprobs"] + g["logprobs"] == e["logprobs"], (g, e)
n = len(g["prompt_tokens"])
assert g["prompt_logprobs"] == e["logprobs"][:n] or g["prompt_tokens"] != e["tokens"][:n], (g, e)
P
expect 0 '"bits_per_byte": ' beaver eval run text.txt --json
expect 1 "the text is empty" beaver eval cr empty.txt
expect 1 "the text is empty" beaver eval run empty.txt
printf t >letter.txt
expect 1 "the text has 1 token: at least 2 are needed" beaver eval cr letter.txt
json 'j["tokens"] == 1 and abs(j["bits_per_byte"] * 0.6931471805599453 - j["loss"]) < 1e-9' \
    beaver eval run letter.txt --json
printf to >letters.txt # the first of them is not predicted
json 'j["tokens"] == 1 and abs(j["bits_per_byte"] * 0.6931471805599453 - j["loss"]) < 1e-9' \
    beaver eval cr letters.txt --json
# Each of several texts has them for its own copy of the prompt.
beaver generate run --prompt "the old" --tokens 2 --n 3 --logprobs --json >several.json
python3 - <<'P' || fail "--n 3 --logprobs"
import json
e = json.load(open("evaluated.json"))
lines = [json.loads(line) for line in open("several.json")]
n = len(lines[0]["prompt_tokens"])
assert len(lines) == 3 and all(g["prompt_logprobs"] == e["logprobs"][:n] for g in lines), lines
P
beaver generate run --tokens 2 --n 3 --logprobs | grep -n '^$' | tr '\n' ' ' >parts
[ "$(cat parts)" = "3: 6: " ] || fail "log-probabilities of several texts: $(cat parts)"
expect 1 "eval RUN FILE" beaver eval run --logprobs "$(cat text.txt)"
expect 2 "one of FILE and --logprobs" beaver eval run
printf 'the old\0king' >binary
expect 1 "is not text: byte 7 is NUL" beaver eval run binary

# ---- an empty folder is as good as none ----
mkdir empty-run empty-data
expect 0 "" prepare text.txt --out empty-data --tokenizer byte
expect 0 "" beaver train --data empty-data --out empty-run "${tiny[@]}" --steps 1
json 'j["prompt"] == "" and j["prompt_tokens"] == [10]' \
    beaver generate empty-run --tokens 2 --logprobs --json

# ---- stopped while it prepares: nothing is left ----
for _ in $(seq 4000); do cat text.txt; done >large.txt
${BEAVER_EMULATOR:-} "$BEAVER" data prepare large.txt --out large --tokenizer tok.json 2>err &
pid=$!
for _ in $(seq 300); do
    [ -d large.partial ] && break
    sleep 0.01
done
kill -TERM $pid
wait $pid
code=$?
[ $code = 143 ] || fail "SIGTERM: exit $code instead of 143: $(cat err)"
[ "$(echo large*)" = large.txt ] || fail "a stopped prepare left $(echo large*)"
rm large.txt

# ---- a full disk, folders and files that may not be used ----
(
    ulimit -f 8
    beaver train --data data --out full "${tiny[@]}" --set width=64 --steps 20 2>err
) && fail "a limit of 8 kB on files: no error"
grep -q "File too large" err || fail "a limit on files: $(cat err)"
# As nobody, with a copy of the program: the build folder may be out of nobody's reach.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    cp "$BEAVER" program
    mkdir closed
    cp text.txt secret.txt
    cp -r run hidden
    chmod 755 . closed program
    chmod 600 secret.txt
    chmod 700 hidden
    nobody() {
        setpriv --reuid=65534 --regid=65534 --clear-groups ${BEAVER_EMULATOR:-} ./program "$@"
    }
    expect 0 "beaver" nobody version
    expect 1 "Permission denied" nobody train --data data --out closed/run "${tiny[@]}" --steps 2
    expect 1 "try: another folder" nobody data prepare text.txt --out closed/d --tokenizer byte
    mkdir -m 777 open
    expect 1 "secret.txt: Permission denied" nobody data prepare secret.txt --out open/x \
        --tokenizer byte
    expect 1 "secret.txt: Permission denied" nobody eval run secret.txt
    expect 1 "Permission denied" nobody train --out run --resume --steps 30
    for command in "generate hidden" "eval hidden text.txt" "explain hidden" "plot hidden" \
        "train --out hidden --resume"; do
        expect 1 "cannot look into hidden: Permission denied" nobody $command
    done
    expect 1 "try: --out FILE" nobody plot run # which others may only read
    # Before the training, not at its first checkpoint.
    cp -r grows sealed
    chown -R 65534 sealed
    chmod 555 sealed/checkpoints
    expect 1 "cannot write sealed/checkpoints" nobody train --out sealed --resume --steps 30
    [ -z "$(ls closed)" ] || fail "left in a closed folder: $(ls closed)"
    # A disk of 300 kB, where mounting is allowed.
    mkdir disk
    if mount -t tmpfs -o size=300k tmpfs disk 2>/dev/null; then
        expect 2 "try: a folder in it: --out disk/NAME" prepare text.txt --out disk --vocab 300
        expect 2 "disk cannot be replaced" beaver train --data data --out disk "${tiny[@]}"
        cp -r grows afar # its checkpoints on another disk, whose room counts
        rm -r afar/checkpoints
        mkdir disk/checkpoints
        ln -s ../disk/checkpoints afar/checkpoints
        head -c 400000 /dev/zero | tr '\0' a >disk/fill 2>/dev/null
        expect 1 "No space left" prepare text.txt --out disk/data --tokenizer byte
        expect 1 "No space left" beaver tokenizer train text.txt --vocab 300 --out disk/tok.json
        expect 1 "do not fit" beaver train --out afar --resume
        rmdir disk/checkpoints
        [ "$(ls -A disk)" = fill ] || fail "left on a full disk: $(ls -A disk)"
        expect 1 "do not fit" beaver train --data data --out disk/run "${tiny[@]}" --steps 2
        [ "$(ls -A disk)" = fill ] || fail "left on a full disk: $(ls -A disk)"
        umount disk
    else
        echo "skipped: a full disk (mounting is not allowed here)"
    fi
else
    echo "skipped: permissions and a full disk (not root, or no setpriv)"
fi
finish
