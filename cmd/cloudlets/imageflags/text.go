package imageflags

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/images/bytesize"
)

// MaxText bounds the size in bytes of a manifest or a configuration that the
// command line names. Package manifest has limits of its own for the content.
const MaxText = 16 << 20

// readFile reads a small file.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readText(f, name)
}

func readText(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxText+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > MaxText {
		return nil, fmt.Errorf("read %s: it is longer than the %s allowed", name, bytesize.Exact(MaxText))
	}
	return text, nil
}

// ReadInput reads the value of a flag or an argument: JSON text, "@file", or
// "-" for standard input. The name tells in errors where the text came from.
func ReadInput(cmd *cobra.Command, value string) (name string, text []byte, err error) {
	switch {
	case value == "-":
		text, err = readText(cmd.InOrStdin(), "standard input")
		return "standard input", text, err
	case strings.HasPrefix(value, "@"):
		text, err = readFile(value[1:])
		return value[1:], text, err
	}
	return "the command line", []byte(value), nil
}
