# What the tests of the command line share; sourced by tests/cli/*.sh, which end with `finish`.
#
#   BEAVER_KEEP=1   keeps the folder of a test that failed, and says where it is
set -u
beaver() { ${BEAVER_EMULATOR:-} "$BEAVER" "$@"; }
failures=0
folder=$(mktemp -d "${TMPDIR:-/tmp}/beaver-test-XXXXXX")
trap leave EXIT

leave() {
    if [ -n "${BEAVER_KEEP:-}" ] && [ "$failures" != 0 ]; then
        echo "left: $folder"
    else
        rm -rf "$folder"
    fi
}

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect CODE TEXT COMMAND...: the command exits with CODE and its output (both kinds) has TEXT.
# What it wrote stays in $folder/out and $folder/err.
expect() {
    local code=$1 text=$2
    shift 2
    "$@" >"$folder/out" 2>"$folder/err" </dev/null
    local got=$?
    if [ "$got" != "$code" ] || ! grep -qF -- "$text" "$folder/out" "$folder/err"; then
        fail "$* : exit $got instead of $code, or no \"$text\" in:"
        cat "$folder/out" "$folder/err"
    fi
}

# json CONDITION COMMAND...: prints one line of JSON, j, of which the Python expression is true.
json() {
    local condition=$1
    shift
    if ! "$@" >"$folder/out" 2>"$folder/err" </dev/null ||
        [ "$(wc -l <"$folder/out")" != 1 ] ||
        ! python3 -c "import json,sys; j=json.load(open(sys.argv[1])); sys.exit(not ($condition))" \
            "$folder/out"; then
        fail "$* : not $condition in:"
        cat "$folder/out" "$folder/err"
    fi
}

finish() { exit $((failures > 0)); }
