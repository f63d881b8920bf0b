package server_test

import (
	"net"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A client that closes with unread input sends its last words, and then a reset.
// The kernel still has the last words then, whatever the server does first.
func TestResetLosesNoInput(t *testing.T) {
	last := strings.Repeat("last words ", 5000)
	for _, how := range []string{"nothing queued", "output queued", "another connection writes", "paused", "paused and written to", "paused with some left"} {
		t.Run(how, func(t *testing.T) {
			conns, open := opened()
			over, closing := ended()
			var got strings.Builder
			srv := &server.Server{Loops: 1, SendBuffer: 16 << 10, Events: server.Events{
				Open: open,
				Data: func(c *server.Conn) error {
					if how == "paused with some left" && c.User == nil {
						c.User = "seen"
						c.Next(1)
						got.WriteString(last[:1])
						c.PauseRead()
						return nil
					}
					got.Write(c.Next(-1))
					return nil
				},
				Closed: closing,
			}}
			c := client(t, serve(t, srv))
			conn := weirtest.Take(t, conns)
			paused := strings.HasPrefix(how, "paused")
			if paused && how != "paused with some left" {
				conn.PauseRead()
			}
			turned(t, conn)
			if how == "output queued" {
				stuffed(t, conn, 30<<10)
			} else {
				send(t, conn, "something that the client does not read")
			}
			held, release := make(chan struct{}), make(chan struct{})
			onLoopLater(t, conn, func() {
				close(held)
				<-release
				if how == "another connection writes" || how == "paused and written to" {
					_, _ = conn.WriteString("more") // finds the reset first
					_, _ = conn.WriteString("more")
				}
			})
			weirtest.Take(t, held)
			if how == "output queued" {
				// The client's kernel holds unread input, so its close is a reset.
				expect(t, c, "\x00")
			} else {
				expect(t, c, "s")
			}
			send(t, c, last)
			require.NoError(t, c.Close())
			close(release)
			turned(t, conn)
			if paused {
				require.Empty(t, over, "it has not got all of its input yet")
				conn.ResumeRead()
			}
			require.ErrorIs(t, weirtest.Take(t, over), unix.ECONNRESET)
			require.Equal(t, last, got.String())
		})
	}
}

// A paused connection with nothing unread does not wait for ResumeRead.
func TestResetOfAPausedConnectionThatIsWrittenTo(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	addr := serve(t, &server.Server{Events: server.Events{Open: open, Data: echo, Closed: closing}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	conn.PauseRead()
	onLoop(t, conn, func() {
		require.NoError(t, c.(*net.TCPConn).SetLinger(0))
		require.NoError(t, c.Close())
		_, _ = conn.WriteString("finds the reset")
	})
	require.ErrorIs(t, weirtest.Take(t, over), unix.ECONNRESET)
}

// onLoopLater has f called on the connection's loop, and does not wait.
func onLoopLater(t testing.TB, c *server.Conn, f func()) {
	t.Helper()
	require.NoError(t, c.Loop().Post(f))
}
