// Package web measures net/http on the listeners of the subjects: a server process, and a
// client that asks it, which is wrk where that is installed.
package web

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// Roles are the HTTP server, the built-in client, and a client that asks once.
var Roles = map[string]child.Role{
	"http-server": child.Ordered(serve),
	"http-load":   child.Ordered(ask),
	"http-idle":   child.Ordered(fallSilent),
}

// An Order tells a child which subject's listener to serve HTTP on.
type Order struct {
	Subject string
	TLS     bool
	Size    int // bytes of an answer
}

// serve is the role of a server that answers each request with the same bytes.
func serve(order Order, answer child.Answer) error {
	s, err := subjects.Find(order.Subject)
	if err != nil {
		return err
	}
	if s.Listen == nil {
		return fmt.Errorf("subject %q has no listener", s.Name)
	}
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	listener, err := s.Listen()
	if err != nil {
		return err
	}
	if err := answer(subjects.Listening{Addr: listener.Addr().String()}); err != nil {
		return err
	}
	body := bytes.Repeat([]byte("weir"), order.Size/4+1)[:order.Size]
	length := strconv.Itoa(order.Size)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", length)
			w.Write(body) //nolint:errcheck // the client has gone
		}),
		ErrorLog: log.New(io.Discard, "", 0), // it would report clients that end in the middle
	}
	if order.TLS {
		if server.TLSConfig, err = subjects.ServerTLS(); err != nil {
			return err
		}
	}
	switch {
	case s.ServeHTTP != nil:
		return s.ServeHTTP(server, listener)
	case order.TLS:
		return server.ServeTLS(listener, "", "")
	}
	return server.Serve(listener)
}
