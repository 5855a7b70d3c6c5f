#!/bin/sh
# Runs every fuzz target of the repository for the given time each.
# Usage: fuzz.sh TIME, as in 20s or 20m
set -eu
cd "$(dirname "$0")/.."
time=$1

grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		echo "== $(dirname "$file") $target"
		go test "$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time"
	done
done
