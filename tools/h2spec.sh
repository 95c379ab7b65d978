#!/usr/bin/env bash
# Runs h2spec, strict, against a server of its own. Every case must pass but those in
# tests/h2spec-exceptions.txt, which gives the reason of each.
#
#   tools/h2spec.sh              needs go; RA_SERVER chooses the server
set -euo pipefail
cd "$(dirname "$0")/.."

server=${RA_SERVER:-build/remote-arrow-server}
work=$(pwd)/build/h2spec
rm -rf "$work/data"
mkdir -p "$work"
GOBIN=$work/bin go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible

"$server" --port 0 --data-dir "$work/data" --log-level warning >"$work/ready" 2>"$work/server.log" &
server_pid=$!
trap 'kill "$server_pid" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    grep -q '^Server online: ' "$work/ready" && break
    kill -0 "$server_pid" || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.1
done
port=$(sed -n 's/.*://p' "$work/ready")
"$work/bin/h2spec" --strict --host localhost --port "$port" --timeout 3 --path /healthz \
    --junit-report "$work/report.xml" >"$work/output.txt" || true
python3 - "$work/report.xml" tests/h2spec-exceptions.txt <<'PY'
import sys
import xml.etree.ElementTree as tree

allowed = {line.split("#")[0].strip() for line in open(sys.argv[2])} - {""}
passed, failed, skipped = 0, [], 0
for suite in tree.parse(sys.argv[1]).iter("testsuite"):
    for case in suite.iter("testcase"):
        name = f"{case.get('package')}: {case.get('classname')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
unexpected = [name for name in failed if name not in allowed]
sys.stdout.write("".join(f"h2spec: {name} failed\n" for name in unexpected))
excused = len(failed) - len(unexpected)
sys.stdout.write(f"h2spec: {passed} passed, {len(unexpected)} failed, {skipped + excused} skipped\n")
sys.exit(1 if unexpected or not passed else 0)
PY
