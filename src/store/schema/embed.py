# SPDX-License-Identifier: Apache-2.0
"""Turns the numbered migrations into one C file: embed.py OUT.c 0001_name.sql 0002_name.sql ...

Checks what the program relies on: numbers count up from 1 without a gap."""
import os
import re
import sys


def literal(text):
    lines = []
    for line in text.splitlines():
        line = line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
        lines.append('    "%s\\n"' % line)
    return "\n".join(lines)


def main():
    out, paths = sys.argv[1], sorted(sys.argv[2:], key=os.path.basename)
    parts = [
        "/* Made by src/store/schema/embed.py; do not edit. */",
        '#include "store/sqlite/schema.h"',
        "",
        "const struct schema_step schema_steps[] = {",
    ]
    for expected, path in enumerate(paths, 1):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", os.path.basename(path))
        if not match or int(match.group(1)) != expected:
            sys.exit("%s: expected number %04d_name.sql" % (path, expected))
        with open(path, encoding="utf-8") as file:
            text = file.read()
        parts.append('{"%s",\n%s},' % (match.group(2), literal(text)))
    parts += ["};", "const int schema_steps_len = %d;" % len(paths), ""]
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))


main()
