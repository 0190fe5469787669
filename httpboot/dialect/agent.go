package dialect

import (
	"encoding/json"
	"errors"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// ErrAgentAsIs says why an agent boots no other kernel.
var ErrAgentAsIs = errors.New("the machine runs the installer already, which starts nothing else: restart the machine")

// Agent is the dialect of an agent in a signed program, and of any agent that asks
// again: a [wire.Answer]. The agent runs already, so of a [Program] it is told the
// parameters alone.
type Agent struct {
	Until time.Time // when its request must be answered
	Asked bool      // it has failed, and asks again
}

var _ Dialect = Agent{}

// Patience is what is left until its request must be answered.
func (a Agent) Patience() time.Duration { return time.Until(a.Until) }

// Boot is the command line alone. An agent that runs cannot start another kernel, and one
// that has failed no system in memory: then the error is [ErrAgentAsIs].
func (a Agent) Boot(p Program) (string, error) {
	if p.AsIs || (p.Rescues || p.Lives) && a.Asked {
		return "", ErrAgentAsIs
	}
	return answerText(wire.Answer{Cmdline: p.Cmdline, Order: p.Order}), nil
}

// Again has the agent ask once more.
func (Agent) Again(_ provision.MAC, reason string) string {
	return answerText(wire.Answer{Again: reason})
}

// Leave says why the machine is not to be installed, and sends it to its next boot device.
func (Agent) Leave(reason string) string { return answerText(wire.Answer{Leave: reason}) }

// Unable is [Agent.Leave] for a reason that a person can mend, so that the agent may wait
// for that.
func (Agent) Unable(reason string) string {
	return answerText(wire.Answer{Leave: reason, Mendable: true})
}

func answerText(a wire.Answer) string {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // texts can be marshalled
	}
	return string(text)
}
