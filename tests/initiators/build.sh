#!/bin/sh
# Compiles one of the initiators here: build.sh load|reserve|light|hostile OUT. The first two need libiscsi's headers (package libiscsi-dev).
set -eu
[ $# -eq 2 ] && [ -f "$(dirname "$0")/$1.c" ] || { echo "usage: $0 load|reserve|light|hostile OUT" >&2; exit 2; }
libraries=-liscsi
case $1 in light|hostile) libraries= ;; esac
exec "${CC:-gcc}" -std=gnu99 -O2 -Wall -Wextra -Werror -o "$2" "$(dirname "$0")/$1.c" $libraries
