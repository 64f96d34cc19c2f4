#!/usr/bin/env bash
# Walks through everything that leads to a good build, step by step, and reports what each took. It goes on after a
# failed step, so that one run tells all; it exits with 1 when any step failed.
set -uo pipefail
cd "$(dirname "$0")/.."

names=()
results=()
failed=0

step() { # name command…
    local name=$1 begin=$SECONDS result=passed
    shift
    echo
    echo "== $name: $*"
    if ! "$@"; then
        result=FAILED
        failed=1
    fi
    names+=("$name")
    results+=("$result in $((SECONDS - begin)) s")
}

step "what is needed" scripts/setup.sh
step "formatting and lints" make --no-print-directory check
step "programs" make --no-print-directory build
step "rules of the house" cargo xtask layers
step "unit tests" make --no-print-directory test-unit
step "end-to-end tests" make --no-print-directory test-integration
step "programs answer" bin/throome-cli version

echo
for index in "${!names[@]}"; do
    printf '%-22s %s\n' "${names[$index]}" "${results[$index]}"
done
echo "the dashboard and the other SDKs are not built yet, so no step is about them"
exit "$failed"
