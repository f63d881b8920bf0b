package oracle

import (
	"bytes"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These steps are no calls on the socket: they are pauses and actions of peers.

func pause(ms int) step {
	return step{name: fmt.Sprintf("pause(%d ms)", ms), act: func(*world, endpoint) string {
		time.Sleep(time.Duration(ms) * time.Millisecond)
		return ""
	}}
}

// byPeer makes a step of an action of the peer p.
func byPeer(p, name string, act func(w *world, p *peer) string) step {
	return step{name: p + " " + name, act: func(w *world, _ endpoint) string {
		return act(w, w.peers[p])
	}}
}

func peerSends(data string, flags ...int) step {
	f := or(flags)
	return byPeer("p", fmt.Sprintf("sends %q%s", data, flagNames(f)), func(_ *world, p *peer) string {
		p.send([]byte(data), f)
		return ""
	})
}

func peerShuts(how int) step {
	return byPeer("p", fmt.Sprintf("shuts down %d", how), func(_ *world, p *peer) string {
		p.shutdown(how)
		return ""
	})
}

func peerCloses() step { return closes("p") }

func closes(name string) step {
	return byPeer(name, "closes", func(_ *world, p *peer) string {
		p.close()
		time.Sleep(settling)
		return ""
	})
}

func peerResets() step {
	return byPeer("p", "resets", func(_ *world, p *peer) string {
		p.reset()
		time.Sleep(settling)
		return ""
	})
}

// peerGets takes one message, or up to n bytes of a stream.
func peerGets(n int) step {
	return byPeer("p", fmt.Sprintf("gets %d", n), func(_ *world, p *peer) string {
		data, errno := p.recv(n)
		return "peer " + received(data, len(data), errno)
	})
}

// peerDrains takes a number of bytes. All of them must arrive.
func peerDrains(n int) step {
	return byPeer("p", fmt.Sprintf("drains %d", n), func(w *world, p *peer) string {
		if got := len(p.recvAll(n)); got != n {
			return fmt.Sprintf("peer gets %d of %d", got, n)
		}
		return ""
	})
}

// peerHasAll takes the data and checks that it is exactly what the sends reported as
// sent. The steps before it must leave no data in between.
func peerHasAll() step {
	return byPeer("p", "has all", func(w *world, p *peer) string {
		got := p.recvAll(len(w.sent))
		switch {
		case !bytes.Equal(got, w.sent):
			return fmt.Sprintf("peer has %d bytes, which are not the %d sent", len(got), len(w.sent))
		case p.more():
			return "peer has more than was sent"
		}
		w.sent = nil
		return "peer has all"
	})
}

// dials makes the peer "p" and connects it to the listening socket.
func dials() step {
	return step{name: "p dials", act: func(w *world, s endpoint) string {
		p := w.plain()
		w.peers["p"] = p
		err := unix.Connect(p.fd, nameOf(w.t, s.fd(), unix.Getsockname))
		if err != unix.EINPROGRESS {
			require.NoError(w.t, err)
		}
		p.await(unix.POLLOUT)
		time.Sleep(settling)
		return ""
	}}
}

// admits accepts the oldest connection in the listener's backlog as the peer "p".
func admits() step {
	return byPeer("l", "admits", func(w *world, l *peer) string {
		w.peers["p"] = w.admit(l)
		return ""
	})
}

// crowds fills the listener's backlog, so that connects wait.
func crowds() step {
	return byPeer("l", "is crowded", func(w *world, l *peer) string {
		for range 64 {
			p := w.plain()
			w.crowd = append(w.crowd, p.fd)
			switch err := unix.Connect(p.fd, w.target.sa); err {
			case nil:
				continue
			case unix.EAGAIN: // a unix socket
				return ""
			default:
				require.Equal(w.t, unix.EINPROGRESS, err)
			}
			fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLOUT}}
			if n, _ := unix.Poll(fds, 20); n == 0 { // the kernel dropped its SYN
				unix.Close(p.fd)
				w.crowd = w.crowd[:len(w.crowd)-1]
				return ""
			}
		}
		return "never full"
	})
}

// makesRoom takes one connection of the crowd off the backlog.
func makesRoom() step {
	return byPeer("l", "makes room", func(w *world, l *peer) string {
		w.admit(l).close()
		return ""
	})
}
