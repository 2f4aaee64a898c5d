#!/usr/bin/env bash
# Builds wuwei, starts it on a data directory of its own, deploys the examples and calls each twice: cold, then warm.
# Then the server stays until Ctrl-C. With DEMO_EXIT=1 it stops after the calls; exit status 0 when all went well.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

scripts/install-prerequisites.sh demo
use_rust
python=$(system_python)

# WUWEI_BINARY names one that is built already, for the tests of this script.
wuwei=${WUWEI_BINARY:-$PWD/target/release/wuwei}
if [ -z "${WUWEI_BINARY:-}" ]; then
    step "building wuwei (release; the first time takes some minutes)"
    cargo build --release --locked --package wuwei
fi

# Fresh each time: what the demo shows is what a first start does.
demo=$PWD/.demo
data=$demo/data
log=$demo/server.log
server=
status=0

server_field() {
    "$python" -I -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$data/server.json" "$1" 2>/dev/null
}
if pid=$(server_field pid) && kill -0 "$pid" 2>/dev/null; then
    fail "a demo is running already (process $pid)" "stop it with Ctrl-C in its terminal, or: kill $pid"
fi
rm -rf "$demo"
mkdir -p "$demo"
"$python" -I scripts/leftovers.py before "$demo/leftovers.json"

# Stops the server once and looks for what it left behind.
stop() {
    trap '' INT TERM HUP
    trap - EXIT
    if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
        step "stopping the server"
        "$python" -I scripts/leftovers.py during "$demo/leftovers.json" "$server"
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" || { warn "the server ended with status $?" && status=1; }
    fi
    if "$python" -I scripts/leftovers.py after "$demo/leftovers.json"; then
        echo "nothing is left behind: no process, namespace, mount or cgroup"
    else
        status=1
    fi
    exit "$status"
}
trap 'status=1; stop' EXIT
trap stop INT TERM HUP

is_free() { "$python" -I -c 'import socket, sys; socket.socket().bind(("127.0.0.1", int(sys.argv[1])))' "$1" 2>/dev/null; }

# Starts the server in a session of its own, so that Ctrl-C reaches only this script, and waits until it serves.
# Gives the server's exit status when it ends instead.
start() {
    local listen=127.0.0.1:9000
    is_free 9000 || listen=127.0.0.1:0
    setsid "$wuwei" up --listen "$listen" --data-dir "$data" "$@" >"$demo/server.out" 2>"$log" </dev/null &
    server=$!
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        if ! kill -0 "$server" 2>/dev/null; then
            local ended=0
            wait "$server" || ended=$?
            server=
            return "$((ended == 0 ? 1 : ended))"
        fi
        endpoint=$(server_field endpoint) && curl -sf -o /dev/null "$endpoint/healthz" && return 0
        sleep 0.1
    done
    warn "the server does not answer"
    return 1
}

step "starting the server"
no_sandbox=6
start && started=0 || started=$?
if [ "$started" -eq "$no_sandbox" ]; then
    cat "$log" >&2
    warn "this host does not let wuwei isolate functions; going on with --sandbox=reduced: run only code that you trust"
    [ "$(id -u)" -eq 0 ] || warn "functions run as your user and can read the server's keys"
    start --sandbox reduced && started=0 || started=$?
fi
if [ "$started" -ne 0 ]; then
    cat "$log" >&2
    fail "the server did not start (status $started)" "wuwei doctor says what this host offers: $wuwei doctor"
fi
echo "serving on $endpoint"

run() { "$wuwei" --data-dir "$data" "$@"; }

# call NAME LABEL EVENT-FILE [IMAGE]
call() {
    local name=$1 label=$2 event=$3 image=${4:-}
    run invoke "$name" -d "@$event" --json 2>"$demo/invoke.err" >"$demo/invoke.out" || cat "$demo/invoke.err" >&2
    "$python" -I scripts/show_invocation.py "$label" ${image:+"$image"} <"$demo/invoke.out" || status=1
}

# example NAME PATH EVENT-FILE: deploys, then calls twice.
example() {
    step "$1"
    if run deploy "$2" --name "$1" >"$demo/deploy.out"; then
        sed -n '2,4p' "$demo/deploy.out"
        call "$1" "cold" "$3" "${4:-}"
        call "$1" "warm" "${5:-$3}" "${6:-}"
    else
        status=1
    fi
}

# image_event IMAGE SIDE: the thumbnailer's event.
image_event() {
    "$python" -I -c 'import base64, json, sys
print(json.dumps({"side": int(sys.argv[2]), "image": base64.b64encode(open(sys.argv[1], "rb").read()).decode()}))' "$@"
}

# by_url NAME PATH CURL-OPTION…: calls a function through its URL, as any HTTP client does. The address is given to
# curl, for not every resolver knows that the names below localhost are this machine.
by_url() {
    local name=$1 path=$2 url host
    shift 2
    url=$(run url "$name") || return 1
    host=${url#http://}
    curl -sS --fail-with-body --max-time 60 --resolve "${host%/}:127.0.0.1" "$url$path" "$@"
}

# web NAME PATH CURL-OPTION…: shows the answer of such a call.
web() {
    local shown
    shown=$(by_url "$@") || status=1
    echo "  curl /$2: $shown"
}

runtimes=$(run runtimes --json)
if grep -q '"python3' <<<"$runtimes"; then
    example text-json examples/text-json examples/text-json/event.json
    image_event examples/images/gradient.png 64 >"$demo/png.json"
    image_event examples/images/rings.jpg 48 >"$demo/jpeg.json"
    example thumbnailer examples/thumbnailer "$demo/png.json" "$demo/thumbnail.png" "$demo/jpeg.json" "$demo/thumbnail.jpg"
    if run deploy examples/thumbnailer --name thumbnailer --url >"$demo/deploy.out"; then
        web thumbnailer "?side=32" --data-binary @examples/images/rings.jpg -H "content-type: image/jpeg" \
            -o "$demo/by-url.jpg" -w '%{content_type}, %{size_download} bytes'
    else
        status=1
    fi
    step http-api-python
    if run deploy examples/http-api-python --name http-api-python --url >"$demo/deploy.out"; then
        sed -n '2,5p' "$demo/deploy.out"
        web http-api-python "greet/Ada?language=fr"
        web http-api-python sum -H "content-type: application/json" -d '{"numbers": [1, 2, 3.5]}'
    else
        status=1
    fi
else
    warn "the server found no Python: the Python examples are left out"
fi
if grep -q '"nodejs' <<<"$runtimes"; then
    step http-api-node
    if run deploy examples/http-api-node --name http-api-node --url >"$demo/deploy.out"; then
        sed -n '2,5p' "$demo/deploy.out"
        web http-api-node tasks -H "content-type: application/json" -d '{"title": "do nothing"}'
        web http-api-node tasks/1/done -X PUT
        web http-api-node tasks
    else
        status=1
    fi
    example json-node examples/json-node examples/json-node/event.json
    step streaming-chat-node
    if run deploy examples/streaming-chat-node --name streaming-chat-node --url --url-mode RESPONSE_STREAM >"$demo/deploy.out"; then
        sed -n '2,5p' "$demo/deploy.out"
        echo "  curl /?q=journey, word by word:"
        by_url streaming-chat-node "?q=journey" -N | sed -un 's/^data: /    /p' || status=1
    else
        status=1
    fi
else
    warn "the server found no Node.js 20, 22 or 24: the Node.js examples are left out"
fi
example shell-hello examples/shell-hello examples/shell-hello/event.json
mkdir -p "$demo/native-hello"
cc -O2 -static -o "$demo/native-hello/bootstrap" examples/native-hello/bootstrap.c
example native-hello "$demo/native-hello/bootstrap" examples/native-hello/event.json

[ "$status" -eq 0 ] || warn "some examples failed; the server's log is $log"
[ -z "${DEMO_EXIT:-}" ] || stop

cat <<NEXT

${bold}The server keeps running on $endpoint.${plain} In another terminal:

  cd $PWD
  export PATH="$(dirname "$wuwei"):\$PATH" WUWEI_DATA_DIR=$data
  wuwei ls
  wuwei logs text-json -f
  wuwei invoke text-json -d '{"text": "To be, or not to be."}'
  curl "\$(wuwei url http-api-python)greet/Ada"
  eval "\$(wuwei env)"; aws lambda list-functions        # any AWS client

Ctrl-C stops it.
NEXT
wait "$server" || status=$?
server=
warn "the server ended by itself (status $status); its log is $log"
status=1
stop
