package server_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Every method that begins to serve refuses a wrong Service, and a server that has ended. The
// socket stays the caller's, and nothing is counted.
func TestRefusedServicesLeaveTheSocket(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	address := l.Addr().String()
	packet := func(*server.PacketConn, []byte, socket.Addr) {}
	bad := &server.Service{Events: server.Events{Data: echo, Packet: packet}, Rates: &server.Rates{Read: -1}}
	good := &server.Service{Events: server.Events{Data: echo, Packet: packet}}
	insecure := &tls.Config{InsecureSkipVerify: true}
	calls := map[string]func(srv *server.Server, sock *socket.Socket, v *server.Service) error{
		"AttachService": func(srv *server.Server, sock *socket.Socket, v *server.Service) error {
			return srv.AttachService(sock, v, nil)
		},
		"AttachTLS": func(srv *server.Server, sock *socket.Socket, v *server.Service) error {
			return srv.AttachTLS(sock, serverTLS(), v, nil)
		},
		"AttachTLSClient": func(srv *server.Server, sock *socket.Socket, v *server.Service) error {
			return srv.AttachTLSClient(sock, insecure, v, nil)
		},
		"DialService": func(srv *server.Server, _ *socket.Socket, v *server.Service) error {
			_, err := srv.DialService(t.Context(), weirnet.Dialer{}, "tcp", address, v, nil)
			return err
		},
		"DialTLS": func(srv *server.Server, _ *socket.Socket, v *server.Service) error {
			_, err := srv.DialTLS(t.Context(), weirnet.Dialer{}, insecure, "tcp", address, v, nil)
			return err
		},
		"DialPacketsService": func(srv *server.Server, _ *socket.Socket, v *server.Service) error {
			_, err := srv.DialPacketsService(t.Context(), weirnet.Dialer{}, "udp", address, v, nil)
			return err
		},
		"ListenService": func(srv *server.Server, _ *socket.Socket, v *server.Service) error {
			_, err := srv.ListenService("tcp", "127.0.0.1:0", v)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			srv := &server.Server{Events: server.Events{Data: echo, Packet: packet}}
			defer srv.Close()
			a, b := weirtest.Pair(t, socket.Stream)
			require.ErrorContains(t, call(srv, a, bad), "Rates.Read is -1")
			require.NoError(t, srv.Close())
			require.ErrorIs(t, call(srv, a, good), server.ErrClosed)
			require.Zero(t, srv.Stats().Conns)
			require.Zero(t, srv.Stats().Attached)
			_, err := a.WriteString("x") // it is the caller's
			require.NoError(t, err)
			expect(t, b, "x")
			require.Empty(t, srv.Addrs())
		})
	}
}

// Dial and Listen name what they refuse.
func TestWrongNetworksAreNamed(t *testing.T) {
	packet := func(*server.PacketConn, []byte, socket.Addr) {}
	srv := &server.Server{Events: server.Events{Data: echo, Packet: packet}}
	defer srv.Close()
	for _, network := range []string{"udp", "udp4", "udp6"} {
		_, err := srv.Dial(t.Context(), weirnet.Dialer{}, network, "127.0.0.1:1", nil)
		require.EqualError(t, err, "server: dial "+network+" 127.0.0.1:1: datagrams need DialPackets")
	}
	for _, network := range []string{"tcp", "unixgram", ""} {
		_, err := srv.DialPackets(t.Context(), weirnet.Dialer{}, network, "127.0.0.1:1", nil)
		require.ErrorAs(t, err, new(net.UnknownNetworkError))
		require.ErrorContains(t, err, "server: dial "+network)
	}
	_, err := srv.DialPackets(t.Context(), weirnet.Dialer{}, "udp", "127.0.0.1:99999", nil)
	require.ErrorContains(t, err, "server: dial udp")
	for _, network := range []string{"ip", "unixgram", ""} {
		_, err := srv.Listen(network, "127.0.0.1:0")
		require.ErrorAs(t, err, new(net.UnknownNetworkError))
	}
	without := &server.Server{Events: server.Events{Data: echo}}
	defer without.Close()
	_, err = without.DialPackets(t.Context(), weirnet.Dialer{}, "udp", "127.0.0.1:1", nil)
	require.ErrorContains(t, err, "datagrams need Events.Packet")
	_, err = srv.DialPacketsService(t.Context(), weirnet.Dialer{}, "udp", "127.0.0.1:1", &server.Service{Events: server.Events{Data: echo}}, nil)
	require.ErrorContains(t, err, "datagrams need Events.Packet")
	_, err = srv.DialService(t.Context(), weirnet.Dialer{}, "tcp", "127.0.0.1:1", &server.Service{Handler: lines}, nil)
	require.ErrorContains(t, err, "the server or service has Handler")
	require.EqualError(t, srv.Attach(nil, nil), "server: attach: the socket is nil")
	require.EqualError(t, srv.ListenOn(nil), "server: listen: the socket is nil")
	gram, _ := weirtest.Pair(t, socket.Dgram)
	require.ErrorIs(t, srv.Attach(gram, nil), unix.EPROTOTYPE)
	closed, _ := weirtest.Pair(t, socket.Stream)
	require.NoError(t, closed.Close())
	require.ErrorContains(t, srv.Attach(closed, nil), "server: attach: ")
	require.Error(t, srv.ListenOn(closed))
	require.Zero(t, srv.Stats().Conns)
}

// Handover says what is wrong with its command, and the server goes on.
func TestHandoverRefuses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	addr := serve(t, srv)
	require.EqualError(t, srv.Handover(t.Context(), nil), "server: handover: the command is nil")
	extra := exec.Command("/bin/true")
	extra.ExtraFiles = append(extra.ExtraFiles, nil)
	require.EqualError(t, srv.Handover(t.Context(), extra), "server: handover: the command has 1 extra files already")
	require.ErrorContains(t, srv.Handover(t.Context(), exec.Command("/no/such/file")), "server: handover: ")
	c := client(t, addr)
	send(t, c, "x")
	expect(t, c, "x")
	require.NoError(t, srv.Close())
	require.ErrorIs(t, srv.Handover(t.Context(), exec.Command("/bin/true")), server.ErrClosed)
}

// The bounds of the methods that read are those of the Socket, with and without TLS.
func TestBoundsOfSessionMethods(t *testing.T) {
	for _, secure := range []bool{false, true} {
		ended := make(chan error, 1)
		srv := &server.Server{
			Handler: func(s *server.Session) error {
				line, err := s.ReadLineMax(1)
				if err != nil || line != "a" {
					return errors.Join(errors.New("the first line"), err)
				}
				for _, most := range []int{0, -1, 1<<28 + 1} {
					if _, err := s.ReadLineMax(most); !errors.Is(err, unix.EINVAL) {
						return errors.Join(errors.New("the bounds of a line"), err)
					}
				}
				for _, n := range []int{-1, 1<<28 + 1} {
					if _, err := s.Peek(n); !errors.Is(err, unix.EINVAL) {
						return errors.Join(errors.New("the bounds of Peek"), err)
					}
				}
				if p, err := s.Peek(2); err != nil || string(p) != "bc" {
					return errors.Join(errors.New("Peek"), err)
				}
				if n := s.Discard(-1); n != 0 {
					return errors.New("Discard of less than nothing")
				}
				if line, err := s.ReadLineMax(1 << 28); err != nil || line != "bcd" {
					return errors.Join(errors.New("the longest line"), err)
				}
				// The last line has no end.
				if line, err := s.ReadLineMax(2); err != nil || line != "ef" {
					return errors.Join(errors.New("the last line"), err)
				}
				if _, err := s.ReadLineMax(2); err != io.EOF {
					return errors.Join(errors.New("the end"), err)
				}
				if p, err := s.Peek(1); len(p) != 0 || err != io.EOF {
					return errors.Join(errors.New("Peek at the end"), err)
				}
				return io.EOF
			},
			Finish: func(_ *server.Session, err error) { ended <- err },
		}
		if secure {
			srv.TLS = serverTLS()
		}
		addr := serve(t, srv)
		c := client(t, addr)
		if secure {
			tc := tls.Client(c, clientTLS())
			send(t, tc, "a\nbcd\r\nef")
			require.NoError(t, tc.CloseWrite())
		} else {
			send(t, c, "a\nbcd\r\nef")
			require.NoError(t, c.(*net.TCPConn).CloseWrite())
		}
		require.Equal(t, io.EOF, weirtest.Take(t, ended), "TLS %v", secure)
	}
}

// MaxConnsPerIP counts each end once, also of connections that are refused for their header.
func TestHeadersAndConnsPerIP(t *testing.T) {
	srv := &server.Server{MaxConnsPerIP: 1, ProxyProtocol: &server.ProxyProtocol{From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Events: server.Events{Data: echo}}
	addr := serve(t, srv)
	for range 2 {
		first := client(t, addr)
		send(t, first, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nx")
		expect(t, first, "x")
		second := client(t, addr)
		send(t, second, "PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\nx")
		_, err := second.Read(make([]byte, 1))
		require.Error(t, err, "the client has one already")
		other := client(t, addr)
		send(t, other, "PROXY TCP4 192.0.2.3 192.0.2.2 3 4\r\nx")
		expect(t, other, "x")
		for _, c := range []net.Conn{first, other} {
			require.NoError(t, c.Close())
		}
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "all are gone")
	}
	require.EqualValues(t, 2, srv.Stats().Refused)
	long := client(t, addr)
	send(t, long, "PROXY "+strings.Repeat("x", 200))
	_, err := long.Read(make([]byte, 1))
	require.Error(t, err)
	weirtest.Eventually(t, func() bool { return srv.Stats().ProxyRefusals == 1 && srv.Stats().Conns == 0 }, "it is refused")
}
