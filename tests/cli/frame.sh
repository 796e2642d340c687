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
expect 2 'unknown subcommand "a?b"' beaver $'a\nb' # names break no line
if [ -w /dev/full ]; then
    full() { beaver "$@" >/dev/full; }
    expect 1 "cannot write standard output: No space left" full version
fi
# Standard output is only for results: an error leaves it empty.
beaver xyzzy >"$folder/out" 2>/dev/null
[ ! -s "$folder/out" ] || fail "an error wrote to standard output"
# The revision is of these sources, not of somebody's repository in which they were unpacked.
revision() {
    cmake -DSOURCE="$1" -DVERSION=1 -DOUT="$folder/version.h" \
        -P "$BEAVER_SOURCE/cmake/version.cmake"
    grep -o 'BV_REVISION .*' "$folder/version.h"
}
mkdir -p "$folder/outer/unpacked"
git -C "$folder/outer" init -q
git -C "$folder/outer" -c user.name=a -c user.email=a@b commit -q --allow-empty -m first
[ "$(revision "$folder/outer/unpacked")" = 'BV_REVISION "unknown"' ] ||
    fail "unpacked sources have a revision: $(cat "$folder/version.h")"
[ "$(revision "$folder/outer")" != 'BV_REVISION "unknown"' ] || fail "a repository has no revision"
# Every command, however deep in the tables: it explains itself with an example, takes --threads by
# one rule, and --json unless it runs until it is stopped.
leaves() {
    local name names
    names=$(beaver "$@" --help | sed -n '/^subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
    [ -n "$names" ] || echo "$*"
    for name in $names; do leaves "$@" "$name"; done
}
leaves >"$folder/leaves"
[ "$(wc -l <"$folder/leaves")" -ge 26 ] || fail "few commands: $(cat "$folder/leaves")"
while read -r name; do
    expect 0 "usage: beaver $name" beaver $name --help
    for text in "example:" "--threads N"; do
        grep -qF -- "$text" "$folder/out" || fail "beaver $name --help has no $text"
    done
    ! grep -F "(default: )" "$folder/out" || fail "beaver $name --help tells an empty default"
    sed '/^example:/,$d; /^usage:/d' "$folder/out" | awk 'length > 80 { print; bad = 1 }
        END { exit bad }' || fail "beaver $name --help is wider than 80 columns"
    expect 2 'unknown flag --none' beaver $name --threads 1024 --none
    expect 2 "--threads" beaver $name --threads 1025
    expect 2 "--threads" beaver $name --threads -1
    expect 2 '--threads: "two"' beaver $name --threads two
    case $name in
        "arena serve" | "arena judge") expect 2 'unknown flag --json' beaver $name --json ;;
        *) expect 2 'unknown flag --none' beaver $name --json --none ;;
    esac
done <"$folder/leaves"
finish
