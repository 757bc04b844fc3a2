#!/usr/bin/env bash
# Replays recorded traffic of the real service: replay.sh [CORPUS.jsonl [replay_recorded.py]]. Skips where the files are not there.
set -euo pipefail
. "$(dirname "$0")/with_server.sh"

shared=$crate/../../../shared
corpus=${1:-$shared/corpus/recorded_sheets_traffic.jsonl}
tool=${2:-$shared/tools/replay_recorded.py}
for file in "$corpus" "$tool"; do
    if [ ! -f "$file" ]; then
        echo "replay: skipped, there is no $(basename "$file")"
        exit 0
    fi
done
python_with requests google-auth
start_server
"$python" "$tool" "$corpus" --server "$server" --key "$key"
