package httpboot

import (
	"net/http"

	"cloudlets/httpboot/requests"
	"cloudlets/provision/wire"
)

// proposal records what an agent is about to do to its machine's disk. The answer says
// whether it may, or has to wait until a person has confirmed it.
func (c *Chain) proposal(w http.ResponseWriter, r *http.Request) {
	mac, err := c.session(r)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	var said wire.ProposalRequest
	if err := requests.ReadJSON(w, r, &said); err != nil {
		http.Error(w, "read proposal: "+requests.Printable(err.Error()), http.StatusBadRequest)
		return
	}
	// A person may take days, in which the image may change: its old pack is kept so long.
	if kept := c.Depot.Keep(said.Proposal.Pack); !kept && (c.Others == nil || len(c.Others(requests.LocalAddr(r.Context()))) == 0) {
		http.Error(w, "the image's pack, which this machine would fetch, is not there any more, and nothing was written yet: restart the machine for a new plan", http.StatusConflict)
		return
	}
	may, err := c.Tracker.Propose(r.Context(), mac, c.Spec(mac), said.Proposal, said.Confirm, c.Tickets, secretOf(r))
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	if may {
		requests.WriteJSON(w, wire.ProposalAnswer{})
		return
	}
	requests.WriteJSON(w, wire.ProposalAnswer{Wait: "nothing is written until a person confirms this with `cloudlets confirm " + string(mac) + "`"})
}
