package server_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A client that closes with unread input sends its last bytes, and then a reset. The
// server's kernel still has these bytes. Data gets them, whatever the server does before.
func TestResetLosesNoInput(t *testing.T) {
	last := strings.Repeat("last words ", 5000)
	for _, how := range []string{"nothing queued", "output queued", "output above HighWater", "another connection writes", "paused", "paused and written to", "paused with some left", "paused with all left", "paused with all left and written to"} {
		t.Run(how, func(t *testing.T) {
			conns, open := opened()
			over, closing := ended()
			var got strings.Builder
			left := make(chan struct{})
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
					if strings.HasPrefix(how, "paused with all left") && c.User == nil {
						if c.Buffered() == len(last) {
							c.User = "seen"
							c.PauseRead()
							close(left)
						}
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
			if how == "paused" || how == "paused and written to" {
				conn.PauseRead()
			}
			turned(t, conn)
			if how == "output queued" {
				stuffed(t, conn, 30<<10)
			} else if how == "output above HighWater" {
				stuffed(t, conn, 100<<10)
				turned(t, conn)
			} else {
				send(t, conn, "something that the client does not read")
			}
			if strings.HasPrefix(how, "paused with all left") {
				send(t, c, last)
				weirtest.Take(t, left)
			}
			held, release := make(chan struct{}), make(chan struct{})
			onLoopLater(t, conn, func() {
				close(held)
				<-release
				if how == "another connection writes" || strings.HasSuffix(how, "written to") {
					_, _ = conn.WriteString("more") // it fails because of the reset
					_, _ = conn.WriteString("more")
				}
			})
			weirtest.Take(t, held)
			if strings.HasPrefix(how, "output") {
				// The client's kernel holds unread input, so its close is a reset.
				expect(t, c, "\x00")
			} else {
				expect(t, c, "s")
			}
			if !strings.HasPrefix(how, "paused with all left") {
				send(t, c, last)
			}
			require.NoError(t, c.Close())
			close(release)
			turned(t, conn)
			if paused {
				turned(t, conn)
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

// onLoopLater makes the connection's loop call f, and does not wait.
func onLoopLater(t testing.TB, c *server.Conn, f func()) {
	t.Helper()
	require.NoError(t, c.Loop().Post(f))
}

// Random peers send, read some or nothing, and reset the connection when the server's
// kernel has all the bytes. Meanwhile the server pauses, resumes and writes, in callbacks
// and other goroutines. The server gets every byte and then the reset, as a blocking
// reader would.
func TestResetAgainstRandomPeers(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		conns, open := opened()
		over, closing := ended()
		var got bytes.Buffer // used on the loop only
		act := func(c *server.Conn, random *rand.Rand) {
			switch random.IntN(6) {
			case 0:
				c.PauseRead()
			case 1, 2:
				c.ResumeRead()
			case 3:
				_, _ = c.Write(make([]byte, random.IntN(40_000)))
			case 4:
				_ = c.WriteAsync(make([]byte, random.IntN(40_000)), func(error) {})
			}
		}
		inLoop := rand.New(rand.NewPCG(seed, 3))
		srv := &server.Server{Loops: 1, HighWater: 1 + random.IntN(100_000), SendBuffer: 16 << 10, Chunk: 1 + random.IntN(100_000),
			Events: server.Events{
				Open: open,
				Data: func(c *server.Conn) error {
					got.Write(c.Next(1 + inLoop.IntN(c.Buffered()+1)))
					act(c, inLoop)
					return nil
				},
				Pressure: func(c *server.Conn, _ bool) { act(c, inLoop) },
				Closed:   func(c *server.Conn, err error) { got.Write(c.Next(-1)); closing(c, err) },
			}}
		c := client(t, serve(t, srv))
		conn := weirtest.Take(t, conns)
		stop := make(chan struct{})
		var others sync.WaitGroup
		others.Go(func() {
			random := rand.New(rand.NewPCG(seed, 4))
			for {
				select {
				case <-stop:
					return
				default:
					act(conn, random)
					conn.Wake()
				}
			}
		})
		var sent bytes.Buffer
		for range 1 + random.IntN(20) {
			p := make([]byte, random.IntN(5000))
			for i := range p {
				p[i] = byte(random.Int())
			}
			sent.Write(p)
			_, err := c.Write(p)
			require.NoError(t, err)
			if random.IntN(3) == 0 {
				_ = c.SetReadDeadline(time.Now())
				_, _ = c.Read(make([]byte, 1+random.IntN(100_000)))
			}
		}
		raw, err := c.(*net.TCPConn).SyscallConn()
		require.NoError(t, err)
		weirtest.Eventually(t, func() (arrived bool) {
			require.NoError(t, raw.Control(func(fd uintptr) {
				n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
				arrived = err == nil && n == 0
			}))
			return arrived
		}, "the server's kernel has all")
		require.NoError(t, c.(*net.TCPConn).SetLinger(0))
		require.NoError(t, c.Close())
		if random.IntN(2) == 0 {
			turned(t, conn)
		}
		close(stop)
		others.Wait()
		conn.ResumeRead()
		// Data leaves some of the input, which Wake presents again.
		var why error
		weirtest.Eventually(t, func() bool {
			conn.ResumeRead()
			select {
			case why = <-over:
				return true
			default:
				return false
			}
		}, "it ends")
		require.True(t, errors.Is(why, unix.ECONNRESET) || errors.Is(why, unix.EPIPE), "seed %d: %v", seed, why)
		require.Equal(t, sent.Len(), got.Len(), "seed %d", seed)
		require.True(t, bytes.Equal(sent.Bytes(), got.Bytes()), "seed %d", seed)
		require.NoError(t, srv.Close()) // closes its descriptors before the next seed
	}
}
