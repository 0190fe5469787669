// Package printing has how verbs show what they found: an answer as JSON or as text that is
// safe for a terminal, times, and logs.
package printing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
)

// Answer prints an answer of the daemon as JSON, or for people with print. It
// returns err if the daemon answered with an error.
func Answer[T any](cmd *cobra.Command, asJSON bool, answer T, err error, print func(io.Writer, T)) error {
	if err != nil {
		return err
	}
	if asJSON {
		return JSON(cmd.OutOrStdout(), answer)
	}
	print(Text(cmd), answer)
	return nil
}

// Text is where text goes that has parts from machines, images and files: it
// cannot take over a person's terminal.
func Text(cmd *cobra.Command) io.Writer { return &stdio.CleanWriter{W: cmd.OutOrStdout()} }

// JSON prints a value as JSON for people and programs: indented, with one end of line after it.
func JSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // no browser reads the output
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// Raw prints a JSON text unchanged, with one end of line after it.
func Raw(w io.Writer, text json.RawMessage) error {
	_, err := w.Write(append(bytes.TrimRight(text, " \t\r\n"), '\n'))
	return err
}

// Warnings prints what is wrong with the servers as a whole, below a list.
func Warnings(w io.Writer, list []string) {
	for _, warning := range list {
		fmt.Fprintf(w, "\n%s\n", warning)
	}
}
