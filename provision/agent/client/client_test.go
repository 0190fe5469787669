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
