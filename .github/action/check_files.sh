#!/usr/bin/env bash
# Calls edgekit with the first arguments and each file that follows the last option: check_files.sh gate --dry-run --budgets FILE...
set -uo pipefail
command=()
while [ $# -gt 0 ]; do
  case $1 in --budgets | --recipe) command+=("$1") && shift && break ;; *) command+=("$1") && shift ;; esac
done
failed=0
for file in "$@"; do
  edgekit "${command[@]}" "$file" > /dev/null || failed=$?
done
exit "$failed"
