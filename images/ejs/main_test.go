package ejs

import (
	"fmt"
	"os"
	"testing"
)

// childArg is the argument that makes the test binary a child of a sandbox.
const childArg = "ejs-child"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		if err := ServeChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
