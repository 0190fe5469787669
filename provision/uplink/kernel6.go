package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// procIPv6 has the kernel's settings of IPv6, a folder for each interface.
const procIPv6 = "/proc/sys/net/ipv6/conf"

// disable switches IPv6 off on an interface.
const disable = "disable_ipv6"

// wanted6 are the kernel's settings by which it takes what routers advertise (RFC
// 4861 and 4862). An image's kernel may have other defaults. Names and values are
// those of the kernel's ip-sysctl.rst.
var wanted6 = []setting{
	{"accept_ra", "2"}, // even if the machine forwards
	{"accept_ra_defrtr", "1"},
	{"accept_ra_pinfo", "1"},
	{"accept_ra_mtu", "1"},
	{"accept_ra_rtr_pref", "1"},
	{"accept_ra_rt_info_max_plen", "128"}, // routes to other networks (RFC 4191)
	{"autoconf", "1"},
	{"addr_gen_mode", "0"}, // addresses from the MAC, as the firmware had them
	{"use_tempaddr", "0"},
	{"accept_dad", "1"},
	{"dad_transmits", "1"},
	{"router_solicitations", "-1"}, // ask without an end (RFC 7559)
}

type setting struct{ name, value string }

// kernel6 is the kernel's IPv6 on an interface.
type kernel6 struct{ dir string }

// check returns an error if the kernel has no IPv6 there.
func (k kernel6) check() error {
	if _, err := os.Stat(filepath.Join(k.dir, disable)); err != nil {
		return fmt.Errorf("configure IPv6 on %s: the running kernel has no IPv6: take ipv6.disable=1 off its command line, use an image whose kernel has IPv6, or give machines a server with an IPv4 address (%w)", filepath.Base(k.dir), err)
	}
	return nil
}

// start switches IPv6 on anew, so that the kernel asks for routers with the wanted
// settings even on an interface that was on before. It returns a function that
// restores the settings.
func (k kernel6) start() (restore func(), err error) {
	var before []setting
	restore = func() {
		for _, s := range before {
			_ = k.write(s)
		}
	}
	for _, s := range append([]setting{{disable, "1"}}, wanted6...) {
		old, err := os.ReadFile(filepath.Join(k.dir, s.name))
		if err == nil {
			before = append(before, setting{s.name, strings.TrimSpace(string(old))})
			err = k.write(s)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // older kernels lack some settings
			restore()
			return nil, err
		}
	}
	if err := k.write(setting{disable, "0"}); err != nil {
		restore()
		return nil, err
	}
	return restore, nil
}

func (k kernel6) write(s setting) error {
	if err := os.WriteFile(filepath.Join(k.dir, s.name), []byte(s.value), 0); err != nil {
		return fmt.Errorf("configure IPv6 on %s: set %s to %s: %w", filepath.Base(k.dir), s.name, s.value, err)
	}
	return nil
}
