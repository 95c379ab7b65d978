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
# A JSON file from an Arrow file, read back to be sure: arrow-go cannot write every type so that it
# can read it.
convert() {
    local arrow=$1 json=${1%.arrow}.json
    "$GOBIN/arrow-json-integration-test" -verbose=false -mode ARROW_TO_JSON \
        -arrow "$arrow" -json "$json" &&
        "$GOBIN/arrow-json-integration-test" -verbose=false -mode VALIDATE \
            -arrow "$arrow" -json "$json"
}
for arrow in "$files"/*.arrow; do
    convert "$arrow" >"$work/convert.log" 2>&1 && continue
    rm -f "${arrow%.arrow}.json"
    echo "arrow-go cannot handle $(basename "$arrow"): $(grep -am1 'arrow-json\|panic' "$work/convert.log" | cut -c1-110)"
done

# The golden files of arrow-testing, where they lie beside the project.
for zipped in ../shared/data/arrow-testing/data/arrow-ipc-stream/integration/cpp-21.0.0/*.json.gz; do
    [ -e "$zipped" ] || continue
    name=golden-$(basename "$zipped" .json.gz)
    gunzip -c "$zipped" >"$files/$name.json"
    cp --no-preserve=mode "${zipped%.json.gz}.arrow_file" "$files/$name.arrow"
done

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
    if "$GOBIN/arrow-flight-integration-client" -host localhost -port "$port" -path "$json" \
        >"$work/client.log" 2>&1; then
        uploaded=$((uploaded + 1))
    elif grep -qa 'error while writing' "$work/client.log"; then
        echo "arrow-go cannot send $(basename "$json")"
        rm "$json"
    else
        echo "$json failed" >&2
        cat "$work/client.log" >&2
        exit 1
    fi
done
"$python" tests/interop/arrow_files.py check "$uri" "$files"

kill "$server_pid"
wait "$server_pid"
trap - EXIT
echo "$uploaded passed, 0 failed"
