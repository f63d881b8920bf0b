package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// filter attaches a socket filter of one instruction, which returns how many bytes of
// each segment the kernel keeps.
func filter(t *testing.T, fd int, keep uint32) {
	t.Helper()
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: keep}}
	require.NoError(t, unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &program[0]}))
}

// halfConnect returns the non-blocking socket of a client whose handshake with the server
// at addr is half done: the client's kernel has dropped the SYN-ACK.
func halfConnect(t *testing.T, addr netip.AddrPort) (fd int) {
	t.Helper()
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(addr.Port()), Addr: [4]byte{127, 0, 0, 1}})
	if addr.Addr().Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	filter(t, fd, 0)
	require.ErrorIs(t, unix.Connect(fd, to), unix.EINPROGRESS)
	return fd
}

func needSockDiag(t *testing.T) {
	t.Helper()
	machine.NeedFilters(t)
	if _, err := halfDone([]*listener{{family: socket.Inet, addr: socket.AddrFrom(netip.MustParseAddrPort("127.0.0.1:1"))}}); err != nil {
		machine.Missing(t, "the kernel does not list connections by sock_diag(7): %v", err)
	}
}

func echoData(c *Conn) error {
	_, err := c.Write(c.Next(-1))
	return err
}

// Shutdown accepts a client whose handshake is half done when it begins: the kernel sends
// the SYN-ACK again, a second after the first one, which the client did not get. The client
// sends nothing until Shutdown has returned, and so reads a clean end.
func TestShutdownAcceptsAHalfDoneHandshake(t *testing.T) {
	needSockDiag(t)
	for _, c := range []struct{ name, network, address, client string }{
		{"IPv4", "tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "tcp6", "[::1]:0", "::1"},
		{"dual stack", "tcp", ":0", "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "IPv4" {
				machine.NeedIPv6(t)
			}
			t.Parallel()
			srv := &Server{Loops: 1, Events: Events{Data: echoData}}
			defer srv.Close()
			bound, err := srv.Listen(c.network, c.address)
			require.NoError(t, err)
			fd := halfConnect(t, netip.AddrPortFrom(netip.MustParseAddr(c.client), uint16(bound.Port())))
			weirtest.Eventually(t, func() bool {
				half, err := halfDone(srv.listeners)
				return err == nil && len(half) == 1
			}, "the kernel tells of the handshake")
			filter(t, fd, 1<<32-1) // the client gets the next SYN-ACK
			require.NoError(t, srv.Shutdown(t.Context()))
			client := os.NewFile(uintptr(fd), "client")
			defer client.Close()
			conn, err := net.FileConn(client)
			require.NoError(t, err)
			defer conn.Close()
			failed, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			require.NoError(t, err)
			require.Zero(t, failed, "connect")
			require.NoError(t, conn.SetDeadline(time.Now().Add(weirtest.Patience)))
			_, err = conn.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
			require.EqualValues(t, 1, srv.Stats().Accepted)
		})
	}
}

// Shutdown waits for a handshake that never ends only until handshakeTime is over, the
// context is done, or Close is called.
func TestShutdownWaitsForAHandshakeForALimitedTime(t *testing.T) {
	needSockDiag(t)
	usual := handshakeTime
	defer func() { handshakeTime = usual }()
	for _, c := range []struct {
		name string
		most time.Duration
		end  func(srv *Server, cancel func())
		err  error
	}{
		{"time", 100 * time.Millisecond, func(*Server, func()) {}, nil},
		{"context", time.Hour, func(_ *Server, cancel func()) { cancel() }, nil},
		{"Close", time.Hour, func(srv *Server, _ func()) { srv.Close() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			handshakeTime = c.most
			srv := &Server{Loops: 1, Events: Events{Data: echoData}}
			defer srv.Close()
			bound, err := srv.Listen("tcp4", "127.0.0.1:0")
			require.NoError(t, err)
			halfConnect(t, bound.AddrPort())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			began := time.Now()
			go func() { done <- srv.Shutdown(ctx) }()
			weirtest.Eventually(t, func() bool {
				_, err := srv.Listen("tcp4", "invalid")
				return err == ErrClosed
			}, "Shutdown has begun")
			c.end(srv, cancel)
			require.NoError(t, weirtest.Take(t, done))
			if c.name == "time" {
				require.GreaterOrEqual(t, time.Since(began), c.most)
			}
		})
	}
}

// halfDone does not list handshakes that are done.
func TestHalfDoneListsNoConnections(t *testing.T) {
	needSockDiag(t)
	srv := &Server{Loops: 1, Events: Events{Data: echoData}}
	defer srv.Close()
	bound, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	client, err := net.Dial("tcp", fmt.Sprint(bound))
	require.NoError(t, err)
	defer client.Close()
	half, err := halfDone(srv.listeners)
	require.NoError(t, err)
	require.Empty(t, half)
}
