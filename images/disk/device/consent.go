//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"cloudlets/images/bytesize"
)

// ErrNotConfirmed is returned if no person agreed to a write. Nothing was written.
var ErrNotConfirmed = errors.New("not confirmed, so nothing was written")

// Consent is how a person agrees to a write. [Typed], [BySerial] and [OwnDisk] are the only
// implementations.
type Consent interface {
	confirm(ctx context.Context, f Facts, r Request) error
}

// Typed shows a person at a terminal what will be lost, and asks them to type the
// device's name.
type Typed struct {
	// Terminal is where to ask. If it is nil, this process's terminal is used.
	Terminal *os.File
	// Serial is the serial number that the device must have. If it is empty, any
	// device will do.
	Serial string
}

// BySerial is the serial number of the device to write. It is given beforehand if
// there is no terminal.
type BySerial string

// OwnDisk agrees to write a slot of the disk of the running system. No name needs to be
// typed for that: no other disk can be meant, and the running system stays.
type OwnDisk struct{}

func (OwnDisk) confirm(_ context.Context, f Facts, r Request) error {
	if r.Slot == nil || !slices.ContainsFunc(f.Uses, func(u Use) bool { return u.System }) {
		return fmt.Errorf("%w: %s is not the disk of the running system", ErrNotConfirmed, f)
	}
	return nil
}

var (
	_ Consent = OwnDisk{}
	_ Consent = Typed{}
	_ Consent = BySerial("")
)

// confirm returns nil if the device has the serial number.
func (s BySerial) confirm(_ context.Context, f Facts, _ Request) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: give the serial number of the device to write", ErrNotConfirmed)
	case f.Serial == "":
		return fmt.Errorf("%w: %s reports no serial number: confirm on a terminal", ErrNotConfirmed, f)
	case strings.TrimSpace(string(s)) != strings.TrimSpace(f.Serial):
		return fmt.Errorf("%w: the serial number of %s is not %q", ErrNotConfirmed, f, string(s))
	}
	return nil
}

// confirm asks for the device's name.
func (t Typed) confirm(ctx context.Context, f Facts, r Request) error {
	if t.Serial != "" {
		if err := BySerial(t.Serial).confirm(ctx, f, r); err != nil {
			return err
		}
	}
	if t.Terminal == nil {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("%w: open the terminal to ask: %w", ErrNotConfirmed, err)
		}
		defer tty.Close()
		t.Terminal = tty
	}
	return t.ask(ctx, f, r)
}

// ask shows the plan and reads one line.
func (t Typed) ask(ctx context.Context, f Facts, r Request) error {
	if _, err := io.WriteString(t.Terminal, plan(f, r)); err != nil {
		return fmt.Errorf("ask on the terminal: %w", err)
	}
	answer, err := t.line(ctx)
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != f.Path && answer != f.Name {
		return fmt.Errorf("%w: %q was typed, but the device is %s", ErrNotConfirmed, answer, f.Path)
	}
	return nil
}

// plan describes for a person what will be written where, and what will be lost.
func plan(f Facts, r Request) string {
	but := ""
	if r.Keep != nil {
		but = fmt.Sprintf(" but for partition %d, %s (%s), which is kept", r.Keep.Number, plain(r.Keep.Name), bytesize.Binary(r.Keep.Size))
	}
	lost := "Everything that is on it will be lost" + but
	if r.Slot != nil {
		lost = fmt.Sprintf("What is on its partition %d, %s (%s), will be lost, and all else is kept", r.Slot.Number, plain(r.Slot.Name), bytesize.Binary(r.Slot.Size))
	}
	unknown := func(s string) string {
		if s == "" {
			return "not known"
		}
		return plain(s)
	}
	return fmt.Sprintf(`%s will be written to
  device  %s
  model   %s
  serial  %s
  size    %s (%d bytes)
  on it   %s
%s. To write, type the device's name, %s: `,
		plain(r.What), f.Path, unknown(f.Model), unknown(f.Serial), bytesize.Decimal(f.Size), f.Size, unknown(f.Contents), lost, f.Name)
}

// maxAnswer limits an answer in bytes. Devices' names are shorter.
const maxAnswer = 4096

// line reads a line from the terminal. It stops if the context ends.
func (t Typed) line(ctx context.Context) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = t.Terminal.SetReadDeadline(time.Unix(1, 0)) }) // otherwise an interrupt would have no effect before a line is typed
	defer stop()
	var line []byte
	for len(line) < maxAnswer {
		var b [1]byte
		n, err := t.Terminal.Read(b[:])
		switch {
		case ctx.Err() != nil:
			return "", fmt.Errorf("%w: %w", ErrNotConfirmed, ctx.Err())
		case n == 1 && b[0] == '\n':
			return string(line), nil
		case n == 1:
			line = append(line, b[0])
		case err == nil || errors.Is(err, io.EOF):
			return "", fmt.Errorf("%w: the terminal was closed", ErrNotConfirmed)
		default:
			return "", fmt.Errorf("%w: read from the terminal: %w", ErrNotConfirmed, err)
		}
	}
	return "", fmt.Errorf("%w: the answer is too long", ErrNotConfirmed)
}
