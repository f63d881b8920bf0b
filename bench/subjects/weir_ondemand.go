package subjects

import (
	"sync"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/bench/wire"
	"github.com/seed-2334f180/weir/socket"
)

var weirOnDemandSubject = Subject{
	Name:      "weir-ondemand",
	About:     "Weir's Server with a blocking handler, which has a goroutine only while it has a request",
	ServeEcho: serveEchoWeirOnDemand,
}

func serveEchoWeirOnDemand(size int, ready func(addr string) error) error {
	buffers := sync.Pool{New: func() any {
		buf := make([]byte, wire.Buffer(size))
		return &buf
	}}
	return runWeirServer("tcp4", ready, &weir.Server{Loops: 1, Handle: func(s *socket.Socket) error {
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
