package web

import (
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/shown"
)

// row returns the row of a machine. The spec is nil if no file of the site describes
// it.
func (s *Server) row(spec *provision.Spec, state provision.State) api.Machine {
	row := shown.Machine(spec, state, s.Site.Settings().Strangers.Decide(spec, state))
	row.Outdated, row.Problems = s.Roster.Outdated(state.MAC), s.problemsOf(state.MAC)
	return row
}

func (s *Server) newDetail(spec *provision.Spec, state provision.State) api.Detail {
	return shown.Detail(s.row(spec, state), spec, state, s.now())
}
