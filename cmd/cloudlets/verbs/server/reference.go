package server

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/provision/site/keys"
)

func referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print docs/reference.md, made from the tables by which the files are read", Hidden: true, Args: exit.ExactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), reference())
			return err
		},
	}
}

// reference is docs/reference.md.
func reference() string {
	var b strings.Builder
	b.WriteString(`<!-- Made by ` + "`cloudlets reference >docs/reference.md`" + ` from the tables by which the files are read. Do not edit. -->

# Reference of the site's files

Every key of a site's files, with what its value is, what counts without it, and an example. All keys are optional unless the text
says otherwise. Files are JSON, in which comments (` + "`//` and `/* */`" + `) and trailing commas are allowed. A key that is not in these tables is a mistake,
which the server reports with file, line and column; the last good version of the file stands until it is mended.

## Machine files and profiles

` + "`machines/<mac>.json`, `profiles/<name>.json`" + `. Both have the same keys. [operation.md](operation.md) says how they work together.

`)
	writeKeys(&b, keys.OfMachine())
	b.WriteString(`
## Groups of machines

` + "`machines/<name>.json`" + `, where the name is no MAC address, describes several machines. It has the keys above, and ` + "`machines`" + `: an object with a machine's
MAC address by its number, or with an object that has ` + "`mac`" + ` and what that machine has for itself. [Groups](operation.md#groups) has the patterns.

` + "```json\n" + groupExample + "\n```\n" + `
`)
	b.WriteString("## cloudlets.json\n\nThe server's settings. Flags of `cloudlets serve` replace them. A relative path is one in the site.\n\n")
	writeKeys(&b, keys.OfSettings())
	return b.String()
}

// groupExample is the file of a group.
const groupExample = `{"extends": "web", "hostname": "r3-{n:02}", "address": "10.0.3.{n+10}", "machines": {"1": "52:54:00:00:03:01", "4": {"mac": "52:54:00:00:03:04", "disk": {"serial": "S4EWNX0R123456"}}}}`

// writeKeys writes a table of keys, and one for each object in it.
func writeKeys(b *strings.Builder, list []keys.Key) {
	b.WriteString("| key | value | without it | what it says | example |\n|---|---|---|---|---|\n")
	for _, k := range list {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", k.Path, cell(k.Type), defaultCell(k.Default), cell(k.Text), codeCell(k.Example))
	}
	for _, k := range list {
		if len(k.Keys) > 0 {
			fmt.Fprintf(b, "\n### Keys of `%s`\n\n", k.Path)
			writeKeys(b, k.Keys)
		}
	}
}

// defaultCell shows a default that is JSON as code, and words as they are.
func defaultCell(text string) string {
	switch {
	case text == "":
		return "–"
	case json.Valid([]byte(text)):
		return codeCell(text)
	}
	return cell(text)
}

func codeCell(text string) string { return "`" + cell(text) + "`" }

// cell is a text that does not end a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
