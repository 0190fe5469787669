//go:build !race

package httpboot

// stormMachines is how many machines boot at once in TestBootStorm.
const stormMachines = 500
