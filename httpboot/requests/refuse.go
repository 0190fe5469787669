package requests

import (
	"context"
	"errors"
	"net/http"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/turns"
	"cloudlets/images/ejs"
	"cloudlets/provision/tickets"
)

// ErrChanged is the error of a request while what a person wants of the machine changed. It
// is decided anew when the machine asks again.
var ErrChanged = errors.New("what is wanted of this machine changed in this moment; ask again")

// Refuse answers with an error. The status tells the agent whether it may help to
// ask again.
func Refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, tickets.ErrRefused):
		status = http.StatusForbidden
	case IsRefusal(err):
		status = http.StatusConflict
	case errors.Is(err, ErrChanged):
		status = http.StatusServiceUnavailable // with no Retry-After: it may ask at once
	case errors.Is(err, turns.ErrBusy):
		status = http.StatusServiceUnavailable
		// Who waits to ask again shall not keep a connection meanwhile, of which there
		// are not enough for all.
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", dialect.RetryAfter)
	}
	http.Error(w, err.Error(), status)
}

// refusal is an error that stays until a person does something.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// Refusal makes an error one that stays until a person does something.
func Refusal(err error) error { return &refusal{err} }

// IsRefusal says whether an error is, or wraps, a [Refusal].
func IsRefusal(err error) bool {
	_, is := errors.AsType[*refusal](err)
	return is
}

// RefusalUnless is a [Refusal], unless the only reason is that time ran out, or that this
// computer is too busy.
func RefusalUnless(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ejs.ErrStalled) {
		return err
	}
	return Refusal(err)
}
