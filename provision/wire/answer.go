package wire

import "cloudlets/provision"

// ParamsPath is where an agent asks for its parameters, if its command line is the
// same for all machines. A pattern for the MAC is "{mac}".
func ParamsPath(mac provision.MAC) string { return "/boot/" + string(mac) + "/params" }

// AgainQuery is the query with which an agent asks that has failed, and was booted before.
const AgainQuery = "again"

// Answer is what a server tells an agent that asks for its parameters. One of
// Cmdline, Again and Leave is set.
type Answer struct {
	// Cmdline has the parameters, see [ParseParams].
	Cmdline string `json:"cmdline,omitempty"`
	// Again says why the agent shall ask once more in a few seconds.
	Again string `json:"again,omitempty"`
	// Leave says why the machine is not to be installed. It shall go on to its next
	// boot device.
	Leave string `json:"leave,omitempty"`
	// Mendable comes with Leave. It says that a person can mend the reason while an
	// agent that asks again waits.
	Mendable bool `json:"mendable,omitempty"`
	// Order comes with Cmdline. It changes when a person arms the machine again, or
	// mends its file or its image.
	Order string `json:"order,omitempty"`
}
