package dialect

import (
	"fmt"

	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// Program is what a machine boots, said in no boot loader's language.
type Program struct {
	// MAC is that of the card that booted. The agent finds the network by it.
	MAC provision.MAC
	// Image is the name of the image that is installed, for the console.
	Image string
	// Kernel and RAMDisk are files of the depot. What is booted as it is may have no
	// RAMDisk.
	Kernel, RAMDisk depot.File
	// Cmdline is the kernel's command line. It contains the token with which the
	// agent claims its plan.
	Cmdline string
	// Order changes with what a person ordered, see [wire.Answer].
	Order string
	// Inspects says that the agent only looks at the machine.
	Inspects bool
	// Rescues says that the agent starts a rescue system in memory, and Lives that it starts
	// the image's own.
	Rescues, Lives bool
	// AsIs says that kernel and RAM disk are the image's own, without the agent.
	AsIs bool
}

// Title says what the program does, for the console.
func (p Program) Title() string {
	if p.AsIs {
		return fmt.Sprintf("booting %s on %s", p.Image, p.MAC)
	}
	if p.Rescues {
		return fmt.Sprintf("rescue of %s with %s in memory, no disk is written", p.MAC, p.Image)
	}
	if p.Lives {
		return fmt.Sprintf("starting %s in the memory of %s, nothing is installed", p.Image, p.MAC)
	}
	if p.Inspects {
		return fmt.Sprintf("inspecting %s, nothing is written", p.MAC)
	}
	return fmt.Sprintf("installing %s on %s", p.Image, p.MAC)
}
