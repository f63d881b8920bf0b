package net_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
)

// Control functions get the arguments that net's get, before the bind.
func TestControlIsThatOfNet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	path := t.TempDir() + "/s"
	type callback = func(network, address string, c syscall.RawConn) error
	type dialer interface {
		Dial(network, address string) (net.Conn, error)
	}
	type listener interface {
		Listen(ctx context.Context, network, address string) (net.Listener, error)
		ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
	}
	faces := []struct {
		name   string
		dialer func(callback) dialer
		config func(callback) listener
	}{
		{"net", func(f callback) dialer { return &net.Dialer{Control: f} }, func(f callback) listener { return &net.ListenConfig{Control: f} }},
		{"weir", func(f callback) dialer { return &weirnet.Dialer{Control: f} }, func(f callback) listener { return &weirnet.ListenConfig{Control: f} }},
	}
	for _, use := range []string{"dial", "listen tcp", "listen packet", "listen unix"} {
		var told [2]string
		for i, face := range faces {
			call := func(f callback) error {
				var c io.Closer
				var err error
				switch use {
				case "dial":
					c, err = face.dialer(f).Dial("tcp", l.Addr().String())
				case "listen tcp":
					c, err = face.config(f).Listen(t.Context(), "tcp", "127.0.0.1:0")
				case "listen packet":
					c, err = face.config(f).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
				case "listen unix":
					c, err = face.config(f).Listen(t.Context(), "unix", path)
				}
				return closed(c, err)
			}
			require.NoError(t, call(func(network, address string, c syscall.RawConn) error {
				told[i] = network + " " + address
				if face.name == "weir" { // a weir Dial waits for nothing here
					require.Error(t, c.Read(func(uintptr) bool { return false }))
					require.Error(t, c.Write(func(uintptr) bool { return false }))
				}
				return c.Control(func(fd uintptr) { require.Positive(t, int(fd)) })
			}))
			why := errors.New("not today")
			require.ErrorIs(t, call(func(string, string, syscall.RawConn) error { return why }), why)
		}
		require.Equal(t, told[0], told[1], use)
	}
}

// ControlContext gets the caller's context, and goes before Control.
func TestControlContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	called := 0
	d := weirnet.Dialer{
		Timeout: time.Minute,
		Control: func(string, string, syscall.RawConn) error { return errors.New("Control was called") },
		ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			called++
			require.Equal(t, "mine", ctx.Value(key{}))
			return nil
		},
	}
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	require.NoError(t, closed(c, err))
	require.Equal(t, 1, called)
}

func closed(c io.Closer, err error) error {
	if err != nil {
		return err
	}
	return c.Close()
}

func TestDialOnAGroup(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	l, err := (&weirnet.ListenConfig{Group: g, Backlog: 5}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := weirnet.Dialer{Group: g}
	c, err := d.DialSocket(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	require.Equal(t, 3, g.Loops()[0].Registered())
	_, err = c.WriteLine("hello")
	require.NoError(t, err)
	require.NoError(t, errors.Join(c.Close(), s.Close(), l.Close()))
	require.Zero(t, g.Loops()[0].Registered())
}
