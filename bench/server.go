package main

import (
	"context"
	"fmt"
)

// A serveFunc listens on a free port of 127.0.0.1, tells ready its address, and serves until
// the process ends. Messages are of size bytes.
type serveFunc func(size int, ready func(addr string) error) error

type serverOrder struct {
	Subject string
	Size    int
}

type listening struct{ Addr string }

// serving makes a role of an ability of the subjects.
func serving(what string, ability func(subject) serveFunc) role {
	return ordered(func(order serverOrder, answer answerFunc) error {
		s, err := findSubject(order.Subject)
		if err != nil {
			return err
		}
		serve := ability(s)
		if serve == nil {
			return fmt.Errorf("subject %q has no %s server", s.name, what)
		}
		if err := raiseFileLimit(); err != nil {
			return err
		}
		return serve(order.Size, func(addr string) error { return answer(listening{addr}) })
	})
}

// startServer starts a subject's server and returns its address. The caller must call stop.
func startServer(ctx context.Context, e env, role, name string, size int) (*child, string, error) {
	server, err := startChild(ctx, place{e.cores.server, 1}, role, serverOrder{name, size})
	if err != nil {
		return nil, "", err
	}
	var at listening
	if err := server.answer(&at); err != nil {
		return nil, "", err
	}
	return server, at.Addr, nil
}
