package target

import "strings"

// endOfKernelWords begins what a kernel's command line has for the first
// program rather than for the kernel.
const endOfKernelWords = "--"

// joinWords makes one command line of several parts. What each has for the
// first program comes last, where the kernel looks for it.
func joinWords(parts ...string) string {
	var kernel, init []string
	for _, part := range parts {
		words, rest := splitWords(part)
		kernel, init = append(kernel, words...), append(init, rest...)
	}
	if len(init) > 0 {
		kernel = append(append(kernel, endOfKernelWords), init...)
	}
	return strings.Join(kernel, " ")
}

// KernelWords are those of a command line that are for the kernel, and for what
// starts a system before its own first program.
func KernelWords(line string) []string {
	words, _ := splitWords(line)
	return words
}

// splitWords splits a command line at blanks that are not between double
// quotes, as the kernel does: its own words, and those for the first program.
func splitWords(line string) (kernel, init []string) {
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
