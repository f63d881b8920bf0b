package server_test

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// inspectOne waits until the server's only connection is as the condition says.
func inspectOne(t *testing.T, srv *server.Server, holds func(server.ConnInfo) bool) (info server.ConnInfo) {
	t.Helper()
	weirtest.Eventually(t, func() bool {
		list := srv.Inspect(10)
		if len(list) != 1 {
			return false
		}
		info = list[0]
		return holds(info)
	}, "the connection is described")
	return info
}

func TestInspectConn(t *testing.T) {
	srv := &server.Server{Loops: 2, HighWater: 1 << 16, Events: server.Events{Data: echo, End: func(*server.Conn) error { return nil }}}
	addr := serve(t, srv)
	require.Empty(t, srv.Inspect(10))
	c := client(t, addr)
	send(t, c, "12345")
	expect(t, c, "12345")
	info := inspectOne(t, srv, func(i server.ConnInfo) bool { return i.TCP != nil && i.TCP.BytesOut == 5 })
	require.Equal(t, c.LocalAddr().String(), info.Peer.String())
	require.Equal(t, addr, info.Local)
	require.Equal(t, "open", info.State)
	require.False(t, info.Session)
	require.Less(t, info.Age, weirtest.Patience)
	require.Equal(t, "established", info.TCP.State)
	require.EqualValues(t, 5, info.TCP.BytesIn)
	require.NotZero(t, info.TCP.RTT)
	require.NotZero(t, info.TCP.Cwnd)

	again, open := srv.InspectConn(info.ID)
	require.True(t, open)
	require.Equal(t, info.Peer, again.Peer)
	_, open = srv.InspectConn("no such")
	require.False(t, open)
	require.Empty(t, srv.Inspect(0))

	// The loop's index is the one of the loop that serves it.
	done := srv.Each(func(conn *server.Conn) { conn.PauseRead() })
	weirtest.Take(t, done)
	inspectOne(t, srv, func(i server.ConnInfo) bool { return i.State == "paused" })
	weirtest.Take(t, srv.Each(func(conn *server.Conn) { conn.ResumeRead() }))
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	inspectOne(t, srv, func(i server.ConnInfo) bool { return i.State == "half-closed" })
	weirtest.Take(t, srv.Each(func(conn *server.Conn) {
		_, err := conn.Write(make([]byte, 8<<20))
		require.NoError(t, err)
		conn.Close()
	}))
	inspectOne(t, srv, func(i server.ConnInfo) bool { return i.State == "draining" && i.Queued > 0 })
	require.NoError(t, c.Close())
	weirtest.Eventually(t, func() bool { _, open := srv.InspectConn(info.ID); return !open && len(srv.Inspect(1)) == 0 }, "it has ended")
}

func TestInspectSession(t *testing.T) {
	release := make(chan struct{})
	srv := &server.Server{Loops: 1, Handler: func(s *server.Session) error {
		if _, err := s.ReadLine(); err != nil {
			return err
		}
		<-release
		return nil
	}}
	c := client(t, serve(t, srv))
	info := inspectOne(t, srv, func(i server.ConnInfo) bool { return i.State == "idle" })
	require.True(t, info.Session)
	require.Equal(t, c.LocalAddr().String(), info.Peer.String())
	send(t, c, "go\n")
	inspectOne(t, srv, func(i server.ConnInfo) bool { return i.State == "running" })
	close(release)
	inspectOne(t, srv, func(i server.ConnInfo) bool { return i.State == "idle" })
	require.NoError(t, c.Close())
}

func TestInspectUnix(t *testing.T) {
	srv := &server.Server{Loops: 1, Events: server.Events{Data: echo}}
	addr := serveOn(t, srv, "unix", t.TempDir()+"/s")
	client(t, addr)
	info := inspectOne(t, srv, func(server.ConnInfo) bool { return true })
	require.Nil(t, info.TCP)
	require.Equal(t, socket.Unix, info.Peer.Family())
	require.Equal(t, addr.Path(), info.Local.Path())
}

// A server that shares its loops with another one shows its own connections.
func TestInspectOfTwoServersOnALoop(t *testing.T) {
	group, err := loop.NewGroup(1, nil, loop.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { group.Close() })
	one := &server.Server{Group: group, Events: server.Events{Data: echo}}
	two := &server.Server{Group: group, Handler: func(s *server.Session) error { _, err := s.ReadLine(); return err }}
	a, b := client(t, serve(t, one)), client(t, serve(t, two))
	inspectOne(t, one, func(i server.ConnInfo) bool { return i.Peer.String() == a.LocalAddr().String() })
	inspectOne(t, two, func(i server.ConnInfo) bool { return i.Peer.String() == b.LocalAddr().String() })
}

// Inspect does not wait for a loop that a callback holds up.
func TestInspectOfALoopThatIsHeldUp(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	srv := &server.Server{Loops: 1, Events: server.Events{Data: func(c *server.Conn) error {
		held <- struct{}{}
		<-release
		return echo(c)
	}}}
	addr := serve(t, srv)
	c := client(t, addr)
	send(t, c, "x")
	weirtest.Take(t, held)
	start := time.Now()
	list := srv.Inspect(10)
	require.Less(t, time.Since(start), weirtest.Patience/2)
	require.Len(t, list, 1)
	require.True(t, slices.ContainsFunc(list, func(i server.ConnInfo) bool { return i.State == "open" }))
	close(release)
	expect(t, c, "x")
}

// Connections and sessions with TLS are described, too.
func TestInspectTLS(t *testing.T) {
	eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
		c := tlsClient(t, serve(t, srv), config)
		send(t, c, "12345")
		expect(t, c, "12345")
		info := inspectOne(t, srv, func(i server.ConnInfo) bool { return i.TCP != nil && i.State != "running" })
		require.Equal(t, c.LocalAddr().String(), info.Peer.String())
		require.Equal(t, srv.Handler != nil, info.Session)
		again, open := srv.InspectConn(info.ID)
		require.True(t, open)
		require.Equal(t, info.Peer, again.Peer)
	})
}
