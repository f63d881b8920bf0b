package main

import (
	weir "github.com/seed-2334f180/weir"
)

var weirEventsSubject = subject{
	name:      "weir-events",
	about:     "Weir's Server with event callbacks, one loop",
	serveEcho: serveEchoWeirEvents,
}

func serveEchoWeirEvents(_ int, ready func(addr string) error) error {
	srv := &weir.Server{Loops: 1, Events: weir.Events{
		Data: func(c *weir.Conn) error {
			_, err := c.Write(c.Next(-1))
			return err
		},
	}}
	return serveWeir(srv, ready)
}

// serveWeir runs a server on a free port.
func serveWeir(srv *weir.Server, ready func(addr string) error) error {
	addr, err := srv.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := ready(addr.String()); err != nil {
		return err
	}
	return srv.Wait()
}
