//go:build linux

package sys

import (
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// udp returns two sockets over loopback, and the address of b.
func udp(t *testing.T) (a, b int, at Sockaddr) {
	var fds [2]int
	for i := range fds {
		fd, err := Socket(nil, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { Close(fd) })
		at.SetInet(unix.AF_INET, netip.MustParseAddrPort("127.0.0.1:0"))
		require.Zero(t, Bind(fd, &at))
		require.Zero(t, Getsockname(fd, &at))
		require.NotZero(t, at.Inet().Port())
		fds[i] = fd
	}
	return fds[0], fds[1], at
}

// Calls of all sizes return the bytes, the address and the error of the kernel, whether
// or not they tell the scheduler.
func TestDatagramAndBigCopy(t *testing.T) {
	a, b, at := udp(t)
	var own, from Sockaddr
	require.Zero(t, Getsockname(a, &own))
	for _, size := range []int{BigCopy - 1, BigCopy} {
		big := make([]byte, size)
		_, errno := Sendto(a, big, 0, &at)
		require.Equal(t, unix.EMSGSIZE, errno, "larger than a datagram may be")
		n, errno := Recvfrom(b, big, 0, &from)
		require.Equal(t, unix.EAGAIN, errno)
		require.Zero(t, n)
		n, errno = Sendto(a, []byte("hello"), 0, &at)
		require.Zero(t, errno)
		require.Equal(t, 5, n)
		n, errno = Recvfrom(b, big, 0, &from)
		require.Zero(t, errno)
		require.Equal(t, "hello", string(big[:n]))
		require.Equal(t, own.Inet(), from.Inet())
	}
	_, errno := Sendto(a, []byte("hello"), 0, &at)
	require.Zero(t, errno)
	n, errno := Recvfrom(b, make([]byte, 2), unix.MSG_TRUNC, nil)
	require.Zero(t, errno)
	require.Equal(t, 5, n, "the whole size of what was cut")
	require.Equal(t, unix.EINVAL, Bind(a, &at), "it has an address already")

	c, d := pair(t)
	require.NoError(t, SetsockoptInt(c, unix.SOL_SOCKET, unix.SO_SNDBUF, 2*BigCopy))
	big := make([]byte, BigCopy)
	for i := range big {
		big[i] = byte(i)
	}
	sent, errno := Sendto(c, big, 0, nil)
	require.Zero(t, errno)
	require.NotZero(t, sent)
	got := make([]byte, BigCopy)
	for read := 0; read < sent; {
		n, errno := Recvfrom(d, got[read:len(got):len(got)], 0, nil)
		require.Zero(t, errno)
		read += n
	}
	require.Equal(t, big[:sent], got[:sent])
	require.NoError(t, Close(d))
	for _, size := range []int{1, BigCopy} {
		_, errno = Sendto(c, big[:size], 0, nil)
		require.Equal(t, unix.EPIPE, errno, "and no signal")
	}
}

func TestMessage(t *testing.T) {
	a, b := pair(t)
	for _, raw := range []bool{false, true} {
		buf := []byte("abc")
		iov := iovec(buf)
		hdr := unix.Msghdr{Iov: &iov}
		hdr.SetIovlen(1)
		n, errno := Message(unix.SYS_SENDMSG, a, &hdr, 0, raw)
		require.Zero(t, errno)
		require.Equal(t, 3, n)
		clear(buf)
		n, errno = Message(unix.SYS_RECVMSG, b, &hdr, 0, raw)
		require.Zero(t, errno)
		require.Equal(t, 3, n)
		require.Equal(t, "abc", string(buf))
		n, errno = Message(unix.SYS_RECVMSG, b, &hdr, 0, raw)
		require.Equal(t, unix.EAGAIN, errno)
		require.Zero(t, n)
	}
}

func TestMessages(t *testing.T) {
	a, b := pair(t)
	buf := []byte("ab")
	iov := []unix.Iovec{iovec(buf[:1]), iovec(buf[1:])}
	msgs := make([]unix.Mmsghdr, 2)
	for i := range msgs {
		msgs[i].Hdr.Iov = &iov[i]
		msgs[i].Hdr.SetIovlen(1)
	}
	n, errno := Messages(unix.SYS_SENDMMSG, a, msgs, 0)
	require.Zero(t, errno)
	require.Equal(t, 2, n)
	clear(buf)
	n, errno = Messages(unix.SYS_RECVMMSG, b, msgs[:1], 0)
	require.Zero(t, errno)
	require.Equal(t, 1, n)
	require.Equal(t, "a\x00", string(buf))
	n, errno = Messages(unix.SYS_RECVMMSG, b, msgs, 0)
	require.Zero(t, errno)
	require.Equal(t, 1, n)
	n, errno = Messages(unix.SYS_RECVMMSG, b, msgs, 0)
	require.Equal(t, unix.EAGAIN, errno)
	require.Zero(t, n)
}

// Poll and Polled tell what there is now, and of no condition that was not asked for.
func TestPoll(t *testing.T) {
	a, b := pair(t)
	require.Zero(t, Polled(b, unix.POLLIN))
	require.EqualValues(t, unix.POLLOUT, Polled(b, unix.POLLIN|unix.POLLOUT))
	_, errno := Send(a, []byte("x"), 0)
	require.Zero(t, errno)
	require.EqualValues(t, unix.POLLIN, Polled(b, unix.POLLIN))
	require.NoError(t, Shutdown(a, unix.SHUT_RDWR))
	require.Zero(t, Polled(a, 0), "POLLHUP was not asked for")

	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	for _, n := range []int{1, bigPoll, bigPoll + 1} {
		fds := make([]unix.PollFd, n)
		for i := range fds {
			fds[i].Fd = -1
		}
		fds[n-1] = unix.PollFd{Fd: int32(b), Events: unix.POLLIN}
		require.Zero(t, Poll(fds))
		require.NotZero(t, fds[n-1].Revents&unix.POLLIN)
	}
	if limit.Cur > 1<<20 {
		t.Skipf("skipped: %d descriptors may be open, too many for one poll(2) that is refused", limit.Cur)
	}
	require.Equal(t, unix.EINVAL, Poll(make([]unix.PollFd, limit.Cur+1)), "more descriptors than may be open")
}

func TestOptions(t *testing.T) {
	a, _ := pair(t)
	one := []byte{1, 0, 0, 0}
	require.Zero(t, Setsockopt(a, unix.SOL_SOCKET, unix.SO_KEEPALIVE, one))
	v, err := GetsockoptInt(a, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	require.NoError(t, err)
	require.Equal(t, 1, v)
	buf := make([]byte, 8)
	n, errno := Getsockopt(a, unix.SOL_SOCKET, unix.SO_KEEPALIVE, buf, 8)
	require.Zero(t, errno)
	require.Equal(t, one, buf[:n])
	require.Equal(t, unix.ENOPROTOOPT, Setsockopt(a, unix.SOL_SOCKET, 9999, one))
	_, errno = Getsockopt(a, unix.SOL_SOCKET, 9999, buf, 8)
	require.Equal(t, unix.ENOPROTOOPT, errno)
	require.NoError(t, SetLinger(a, 2))
	l, err := GetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER)
	require.NoError(t, err)
	require.Equal(t, unix.Linger{Onoff: 1, Linger: 2}, *l)
	tv, err := GetsockoptTimeval(a, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
	require.NoError(t, err)
	require.Zero(t, *tv)
	_, err = GetsockoptTCPInfo(a, unix.IPPROTO_TCP, unix.TCP_INFO)
	require.Equal(t, unix.EOPNOTSUPP, err)
	require.Error(t, SetsockoptSockFprog(a, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{}))
	queued, err := IoctlGetInt(a, unix.SIOCINQ)
	require.NoError(t, err)
	require.Zero(t, queued)
	require.Error(t, Listen(a, 1))
}

// A timerfd expires once, not before its time, and a write to an eventfd makes it readable.
func TestTimerfdAndEventfd(t *testing.T) {
	timer, err := TimerfdCreate(nil)
	require.NoError(t, err)
	defer Close(timer)
	start := time.Now()
	require.NoError(t, TimerfdSettime(timer, 2*time.Millisecond))
	var buf [8]byte
	for Polled(timer, unix.POLLIN) == 0 {
		runtime.Gosched()
	}
	require.GreaterOrEqual(t, time.Since(start), 2*time.Millisecond)
	_, err = unix.Read(timer, buf[:])
	require.NoError(t, err)
	var set [2]unix.Timespec
	_, _, errno := syscall.Syscall(unix.SYS_TIMERFD_GETTIME, uintptr(timer), uintptr(unsafe.Pointer(&set)), 0)
	require.Zero(t, errno)
	require.Zero(t, set, "it does not repeat")

	event, err := Eventfd(nil)
	require.NoError(t, err)
	defer Close(event)
	require.Zero(t, Polled(event, unix.POLLIN), "it begins at 0")
	n, err := Write(event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	require.NoError(t, err)
	require.Equal(t, 8, n)
	require.NotZero(t, Polled(event, unix.POLLIN))
}

// WritevMany sends up to MaxIovec buffers, and forgets them.
func TestWritevMany(t *testing.T) {
	a, b := pair(t)
	iov := new([MaxIovec]unix.Iovec)
	bufs := [][]byte{nil, []byte("ab"), {}, []byte("c")}
	n, errno := WritevMany(a, bufs, iov)
	require.Zero(t, errno)
	require.Equal(t, 3, n)
	require.Zero(t, *iov)
	many := make([][]byte, MaxIovec+1)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	n, errno = WritevMany(a, many, iov)
	require.Zero(t, errno)
	require.Equal(t, MaxIovec, n)
	require.Zero(t, *iov)
	buf := make([]byte, 2*MaxIovec)
	n, errno = Recvfrom(b, buf, 0, nil)
	require.Zero(t, errno)
	require.Equal(t, "abc\x00\x01", string(buf[:5]))
	require.Equal(t, 3+MaxIovec, n)
	require.NoError(t, Close(b))
	_, errno = WritevMany(a, bufs, iov)
	require.Equal(t, unix.EPIPE, errno)
}

// Input that is read up to the urgent mark, with more behind it, is at the mark.
func TestStoppedAtMark(t *testing.T) {
	l, err := Socket(nil, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer Close(l)
	require.NoError(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, Listen(l, 1))
	var at, from Sockaddr
	require.Zero(t, Getsockname(l, &at))
	c, err := Socket(nil, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer Close(c)
	require.Zero(t, Connect(c, &at))
	fd, errno := Accept(l, &from)
	require.Zero(t, errno)
	defer Close(fd)
	none, errno := Accept(c, &from)
	require.Equal(t, unix.EINVAL, errno)
	require.Equal(t, -1, none)

	require.False(t, StoppedAtMark(fd))
	take := func(want string) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := machine.Poll(fds, 10000)
		require.NoError(t, err)
		buf := make([]byte, 8)
		n, errno := Recv(fd, buf, 0)
		require.Zero(t, errno)
		require.Equal(t, want, string(buf[:n]))
	}
	_, errno = Send(c, []byte("a"), 0)
	require.Zero(t, errno)
	_, errno = Send(c, []byte("!"), unix.MSG_OOB)
	require.Zero(t, errno)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
	_, err = machine.Poll(fds, 10000)
	require.NoError(t, err)
	require.False(t, StoppedAtMark(fd), "the mark does not come next")
	take("a")
	require.False(t, StoppedAtMark(fd), "nothing is behind the mark")
	_, errno = Send(c, []byte("b"), 0)
	require.Zero(t, errno)
	fds[0].Events = unix.POLLIN
	_, err = machine.Poll(fds, 10000)
	require.NoError(t, err)
	require.True(t, StoppedAtMark(fd))
	take("b")
	require.False(t, StoppedAtMark(fd))
	a, _ := pair(t)
	require.False(t, StoppedAtMark(a), "not TCP")
}
