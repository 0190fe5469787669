package cputime

import (
	"fmt"
	"time"

	"golang.org/x/sys/windows"
)

// Process returns the processor time that all threads of this process have used.
func Process() time.Duration {
	var created, ended, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &ended, &kernel, &user); err != nil {
		panic(fmt.Sprintf("measure the processor time of this process: %v", err)) // only a wrong handle fails
	}
	return duration(kernel) + duration(user)
}

// duration converts a time in units of 100 ns, as GetProcessTimes returns it.
func duration(t windows.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}
