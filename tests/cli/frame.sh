#!/usr/bin/env bash
# The frame of the program: help, versions, unknown words, and exit codes.
. "$BEAVER_SOURCE/tests/support/cli.sh"

expect 0 "usage: beaver SUBCOMMAND" beaver
expect 0 "version" beaver --help
expect 0 "usage: beaver SUBCOMMAND" beaver help
expect 0 "usage: beaver version" beaver help version
expect 0 "usage: beaver version" beaver version --help
expect 0 "beaver 0" beaver --version
expect 0 '"revision": "' beaver version --json
expect 2 'try: beaver version' beaver verison
expect 2 'beaver: unknown subcommand "xyzzy"' beaver xyzzy
expect 2 'try: --json' beaver version --jsn
expect 2 'beaver version: unknown flag --jsn' beaver version --jsn
expect 2 'unexpected argument "x"' beaver version x
expect 2 'unknown subcommand "nothing"' beaver help nothing
if [ -w /dev/full ]; then
    full() { beaver "$@" >/dev/full; }
    expect 1 "cannot write standard output: No space left" full version
fi
# Standard output is only for results: an error leaves it empty.
beaver xyzzy >"$folder/out" 2>/dev/null
[ ! -s "$folder/out" ] || fail "an error wrote to standard output"
# Every subcommand explains itself, with an example.
for name in $(beaver --help | sed -n '/^subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    expect 0 "usage: beaver $name" beaver "$name" --help
    expect 0 "example:" beaver "$name" --help
done
# What computes takes --threads, and --json where it prints results.
for name in doctor version train generate eval explain plot "data prepare" "tokenizer train" \
    "tokenizer import" "tokenizer encode" "tokenizer decode" "tokenizer info" "bench limits" \
    "bench kernels" "bench train" "bench generate" "bench tokenizer" "arena check" "arena eval"; do
    expect 0 "--threads N" beaver $name --help
    expect 0 "example:" beaver $name --help
    grep -q -- "--json" "$folder/out" || fail "$name has no --json"
done
finish
