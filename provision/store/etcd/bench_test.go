package etcd_test

import (
	"errors"
	"fmt"
	"testing"

	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
	testcluster "cloudlets/testdata/etcd"
)

// BenchmarkUpdate is a transaction that reads one key and writes two, until this
// server's followers have been told.
func BenchmarkUpdate(b *testing.B) {
	for _, members := range []int{1, 3} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			s, err := etcd.Open(b.Context(), etcd.Options{Endpoints: testcluster.Start(b, members).Endpoints()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			for b.Loop() {
				err := s.Update(b.Context(), func(tx store.Tx) error {
					_, err := tx.Get("b", "one")
					return errors.Join(err, tx.Put("b", "one", make([]byte, 200)), tx.Put("b", "two", make([]byte, 200)))
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
