#!/usr/bin/env bash
# Finds the open pull request of a branch (OWNER:BRANCH) whose newest commit is the one that was checked; none where another was pushed since.
set -euo pipefail
number=$(gh api --method GET "repos/${EDGEKIT_REPOSITORY:?}/pulls" --field state=open --raw-field "head=${EDGEKIT_HEAD:?}" --jq ".[] | select(.head.sha == env.EDGEKIT_COMMIT) | .number" | head -n 1)
case $number in *[!0-9]*) echo "not a number: $number" >&2 && exit 1 ;; esac
printf 'number=%s\n' "$number" >> "${GITHUB_OUTPUT:?}"
