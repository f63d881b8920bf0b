package chaos

import (
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func dial(addr string) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp4", addr, patience())
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience()))
	return c.(*net.TCPConn), nil
}

// Each peer is bad in its own way. Those that end in order get all they have sent back;
// of the others each byte is right that arrives.
var peers = []struct {
	name string
	play func(t *testing.T, s *service, seed uint64) error
}{
	{"sends one byte at a time", func(t *testing.T, s *service, seed uint64) error {
		return orderly(s, seed, 500, func(x *transfer) { x.piece = func() int { return 1 } })
	}},
	{"ends its stream at once", func(t *testing.T, s *service, seed uint64) error {
		return orderly(s, seed, 0, func(x *transfer) {})
	}},
	{"reads nothing for a while", func(t *testing.T, s *service, seed uint64) error {
		return orderly(s, seed, 4<<20, func(x *transfer) {
			x.read = sync.OnceFunc(func() { time.Sleep(200 * time.Millisecond) })
		})
	}},
	{"pauses between its writes", func(t *testing.T, s *service, seed uint64) error {
		return orderly(s, seed, 200<<10, func(x *transfer) {
			x.before = func(conn, int, []byte) bool { time.Sleep(time.Millisecond); return true }
		})
	}},
	{"sends urgent data", func(t *testing.T, s *service, seed uint64) error {
		return orderly(s, seed, 300<<10, func(x *transfer) {
			x.before = func(c conn, sent int, piece []byte) bool {
				if sent > 100<<10 {
					urgent(c.(*net.TCPConn), seed)
					x.before = nil
				}
				return true
			}
		})
	}},
	{"resets in the middle", func(t *testing.T, s *service, seed uint64) error { return cutShort(t, s, seed, true) }},
	{"closes in the middle", func(t *testing.T, s *service, seed uint64) error { return cutShort(t, s, seed, false) }},
}

// urgent sends a byte out of band. It is not part of the stream.
func urgent(c *net.TCPConn, seed uint64) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Write(func(fd uintptr) bool { return unix.Send(int(fd), []byte{byte(seed)}, unix.MSG_OOB) != unix.EAGAIN })
}

func orderly(s *service, seed uint64, size int, how func(*transfer)) error {
	c, err := dial(s.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	x := newTransfer(seed, size)
	how(x)
	return x.run(c)
}

// cutShort ends the connection without reading what still comes.
func cutShort(t *testing.T, s *service, seed uint64, reset bool) error {
	c, err := dial(s.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	x := newTransfer(seed, 1<<20)
	x.before = func(_ conn, sent int, _ []byte) bool {
		if sent < 300<<10 {
			return true
		}
		if reset {
			c.SetLinger(0)
		}
		c.Close()
		return false
	}
	if err := x.run(c); err == nil {
		t.Errorf("the stream does not end early")
	}
	return nil
}

// Bad peers get what they are owed, and disturb no other, and nothing is left of them.
func TestBadPeers(t *testing.T) {
	services := startAll(t, here, server.Timeouts{})
	watch(t, nil, services)
	rounds(func(seed uint64) {
		var all sync.WaitGroup
		for i, s := range services {
			for j, p := range peers {
				all.Go(func() {
					if err := p.play(t, s, seed*1000+uint64(i*100+j)); err != nil {
						t.Errorf("%s, and a peer that %s: %v", s.name, p.name, err)
					}
				})
			}
		}
		all.Wait()
		settled(t, services)
	})
}

// The environment of a child that is a client of the address in it.
const childEnv = "WEIR_CHAOS_CLIENT_OF"

// vanishing is how many connections a child has.
const vanishing = 10

// TestVanishingChild is the child of TestPeersThatVanish.
func TestVanishingChild(t *testing.T) {
	addr := os.Getenv(childEnv)
	if addr == "" {
		return
	}
	for seed := range uint64(vanishing) {
		go func() {
			c, err := dial(addr)
			if err != nil {
				return
			}
			x := newTransfer(seed, 1<<30)
			_ = x.run(c)
		}()
	}
	io.Copy(io.Discard, os.Stdin) // until the parent is gone, too
	os.Exit(1)
}

// A client process is killed. The kernel ends its connections, by a reset where input was
// unread. The services check what it has sent before.
func TestPeersThatVanish(t *testing.T) {
	services := startAll(t, here, server.Timeouts{})
	watch(t, nil, services)
	rounds(func(uint64) {
		var children []*exec.Cmd
		for _, s := range services {
			cmd := exec.Command(os.Args[0], "-test.run=^TestVanishingChild$")
			cmd.Env = append(os.Environ(), childEnv+"="+s.addr)
			_, err := cmd.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			children = append(children, cmd)
		}
		for _, s := range services {
			require.Eventually(t, func() bool { return s.open() >= vanishing }, patience(), 5*time.Millisecond, "%s has its clients", s.name)
		}
		for _, cmd := range children {
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
		}
		settled(t, services)
	})
}
