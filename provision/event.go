package provision

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cloudlets/images/bytesize"
)

// Bounds of an event of a machine that is not in the site.
const (
	maxBriefText  = 512 // bytes of Text and of Reason
	maxBriefFacts = 8
	maxBriefFact  = 64 // bytes of a fact's value
)

// Bounds of an event, since parts of it come from machines that may be strangers.
const (
	maxEventText  = 4096 // bytes of Text and of Reason
	maxEventFacts = 64
	maxFactText   = 512 // bytes of a fact's value
)

// ConsolePrefix begins the text of an event that is a line of an agent's console.
const ConsolePrefix = "console: "

// String returns one line of a trace: time, kind, what happened, and why.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s  %s", e.Time.Format("2006-01-02 15:04:05.000"), e.Kind, e.Text)
	if e.Count > 1 {
		fmt.Fprintf(&b, " (%d times)", e.Count)
	}
	if e.Progress != nil {
		fmt.Fprintf(&b, " %s", e.Progress)
	}
	if e.Card != "" {
		fmt.Fprintf(&b, " (by its card %s)", e.Card)
	}
	if e.By != "" {
		fmt.Fprintf(&b, " by %s", e.By)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	return b.String()
}

// String returns a text such as "120.0 MB of 330.0 MB (36%), 45.0 MB/s, 5s left".
// It leaves out what is not known.
func (p Progress) String() string {
	text := bytesize.Decimal(p.Done)
	if p.Total > 0 {
		text += fmt.Sprintf(" of %s (%d%%)", bytesize.Decimal(p.Total), p.Percent())
	}
	if p.Rate > 0 {
		text += ", " + bytesize.Decimal(p.Rate) + "/s"
	}
	if left := p.Left(); left > 0 {
		text += fmt.Sprintf(", %s left", left)
	}
	return text
}

// Percent returns the part that is done, 0 to 100. It is 0 if the total is
// unknown.
func (p Progress) Percent() int {
	if p.Total <= 0 || p.Done <= 0 {
		return 0
	}
	return min(100, int(float64(p.Done)/float64(p.Total)*100))
}

// Left returns the time that the rest takes at the present rate, in whole
// seconds. It is 0 if that is unknown.
func (p Progress) Left() time.Duration {
	if p.Rate <= 0 || p.Done >= p.Total {
		return 0
	}
	seconds := (float64(p.Total) - float64(p.Done)) / float64(p.Rate)
	return time.Duration(min(seconds+0.5, 1e9)) * time.Second
}

// Durable says whether an event decides what may happen to a disk, or what a machine
// boots. Such an event must be on the server's disk before it takes effect. A refused
// claim (one without a stage) is not durable: it decides nothing, and anyone can make
// one. Neither is a plan that waits for nobody.
func (e Event) Durable() bool {
	switch e.Kind {
	case KindArmed, KindDisarmed, KindOrdered, KindConfirm, KindFailed, KindDone:
		return true
	case KindDecision: // the files of the boot are secret, and an order is used up once
		return e.Booted != nil
	case KindClaim, KindPlan:
		return e.Stage != ""
	case KindStage: // what a system in memory is told is told to one agent
		return e.System != nil
	}
	return false
}

// isSignOfLife says whether the machine did something, and not a person or the server.
func (e Event) isSignOfLife() bool {
	switch e.Kind {
	case KindDHCP, KindTFTP, KindHTTP, KindClaim, KindPlan, KindStage, KindProgress, KindFailed, KindDone, KindRunning:
		return true
	}
	return false
}

// Bounded returns a copy of an event, cut to a bounded size. It shares nothing
// with e.
func (e Event) Bounded() Event {
	e.Text = Cut(e.Text, maxEventText)
	e.Reason = Cut(e.Reason, maxEventText)
	e.By = Cut(e.By, maxFactText)
	e.Card = MAC(Cut(string(e.Card), maxFactText))
	e.Facts = boundedFacts(e.Facts, maxEventFacts, maxFactText)
	e.Found = boundedFacts(e.Found, maxEventFacts, maxInspectionText)
	if e.Progress != nil {
		p := *e.Progress
		e.Progress = &p
	}
	if e.Proposal != nil {
		p := e.Proposal.Bounded()
		e.Proposal = &p
	}
	if e.Report != nil {
		r := e.Report.Bounded()
		e.Report = &r
	}
	e.Digest = Cut(e.Digest, maxFactText)
	return e
}

// Brief returns a copy of an event, cut to what is kept of strangers.
func (e Event) Brief() Event {
	e.Text = Cut(e.Text, maxBriefText)
	e.Reason = Cut(e.Reason, maxBriefText)
	e.By = Cut(e.By, maxBriefFact)
	e.Facts = boundedFacts(e.Facts, maxBriefFacts, maxBriefFact)
	return e
}

// boundedFacts returns at most so many facts, with names and values of at most
// limit bytes.
func boundedFacts(facts map[string]string, most, limit int) map[string]string {
	if len(facts) == 0 {
		return nil
	}
	kept := make(map[string]string, len(facts))
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		if len(kept) == most {
			break
		}
		kept[Cut(name, limit)] = Cut(facts[name], limit)
	}
	return kept
}

// Printable makes a text safe for a terminal and for a line of a log: control
// characters, and others that have no picture, become question marks, and line
// ends become spaces.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// Cut returns text as printable UTF-8 of at most limit bytes.
func Cut(text string, limit int) string {
	text = Printable(text)
	if len(text) <= limit {
		return text
	}
	end := limit - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// SameAs says whether e is the same as an earlier event, except for ID, time,
// count and progress.
func (e Event) SameAs(earlier Event) bool {
	return e.Kind == earlier.Kind && e.Card == earlier.Card && e.Stage == earlier.Stage && e.Text == earlier.Text &&
		e.Reason == earlier.Reason && e.By == earlier.By && maps.Equal(e.Facts, earlier.Facts) && maps.Equal(e.Found, earlier.Found)
}
