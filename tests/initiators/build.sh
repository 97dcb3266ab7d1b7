#!/bin/sh
# Compiles one of the initiators here: build.sh load|reserve|light OUT. All but light need libiscsi's headers (package libiscsi-dev).
set -eu
[ $# -eq 2 ] && [ -f "$(dirname "$0")/$1.c" ] || { echo "usage: $0 load|reserve|light OUT" >&2; exit 2; }
libraries=-liscsi
[ "$1" != light ] || libraries=
exec "${CC:-gcc}" -std=gnu99 -O2 -Wall -Wextra -Werror -o "$2" "$(dirname "$0")/$1.c" $libraries
