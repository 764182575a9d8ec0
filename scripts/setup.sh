#!/bin/sh
# Make .venv and install a lock into it: `scripts/setup.sh run` or `scripts/setup.sh dev` (which contains run);
# `scripts/setup.sh fuzz` adds to dev.
# Done once per lock; nothing is downloaded that the lock does not name by its hash.
set -eu
cd "$(dirname "$0")/.."
wanted="${1:-run}"

say() { printf '%s\n' "$*" >&2; }

hash_of() { cksum <"requirements/$1.lock" | tr ' ' '-'; }

installed() { [ -f ".venv/.installed-$1" ] && [ "$(cat ".venv/.installed-$1")" = "$(hash_of "$1")" ]; }

if [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null; then
    if installed "$wanted"; then exit 0; fi
    if [ "$wanted" = run ] && installed dev; then exit 0; fi
else
    rm -rf .venv
    for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi
        python=
    done
    if [ -z "$python" ]; then
        say "No Python >= 3.11 with the venv module found: install python3 and python3-venv."
        exit 1
    fi
    say "Making .venv with $("$python" --version)"
    "$python" -m venv .venv
fi

# Without a home that can be written, caches go into .venv.
if [ -z "${HOME:-}" ] || [ ! -w "${HOME:-}" ]; then
    export PIP_CACHE_DIR="$PWD/.venv/.cache/pip" UV_CACHE_DIR="$PWD/.venv/.cache/uv"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}" UV_LINK_MODE="${UV_LINK_MODE:-copy}"
pip=".venv/bin/python -m pip"

# uv does not read pip's configuration, so a mirror that is configured for pip is handed on.
pip_option() { $pip config get "$1" 2>/dev/null | tail -n 1 || true; }
index="${PIP_INDEX_URL:-$(pip_option global.index-url)}"
if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then export UV_DEFAULT_INDEX="$index"; fi
certificates="${PIP_CERT:-$(pip_option global.cert)}"
if [ -n "$certificates" ] && [ -z "${SSL_CERT_FILE:-}" ]; then export SSL_CERT_FILE="$certificates"; fi

say "Installing requirements/$wanted.lock"
if [ ! -x .venv/bin/uv ]; then
    $pip install --quiet --require-hashes --no-deps -r requirements/installer.lock || say "No uv; pip takes longer."
fi
if ! { [ -x .venv/bin/uv ] &&
    .venv/bin/uv pip install --quiet --no-config --python .venv/bin/python --require-hashes --no-deps \
        -r "requirements/$wanted.lock"; }; then
    $pip install --quiet --require-hashes --no-deps -r "requirements/$wanted.lock"
fi
hash_of "$wanted" >".venv/.installed-$wanted"
