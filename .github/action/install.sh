#!/usr/bin/env bash
# Installs edgekit as it is pinned; torch first and alone, so that nothing pulls another one.
set -euo pipefail
cd "$(dirname "$0")/../.."
index=()
if [ -n "${EDGEKIT_TORCH_INDEX:-}" ]; then index=(--index-url "$EDGEKIT_TORCH_INDEX"); fi
python -m pip install --quiet ${index[@]+"${index[@]}"} torch==2.13.0
python -m pip install --quiet --no-deps -r requirements.lock
python -m pip install --quiet --no-deps .
edgekit doctor
