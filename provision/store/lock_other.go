//go:build !unix

package store

import "errors"

// lock is refused where stores are not used: only Linux serves machines.
func lock(string) (unlock func(), err error) {
	return nil, errors.New("stores are restored on Linux only")
}
