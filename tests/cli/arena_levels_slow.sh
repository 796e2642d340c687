#!/usr/bin/env bash
# Every level that comes with the arena passes its own check.
. "$BEAVER_SOURCE/tests/support/cli.sh"
export XDG_CACHE_HOME=$folder/cache
policy=full
beaver sandbox run --policy full -- /bin/true >/dev/null 2>&1 || policy=nested
json 'j["good"] and len(j["levels"]) == 10 and all(
    l["hidden"] >= 20 and not l["tight"] and
    sum(not s["reference"] for s in l["solutions"]) >= 2 for l in j["levels"])' \
    beaver arena check "$BEAVER_SOURCE"/levels/* --policy $policy --json
finish
