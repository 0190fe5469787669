package dhcp_test

import (
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/leasetest"
)

func TestMemoryLeasesConform(t *testing.T) {
	leasetest.Conformance(t, func(*testing.T) dhcp.LeaseStore { return &dhcp.MemoryLeases{} })
}
