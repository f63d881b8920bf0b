package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// noDelay makes a program built with -race end without a delay.
const noDelay = "GORACE=atexit_sleep_ms=0"

// play runs instead of the tests in a child process.
func play(role string) int {
	srv := &server.Server{Events: server.Events{
		Data:   func(c *server.Conn) error { c.Next(-1); _, err := c.WriteString("new"); return err },
		Packet: func(l *server.PacketConn, p []byte, from socket.Addr) { l.SendTo([]byte("new"), from) },
	}}
	switch role {
	case "dies":
		return 3
	case "holdTLS":
		conns, _ := strconv.Atoi(os.Getenv("WEIR_TEST_CONNS"))
		return holdTLS(os.Getenv("WEIR_TEST_ADDR"), conns)
	case "hangs":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	n, err := srv.Inherit()
	again, errAgain := srv.Inherit()
	left := 0
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "LISTEN_") || strings.HasPrefix(e, "WEIR_READY_FD") {
			left++
		}
	}
	fmt.Printf("inherited %d (%v), then %d (%v), variables left: %d\n", n, err, again, errAgain, left)
	sockets := 0
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	_, err = srv.Listen("tcp", "127.0.0.1:0")
	fmt.Printf("sockets: %d, of its own: %v\n", sockets, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := srv.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A child is this program in a role. It ends at the end of its input.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newChild(t testing.TB, role string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WEIR_TEST_ROLE="+role, noDelay)
	return prepare(t, cmd)
}

func prepare(t testing.TB, cmd *exec.Cmd) *child {
	t.Helper()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return &child{cmd, in, bufio.NewReader(out)}
}

func (c *child) line(t testing.TB) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

func (c *child) stop(t testing.TB) {
	t.Helper()
	require.NoError(t, c.in.Close())
	_, err := io.Copy(io.Discard, c.out)
	require.NoError(t, err)
	require.NoError(t, c.Wait())
}

// Clients connect without a pause while the listeners go from one process to the next.
// The kernel refuses or resets none of them.
func TestHandover(t *testing.T) {
	path := t.TempDir() + "/s"
	srv := &server.Server{Loops: 2, Events: server.Events{
		Data:   func(c *server.Conn) error { c.Next(-1); _, err := c.WriteString("old"); return err },
		Packet: func(l *server.PacketConn, p []byte, from socket.Addr) { l.SendTo([]byte("old"), from) },
	}}
	addrs := []socket.Addr{serve(t, srv), serveOn(t, srv, "unix", path)}
	packets := serveOn(t, srv, "udp4", "127.0.0.1:0")
	var olds, news, ends atomic.Int64
	var failed atomic.Pointer[error]
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for i := range 4 {
		addr := addrs[i%2]
		tasks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				answer, err := func() (string, error) {
					c, err := net.Dial(map[socket.Family]string{socket.Inet: "tcp", socket.Unix: "unix"}[addr.Family()], addr.String())
					if err != nil {
						return "", err
					}
					defer c.Close()
					_ = c.SetDeadline(time.Now().Add(weirtest.Patience))
					if _, err := io.WriteString(c, "x"); err != nil {
						return "", err
					}
					buf := make([]byte, 3)
					_, err = io.ReadFull(c, buf)
					return string(buf), err
				}()
				switch {
				case err == io.EOF: // the server of the connection ended before it sent
					ends.Add(1)
				case err != nil:
					failed.Store(&err)
					return
				case answer == "old":
					olds.Add(1)
				default:
					news.Add(1)
				}
			}
		})
	}
	going := func(n *atomic.Int64) {
		t.Helper()
		from := n.Load()
		weirtest.Eventually(t, func() bool { return n.Load() > from+50 || failed.Load() != nil }, "they are served")
		if err := failed.Load(); err != nil {
			require.NoError(t, *err)
		}
	}
	going(&olds)
	next := newChild(t, "serves")
	require.NoError(t, srv.Handover(t.Context(), next.Cmd))
	require.Equal(t, "inherited 3 (<nil>), then 0 (<nil>), variables left: 0", next.line(t))
	going(&news) // both processes serve
	require.NoError(t, srv.Shutdown(t.Context()))
	going(&news)
	close(stop)
	tasks.Wait()
	if err := failed.Load(); err != nil {
		require.NoError(t, *err)
	}
	require.FileExists(t, path, "it is the successor's")
	c := udpClient(t, packets)
	send(t, c, "x")
	expect(t, c, "new")
	t.Logf("%d by the old, %d by the new, %d ended", olds.Load(), news.Load(), ends.Load())
	next.stop(t)
	require.NoFileExists(t, path)
}

func TestHandoverThatFailsChangesNothing(t *testing.T) {
	path := t.TempDir() + "/s"
	srv := &server.Server{Events: server.Events{Data: echo}}
	addrs := []socket.Addr{serve(t, srv), serveOn(t, srv, "unix", path)}
	works := func() {
		t.Helper()
		for _, addr := range addrs {
			c := client(t, addr)
			send(t, c, "x")
			expect(t, c, "x")
		}
	}
	before := descriptors(t)

	dies := newChild(t, "dies")
	err := srv.Handover(t.Context(), dies.Cmd)
	require.ErrorContains(t, err, "did not serve")
	require.NotNil(t, dies.ProcessState, "it was waited for")
	works()

	hangs := newChild(t, "hangs")
	why := errors.New("long enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Handover(ctx, hangs.Cmd) }()
	works()
	cancel(why)
	require.ErrorIs(t, weirtest.Take(t, done), why)
	require.NotNil(t, hangs.ProcessState, "it was killed")
	works()

	require.ErrorContains(t, srv.Handover(t.Context(), nil), "nil")
	require.Error(t, srv.Handover(t.Context(), exec.Command("/no/such/program")))
	more := exec.Command(os.Args[0])
	more.ExtraFiles = []*os.File{os.Stderr}
	require.ErrorContains(t, srv.Handover(t.Context(), more), "extra files")
	works()
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == len(addrs)*4 }, "clients are all that is open")
	require.LessOrEqual(t, descriptors(t), before+2*len(addrs)*4+4, "the pipes of three commands, and both ends of connections")
	open := descriptors(t)
	require.Error(t, srv.Handover(t.Context(), exec.Command("/no/such/program")))
	require.Equal(t, open, descriptors(t), "no pipe stays")

	require.NoError(t, srv.Close())
	require.NoFileExists(t, path)
	require.ErrorIs(t, srv.Handover(t.Context(), exec.Command(os.Args[0])), server.ErrClosed)
}

// systemd starts a service like this: the listeners are blocking, only the service has
// them, and LISTEN_PID is the service's process.
func TestInheritFromSocketActivation(t *testing.T) {
	for _, pid := range []string{"$$", "1"} {
		t.Run("pid "+pid, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			path := t.TempDir() + "/s"
			u, err := net.Listen("unix", path)
			require.NoError(t, err)
			defer u.Close()
			cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=`+pid+` exec "$0"`, os.Args[0])
			cmd.Env = append(os.Environ(), "WEIR_TEST_ROLE=serves", "LISTEN_FDS=2", "LISTEN_FDNAMES=owned:owned", noDelay)
			for _, l := range []interface{ File() (*os.File, error) }{l.(*net.TCPListener), u.(*net.UnixListener)} {
				f, err := l.File()
				require.NoError(t, err)
				defer f.Close()
				cmd.ExtraFiles = append(cmd.ExtraFiles, f)
			}
			service := prepare(t, cmd)
			require.NoError(t, cmd.Start())
			if pid != "$$" {
				require.Equal(t, "inherited 0 (<nil>), then 0 (<nil>), variables left: 0", service.line(t), "they are another process's")
				service.stop(t)
				return
			}
			require.Equal(t, "inherited 2 (<nil>), then 0 (<nil>), variables left: 0", service.line(t))
			for _, addr := range []net.Addr{l.Addr(), u.Addr()} {
				c, err := net.Dial(addr.Network(), addr.String())
				require.NoError(t, err)
				require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
				send(t, c, "x")
				expect(t, c, "new")
				require.NoError(t, c.Close())
			}
			service.stop(t)
			require.FileExists(t, path, "its maker removes it")
		})
	}
}

func TestInheritRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"none", nil, "inherited 0 (<nil>)"},
		{"no number", []string{"LISTEN_FDS=x"}, `inherited 0 (server: inherit: LISTEN_FDS is "x"`},
		{"negative", []string{"LISTEN_FDS=-1"}, `inherited 0 (server: inherit: LISTEN_FDS is "-1"`},
		{"too many", []string{"LISTEN_FDS=9223372036854775807"}, `inherited 0 (server: inherit: LISTEN_FDS is "9223372036854775807"`},
		{"no socket", []string{"LISTEN_FDS=2"}, "inherited 0 (server: inherit: descriptor 3: adopt"},
		{"ready is no number", []string{"LISTEN_FDS=0", "WEIR_READY_FD=x"}, `inherited 0 (server: inherit: WEIR_READY_FD is "x"`},
		{"ready is closed", []string{"LISTEN_FDS=0", "WEIR_READY_FD=100"}, "inherited 0 (server: inherit:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newChild(t, "serves")
			c.Env = append(c.Env, test.env...)
			f, err := os.Open(os.Args[0])
			require.NoError(t, err)
			defer f.Close()
			c.ExtraFiles = []*os.File{f}
			require.NoError(t, c.Start())
			line := c.line(t)
			require.Contains(t, line, test.want)
			require.Contains(t, line, "variables left: 0")
			c.stop(t)
		})
	}
}

// Inherit cannot serve one of the listeners, or the environment names more listeners than
// there are, or the predecessor has ended. Then Inherit serves none and closes all, and
// the clients in the backlogs are not lost.
func TestInheritThatFailsMidway(t *testing.T) {
	for _, test := range []struct {
		name  string
		env   []string
		other func(t *testing.T) *os.File // returns the second of three; nil for two in all
		want  string
	}{
		{"no socket", []string{"LISTEN_FDS=3"}, func(t *testing.T) *os.File {
			f, err := os.Open(os.Args[0])
			require.NoError(t, err)
			return f
		}, "descriptor 4: adopt"},
		{"no listener", []string{"LISTEN_FDS=3"}, func(t *testing.T) *os.File {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			return os.NewFile(uintptr(fd), "")
		}, "does not listen"},
		{"fewer", []string{"LISTEN_FDS=3"}, nil, "descriptor 5: adopt"},
		{"ready is no number", []string{"LISTEN_FDS=2", "WEIR_READY_FD=x"}, nil, `WEIR_READY_FD is "x"`},
		{"ready is closed", []string{"LISTEN_FDS=2", "WEIR_READY_FD=100"}, nil, "bad file descriptor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newChild(t, "serves")
			c.Env = append(c.Env, test.env...)
			var listeners []*net.TCPListener
			add := func(f *os.File) {
				t.Cleanup(func() { f.Close() })
				c.ExtraFiles = append(c.ExtraFiles, f)
			}
			for i := range 2 {
				if i == 1 && test.other != nil {
					add(test.other(t))
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				defer l.Close()
				require.NoError(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(weirtest.Patience)))
				f, err := l.(*net.TCPListener).File()
				require.NoError(t, err)
				add(f)
				waits, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				defer waits.Close()
				listeners = append(listeners, l.(*net.TCPListener))
			}
			require.NoError(t, c.Start())
			line := c.line(t)
			require.Contains(t, line, "inherited 0 (server: inherit: ")
			require.Contains(t, line, test.want)
			require.Equal(t, "sockets: 0, of its own: <nil>", c.line(t))
			for _, l := range listeners {
				waited, err := l.Accept()
				require.NoError(t, err)
				require.NoError(t, waited.Close())
			}
			c.stop(t)
		})
	}
}
