#!/bin/sh
# embed.sh OUT.S NAME=FILE...: an assembly file that puts each file into the program's read-only data as
# limpet_NAME and limpet_NAME_end, followed by a NUL byte.
set -eu
out=$1
shift
{
    echo '.section .rodata'
    for pair in "$@"; do
        name=limpet_${pair%%=*}
        printf '.global %s\n.global %s_end\n.balign 4096\n%s:\n.incbin "%s"\n%s_end:\n.byte 0\n' \
            "$name" "$name" "$name" "$(realpath "${pair#*=}")" "$name"
    done
    echo '.section .note.GNU-stack,"",%progbits'
} >"$out"
