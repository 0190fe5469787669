package web

import (
	"net/http"

	"cloudlets/provision"
	"cloudlets/provision/review"
)

// Reviews says what would go wrong with a machine, as far as that is known, and does
// not wait to find out. [review.Reviewer] implements it.
type Reviews interface {
	Of(provision.MAC) []review.Finding
	// Refusal says why an install cannot work; nil if nothing is known against it.
	Refusal(provision.MAC) error
}

var _ Reviews = (*review.Reviewer)(nil)

// problemsOf are the problems in the row of a machine.
func (s *Server) problemsOf(mac provision.MAC) (problems []string) {
	if s.Reviews == nil {
		return nil
	}
	for _, f := range s.Reviews.Of(mac) {
		problems = append(problems, f.Error())
	}
	return problems
}

// refuseBroken refuses to arm a machine whose install cannot work. Only mending the
// cause helps.
func (s *Server) refuseBroken(mac provision.MAC) error {
	if s.Reviews == nil {
		// What the file said before is not what a person means who has changed it.
		if err := s.Site.ProblemsOf(mac).Err(); err != nil {
			return refuse(http.StatusConflict, "arm install of %s: it could not work; mend this first:\n%s", mac, err)
		}
		return nil
	}
	if err := s.Reviews.Refusal(mac); err != nil {
		return refuse(http.StatusConflict, "%s", err)
	}
	return nil
}

// refuseUnread refuses what is asked of a machine whose file was never good, with what
// is wrong with that file.
func (s *Server) refuseUnread(mac provision.MAC) error {
	problems := s.Site.ProblemsOf(mac)
	if len(problems) == 0 {
		return nil
	}
	return refuse(http.StatusNotFound, "nothing is known of machine %s, since its file was never good: %s", mac, problems.Err())
}
