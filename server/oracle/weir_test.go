package oracle

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func start(t *testing.T, srv *server.Server) (port int) {
	srv.Log, srv.LockThread = slog.New(slog.DiscardHandler), *locked
	t.Cleanup(func() { srv.Close() })
	addr, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	return int(addr.Port())
}

// sessionStream is a Session as a stream.
type sessionStream struct{ *server.Session }

func (s sessionStream) closeWrite() error { return s.Shutdown(unix.SHUT_WR) }

func (s sessionStream) abort() error {
	if err := s.SetLinger(0); err != nil {
		return err
	}
	return s.Close()
}

// startHandler starts a server with a Handler that answers up to `each` requests in a call.
func startHandler(t *testing.T, a *accounts, each int) (port int) {
	return start(t, &server.Server{
		Begin: func(s *server.Session) error { s.User = new(conversation); return nil },
		Handler: func(s *server.Session) error {
			c := s.User.(*conversation)
			for range each {
				err := c.serve(sessionStream{s})
				if c.over {
					return io.EOF
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
		Finish: func(s *server.Session, err error) {
			c := s.User.(*conversation)
			if !c.over { // between two calls
				_ = c.ended(sessionStream{s}, 0, err)
			}
			a.tell(c.id, c.result())
		},
	})
}

// events is the service for a server with Events.
type events struct {
	account
	id   uint64
	half bool
	mine string
	buf  []byte
}

const pressure = 32 << 10

func startEvents(t *testing.T, a *accounts) (port int) {
	return start(t, &server.Server{
		HighWater: pressure,
		Events: server.Events{
			Open: func(c *server.Conn) error { c.User = new(events); return nil },
			Data: func(c *server.Conn) error { return c.User.(*events).data(c) },
			End: func(c *server.Conn) error {
				// The requests that Data has left because of Queued come first.
				x := c.User.(*events)
				if err := x.data(c); err != nil {
					return err
				}
				if x.mine == "" && !x.half {
					c.Write(farewell(c.Buffered()))
				}
				c.Close()
				return nil
			},
			Closed: func(c *server.Conn, err error) {
				x := c.User.(*events)
				switch {
				case x.mine != "":
					x.end = x.mine
				case errors.Is(err, server.ErrAborted):
					x.end = endAbort
				default:
					x.end = endOf(err)
				}
				a.tell(x.id, x.account)
			},
		},
	})
}

// data answers the requests that have come.
func (x *events) data(c *server.Conn) error {
	for x.mine == "" {
		op, body, ok := parse(c.Peek(-1))
		if !ok {
			return nil
		}
		x.note(op, body)
		x.buf = answer(x.buf[:0], op, body)
		switch {
		case op == opName:
			x.id = binary.BigEndian.Uint64(body)
		case len(x.buf) > 0 && !x.half:
			if _, err := c.Write(x.buf); err != nil {
				return err
			}
		}
		c.Discard(headerSize + len(body))
		switch op {
		case opHalf:
			x.half = true
			c.CloseWrite()
		case opQuit:
			x.mine = endQuit
			c.Close()
		case opAbort:
			x.mine = endAbort
			c.Abort()
		}
	}
	return nil
}
