package js

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dop251/goja"
	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

const (
	// maxQueued is how many bytes of output a connection may queue. A write of more is an
	// error. The server reads on meanwhile: a program pauses the reading if it must.
	maxQueued = 16 << 20
	highWater = 64 << 10              // bytes that are queued when write returns false
	pause     = 50 * time.Millisecond // of a listener, when no descriptor is left
)

// newServer makes the server of the program's connections.
func (p *program) newServer(group *loop.Group) *server.Server {
	return &server.Server{Group: group, HighWater: maxQueued, MaxOutput: maxQueued, Events: server.Events{
		Open: func(c *server.Conn) error {
			if accepted, ok := c.User.(*goja.Object); ok { // the Server of net.js
				own := &conn{p: p, c: c}
				c.User = own
				p.pending++
				p.call(p.hooks.Accepted, accepted, own)
			} else {
				own := c.User.(*conn)
				own.c = c
				p.call(p.hooks.Connected, own.object, own)
			}
			return nil
		},
		Data: func(c *server.Conn) error {
			c.User.(*conn).data(false)
			return nil
		},
		End: func(c *server.Conn) error {
			c.User.(*conn).data(true)
			p.call(p.hooks.End, c.User.(*conn).object)
			return nil
		},
		Closed: func(c *server.Conn, err error) {
			if err == io.EOF || errors.Is(err, server.ErrAborted) {
				err = nil
			}
			p.closed(c.User.(*conn).object, "read", err)
		},
	}}
}

// closed reports the end of a connection or listener, or of an attempt to make one.
func (p *program) closed(object *goja.Object, what string, err error) {
	p.pending--
	p.call(p.hooks.Closed, object, fault(what, err))
}

// fault returns what net.js makes an Error of: the operation, the system's text, the code
// that Node has, and the errno. Without an error it returns nil.
func fault(what string, err error) any {
	if err == nil {
		return nil
	}
	text, errno := builtins.Message(err)
	code := unix.ErrnoName(errno)
	switch builtins.OfLookup(err) {
	case "":
	case builtins.TryAgain:
		code = "EAI_AGAIN"
	default:
		code = "ENOTFOUND"
	}
	return []any{what, cmp.Or(text, err.Error()), code, -int(errno)}
}

// A conn is what net.js gets of a connection.
type conn struct {
	p       *program
	c       *server.Conn       // nil until it is connected
	cancel  context.CancelFunc // ends the connecting
	object  *goja.Object       // the Socket of net.js
	text    bool               // data gives strings
	waiting int                // bytes of writes in progress
	full    bool               // Write has returned false
}

// Adopt sets the connection's Socket.
func (c *conn) Adopt(object *goja.Object) { c.object = object }

// data passes on the input. Of a text it leaves an incomplete character unread until the
// rest comes, or until the end.
func (c *conn) data(ended bool) {
	in := c.c.Peek(-1)
	for i := 1; c.text && !ended && i < utf8.UTFMax && i <= len(in); i++ {
		if last := in[len(in)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				in = in[:len(in)-i]
			}
			break
		}
	}
	if len(in) == 0 {
		return
	}
	var v any = textOf(in)
	if !c.text {
		v = c.p.vm.NewArrayBuffer(bytes.Clone(in))
	}
	c.c.Discard(len(in))
	c.p.call(c.p.hooks.Data, c.object, v)
}

// Write is socket.write. It returns false when the program should wait for "drain", and
// what fault returns if the connection does not take the data.
func (c *conn) Write(data goja.Value, done goja.Callable) any {
	piece := bytesOf(data)
	err := c.c.WriteAsync(piece, func(err error) { // later, on the loop
		c.waiting -= len(piece)
		if done != nil && err == nil {
			c.p.call(done)
		}
		if c.full && c.waiting == 0 && err == nil {
			c.full = false
			c.p.call(c.p.hooks.Drain, c.object)
		}
	})
	if err != nil {
		return fault("write", err)
	}
	c.waiting += len(piece)
	c.full = c.full || c.waiting > highWater
	return !c.full
}

// SetText makes data give strings.
func (c *conn) SetText() { c.text = true }

// End ends the output, and Close the connection, when all output has left.
func (c *conn) End()   { c.c.CloseWrite() }
func (c *conn) Close() { c.c.Close() }

// Destroy ends the connection, or the connecting, at once.
func (c *conn) Destroy() {
	if c.c != nil {
		c.c.Abort()
	} else {
		c.cancel()
	}
}

// Pause stops the reading, and Resume goes on.
func (c *conn) Pause()  { c.c.PauseRead() }
func (c *conn) Resume() { c.c.ResumeRead() }

// Ends returns the addresses of both ends.
func (c *conn) Ends() [][]any { return [][]any{place(c.c.LocalAddr()), place(c.c.RemoteAddr())} }

// place returns an IP address and a port, or a path.
func place(a socket.Addr) []any {
	if a.Family() == socket.Unix {
		return []any{a.Path()}
	}
	return []any{a.Host(), int(a.Port())}
}

// Connect connects a Socket of net.js.
func (n natives) Connect(object *goja.Object, network, to string) *conn {
	ctx, cancel := context.WithCancel(n.p.ctx)
	c := &conn{p: n.p, object: object, cancel: cancel}
	n.p.pending++
	n.p.others.Go(func() {
		defer cancel()
		_, err := n.p.server.Dial(ctx, weirnet.Dialer{}, network, to, c)
		if err != nil {
			if ctx.Err() != nil {
				err = nil // Destroy was called
			}
			n.p.post(func() { n.p.closed(object, "connect", err) })
		}
	})
	return c
}

// Listen listens for a Server of net.js. It returns a function that ends the listening.
func (n natives) Listen(object *goja.Object, network, at string, backlog int) func() {
	ctx, cancel := context.WithCancel(n.p.ctx)
	n.p.pending++
	n.p.others.Go(func() {
		defer cancel()
		config := weirnet.ListenConfig{Group: n.p.server.Group, Backlog: backlog}
		s, err := config.ListenSocket(ctx, network, at)
		if err == nil {
			n.p.post(func() { n.p.call(n.p.hooks.Listening, object, place(s.LocalAddr())) })
			err = n.p.accept(ctx, object, s)
			s.Close()
			if network == "unix" {
				os.Remove(at)
			}
		}
		if ctx.Err() != nil {
			err = nil
		}
		n.p.post(func() { n.p.closed(object, "listen", err) })
	})
	return cancel
}

// accept gives the connections of a listener to the loop until ctx is done.
func (p *program) accept(ctx context.Context, object *goja.Object, s *socket.Socket) error {
	for s = s.WithContext(ctx); ctx.Err() == nil; {
		c, err := s.Accept()
		switch {
		case err == nil:
			if p.server.Attach(c, object) != nil {
				c.Close() // the program has ended
			}
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
			_ = builtins.Sleep(ctx, pause)
		case !errors.Is(err, unix.ECONNABORTED):
			return err
		}
	}
	return nil
}

// Encode converts a string to its bytes in UTF-8, and Decode converts them back.
func (n natives) Encode(text string) goja.ArrayBuffer { return n.p.vm.NewArrayBuffer([]byte(text)) }
func (n natives) Decode(data goja.Value) string       { return textOf(bytesOf(data)) }

// textOf replaces what is not UTF-8.
func textOf(data []byte) string { return strings.ToValidUTF8(string(data), "\uFFFD") }

// bytesOf returns a copy of the bytes of a Buffer, or of a string in UTF-8.
func bytesOf(v goja.Value) []byte {
	if data, ok := v.Export().([]byte); ok {
		return bytes.Clone(data)
	}
	return []byte(v.String())
}
