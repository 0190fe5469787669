//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/failover"
	"cloudlets/provision/wire"
)

// agentPatience is how long the agent repeats a request, with growing pauses.
const (
	agentPatience = 10 * time.Minute
	firstWait     = 200 * time.Millisecond
	maxWait       = 5 * time.Second
	progressEvery = time.Second
)

// agent is the installer on a machine. It makes the requests of the real one, in
// its order, and drops what it gets.
type agent struct {
	*machine
	base    string
	http    *http.Client
	servers *failover.Transport
	session string
}

// newAgent starts the agent. Close closes its connections.
func (m *machine) newAgent(from netip.Addr, params wire.Params) (a *agent, close func(), err error) {
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	transport := &http.Transport{DialContext: dialer.DialContext, ResponseHeaderTimeout: 30 * time.Second, MaxIdleConnsPerHost: 4, DisableCompression: true, ReadBufferSize: 16 << 10}
	servers, err := failover.New(transport, nil, params.Servers...)
	if err != nil {
		return nil, nil, err
	}
	return &agent{machine: m, base: params.Servers[0], http: &http.Client{Transport: servers}, servers: servers}, transport.CloseIdleConnections, nil
}

// runAgent claims the plan and carries it out.
func (m *machine) runAgent(ctx context.Context, from netip.Addr, params wire.Params) error {
	a, close, err := m.newAgent(from, params)
	if err != nil {
		return err
	}
	defer close()
	began := time.Now()
	plan, err := a.claim(ctx, params)
	if err != nil {
		return err
	}
	m.notes.took("claim", time.Since(began))
	if err := a.carryOut(ctx, plan); err != nil {
		return errors.Join(err, a.report(context.WithoutCancel(ctx), provision.Event{Kind: provision.KindFailed, Stage: provision.StageFailed, Text: err.Error()}))
	}
	return nil
}

func (a *agent) claim(ctx context.Context, params wire.Params) (plan wire.Plan, err error) {
	request := wire.ClaimRequest{Token: params.Token, Nonce: rand.Text(), MAC: params.MAC, Inventory: a.inventory()}
	answer, err := a.post(ctx, wire.ClaimPath, request)
	if err != nil {
		return plan, fmt.Errorf("claim the plan: %w", err)
	}
	if err := json.Unmarshal(answer, &plan); err != nil {
		return plan, fmt.Errorf("claim the plan: %w", err)
	}
	a.session = plan.Session
	return plan, a.servers.Add(plan.Servers...)
}

const vendor = "fleetsim"

// inventory is what the agent finds in the machine.
func (m *machine) inventory() provision.Inventory {
	return provision.Inventory{
		Arch: "amd64", Vendor: vendor, Product: "simulated", Serial: fmt.Sprint("S", m.number), CPUs: 8, Memory: 32 << 30,
		Disks: []provision.DiskInfo{{Name: "sda", Serial: fmt.Sprint("D", m.number), Size: 500 << 30, Transport: "sata"}},
	}
}

// carryOut makes the requests of an install.
func (a *agent) carryOut(ctx context.Context, plan wire.Plan) error {
	began := time.Now()
	image, err := a.open(ctx, plan.Pack)
	if err != nil {
		return fmt.Errorf("the image: %w", err)
	}
	if _, err := a.open(ctx, plan.Overlay); err != nil {
		return fmt.Errorf("the overlay: %w", err)
	}
	for name, blob := range plan.BootLoaders {
		if err := a.fetch(ctx, blob); err != nil {
			return fmt.Errorf("boot loader %s: %w", name, err)
		}
	}
	asks := provision.Event{Kind: provision.KindLog, Text: "asks whether to go on"}
	stage := func(s provision.Stage) provision.Event {
		return provision.Event{Kind: provision.KindStage, Stage: s, Text: "simulated"}
	}
	for _, step := range []func() error{
		func() error { return a.report(ctx, provision.Event{Kind: provision.KindLog, Text: "will write sda"}) },
		func() error { return a.propose(ctx, plan) },
		func() error { return a.report(ctx, stage(provision.StagePartition)) },
		func() error { return a.report(ctx, stage(provision.StageStream)) },
		func() error { return a.stream(ctx, image, plan.Pack.Size) },
		func() error {
			if a.burns {
				return errBurns
			}
			return nil
		},
		func() error {
			return a.report(ctx, stage(provision.StageConfigure), stage(provision.StageVerify), stage(provision.StageBootable))
		},
		func() error { return a.report(ctx, asks) },
		func() error { return a.report(ctx, stage(provision.StageHandover)) },
		func() error {
			return a.report(ctx, provision.Event{Kind: provision.KindDone, Stage: provision.StageInstalled, Text: "the disk is complete"})
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	a.notes.took("install", time.Since(began))
	return nil
}

// propose tells the plan as an agent does, before the first write.
func (a *agent) propose(ctx context.Context, plan wire.Plan) error {
	_, err := a.post(ctx, wire.ProposalPath, wire.ProposalRequest{Proposal: provision.Proposal{
		Disk:  provision.DiskInfo{Name: "sda", Serial: fmt.Sprint("D", a.number), Size: 500 << 30, Transport: "sata"},
		Image: plan.Image, Pack: plan.Pack.Digest, Fetch: plan.Pack.Size + plan.Overlay.Size,
		Layout: []provision.ProposedPartition{{Number: 1, Name: "bios"}, {Number: 2, Name: "esp", Filesystem: "vfat"}, {Number: 3, Name: "root", Filesystem: "ext4"}},
	}})
	return err
}

// open reads a pack's table of contents.
func (a *agent) open(ctx context.Context, blob wire.Blob) (*pack.HTTP, error) {
	source := &pack.HTTP{URL: a.base + blob.Path, Client: a.http, Digest: blob.Digest,
		Header: http.Header{"Authorization": {"Bearer " + a.session}}, Retry: pack.Retry{Patience: agentPatience}}
	_, err := pack.Fetch(ctx, source, pack.Ref{Digest: blob.Digest, Size: blob.Size})
	return source, err
}

// stream reads a whole pack, onto a disk that swallows it.
func (a *agent) stream(ctx context.Context, source *pack.HTTP, size int64) error {
	body, err := source.Range(ctx, 0, size)
	if err != nil {
		return err
	}
	defer body.Close()
	began, told := time.Now(), time.Now()
	for done := int64(0); ; {
		n, err := io.CopyN(io.Discard, body, 64<<10)
		done += n
		a.disk += n
		if err == io.EOF || done == size {
			return nil
		}
		if err != nil {
			return err
		}
		if a.rate > 0 {
			pause(ctx, time.Duration(float64(done)/float64(a.rate)*float64(time.Second))-time.Since(began))
		}
		if time.Since(told) >= progressEvery {
			told = time.Now()
			p := provision.Event{Kind: provision.KindProgress, Progress: &provision.Progress{Done: done, Total: size, Rate: int64(float64(done) / time.Since(began).Seconds())}}
			if err := a.report(ctx, p); err != nil {
				return err
			}
		}
	}
}

// fetch reads a small file and checks its digest.
func (a *agent) fetch(ctx context.Context, blob wire.Blob) error {
	data, err := a.retry(ctx, http.MethodGet, blob.Path, nil)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); "sha256:"+hex.EncodeToString(sum[:]) != blob.Digest {
		return fmt.Errorf("fetch %s: its digest is another one", blob.Path)
	}
	return nil
}

// report sends events.
func (a *agent) report(ctx context.Context, events ...provision.Event) error {
	mac := provision.MAC(a.mac.String())
	for i := range events {
		events[i].MAC, events[i].Time = mac, time.Now().UTC()
	}
	_, err := a.post(ctx, wire.EventsPath, events)
	return err
}

func (a *agent) post(ctx context.Context, path string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return a.retry(ctx, http.MethodPost, path, body)
}

// refusal is an answer that asking again would not change.
type refusal struct{ error }

// retry makes a request, and again while the server does not answer.
func (a *agent) retry(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, agentPatience)
	defer stop()
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		answer, err := a.do(ctx, method, path, body)
		if _, final := errors.AsType[refusal](err); err == nil || final || ctx.Err() != nil {
			return answer, err
		}
		a.notes.count("agent: asked again")
		pause(ctx, wait)
	}
}

func (a *agent) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, refusal{err}
	}
	r.Header.Set("Content-Type", "application/json")
	if a.session != "" {
		r.Header.Set("Authorization", "Bearer "+a.session)
	}
	answer, err := a.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode/100 == 2 {
		return text, err
	}
	err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, bytes.TrimSpace(text))
	if answer.StatusCode/100 == 4 && answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusRequestTimeout {
		return nil, refusal{err}
	}
	return nil, err
}
