#!/bin/sh
# Compiles one of the initiators here: build.sh load|reserve OUT. Needs libiscsi's headers (package libiscsi-dev).
set -eu
[ $# -eq 2 ] && [ -f "$(dirname "$0")/$1.c" ] || { echo "usage: $0 load|reserve OUT" >&2; exit 2; }
exec "${CC:-gcc}" -std=gnu99 -O2 -Wall -Wextra -Werror -o "$2" "$(dirname "$0")/$1.c" -liscsi
