#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Other people's clients against http_serve: curl, nghttp, h2load. What is not installed is skipped.
# usage: tools.sh PATH-OF-http_serve
set -u
serve=$1
dir=$(mktemp -d) || exit 1
count=0
pids=
stop() {
    for pid in $pids; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    rm -rf "$dir"
}
trap stop EXIT

check() { # NAME EXPECTED COMMAND...
    name=$1 expected=$2
    shift 2
    count=$((count + 1))
    got=$("$@" 2>&1)
    if [ "$got" = "$expected" ]; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        echo "# expected: $expected" | head -c 300
        echo "# got: $got" | head -c 300
        echo
    fi
}
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2 is not installed"
}
launch() { # NAME ARGUMENTS...: leaves the port in $port
    name=$1
    shift
    mkfifo "$dir/$name"
    "$serve" 0 "$@" >"$dir/$name" &
    pids="$pids $!"
    read -r port <"$dir/$name"
}

if ! command -v curl >/dev/null; then
    echo "1..0 # SKIP curl is not installed"
    exit 0
fi
launch plain
plain=$port
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$dir/key.pem" -out "$dir/cert.pem" \
    -subj /CN=localhost -days 2 2>/dev/null
launch tls "$dir/cert.pem" "$dir/key.pem"
tls=$port
head -c 1000000 /dev/urandom >"$dir/body"
sum=$(cksum <"$dir/body")

fetch() { curl -s --max-time 30 "$@"; }
fetch_sum() { fetch "$@" | cksum; }
# curl 7.88 may drop an HTTP/2 answer whose reset comes in the same packet as its head: it is asked again.
broken_off() {
    for _ in 1 2 3 4 5 6 7 8; do
        got=$(fetch "$@" -o /dev/null -w '%{http_code} %{size_download}')
        [ "$got" = "000 0" ] || break
    done
    echo "$got"
}
upload_sum() { fetch -T - "$@" <"$dir/body" | cksum; }
for kind in h1 h2 tls-h1 tls-h2; do
    case $kind in
    h1) flags=--http1.1 url=http://127.0.0.1:$plain ;;
    h2) flags=--http2-prior-knowledge url=http://127.0.0.1:$plain ;;
    tls-h1) flags="-k --http1.1" url=https://127.0.0.1:$tls ;;
    tls-h2) flags="-k --http2" url=https://127.0.0.1:$tls ;;
    esac
    version=1.1
    case $kind in *h2) version=2 ;; esac
    # shellcheck disable=SC2086
    {
        check "$kind: an answer" "hello $version" fetch $flags -w ' %{http_version}' "$url/hello"
        check "$kind: an answer from the turn" later fetch $flags "$url/later"
        check "$kind: HEAD" 200 fetch $flags -I -o /dev/null -w '%{http_code}' "$url/hello"
        check "$kind: echo of a known length" "$sum" fetch_sum $flags --data-binary "@$dir/body" "$url/echo"
        check "$kind: echo of an unknown length" "$sum" upload_sum $flags "$url/echo"
        check "$kind: gathered and answered" "$sum" fetch_sum $flags --data-binary "@$dir/body" "$url/whole"
        check "$kind: expectation" 1000000 fetch $flags -H "Expect: 100-continue" --data-binary "@$dir/body" "$url/sink"
        check "$kind: a body that nobody reads" ignored fetch $flags --data-binary "@$dir/body" "$url/ignore"
        check "$kind: a download" 50000000 fetch $flags -o /dev/null -w '%{size_download}' "$url/down?n=50000000"
        check "$kind: an answer that breaks off" "200 4" broken_off $flags "$url/cut"
    }
done

if command -v nghttp >/dev/null; then
    check "nghttp: an answer" hello nghttp "http://127.0.0.1:$plain/hello"
    check "nghttp: an upload" 1000000 nghttp -d "$dir/body" "http://127.0.0.1:$plain/sink"
else
    skip nghttp nghttp
fi
load() { h2load "$@" 2>&1 | grep '^requests:'; }
all="requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout"
if command -v h2load >/dev/null; then
    check "h2load: plain" "$all" load -n 2000 -c 8 -m 100 "http://127.0.0.1:$plain/hello"
    check "h2load: from the turn" "$all" load -n 2000 -c 8 -m 100 "http://127.0.0.1:$plain/later"
    check "h2load: TLS" "$all" load -n 2000 -c 4 -m 20 "https://127.0.0.1:$tls/hello"
    check "h2load: uploads" "$all" load -n 2000 -c 4 -m 20 -d "$0" "http://127.0.0.1:$plain/sink"
    check "h2load: pipelined HTTP/1.1" "$all" load --h1 -n 2000 -c 8 -m 50 "http://127.0.0.1:$plain/later"
else
    skip h2load h2load
fi
echo "1..$count"
