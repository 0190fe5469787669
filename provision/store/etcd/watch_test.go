package etcd

import (
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/provision/store"
)

// told is a follower that remembers the keys that it is told of.
type told []string

func (*told) Load(store.Tx) error { return nil }

func (f *told) Apply(changes []store.Change) {
	for _, c := range changes {
		*f = append(*f, c.Key)
	}
}

// TestNothingIsToldTwice: what the followers have loaded already is not told again
// when the watch comes to it.
func TestNothingIsToldTwice(t *testing.T) {
	s := &Store{prefix: "/p/"}
	s.delivered.init()
	s.delivered.advance(10)
	var f told
	if _, err := s.followers.Add(func(func(store.Tx) error) error { return nil }, &f, []string{"b"}); err != nil {
		t.Fatal(err)
	}
	var events []*clientv3.Event
	for _, revision := range []int64{9, 10, 11, 11, 12} {
		kv := &mvccpb.KeyValue{Key: fmt.Append(nil, "/p/b/", revision), ModRevision: revision}
		events = append(events, &clientv3.Event{Type: clientv3.EventTypePut, Kv: kv})
	}
	s.deliver(events)
	s.deliver(events)
	if got := fmt.Sprint(f); got != "[11 11 12]" {
		t.Errorf("told of %s", got)
	}
}
