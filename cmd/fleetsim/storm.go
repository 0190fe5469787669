//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cloudlets/images/pause"
	"cloudlets/web/api"
)

// run simulates a fleet, in the namespace of the machines.
func run(ctx context.Context, o *options, out io.Writer) (err error) {
	ctx, stop := context.WithTimeout(ctx, o.Patience)
	defer stop()
	if err := allowSockets(); err != nil {
		return err
	}
	if o.Program, err = filepath.Abs(o.Program); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fleetsim-")
	if err != nil {
		return err
	}
	if o.Keep {
		fmt.Fprintln(os.Stderr, "logs and state are in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := writeImage(filepath.Join(dir, "image"), o.image, o.Seed); err != nil {
		return err
	}
	b, err := openBed(ctx, o, dir)
	if err != nil {
		return err
	}
	result, err := storm(ctx, o, b)
	if err == nil {
		err = result.addStrangers(ctx, o, b)
	}
	if err == nil {
		err = result.rollOut(ctx, o, b)
	}
	if err := errors.Join(err, b.close()); err != nil {
		return err
	}
	result.addServers(b)
	if err := result.print(out, o); err != nil {
		return err
	}
	return result.verdict(o)
}

// allowSockets raises the number of files that this process may have open: each
// machine has one at a time, and some have more.
func allowSockets() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// storm switches all machines on, and waits for them.
func storm(ctx context.Context, o *options, b *bed) (*result, error) {
	a, err := openAir(bridge, o.Loss/100)
	if err != nil {
		return nil, err
	}
	defer a.file.Close()
	r := newResult(o)
	machines, background := context.WithCancel(ctx)
	group, running := errgroup.WithContext(machines)
	group.Go(func() error { return a.run(running) })
	group.Go(func() error { return watch(running, b) })
	group.Go(func() error { return watchPage(running, b, r) })
	group.Go(func() error { return kill(running, o, b, r) })
	for i := range o.Bystanders {
		group.Go(func() error { return bystand(running, a, i, r) })
	}
	group.Go(func() error { return say(running, o, r) })

	var fleet sync.WaitGroup
	random := rand.New(rand.NewPCG(o.Seed, 0))
	order := random.Perm(o.total())
	for at, n := range order {
		m := &machine{number: n, mac: macOf(n), firmware: o.mix.of(n), air: a, rate: o.rate, notes: &r.notes}
		due := arrival(at, o)
		fleet.Go(func() {
			_ = pause.For(running, due-time.Since(r.began)) // else live ends at once, and says so
			r.add(m, o, m.live(running, o))
		})
	}
	fleet.Wait()
	r.ended = time.Now()
	background()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return r, err
	}
	return r, nil
}

// arrival is when a machine is switched on, after the first.
func arrival(at int, o *options) time.Duration {
	if o.Row > 0 {
		at -= at % o.Row
	}
	return time.Duration(float64(o.Over) * float64(at) / float64(o.total()))
}

// live is a machine's life in the simulation.
func (m *machine) live(ctx context.Context, o *options) error {
	if err := m.install(ctx); err != nil || !o.Again {
		return err
	}
	return m.again(ctx)
}

// watch looks at how much memory the daemons use.
func watch(ctx context.Context, b *bed) error {
	for pause.For(ctx, time.Second) == nil {
		for _, s := range b.servers {
			s.look()
		}
	}
	return nil
}

// kill kills daemons in turn at random instants, and starts them again at once. If
// it is asked for, it kills a member of etcd in the middle.
func kill(ctx context.Context, o *options, b *bed, r *result) error {
	if o.Kill == 0 && !o.KillEtcd {
		return nil
	}
	span := o.Over + o.Over/2 + 2*time.Second
	for i := range max(o.Kill, 1) {
		if pause.For(ctx, span/time.Duration(max(o.Kill, 1)+1)+rand.N(time.Second)) != nil {
			return nil
		}
		if o.KillEtcd && i == o.Kill/2 && len(b.etcd) > 0 {
			b.etcd[len(b.etcd)-1].end(syscall.SIGKILL)
			r.notes.count("killed: a member of etcd")
		}
		if o.Kill == 0 {
			return nil
		}
		s := b.servers[i%len(b.servers)]
		s.end(syscall.SIGKILL)
		r.notes.count("killed: a daemon")
		if err := s.start(); err != nil {
			return err
		}
	}
	return nil
}

// bystand is a client that is no machine of the site, and asks for an address each
// second.
func bystand(ctx context.Context, a *air, n int, r *result) error {
	for i := 0; ; i++ {
		mac := net.HardwareAddr{0x02, 0xb5, byte(n), 0, byte(i >> 8 & 3), byte(i)}
		began := time.Now()
		if _, err := bystander.ask(ctx, a, mac, &notes{}); err == nil {
			r.notes.took("bystander: address", time.Since(began))
		} else if ctx.Err() == nil {
			r.notes.count("bystander: no address")
		}
		if pause.For(ctx, time.Second-time.Since(began)) != nil {
			return nil
		}
	}
}

// say shows how far it is, on a terminal.
func say(ctx context.Context, o *options, r *result) error {
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	for ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "\r%d of %d installed, %d failed ", r.installed.Load(), o.total(), r.failed.Load())
		_ = pause.For(ctx, time.Second) // the loop looks at ctx
	}
	fmt.Fprint(os.Stderr, "\r"+strings.Repeat(" ", 60)+"\r")
	return nil
}

// result is what came of a simulation.
type result struct {
	notes             notes
	began, ended      time.Time
	installed, failed atomic.Int64
	ownCPU            time.Duration

	mu     sync.Mutex
	causes map[string]*cause
	bytes  int64

	servers   []serverUse
	strangers []stranger

	rollout api.Rollout
	rolled  []api.Machine // what the machines have after the roll-out
	killed  int           // servers, in the roll-out
}

// cause is why machines failed.
type cause struct {
	count   int
	example string
}

func newResult(*options) *result {
	return &result{began: time.Now(), causes: make(map[string]*cause)}
}

// add adds a machine that has ended.
func (r *result) add(m *machine, _ *options, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += m.disk
	if err == nil {
		r.installed.Add(1)
		return
	}
	r.failed.Add(1)
	kind := kindOf(err)
	if r.causes[kind] == nil {
		r.causes[kind] = &cause{example: fmt.Sprintf("%s (%s): %s", m.mac, m.firmware, err)}
	}
	r.causes[kind].count++
}

// kindOf is what failures have in common: the last part of their text.
func kindOf(err error) string {
	switch {
	case errors.Is(err, errNoAnswer):
		return errNoAnswer.Error()
	case errors.Is(err, errTFTP):
		return errTFTP.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "it was not done when the time was over"
	}
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+1:]
}
