#!/bin/sh
# Builds the page that sheetd serves at `/` into dist/, where its sources are newer than that. Build sheetd after it.
set -eu
cd "$(dirname "$0")"

newer() { # FILE SOURCE...: is a source newer than the file?
  built=$1
  shift
  [ ! -e "$built" ] || [ -n "$(find "$@" -newer "$built" -print -quit)" ]
}

quietly() { # what a step says is shown only when it fails
  if ! output=$("$@" 2>&1); then
    printf '%s\n' "$output" >&2
    exit 1
  fi
}

if newer node_modules/.package-lock.json package.json package-lock.json; then
  # Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms.
  quietly npm install --no-save --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi
if newer dist/index.html index.html package-lock.json tsconfig.json vite.config.ts src; then
  quietly npm run --silent build
fi
