//go:build linux

package chroot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// The child's descriptors of the two pipes between it and [Run].
const (
	ordersFD  = 3
	reportsFD = 4
)

// maxOutput is how many bytes from the end of a failed check's output are
// reported.
const maxOutput = 4 << 10

// order is the first message to the child. Strings in JSON must be UTF-8, but
// paths and arguments may be any bytes, so they travel as byte slices.
type order struct {
	Dir      string            `json:"-"`
	Hostname string            `json:"hostname"`
	Write    bool              `json:"write"`
	Users    bool              `json:"users"`
	Command  []string          `json:"-"`
	Env      map[string]string `json:"-"`
	Checks   []string          `json:"-"`
	Resolver []byte            `json:"resolver"`
	// Terminal is the host's name of the terminal on standard input, or "" if
	// there is none.
	Terminal string `json:"terminal,omitempty"`
}

// plainOrder is an order without its methods.
type plainOrder order

// wireOrder is an order in the form in which it is sent.
type wireOrder struct {
	plainOrder
	RawDir     []byte   `json:"dir"`
	RawCommand [][]byte `json:"command"`
	RawEnv     [][]byte `json:"env"`
	RawChecks  [][]byte `json:"checks"`
}

// MarshalJSON writes the order with its paths as bytes.
func (o order) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireOrder{
		plainOrder: plainOrder(o), RawDir: []byte(o.Dir), RawCommand: byteLists(o.Command),
		RawEnv: byteLists(environ(o.Env)), RawChecks: byteLists(o.Checks),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (o *order) UnmarshalJSON(data []byte) error {
	var w wireOrder
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*o = order(w.plainOrder)
	o.Dir, o.Command, o.Checks = string(w.RawDir), texts(w.RawCommand), texts(w.RawChecks)
	o.Env = map[string]string{}
	for _, pair := range texts(w.RawEnv) {
		name, value, _ := strings.Cut(pair, "=")
		o.Env[name] = value
	}
	return nil
}

func byteLists(list []string) (raw [][]byte) {
	for _, s := range list {
		raw = append(raw, []byte(s))
	}
	return raw
}

func texts(raw [][]byte) (list []string) {
	for _, b := range raw {
		list = append(list, string(b))
	}
	return list
}

// message is sent to the child: first an order, then signals.
type message struct {
	Order  *order         `json:"order,omitempty"`
	Signal syscall.Signal `json:"signal,omitempty"`
}

// writer writes messages.
type writer struct{ enc *json.Encoder }

func newWriter(w io.Writer) writer { return writer{json.NewEncoder(w)} }

func (w writer) order(o order) error { return w.enc.Encode(message{Order: &o}) }

func (w writer) signal(s syscall.Signal) error { return w.enc.Encode(message{Signal: s}) }

// result is the child's report of how the session ended.
type result struct {
	Exit int `json:"exit"`
	// Problem says why no command could be run. It is "" if one ran.
	Problem string `json:"problem,omitempty"`
	// Check means that the problem is a failed check.
	Check bool `json:"check,omitempty"`
}

// problem makes a result from an error. The exit code is 0 if none fits.
func problem(err error) result {
	r := result{Problem: err.Error(), Check: errors.Is(err, ErrCheck)}
	var start *startError
	if errors.As(err, &start) {
		r.Exit = start.exit
	}
	return r
}

func (r result) write(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// readResult reads the child's report. told is false if there is none.
func readResult(f *os.File) (r result, told bool) {
	err := json.NewDecoder(f).Decode(&r)
	return r, err == nil
}

// outcome converts the result to what [Run] returns.
func (r result) outcome(dir string) (int, error) {
	switch {
	case r.Problem == "":
		return r.Exit, nil
	case r.Check:
		return r.Exit, fmt.Errorf("enter %s: %w: %s", dir, ErrCheck, r.Problem)
	}
	return r.Exit, fmt.Errorf("enter %s: %s", dir, r.Problem)
}
