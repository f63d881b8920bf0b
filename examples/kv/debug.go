package main

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/seed-2334f180/weir/debug"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// showDebug serves the debug page at an address, until stop is called.
func showDebug(address string, s *server.Server, group *loop.Group) (stop func(), err error) {
	ls, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	page := debug.New()
	for _, err := range []error{page.AddServer("kv", s), page.AddGroup("loops", group)} {
		if err != nil {
			page.Close()
			ls.Close()
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/weir/", page)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	slog.Info("debug page", "url", "http://"+ls.Addr().String()+"/debug/weir/")
	go web.Serve(ls) // it ends with stop
	return func() {
		web.Close()
		page.Close()
	}, nil
}
