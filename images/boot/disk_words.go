package boot

import (
	"slices"
	"strings"
)

// diskWords begin the words of a command line that name the disk of one
// machine, or say how to mount what is on it.
var diskWords = []string{
	"root=", "rootfstype=", "rootflags=", "rootdelay=", "rootwait", "resume=", "resume_offset=", "cryptdevice=",
	"rd.lvm.lv=", "rd.lvm.vg=", "rd.luks.uuid=", "rd.luks.name=", "rd.md.uuid=",
}

// WithoutDisk takes out of a command line the words that name the disk of one
// machine. The disk that is made has another one, which the line's words would
// hide: of two words root= the last counts. It also returns the words that it
// took out.
func WithoutDisk(line string) (rest string, taken []string) {
	words, forInit := SplitWords(line)
	kept := words[:0:0]
	for _, word := range words {
		if namesDisk(word) {
			taken = append(taken, word)
		} else {
			kept = append(kept, word)
		}
	}
	if len(taken) == 0 {
		return line, nil
	}
	return joinSplit(kept, forInit), taken
}

func namesDisk(word string) bool {
	return slices.ContainsFunc(diskWords, func(begin string) bool {
		return word == begin || strings.HasSuffix(begin, "=") && strings.HasPrefix(word, begin)
	})
}
