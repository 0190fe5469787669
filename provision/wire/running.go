package wire

import "cloudlets/provision"

// RunningPath is where the system that was installed on a machine says that it runs, by
// GET or POST. The query "uptime" tells how many seconds ago its kernel started. In a
// pattern mac and token are "{mac}" and "{token}".
func RunningPath(mac provision.MAC, token string) string {
	return "/running/" + string(mac) + "/" + token
}
