// Package dialect says what a machine boots in the language of its boot loader: scripts of
// iPXE, configurations of GRUB and of U-Boot, the files of a Raspberry Pi's firmware, and
// answers to an agent that runs already. It knows what each loader cannot be told, and the
// names of the files that it asks for. It decides nothing about a machine.
package dialect

import (
	"fmt"
	"path"
	"strings"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// Dialect is the language of one boot loader. Its texts may contain anything as a
// reason: each dialect makes sure that none of it becomes a command.
type Dialect interface {
	// Boot loads and starts a program. The error says which word of the command
	// line the loader would not pass on as it is.
	Boot(p Program) (string, error)
	// Again asks the server once more, in a few seconds.
	Again(mac provision.MAC, reason string) string
	// Leave goes on to the machine's next boot device.
	Leave(reason string) string
	// Patience is how long the loader still waits for its answer.
	Patience() time.Duration
}

// AnswerWait is how long a request for a script waits for an image that is
// still being packed. Then the machine is told to ask again.
const AnswerWait = 20 * time.Second

// RetryAfter is after how many seconds what had no turn may be tried again. Loaders are
// told it in their dialects, and clients of HTTP in the header Retry-After.
const RetryAfter = "8"

// plain is text that a boot loader's shell prints as it is.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || strings.ContainsRune("$&|#;\"'`\\", r) {
			return ' '
		}
		return r
	}, text)
}

// tftpName is the name by which TFTP serves a file of the depot.
func tftpName(f depot.File, name string) string {
	return strings.TrimPrefix(depot.FilePath(f.Digest, name), "/")
}

// DepotFile returns the digest in the name of a file of the depot.
func DepotFile(name string) (digest string, ok bool) {
	dir, base := path.Split(name)
	digest = strings.TrimSuffix(dir, "/")
	digest = digest[strings.LastIndexByte(digest, '/')+1:]
	return "sha256:" + digest, digest != "" && "/"+name == depot.FilePath("sha256:"+digest, base)
}

// countTo is "1 2 3": the shells of GRUB and U-Boot have no arithmetic for it.
func countTo(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprint(i + 1)
	}
	return strings.Join(words, " ")
}
