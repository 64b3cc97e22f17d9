#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The reference in docs/http-api.md is what the tables say. Renew it with: PROGRAM FILE > new && mv new FILE
"$1" "$2" | diff "$2" - && exit 0
echo "docs/http-api.md is out of date: run '$1 docs/http-api.md > new && mv new docs/http-api.md'" >&2
exit 1
