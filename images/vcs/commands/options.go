package commands

import (
	"slices"
	"strings"
)

// grammar describes the options of a command.
type grammar struct {
	letters string   // the options of one letter that have a value
	names   []string // the long options that have a value
}

// option is one option of a command line. Its name has no dashes.
type option struct{ name, value string }

// parse splits arguments into options and words. before is the number of words
// that precede "--", or -1 if there is no "--". The tools accept abbreviations
// of long options.
func (g grammar) parse(args []string) (options []option, words []string, before int) {
	for i := 0; i < len(args); i++ {
		next := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch arg := args[i]; {
		case arg == "--":
			return options, append(words, args[i+1:]...), len(words)
		case strings.HasPrefix(arg, "--"):
			name, value, given := strings.Cut(arg[2:], "=")
			if at := slices.IndexFunc(g.names, func(n string) bool { return strings.HasPrefix(n, name) }); at >= 0 {
				if name = g.names[at]; !given {
					value = next()
				}
			}
			options = append(options, option{name, value})
		case len(arg) > 1 && arg[0] == '-':
			options = append(options, g.cluster(arg[1:], next)...)
		default:
			words = append(words, arg)
		}
	}
	return options, words, -1
}

// cluster splits options of one letter, as in -qs v1.
func (g grammar) cluster(letters string, next func() string) (options []option) {
	for i := range len(letters) {
		o := option{name: letters[i : i+1]}
		if !strings.Contains(g.letters, o.name) {
			options = append(options, o)
			continue
		}
		if o.value = letters[i+1:]; o.value == "" {
			o.value = next()
		}
		return append(options, o)
	}
	return options
}

// has reports whether one of the names is among the options. A long name may be
// abbreviated.
func has(options []option, names ...string) bool {
	return slices.ContainsFunc(options, func(o option) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return o.name == name || len(o.name) > 2 && len(name) > 1 && strings.HasPrefix(name, o.name)
		})
	})
}

// last returns the value of the last of the options with one of the names.
func last(options []option, names ...string) (value string, ok bool) {
	for _, o := range options {
		if slices.Contains(names, o.name) {
			value, ok = o.value, true
		}
	}
	return value, ok
}
