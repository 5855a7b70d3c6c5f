package main

import (
	"slices"
	"strings"
)

// didYouMean is a question that names the closest of the names, "" if none is
// close.
func didYouMean(given string, names []string) string {
	best, least := "", max(len(given)/3, 1)+1
	for _, n := range names {
		if d := edits(given, n); d < least || d == least && best == "" && strings.HasPrefix(n, given) {
			best, least = n, d
		}
	}
	if i := slices.IndexFunc(names, func(n string) bool { return len(given) > 2 && strings.HasPrefix(n, given) }); best == "" && i >= 0 {
		best = names[i]
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// edits counts the letters to add, drop, change or swap with the next to make b
// of a.
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
