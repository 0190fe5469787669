package agent

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// TestAnAgentWaitsForAPerson, through a server that is away for long, and asks until it
// may.
func TestAnAgentWaitsForAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, asked := time.Now(), 0
		c := clientOf(func(r *http.Request, body []byte) (int, string) {
			var said wire.ProposalRequest
			if err := json.Unmarshal(body, &said); err != nil || r.URL.Path != wire.ProposalPath || said.Proposal.Image != "web" || !said.Confirm {
				t.Errorf("said %s at %s (%v)", body, r.URL.Path, err)
			}
			asked++
			switch since := time.Since(began); {
			case since > time.Hour && since < 2*time.Hour:
				return 0, ""
			case since < 3*time.Hour:
				return 200, `{"wait": "until ann says so"}`
			}
			return 200, `{}`
		})
		var seen bytes.Buffer
		r := newReporter(t.Context(), testMAC, c, &console{out: &seen}, notCalledOff(t))
		defer r.close()
		if err := r.propose(t.Context(), provision.Proposal{Image: "web"}, true); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 3*time.Hour || asked < 100 {
			t.Errorf("it went on after %s, and had asked %d times", took, asked)
		}
		if n := strings.Count(seen.String(), "until ann says so"); n == 0 || n > 5 {
			t.Errorf("the console says %d times why it waits", n)
		}
	})
}

func TestAnAgentThatIsRefusedDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(func(*http.Request, []byte) (int, string) { return 403, "ann took it back" })
		r := newReporter(t.Context(), testMAC, c, &console{out: &bytes.Buffer{}}, notCalledOff(t))
		defer r.close()
		wantError(t, r.propose(t.Context(), provision.Proposal{}, true), "ann took it back")
	})
}
