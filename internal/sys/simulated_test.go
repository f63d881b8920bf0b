//go:build linux

package sys

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A recorder is a Kernel that notes its calls, and answers each with errno and with input.
type recorder struct {
	calls []string
	errno syscall.Errno
	input []string // what Recv returns, one after the other; then EAGAIN
	from  netip.AddrPort
	out   int // the flags of a message that Recv returns
}

func (k *recorder) note(format string, args ...any) syscall.Errno {
	k.calls = append(k.calls, fmt.Sprintf(format, args...))
	return k.errno
}

func (k *recorder) Socket(family, typ, protocol int) (int, syscall.Errno) {
	return 11, k.note("socket %d %d %d", family, typ, protocol)
}
func (k *recorder) Close(fd int) syscall.Errno         { return k.note("close %d", fd) }
func (k *recorder) Shutdown(fd, how int) syscall.Errno { return k.note("shutdown %d %d", fd, how) }
func (k *recorder) Bind(fd int, to *Sockaddr) syscall.Errno {
	return k.note("bind %d %v", fd, to.Inet())
}
func (k *recorder) Listen(fd, backlog int) syscall.Errno { return k.note("listen %d %d", fd, backlog) }
func (k *recorder) Accept(fd int, from *Sockaddr) (int, syscall.Errno) {
	from.SetInet(unix.AF_INET, k.from)
	return 12, k.note("accept %d", fd)
}
func (k *recorder) Connect(fd int, to *Sockaddr) syscall.Errno {
	return k.note("connect %d %v", fd, to.Inet())
}
func (k *recorder) Name(fd int, a *Sockaddr, peer bool) syscall.Errno {
	a.SetInet(unix.AF_INET, k.from)
	return k.note("name %d %v", fd, peer)
}

func (k *recorder) Recv(fd int, buf []byte, flags int, from *Sockaddr) (n, out int, errno syscall.Errno) {
	errno = k.note("recv %d %d %d %v", fd, len(buf), flags, from != nil)
	if errno == 0 && len(k.input) == 0 {
		errno = unix.EAGAIN
	}
	if errno != 0 {
		return 0, 0, errno
	}
	text := k.input[0]
	k.input = k.input[1:]
	if from != nil {
		from.SetInet(unix.AF_INET, k.from)
	}
	copy(buf, text)
	return len(text), k.out, 0
}

func (k *recorder) Send(fd int, buf []byte, flags int, to *Sockaddr) (int, syscall.Errno) {
	at := "-"
	if to != nil {
		at = to.Inet().String()
	}
	return len(buf), k.note("send %d %q %d %s", fd, buf, flags, at)
}

func (k *recorder) Setsockopt(fd, level, option int, value []byte) syscall.Errno {
	return k.note("setsockopt %d %d %d %v", fd, level, option, value)
}

func (k *recorder) Getsockopt(fd, level, option int, value []byte) (int, syscall.Errno) {
	value[0] = 7
	return 1, k.note("getsockopt %d %d %d %d", fd, level, option, len(value))
}

func (k *recorder) Ioctl(fd int, request uint) (int, syscall.Errno) {
	return 13, k.note("ioctl %d %d", fd, request)
}

func (k *recorder) Handshakes(fd int) []netip.AddrPort {
	k.note("handshakes %d", fd)
	return []netip.AddrPort{k.from}
}

func (k *recorder) Poll(fd int, events int16) int16 {
	k.note("poll %d %d", fd, events)
	return events
}

func (k *recorder) EpollCreate() (int, syscall.Errno) { return 14, k.note("epoll_create") }
func (k *recorder) EpollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno {
	return k.note("epoll_ctl %d %d %d %d", epfd, op, fd, ev.Events)
}

func (k *recorder) EpollWait(epfd int, events []unix.EpollEvent, forever bool) (int, syscall.Errno) {
	return 15, k.note("epoll_wait %d %d %v", epfd, len(events), forever)
}
func (k *recorder) Eventfd() (int, syscall.Errno) { return 16, k.note("eventfd") }
func (k *recorder) Timerfd() (int, syscall.Errno) { return 17, k.note("timerfd") }
func (k *recorder) TimerfdSettime(fd int, left time.Duration) syscall.Errno {
	return k.note("timerfd_settime %d %v", fd, left)
}

func (k *recorder) Write(fd int, buf []byte) (int, syscall.Errno) {
	return 18, k.note("write %d %q", fd, buf)
}

var someone = netip.MustParseAddrPort("192.0.2.1:258")

func record(t *testing.T) (k *recorder, first int) {
	k = &recorder{from: someone}
	first, err := Attach(k)
	require.NoError(t, err)
	t.Cleanup(func() { Detach(first) })
	return k, first
}

// results returns the results of a call without the last, and the last, which is an error
// or an errno, as an errno.
func results(call any, args ...any) (values []any, errno syscall.Errno) {
	in := make([]reflect.Value, len(args))
	for i, a := range args {
		in[i] = reflect.ValueOf(a)
	}
	out := reflect.ValueOf(call).Call(in)
	for _, v := range out[:len(out)-1] {
		values = append(values, v.Interface())
	}
	errno, _ = out[len(out)-1].Interface().(syscall.Errno)
	return values, errno
}

// Each call on a simulated descriptor is one call of its Kernel, with the same arguments
// and results. Without a Kernel it is EBADF.
func TestCallsOfAKernel(t *testing.T) {
	var to, from Sockaddr
	to.SetInet(unix.AF_INET, someone)
	for _, c := range []struct {
		call   any
		args   []any
		want   string // what the Kernel sees, behind the descriptor
		values []any
	}{
		{Close, nil, "close F", nil},
		{Shutdown, []any{1}, "shutdown F 1", nil},
		{Listen, []any{5}, "listen F 5", nil},
		{SetsockoptInt, []any{1, 2, -2}, "setsockopt F 1 2 [254 255 255 255]", nil},
		{SetLinger, []any{258}, "setsockopt F 1 13 [1 0 0 0 2 1 0 0]", nil},
		{SetLinger, []any{1 << 40}, "setsockopt F 1 13 [1 0 0 0 255 255 255 127]", nil},
		{SetLinger, []any{-1}, "setsockopt F 1 13 [0 0 0 0 0 0 0 0]", nil},
		{SetsockoptSockFprog, []any{1, 2, &unix.SockFprog{Len: 3}}, "setsockopt F 1 2 [3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0]", nil},
		{Setsockopt, []any{1, 2, []byte{3}}, "setsockopt F 1 2 [3]", nil},
		{Setsockopt, []any{1, 2, []byte{}}, "setsockopt F 1 2 []", nil},
		{GetsockoptInt, []any{1, 2}, "getsockopt F 1 2 4", []any{7}},
		{GetsockoptTimeval, []any{1, 2}, "getsockopt F 1 2 16", []any{&unix.Timeval{Sec: 7}}},
		{GetsockoptLinger, []any{1, 2}, "getsockopt F 1 2 8", []any{&unix.Linger{Onoff: 7}}},
		{GetsockoptTCPInfo, []any{1, 2}, fmt.Sprint("getsockopt F 1 2 ", unsafe.Sizeof(unix.TCPInfo{})), []any{&unix.TCPInfo{State: 7}}},
		{Getsockopt, []any{1, 2, make([]byte, 9), uint32(5)}, "getsockopt F 1 2 5", []any{1}},
		{IoctlGetInt, []any{uint(3)}, "ioctl F 3", []any{13}},
		{EpollCtl, []any{1, 2, &unix.EpollEvent{Events: 3}}, "epoll_ctl F 1 2 3", nil},
		{SimulatedEpollWait, []any{make([]unix.EpollEvent, 2), true}, "epoll_wait F 2 true", []any{15}},
		{TimerfdSettime, []any{time.Second}, "timerfd_settime F 1s", nil},
		{Write, []any{[]byte("a")}, `write F "a"`, []any{18}},
		{Connect, []any{&to}, "connect F 192.0.2.1:258", nil},
		{Bind, []any{&to}, "bind F 192.0.2.1:258", nil},
		{Accept, []any{&from}, "accept F", []any{12}},
		{Getsockname, []any{&from}, "name F false", nil},
		{Getpeername, []any{&from}, "name F true", nil},
		{Recv, []any{make([]byte, 4), 1}, "recv F 4 1 false", []any{5}},
		{Recv, []any{[]byte{}, 0}, "recv F 0 0 false", []any{5}},
		{Recvfrom, []any{make([]byte, 4), 1, &from}, "recv F 4 1 true", []any{5}},
		{Recvfrom, []any{make([]byte, 4), 1, (*Sockaddr)(nil)}, "recv F 4 1 false", []any{5}},
		{Send, []any{[]byte("ab"), 3}, `send F "ab" 3 -`, []any{2}},
		{Send, []any{[]byte("a"), 0}, `send F "a" 0 -`, []any{1}},
		{Send, []any{[]byte{}, 0}, `send F "" 0 -`, []any{0}},
		{Sendto, []any{[]byte("ab"), 3, &to}, `send F "ab" 3 192.0.2.1:258`, []any{2}},
		{Sendto, []any{[]byte("ab"), 3, (*Sockaddr)(nil)}, `send F "ab" 3 -`, []any{2}},
		{Writev, []any{[][]byte{[]byte("a"), nil, []byte("bc")}}, `send F "abc" 0 -`, []any{3}},
		{WritevMany, []any{[][]byte{[]byte("a"), nil, []byte("bc")}, new([MaxIovec]unix.Iovec)}, `send F "abc" 0 -`, []any{3}},
	} {
		name, _, _ := strings.Cut(c.want, " ")
		t.Run(name, func(t *testing.T) {
			k, first := record(t)
			for _, fd := range []int{first, first + 3} {
				k.calls, k.input, k.errno, from = nil, []string{"input"}, 0, Sockaddr{}
				args := append([]any{fd}, c.args...)
				values, errno := results(c.call, args...)
				require.Zero(t, errno)
				require.Equal(t, c.values, values)
				require.Equal(t, []string{strings.Replace(c.want, "F", fmt.Sprint(fd), 1)}, k.calls)
				for _, a := range c.args {
					if a == &from {
						require.Equal(t, someone, from.Inet())
					}
				}

				k.errno = unix.EHOSTDOWN
				_, errno = results(c.call, args...)
				require.Equal(t, unix.EHOSTDOWN, errno)
			}
			Detach(first)
			k.calls = nil
			values, errno := results(c.call, append([]any{first}, c.args...)...)
			require.Equal(t, unix.EBADF, errno)
			require.Empty(t, k.calls)
			switch {
			case name == "accept":
				require.Equal(t, []any{-1}, values)
			case name != "getsockopt" && len(c.values) > 0:
				require.Equal(t, []any{0}, values)
			}
		})
	}
}

// What a Kernel makes is simulated, and what none makes is real.
func TestMakesOfAKernel(t *testing.T) {
	for _, c := range []struct {
		call   any
		args   []any
		want   string
		number int
	}{
		{Socket, []any{unix.AF_INET, unix.SOCK_DGRAM, 0}, "socket 2 2 0", 11},
		{EpollCreate, nil, "epoll_create", 14},
		{Eventfd, nil, "eventfd", 16},
		{TimerfdCreate, nil, "timerfd", 17},
	} {
		t.Run(c.want, func(t *testing.T) {
			k := &recorder{}
			values, errno := results(c.call, append([]any{k}, c.args...)...)
			require.Zero(t, errno)
			require.Equal(t, []any{c.number}, values)
			require.Equal(t, []string{c.want}, k.calls)
			k.errno = unix.EMFILE
			_, errno = results(c.call, append([]any{k}, c.args...)...)
			require.Equal(t, unix.EMFILE, errno)

			in := []reflect.Value{reflect.Zero(reflect.TypeFor[Kernel]())}
			for _, a := range c.args {
				in = append(in, reflect.ValueOf(a))
			}
			out := reflect.ValueOf(c.call).Call(in)
			require.Nil(t, out[1].Interface())
			fd := out[0].Interface().(int)
			require.NoError(t, Close(fd), "the real kernel has made it")
		})
	}
	fds, err := Socketpair(&recorder{}, unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.Equal(t, unix.EOPNOTSUPP, err)
	require.Equal(t, [2]int{-1, -1}, fds)
	fds, err = Socketpair(nil, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, Close(fds[0]))
	require.NoError(t, Close(fds[1]))
}

// The real calls made for descriptors of loops are non-blocking and close-on-exec.
func TestRealDescriptorsDoNotBlock(t *testing.T) {
	for name, open := range map[string]func(Kernel) (int, error){"eventfd": Eventfd, "timerfd": TimerfdCreate, "epoll": EpollCreate} {
		fd, err := open(nil)
		require.NoError(t, err)
		flags, err := FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		require.NoError(t, err)
		require.Equal(t, unix.FD_CLOEXEC, flags, name)
		flags, err = FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		require.NoError(t, err)
		require.Equal(t, name != "epoll", flags&unix.O_NONBLOCK != 0, name)
		require.NoError(t, Close(fd))
	}
}

func TestFcntlOfASimulatedDescriptor(t *testing.T) {
	for _, c := range []struct {
		command, want int
		err           error
	}{
		{unix.F_GETFL, unix.O_RDWR | unix.O_NONBLOCK, nil},
		{unix.F_GETFD, unix.FD_CLOEXEC, nil},
		{unix.F_SETFL, 0, nil},
		{unix.F_SETFD, 0, nil},
		{unix.F_DUPFD_CLOEXEC, -1, unix.EOPNOTSUPP},
	} {
		got, err := FcntlInt(FirstSimulated, c.command, 0)
		require.Equal(t, c.err, err, "command %d", c.command)
		require.Equal(t, c.want, got, "command %d", c.command)
	}
}

// Each Kernel gets the calls on its own descriptors, and a place that was given back is
// used again.
func TestAttach(t *testing.T) {
	a, first := record(t)
	require.GreaterOrEqual(t, first, FirstSimulated)
	b, second := record(t)
	require.Equal(t, first+1<<20, second)
	require.NoError(t, Close(first+1<<20-1))
	require.NoError(t, Close(second))
	require.Len(t, a.calls, 1)
	require.Len(t, b.calls, 1)
	Detach(first)
	require.Equal(t, unix.EBADF, Close(first))
	require.NoError(t, Close(second))
	_, again := record(t)
	require.Equal(t, first, again)

	var all []int
	defer func() {
		for _, first := range all {
			Detach(first)
		}
	}()
	for {
		first, err := Attach(a)
		if err != nil {
			require.ErrorContains(t, err, "1,024 simulated kernels")
			require.Zero(t, first)
			break
		}
		all = append(all, first)
	}
	require.Len(t, all, 1024-2)
	require.NoError(t, Close(all[len(all)-1]))
}

func TestPollOfSimulatedDescriptors(t *testing.T) {
	k, first := record(t)
	fds := []unix.PollFd{{Fd: int32(first), Events: unix.POLLIN}, {Fd: 0, Events: unix.POLLIN}, {Fd: int32(first) + 1}, {Fd: int32(first) + 1<<20, Events: unix.POLLIN}}
	require.Zero(t, Poll(fds))
	require.EqualValues(t, unix.POLLIN, fds[0].Revents)
	require.EqualValues(t, unix.POLLNVAL, fds[1].Revents, "a real descriptor among simulated ones")
	require.Zero(t, fds[2].Revents)
	require.EqualValues(t, unix.POLLNVAL, fds[3].Revents, "no kernel")
	require.Equal(t, []string{fmt.Sprintf("poll %d 1", first), fmt.Sprintf("poll %d 0", first+1)}, k.calls)

	require.EqualValues(t, unix.POLLOUT, Polled(first, unix.POLLOUT))
	require.Zero(t, Polled(first+1<<20, unix.POLLIN), "POLLNVAL was not asked for")
	require.Equal(t, []netip.AddrPort{someone}, Handshakes(first))
	require.Nil(t, Handshakes(first+1<<20))
}

func iovec(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

func TestMessageOfASimulatedDescriptor(t *testing.T) {
	k, first := record(t)
	var to Sockaddr
	to.SetInet(unix.AF_INET, someone)
	name := (*byte)(unsafe.Pointer(&to.Raw))
	a, b := []byte("ab"), []byte("cde")
	iov := []unix.Iovec{iovec(a), iovec(b)}
	send := func(hdr unix.Msghdr) (int, syscall.Errno) {
		k.calls, hdr.Iov = nil, &iov[0]
		hdr.SetIovlen(len(iov))
		return Message(unix.SYS_SENDMSG, first, &hdr, 3, true)
	}
	n, errno := send(unix.Msghdr{Name: name, Namelen: to.Len})
	require.Zero(t, errno)
	require.Equal(t, 5, n)
	require.Equal(t, []string{fmt.Sprintf(`send %d "abcde" 3 192.0.2.1:258`, first)}, k.calls)
	for _, hdr := range []unix.Msghdr{{}, {Name: name}, {Namelen: 1}} {
		n, errno = send(hdr)
		require.Zero(t, errno)
		require.Equal(t, 5, n)
		require.Equal(t, []string{fmt.Sprintf(`send %d "abcde" 3 -`, first)}, k.calls)
	}
	n, errno = send(unix.Msghdr{Controllen: 1})
	require.Equal(t, unix.EOPNOTSUPP, errno)
	require.Zero(t, n)
	require.Empty(t, k.calls)

	var from Sockaddr
	receive := func(text string, hdr *unix.Msghdr) (int, syscall.Errno) {
		copy(a, "..")
		copy(b, "...")
		k.calls, k.input, k.out, hdr.Iov = nil, []string{text}, unix.MSG_TRUNC, &iov[0]
		hdr.SetIovlen(len(iov))
		hdr.SetControllen(1)
		return Message(unix.SYS_RECVMSG, first, hdr, 3, false)
	}
	for text, want := range map[string]string{"": ".....", "v": "v....", "vw": "vw...", "vwx": "vwx..", "vwxyz": "vwxyz", "vwxyzzz": "vwxyz"} {
		hdr := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&from.Raw)), Namelen: unix.SizeofSockaddrAny}
		n, errno = receive(text, &hdr)
		require.Zero(t, errno)
		require.Equal(t, len(text), n)
		require.Equal(t, want, string(a)+string(b))
		require.Equal(t, someone, from.Inet())
		require.EqualValues(t, unix.SizeofSockaddrInet4, hdr.Namelen)
		require.Zero(t, hdr.Controllen)
		require.EqualValues(t, unix.MSG_TRUNC, hdr.Flags)
		require.Equal(t, []string{fmt.Sprintf("recv %d 5 3 true", first)}, k.calls)
	}
	short := make([]byte, 4) // for the family and the port alone
	hdr := unix.Msghdr{Name: &short[0], Namelen: 3}
	_, errno = receive("a", &hdr)
	require.Zero(t, errno)
	require.EqualValues(t, 3, hdr.Namelen)
	require.Equal(t, []byte{unix.AF_INET, 0, 1, 0}, short)
	hdr = unix.Msghdr{Namelen: 3}
	_, errno = receive("a", &hdr)
	require.Zero(t, errno)
	require.EqualValues(t, 3, hdr.Namelen, "nobody asks for a name")
	k.errno = unix.ECONNREFUSED
	n, errno = receive("a", &hdr)
	require.Equal(t, unix.ECONNREFUSED, errno)
	require.Zero(t, n)
}

func TestMessagesOfASimulatedDescriptor(t *testing.T) {
	k, first := record(t)
	var buf [3][4]byte
	msgs, iov := make([]unix.Mmsghdr, 3), make([]unix.Iovec, 3)
	for i := range msgs {
		iov[i] = iovec(buf[i][:])
		msgs[i].Hdr.Iov = &iov[i]
		msgs[i].Hdr.SetIovlen(1)
	}
	k.input = []string{"a", "bc", "def", "g"}
	n, errno := Messages(unix.SYS_RECVMMSG, first, msgs, unix.MSG_WAITFORONE|3)
	require.Zero(t, errno)
	require.Equal(t, 3, n)
	for i, want := range []string{"a", "bc", "def"} {
		require.Equal(t, want, string(buf[i][:msgs[i].Len]))
	}
	require.Equal(t, slices.Repeat([]string{fmt.Sprintf("recv %d 4 3 true", first)}, 3), k.calls)
	n, errno = Messages(unix.SYS_RECVMMSG, first, msgs, 0)
	require.Zero(t, errno, "the error comes with the next call")
	require.Equal(t, 1, n)
	n, errno = Messages(unix.SYS_RECVMMSG, first, msgs, 0)
	require.Equal(t, unix.EAGAIN, errno)
	require.Zero(t, n)

	k.calls = nil
	buf = [3][4]byte{{'a'}, {'b'}, {'c'}}
	n, errno = Messages(unix.SYS_SENDMMSG, first, msgs[:2], 3)
	require.Zero(t, errno)
	require.Equal(t, 2, n)
	require.EqualValues(t, 4, msgs[0].Len)
	require.Equal(t, []string{fmt.Sprintf(`send %d "a\x00\x00\x00" 3 -`, first), fmt.Sprintf(`send %d "b\x00\x00\x00" 3 -`, first)}, k.calls)
}

func TestAddressesOfAKernel(t *testing.T) {
	for _, c := range []struct {
		family         int
		size           uint32
		at, want, form string
	}{
		{unix.AF_INET, 16, "192.0.2.1:258", "192.0.2.1:258", "0200 0102 c0000201"},
		{unix.AF_INET, 16, "[::ffff:192.0.2.1]:258", "192.0.2.1:258", "0200 0102 c0000201"},
		{unix.AF_INET6, 28, "[2001:db8::1]:258", "[2001:db8::1]:258", "0a00 0102 00000000"},
		{unix.AF_INET6, 28, "192.0.2.1:258", "192.0.2.1:258", "0a00 0102 00000000"},
	} {
		var a Sockaddr
		a.SetInet(c.family, netip.MustParseAddrPort(c.at))
		require.Equal(t, c.size, a.Len, c.at)
		require.Equal(t, c.want, a.Inet().String())
		raw := a.bytes()
		require.Equal(t, c.form, fmt.Sprintf("%x %x %x", raw[:2], raw[2:4], raw[4:8]))
	}
	require.False(t, (&Sockaddr{}).Inet().IsValid())
}
