package fleet

import (
	"fmt"
	"strings"

	"cloudlets/web/api"
)

// inspectionRows shows what was found in a machine while it was a stranger.
func inspectionRows(row func(name, value string), m api.Detail) {
	i := m.Inspection
	if i == nil {
		return
	}
	row("processor", i.CPU)
	row("started by", strings.TrimSpace(fmt.Sprintf("%s %s %s %s", i.Firmware.Kind, i.Firmware.Vendor, i.Firmware.Version, i.Firmware.Date)))
	row("secure boot", i.SecureBoot)
	row("BMC", i.BMC)
	for _, d := range i.Disks {
		contents := d.Contents
		if contents == "" {
			contents = "empty"
		}
		row("disk found", fmt.Sprintf("%s: %s", d, contents))
	}
	for _, n := range i.Interfaces {
		text := n.Name + " " + n.MAC
		if n.Speed > 0 {
			text += fmt.Sprintf(", %d Mbit/s", n.Speed)
		}
		if !n.Up {
			text += ", no link"
		}
		if n.Switch != "" {
			text += fmt.Sprintf(", port %s of %s", n.Port, n.Switch)
		}
		row("card found", text)
	}
	for _, p := range i.PCI {
		row("device found", fmt.Sprintf("%s, class %s, %s", p.ID, p.Class, p.Address))
	}
	if m.Spec == nil {
		row("rules", m.Outcome)
	}
}
