#!/usr/bin/env bash
# Runs arrow-go's Flight integration client (DoPut by path, one acknowledgement a batch, GetFlightInfo,
# DoGet from the location, F-22, F-60) over files of every Arrow type, against a server of its own.
#
#   tools/interop-json.sh        needs go and Python with pyarrow; PYTHON and RA_SERVER choose them
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
server=${RA_SERVER:-build/remote-arrow-server}
arrow_go=github.com/apache/arrow-go/v18
version=v18.7.0
work=$(pwd)/build/interop
files=$work/files

[ -x "$server" ] || { echo "$server is not there: run make" >&2; exit 1; }
rm -rf "$files" "$work/data"
mkdir -p "$files"
export GOBIN=$work/bin
go install "$arrow_go/arrow/internal/flight_integration/cmd/arrow-flight-integration-client@$version"
go install "$arrow_go/arrow/ipc/cmd/arrow-json-integration-test@$version"

"$python" tests/interop/arrow_files.py write "$files"
converted=0
for arrow in "$files"/*.arrow; do
    json=${arrow%.arrow}.json
    if "$GOBIN/arrow-json-integration-test" -verbose=false -mode ARROW_TO_JSON \
        -arrow "$arrow" -json "$json" >"$work/convert.log" 2>&1; then
        converted=$((converted + 1))
    else
        rm -f "$json"
        echo "arrow-go cannot write $(basename "$arrow") as JSON: $(tail -n 1 "$work/convert.log" | cut -c1-120)"
    fi
done
echo "$converted converted to JSON"

"$server" --port 0 --data-dir "$work/data" >"$work/ready" 2>"$work/server.log" &
server_pid=$!
trap 'kill "$server_pid" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    grep -q '^Server online: ' "$work/ready" && break
    kill -0 "$server_pid" || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.1
done
uri=$(sed -n 's/^Server online: //p' "$work/ready")
port=${uri##*:}

uploaded=0
for json in "$files"/*.json; do
    "$GOBIN/arrow-flight-integration-client" -host localhost -port "$port" -path "$json" \
        >"$work/client.log" 2>&1 || { echo "$json failed" >&2; cat "$work/client.log" >&2; exit 1; }
    uploaded=$((uploaded + 1))
done
"$python" tests/interop/arrow_files.py check "$uri" "$files"

kill "$server_pid"
wait "$server_pid"
trap - EXIT
echo "$uploaded passed, 0 failed"
