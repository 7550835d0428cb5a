#!/usr/bin/env bash
# Exports what is listed and holds the artifacts to their budgets. Ends as `edgekit gate` does: 6 where a budget is exceeded.
#
# Leaves report.md and gate.json beside the artifacts, whatever the verdict, and the report in the job's summary.
set -euo pipefail

artifacts=${EDGEKIT_ARTIFACTS:?}
report=$artifacts/report.md
document=$artifacts/gate.json
mkdir -p -- "$artifacts"
rm -f -- "$report" "$document"

finish() {
  code=$?
  case $code in 0) verdict=kept ;; 6) verdict=exceeded ;; *) verdict=failed ;; esac
  if [ ! -s "$report" ]; then
    printf '# Budgets\n\nNothing was checked: edgekit ended with %s. Its log says why.\n' "$code" > "$report"
  fi
  cat -- "$report" >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
  printf 'verdict=%s\nreport=%s\ndocument=%s\n' "$verdict" "$report" "$document" >> "${GITHUB_OUTPUT:-/dev/null}"
  exit "$code"
}
trap finish EXIT

while read -ra arguments; do
  [ ${#arguments[@]} -gt 0 ] || continue
  edgekit export "${arguments[@]}" --output-dir "$artifacts" --overwrite
done <<< "${EDGEKIT_EXPORTS:-}"

options=()
if [ -n "${EDGEKIT_COMPARE:-}" ] && [ -s "$EDGEKIT_COMPARE" ]; then
  options+=(--compare "$EDGEKIT_COMPARE" --why)
fi
edgekit gate --budgets "${EDGEKIT_BUDGETS:?}" --artifact "$artifacts" --markdown "$report" --json ${options[@]+"${options[@]}"} > "$document"
