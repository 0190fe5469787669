// Package cloudinit runs Debian's cloud-init, which `make bin/cloud-init` unpacks: it is
// not installed, since it would configure this computer at its next boot.
package cloudinit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/needs"
)

// Told is what a cloud-init was told.
type Told struct {
	Datasource, Instance, Hostname, User, Vendor string
	Keys                                         []string
	Config                                       any // of user-data that is #cloud-config
	Network                                      any // what the configuration says of the network
	Metadata                                     map[string]any
	Token                                        bool // it has one of IMDSv2
}

// Stage is one of cloud-init's stages: before there is a network, and when there is one.
type Stage string

// The stages.
const (
	Local   Stage = "local"
	Network Stage = "network"
)

// Read has cloud-init find the datasource of a root folder, in which our file in
// /etc/cloud names it. platform is what the firmware says that the machine is, such as
// "aws"; "" leaves it to this computer's. prefix is a command that runs it elsewhere, as
// in a namespace.
func Read(ctx context.Context, t testing.TB, root string, stage Stage, platform string, prefix ...string) (Told, error) {
	t.Helper()
	module := needs.Module(t)
	modules := needs.Made(t, filepath.Join(module, "bin/cloud-init/usr/lib/python3/dist-packages"), "bin/cloud-init")
	// -S leaves out the modules that this computer has.
	args := append(prefix, needs.Tool(t, "python3", "python3"), "-S", filepath.Join(module, "testdata/cloudinit/read.py"), root, string(stage))
	if platform != "" {
		args = append(args, platform)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH=" + modules, "PYTHONDONTWRITEBYTECODE=1"}
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		return Told{}, err
	}
	var told Told
	return told, json.Unmarshal(out, &told)
}
