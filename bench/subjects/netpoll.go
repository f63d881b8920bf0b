package subjects

import (
	"context"
	"io"

	"github.com/cloudwego/netpoll"
	"github.com/seed-2334f180/weir/bench/wire"
)

var netpollSubject = Subject{
	Name:          "netpoll",
	About:         "CloudWeGo's netpoll, with one poller and its pool of goroutines",
	ByRequest:     true,
	ServeEcho:     serveEchoNetpoll,
	ServePipeline: servePipelineNetpoll,
}

func serveEchoNetpoll(size int, ready func(addr string) error) error {
	return serveNetpoll(ready, echoNetpoll)
}

func servePipelineNetpoll(size int, ready func(addr string) error) error {
	return serveNetpoll(ready, framesNetpoll)
}

// serveNetpoll calls handle, on a goroutine of netpoll, when a connection has input. netpoll
// sets TCP_NODELAY.
func serveNetpoll(ready func(addr string) error, handle func(netpoll.Connection) error) error {
	// It logs connections that the generator ends, which is expected.
	if err := netpoll.Configure(netpoll.Config{PollerNum: 1, LoggerOutput: io.Discard}); err != nil {
		return err
	}
	netpoll.Initialize()
	listener, err := netpoll.CreateListener("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	loop, err := netpoll.NewEventLoop(func(_ context.Context, conn netpoll.Connection) error {
		err := handle(conn)
		if err != nil {
			conn.Close() //nolint:errcheck // the first error is the one to tell
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := ready(listener.Addr().String()); err != nil {
		return err
	}
	return loop.Serve(listener)
}

// echoNetpoll passes the read buffer to the writer, and releases it after Flush, which waits
// until all has left.
func echoNetpoll(conn netpoll.Connection) error {
	r, w := conn.Reader(), conn.Writer()
	p, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	if _, err := w.WriteBinary(p); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}

// framesNetpoll answers frames while there is input. The answers leave together, before the
// reader waits for the rest of a frame.
func framesNetpoll(conn netpoll.Connection) error {
	r, w := conn.Reader(), conn.Writer()
	ahead := func(n int) error {
		if r.Len() < n && w.MallocLen() > 0 {
			return w.Flush()
		}
		return nil
	}
	for r.Len() > 0 {
		if err := ahead(wire.HeaderSize); err != nil {
			return err
		}
		header, err := r.Peek(wire.HeaderSize)
		if err != nil {
			return err
		}
		n, err := wire.Length(header)
		if err != nil {
			return err
		}
		if err := ahead(n); err != nil {
			return err
		}
		frame, err := r.Next(n)
		if err != nil {
			return err
		}
		answer, err := w.Malloc(n)
		if err != nil {
			return err
		}
		wire.AppendAnswer(answer[:0], frame)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}
