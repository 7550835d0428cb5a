#!/usr/bin/env bash
# Writes the report on a pull request: one comment, replaced by the next report. Needs gh and GH_TOKEN.
#
# The report may come from a fork, so it is a file to send and nothing else: shortened, and nobody is called by it.
set -euo pipefail

marker='<!-- edgekit gate -->'
most_bytes=60000 # GitHub takes 65,536 characters
case ${EDGEKIT_PULL_REQUEST:-} in '' | *[!0-9]*) echo "not a pull request: $EDGEKIT_PULL_REQUEST" >&2 && exit 1 ;; esac
case ${EDGEKIT_REPOSITORY:-} in [!-]*/*) ;; *) echo "not a repository: $EDGEKIT_REPOSITORY" >&2 && exit 1 ;; esac
[ -f "${EDGEKIT_REPORT:-}" ] && [ ! -L "$EDGEKIT_REPORT" ] || { echo "there is no report" >&2 && exit 1; }

body=$(mktemp)
trap 'rm -f -- "$body"' EXIT
{
  printf '%s\n' "$marker"
  head -c "$most_bytes" -- "$EDGEKIT_REPORT" | iconv -c -f utf-8 -t utf-8 | sed 's/@/@\xe2\x80\x8b/g; s/<!--/\&lt;!--/g'
  [ "$(wc -c < "$EDGEKIT_REPORT")" -le "$most_bytes" ] || printf '\n\n... the rest is in the job'"'"'s summary\n'
} > "$body"

comments=repos/$EDGEKIT_REPOSITORY/issues/$EDGEKIT_PULL_REQUEST/comments
known=$(gh api --paginate "$comments" --jq ".[] | select(.user.type == \"Bot\" and (.body | startswith(\"$marker\"))) | .id" | head -n 1)
if [ -n "$known" ]; then
  gh api --silent --method PATCH "repos/$EDGEKIT_REPOSITORY/issues/comments/$known" --field "body=@$body"
else
  gh api --silent --method POST "$comments" --field "body=@$body"
fi
