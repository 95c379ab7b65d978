#!/usr/bin/env bash
# The steps by which Remote Arrow gets onto a machine or into an image. The Dockerfile takes them, and so do
# tests where there are no containers.
#   build-packages     installs what building needs (root or sudo)
#   build              compiles into build/
#   install            copies what was built below $DESTDIR$PREFIX (PREFIX: /usr/local)
#   runtime-packages   installs the libraries that the server needs (root)
#   notebook FOLDER    makes a Python environment with JupyterLab and the Python package
set -euo pipefail
cd "$(dirname "$0")/.."

install_packages() {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    rm -rf /var/lib/apt/lists/*
}

# The server finds its SQL worker beside itself, and that one the library: all in one folder.
install_server() {
    local prefix=${PREFIX:-/usr/local} root=${DESTDIR:-}
    local lib=$prefix/lib/remote-arrow
    install -d "$root$lib" "$root$prefix/bin" "$root$prefix/lib/systemd/system" \
        "$root$prefix/lib/sysusers.d" "$root$prefix/share/doc/remote-arrow"
    install -m 755 build/remote-arrow-server build/remote-arrow-sql "$root$lib"
    install -m 644 build/duckdb/libduckdb.so "$root$lib"
    ln -sfn ../lib/remote-arrow/remote-arrow-server "$root$prefix/bin/remote-arrow-server"
    sed "s|@BINDIR@|$prefix/bin|" packaging/remote-arrow.service \
        > "$root$prefix/lib/systemd/system/remote-arrow.service"
    install -m 644 packaging/remote-arrow.sysusers "$root$prefix/lib/sysusers.d/remote-arrow.conf"
    install -m 644 LICENSE docs/*.md "$root$prefix/share/doc/remote-arrow"
    install -m 644 build/duckdb/LICENSE "$root$prefix/share/doc/remote-arrow/LICENSE.duckdb"
}

# Built from a copy, as setuptools writes beside its sources.
install_notebook() {
    local copy
    copy=$(mktemp -d)
    cp -r python "$copy"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
        -r packaging/notebook-requirements.txt "$copy/python"
    rm -r "$copy"
}

case "${1:-}" in
    build-packages) tools/install-deps ;;
    build) make -s -j"$(nproc)" build ;;
    install) install_server ;;
    runtime-packages) mapfile -t packages < packaging/runtime-packages.txt
                      install_packages "${packages[@]}" ;;
    notebook) install_notebook "${2:?the folder of the environment}" ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
