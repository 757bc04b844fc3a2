#!/usr/bin/env bash
# Runs gspread and google-api-python-client against sheetd. Needs python3 with venv, and PyPI the first time.
set -euo pipefail
. "$(dirname "$0")/with_server.sh"

python_with gspread google-api-python-client
start_server
cd "$crate/tests/clients"
SHEETD_SERVER=$server SHEETD_KEY=$key "$python" -B -W ignore::ResourceWarning -m unittest -q
