#!/usr/bin/env bash
# sandbox run: its streams, the verdict's place, files that cannot be placed, few descriptors.
. "$BEAVER_SOURCE/tests/support/cli.sh"
policy=full
beaver sandbox run --policy full -- /bin/true >/dev/null 2>&1 || policy=nested
boxed() { beaver sandbox run --policy $policy "$@"; }
cd "$folder" || exit 1

# verdict CONDITION FILE: the last line of FILE is a verdict, v, of which the expression is true.
verdict() {
    tail -n 1 "$2" |
        python3 -c "import json,sys; v=json.loads(sys.stdin.read()); sys.exit(not ($1))" ||
        fail "not $1: $(tail -n 1 "$2")"
}

# ---- the verdict has a line of its own, and is not lost with the output ----
boxed -- sh -c 'printf out; printf error >&2' >o 2>e
verdict 'v["verdict"] == "ok"' e
[ "$(head -n 1 e)" = error ] || fail "the program's errors: $(cat e)"
[ "$(cat o)" = out ] || fail "the program's output: $(cat o)"
boxed -- printf out >both 2>&1
verdict 'v["verdict"] == "ok"' both
boxed --verdict v -- seq 100000 2>e | head -n 1 >o
[ "${PIPESTATUS[0]}" = 1 ] || fail "a broken pipe is no error"
verdict 'v["verdict"] == "ok"' v
boxed -- seq 10 2>e >/dev/full && fail "a full output is no error"
grep -q '"verdict": "ok"' e || fail "no verdict beside a full output: $(cat e)"
boxed -- true 2>/dev/full && fail "a verdict that cannot be written is no error"
mkdir gone
(cd gone && rmdir ../gone && boxed --fetch x -- touch x 2>../e) && fail "a file without a place"
grep -q '"verdict": "ok"' e || fail "no verdict beside a file without a place: $(cat e)"

# ---- streams that are closed ----
boxed -- cat <&- >o 2>e || fail "no standard input: $(cat e)"
boxed -- echo hi >&- 2>e && fail "no standard output, and no error"
boxed --verdict v -- echo hi 2>&- >o || fail "no standard error: exit $?"
verdict 'v["verdict"] == "ok"' v
boxed --verdict v -- true <&- >&- 2>&- || fail "no stream at all: exit $?"
verdict 'v["verdict"] == "ok"' v

# ---- where a verdict can go ----
expect 1 "cannot write no/v" boxed --verdict no/v -- echo ran
grep -q ran out && fail "it ran without a place for its verdict"
expect 2 "cannot be the name of a file" boxed --verdict . -- true
expect 2 "cannot be the name of a file" boxed --verdict '' -- true
mkfifo fifo
cat fifo >from_fifo &
boxed --verdict fifo -- true || fail "a pipe takes no verdict"
wait
[ -p fifo ] || fail "a pipe was replaced"
verdict 'v["verdict"] == "ok"' from_fifo
boxed --verdict /dev/stdout -- printf 'out\n' >o
verdict 'v["verdict"] == "ok"' o
[ "$(head -n 1 o)" = out ] || fail "the output before a verdict on /dev/stdout: $(cat o)"
ln -s to link
boxed --verdict link -- true
verdict 'v["verdict"] == "ok"' to
[ -L link ] || fail "a link was replaced"

# ---- files that cannot be placed ----
expect 1 "is a pipe or a device" boxed --place /dev/zero -- true
expect 1 "is a pipe or a device" boxed -- /dev/zero
expect 1 "is a pipe or a device" boxed --place fifo -- true
expect 1 "is a folder" boxed --place . -- true
truncate -s 100G large
expect 1 "do not fit" boxed --place large -- true
echo >twice
expect 2 'have the name "twice"' boxed --place twice --place twice -- true

# ---- few descriptors, many boxes ----
(ulimit -Sn 32 && boxed -- true 2>/dev/null) || fail "few descriptors that may be more"
few() (ulimit -n 64 && boxed -- true)
expect 2 "need 128 open files; 64 are allowed" few
expect 2 "at most" beaver bench sandbox --threads 129

# ---- root of a user namespace that has no other id ----
if [ "$(id -u)" = 0 ] && unshare -Ur true 2>/dev/null; then
    for p in full nested; do
        beaver sandbox run --policy $p -- true 2>/dev/null || continue
        expect 0 '"verdict": "ok"' unshare -Ur "$BEAVER" sandbox run --policy $p -- true
    done
    expect 0 "no other id is mapped" unshare -Ur "$BEAVER" sandbox selftest
fi

# ---- remedies: each once, also where three control groups want the same ----
if unshare -Urm mount -t tmpfs none /sys/fs/cgroup 2>/dev/null; then
    said=$(unshare -Urm sh -c 'mount -t tmpfs none /sys/fs/cgroup; "$0" sandbox selftest 2>&1' \
        "$BEAVER")
    [ "$(grep -c "counts by /proc" <<<"$said")" = 3 ] || fail "control groups are there: $said"
    [ "$(grep -c "try: run as root; with" <<<"$said")" = 1 ] || fail "not one remedy: $said"
fi

# ---- what another pid namespace runs is not taken for a dead one's ----
if [ "$(id -u)" = 0 ] && unshare -pf --mount-proc true 2>/dev/null; then
    boxed --verdict v -- sleep 1 &
    sleep 0.3
    unshare -pf --mount-proc "$BEAVER" sandbox run --policy $policy -- true 2>/dev/null
    wait
    verdict 'v["verdict"] == "ok"' v
fi
finish
