# Sourced by the scripts beside it: a virtual environment with the Python packages named, and a server on a free port.
# Leaves $python, $server and $key; the server ends with the script.

crate=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$crate/../../target}

python_with() {
    local venv=$target/sheetd-venv
    python=$venv/bin/python
    [ -x "$python" ] || python3 -m venv "$venv"
    "$python" -m pip --version >/dev/null 2>&1 || { echo "python3-venv is needed" >&2; exit 1; }
    local package
    for package in "$@"; do
        "$python" -m pip show -q "$package" >/dev/null 2>&1 || "$python" -m pip install -q --disable-pip-version-check "$package"
    done
}

start_server() {
    cargo build -q --manifest-path "$crate/Cargo.toml"
    work=$(mktemp -d)
    key=$work/key.json
    : >"$work/out"
    "$target/debug/sheetd" --listen 127.0.0.1:0 --write-key "$key" "$@" >"$work/out" &
    local pid=$!
    trap 'kill '"$pid"' 2>/dev/null; rm -rf '"$work" EXIT
    for _ in $(seq 100); do
        server=$(sed -n 's/^sheetd listening on //p' "$work/out")
        [ -n "$server" ] && return
        sleep 0.1
    done
    echo "sheetd does not start" >&2
    exit 1
}
