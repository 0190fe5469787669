package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/web/roster"
)

// TestStagesAreDocumented: the table of stages has all of them, with the times and
// causes that the program uses.
func TestStagesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operation.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## A machine that says nothing")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) == 4 && strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			rows[strings.Trim(cells[0], " `")] = cells
		}
	}
	for _, stage := range roster.Stages() {
		row := rows[string(stage)]
		if row == nil {
			t.Errorf("the table has no row for %q", stage)
			continue
		}
		limit, cause := "", ""
		if i := slices.IndexFunc(provision.Patiences(), func(p provision.Patience) bool { return p.Stage == stage }); i >= 0 {
			p := provision.Patiences()[i]
			limit, cause = fmt.Sprintf("%d min", p.Limit/time.Minute), p.Cause
		}
		if got := strings.TrimSpace(row[2]); got != limit {
			t.Errorf("%s: the table says %q, the program waits %q", stage, got, limit)
		}
		if got := strings.TrimSpace(row[3]); got != cause {
			t.Errorf("%s: the table has the cause\n%s\nand the program says\n%s", stage, got, cause)
		}
	}
}
