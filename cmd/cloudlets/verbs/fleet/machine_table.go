package fleet

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images/jsontext"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// The table of the verb machines: which columns there are, which are shown, and in what
// order its rows come.

// machineColumn is a column of the table.
type machineColumn struct {
	name, header, help string
	keys               []string // the columns of the API that it shows
	text               func(*api.Machine) string
}

func tableColumns() []machineColumn {
	fact := func(name string) func(*api.Machine) string {
		return func(m *api.Machine) string { return m.Facts[name] }
	}
	return []machineColumn{
		{"machine", "MACHINE", "its MAC address", nil, func(m *api.Machine) string { return string(m.MAC) }},
		{"name", "NAME", "its hostname", []string{"hostname"}, func(m *api.Machine) string { return m.Hostname }},
		{"address", "ADDRESS", "its IP address", []string{"address"}, func(m *api.Machine) string { return m.Address }},
		{"image", "IMAGE", "the image that it shall have", []string{"image"}, func(m *api.Machine) string { return m.Image }},
		{"stage", "STAGE", "its stage, with what is wrong with it", []string{"stage", "asked", "progress", "quiet", "outdated"}, stageText},
		{"for", "FOR", "how long it has been in this stage", []string{"since"}, func(m *api.Machine) string { return printing.Since(m.Since) }},
		{"next", "NEXT BOOT", "what its next boot does", []string{"next.action"}, func(m *api.Machine) string { return string(m.Next.Action) }},
		{"profiles", "PROFILES", "the profiles that its file extends, and those that they extend", []string{"profiles"}, func(m *api.Machine) string { return strings.Join(m.Profiles, ",") }},
		{"has", "HAS", "the image that its last install wrote", []string{"has.image"}, func(m *api.Machine) string {
			if m.Has == nil {
				return ""
			}
			return m.Has.Image
		}},
		{"disk", "DISK", "the disk that it was installed on", []string{"has.disk"}, func(m *api.Machine) string {
			if m.Has == nil {
				return ""
			}
			return m.Has.Disk
		}},
		{"installed", "INSTALLED", "when it was installed", []string{"installedAt"}, func(m *api.Machine) string { return timeText(m.InstalledAt) }},
		{"running", "RUNNING SINCE", "when its system told that it runs", []string{"running.time"}, func(m *api.Machine) string {
			if m.Running == nil {
				return ""
			}
			return timeText(m.Running.Time)
		}},
		{"seen", "SEEN", "how long ago it was last heard of", []string{"seen"}, func(m *api.Machine) string { return printing.Since(m.Seen) }},
		{"firmware", "FIRMWARE", "its firmware's kind", []string{"facts"}, fact("firmware")},
		{"product", "PRODUCT", "its model", []string{"facts"}, fact("product")},
		{"serial", "SERIAL", "its serial number", []string{"facts"}, fact("serial")},
	}
}

// plainColumns are shown if nobody names others.
const plainColumns = "machine,name,address,image,stage,for,next"

func columnNames() (names []string) {
	for _, c := range tableColumns() {
		names = append(names, c.name)
	}
	return names
}

// columnTable is the part of the help that lists the columns.
func columnTable() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, c := range tableColumns() {
		fmt.Fprintf(table, "  %s\t%s\n", c.name, c.help)
	}
	table.Flush()
	return text.String()
}

// machineTable is the table that a person asks for.
type machineTable struct {
	sort, chosen string // the flags
	columns      []machineColumn
	order        roster.Order
	descending   bool
}

func (t *machineTable) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.sort, "sort", "", "sort by `ORDER`: "+strings.Join(orderNames(), ", ")+"; -ORDER turns it around")
	cmd.Flags().StringVar(&t.chosen, "columns", "", "show these `COLUMNS`, with commas between them (default "+plainColumns+")")
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(orderNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("columns", completeColumns)
}

func orderNames() (names []string) {
	for _, order := range roster.Orders() {
		names = append(names, string(order))
	}
	return names
}

// completeColumns completes the last of several columns.
func completeColumns(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := begun[:strings.LastIndex(begun, ",")+1]
	var all []cobra.Completion
	for _, c := range tableColumns() {
		if !slices.Contains(strings.Split(before, ","), c.name) {
			all = append(all, cobra.CompletionWithDesc(before+c.name, c.help))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// isPlain says whether nobody asked for another table than the usual one.
func (t *machineTable) isPlain() bool { return t.sort == "" && t.chosen == "" }

// read reads the flags.
func (t *machineTable) read() error {
	name, descending := strings.CutPrefix(t.sort, "-")
	t.order, t.descending = roster.Order(name), descending
	if t.sort != "" && !slices.Contains(orderNames(), name) {
		return fmt.Errorf("machines cannot be sorted by %q%s; give one of %s", name, jsontext.DidYouMean(name, orderNames()), strings.Join(orderNames(), ", "))
	}
	chosen := t.chosen
	if chosen == "" {
		chosen = plainColumns
	}
	t.columns = nil
	for name := range strings.SplitSeq(chosen, ",") {
		i := slices.IndexFunc(tableColumns(), func(c machineColumn) bool { return c.name == name })
		if i < 0 {
			return fmt.Errorf("there is no column %q%s; `cloudlets machines --help` lists the columns", name, jsontext.DidYouMean(name, columnNames()))
		}
		t.columns = append(t.columns, tableColumns()[i])
	}
	return nil
}

// keys are the columns of the API that it takes.
func (t *machineTable) keys() []string {
	keys := []string{"mac"}
	for _, c := range t.columns {
		keys = append(keys, c.keys...)
	}
	if t.chosen == "" {
		keys = append(keys, noteColumns...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// row is a machine's row: its cells, with tabs between them.
func (t *machineTable) row(m *api.Machine) string {
	return t.line(func(c machineColumn) string { return printing.Dash(c.text(m)) })
}

func (t *machineTable) line(cell func(machineColumn) string) string {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = strings.Map(spaced, cell(c))
	}
	return strings.Join(cells, "\t")
}

// spaced is what a character of a cell is shown as: one that would begin another cell or
// line is a space.
func spaced(r rune) rune {
	if r == '\t' || r == '\n' {
		return ' '
	}
	return r
}

// print prints the rows below the columns' headers. A tabwriter does the same, and takes
// several times as long for thousands of them.
func (t *machineTable) print(w io.Writer, rows []tableRow) {
	out := bufio.NewWriterSize(w, 64<<10)
	header := t.line(func(c machineColumn) string { return c.header })
	widths := make([]int, len(t.columns))
	measure := func(line string) {
		n := 0
		for cell := range strings.SplitSeq(line, "\t") {
			widths[n] = max(widths[n], utf8.RuneCountInString(cell))
			n++
		}
	}
	put := func(line string) {
		n := 0
		for cell := range strings.SplitSeq(line, "\t") {
			out.WriteString(cell)
			if n++; n < len(widths) {
				for range widths[n-1] + 2 - utf8.RuneCountInString(cell) {
					out.WriteByte(' ')
				}
			}
		}
		out.WriteByte('\n')
	}
	measure(header)
	for _, row := range rows {
		measure(row.text)
	}
	put(header)
	for _, row := range rows {
		put(row.text)
	}
	out.Flush()
}

// timeText is a point in time, or "" for none.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
