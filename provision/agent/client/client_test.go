package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/agent/client/clienttest"
	"cloudlets/provision/wire"
)

func clientOf(f clienttest.Server) *Client {
	c := New("http://boot.test/", slog.New(slog.DiscardHandler))
	c.HTTP = &http.Client{Transport: f}
	return c
}

const testMAC provision.MAC = "52:54:00:00:00:01"

var someParams = wire.Params{Servers: []string{"http://boot.test"}, Token: "token", MAC: testMAC}

func TestClaimIsRepeatedUntilItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nonces []string
		c := clientOf(func(r *http.Request, body []byte) (int, string) {
			var claim wire.ClaimRequest
			if err := json.Unmarshal(body, &claim); err != nil || claim.Token != "token" || claim.MAC != testMAC || r.URL.Path != wire.ClaimPath {
				t.Errorf("claimed %s (%v) at %s", body, err, r.URL)
			}
			nonces = append(nonces, claim.Nonce)
			return []int{0, 503, 429, 200}[len(nonces)-1], `{"mac": "52:54:00:00:00:01", "session": "secret", "image": "debian"}`
		})
		plan, err := c.Claim(t.Context(), someParams, provision.Inventory{})
		if err != nil || plan.Image != "debian" || c.Session != "secret" {
			t.Errorf("got %+v, %v", plan, err)
		}
		if len(nonces) != 4 || nonces[0] == "" || nonces[0] != nonces[3] {
			t.Errorf("the nonces of the tries are %q: a claim whose answer was lost could not be told from another's", nonces)
		}
	})
}

func TestClaimThatIsRefusedIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		c := clientOf(func(*http.Request, []byte) (int, string) {
			tries++
			return 403, "the token was used at 10:00\n"
		})
		_, err := c.Claim(t.Context(), someParams, provision.Inventory{})
		wantError(t, err, "claim the plan of "+string(testMAC), "http://boot.test", "the token was used at 10:00")
		if tries != 1 {
			t.Errorf("asked %d times", tries)
		}
	})
}

func TestClaimRefusesThePlanOfAnotherMachine(t *testing.T) {
	c := clientOf(func(*http.Request, []byte) (int, string) { return 200, `{"mac": "52:54:00:00:00:99", "wipe": true}` })
	_, err := c.Claim(t.Context(), someParams, provision.Inventory{})
	wantError(t, err, "52:54:00:00:00:99", "nothing is written")
	c = clientOf(func(*http.Request, []byte) (int, string) { return 200, `<html>` })
	_, err = c.Claim(t.Context(), someParams, provision.Inventory{})
	wantError(t, err, "read the plan of "+string(testMAC))
}

func TestAskingEndsWithPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(func(*http.Request, []byte) (int, string) { return 0, "" })
		start := time.Now()
		_, err := c.Post(t.Context(), wire.EventsPath, nil)
		wantError(t, err, "gave up", "connection refused")
		if waited := time.Since(start); waited < Patience-maxWait || waited > Patience+maxWait {
			t.Errorf("gave up after %s", waited)
		}
	})
}

func TestAskingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := clientOf(func(*http.Request, []byte) (int, string) { return 500, "" })
		start := time.Now()
		if _, err := c.Post(ctx, wire.EventsPath, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

func TestARefusalWithoutWordsSaysWhatWasAsked(t *testing.T) {
	c := clientOf(func(*http.Request, []byte) (int, string) { return 404, "" })
	_, err := c.Fetch(t.Context(), wire.Blob{Path: "/core.img"})
	wantError(t, err, "GET /core.img", "404")
}

func TestFetchChecksTheDigest(t *testing.T) {
	right := []byte("right")
	blob := wire.Blob{Path: "/b", Digest: digestOf(right)}
	tries := 0
	c := clientOf(func(*http.Request, []byte) (int, string) {
		if tries++; tries == 1 {
			return 200, "wrong"
		}
		return 200, string(right)
	})
	if got, err := c.Fetch(t.Context(), blob); err != nil || !bytes.Equal(got, right) {
		t.Errorf("got %q, %v", got, err)
	}
	c = clientOf(func(*http.Request, []byte) (int, string) { return 200, "wrong" })
	_, err := c.Fetch(t.Context(), blob)
	wantError(t, err, "/b", digestOf([]byte("wrong")), blob.Digest)
}

func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error says %q, and should say %q", err, word)
		}
	}
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// later is a transport that answers 503 with a Retry-After, until it has done so often
// enough.
type later struct {
	header string
	times  []time.Time
	often  int
}

func (l *later) RoundTrip(r *http.Request) (*http.Response, error) {
	l.times = append(l.times, time.Now())
	response, err := clienttest.Server(func(*http.Request, []byte) (int, string) {
		if len(l.times) <= l.often {
			return http.StatusServiceUnavailable, "too many machines ask for that at once"
		}
		return http.StatusOK, `{"mac": "52:54:00:00:00:01"}`
	}).RoundTrip(r)
	response.Header.Set("Retry-After", l.header)
	return response, err
}

// TestABusyServerIsAskedWhenItSays: a machine that has no turn comes back no earlier than
// the server says, and not much later; two do not come back at the same moment.
func TestABusyServerIsAskedWhenItSays(t *testing.T) {
	pauses := func(header string, often int) (all []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			busy := &later{header: header, often: often}
			c := clientOf(nil)
			c.HTTP = &http.Client{Transport: busy}
			if _, err := c.Claim(t.Context(), someParams, provision.Inventory{}); err != nil {
				t.Fatal(err)
			}
			for i := 1; i < len(busy.times); i++ {
				all = append(all, busy.times[i].Sub(busy.times[i-1]))
			}
		})
		return all
	}
	between := func(low, high time.Duration, all []time.Duration) {
		t.Helper()
		for _, d := range all {
			if d < low || d > high {
				t.Errorf("asked again after %s, and not between %s and %s", d, low, high)
			}
		}
	}
	asked := pauses("8", 20)
	between(8*time.Second, 12*time.Second, asked)
	slices.Sort(asked)
	if len(slices.Compact(asked)) < 2 {
		t.Errorf("all pauses are %s: machines that were refused at once come back at once", asked[0])
	}
	for _, hours := range []string{"36000", "86400", "99999999999999999999"} { // no server keeps a machine waiting for hours
		between(time.Minute, 90*time.Second, pauses(hours, 3))
	}
	for _, noTime := range []string{"", "-1", "soon", "Fri, 31 Dec 1999 23:59:59 GMT"} {
		between(200*time.Millisecond, 400*time.Millisecond, pauses(noTime, 2))
	}
}

// TestPatienceEndsWithARequest: a server that wants the client to wait for longer than it has
// is asked once more right before the end.
func TestPatienceEndsWithARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &later{header: "60", often: 1}
		c := clientOf(nil)
		c.HTTP, c.Patience = &http.Client{Transport: busy}, time.Minute
		if _, err := c.Claim(t.Context(), someParams, provision.Inventory{}); err != nil {
			t.Error(err)
		}
		if last := busy.times[len(busy.times)-1].Sub(busy.times[0]); last != time.Minute-lastTry {
			t.Errorf("the last request was made after %s", last)
		}
	})
}
