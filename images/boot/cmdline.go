package boot

import (
	"slices"
	"strings"
)

// InitWord names the first program on a kernel's command line. Without it the
// kernel starts [DefaultInit].
const InitWord = "init="

// endOfKernelWords separates the kernel's words on its command line from those
// for the first program.
const endOfKernelWords = "--"

// JoinWords makes one command line of several parts. The words that they have
// for the first program come last, since the kernel passes on all words after
// the first "--".
func JoinWords(parts ...string) string {
	var kernel, init []string
	for _, part := range parts {
		words, rest := SplitWords(part)
		kernel, init = append(kernel, words...), append(init, rest...)
	}
	return joinSplit(kernel, init)
}

// joinSplit is the inverse of [SplitWords].
func joinSplit(kernel, init []string) string {
	if len(init) > 0 {
		kernel = slices.Concat(kernel, []string{endOfKernelWords}, init)
	}
	return strings.Join(kernel, " ")
}

// KernelWords are those words of a command line that are for the kernel, and
// for what starts a system before its own first program.
func KernelWords(line string) []string {
	words, _ := SplitWords(line)
	return words
}

// SplitWords splits a command line at blanks that are not between double
// quotes, as the kernel does: its own words, and those for the first program.
func SplitWords(line string) (kernel, init []string) {
	quoted := false
	words := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n')
	})
	for i, word := range words {
		if word == endOfKernelWords {
			return words[:i:i], words[i+1:]
		}
	}
	return words, nil
}

// StartBy has a command line start a program in the place of the system's own
// first one. It returns the line, and the program that the line named before,
// or "" if it named none.
func StartBy(line, program string) (changed, named string) {
	words, forInit := SplitWords(line)
	kept := words[:0:0]
	for _, word := range words {
		if name, ok := strings.CutPrefix(word, InitWord); ok {
			named = name
		} else {
			kept = append(kept, word)
		}
	}
	if program != DefaultInit {
		kept = append(kept, InitWord+program)
	}
	return joinSplit(kept, forInit), named
}
