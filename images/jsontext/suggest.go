package jsontext

import (
	"fmt"
	"slices"
	"strings"
)

// DidYouMean goes at the end of a sentence about a word that is not known: it
// is `; did you mean "x"?` with the known word that is nearest to the one
// written, or "" where none is near. Upper and lower case are the same. A word of up to
// five letters may have one mistake, a longer one two: "live" is no misspelt "wipe".
func DidYouMean(written string, known []string) string {
	best, distance := "", 3
	for _, word := range slices.Sorted(slices.Values(known)) {
		d := editDistance(strings.ToLower(written), strings.ToLower(word))
		if d < distance && d <= max(1, len(word)/3) && d < len(word) {
			best, distance = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the bytes to insert, delete or replace, and the neighbours to
// exchange, that make a from b.
// Words much longer than any key are far from all of them.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
