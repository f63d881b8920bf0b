package server_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// echoPackets is a Packet that sends each datagram back.
func echoPackets(l *server.PacketConn, p []byte, from socket.Addr) { l.SendTo(p, from) }

func udpClient(t testing.TB, to socket.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", to.String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
	return c.(*net.UDPConn)
}

func TestServePackets(t *testing.T) {
	for _, test := range []struct{ network, address string }{
		{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}, {"udp", "localhost:0"},
	} {
		t.Run(test.network, func(t *testing.T) {
			if test.network == "udp6" {
				machine.NeedIPv6(t)
			}
			srv := &server.Server{RecvBuffer: 1 << 20, Events: server.Events{Packet: echoPackets}}
			c := udpClient(t, serveOn(t, srv, test.network, test.address))
			buf := make([]byte, 1<<16)
			for _, size := range []int{0, 1, 1000, 9000, 65507, 3} {
				p := bytes.Repeat([]byte{byte(size)}, size)
				_, err := c.Write(p)
				require.NoError(t, err)
				n, err := c.Read(buf)
				require.NoError(t, err)
				require.Equal(t, p, append([]byte{}, buf[:n]...))
			}
			require.Zero(t, srv.Stats().Conns)
		})
	}
}

func TestServePacketsInBatches(t *testing.T) {
	const n = 300 // more than a batch
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	srv := &server.Server{Group: g, RecvBuffer: 1 << 20, Events: server.Events{Packet: func(l *server.PacketConn, p []byte, from socket.Addr) {
		require.Equal(t, l.LocalAddr().String(), l.Socket().LocalAddr().String())
		l.SendTo(p, from)
		for i := range p {
			p[i] = 0xff // the server has copied it
		}
		l.SendTo([]byte("twice"), from)
	}}}
	c := udpClient(t, serveOn(t, srv, "udp4", "127.0.0.1:0"))
	require.NoError(t, c.SetReadBuffer(4<<20))
	held, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, g.Loops()[0].Post(func() { close(held); <-release }))
	weirtest.Take(t, held)
	const window = 100 // loopback's buffers hold this many datagrams for certain
	buf := make([]byte, 100)
	for from := 0; from < n; from += window {
		for i := range window {
			_, err := c.Write(binary.BigEndian.AppendUint32(nil, uint32(from+i)))
			require.NoError(t, err)
		}
		if from == 0 {
			close(release)
		}
		for i := range window {
			k, err := c.Read(buf)
			require.NoError(t, err)
			require.EqualValues(t, from+i, binary.BigEndian.Uint32(buf[:k]))
			k, err = c.Read(buf)
			require.NoError(t, err)
			require.Equal(t, "twice", string(buf[:k]))
		}
	}
}

// A posted function answers later. The answer does not wait for another datagram.
func TestServePacketsAreSentByWhatIsPosted(t *testing.T) {
	srv := &server.Server{Events: server.Events{Packet: func(l *server.PacketConn, p []byte, from socket.Addr) {
		if string(p) == "panic" {
			panic("on purpose")
		}
		_ = l.Socket().Registration().Loop().Post(func() {
			l.SendTo([]byte("one"), from)
			l.SendTo([]byte("two"), from)
		})
	}}}
	c := udpClient(t, serveOn(t, srv, "udp4", "127.0.0.1:0"))
	send(t, c, "panic") // the panic must not affect the next datagram
	for range 3 {
		send(t, c, "x")
		expect(t, c, "one")
		expect(t, c, "two")
	}
}

// The answer goes to an address without a socket. The kernel reports that as an error of
// the next call, and the server continues.
func TestServePacketsSurviveErrors(t *testing.T) {
	var log journal
	srv := &server.Server{Log: log.logger(), Events: server.Events{Packet: func(l *server.PacketConn, p []byte, from socket.Addr) {
		nobody, err := socket.ParseAddr(socket.Inet, "127.0.0.1:1")
		if err != nil {
			panic(err)
		}
		for range 100 { // more than one batch
			l.SendTo(p, nobody)
		}
		if string(p) == "panic" {
			l.SendTo([]byte("before"), from)
			panic("on purpose")
		}
		l.SendTo(make([]byte, 70_000), from) // too long for a datagram
		l.SendTo(p, socket.Addr{})
		l.SendTo(p, from)
	}}}
	addr := serveOn(t, srv, "udp4", "127.0.0.1:0")
	c := udpClient(t, addr)
	buf := make([]byte, 100)
	for i := range 10 {
		text := fmt.Sprint("text", i)
		send(t, c, text)
		n, err := c.Read(buf)
		require.NoError(t, err)
		require.Equal(t, text, string(buf[:n]))
	}
	send(t, c, "panic")
	n, err := c.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "before", string(buf[:n]))
	require.EqualValues(t, 1, srv.Stats().Panics)
	require.Equal(t, 1, log.count("on purpose"))
}

// A unix socket takes no more when its peer does not read. Then the queued output waits,
// and the server receives nothing. When there is room, both continue.
func TestServePacketsWaitForRoom(t *testing.T) {
	a, b := weirtest.Pair(t, socket.Dgram)
	var received atomic.Int64
	srv := &server.Server{Events: server.Events{Packet: func(l *server.PacketConn, p []byte, _ socket.Addr) {
		received.Add(1)
		l.SendTo(p, socket.Addr{})
		l.SendTo(p, socket.Addr{})
	}}}
	t.Cleanup(func() { srv.Close() })
	require.NoError(t, srv.ListenOn(a))
	const n = 400
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := b.Send(binary.BigEndian.AppendUint32(nil, uint32(i)), 0); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	// The server stops receiving long before it has received all.
	var stood int64 = -1
	weirtest.Eventually(t, func() bool {
		before := received.Load()
		time.Sleep(20 * time.Millisecond)
		stood = received.Load()
		return stood > 0 && stood == before
	}, "it stops")
	require.Less(t, stood, int64(n))
	got := map[uint32]int{}
	buf := make([]byte, 100)
	last := uint32(0)
	require.NoError(t, b.SetRecvTimeout(weirtest.Patience))
	for last < n-1 {
		k, err := b.Recv(buf, 0)
		require.NoError(t, err)
		i := binary.BigEndian.Uint32(buf[:k])
		require.GreaterOrEqual(t, i, last, "in order")
		last = i
		got[i]++
	}
	require.NoError(t, weirtest.Take(t, sent))
	for i, times := range got {
		require.LessOrEqual(t, times, 2, "datagram %d", i)
	}
}

func TestServePacketsOnEachLoop(t *testing.T) {
	g, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	var listeners [2]atomic.Pointer[server.PacketConn]
	srv := &server.Server{Group: g, ReusePort: true, Events: server.Events{Packet: func(l *server.PacketConn, p []byte, from socket.Addr) {
		if !listeners[0].CompareAndSwap(nil, l) && listeners[0].Load() != l {
			listeners[1].Store(l)
		}
		l.SendTo(p, from)
	}}}
	addr := serveOn(t, srv, "udp4", "127.0.0.1:0")
	for range 64 {
		c := udpClient(t, addr)
		send(t, c, "x")
		expect(t, c, "x")
	}
	require.NotNil(t, listeners[1].Load(), "both loops get some")
	require.NoError(t, srv.Shutdown(t.Context()))
	require.Zero(t, g.Loops()[0].Registered()+g.Loops()[1].Registered())
	c := udpClient(t, addr)
	_, _ = c.Write([]byte(strings.Repeat("x", 10)))
	_, err = c.Read(make([]byte, 10))
	require.ErrorIs(t, err, unix.ECONNREFUSED)
}

// When recvmmsg(2) returns the same error for ever, the server rests between its
// attempts, logs the error once, and Close still ends it.
func TestServePacketsThatAreRefusedForGood(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{unix.EACCES, unix.EOPNOTSUPP, unix.ECONNREFUSED} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			if !inChild(t) {
				return
			}
			g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
			require.NoError(t, err)
			defer g.Close()
			var log journal
			srv := &server.Server{Log: log.logger(), Group: g, Events: server.Events{Packet: echoPackets}}
			addr := serveOn(t, srv, "udp4", "127.0.0.1:0")
			deny(t, unix.SYS_RECVMMSG, errno)
			send(t, udpClient(t, addr), "x")
			weirtest.Eventually(t, func() bool { return srv.Stats().Pauses == 1 }, "it is counted")
			turns, begin := g.Loops()[0].Turns(), time.Now()
			time.Sleep(300 * time.Millisecond)
			turns = g.Loops()[0].Turns() - turns
			require.Less(t, turns, uint64(30+time.Since(begin)/(30*time.Millisecond)), "the loop rests")
			require.EqualValues(t, 1, srv.Stats().Pauses)
			require.Equal(t, 1, log.count("receiving pauses"))
			require.Equal(t, 1, log.count(errno.Error()))
			over := make(chan error, 1)
			go func() { over <- srv.Close() }()
			require.NoError(t, weirtest.Take(t, over))
		})
	}
}

// A listener on all addresses answers from the address to which the client sent. A
// connected client takes no answer from another address.
func TestServePacketsAnswerFromTheAddressThatWasAsked(t *testing.T) {
	for _, network := range []string{"udp4", "udp"} {
		t.Run(network, func(t *testing.T) {
			asked := make(chan socket.Addr, 8)
			srv := &server.Server{Events: server.Events{Packet: func(c *server.PacketConn, p []byte, from socket.Addr) {
				asked <- c.AskedAddr()
				c.SendTo(p, from)
				local := c.AskedAddr()
				_ = c.Loop().Post(func() { c.SendFrom([]byte("later"), local, from) })
			}}}
			addr := serveOn(t, srv, network, ":0")
			for i := range 4 {
				to := fmt.Sprintf("127.0.0.%d:%d", i+1, addr.Port())
				c, err := net.Dial("udp", to)
				require.NoError(t, err)
				defer c.Close()
				require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
				for range 2 {
					send(t, c, "x")
					expect(t, c, "x")
					expect(t, c, "later")
					require.Equal(t, to, weirtest.Take(t, asked).String())
				}
			}
			if network == "udp4" {
				return
			}
			t.Run("IPv6", func(t *testing.T) {
				machine.NeedIPv6(t)
				c := udpClient(t, weirAddr(t, fmt.Sprintf("[::1]:%d", addr.Port())))
				send(t, c, "x")
				expect(t, c, "x")
				require.Equal(t, c.RemoteAddr().String(), weirtest.Take(t, asked).String())
			})
		})
	}
}

func weirAddr(t *testing.T, text string) socket.Addr {
	t.Helper()
	a, err := socket.ParseAddr(socket.Inet6, text)
	require.NoError(t, err)
	return a
}

// This client of datagrams uses callbacks.
func TestDialPackets(t *testing.T) {
	addr := serveOn(t, &server.Server{Events: server.Events{Packet: echoPackets}}, "udp4", "127.0.0.1:0")
	type answer struct {
		text, user string
		from       socket.Addr
	}
	answers := make(chan answer, 2)
	client := &server.Server{Loops: 2, Events: server.Events{Packet: func(c *server.PacketConn, p []byte, from socket.Addr) {
		answers <- answer{string(p), c.User.(string), from}
	}}}
	defer client.Close()
	c, err := client.DialPackets(t.Context(), weirnet.Dialer{}, "udp", addr.String(), "mine")
	require.NoError(t, err)
	require.Same(t, client, c.Server())
	for range 3 {
		require.NoError(t, c.Loop().Post(func() { c.Send([]byte("hello")) }))
		require.Equal(t, answer{"hello", "mine", addr}, weirtest.Take(t, answers))
	}
	require.Empty(t, client.Addrs(), "it does not listen")
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Close(), net.ErrClosed)

	_, err = client.DialPackets(t.Context(), weirnet.Dialer{}, "tcp", addr.String(), nil)
	require.ErrorContains(t, err, "tcp")
	_, err = client.DialPackets(t.Context(), weirnet.Dialer{}, "udp", "no port", nil)
	require.ErrorContains(t, err, "no port")
	_, err = (&server.Server{}).DialPackets(t.Context(), weirnet.Dialer{}, "udp", addr.String(), nil)
	require.ErrorContains(t, err, "Events.Packet")
	require.NoError(t, client.Close())
	_, err = client.DialPackets(t.Context(), weirnet.Dialer{}, "udp", addr.String(), nil)
	require.ErrorIs(t, err, server.ErrClosed)
}
