package provision

import (
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"cloudlets/images/bytesize"
)

// Bounds of an event, since parts of it come from machines that may be strangers.
const (
	maxEventText  = 4096 // bytes of Text and of Reason
	maxEventFacts = 64
	maxFactText   = 512 // bytes of a fact's value
)

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

// Durable says whether an event decides what may happen to a disk. Such an event
// must be on the server's disk before it takes effect. A refused claim (one
// without a stage) is not durable: it decides nothing, and anyone can make one.
func (e Event) Durable() bool {
	switch e.Kind {
	case KindArmed, KindDisarmed, KindFailed, KindDone:
		return true
	case KindClaim:
		return e.Stage != ""
	}
	return false
}

// Bounded returns a copy of an event, cut to a bounded size. It shares nothing
// with e.
func (e Event) Bounded() Event {
	e.Text = cutText(e.Text, maxEventText)
	e.Reason = cutText(e.Reason, maxEventText)
	e.By = cutText(e.By, maxFactText)
	e.Facts = boundedFacts(e.Facts)
	if e.Progress != nil {
		p := *e.Progress
		e.Progress = &p
	}
	return e
}

func boundedFacts(facts map[string]string) map[string]string {
	if len(facts) == 0 {
		return nil
	}
	kept := make(map[string]string, len(facts))
	for name, value := range facts {
		if len(kept) == maxEventFacts {
			break
		}
		kept[cutText(name, maxFactText)] = cutText(value, maxFactText)
	}
	return kept
}

// cutText returns text as valid UTF-8 of at most limit bytes.
func cutText(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
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
	return e.Kind == earlier.Kind && e.Stage == earlier.Stage && e.Text == earlier.Text &&
		e.Reason == earlier.Reason && e.By == earlier.By && maps.Equal(e.Facts, earlier.Facts)
}
