//go:build linux

// Command fleetsim simulates a fleet: it switches thousands of machines on, in a
// network namespace of its own, against real daemons over real sockets. Each
// machine is a firmware, then an iPXE, then the agent's protocol with a disk that
// swallows what it gets. At the end it prints how many were installed, how long
// each step took, and what bounded it.
//
// It makes namespaces, so it needs root. Nothing outside of them sees a packet.
//
// The files are: main.go (flags), bed.go (namespaces, daemons, etcd), site.go (the
// machines' files and an image), dhcp.go and tftp.go (what firmware speaks),
// machine.go (one machine, step by step), inspect.go and agent.go (its last parts),
// storm.go (all machines), page.go (who looks at the page), rollout.go (all of them
// once more, in waves), and report.go (the table).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/images/bytesize"
	"cloudlets/provision/rollout"
)

// options are the flags.
type options struct {
	Machines   int
	Strangers  int
	Over       time.Duration
	Row        int
	Firmware   string
	Loss       float64
	Rate       string
	Seed       uint64
	ImageSize  string
	Servers    int
	Etcd       string
	Kill       int
	KillEtcd   bool
	Bystanders int
	Again      bool
	Rollout    int
	// RolloutFails is the machine that fails in the roll-out, counted from 1; 0 is none.
	RolloutFails int
	Patience     time.Duration
	Program      string
	JSON         bool
	Keep         bool
	inside       bool
	page         []string
	rate, image  int64
	mix          mix
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fleetsim:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "fleetsim", Short: "Switch simulated machines on, and see how a server carries them", Args: cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		Example: `  fleetsim --machines 1000
  fleetsim --machines 0 --strangers 40
  fleetsim --machines 10000 --over 60s --kill 10
  fleetsim --machines 10000 --over 60s --servers 3 --etcd bin/etcd/usr/bin/etcd --kill 3 --kill-etcd`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.page) > 0 {
				return lookAtPage(cmd.Context(), o.page, cmd.OutOrStdout())
			}
			if err := o.check(); err != nil {
				return err
			}
			if !o.inside {
				return enter(cmd.Context(), os.Args[1:])
			}
			return run(cmd.Context(), &o, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Machines, "machines", 100, "how `many` machines are switched on")
	f.IntVar(&o.Strangers, "strangers", 0, "how `many` more are switched on that no file describes: they are inspected, approved by a rule, and installed")
	f.DurationVar(&o.Over, "over", 0, "the `time` over which they are switched on; 0 means all at once")
	f.IntVar(&o.Row, "row", 0, "switch on so `many` at once, as a power strip does, spread over the time of --over")
	f.StringVar(&o.Firmware, "firmware", "bios=40,uefi=40,http=10,ipxe=10", "the `mix` of firmware, in parts: bios, uefi, http (UEFI HTTP Boot) and ipxe (iPXE in the network card)")
	f.Float64Var(&o.Loss, "loss", 0, "how many `percent` of the packets of DHCP and TFTP are lost")
	f.StringVar(&o.Rate, "rate", "0", "bytes in a second that a machine's `link` carries, such as 125MB; 0 means no limit")
	f.Uint64Var(&o.Seed, "seed", 1, "the `number` from which chance begins")
	f.StringVar(&o.ImageSize, "image-size", "256KiB", "`bytes` of files in the image")
	f.IntVar(&o.Servers, "servers", 1, "how `many` daemons share the network; more than one takes --etcd")
	f.StringVar(&o.Etcd, "etcd", "", "the etcd `program`; as many members as daemons run, and keep the daemons' store")
	f.IntVar(&o.Kill, "kill", 0, "kill the daemons so `often`, in turn, and start them again")
	f.BoolVar(&o.KillEtcd, "kill-etcd", false, "kill a member of etcd in the middle, for good")
	f.IntVar(&o.Bystanders, "bystanders", 1, "`clients` that are no machines of the site, and ask for an address each second")
	f.BoolVar(&o.Again, "again", false, "switch each machine on once more when it is installed; it must boot from its disk")
	f.IntVar(&o.Rollout, "rollout", 0, "then install the machines anew, in waves of so `many`; with --kill the server that carries it on is killed once more")
	f.IntVar(&o.RolloutFails, "rollout-fails", 0, "the `number` of the machine whose install fails then, counted from 1")
	f.DurationVar(&o.Patience, "patience", 30*time.Minute, "the `time` after which it is given up")
	f.StringVar(&o.Program, "cloudlets", "bin/cloudlets", "the `program` to run as daemon")
	f.BoolVar(&o.JSON, "json", false, "print the result as JSON")
	f.BoolVar(&o.Keep, "keep", false, "keep the folder with the daemons' logs and state")
	f.BoolVar(&o.inside, "inside", false, "")
	f.StringArrayVar(&o.page, "page", nil, "")
	_, _ = f.MarkHidden("inside"), f.MarkHidden("page")
	return cmd
}

// total is how many machines are switched on. The last of them are strangers.
func (o *options) total() int { return o.Machines + o.Strangers }

func (o *options) check() (err error) {
	if o.mix, err = parseMix(o.Firmware); err != nil {
		return err
	}
	if o.image, err = bytesize.Parse(o.ImageSize); err != nil {
		return fmt.Errorf("--image-size: %w", err)
	}
	if o.Rate != "0" {
		if o.rate, err = bytesize.Parse(o.Rate); err != nil {
			return fmt.Errorf("--rate: %w", err)
		}
	}
	switch {
	case o.Machines < 0 || o.Strangers < 0 || o.total() < 1 || o.total() > maxMachines:
		return fmt.Errorf("--machines and --strangers: want 1 to %d in all", maxMachines)
	case o.Strangers > 0 && o.Servers > 1:
		return errors.New("--strangers: takes one server, since each server approves into its own copy of the site")
	case o.Rollout < 0 || o.Rollout > rollout.MaxAtATime || o.Rollout > 0 && (o.Machines < 1 || o.Machines > rollout.MaxMachines || o.Strangers > 0):
		return fmt.Errorf("--rollout: want 1 to %d at a time, of 1 to %d --machines, and no --strangers", rollout.MaxAtATime, rollout.MaxMachines)
	case o.RolloutFails < 0 || o.RolloutFails > o.Machines || o.RolloutFails > 0 && o.Rollout == 0:
		return errors.New("--rollout-fails: goes with --rollout, and names one of the machines")
	case o.Loss < 0 || o.Loss > 50:
		return errors.New("--loss: want 0 to 50 percent")
	case o.Servers < 1 || o.Servers > 16:
		return errors.New("--servers: want 1 to 16")
	case o.Servers > 1 && o.Etcd == "":
		return errors.New("--servers: several daemons share a store in etcd: name its program with --etcd")
	}
	return nil
}

// mix is how many parts of the machines have which firmware.
type mix []struct {
	firmware firmware
	parts    int
}

// parseMix reads "bios=40,uefi=60".
func parseMix(text string) (mix, error) {
	var m mix
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		kind := firmware(strings.TrimSpace(name))
		if err != nil || n < 0 || !kind.known() {
			return nil, fmt.Errorf("--firmware: %q is not a part of a mix; want one such as bios=40, of bios, uefi, http and ipxe", part)
		}
		m = append(m, struct {
			firmware firmware
			parts    int
		}{kind, n})
	}
	if m.total() == 0 {
		return nil, errors.New("--firmware: all parts are 0")
	}
	return m, nil
}

func (m mix) total() (n int) {
	for _, part := range m {
		n += part.parts
	}
	return n
}

// of is the firmware of the machine with a number. The kinds take turns.
func (m mix) of(machine int) firmware {
	at := machine * 7919 % m.total() // a prime, so that kinds mingle
	for _, part := range m {
		if at < part.parts {
			return part.firmware
		}
		at -= part.parts
	}
	return m[0].firmware
}
