#!/bin/sh
# Compiles the C handler: build.sh OUT
set -eu
[ $# -eq 1 ] || { echo "usage: $0 OUT" >&2; exit 2; }
exec "${CC:-gcc}" -std=c99 -O2 -Wall -Wextra -Werror -o "$1" "$(dirname "$0")/disk.c"
