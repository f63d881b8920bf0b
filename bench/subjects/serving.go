package subjects

import (
	"context"
	"fmt"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
)

// An Order tells a child which subject's server to be.
type Order struct {
	Subject string
	Size    int // of a message
	Steps   int // of Compute for each message (ordinary-server)
}

// Listening is a server's answer: the address that it listens on.
type Listening struct{ Addr string }

// serving makes the role of a server. ability selects that server of a subject.
func serving(what string, ability func(Subject) ServeFunc) child.Role {
	return child.Ordered(func(order Order, answer child.Answer) error {
		s, err := Find(order.Subject)
		if err != nil {
			return err
		}
		serve := ability(s)
		if serve == nil {
			return noServer(s, what)
		}
		if err := machine.RaiseFileLimit(); err != nil {
			return err
		}
		return serve(order.Size, func(addr string) error { return answer(Listening{addr}) })
	})
}

// serveOrdinary is a role: the process is an ordinary server.
func serveOrdinary(order Order, answer child.Answer) error {
	s, err := Find(order.Subject)
	if err != nil {
		return err
	}
	if s.ServeOrdinary == nil {
		return noServer(s, "ordinary")
	}
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	return s.ServeOrdinary(Task{order.Size, order.Steps}, func(addr string) error { return answer(Listening{addr}) })
}

func noServer(s Subject, what string) error {
	return fmt.Errorf("subject %q has no %s server", s.Name, what)
}

// StartServer starts a subject's server and returns its address. The caller must call Stop.
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
