package keys

import (
	"errors"
	"fmt"
	"slices"

	"cloudlets/provision/cloudinit"
)

// staticRoutes is the older option for routes (RFC 2132, 5.8). Clients that take classless
// routes ignore it (RFC 3442).
const staticRoutes = 33

// checkMetadata refuses a metadata service that the network's machines could not reach,
// and options that would stop counting.
func (n Network) checkMetadata() error {
	switch {
	case !n.Metadata:
		return nil
	case n.IsIPv6():
		return fmt.Errorf("the metadata service is at %s, and the network %s is one of IPv6; leave \"metadata\" out, or put it in a network of IPv4", cloudinit.MetadataAddr, n.Title())
	case n.Interface == "" && n.Subnet.IsValid() && !n.Router.IsValid():
		return fmt.Errorf("machines of the network %s, which is behind relays, reach the metadata service by their router; give the network a \"router\" that forwards %s to this server, or leave \"metadata\" out", n.Title(), cloudinit.MetadataAddr)
	case n.Subnet.Contains(cloudinit.MetadataAddr):
		return fmt.Errorf("the subnet %s of the network %s has the address of the metadata service, %s; choose another subnet, or leave \"metadata\" out", n.Subnet, n.Title(), cloudinit.MetadataAddr)
	case slices.ContainsFunc(n.Options, func(o DHCPOption) bool { return o.Code == staticRoutes }):
		return errors.New("machines are told the route to the metadata service in option 121, and then ignore \"static-routes\"; write those as option 121, with the default route (RFC 3442)")
	}
	return nil
}
