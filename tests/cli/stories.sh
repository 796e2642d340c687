#!/usr/bin/env bash
# llama2.c's stories260K writes the expected text greedily, byte for byte, at every kernel level.
# Needs the folder of shared test data, BEAVER_DATA; skipped (77) without it.
set -u
models=${BEAVER_DATA:-}/models
if [ ! -r "$models/stories260K.bin" ]; then
    echo "skipped: BEAVER_DATA names no folder with models/stories260K.bin"
    exit 77
fi
beaver() { ${BEAVER_EMULATOR:-} "$BEAVER" "$@"; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0
for level in best c; do
    [ $level = best ] || export BEAVER_CPU=$level
    beaver generate "$models/stories260K.bin" --tokenizer "$models/tok512.bin" --temperature 0 \
        --tokens 200 >"$folder/$level" || failures=1
    cmp "$folder/$level" "$models/stories260K.expected.txt" || failures=1
done
# A prompt is cut as its authors' program cuts it: a blank before it, best scores first.
beaver generate "$models/stories260K.bin" --tokenizer "$models/tok512.bin" --temperature 0 \
    --tokens 60 --prompt "Once upon a time" >"$folder/prompt" || failures=1
cmp -n 80 "$folder/prompt" "$models/stories260K.expected.txt" || failures=1
# What is cut off or foreign is refused.
head -c 500000 "$models/stories260K.bin" >"$folder/short.bin"
for model in "$folder/short.bin" "$models/tok512.bin"; do
    beaver generate "$model" --tokenizer "$models/tok512.bin" 2>"$folder/err"
    [ $? = 1 ] || { echo "FAILED: $model: exit other than 1"; failures=1; }
    grep -q "as a model of llama2.c" "$folder/err" || { cat "$folder/err"; failures=1; }
done
beaver generate "$models/stories260K.bin" --tokenizer "$folder/short.bin" 2>"$folder/err"
[ $? = 1 ] || { echo "FAILED: a foreign tokenizer"; failures=1; }
exit $failures
