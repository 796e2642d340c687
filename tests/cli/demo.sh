#!/usr/bin/env bash
# Two of `make run` at once, with a dictionary that comes slowly: both have the whole of it, and one
# trains; in a language that writes 1,5, as Debian's awk does then. (.ci/demo stops one, goes on,
# and looks at what is said.)
. "$BEAVER_SOURCE/tests/support/cli.sh"
mkdir -p "$folder/scripts" "$folder/build" "$folder/bin"
cp "$BEAVER_SOURCE/scripts/run-demo" "$folder/scripts/"
cat >"$folder/build/beaver" <<X
#!/bin/sh
exec ${BEAVER_EMULATOR:-} "$BEAVER" "\$@"
X
cat >"$folder/scripts/wordnet-glosses" <<'X'
#!/bin/sh
seq -f "word %g (noun): the number of that name" 1500
sleep 1
seq -f "word %g (verb): to count up to that number" 1500
X
cat >"$folder/bin/awk" <<X
#!/bin/sh
[ "\$LC_ALL" = C ] && exec $(command -v awk) "\$@"
$(command -v awk) "\$@" | tr . ,
X
chmod +x "$folder/build/beaver" "$folder/scripts/wordnet-glosses" "$folder/bin/awk"
export PATH=$folder/bin:$PATH LC_ALL=
export BEAVER_DEMO=$folder/demo BEAVER_DEMO_SECONDS=1 XDG_CACHE_HOME=$folder/cache
pids=()
for i in 1 2; do
    "$folder/scripts/run-demo" >"$folder/said$i" 2>&1 </dev/null &
    pids+=($!)
    sleep 0.3
done
ended=0
for i in 1 2; do
    wait "${pids[i - 1]}"
    code=$?
    [ $code != 0 ] || ended=$((ended + 1))
    [ $code = 0 ] || [ $code = 2 ] || fail "exit $code: $(cat "$folder/said$i")"
    ! grep -qE "cannot stat|data exists|cut short|demo/data.partial" "$folder/said$i" ||
        fail "in each other's way: $(cat "$folder/said$i")"
done
[ $ended -ge 1 ] || fail "neither came to its end: $(cat "$folder"/said?)"
[ "$(grep -c "Reading a dictionary" "$folder"/said? | grep -c ":1")" = 1 ] ||
    fail "the dictionary was read twice"
[ "$(wc -l <"$folder/demo/glosses.txt")" = 3000 ] || fail "a dictionary that is not whole"
grep -q "beaver (" "$folder"/said? || fail "nothing was written"
finish
