package desk

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cloudlets/provision"
)

// maxConsoles is how many consoles may be open at once.
const maxConsoles = 64

// ErrConsoles is why a console was refused.
var ErrConsoles = fmt.Errorf("%d consoles are open already: leave one of them", maxConsoles)

// Console joins a person with a machine's console until one of both ends, or ctx does.
// Ready is called once the console is open, see [power.Console]. Orders to the machine's
// controller do not wait for that, since people switch machines to see what they show.
func (d *Desk) Console(ctx context.Context, spec *provision.Spec, by string, ready func() (io.Reader, io.Writer, error)) error {
	console, err := d.OpenConsole(spec)
	if err != nil {
		return err
	}
	select {
	case d.consoles <- struct{}{}:
	default:
		return ErrConsoles
	}
	defer func() { <-d.consoles }()
	// The server waits for its end, which closes the session with the controller.
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return ErrStopping
	}
	d.orders.Add(1)
	d.mu.Unlock()
	defer d.orders.Done()
	opened := false
	err = console.Join(ctx, func() (io.Reader, io.Writer, error) {
		in, out, err := ready()
		if err == nil {
			opened = true
			d.Record(ctx, provision.Event{MAC: spec.MAC, Kind: provision.KindPower, Text: "its console is opened", By: by})
		}
		return in, out, err
	})
	if opened {
		e := provision.Event{MAC: spec.MAC, Kind: provision.KindPower, Text: "its console is left", By: by}
		if err != nil && !errors.Is(err, context.Canceled) {
			e.Text, e.Reason = "its console broke off", err.Error()
		}
		d.Record(context.WithoutCancel(ctx), e)
	}
	return err
}
