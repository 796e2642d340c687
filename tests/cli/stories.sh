#!/usr/bin/env bash
# llama2.c's stories260K writes the expected text greedily, byte for byte, at every level of kernels
# that this CPU has. Needs the folder of shared test data, BEAVER_DATA; skipped (77) without it.
. "$BEAVER_SOURCE/tests/support/cli.sh"
models=${BEAVER_DATA:-}/models
if [ ! -r "$models/stories260K.bin" ]; then
    echo "skipped: BEAVER_DATA names no folder with models/stories260K.bin"
    exit 77
fi
story() { beaver generate "$models/stories260K.bin" --tokenizer "$models/tok512.bin" "$@"; }

story --temperature 0 --tokens 200 >"$folder/best" || fail "generate"
cmp "$folder/best" "$models/stories260K.expected.txt" || fail "another text"
for level in c avx2 avx512 neon; do
    BEAVER_CPU=$level story --temperature 0 --tokens 200 >"$folder/text" 2>"$folder/err"
    code=$?
    [ $code = 2 ] && [ $level != c ] && continue # not on this CPU
    [ $code = 0 ] || fail "$level: exit $code"
    cmp "$folder/text" "$models/stories260K.expected.txt" || fail "another text at level $level"
done
# A prompt is cut as its authors' program cuts it: a blank before it, best scores first.
story --temperature 0 --tokens 60 --prompt "Once upon a time" >"$folder/prompt" || fail "--prompt"
cmp -n 80 "$folder/prompt" "$models/stories260K.expected.txt" || fail "another text after a prompt"
# What is cut off or foreign is refused.
head -c 500000 "$models/stories260K.bin" >"$folder/short.bin"
for model in "$folder/short.bin" "$models/tok512.bin"; do
    expect 1 "as a model of llama2.c" \
        beaver generate "$model" --tokenizer "$models/tok512.bin"
done
expect 1 "" beaver generate "$models/stories260K.bin" --tokenizer "$folder/short.bin"
finish
