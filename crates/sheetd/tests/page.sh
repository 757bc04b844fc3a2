#!/bin/sh
# Tests sheetd's page in headless Chromium: page.sh [WORDS OF A CASE'S NAME]
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if ! command -v "${CHROMIUM:-chromium}" >/dev/null; then
  if ! output=$({ apt-get update && apt-get install -y --no-install-recommends chromium fonts-liberation; } 2>&1); then
    printf '%s\n' "$output" >&2
    exit 1
  fi
fi
CHROMIUM=$(command -v "${CHROMIUM:-chromium}")
export CHROMIUM

"$here/../page/build.sh"
cargo build --quiet --manifest-path "$here/../Cargo.toml"
target=${CARGO_TARGET_DIR:-$here/../../../target}

work=$(mktemp -d)
: >"$work/log"
"$target/debug/sheetd" --listen 127.0.0.1:0 --write-key "$work/key.json" >"$work/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
tries=0
until url=$(sed -n 's/^sheetd listening on //p' "$work/log") && [ -n "$url" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ]; then
    cat "$work/log" >&2
    exit 1
  fi
  sleep 0.1
done
node "$here/page/run.mjs" "$url" "$work/key.json" "$@"
