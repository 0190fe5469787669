// Package retryafter reads for how long a server of HTTP wants a client to stay away.
package retryafter

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Max is the longest pause that counts: no server holds a machine up for longer.
const Max = time.Minute

// Of reads the header Retry-After in seconds (RFC 9110, 10.2.3), up to [Max]. It is 0 if
// there is none, or if it is a date: the clock of a machine that is being installed may be
// wrong.
func Of(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(seconds, uint64(Max/time.Second))) * time.Second
}

// Spread is a pause, and up to half as long besides, so that a thousand machines that were
// refused at once do not come back at once.
func Spread(after time.Duration) time.Duration { return after + rand.N(after/2+1) }
