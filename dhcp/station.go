package dhcp

import "net"

// Station is a MAC as a map's key.
type Station [6]byte

// String writes the MAC as usual: "52:54:00:12:34:56".
func (s Station) String() string { return net.HardwareAddr(s[:]).String() }

// StationOf is the station with a MAC. ok is false unless that has 6 bytes.
func StationOf(mac net.HardwareAddr) (s Station, ok bool) {
	if len(mac) != 6 {
		return Station{}, false
	}
	return Station(mac), true
}
