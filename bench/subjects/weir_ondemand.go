package subjects

import (
	"encoding/binary"
	"sync"

	"github.com/seed-2334f180/weir/bench/wire"
	"github.com/seed-2334f180/weir/server"
)

var weirOnDemandSubject = Subject{
	Name:          "weir-ondemand",
	About:         "Weir's Server with a blocking handler, which has a goroutine only while it has a request",
	ServeEcho:     serveEchoWeirOnDemand,
	ServeTLS:      serveTLSWeirOnDemand,
	ServeFlood:    serveFloodWeirOnDemand,
	ServeOrdinary: serveOrdinaryWeirOnDemand,
}

func serveEchoWeirOnDemand(size int, ready func(addr string) error) error {
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, Handler: echoOnDemand(Task{Size: size})})
}

func serveOrdinaryWeirOnDemand(task Task, ready func(addr string) error) error {
	return runWeirServer("tcp4", ready, &server.Server{Handler: echoOnDemand(task)})
}

// echoOnDemand returns a handler that answers what there is, once, with a buffer from a pool.
func echoOnDemand(task Task) func(*server.Session) error {
	buffers := sync.Pool{New: func() any {
		buf := make([]byte, wire.Buffer(task.Size))
		return &buf
	}}
	return func(s *server.Session) error {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		n, err := s.Read(*buf)
		if err != nil {
			return err
		}
		Compute(task.Steps)
		_, err = s.Write((*buf)[:n])
		return err
	}
}

// serveFloodWeirOnDemand serves one frame in a call.
func serveFloodWeirOnDemand(_ int, ready func(addr string) error) error {
	return runWeirServer("tcp4", ready, &server.Server{Loops: 1, Handler: func(s *server.Session) error {
		header, err := s.Peek(wire.HeaderSize)
		if err != nil {
			return err
		}
		frame, err := s.Peek(int(binary.BigEndian.Uint32(header)))
		if err != nil {
			return err
		}
		answer, used, order, err := wire.Take(nil, frame)
		if err != nil {
			return err
		}
		s.Discard(used)
		if len(answer) > 0 {
			if _, err := s.Write(answer); err != nil {
				return err
			}
		}
		return deliver(s, order)
	}})
}
