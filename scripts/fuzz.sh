#!/bin/sh
# Runs every fuzz target of the repository for the given time each.
# Usage: fuzz.sh TIME, as in 20s or 20m
set -eu
cd "$(dirname "$0")/.."
time=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Making an input smaller that is merely interesting may take all the time
# there is: stop after some tries. Go's fuzzer may end with "context deadline
# exceeded" where its time ran out in the middle of one: that is no find.
fuzz() {
	go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 300x >"$log" 2>&1 && return
	grep -q '^ *context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"
}

grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		package=$(dirname "$file")
		fuzz "$package" "$target" || { cat "$log"; exit 1; }
		echo "$package $target: $(grep -o 'elapsed: .*' "$log" | tail -n 1)"
	done
done
