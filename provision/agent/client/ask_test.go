package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// TestAskForParameters: an agent whose command line is the same for all machines
// asks with the address of a card, and takes no other server's word for the next one.
func TestAskForParameters(t *testing.T) {
	const card provision.MAC = "52:54:00:00:00:01"
	own := wire.Params{Servers: []string{"http://10.0.0.1"}, MAC: card, Token: "secret"}
	for name, test := range map[string]struct{ answer, fails string }{
		"install":       {`{"cmdline": "quiet ` + own.Cmdline() + `"}`, ""},
		"leave":         {`{"leave": "nobody armed it"}`, "does not install this machine: nobody armed it"},
		"sent on":       {`{"cmdline": "cloudlets.ask=http://10.0.0.9"}`, "only the signed command line"},
		"nothing":       {`{}`, "cloudlets.token is missing"},
		"no JSON":       {`#!ipxe`, "read its answer"},
		"hostile words": {`{"leave": "\u001b[2J"}`, "does not install"},
	} {
		c, servers, _ := fleet(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/boot/52:54:00:00:00:01/params" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte(test.answer))
		})
		got, err := c.Ask(t.Context(), card)
		switch {
		case test.fails == "":
			if err != nil || got.Token != "secret" || got.MAC != card {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.fails) || strings.Contains(err.Error(), "\x1b"):
			t.Errorf("%s: error %q, want %q in it", name, err, test.fails)
		}
		if _, is := errors.AsType[Leave](err); is != strings.Contains(test.answer, `"leave"`) {
			t.Errorf("%s: back to the firmware: %t", name, is)
		}
		servers[0].Close()
	}
}
