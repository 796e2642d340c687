#!/usr/bin/env bash
# The arena's page, where Node.js is installed: how it shows a statement, and what it says to
# somebody who signs in.
command -v node >/dev/null || exit 77
exec timeout 60 node "$BEAVER_SOURCE/tests/cli/page.js" "$BEAVER_SOURCE/web/arena/arena.js"
