package fleet

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// noteColumns are the columns of the API of which printNotes tells.
var noteColumns = []string{"cardOf", "failure", "quiet", "plan", "outdated", "problems"}

// isNoted says whether a person has to know more of a machine than its row tells.
func isNoted(m *api.Machine) bool {
	return isCard(m) || m.Failure != "" || m.Quiet != nil || m.Plan != nil && m.Plan.Waits || len(m.Outdated) > 0 || len(m.Problems) > 0
}

// isCard says whether a stranger seems to be another card of a machine.
func isCard(m *api.Machine) bool { return m.CardOf != "" }

// notes are what a person has to know of machines, beside their rows in the table. What
// is the same for several machines is one note, as a wrong profile or a missing kernel is
// the same for all machines of a hall.
type notes struct {
	list []*note
	of   map[noteKey]*note
}

// note is something to know, and the names of the machines that it is about.
type note struct {
	noteKey
	names       []string
	first, last time.Time // since when it is so; zero if nobody asks
}

// noteKey is what a note says after the names of its machines: some words if there is one
// machine, others if there are several, then what it is.
type noteKey struct{ one, several, what string }

func (n *notes) add(name string, key noteKey) *note {
	about := n.of[key]
	if about == nil {
		about = &note{noteKey: key}
		n.list = append(n.list, about)
		if n.of == nil {
			n.of = make(map[noteKey]*note)
		}
		n.of[key] = about
	}
	about.names = append(about.names, name)
	return about
}

// since notes since when it is so for one of the machines.
func (n *note) since(t time.Time) {
	if n.first.IsZero() || t.Before(n.first) {
		n.first = t
	}
	if t.After(n.last) {
		n.last = t
	}
}

// text is the note as a sentence, "node1 and node2 are quiet since 12:03:04: …".
func (n *note) text() string {
	text := someNames(n.names) + " " + n.one
	if len(n.names) > 1 {
		text = someNames(n.names) + " " + n.several
	}
	switch {
	case n.first.IsZero():
	case n.last.Sub(n.first) < time.Second:
		text += " since " + printing.Clock(n.first)
	default:
		text += " since between " + printing.Clock(n.first) + " and " + printing.Clock(n.last)
	}
	return text + ":" + n.what
}

// addMachine adds what there is to know of a machine.
func (n *notes) addMachine(m *api.Machine, cardReason string) {
	name := cmp.Or(m.Hostname, string(m.MAC))
	if cardReason != "" {
		n.add(name, noteKey{"is a stranger", "are strangers", " " + cardReason})
	}
	if m.Failure != "" {
		n.add(name, noteKey{"failed", "failed", " " + m.Failure})
	}
	if m.Quiet != nil {
		n.add(name, noteKey{"is quiet", "are quiet", " " + m.Quiet.Cause}).since(m.Quiet.Since)
	}
	if m.Plan != nil && m.Plan.Waits {
		n.add(name, noteKey{fmt.Sprintf("waits for `cloudlets confirm %s`", name), "wait for `cloudlets confirm`", " it will " + m.Plan.Text})
	}
	if len(m.Outdated) > 0 {
		n.add(name, noteKey{"is outdated", "are outdated", " " + strings.Join(m.Outdated, "; ")})
	}
	if len(m.Problems) > 0 {
		n.add(name, problemsNote(m))
	}
}

// print prints the notes in the order of their first machines.
func (n *notes) print(w io.Writer) {
	for _, about := range n.list {
		fmt.Fprintf(w, "\n%s\n", about.text())
	}
}

// namesInNote is how many machines a note names.
const namesInNote = 4

// someNames lists the first of several names: "node1, node2, node3 and 9997 more".
func someNames(names []string) string {
	last := len(names) - 1
	switch {
	case last == 0:
		return names[0]
	case len(names) <= namesInNote:
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	named := names[:namesInNote-1]
	return fmt.Sprintf("%s and %d more", strings.Join(named, ", "), len(names)-len(named))
}

// printNotes prints what a person has to know of machines.
func printNotes(ctx context.Context, c *api.Client, w io.Writer, rows []tableRow) error {
	reasons, err := cardReasons(ctx, c, rows)
	var all notes
	for _, row := range rows {
		if row.noted != nil {
			all.addMachine(row.noted, reasons[row.noted.MAC])
		}
	}
	all.print(w)
	return err
}

// cardReasons are the reasons for what the next boot of strangers does that seem to be
// cards of machines. The table has no reasons, as they are half of its bytes.
func cardReasons(ctx context.Context, c *api.Client, rows []tableRow) (map[provision.MAC]string, error) {
	var cards []string
	for _, row := range rows {
		if m := row.noted; m != nil && isCard(m) {
			cards = append(cards, string(m.MAC))
		}
	}
	if cards == nil {
		return nil, nil
	}
	list, err := c.Machines(ctx, roster.Query{Names: cards}, "cardOf", "next")
	reasons := make(map[provision.MAC]string, len(list))
	for _, m := range list {
		if isCard(&m) { // still
			reasons[m.MAC] = m.Next.Reason
		}
	}
	return reasons, err
}

// printMachineProblems lists what is wrong with a machine's file and image.
func printMachineProblems(w io.Writer, m *api.Machine) {
	if len(m.Problems) > 0 {
		var n notes
		n.add(string(m.MAC), problemsNote(m))
		n.print(w)
	}
}

// problemsNote lists what is wrong with a machine's file and image. A problem that has no
// place in the machine's own file is told without the file's name, since several machines
// may have it.
func problemsNote(m *api.Machine) noteKey {
	own := "machines/" + string(m.MAC) + ".json: "
	var what strings.Builder
	for _, problem := range m.Problems {
		what.WriteString("\n  " + strings.TrimPrefix(problem, own))
	}
	const wrong = "cannot work as it is, or not as it seems to be meant"
	return noteKey{wrong, "cannot work as they are, or not as they seem to be meant", what.String()}
}
