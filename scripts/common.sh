# Sourced by the other scripts: where things are, and as whom a Postgres server runs.
#
# Everything that is built or started here stays out of the system's own Postgres: the extension is installed into a
# private tree (scripts/postgres-tree) whose programs are copies of the installed server's. A machine whose real server
# has sheet_sync installed can run the tests and the demo of a newer version beside it.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '\033[1m%s\033[0m\n' "sheet_sync: $*"; }
die() {
    printf 'sheet_sync: %s\n' "$@" >&2
    exit 1
}

if [ "$(id -u)" = 0 ]; then
    owner=$(stat -c %u "$root")
    [ -z "${SUDO_USER:-}" ] || [ "$owner" = 0 ] ||
        die "run this without sudo: files in the tree would end up owned by root." \
            "It calls sudo itself where it must install a package."
fi

# cargo is looked for where rustup puts it, because a non-login shell often has not read its profile.
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"

export USER=${USER:-$(id -un)}
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
export CARGO_TARGET_DIR=$target

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this must run as root and there is no sudo: $*"
    fi
}

# What apt says is shown only if it fails.
apt() {
    local log status=0
    log=$(mktemp)
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$log" 2>&1 || status=$?
    [ "$status" = 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

install_packages() {
    command -v apt-get >/dev/null || die "please install: $*"
    say "installing $*"
    apt update
    apt install -y --no-install-recommends "$@"
}

# What builds sheetd's page.
node_is_new_enough() {
    command -v npm >/dev/null && [ "$(node --version 2>/dev/null | sed 's/v\([0-9]*\).*/\1/')" -ge 20 ]
}

# A Postgres server refuses to run as root, so root runs it as the user that Debian's packages create.
if [ "$(id -u)" = 0 ]; then server_user=postgres; else server_user=$(id -un); fi

as_server_user() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# The server's pg_config: $PG_CONFIG, else version 15, else the newest supported one that has its headers.
find_pg_config() {
    local version candidate
    if [ -n "${PG_CONFIG:-}" ]; then
        echo "$PG_CONFIG"
        return
    fi
    for version in 15 18 17 16 14 13; do
        candidate=/usr/lib/postgresql/$version/bin/pg_config
        if [ -x "$candidate" ] && [ -f "$("$candidate" --includedir-server)/postgres.h" ]; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# Sets pg_config, pg_major, pg_feature, and where private files go that the server's user must be able to read.
find_postgres() {
    pg_config=$(find_pg_config) || die "no Postgres server with headers found: run 'make setup'."
    pg_major=$("$pg_config" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    pg_feature=pg$pg_major
    pg_build=(--no-default-features --features "$pg_feature")

    private=$target/sheet_sync
    mkdir -p "$private"
    if ! as_server_user test -x "$private"; then
        # The tree is below a directory (root's home, say) that the server's user may not enter.
        private=/var/tmp/sheet_sync-$(printf %s "$root" | cksum | cut -d' ' -f1)
        [ -d "$private" ] || mkdir -m 755 "$private"
        [ -O "$private" ] || die "$private belongs to another user: remove it."
    fi
    tree=$private/pg$pg_major
    tree_pg_config=$tree$("$pg_config" --bindir)/pg_config

    # What `cargo pgrx test` installs goes into the private tree too.
    export PGRX_HOME=$private/pgrx
    export SHEET_SYNC_PG_BINDIR=$tree$("$pg_config" --bindir)
    export SHEET_SYNC_PG_TEMPLATE=$private/template$pg_major

    # cargo-pgrx passes a linker flag through rustflags that only aarch64 without LTO needs; on x86_64 it would only
    # make cargo build every dependency a second time.
    if [ "$(uname -m)" = x86_64 ]; then
        export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
    fi

    # pgrx would put backtraces with paths of this machine into the DETAIL of every error.
    unset RUST_BACKTRACE
}

# Builds the extension and installs it into the private tree. Arguments go to `cargo pgrx install`.
install_extension() {
    cargo pgrx install --pg-config "$tree_pg_config" "${pg_build[@]}" "$@"
}
