package survey

import (
	"strconv"
	"strings"

	"cloudlets/images/lazyregexp"
)

// ownName is the expression for the name of a copy, or else a name from the image.
func ownName(old string) string { return `<%= env.hostname || ` + literal(old) + ` %>` }

// names matches names of machines, with blanks between them.
var names = lazyregexp.New(`^[A-Za-z0-9._ \t-]*$`)

// literal is a text in JavaScript. What cannot be the name of a machine is left
// out, since it might end the tag.
func literal(text string) string {
	if !names().MatchString(text) {
		text = ""
	}
	return strconv.Quote(text)
}

// hostnameFile replaces the name in hostname(5), which is the first line that is
// not a comment.
func hostnameFile(old string) string {
	lines := strings.SplitAfter(old, "\n")
	for i, line := range lines {
		name := strings.TrimSpace(line)
		if name != "" && !strings.HasPrefix(name, "#") {
			lines[i] = strings.Replace(line, name, ownName(name), 1)
			return strings.Join(lines, "")
		}
	}
	return ended(old) + ownName("") + "\n"
}

// confLine is the setting of OpenRC's /etc/conf.d/hostname, up to the name and with
// it.
var confLine = lazyregexp.New(`(?m)^([ \t]*hostname=["']?)([^"'\s#]*)`)

func confHostname(old string) string {
	at := confLine().FindStringSubmatchIndex(old)
	if at == nil {
		return ended(old) + `hostname="` + ownName("") + "\"\n"
	}
	return old[:at[4]] + ownName(old[at[4]:at[5]]) + old[at[5]:]
}

// withAlias is the expression for the names of a copy in hosts(5): its name, and
// the first part of one that has several.
const withAlias = `env.hostname.replace(/^([^.]*)\..*/, "$& $1")`

var (
	// ownLine is the line of hosts(5) that Debian and others have for the machine's
	// own name.
	ownLine = lazyregexp.New(`(?m)^(127\.0\.1\.1[ \t]+)([^#\n]*[^#\s])`)
	// loopbacks are the lines of the addresses before it.
	loopbacks = lazyregexp.New(`(?m)^127\..*(\n|\z)`)
)

// usualHosts is what an image gets that has no hosts(5), or an empty one, as
// container images do.
const usualHosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

// hostsFile replaces the names of 127.0.1.1. If the address has no line, it adds
// one that only copies with a name have.
func hostsFile(old string) string {
	if strings.TrimSpace(old) == "" {
		old = usualHosts
	}
	if at := ownLine().FindStringSubmatchIndex(old); at != nil {
		return old[:at[4]] + "<%= env.hostname ? " + withAlias + " : " + literal(old[at[4]:at[5]]) + " %>" + old[at[5]:]
	}
	end := 0
	if all := loopbacks().FindAllStringIndex(old, -1); all != nil {
		end = all[len(all)-1][1]
	}
	return ended(old[:end]) + "<% if (env.hostname) { -%>\n127.0.1.1\t<%= " + withAlias + " %>\n<% } -%>\n" + old[end:]
}

// keysFile adds the keys of the argument sshKeys to authorized_keys.
func keysFile(old string) string {
	return ended(old) + "<% args.sshKeys.forEach(function (key) { -%>\n<%= key %>\n<% }) -%>\n"
}

// ended is a text whose last line has an end.
func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}
