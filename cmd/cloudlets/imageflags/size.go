package imageflags

import (
	"errors"

	"cloudlets/images/bytesize"
)

// Size is a flag for a number of bytes that is more than 0.
type Size int64

// String writes the size for a person. Without a size it is empty, so that the
// help shows no default.
func (s *Size) String() string {
	if *s == 0 {
		return ""
	}
	return bytesize.Exact(int64(*s))
}

// Type is what the help calls the value.
func (s *Size) Type() string { return "size" }

// Set reads "16GiB" or "500GB".
func (s *Size) Set(text string) error {
	n, err := bytesize.Parse(text)
	if err == nil && n <= 0 {
		err = errors.New("the size must be more than 0")
	}
	*s = Size(n)
	return err
}
