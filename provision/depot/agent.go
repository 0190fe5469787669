package depot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"cloudlets/images/boot"
	"cloudlets/images/ramdisk"
)

// agent is a program that becomes /init.
type agent struct {
	ramdisk.Program
	digest string
}

// openSelf returns the program that runs, as it is when the server starts, if it goes to
// machines itself. If it carries a program for machines like this host, that one goes.
func openSelf(opt Options) (agent, error) {
	if opt.Embedded.Has(runtime.GOARCH) {
		return agent{}, nil
	}
	info, err := os.Stat(opt.Agent)
	if err != nil {
		return agent{}, fmt.Errorf("read the agent's program: %w", err)
	}
	return openAgent(ramdisk.Program{Name: opt.Agent, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(opt.Agent) }})
}

func openAgent(program ramdisk.Program) (agent, error) {
	r, err := program.Open()
	if err != nil {
		return agent{}, fmt.Errorf("read the agent's program: %w", err)
	}
	hash := sha256.New()
	program.Size, err = io.Copy(hash, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return agent{}, fmt.Errorf("read the agent's program: %w", err)
	}
	return agent{program, hex.EncodeToString(hash.Sum(nil))}, nil
}

// agentFor returns the agent for the machines that a kernel runs on. If the kernel
// does not tell its architecture, they are like this host.
func (d *Depot) agentFor(kernel boot.Kernel) (agent, error) {
	found, err := d.programs.Find(cmp.Or(kernel.Arch, kernel.Requires, runtime.GOARCH))
	if err != nil {
		return agent{}, fmt.Errorf("kernel %s: find the agent for it: %w", kernel.Version, err)
	}
	if found.Name == d.self.Name {
		return d.self, nil
	}
	return openAgent(found)
}
