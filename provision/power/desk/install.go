package desk

import (
	"cloudlets/provision"
	"cloudlets/provision/power"
)

// ForInstall is the order by which a machine whose install is armed boots from the network
// now, whatever runs there. One that can only be woken is woken.
func ForInstall(p *provision.Power, by string) Order {
	if p != nil && p.WakeOnLAN {
		return Order{Action: power.On, By: by}
	}
	return Order{Action: power.Cycle, Network: true, By: by}
}
