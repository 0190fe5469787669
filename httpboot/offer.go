package httpboot

import (
	"encoding/json"
	"net/http"
)

// offer tells another server which pack the depot has of a content. It says nothing
// about a machine, and the content's digest tells only those something who have the
// content, so anyone may ask.
func (c *Chain) offer(w http.ResponseWriter, r *http.Request) {
	ref, has := c.Depot.Offer("sha256:" + r.PathValue("content"))
	if !has {
		http.Error(w, "this server has no pack of that content", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(ref) // if it fails, the connection is gone
}
