#!/usr/bin/env bash
# Gates those artifacts of a folder that have budgets. Where nothing was built nothing is checked: an export takes too long for a commit.
set -euo pipefail
folder=${EDGEKIT_ARTIFACTS:-build}
budgets=${EDGEKIT_BUDGETS:-recipes/budgets.toml}
options=()
shopt -s nullglob
for manifest in "$folder"/*.manifest.json; do
  artifact=${manifest%.manifest.json}
  if grep --quiet --fixed-strings "\"$(basename -- "$artifact")\"" "$budgets"; then options+=(--artifact "$artifact"); fi
done
if [ ${#options[@]} -eq 0 ]; then exit 0; fi
exec edgekit gate --budgets "$budgets" "${options[@]}"
