package oracle

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// patience is how long the script waits for an event that must come.
const patience = 30 * time.Second

// settling is how long an action of a peer may take to reach the socket.
const settling = 3 * time.Millisecond

// A peer is the other side of a socket under test. It is a plain non-blocking kernel
// socket in the runs of both backends.
type peer struct {
	t   *testing.T
	fd  int // -1 after a close
	tcp bool
}

// await waits for poll(2) events, which must come.
func (p *peer) await(events int16) {
	require.True(p.t, p.sees(events), "nothing came to the peer")
}

// sees waits for poll(2) events. It returns false when patience is over.
func (p *peer) sees(events int16) bool {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: events}}
	var n int
	errno := retry(func() (err error) {
		n, err = unix.Poll(fds, int(patience/time.Millisecond))
		return err
	})
	require.Zero(p.t, errno)
	return n == 1
}

// settle waits until the peer's action has reached the socket.
func (p *peer) settle() {
	if !p.tcp {
		return
	}
	for range 200 {
		if left, err := unix.IoctlGetInt(p.fd, unix.SIOCOUTQ); err != nil || left == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(settling)
}

func (p *peer) send(data []byte, flags int) {
	n, errno := transfer(unix.SYS_SENDTO, p.fd, data, flags|unix.MSG_NOSIGNAL)
	require.Zero(p.t, errno, "the peer cannot send")
	require.Equal(p.t, len(data), n)
	p.settle()
}

// recv takes one message, or up to n bytes of a stream. If nothing comes, which may be because a
// busy machine has let a send time out, it returns ETIMEDOUT.
func (p *peer) recv(n int) ([]byte, syscall.Errno) {
	if !p.sees(unix.POLLIN) {
		return nil, unix.ETIMEDOUT
	}
	buf := make([]byte, n)
	n, errno := transfer(unix.SYS_RECVFROM, p.fd, buf, 0)
	return buf[:n], errno
}

// recvAll takes n bytes of a stream. It takes fewer if the stream ends, or if patience is
// over.
func (p *peer) recvAll(n int) []byte {
	var got []byte
	for len(got) < n {
		some, errno := p.recv(min(n-len(got), 1<<20))
		if errno != 0 || len(some) == 0 {
			break
		}
		got = append(got, some...)
	}
	return got
}

// drain takes everything that has arrived.
func (p *peer) drain() {
	p.await(unix.POLLIN)
	buf := make([]byte, 1<<20)
	for {
		n, errno := transfer(unix.SYS_RECVFROM, p.fd, buf, 0)
		if errno != 0 || n == 0 {
			return
		}
	}
}

// more reports whether the peer can still receive anything but the end.
func (p *peer) more() bool {
	time.Sleep(settling)
	n, errno := transfer(unix.SYS_RECVFROM, p.fd, make([]byte, 1), unix.MSG_PEEK)
	return errno == 0 && n > 0
}

func (p *peer) shutdown(how int) {
	require.NoError(p.t, unix.Shutdown(p.fd, how))
	p.settle()
}

func (p *peer) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
}

// reset breaks a TCP connection. It closes the peer with a linger time of 0, so that the
// kernel sends RST.
func (p *peer) reset() {
	require.NoError(p.t, unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	p.close()
}
