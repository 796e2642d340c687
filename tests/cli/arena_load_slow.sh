#!/usr/bin/env bash
# A load with attacks: each gets its own verdict, no canary is touched, a quiet user is judged while
# others flood with them, and a load says so when a verdict is not what it must be.
. "$BEAVER_SOURCE/tests/support/cli.sh"
policy=full
beaver sandbox run --policy full -- /bin/true >/dev/null 2>&1 || policy=nested
export XDG_CACHE_HOME=$folder/cache
levels=$BEAVER_SOURCE/bench/arena/levels

"$BEAVER" arena serve "$levels" --store "$folder/arena.db" --port 0 --per-minute 1000000 \
    --signups-per-hour 0 --policy $policy --judges 2 2>"$folder/serve" &
site=$!
for _ in $(seq 300); do
    port=$(sed -n 's,^serving .*http://127.0.0.1:\([0-9]*\)/.*,\1,p' "$folder/serve")
    [ -n "$port" ] && break
    sleep 0.1
done
[ -n "$port" ] || { cat "$folder/serve"; echo "FAILED: the site did not come up"; exit 1; }

load() {
    "$BEAVER" arena load "http://127.0.0.1:$port" --levels "$levels" --store "$folder/arena.db" \
        --policy $policy "$@"
}

attacks=$BEAVER_SOURCE/tests/arena/attacks
json 'j["unexpected"] == 0 and j["attacks"]["submitted"] == 20 and j["attacks"]["distinct"] == 20
    and j["attacks"]["breaches"] == 0 and j["attacks"]["possible"] >= 60
    and j["stages"]["judged"] == 40 and j["stages"]["judged_again"] == 0
    and 0 < j["client_cpu_ms"] < 100' \
    load --users 6 --submissions 40 --attacks "$attacks" --attack-share 0.5 --json
# Those who flood hand attacks in, too, and all of it is judged; the quiet user hands in none.
json 'j["unexpected"] == 0 and j["submissions"] == 6 and j["flooded"] >= 3
    and 1 <= j["attacks"]["submitted"] <= j["flooded"]
    and j["stages"]["judged"] == 6 + j["flooded"]
    and j["stages"]["judged_again"] == 0 and j["stages"]["tell_ms"] > -100
    and all(g["kind"] != "attack" for g in j["groups"])' \
    load --users 3 --submissions 6 --flood 2 --attacks "$attacks" --attack-share 0.5 --json

# Corpora whose programs do not what they say.
mkdir "$folder/wrong" "$folder/breach" "$folder/none"
printf '# verdict: time\nprint(1)\n' >"$folder/wrong/a.py"
expect 1 "a.py got wrong-answer instead of time" \
    load --users 2 --submissions 2 --attacks "$folder/wrong" --attack-share 0.5
printf '# verdict: ok\nimport os\nprint("BREACH", os.environ["CANARY_PID"])\n' \
    >"$folder/breach/a.py"
expect 1 "1 attacks got through a wall" \
    load --users 2 --submissions 2 --attacks "$folder/breach" --attack-share 0.5
printf '# verdict: memory\n# limits: memory=1M\nprint(1)\n' >"$folder/none/a.py"
expect 2 "has no attack that five-tests takes" load --users 2 --attacks "$folder/none"
printf '# verdict: time\n# limits: depth=3\nprint(1)\n' >"$folder/none/a.py"
expect 2 "has no attack that five-tests takes" load --users 2 --attacks "$folder/none"

kill $site
wait $site
[ $? = 143 ] || fail "a site that SIGTERM stops does not exit with 143"
finish
