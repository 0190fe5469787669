// Package redfish is a management controller on loopback, for tests: a Redfish service
// (DMTF DSP0266) with all that its schemas require of a service root, sessions and
// computer systems, and little else.
package redfish

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// User and Password are those of every service.
const (
	User     = "admin"
	Password = "s3cret-of-the-redfish"
)

// The boot of a system that nobody told anything.
const (
	disabled = "Disabled"
	once     = "Once"
	none     = "None"
)

// Service is a Redfish service whose systems are off, with a certificate of its own.
type Service struct {
	*httptest.Server
	// Before is called before each request is answered, if it is set. It must be set
	// before the first.
	Before func(*http.Request)
	// Chassis are what the systems are, by their Ids, where a machine is behind one.
	Chassis map[string]Chassis
	// ResetTypes are those that are offered.
	ResetTypes []string

	mu       sync.Mutex
	systems  map[string]*system
	sessions map[string]string // their tokens, and the Id of each
}

// Chassis is what a system is: it is switched, and may switch itself off.
type Chassis interface {
	IsOn() bool
	// On switches it on. Network says that it boots from the network, this once.
	On(network bool) error
	Off()
}

type system struct {
	on      bool
	enabled string
	target  string
	said    []string
}

// Start starts a service until the test ends, with systems that have these Ids.
func Start(t testing.TB, ids ...string) *Service {
	t.Helper()
	return StartOn(t, nil, ids...)
}

// StartOn is [Start], with a listener that is in another network namespace, say.
func StartOn(t testing.TB, listener net.Listener, ids ...string) *Service {
	t.Helper()
	s := &Service{
		ResetTypes: []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle"},
		systems:    make(map[string]*system), sessions: make(map[string]string),
	}
	for _, id := range ids {
		s.systems[id] = &system{enabled: disabled, target: none}
	}
	s.Server = httptest.NewUnstartedServer(s.handler())
	if listener != nil {
		s.Listener.Close()
		s.Listener = listener
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// Said returns what a system was told, in order: types of reset, and "boot" with the
// override's target.
func (s *Service) Said(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.systems[id].said)
}

// CertificatePEM is the service's certificate, which has signed itself.
func (s *Service) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Fingerprint is the SHA-256 of the service's certificate, in hexadecimal digits.
func (s *Service) Fingerprint() string {
	return fmt.Sprintf("%x", sha256.Sum256(s.Certificate().Raw))
}

// object is a JSON object.
type object = map[string]any

func (s *Service) handler() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, answer func(*http.Request) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if s.Before != nil {
				s.Before(r)
			}
			s.mu.Lock()
			status, value := answer(r)
			s.mu.Unlock()
			write(w, status, value)
		})
	}
	closed := func(pattern string, answer func(*http.Request) (int, any)) {
		open(pattern, func(r *http.Request) (int, any) {
			if !s.known(r) {
				return refuse(http.StatusUnauthorized, "Base.1.8.InsufficientPrivilege", "user or password is wrong")
			}
			return answer(r)
		})
	}
	// The version and the root are for everyone (DSP0266, section 13.3.4).
	open("GET /redfish", func(*http.Request) (int, any) { return http.StatusOK, object{"v1": "/redfish/v1/"} })
	open("GET /redfish/v1", root)
	open("GET /redfish/v1/{$}", root)
	open("POST /redfish/v1/SessionService/Sessions", s.login)
	closed("GET /redfish/v1/SessionService", func(*http.Request) (int, any) {
		return http.StatusOK, resource("SessionService", "#SessionService.v1_1_8.SessionService", "SessionService", object{
			"ServiceEnabled": true, "Sessions": link("SessionService/Sessions"),
		})
	})
	closed("GET /redfish/v1/SessionService/Sessions", func(*http.Request) (int, any) {
		return http.StatusOK, collection("SessionService/Sessions", "Session", slices.Sorted(maps.Values(s.sessions)))
	})
	closed("GET /redfish/v1/SessionService/Sessions/{id}", func(r *http.Request) (int, any) { return http.StatusOK, session(r.PathValue("id")) })
	closed("DELETE /redfish/v1/SessionService/Sessions/{id}", func(r *http.Request) (int, any) {
		maps.DeleteFunc(s.sessions, func(_, id string) bool { return id == r.PathValue("id") })
		return http.StatusNoContent, nil
	})
	closed("GET /redfish/v1/Systems", func(*http.Request) (int, any) {
		return http.StatusOK, collection("Systems", "ComputerSystem", slices.Sorted(maps.Keys(s.systems)))
	})
	closed("GET /redfish/v1/Systems/{id}", s.onSystem(func(id string, sys *system, _ *http.Request) (int, any) {
		return http.StatusOK, s.describe(id, sys)
	}))
	closed("PATCH /redfish/v1/Systems/{id}", s.onSystem(s.patch))
	closed("POST /redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset", s.onSystem(s.reset))
	return mux
}

func root(*http.Request) (int, any) {
	return http.StatusOK, resource("", "#ServiceRoot.v1_5_0.ServiceRoot", "RootService", object{
		"RedfishVersion": "1.6.0", "UUID": "92384634-2938-2342-8820-489239905423",
		"Systems": link("Systems"), "SessionService": link("SessionService"),
		"Links": object{"Sessions": link("SessionService/Sessions")},
	})
}

// known says whether a request has a login or a session.
func (s *Service) known(r *http.Request) bool {
	if user, password, given := r.BasicAuth(); given {
		return user == User && password == Password
	}
	_, known := s.sessions[r.Header.Get("X-Auth-Token")]
	return known
}

func (s *Service) login(r *http.Request) (int, any) {
	var asked struct{ UserName, Password string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.UserName != User || asked.Password != Password {
		return refuse(http.StatusUnauthorized, "Base.1.8.ResourceAtUriUnauthorized", "user or password is wrong")
	}
	token, id := rand.Text(), fmt.Sprint(len(s.sessions)+1)
	s.sessions[token] = id
	return http.StatusCreated, opened{session(id), token}
}

// opened is a session that was just opened, with its token.
type opened struct {
	object
	token string
}

func session(id string) object {
	return resource("SessionService/Sessions/"+id, "#Session.v1_3_0.Session", id, object{"UserName": User})
}

func (s *Service) onSystem(do func(string, *system, *http.Request) (int, any)) func(*http.Request) (int, any) {
	return func(r *http.Request) (int, any) {
		id := r.PathValue("id")
		if sys := s.systems[id]; sys != nil {
			return do(id, sys, r)
		}
		return refuse(http.StatusNotFound, "Base.1.8.ResourceMissingAtURI", "there is no system "+id)
	}
}

func (s *Service) describe(id string, sys *system) object {
	state := "Off"
	if c := s.Chassis[id]; c != nil {
		sys.on = c.IsOn()
	}
	if sys.on {
		state = "On"
	}
	return resource("Systems/"+id, "#ComputerSystem.v1_10_0.ComputerSystem", id, object{
		"SystemType": "Physical", "Manufacturer": "Nobody", "Model": "Test", "SerialNumber": "S-" + id, "PowerState": state,
		"Status": object{"State": "Enabled", "Health": "OK"},
		"Boot": object{
			"BootSourceOverrideEnabled": sys.enabled, "BootSourceOverrideTarget": sys.target, "BootSourceOverrideMode": "UEFI",
			"BootSourceOverrideTarget@Redfish.AllowableValues": []string{none, "Pxe", "UefiHttp", "Hdd"},
		},
		"Actions": object{"#ComputerSystem.Reset": object{
			"target":                            "/redfish/v1/Systems/" + id + "/Actions/ComputerSystem.Reset",
			"ResetType@Redfish.AllowableValues": s.ResetTypes,
		}},
	})
}

func (s *Service) patch(id string, sys *system, r *http.Request) (int, any) {
	var asked struct {
		Boot struct{ BootSourceOverrideEnabled, BootSourceOverrideTarget, BootSourceOverrideMode string }
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return refuse(http.StatusBadRequest, "Base.1.8.PropertyUnknown", err.Error())
	}
	boot := asked.Boot
	if boot.BootSourceOverrideEnabled != once || !slices.Contains([]string{"Pxe", "UefiHttp", "Hdd"}, boot.BootSourceOverrideTarget) {
		return refuse(http.StatusBadRequest, "Base.1.8.PropertyValueNotInList", fmt.Sprintf("%+v is no boot", boot))
	}
	sys.enabled, sys.target = boot.BootSourceOverrideEnabled, boot.BootSourceOverrideTarget
	sys.said = append(sys.said, "boot "+sys.target)
	return http.StatusOK, s.describe(id, sys)
}

func (s *Service) reset(id string, sys *system, r *http.Request) (int, any) {
	var asked struct{ ResetType string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || !slices.Contains(s.ResetTypes, asked.ResetType) {
		return refuse(http.StatusBadRequest, "Base.1.8.ActionParameterNotSupported", asked.ResetType+" is not offered")
	}
	sys.said = append(sys.said, asked.ResetType)
	network := sys.enabled == once && sys.target != "Hdd"
	if sys.on = asked.ResetType != "ForceOff" && asked.ResetType != "GracefulShutdown"; sys.on {
		sys.enabled, sys.target = disabled, none // it boots, and the override was for once
	}
	if c := s.Chassis[id]; c != nil {
		if !sys.on || asked.ResetType != "On" {
			c.Off()
		}
		if sys.on {
			if err := c.On(network); err != nil {
				return refuse(http.StatusInternalServerError, "Base.1.8.InternalError", err.Error())
			}
		}
	}
	return http.StatusNoContent, nil
}

func link(path string) object { return object{"@odata.id": "/redfish/v1/" + path} }

// resource adds what every resource has (DSP0266, section 9.7).
func resource(path, kind, id string, rest object) object {
	maps.Copy(rest, link(path))
	rest["@odata.type"], rest["Id"], rest["Name"] = kind, id, id
	return rest
}

func collection(path, of string, ids []string) object {
	members := make([]object, len(ids))
	for i, id := range ids {
		members[i] = link(path + "/" + id)
	}
	c := link(path)
	c["@odata.type"], c["Name"] = "#"+of+"Collection."+of+"Collection", of+" collection"
	c["Members"], c["Members@odata.count"] = members, len(members)
	return c
}

// refuse returns an error response (DSP0266, section 8.6).
func refuse(status int, code, text string) (int, any) {
	return status, object{"error": object{
		"code": code, "message": text,
		"@Message.ExtendedInfo": []object{{"@odata.type": "#Message.v1_1_1.Message", "MessageId": code, "Message": text, "MessageArgs": []string{}, "Severity": "Critical"}},
	}}
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("Cache-Control", "no-cache")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="redfish"`)
	}
	if o, isNew := value.(opened); isNew {
		w.Header().Set("X-Auth-Token", o.token)
		w.Header().Set("Location", o.object["@odata.id"].(string))
		value = o.object
	}
	if value == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // whoever asked is gone
}
