package manifest

import (
	"strings"
	"testing"
)

func TestSelector(t *testing.T) {
	m := parseManifest(t, `{
		"templates": ["/etc/hosts", "/var/log/conf", "/srv/tmp"],
		"persistent": ["/srv", "/home/"],
		"volatile": ["/var/log/.+", "/srv/tmp"]
	}`)
	all := []string{"/", "/etc", "/etc/hosts", "/etc/hosts/x", "/home", "/home/x", "/homes", "/srv", "/srv/tmp", "/srv/x", "/var/log", "/var/log/conf", "/var/log/x"}
	for _, tt := range []struct{ classes, want string }{
		{"templates persistent other", "/ /etc /etc/hosts /etc/hosts/x /home /home/x /homes /srv /srv/x /var/log"},
		{"templates persistent volatile other", strings.Join(all, " ")},
		{"templates", "/etc/hosts /srv/tmp /var/log/conf"},
		{"persistent", "/home /home/x /srv /srv/tmp /srv/x"},
		{"volatile", "/srv/tmp /var/log/conf /var/log/x"},
		{"templates volatile", "/etc/hosts /srv/tmp /var/log/conf /var/log/x"},
		{"other", "/ /etc /etc/hosts/x /homes /var/log"},
		{"other volatile", "/ /etc /etc/hosts/x /homes /var/log /var/log/x"},
		{"other templates", "/ /etc /etc/hosts /etc/hosts/x /homes /var/log"},
		{"", ""},
	} {
		var classes []Class
		for name := range strings.FieldsSeq(tt.classes) {
			classes = append(classes, Class(name))
		}
		selected := m.Selector(classes)
		var got []string
		for _, p := range all {
			if selected(p) {
				got = append(got, p)
			}
		}
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("%s: %s, want %s", tt.classes, g, tt.want)
		}
	}
}
