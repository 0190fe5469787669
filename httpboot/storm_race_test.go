//go:build race

package httpboot

// stormMachines is how many machines boot at once in TestBootStorm. The race detector follows
// each of them, for many seconds if they are hundreds.
const stormMachines = 100
