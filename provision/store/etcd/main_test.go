package etcd_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain lets more tests run at once than there are processors, unless the command
// line says how many: most of them wait until something has timed out. After them, no
// goroutine of a store may be left.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		flag.Set("test.parallel", "5")
	}
	code := m.Run()
	if left := goroutinesLeft(); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines of a closed store are left:\n%s", left)
		code = 1
	}
	os.Exit(code)
}

// goroutinesLeft returns the stacks of the goroutines that belong to a store or its
// client. Those of gRPC end a moment after the client is closed.
func goroutinesLeft() string {
	const patience = 10 * time.Second
	for begin := time.Now(); ; {
		var stacks, left bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		for stack := range bytes.SplitSeq(stacks.Bytes(), []byte("\n\n")) {
			for _, of := range []string{"store/etcd.(", "etcd/client/v3", "google.golang.org/grpc"} {
				if bytes.Contains(stack, []byte(of)) {
					fmt.Fprintf(&left, "%s\n\n", stack)
					break
				}
			}
		}
		if left.Len() == 0 || time.Since(begin) > patience {
			return left.String()
		}
		time.Sleep(10 * time.Millisecond)
	}
}
