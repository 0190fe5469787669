package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Check asks each member of the cluster how it is. The answers are in the order of
// the endpoints; nil means that all is well.
func Check(ctx context.Context, o Options) ([]error, error) {
	client, err := clientv3.New(clientv3.Config{
		Context: ctx, Endpoints: o.Endpoints, TLS: o.TLS, Username: o.User, Password: o.Password, DialTimeout: callTimeout, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("ask the members of etcd: %w", err)
	}
	defer client.Close() // it only asked
	found := make([]error, len(o.Endpoints))
	for i, endpoint := range o.Endpoints {
		found[i] = check(ctx, client, endpoint)
	}
	return found, nil
}

func check(ctx context.Context, client *clientv3.Client, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	status, err := client.Status(ctx, endpoint)
	switch {
	case err != nil:
		return fmt.Errorf("it does not answer: %w; see that it runs, and that this host reaches it", err)
	case status.Leader == 0:
		return fmt.Errorf("it knows no leader: a majority of the members must run and reach each other")
	case len(status.Errors) > 0:
		return fmt.Errorf("it says: %s", status.Errors[0])
	}
	return nil
}
