#!/bin/sh
# Resolve requirements/*.in into hash-pinned locks for every platform; no address of a package index is written.
set -eu
cd "$(dirname "$0")/.."
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@"
}

compile requirements/installer.in --output-file requirements/installer.lock ${UPGRADE:+--upgrade}
compile requirements/run.in --output-file requirements/run.lock ${UPGRADE:+--upgrade}
compile requirements/dev.in --constraints requirements/run.lock --output-file requirements/dev.lock ${UPGRADE:+--upgrade}
compile requirements/fuzz.in --constraints requirements/dev.lock --output-file requirements/fuzz.lock ${UPGRADE:+--upgrade}
