#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# docs.sh LIMPET FILE: every command of `limpet help` stands in docs/cli.md with its arguments.
"$1" help | sed -n '/^commands:/,/^$/s/^  \(.*[^ ]\)   *[A-Z].*/\1/p' | sed 's/ *$//; s/  .*//' > "${TMPDIR:-/tmp}/cli-docs.$$"
trap 'rm -f "${TMPDIR:-/tmp}/cli-docs.$$"' EXIT
count=0
while read -r usage; do
    count=$((count + 1))
    grep -qF "limpet $usage" "$2" || { echo "$2 does not have 'limpet $usage'" >&2; exit 1; }
done < "${TMPDIR:-/tmp}/cli-docs.$$"
[ "$count" -ge 15 ] || { echo "only $count commands were found" >&2; exit 1; }
