package server_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// One server serves several protocols, and ends all of them together.
func TestServices(t *testing.T) {
	machine.WithTime(t, 50*time.Millisecond, func(idle time.Duration) bool {
		over, closing := ended()
		upper := &server.Service{
			Timeouts: &server.Timeouts{Idle: idle},
			Events: server.Events{
				Open:   func(c *server.Conn) error { _, err := c.WriteString("upper\n"); return err },
				Data:   func(c *server.Conn) error { _, err := c.WriteString(fmt.Sprintf("<%s>", c.Next(-1))); return err },
				Closed: closing,
			},
		}
		blocking := &server.Service{Handler: lines}
		packets := &server.Service{Events: server.Events{Packet: echoPackets}}
		srv := &server.Server{Loops: 2, MaxConns: 100, Events: server.Events{Data: echo}}
		plain := serve(t, srv)
		listen := func(network string, service *server.Service) socket.Addr {
			addr, err := srv.ListenService(network, "127.0.0.1:0", service)
			require.NoError(t, err)
			return addr
		}
		for range 2 { // a service may have several listeners, on all loops
			addr := listen("tcp4", upper)
			for range 3 {
				begin := time.Now()
				c := client(t, addr)
				expect(t, c, "upper\n")
				_, _ = io.WriteString(c, "x")
				if _, err := io.ReadFull(c, make([]byte, len("<x>"))); err != nil {
					require.GreaterOrEqual(t, time.Since(begin), idle)
					require.NoError(t, srv.Close())
					return false
				}
				expectEnd(t, c)
				require.Equal(t, &server.TimeoutError{Of: "idle", After: idle}, weirtest.Take(t, over), "the service's own time")
			}
		}
		b, p := client(t, listen("tcp4", blocking)), udpClient(t, listen("udp4", packets))
		d := client(t, plain)
		send(t, b, "x\n")
		expect(t, b, "<x>")
		send(t, p, "x")
		expect(t, p, "x")
		send(t, d, "x")
		expect(t, d, "x")
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 2 }, "two connections are open")
		u := client(t, listen("tcp4", upper))
		expect(t, u, "upper\n")
		require.NoError(t, srv.Shutdown(t.Context()))
		for _, c := range []net.Conn{b, d, u} {
			expectEnd(t, c)
		}
		_, err := srv.ListenService("tcp", "127.0.0.1:0", &server.Service{Handler: lines})
		require.ErrorIs(t, err, server.ErrClosed)
		return true
	})
}

// The program has opened the listener, and the server finds its service by its address.
func TestServiceOf(t *testing.T) {
	ls, other := weirtest.Listen(t), weirtest.Listen(t)
	srv := &server.Server{
		Events: server.Events{Data: echo},
		ServiceOf: func(local socket.Addr) *server.Service {
			if local == ls.LocalAddr() {
				return &server.Service{Handler: lines}
			}
			return nil
		},
	}
	defer srv.Close()
	addr, plain := ls.LocalAddr(), other.LocalAddr()
	require.NoError(t, srv.ListenOn(ls))
	require.NoError(t, srv.ListenOn(other))
	c := client(t, addr)
	send(t, c, "x\n")
	expect(t, c, "<x>")
	c = client(t, plain)
	send(t, c, "x\n")
	expect(t, c, "x\n")
}

func TestServiceRefuses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	defer srv.Close()
	for _, test := range []struct {
		network string
		service server.Service
		want    string
	}{
		{"tcp", server.Service{}, "neither Events.Data nor Handler"},
		{"udp", server.Service{Handler: lines}, "Events.Packet"},
		{"tcp", server.Service{Handler: lines, Events: server.Events{Data: echo}}, "Service.Handler and Service.Events.Data"},
		{"tcp", server.Service{Handler: lines, Events: server.Events{Open: echo}}, "Service.Handler"},
		{"tcp", server.Service{Handler: lines, Events: server.Events{End: echo}}, "Service.Handler"},
		{"tcp", server.Service{Handler: lines, Events: server.Events{Pressure: func(*server.Conn, bool) {}}}, "Service.Handler"},
		{"tcp", server.Service{Handler: lines, Events: server.Events{Closed: func(*server.Conn, error) {}}}, "Service.Handler"},
		{"tcp", server.Service{Events: server.Events{Data: echo}, Begin: lines}, "Service.Begin"},
		{"tcp", server.Service{Events: server.Events{Data: echo}, Finish: func(*server.Session, error) {}}, "Service.Finish"},
		{"tcp", server.Service{Events: server.Events{Data: echo, Tick: func(*loop.Loop) {}}}, "Service.Events"},
		{"tcp", server.Service{Events: server.Events{Data: echo, Boot: func(*server.Server) error { return nil }}}, "Service.Events"},
		{"tcp", server.Service{Events: server.Events{Data: echo, Stopped: func(*server.Server) {}}}, "Service.Events"},
		{"tcp", server.Service{Handler: lines, TLS: &tls.Config{}}, "Service.TLS"},
		{"tcp", server.Service{Handler: lines, Timeouts: &server.Timeouts{Idle: -1}}, "Timeouts.Idle"},
	} {
		_, err := srv.ListenService(test.network, "127.0.0.1:0", &test.service)
		require.ErrorContains(t, err, test.want)
	}
}

// Control gets each accepted descriptor before the server serves it.
func TestControl(t *testing.T) {
	var log journal
	conns, open := opened()
	calls := 0
	srv := &server.Server{Loops: 1, Log: log.logger(), Events: server.Events{Open: open, Data: echo}, Control: func(fd int) error {
		switch calls++; calls {
		case 2:
			return errors.New("not this one")
		case 3:
			panic("on purpose")
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x10)
	}}
	addr := serve(t, srv)
	for i := range 4 {
		c := client(t, addr)
		if i == 1 || i == 2 {
			expectEnd(t, c)
			continue
		}
		send(t, c, "x")
		expect(t, c, "x")
		require.NoError(t, weirtest.Take(t, conns).Control(func(fd int) error {
			tos, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS)
			require.Equal(t, 0x10, tos)
			return err
		}))
	}
	require.Empty(t, conns)
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 2 }, "two connections are open")
	require.Equal(t, 1, log.count("not this one"))
	require.EqualValues(t, 1, srv.Stats().Panics)
}
