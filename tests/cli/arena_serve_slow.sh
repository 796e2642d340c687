#!/usr/bin/env bash
# The arena as it is run: a site without judges, judges beside it of which one is killed, a restart
# in the middle, and every submission judged once, as it deserves.
. "$BEAVER_SOURCE/tests/support/cli.sh"
policy=full
beaver sandbox run --policy full -- /bin/true >/dev/null 2>&1 || policy=nested
export XDG_CACHE_HOME=$folder/cache
mkdir "$folder/levels"
cp -r "$BEAVER_SOURCE"/levels/01-echo "$BEAVER_SOURCE"/levels/02-sum "$folder/levels"

# serve ARGS...: starts a site on the port that is in $port (0: a free one, which it then holds).
port=0
serve() {
    "$BEAVER" arena serve "$folder/levels" --store "$folder/arena.db" --port $port \
        --per-minute 1000000 --signups-per-hour 0 --policy $policy "$@" 2>"$folder/serve" &
    site=$!
    for _ in $(seq 200); do
        port=$(sed -n 's,^serving .*http://127.0.0.1:\([0-9]*\)/.*,\1,p' "$folder/serve")
        [ -n "$port" ] && return
        sleep 0.1
    done
    echo "FAILED: the site did not come up:"
    cat "$folder/serve"
    exit 1
}

judge() {
    "$BEAVER" arena judge "$folder/levels" --store "$folder/arena.db" --policy $policy \
        --judges 1 2>"$folder/judge.$1" &
}

serve --judges 0
judge first
first=$!
judge second
second=$!
"$BEAVER" arena load "http://127.0.0.1:$port" --levels "$folder/levels" --users 6 --submissions 40 \
    --clients 6 --store "$folder/arena.db" --json >"$folder/load" 2>"$folder/load.err" &
load=$!
sleep 2
kill -9 $first
wait $load
code=$?
[ $code = 0 ] || { fail "load exits $code:"; cat "$folder/load.err"; }
json 'j["submissions"] == 40 and j["unexpected"] == 0 and j["stages"]["judged"] == 40 and
    j["stages"]["run_ms"] > 0 and j["stages"]["runs"] >= 40' cat "$folder/load"
kill $second
wait $second
[ $? = 143 ] || fail "a judge that SIGTERM stops does not exit with 143"
kill $site
wait $site
[ $? = 143 ] || fail "a site that SIGTERM stops does not exit with 143"
# All in one process, over the same store.
serve --judges 2
grep -q "tests of 2 levels: 0 made .* 2 known before" "$folder/serve" ||
    fail "the tests that the judges made were not kept"
json 'j["unexpected"] == 0 and all(g["p50_ms"] > 0 for g in j["groups"])' \
    beaver arena load "http://127.0.0.1:$port" --levels "$folder/levels" --users 2 \
    --submissions 10 --level 01-echo --json
json 'j["submissions"] == 6 and j["flooded"] >= 2 and j["ratio"] > 0' \
    beaver arena load "http://127.0.0.1:$port" --levels "$folder/levels" --users 3 \
    --submissions 6 --level 01-echo --language c --as c-tcc --distinct --flood 2 --json
expect 2 "cannot flood" beaver arena load "http://127.0.0.1:$port" --levels "$folder/levels" \
    --users 2 --flood 2
kill -9 $site
wait $site 2>/dev/null
expect 1 "127.0.0.1:$port" beaver arena load "http://127.0.0.1:$port" --levels "$folder/levels"
expect 2 "no kind of store" beaver arena serve "$folder/levels" --store mysql://x --judges 0
expect 1 "has no levels" beaver arena serve "$folder" --judges 0 --store "$folder/arena.db"
# What is wrong is told before hidden tests are made, which can take minutes.
early() {
    expect "$@" --fresh --policy $policy
    grep -q "making the hidden tests" "$folder/err" && fail "tests were made before: $2"
}
early 2 "no kind of store" beaver arena serve "$folder/levels" --store mysql://x --port 0
early 1 "is not a store" \
    beaver arena judge "$folder/levels" --store "$folder/levels/01-echo/level.json"
early 2 "no address to listen on" beaver arena serve "$folder/levels" --host no.such.invalid
cp -r "$folder/levels" "$folder/broken"
echo "{" >"$folder/broken/02-sum/level.json"
early 1 "02-sum/level.json" beaver arena judge "$folder/broken" --store "$folder/arena.db"
# Connections that lie idle leave judges the files that they need. Judges prepare what a language
# wants: without its part this one's programs say nothing.
mkdir "$folder/languages"
cat >"$folder/languages/relay.json" <<'END'
{"name": "relay", "title": "Relay", "source": "main.relay", "artifact": "main", "run": ["./main"],
 "compile": ["/bin/sh", "-c", "(echo '#!/bin/sh' && cat $1) >main", "sh"],
 "prepare": ["/bin/sh", "-c", "echo cat >part"], "prepared": "part",
 "compile_binds": ["/usr/bin", "/usr/lib", "/usr/lib64?", "/bin?", "/lib?", "/lib64?"],
 "run_binds": ["/usr/bin", "/usr/lib", "/usr/lib64?", "/bin?", "/lib?", "/lib64?"]}
END
ulimit -n 400
port=0
serve --judges 1 --languages "$folder/languages"
python3 - "$port" <<'END' || fail "idle connections stop the judges, or a language was not prepared"
import http.client, json, socket, sys, time
port = int(sys.argv[1])
link = http.client.HTTPConnection("127.0.0.1", port)
headers = {}


def call(path, body=None):
    link.request("POST" if body else "GET", "/api/" + path, body and json.dumps(body), headers)
    return json.load(link.getresponse())


headers["Authorization"] = "Bearer " + call("users", {"name": "Before all others"})["key"]
idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(390)]
for language in "shell", "relay":
    number = call("levels/01-echo/submissions", {"language": language, "source": "cat"})["id"]
    for _ in range(300):
        time.sleep(0.1)
        answer = call(f"submissions/{number}")
        if answer["state"] == "done":
            break
    if answer.get("verdict") != "accepted":
        sys.exit(f"{language}: {answer}")
END
kill $site
wait $site
# Where there is IPv6, its address stands in brackets.
if grep -q ' lo$' /proc/net/if_inet6 2>/dev/null; then
    "$BEAVER" arena serve "$folder/levels" --store "$folder/six.db" --host ::1 --port 0 --judges 0 \
        2>"$folder/six" &
    site=$!
    for _ in $(seq 100); do grep -q "^serving" "$folder/six" && break || sleep 0.1; done
    kill $site
    wait $site
    grep -qF "http://[::1]:" "$folder/six" || { fail "no URL of IPv6:"; cat "$folder/six"; }
fi
finish
