package main

import (
	"sync"

	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
)

var weirOnDemandSubject = subject{
	name:      "weir-ondemand",
	about:     "Weir's Server with a blocking handler, which has a goroutine only while it has a request",
	serveEcho: serveEchoWeirOnDemand,
}

func serveEchoWeirOnDemand(size int, ready func(addr string) error) error {
	buffers := sync.Pool{New: func() any {
		buf := make([]byte, echoBuffer(size))
		return &buf
	}}
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, Handler: func(s *socket.Socket) error {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		n, err := s.Recv(*buf, 0)
		if err != nil {
			return err
		}
		_, err = s.Write((*buf)[:n])
		return err
	}})
}
