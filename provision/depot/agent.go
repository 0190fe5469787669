package depot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"

	"cloudlets/images/boot"
	"cloudlets/images/ramdisk"
)

// agent is a program that becomes /init.
type agent struct {
	file   string
	digest string
	size   int64
}

func openAgent(file string) (agent, error) {
	f, err := os.Open(file)
	if err != nil {
		return agent{}, fmt.Errorf("read the agent's program: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return agent{}, fmt.Errorf("read the agent's program: %w", err)
	}
	return agent{file: file, digest: hex.EncodeToString(hash.Sum(nil)), size: size}, nil
}

// agentFor returns the agent for the machines that a kernel runs on. If the kernel
// does not tell its architecture, they are like this host.
func (d *Depot) agentFor(kernel boot.Kernel) (agent, error) {
	programs := ramdisk.Programs{Dir: d.assets.Dir, Self: d.agent.file}
	file, err := programs.Find(cmp.Or(kernel.Arch, kernel.Requires, runtime.GOARCH))
	if err != nil {
		return agent{}, fmt.Errorf("kernel %s: find the agent for it: %w", kernel.Version, err)
	}
	if file == d.agent.file {
		return d.agent, nil
	}
	return openAgent(file)
}
