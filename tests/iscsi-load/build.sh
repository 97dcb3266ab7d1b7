#!/bin/sh
# Compiles the load generator: build.sh OUT. Needs libiscsi's headers (package libiscsi-dev).
set -eu
[ $# -eq 1 ] || { echo "usage: $0 OUT" >&2; exit 2; }
exec "${CC:-gcc}" -std=gnu99 -O2 -Wall -Wextra -Werror -o "$1" "$(dirname "$0")/load.c" -liscsi
