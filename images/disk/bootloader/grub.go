package bootloader

import (
	"fmt"
	"strings"
)

// grubConsoles shows the menu on the screen and, if there is one, on the first
// serial port. A machine in a rack often has only a serial console. A machine
// without a serial port must not wait for one.
const grubConsoles = `if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
`

// grubConf returns GRUB's menu.
func (m Menu) grubConf() string {
	var b strings.Builder
	b.WriteString(grubConsoles)
	fmt.Fprintf(&b, "set default=0\nset timeout=%d\n", m.seconds())
	for _, e := range m.Entries {
		b.WriteString(e.grubConf())
	}
	return b.String()
}

func (e Entry) grubConf() string {
	var b strings.Builder
	fmt.Fprintf(&b, "menuentry %s --id %s {\n", grubQuote(e.Title), grubQuote(e.ID))
	fmt.Fprintf(&b, "  echo %s\n", grubQuote("Loading "+e.Title+" ..."))
	fmt.Fprintf(&b, "  linux /%s %s\n", e.kernelPath(), grubWords(e.Cmdline))
	if e.Initrd.Open != nil {
		fmt.Fprintf(&b, "  initrd /%s\n", e.initrdPath())
	}
	b.WriteString("}\n")
	return b.String()
}

// GRUBWords returns a kernel command line in the form that GRUB's command linux
// takes and passes on as it is. The error says what GRUB would change.
func GRUBWords(cmdline string) (string, error) {
	return grubWords(cmdline), checkCmdline(cmdline)
}

func grubWords(cmdline string) string {
	words := cmdlineWords(cmdline)
	for i, word := range words {
		words[i] = grubQuote(word)
	}
	return strings.Join(words, " ")
}

// grubQuote quotes a text as one word of a GRUB script.
func grubQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// cmdlineWords splits a kernel command line as the kernel does: at spaces
// outside of double quotes. It removes the quotes, because GRUB adds quotes
// around a word with spaces.
func cmdlineWords(cmdline string) []string {
	quoted := false
	words := strings.FieldsFunc(cmdline, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, `"`, "")
	}
	return words
}
