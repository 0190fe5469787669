package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"cloudlets/images/bytesize"
	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func size(n int64) string { return bytesize.Decimal(n) }

// watch shows the machines' stages and progress: as bars on a terminal, and as
// lines elsewhere.
type watch struct {
	out   io.Writer
	hosts []*host
	bars  map[provision.MAC]*bar
	shown map[provision.MAC]string // what the last line of a machine showed
	pool  *mpb.Progress
}

// bar is the line of one machine on a terminal.
type bar struct {
	*mpb.Bar
	text atomic.Value // a string, which the bar's own goroutine draws
}

// pollTime is how often the daemon is asked.
const pollTime = 250 * time.Millisecond

func newWatch(out io.Writer, hosts []*host) *watch {
	w := &watch{out: out, hosts: hosts, bars: map[provision.MAC]*bar{}, shown: map[provision.MAC]string{}}
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		w.addBars(mpb.WithOutput(out))
	}
	return w
}

// addBars has the machines shown as bars.
func (w *watch) addBars(options ...mpb.ContainerOption) {
	w.pool = mpb.New(append(options, mpb.WithWidth(30))...)
	for _, h := range w.hosts {
		w.bars[provision.MAC(h.spec.MAC)] = w.newBar(h)
	}
}

func (w *watch) newBar(h *host) *bar {
	b := &bar{}
	b.text.Store("switched on")
	// A bar that is made with its total ends when it is full, and a machine that is
	// updated begins again.
	b.Bar = w.pool.AddBar(0,
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%s %-5s ", h.name, h.spec.Firmware))),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.text.Load().(string) })))
	b.SetTotal(100, false)
	return b
}

// run shows until ctx ends.
func (w *watch) run(ctx context.Context, client *api.Client) {
	for ctx.Err() == nil {
		if list, err := client.Machines(ctx, roster.Query{}); err == nil {
			for _, m := range list {
				w.show(m)
			}
		}
		_ = pause.For(ctx, pollTime) // the loop looks at ctx
	}
	if w.pool != nil {
		for _, b := range w.bars {
			b.Abort(false)
		}
		w.pool.Wait()
	}
}

func (w *watch) show(m api.Machine) {
	text := describeProgress(m)
	if b := w.bars[m.MAC]; b != nil {
		b.text.Store(text)
		b.SetCurrent(int64(percent(m)))
		return
	}
	// Without a terminal, print a line for each stage and each tenth of it.
	key := fmt.Sprint(m.Stage, percent(m)/10)
	if w.shown[m.MAC] != key {
		w.shown[m.MAC] = key
		fmt.Fprintf(w.out, "%s  %s  %s\n", time.Now().Format("15:04:05"), m.Hostname, text)
	}
}

// say shows a line about a machine, above the bars if there are any. It is called from
// several goroutines.
func (w *watch) say(h *host, format string, args ...any) {
	text := fmt.Sprintf("%s  %s  %s\n", time.Now().Format("15:04:05"), h.name, fmt.Sprintf(format, args...))
	var out io.Writer = w.out
	if w.pool != nil {
		out = w.pool
	}
	_, _ = io.WriteString(out, text) // as all words here: a demo goes on without its terminal
}

// percent returns how much of the machine's stage is done.
func percent(m api.Machine) int {
	switch {
	case m.Progress != nil:
		return m.Progress.Percent
	case m.Stage == provision.StageInstalled, m.Stage == provision.StageRunning, m.Stage == provision.StageLocal:
		return 100
	}
	return 0
}

// describeProgress describes one machine in one line: stage, bytes, rate, time
// left.
func describeProgress(m api.Machine) string {
	text := string(m.Stage)
	if p := m.Progress; p != nil && p.Total > 0 {
		text += fmt.Sprintf("  %s of %s  %s/s", size(p.Done), size(p.Total), size(p.Rate))
		if p.Left > 0 {
			text += fmt.Sprintf("  %d s left", p.Left)
		}
	}
	if m.Stage == provision.StageInstalled || m.Stage == provision.StageLocal {
		text += ", waiting for login:"
	}
	if m.Failure != "" {
		text += ": " + m.Failure
	}
	return text
}

// printTable prints how many seconds each machine was in each stage of its install.
func printTable(out io.Writer, hosts []*host) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\nseconds\t")
	for _, h := range hosts {
		fmt.Fprintf(table, "%s (%s, %s)\t", h.name, h.spec.Firmware, h.handover)
	}
	fmt.Fprintln(table)
	for _, stage := range api.Steps() {
		var cells []string
		for _, h := range hosts {
			cells = append(cells, seconds(stageTime(h.installed, stage)))
		}
		if strings.Trim(strings.Join(cells, ""), "-") != "" {
			fmt.Fprintf(table, "%s\t%s\t\n", stage, strings.Join(cells, "\t"))
		}
	}
	for _, row := range []struct {
		name string
		of   func(*host) time.Duration
	}{{"switch-on to login:", func(h *host) time.Duration { return h.login }}, {"same disk, local boot", func(h *host) time.Duration { return h.local }}} {
		fmt.Fprintf(table, "%s\t", row.name)
		for _, h := range hosts {
			fmt.Fprintf(table, "%s\t", seconds(row.of(h)))
		}
		fmt.Fprintln(table)
	}
	table.Flush()
}

// printUpdate prints what a machine's install, update and roll-back took, beside each
// other.
func printUpdate(out io.Writer, h *host) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\nseconds\t%s: to login:\tto accepted\tfetched\tcopied on its disk\t%s\t\n", h.name, keptFile)
	row := func(name string, login, accepted time.Duration, r *provision.Report, file string) {
		fetched, copied := "-", "-"
		if r != nil {
			fetched = size(r.Fetched)
			if r.Copied > 0 {
				copied = size(r.Copied)
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t\n", name, seconds(login), seconds(accepted), fetched, copied, file)
	}
	u := h.updated
	row("install of "+firstImage, h.login, 0, h.installed.Report, "written")
	row("update to "+secondImage, u.forward.login, u.forward.accepted, &u.report, "kept")
	row("roll-back to "+firstImage, u.back.login, u.back.accepted, nil, "kept")
	table.Flush()
}

// seconds says a time; one that was not taken is "-".
func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}

// stageTime returns how long a machine was in a stage of its install, in total. It does
// not count what comes after the install, such as a reboot.
func stageTime(d api.Detail, stage provision.Stage) time.Duration {
	total := 0.0
	for _, s := range d.Stages {
		if s.Stage == provision.StageInstalled {
			break
		}
		if s.Stage == stage {
			total += s.Seconds
		}
	}
	return time.Duration(total * float64(time.Second))
}
