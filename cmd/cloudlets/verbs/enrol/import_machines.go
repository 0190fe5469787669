package enrol

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/web/api"
)

func importMachinesCommand(socket *string) *cobra.Command {
	var dryRun, asJSON bool
	var first int
	cmd := &cobra.Command{
		Use: "import-machines FILE.csv", Short: "Write the files of many machines, from a table", Args: exit.ExactArgs(1),
		Long: `Import-machines reads a table in CSV form. Its first line names the columns: mac,
and any of name, profile, image and address. All lines are checked first; if
one of them is wrong, nothing is written.

A name or an address may be a pattern. Each line with node[1-40] takes the next
of these names. In node{n:02} and 10.0.3.{n+10}, {n} is the number of the
machine in the table, from 1, or from --first. Lines that are empty or begin with
# do not count.`,
		Example: "  cloudlets import-machines rack3.csv --dry-run\n  cloudlets import-machines rack3.csv",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("read the table of machines: %w", err)
			}
			defer f.Close() // it is only read
			machines, err := readMachineTable(args[0], f, first)
			if err != nil {
				return err
			}
			done, err := c.Approve(cmd.Context(), api.Approvals{By: ask.Caller(), Machines: machines, DryRun: dryRun})
			return printing.Answer(cmd, asJSON, done, err, func(w io.Writer, done api.Approved) { printApproved(w, done, dryRun) })
		}),
	}
	cmd.Flags().IntVar(&first, "first", 1, "the `number` of the table's first machine, for {n}")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the files, and write nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// machineColumns are the columns of a table of machines.
var machineColumns = map[string]func(a *provision.Approval, value string) error{
	"mac":     func(a *provision.Approval, v string) (err error) { a.MAC, err = provision.ParseMAC(v); return err },
	"name":    func(a *provision.Approval, v string) error { a.Hostname = v; return nil },
	"profile": func(a *provision.Approval, v string) error { a.Profile = v; return nil },
	"image":   func(a *provision.Approval, v string) error { a.Image = v; return nil },
	"address": func(a *provision.Approval, v string) error { a.Address = v; return nil },
}

// readMachineTable reads a table of machines, of which the first has a number. The error
// names all lines that are wrong.
func readMachineTable(name string, r io.Reader, first int) ([]provision.Approval, error) {
	table := csv.NewReader(r)
	table.TrimLeadingSpace, table.Comment = true, '#'
	columns, err := table.Read()
	if err != nil {
		return nil, fmt.Errorf("read %s: want a first line with the names of its columns, such as mac,name,profile: %w", name, err)
	}
	columns[0] = strings.TrimPrefix(columns[0], "\ufeff")
	known := []string{"mac", "name", "profile", "image", "address"}
	for i, column := range columns {
		columns[i] = strings.ToLower(strings.TrimSpace(column))
		if !slices.Contains(known, columns[i]) || slices.Contains(columns[:i], columns[i]) {
			return nil, fmt.Errorf("read %s: its first line has %q where one of mac, name, profile, image and address should stand, each once%s", name, column, jsontext.DidYouMean(columns[i], known))
		}
	}
	if !slices.Contains(columns, "mac") {
		return nil, fmt.Errorf("read %s: its first line names no column mac", name)
	}
	var machines []provision.Approval
	var wrong []error
	names := newSeries(first)
	lineOf := make(map[provision.MAC]int)
	for {
		cells, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(append(wrong, fmt.Errorf("read %s: %w", name, err))...)
		}
		line, _ := table.FieldPos(0)
		var a provision.Approval
		for i, cell := range cells {
			if err := machineColumns[columns[i]](&a, strings.TrimSpace(cell)); err != nil {
				wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, line, err))
			}
		}
		if err := names.name(&a); err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, line, err))
		}
		if first, twice := lineOf[a.MAC]; twice && a.MAC != "" {
			wrong = append(wrong, fmt.Errorf("%s:%d: %s is in line %d already", name, line, a.MAC, first))
		}
		lineOf[a.MAC] = line
		machines = append(machines, a)
	}
	if len(machines) == 0 && len(wrong) == 0 {
		wrong = append(wrong, fmt.Errorf("read %s: it has no machines", name))
	}
	return machines, errors.Join(wrong...)
}
