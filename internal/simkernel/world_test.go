package simkernel_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/internal/simkernel"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var (
	left  = netip.MustParseAddr("10.0.0.1")
	right = netip.MustParseAddr("10.0.0.2")
)

// A pairing is two hosts, and scripts that run on them.
type pairing struct {
	*testing.T
	w    *simkernel.World
	l, r *simkernel.Host
	on   *script // of the left host
	at   *script // of the right host
}

// simulate calls f with two hosts in a bubble of simulated time.
func simulate(t *testing.T, link simkernel.Link, f func(p *pairing)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := simkernel.New(1, link, nil)
		defer w.Close()
		l, err := w.Host(left)
		require.NoError(t, err)
		r, err := w.Host(right)
		require.NoError(t, err)
		f(&pairing{t, w, l, r, &script{t: t, k: l}, &script{t: t, k: r}})
	})
}

// listen returns a listener on the right host, and its address.
func (p *pairing) listen(backlog int) (int, *sys.Sockaddr) {
	fd := p.at.socket(unix.AF_INET, unix.SOCK_STREAM)
	to := p.at.local(fd, unix.AF_INET, right.String()+":0")
	require.NoError(p, sys.Listen(fd, backlog))
	return fd, to
}

// dial begins to connect.
func (p *pairing) dial(to *sys.Sockaddr) int {
	fd := p.on.socket(unix.AF_INET, unix.SOCK_STREAM)
	require.Equal(p, unix.EINPROGRESS, sys.Connect(fd, to))
	return fd
}

// connect returns the ends of a connection.
func (p *pairing) connect() (c, a int) {
	l, to := p.listen(4)
	c = p.dial(to)
	p.at.until(l, unix.POLLIN)
	a, errno := sys.Accept(l, new(sys.Sockaddr))
	require.Zero(p, errno)
	require.Zero(p, sys.Connect(c, to))
	return c, a
}

func (p *pairing) change(f func(l *simkernel.Link)) {
	p.w.ChangeLink(left, right, f)
	p.w.ChangeLink(right, left, f)
}

func (p *pairing) has(fd int, want string) {
	p.Helper()
	require.Equal(p, want, bits(uint32(sys.Polled(fd, conditions))))
}

func (p *pairing) errorOf(fd int) syscall.Errno {
	v, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	require.NoError(p, err)
	return syscall.Errno(v)
}

// took returns how much simulated time passes until a socket has a condition, to a
// millisecond.
func (p *pairing) took(fd int, bits int16, most time.Duration) time.Duration {
	start := time.Now()
	for sys.Polled(fd, bits)&bits == 0 {
		require.Less(p, time.Since(start), most)
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// A request to connect that nobody answers is repeated after 1, 2, 4 seconds and so on, and
// fails after 127 seconds.
func TestConnectIsRepeated(t *testing.T) {
	for repeats := 1; repeats < 8; repeats++ {
		simulate(t, simkernel.Link{Cut: true}, func(p *pairing) {
			_, to := p.listen(4)
			c := p.dial(to)
			require.Equal(p, unix.EALREADY, sys.Connect(c, to))
			want := time.Duration(1<<repeats-1) * time.Second
			if repeats < 7 {
				time.Sleep(want - time.Millisecond)
				p.has(c, "")
				p.change(func(l *simkernel.Link) { l.Cut = false })
				require.LessOrEqual(p, p.took(c, unix.POLLOUT, time.Hour), 2*time.Millisecond)
				return
			}
			time.Sleep(want - time.Millisecond)
			p.has(c, "")
			time.Sleep(2 * time.Millisecond)
			require.Equal(p, unix.ETIMEDOUT, sys.Connect(c, to))
		})
	}
}

// The answer to a request may be lost, too: the other host sends it again.
func TestConnectWhileAnswersAreLost(t *testing.T) {
	for _, fails := range []bool{false, true} {
		simulate(t, simkernel.Link{}, func(p *pairing) {
			l, to := p.listen(4)
			p.w.SetLink(right, left, simkernel.Link{Cut: true})
			c := p.dial(to)
			time.Sleep(time.Minute)
			p.has(c, "")
			require.Len(p, sys.Handshakes(l), 1)
			require.Equal(p, addrOf(t, sys.Getsockname, c), sys.Handshakes(l)[0])
			if fails { // the client gives the connection up while the answer is on its way
				require.NoError(p, sys.Close(c))
			}
			p.w.SetLink(right, left, simkernel.Link{})
			time.Sleep(time.Hour)
			require.Empty(p, sys.Handshakes(l))
			if fails {
				p.has(l, "")
				return
			}
			p.has(l, "IN")
			require.Zero(p, sys.Connect(c, to))
		})
	}
}

// Data that is lost is sent again after 0.2, 0.4 seconds and so on, and up to 120 seconds; in
// the end the connection fails.
func TestDataIsRepeated(t *testing.T) {
	for _, heals := range []bool{true, false} {
		simulate(t, simkernel.Link{}, func(p *pairing) {
			c, a := p.connect()
			p.change(func(l *simkernel.Link) { l.Cut = true })
			_, errno := sys.Send(c, []byte("hello"), 0)
			require.Zero(p, errno)
			total := time.Duration(0)
			for try := range 15 {
				total += min(200*time.Millisecond<<try, 120*time.Second)
			}
			if heals {
				time.Sleep(total - time.Millisecond)
				p.change(func(l *simkernel.Link) { l.Cut = false })
				time.Sleep(2 * time.Millisecond)
				p.has(a, "IN|OUT")
				return
			}
			total += 120 * time.Second // the last attempt
			time.Sleep(total - time.Millisecond)
			p.has(c, "OUT")
			time.Sleep(2 * time.Millisecond)
			p.has(c, "IN|OUT|RDHUP|ERR|HUP")
			require.Equal(p, unix.ETIMEDOUT, p.errorOf(c))
		})
	}
}

// Latency, Jitter and Rate say when a packet arrives.
func TestLinksTakeTime(t *testing.T) {
	simulate(t, simkernel.Link{Latency: 50 * time.Millisecond}, func(p *pairing) {
		l, to := p.listen(4)
		c := p.dial(to)
		require.Equal(p, 100*time.Millisecond, p.took(c, unix.POLLOUT, time.Second).Truncate(2*time.Millisecond))
		require.Equal(p, 50*time.Millisecond, p.took(l, unix.POLLIN, time.Second).Truncate(2*time.Millisecond))
	})
	simulate(t, simkernel.Link{Rate: 1000}, func(p *pairing) { // bytes a second
		a, b := p.on.socket(unix.AF_INET, unix.SOCK_DGRAM), p.at.socket(unix.AF_INET, unix.SOCK_DGRAM)
		to := p.at.local(b, unix.AF_INET, right.String()+":0")
		for range 3 {
			_, errno := sys.Sendto(a, make([]byte, 500), 0, to)
			require.Zero(p, errno)
		}
		for range 3 {
			require.Equal(p, 500*time.Millisecond, p.took(b, unix.POLLIN, time.Second).Truncate(2*time.Millisecond))
			_, errno := sys.Recv(b, make([]byte, 500), 0)
			require.Zero(p, errno)
		}
		time.Sleep(time.Minute) // the link is free again
		_, errno := sys.Sendto(a, make([]byte, 500), 0, to)
		require.Zero(p, errno)
		require.Equal(p, 500*time.Millisecond, p.took(b, unix.POLLIN, time.Second).Truncate(2*time.Millisecond))
	})
	simulate(t, simkernel.Link{Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond}, func(p *pairing) {
		a, b := p.on.socket(unix.AF_INET, unix.SOCK_DGRAM), p.at.socket(unix.AF_INET, unix.SOCK_DGRAM)
		to := p.at.local(b, unix.AF_INET, right.String()+":0")
		late := 0
		for range 20 {
			_, errno := sys.Sendto(a, make([]byte, 5), 0, to)
			require.Zero(p, errno)
			took := p.took(b, unix.POLLIN, time.Second)
			require.GreaterOrEqual(p, took, 10*time.Millisecond)
			require.LessOrEqual(p, took, 21*time.Millisecond)
			if took > 13*time.Millisecond {
				late++
			}
			_, errno = sys.Recv(b, make([]byte, 500), 0)
			require.Zero(p, errno)
		}
		require.Positive(p, late)
	})
}

// Datagrams are lost and duplicated as often as the link says.
func TestLinksLoseAndDuplicate(t *testing.T) {
	for _, x := range []struct {
		link     simkernel.Link
		min, max int
	}{
		{simkernel.Link{}, 200, 200},
		{simkernel.Link{Loss: 1}, 0, 0},
		{simkernel.Link{Loss: 0.25}, 120, 180},
		{simkernel.Link{Duplicate: 1}, 400, 400},
		{simkernel.Link{Duplicate: 0.25}, 220, 280},
	} {
		simulate(t, x.link, func(p *pairing) {
			a, b := p.on.socket(unix.AF_INET, unix.SOCK_DGRAM), p.at.socket(unix.AF_INET, unix.SOCK_DGRAM)
			to := p.at.local(b, unix.AF_INET, right.String()+":0")
			for range 200 {
				_, errno := sys.Sendto(a, []byte("x"), 0, to)
				require.Zero(p, errno)
			}
			time.Sleep(time.Second)
			n := 0
			for {
				if _, errno := sys.Recv(b, make([]byte, 9), 0); errno != 0 {
					break
				}
				n++
			}
			require.GreaterOrEqual(p, n, x.min, "%+v", x.link)
			require.LessOrEqual(p, n, x.max, "%+v", x.link)
			require.Positive(p, p.w.Events())
		})
	}
}

// A socket of UDP keeps no more than its receive buffer.
func TestDatagramsBeyondTheBuffer(t *testing.T) {
	simulate(t, simkernel.Link{}, func(p *pairing) {
		a, b := p.on.socket(unix.AF_INET, unix.SOCK_DGRAM), p.at.socket(unix.AF_INET, unix.SOCK_DGRAM)
		to := p.at.local(b, unix.AF_INET, right.String()+":0")
		require.NoError(p, sys.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_RCVBUF, 3000)) // doubled
		receive := func() (n int) {
			for {
				if _, errno := sys.Recv(b, make([]byte, 9), 0); errno != 0 {
					return n
				}
				n++
			}
		}
		for range 2 { // what was taken makes room
			for range 20 {
				_, errno := sys.Sendto(a, make([]byte, 1000), 0, to)
				require.Zero(p, errno)
			}
			time.Sleep(time.Second)
			require.Equal(p, 6, receive())
		}
		require.Equal(p, unix.ENOTCONN, sys.Shutdown(b, unix.SHUT_RD)) // and yet it takes effect
		p.has(b, "IN|OUT|RDHUP")
	})
}

// The peer's window and the own buffer bound what send(2) takes. All arrives, in order.
func TestSendBuffer(t *testing.T) {
	simulate(t, simkernel.Link{Latency: time.Millisecond}, func(p *pairing) {
		c, a := p.connect()
		for _, x := range []struct{ fd, option int }{{c, unix.SO_SNDBUF}, {a, unix.SO_RCVBUF}} {
			require.NoError(p, sys.SetsockoptInt(x.fd, unix.SOL_SOCKET, x.option, 10000)) // doubled
		}
		pattern := make([]byte, 0, 200000)
		for i := range cap(pattern) / 4 {
			pattern = binary.BigEndian.AppendUint32(pattern, uint32(i))
		}
		n, errno := sys.Send(c, nil, 0)
		require.Zero(p, errno)
		require.Zero(p, n)
		sent := 0
		send := func() (n int) {
			for {
				k, errno := sys.Send(c, pattern[sent:min(sent+30000, len(pattern))], 0)
				if errno == unix.EAGAIN || sent == len(pattern) {
					return n
				}
				require.Zero(p, errno)
				n += k
				sent += k
			}
		}
		require.Equal(p, 20000, send())
		_, errno = sys.Send(c, nil, 0)
		require.Zero(p, errno)
		p.has(c, "")
		epfd, err := sys.EpollCreate(p.l)
		require.NoError(p, err)
		require.NoError(p, sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, c, &unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLET, Fd: 7}))
		var events [4]unix.EpollEvent
		wait := func() int {
			n, errno := sys.SimulatedEpollWait(epfd, events[:], false)
			require.Zero(p, errno)
			return n
		}
		require.Zero(p, wait())
		time.Sleep(time.Second)
		require.Equal(p, 1, wait(), "one edge when there is room")
		require.Equal(p, unix.EpollEvent{Events: unix.EPOLLOUT, Fd: 7}, events[0])
		require.Equal(p, 20000, send(), "the peer's buffer has the first 20,000 bytes")
		time.Sleep(time.Second)
		require.Zero(p, wait())
		out, err := sys.IoctlGetInt(c, unix.SIOCOUTQ)
		require.NoError(p, err)
		require.Equal(p, 20000, out)
		info, err := sys.GetsockoptTCPInfo(c, unix.IPPROTO_TCP, unix.TCP_INFO)
		require.NoError(p, err)
		require.EqualValues(p, 20000, info.Bytes_acked)
		require.EqualValues(p, 20000, info.Notsent_bytes)
		require.EqualValues(p, 1, info.State)
		info, err = sys.GetsockoptTCPInfo(a, unix.IPPROTO_TCP, unix.TCP_INFO)
		require.NoError(p, err)
		require.EqualValues(p, 20000, info.Bytes_received)
		require.Greater(p, info.Segs_in, uint32(1))

		var got []byte
		buf := make([]byte, 1500)
		for len(got) < len(pattern) {
			n, errno := sys.Recv(a, buf, 0)
			if errno == unix.EAGAIN {
				time.Sleep(10 * time.Millisecond)
				if sys.Polled(c, unix.POLLOUT) != 0 {
					send()
				}
				continue
			}
			require.Zero(p, errno)
			got = append(got, buf[:n]...)
		}
		require.True(p, bytes.Equal(pattern, got))
		require.NoError(p, sys.Shutdown(c, unix.SHUT_WR))
		out, err = sys.IoctlGetInt(c, unix.SIOCOUTQ)
		require.NoError(p, err)
		require.Equal(p, 1, out, "the end of the stream counts")
		time.Sleep(time.Second)
		out, err = sys.IoctlGetInt(c, unix.SIOCOUTQ)
		require.NoError(p, err)
		require.Zero(p, out)
	})
}

// ResetAt ends a connection when so many bytes would have come.
func TestResetAt(t *testing.T) {
	simulate(t, simkernel.Link{ResetAt: 1001}, func(p *pairing) {
		c, a := p.connect()
		for range 2 {
			_, errno := sys.Send(c, make([]byte, 400), 0)
			require.Zero(p, errno)
			time.Sleep(time.Second)
		}
		p.has(c, "OUT")
		_, errno := sys.Send(c, make([]byte, 400), 0)
		require.Zero(p, errno)
		time.Sleep(time.Second)
		n, errno := sys.Recv(a, make([]byte, 5000), 0)
		require.Zero(p, errno)
		require.Equal(p, 1000, n)
		for _, fd := range []int{c, a} {
			p.has(fd, "IN|OUT|RDHUP|ERR|HUP")
			_, errno = sys.Recv(fd, make([]byte, 1), 0)
			require.Equal(p, unix.ECONNRESET, errno)
		}
	})
	simulate(t, simkernel.Link{ResetAt: 1001}, func(p *pairing) {
		c, _ := p.connect()
		_, errno := sys.Send(c, make([]byte, 1000), 0)
		require.Zero(p, errno)
		time.Sleep(time.Second)
		p.has(c, "OUT")
	})
}

// The backlog, a filter and a listener's end keep clients out.
func TestListenersThatTakeNobody(t *testing.T) {
	simulate(t, simkernel.Link{}, func(p *pairing) {
		l, to := p.listen(1)
		for range 4 {
			p.dial(to)
		}
		time.Sleep(time.Millisecond)
		n := 0
		for accept := true; accept; {
			_, errno := sys.Accept(l, new(sys.Sockaddr))
			if accept = errno == 0; accept {
				n++
			}
		}
		require.Equal(p, 2, n, "one more than the backlog, as in Linux")
		time.Sleep(2 * time.Second)
		p.has(l, "IN") // the others have asked again

		filtered, to := p.listen(4)
		require.NoError(p, sys.SetsockoptSockFprog(filtered, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{}))
		p.dial(to)
		time.Sleep(10 * time.Second)
		p.has(filtered, "")
		require.NoError(p, sys.SetsockoptInt(filtered, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
		time.Sleep(10 * time.Second)
		p.has(filtered, "IN")

		// A listener that ends resets the connections in its queue.
		ends, to := p.listen(4)
		c := p.dial(to)
		time.Sleep(time.Second)
		require.NoError(p, sys.Close(ends))
		time.Sleep(time.Second)
		require.Equal(p, unix.ECONNRESET, p.errorOf(c))
		p.dial(to)
		time.Sleep(time.Second)

		idle := p.on.socket(unix.AF_INET, unix.SOCK_STREAM)
		require.Equal(p, unix.EOPNOTSUPP, sys.SetsockoptSockFprog(idle, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{}))
		require.Equal(p, unix.ECONNREFUSED, sys.Connect(idle, sockaddr(unix.AF_INET, right.String()+":0")))
		require.Equal(p, unix.EHOSTUNREACH, sys.Connect(idle, sockaddr(unix.AF_INET, "10.0.0.9:1")))
		require.Equal(p, unix.EAFNOSUPPORT, sys.Connect(idle, new(sys.Sockaddr)))
		six := p.on.socket(unix.AF_INET6, unix.SOCK_STREAM)
		require.Equal(p, unix.EHOSTUNREACH, sys.Connect(six, sockaddr(unix.AF_INET6, "[fe80::1]:1")))
		_, err := sys.Socket(p.l, unix.AF_UNIX, unix.SOCK_STREAM, 0)
		require.Equal(p, unix.EAFNOSUPPORT, err)
		_, err = sys.Socket(p.l, unix.AF_INET6, unix.SOCK_RAW, 0)
		require.Equal(p, unix.ESOCKTNOSUPPORT, err)
	})
}

// Listeners of one port share the connections, as the seed decides.
func TestListenersThatShareAPort(t *testing.T) {
	simulate(t, simkernel.Link{}, func(p *pairing) {
		var fds []int
		var to *sys.Sockaddr
		for i := range 2 {
			fd := p.at.socket(unix.AF_INET, unix.SOCK_STREAM)
			require.NoError(p, sys.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
			if i == 0 {
				to = p.at.local(fd, unix.AF_INET, right.String()+":0")
			} else {
				require.Zero(p, sys.Bind(fd, to))
			}
			require.NoError(p, sys.Listen(fd, 100))
			fds = append(fds, fd)
		}
		for range 50 {
			p.dial(to)
		}
		time.Sleep(time.Second)
		total := 0
		for _, fd := range fds {
			n := 0
			for ; ; n++ {
				if _, errno := sys.Accept(fd, new(sys.Sockaddr)); errno != 0 {
					break
				}
			}
			require.Positive(p, n)
			total += n
		}
		require.Equal(p, 50, total)
	})
}

// Segment bounds how many bytes come at once.
func TestSegments(t *testing.T) {
	simulate(t, simkernel.Link{Segment: 100}, func(p *pairing) {
		c, a := p.connect()
		before, err := sys.GetsockoptTCPInfo(a, unix.IPPROTO_TCP, unix.TCP_INFO)
		require.NoError(p, err)
		_, errno := sys.Send(c, make([]byte, 1001), 0)
		require.Zero(p, errno)
		time.Sleep(time.Second)
		after, err := sys.GetsockoptTCPInfo(a, unix.IPPROTO_TCP, unix.TCP_INFO)
		require.NoError(p, err)
		require.EqualValues(p, 11, after.Segs_in-before.Segs_in)
	})
}

// What the simulated kernel does not have fails, and says so.
func TestFlagsThatAreNotSimulated(t *testing.T) {
	simulate(t, simkernel.Link{}, func(p *pairing) {
		c, _ := p.connect()
		for _, fd := range []int{c, p.on.socket(unix.AF_INET, unix.SOCK_DGRAM)} {
			_, errno := sys.Recv(fd, make([]byte, 1), 1<<28)
			require.Equal(p, unix.EOPNOTSUPP, errno)
			_, errno = sys.Send(fd, []byte("x"), 1<<28)
			require.Equal(p, unix.EOPNOTSUPP, errno)
			_, err := sys.GetsockoptInt(fd, 1, 4711)
			require.Equal(p, unix.ENOPROTOOPT, err)
		}
		epfd, err := sys.EpollCreate(p.l)
		require.NoError(p, err)
		require.Empty(p, sys.Handshakes(epfd))
		require.NoError(p, sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, c, &unix.EpollEvent{Events: unix.EPOLLOUT}))
		require.EqualValues(p, unix.POLLIN, sys.Polled(epfd, unix.POLLIN), "a set with an event is readable")
		require.NoError(p, sys.Close(epfd))
	})
}

// A packet that may have come already, because of Jitter, may come between two calls on its
// socket while no time passes, and not before Latency is over.
func TestPacketsComeDuringCalls(t *testing.T) {
	simulate(t, simkernel.Link{}, func(p *pairing) {
		c, a := p.connect()
		d, b := p.connect()
		link := simkernel.Link{Latency: time.Second, Jitter: time.Hour}
		p.w.SetLink(left, right, link)
		for _, fd := range []int{c, d} {
			_, errno := sys.Send(fd, []byte("x"), 0)
			require.Zero(p, errno)
		}
		// recv calls recv(2) often, and reports whether the byte came.
		recv := func(fd int) bool {
			for range 50 {
				if n, _ := sys.Recv(fd, make([]byte, 9), 0); n == 1 {
					return true
				}
			}
			return false
		}
		require.False(p, recv(a), "too early")
		time.Sleep(time.Second)
		before, start := p.w.Events(), time.Now()
		require.True(p, recv(a))
		require.Equal(p, before+1, p.w.Events())
		require.Equal(p, start, time.Now())
		require.EqualValues(p, 0, sys.Polled(b, unix.POLLIN), "nothing has asked for the other one")
		require.True(p, recv(b))
	})
}

// SetLimit bounds socket(2) and accept(2) alike.
func TestDescriptorLimit(t *testing.T) {
	simulate(t, simkernel.Link{}, func(p *pairing) {
		l, to := p.listen(4)
		p.dial(to)
		time.Sleep(time.Second)
		p.r.SetLimit(1)
		require.Equal(p, 1, p.r.Open())
		_, errno := sys.Accept(l, new(sys.Sockaddr))
		require.Equal(p, unix.EMFILE, errno)
		_, err := sys.Socket(p.r, unix.AF_INET, unix.SOCK_STREAM, 0)
		require.Equal(p, unix.EMFILE, err)
		p.r.SetLimit(2)
		a, errno := sys.Accept(l, new(sys.Sockaddr))
		require.Zero(p, errno)
		require.Equal(p, 2, p.r.Open())
		require.NoError(p, sys.Close(a))
		require.Equal(p, 1, p.r.Open())
		fd, err := sys.Socket(p.r, unix.AF_INET, unix.SOCK_STREAM, 0)
		require.NoError(p, err)
		require.Equal(p, a, fd, "the least free number")
	})
}

// Closing a socket tells the peer what it has to know.
func TestCloses(t *testing.T) {
	for _, x := range []struct {
		name         string
		unread, hard bool
		want         string
		errno        syscall.Errno
	}{
		{"orderly", false, false, "IN|OUT|RDHUP", 0},
		{"with unread input", true, false, "IN|OUT|RDHUP|ERR|HUP", unix.ECONNRESET},
		{"with a linger time of 0", false, true, "IN|OUT|RDHUP|ERR|HUP", unix.ECONNRESET},
	} {
		t.Run(x.name, func(t *testing.T) {
			simulate(t, simkernel.Link{}, func(p *pairing) {
				c, a := p.connect()
				if x.unread {
					_, errno := sys.Send(a, []byte("x"), 0)
					require.Zero(p, errno)
					time.Sleep(time.Second)
				}
				if x.hard {
					require.NoError(p, sys.SetLinger(c, 0))
				}
				require.NoError(p, sys.Close(c))
				require.Equal(p, unix.EBADF, sys.Close(c))
				time.Sleep(time.Second)
				p.has(a, x.want)
				require.Equal(p, x.errno, p.errorOf(a))
				require.Zero(p, p.errorOf(a))
				if x.errno == 0 { // nobody reads what comes now
					_, errno := sys.Send(a, []byte("x"), 0)
					require.Zero(p, errno)
					time.Sleep(time.Second)
					_, errno = sys.Send(a, []byte("x"), 0)
					require.Equal(p, unix.EPIPE, errno)
				}
			})
		})
	}
	// shutdown(2) while the connection is on its way.
	simulate(t, simkernel.Link{Latency: time.Second}, func(p *pairing) {
		_, to := p.listen(4)
		c := p.dial(to)
		_, errno := sys.Send(c, []byte("x"), 0)
		require.Equal(p, unix.EAGAIN, errno)
		require.NoError(p, sys.Shutdown(c, unix.SHUT_RDWR))
		require.Equal(p, unix.ECONNRESET, p.errorOf(c))
		_, errno = sys.Send(c, []byte("x"), 0)
		require.Equal(p, unix.EPIPE, errno)
	})
}

// Eventfds and timerfds are readable when they were written to, and have expired.
func TestEventfdAndTimerfd(t *testing.T) {
	simulate(t, simkernel.Link{}, func(p *pairing) {
		epfd, err := sys.EpollCreate(p.l)
		require.NoError(p, err)
		efd, err := sys.Eventfd(p.l)
		require.NoError(p, err)
		tfd, err := sys.TimerfdCreate(p.l)
		require.NoError(p, err)
		for i, fd := range []int{efd, tfd} {
			require.NoError(p, sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(i)}))
		}
		start := time.Now()
		// wait returns which descriptor is ready, and when.
		wait := func() string {
			var events [1]unix.EpollEvent
			n, errno := sys.SimulatedEpollWait(epfd, events[:], true)
			require.Zero(p, errno)
			require.Equal(p, 1, n)
			require.EqualValues(p, unix.EPOLLIN, events[0].Events)
			return fmt.Sprintf("%d after %v", events[0].Fd, time.Since(start).Truncate(time.Millisecond))
		}
		set := func(d time.Duration) {
			start = time.Now()
			require.NoError(p, sys.TimerfdSettime(tfd, d))
		}
		set(time.Second)
		require.Equal(p, "1 after 1s", wait())
		require.EqualValues(p, unix.POLLIN, sys.Polled(tfd, unix.POLLIN))
		set(time.Second) // again, and it is not readable meanwhile
		require.Zero(p, sys.Polled(tfd, unix.POLLIN))
		set(3 * time.Second) // instead of the time before
		require.Equal(p, "1 after 3s", wait())
		set(time.Second)
		set(0) // never
		go func() {
			time.Sleep(5 * time.Second)
			n, err := sys.Write(efd, binary.NativeEndian.AppendUint64(nil, 1))
			require.NoError(p, err)
			require.Equal(p, 8, n)
		}()
		require.Equal(p, "0 after 5s", wait())
		require.EqualValues(p, unix.POLLIN, sys.Polled(efd, unix.POLLIN))
		require.EqualValues(p, 0, sys.Polled(epfd, unix.POLLIN))

		for _, fd := range []int{efd, tfd} {
			_, err = sys.Write(fd, make([]byte, 7))
			require.Equal(p, unix.EOPNOTSUPP, err)
		}
		require.Equal(p, unix.EINVAL, sys.TimerfdSettime(efd, 1))
		var events [1]unix.EpollEvent
		_, errno := sys.SimulatedEpollWait(efd, events[:], false)
		require.Equal(p, unix.EINVAL, errno)

		// Closed descriptors report nothing, and are not open.
		set(time.Second)
		require.NoError(p, sys.Close(tfd))
		require.NoError(p, sys.Close(efd))
		time.Sleep(time.Minute)
		n, errno := sys.SimulatedEpollWait(epfd, events[:], false)
		require.Zero(p, errno)
		require.Zero(p, n)
		require.Equal(p, unix.EBADF, sys.TimerfdSettime(tfd, 1))
		_, err = sys.Write(efd, make([]byte, 8))
		require.Equal(p, unix.EBADF, err)
		_, errno = sys.SimulatedEpollWait(efd, events[:], false)
		require.Equal(p, unix.EBADF, errno)
		require.Equal(p, unix.EBADF, sys.EpollCtl(efd, unix.EPOLL_CTL_ADD, tfd, &unix.EpollEvent{}))
		require.Equal(p, unix.EBADF, sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, tfd, &unix.EpollEvent{}))
		require.EqualValues(p, unix.POLLNVAL, sys.Polled(tfd, unix.POLLNVAL))

		// Closing the set ends a wait on it.
		done := make(chan int)
		go func() {
			n, _ := sys.SimulatedEpollWait(epfd, events[:], true)
			done <- n
		}()
		synctest.Wait()
		require.NoError(p, sys.Close(epfd))
		require.Zero(p, <-done)
	})
}

// After Close the descriptors of all hosts are gone.
func TestCloseOfAWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := simkernel.New(1, simkernel.Link{}, nil)
		h, err := w.Host(left)
		require.NoError(t, err)
		fd, err := sys.Socket(h, unix.AF_INET, unix.SOCK_STREAM, 0)
		require.NoError(t, err)
		w.Close()
		w.Close()
		require.Equal(t, unix.EBADF, sys.Close(fd))
	})
}

// A trace has the calls in an order that depends on nothing but the seed, with the time of
// each, and leaves out those that only ask.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trace simkernel.Trace
		w := simkernel.New(1, simkernel.Link{Latency: time.Second}, &trace)
		defer w.Close()
		h, err := w.Host(left)
		require.NoError(t, err)
		s := &script{t: t, k: h}
		a, b := s.socket(unix.AF_INET, unix.SOCK_DGRAM), s.socket(unix.AF_INET, unix.SOCK_DGRAM)
		to := s.local(b, unix.AF_INET, "127.0.0.1:0")
		sys.Polled(a, unix.POLLIN)
		_, _ = sys.Recv(a, make([]byte, 1), 0)
		_, _ = sys.IoctlGetInt(a, unix.SIOCINQ)
		_, _ = sys.GetsockoptInt(a, unix.SOL_SOCKET, unix.SO_TYPE)
		_, _ = sys.Send(a, []byte("abc"), 0)
		_, errno := sys.Sendto(a, []byte("abc"), 0, to)
		require.Zero(t, errno)
		time.Sleep(time.Second)
		n, errno := sys.Recv(b, make([]byte, 9), 0)
		require.Zero(t, errno)
		require.Equal(t, 3, n)
		require.Equal(t, `0s	10.0.0.1#2	send = 3
0s	10.0.0.1#2	send = destination address required
0s	10.0.0.1#4	bind = 0
1s	10.0.0.1#4	recv = 3
`, trace.String())
	})
}
