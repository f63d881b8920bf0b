package subjects

import (
	"context"
	"fmt"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
)

// A ServeFunc listens on a free port of 127.0.0.1, tells ready its address, and serves until
// the process ends. Messages are of size bytes.
type ServeFunc func(size int, ready func(addr string) error) error

type Order struct {
	Subject string
	Size    int
}

type Listening struct{ Addr string }

// serving makes a role of an ability of the subjects.
func serving(what string, ability func(Subject) ServeFunc) child.Role {
	return child.Ordered(func(order Order, answer child.Answer) error {
		s, err := Find(order.Subject)
		if err != nil {
			return err
		}
		serve := ability(s)
		if serve == nil {
			return fmt.Errorf("subject %q has no %s server", s.Name, what)
		}
		if err := machine.RaiseFileLimit(); err != nil {
			return err
		}
		return serve(order.Size, func(addr string) error { return answer(Listening{addr}) })
	})
}

// StartServer starts a subject's server and returns its address. The caller must call stop.
func StartServer(ctx context.Context, where child.Place, role string, order Order) (*child.Process, string, error) {
	server, err := child.Start(ctx, where, role, order)
	if err != nil {
		return nil, "", err
	}
	var at Listening
	if err := server.Answer(&at); err != nil {
		return nil, "", err
	}
	return server, at.Addr, nil
}
