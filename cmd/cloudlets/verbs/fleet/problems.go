package fleet

import (
	"fmt"
	"io"

	"cloudlets/web/api"
)

// printMachineProblems lists what is wrong with a machine's file and image.
func printMachineProblems(w io.Writer, m api.Machine) {
	if len(m.Problems) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s cannot work as it is, or not as it seems to be meant:\n", m.MAC)
	for _, problem := range m.Problems {
		fmt.Fprintf(w, "  %s\n", problem)
	}
}
