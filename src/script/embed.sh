#!/bin/sh
# embed.sh OUT.S NAME=FILE...: an assembly file that puts each file into the program's read-only data as
# limpet_NAME (followed by a NUL byte) and its size as the 64-bit limpet_NAME_len.
set -eu
out=$1
shift
{
    echo '.section .rodata'
    for pair in "$@"; do
        name=limpet_${pair%%=*}
        printf '.global %s\n.balign 4096\n%s:\n.incbin "%s"\n0:\n.byte 0\n' \
            "$name" "$name" "$(realpath "${pair#*=}")"
        printf '.balign 8\n.global %s_len\n%s_len:\n.quad 0b - %s\n' "$name" "$name" "$name"
    done
    echo '.section .note.GNU-stack,"",%progbits'
} >"$out"
