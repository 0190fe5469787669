package media

import (
	"cloudlets/images/bytesize"
)

// roomFlag is a flag for a number of bytes that may be 0.
type roomFlag int64

// String writes the size for a person.
func (r *roomFlag) String() string { return bytesize.Exact(int64(*r)) }

// Type is what the help calls the value.
func (r *roomFlag) Type() string { return "size" }

// Set reads "200MB", or "0".
func (r *roomFlag) Set(text string) error {
	n, err := bytesize.Parse(text)
	*r = roomFlag(n)
	return err
}
