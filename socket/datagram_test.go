package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An end is a backend for a script: a Weir socket, or a blocking socket of the kernel.
type end interface {
	recvFrom(buf []byte, flags int) (int, error)
	sendTo(buf []byte, flags int, to *Addr) (int, error)
	fd() int
}

type weirEnd struct{ *Socket }

func (e weirEnd) fd() int { return e.Fd() }
func (e weirEnd) recvFrom(buf []byte, flags int) (int, error) {
	n, _, err := e.RecvFrom(buf, flags)
	return n, err
}
func (e weirEnd) sendTo(buf []byte, flags int, to *Addr) (int, error) {
	if to == nil {
		return e.Send(buf, flags)
	}
	return e.SendToAddr(buf, *to, flags)
}

type kernelEnd int

func (e kernelEnd) fd() int { return int(e) }
func (e kernelEnd) recvFrom(buf []byte, flags int) (int, error) {
	// Not recvfrom: package unix makes it as a system call that returns at once.
	var n uintptr
	var errno unix.Errno
	unsignalled(func() {
		n, _, errno = unix.Syscall6(unix.SYS_RECVFROM, uintptr(e), uintptr(sys.Pointer(buf)), uintptr(len(buf)), uintptr(flags), 0, 0)
	})
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
func (e kernelEnd) sendTo(buf []byte, flags int, to *Addr) (int, error) {
	var sa sockaddr
	var name unsafe.Pointer
	if to != nil {
		if err := sa.encode(*to); err != nil {
			return 0, err
		}
		name = unsafe.Pointer(&sa.Raw)
	}
	var n uintptr
	var errno unix.Errno
	unsignalled(func() {
		n, _, errno = unix.Syscall6(unix.SYS_SENDTO, uintptr(e), uintptr(sys.Pointer(buf)), uintptr(len(buf)), uintptr(flags|unix.MSG_NOSIGNAL), uintptr(name), uintptr(sa.Len))
	})
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

const short = 100 * time.Millisecond

// fdAddr returns the address to which a descriptor is bound.
func fdAddr(t *testing.T, fd int) Addr {
	a, errno := localAddr(fd)
	require.Zero(t, errno)
	return a
}

// fdSocket returns a plain descriptor, which the test closes. It binds the descriptor if
// a is given.
func fdSocket(t *testing.T, family Family, typ Type, a ...Addr) int {
	fd, err := unix.Socket(int(family), int(typ)|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	for _, a := range a {
		require.NoError(t, bindTo(fd, a))
	}
	return fd
}

func fdConnect(t *testing.T, fd int, to Addr) {
	var sa sockaddr
	require.NoError(t, sa.encode(to))
	require.Zero(t, sys.Connect(fd, (*sys.Sockaddr)(&sa)))
}

var names int

// abstract returns a new abstract name for a unix socket.
func abstract() Addr {
	names++
	return UnixAddr(fmt.Sprintf("@weir-test-%d-%d", os.Getpid(), names))
}

func loopback() Addr { return AddrFrom(mustPort("127.0.0.1:0")) }

var mustPort = netip.MustParseAddrPort

// awaitParked waits until n calls are parked on sockets.
func awaitParked(t *testing.T, n int) {
	buf := make([]byte, 1<<20)
	for limit := time.Now().Add(time.Minute); ; {
		stacks := string(buf[:runtime.Stack(buf, true)])
		if strings.Count(stacks, "loop.(*parker).park(") >= n {
			return
		}
		if time.Now().After(limit) {
			require.FailNow(t, "no call is parked", stacks)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// An outcome is the result of a call: the count, the errno, the data, and whether the
// call timed out.
type outcome struct {
	n      int
	errno  unix.Errno
	data   string
	waited bool
}

func result(n int, err error, data []byte) outcome {
	var errno unix.Errno
	errors.As(err, &errno)
	return outcome{n: n, errno: errno, data: string(data)}
}

func recvOutcome(e end, size, flags int) outcome {
	buf := make([]byte, size)
	return timed(func() outcome {
		n, err := e.recvFrom(buf, flags)
		return result(n, err, buf[:min(n, size)])
	})
}

func sendOutcome(e end, text string, flags int, to *Addr) outcome {
	return timed(func() outcome {
		n, err := e.sendTo([]byte(text), flags, to)
		return result(n, err, nil)
	})
}

func timed(call func() outcome) outcome {
	begin := time.Now()
	o := call()
	o.waited = o.errno == unix.EAGAIN && time.Since(begin) >= short
	return o
}

// fill sends until there is no room.
func fill(t *testing.T, e end, to *Addr) (sent int) {
	for {
		n, err := e.sendTo([]byte("fill"), unix.MSG_DONTWAIT, to)
		if err != nil {
			require.ErrorIs(t, err, unix.EAGAIN)
			return sent
		}
		require.Equal(t, 4, n)
		sent++
	}
}

// Each script runs on both backends, which must return the same outcomes.
func TestDatagramsAsTheKernelHasThem(t *testing.T) {
	for _, c := range []struct {
		name   string
		family Family
		typ    Type
		script func(t *testing.T, e end, note func(outcome))
	}{
		{"udp: refused once on send", Inet, Dgram, func(t *testing.T, e end, note func(outcome)) {
			refuse(t, e)
			note(sendOutcome(e, "y", 0, nil))
			note(sendOutcome(e, "", unix.MSG_DONTWAIT, nil))
		}},
		{"udp: refused once on recv", Inet, Dgram, func(t *testing.T, e end, note func(outcome)) {
			refuse(t, e)
			note(recvOutcome(e, 9, 0))
			note(recvOutcome(e, 9, 0))
		}},
		{"udp: a blocked recv is refused", Inet, Dgram, func(t *testing.T, e end, note func(outcome)) {
			peer := fdSocket(t, Inet, Dgram, loopback())
			fdConnect(t, e.fd(), fdAddr(t, peer))
			require.NoError(t, unix.Close(peer))
			go func() { _, _ = unix.SendmsgN(e.fd(), []byte("x"), nil, nil, 0) }()
			note(recvOutcome(e, 9, 0))
		}},
		{"udp: flags", Inet, Dgram, func(t *testing.T, e end, note func(outcome)) {
			peer := fdSocket(t, Inet, Dgram, loopback())
			require.NoError(t, bindTo(e.fd(), loopback()))
			to := fdAddr(t, e.fd())
			for _, text := range []string{"abcdef", "", "ghijkl", "mnopqr", "st"} {
				note(sendOutcome(kernelEnd(peer), text, 0, &to))
			}
			note(recvOutcome(e, 3, unix.MSG_PEEK))
			note(recvOutcome(e, 3, unix.MSG_TRUNC|unix.MSG_PEEK))
			note(recvOutcome(e, 3, 0))
			note(recvOutcome(e, 3, 0)) // the empty datagram
			note(recvOutcome(e, 3, unix.MSG_TRUNC))
			note(recvOutcome(e, 0, unix.MSG_TRUNC))
			note(recvOutcome(e, 9, unix.MSG_WAITALL)) // the flag has no effect
			note(recvOutcome(e, 9, unix.MSG_DONTWAIT))
			note(recvOutcome(e, 9, unix.MSG_ERRQUEUE))
			note(recvOutcome(e, 9, unix.MSG_OOB)) // the kernel ignores the flag, so the call waits
			note(recvOutcome(e, 9, 0))
		}},
		{"udp: errors", Inet, Dgram, func(t *testing.T, e end, note func(outcome)) {
			to := loopback()
			note(sendOutcome(e, "x", 0, nil))                            // EDESTADDRREQ
			note(sendOutcome(e, "x", 0, &to))                            // port 0
			note(sendOutcome(e, strings.Repeat("x", 70000), 0, &to))     // EINVAL or EMSGSIZE
			other := AddrFrom(mustPort("[::1]:9"))                       //
			note(sendOutcome(e, "x", 0, &other))                         // EAFNOSUPPORT
			note(sendOutcome(e, "x", unix.MSG_OOB, &to))                 // EOPNOTSUPP
			note(recvOutcome(e, 9, unix.MSG_DONTWAIT|unix.MSG_ERRQUEUE)) //
		}},
		{"udp: shutdown of an unconnected one", Inet, Dgram, func(t *testing.T, e end, note func(outcome)) {
			note(result(0, unix.Shutdown(e.fd(), unix.SHUT_RD), nil)) // ENOTCONN, and the shutdown works
			note(recvOutcome(e, 9, 0))
			note(recvOutcome(e, 9, 0))
			note(recvOutcome(e, 9, unix.MSG_DONTWAIT))
		}},
		{"udp: shutdown during a blocked recv", Inet, Dgram, func(t *testing.T, e end, note func(outcome)) {
			fdConnect(t, e.fd(), fdAddr(t, fdSocket(t, Inet, Dgram, loopback())))
			time.AfterFunc(short/4, func() { unix.Shutdown(e.fd(), unix.SHUT_RD) })
			note(recvOutcome(e, 9, 0))
			note(sendOutcome(e, "x", 0, nil))
		}},
		{"unix dgram: shutdown", Unix, Dgram, func(t *testing.T, e end, note func(outcome)) {
			require.NoError(t, bindTo(e.fd(), abstract()))
			to := fdAddr(t, e.fd())
			note(sendOutcome(e, "x", 0, &to))
			time.AfterFunc(short/4, func() { unix.Shutdown(e.fd(), unix.SHUT_RDWR) })
			note(recvOutcome(e, 9, 0))
			note(recvOutcome(e, 9, 0))
			note(sendOutcome(e, "x", 0, &to))
		}},
		{"unix dgram: peer full, connected", Unix, Dgram, func(t *testing.T, e end, note func(outcome)) {
			peer := fdSocket(t, Unix, Dgram, abstract())
			fdConnect(t, e.fd(), fdAddr(t, peer))
			note(outcome{n: fill(t, e, nil)})
			note(sendOutcome(e, "late", 0, nil))
		}},
		{"unix dgram: peer full, unconnected", Unix, Dgram, func(t *testing.T, e end, note func(outcome)) {
			to := fdAddr(t, fdSocket(t, Unix, Dgram, abstract()))
			other := fdSocket(t, Unix, Dgram)
			note(outcome{n: fill(t, kernelEnd(other), &to)})
			note(sendOutcome(e, "late", 0, &to))
		}},
		{"unix dgram: peer gone", Unix, Dgram, func(t *testing.T, e end, note func(outcome)) {
			peer := fdSocket(t, Unix, Dgram, abstract())
			to := fdAddr(t, peer)
			fdConnect(t, e.fd(), to)
			require.NoError(t, unix.Close(peer))
			note(sendOutcome(e, "x", 0, &to))
			note(sendOutcome(e, "x", 0, nil)) // ECONNREFUSED
			note(sendOutcome(e, "x", 0, nil)) // ENOTCONN
		}},
		{"unix dgram: peer gone during a blocked send", Unix, Dgram, func(t *testing.T, e end, note func(outcome)) {
			peer := fdSocket(t, Unix, Dgram, abstract())
			fdConnect(t, e.fd(), fdAddr(t, peer))
			fill(t, e, nil)
			time.AfterFunc(short/4, func() { unix.Close(peer) })
			note(sendOutcome(e, "x", 0, nil))
			note(sendOutcome(e, "x", 0, nil))
		}},
		{"unix dgram: peer gone during a blocked send by address", Unix, Dgram, func(t *testing.T, e end, note func(outcome)) {
			peer := fdSocket(t, Unix, Dgram, abstract())
			to := fdAddr(t, peer)
			fill(t, e, &to)
			time.AfterFunc(short/4, func() { unix.Close(peer) })
			note(sendOutcome(e, "x", 0, &to))
		}},
		{"unix dgram: flags", Unix, Dgram, func(t *testing.T, e end, note func(outcome)) {
			note(recvOutcome(e, 9, unix.MSG_OOB)) // EOPNOTSUPP
			note(recvOutcome(e, 9, unix.MSG_ERRQUEUE))
			note(recvOutcome(e, 9, unix.MSG_DONTWAIT))
			note(sendOutcome(e, "x", 0, nil)) // ENOTCONN
			empty := UnixAddr("")
			note(sendOutcome(e, "x", 0, &empty))
		}},
		{"unix seqpacket: peer gone during a blocked send", Unix, SeqPacket, func(t *testing.T, e end, note func(outcome)) {
			peer := seqPeer(t, e)
			for {
				if _, err := e.sendTo(make([]byte, 4096), unix.MSG_DONTWAIT, nil); err != nil {
					break
				}
			}
			time.AfterFunc(short/4, func() { unix.Close(peer) })
			note(sendOutcome(e, strings.Repeat("x", 4096), 0, nil)) // ECONNRESET
			note(sendOutcome(e, "x", 0, nil))
		}},
		{"unix seqpacket: messages and end", Unix, SeqPacket, func(t *testing.T, e end, note func(outcome)) {
			note(recvOutcome(e, 9, 0)) // ENOTCONN
			note(sendOutcome(e, "x", 0, nil))
			peer := seqPeer(t, e)
			note(sendOutcome(kernelEnd(peer), "abcdef", 0, nil))
			note(sendOutcome(kernelEnd(peer), "", 0, nil))
			note(sendOutcome(kernelEnd(peer), "gh", 0, nil))
			note(recvOutcome(e, 3, 0))
			note(recvOutcome(e, 3, 0))
			note(recvOutcome(e, 9, unix.MSG_WAITALL))
			note(recvOutcome(e, 9, 0)) // times out
			require.NoError(t, unix.Close(peer))
			note(recvOutcome(e, 9, 0))
			note(recvOutcome(e, 9, 0))
			note(sendOutcome(e, "x", 0, nil))
		}},
		{"unix stream: an address", Unix, Stream, func(t *testing.T, e end, note func(outcome)) {
			to := abstract()
			note(sendOutcome(e, "x", 0, &to))
			note(recvOutcome(e, 1, 0))
		}},
		{"tcp: not connected", Inet, Stream, func(t *testing.T, e end, note func(outcome)) {
			to := loopback()
			note(sendOutcome(e, "x", 0, &to))
			note(recvOutcome(e, 1, 0))
		}},
		{"raw: its own echo request", Inet, Raw, func(t *testing.T, e end, note func(outcome)) {
			to := loopback()
			note(sendOutcome(e, "\x08\x00\xf7\xff\x00\x00\x00\x00", 0, &to))
			note(outcome{n: recvOutcome(e, 99, 0).n})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// On a busy machine a step may come after the timeout that it should precede.
			for begun := time.Now(); ; {
				stalled := machine.Stalls(t)
				got := both(t, c.family, c.typ, c.script)
				if stalled() < 5*time.Millisecond || reflect.DeepEqual(got[0], got[1]) || time.Since(begun) > time.Minute {
					require.Equal(t, got[0], got[1])
					t.Log(got[0])
					return
				}
			}
		})
	}
}

// both runs a script on a blocking socket of the kernel and on a Socket, and returns the
// outcomes.
func both(t *testing.T, family Family, typ Type, script func(t *testing.T, e end, note func(outcome))) (got [2][]outcome) {
	for i := range got {
		protocol := 0
		if typ == Raw {
			protocol = unix.IPPROTO_ICMP
		}
		fd, err := unix.Socket(int(family), int(typ)|unix.SOCK_CLOEXEC, protocol)
		machine.NeedPermission(t, "a raw socket", err)
		require.NoError(t, err)
		tv := unix.NsecToTimeval(int64(short))
		require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
		require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv))
		var e end = kernelEnd(fd)
		if i == 1 {
			s, err := Adopt(fd)
			require.NoError(t, err)
			defer s.Close()
			e = weirEnd{s}
		} else {
			defer unix.Close(fd)
		}
		script(t, e, func(o outcome) { got[i] = append(got[i], o) })
	}
	return got
}

// refuse sends from e to a port without a socket, so that e has a pending error.
func refuse(t *testing.T, e end) {
	peer := fdSocket(t, Inet, Dgram, loopback())
	fdConnect(t, e.fd(), fdAddr(t, peer))
	require.NoError(t, unix.Close(peer))
	require.Equal(t, outcome{n: 1}, sendOutcome(e, "x", 0, nil))
}

// seqPeer connects e to a peer.
func seqPeer(t *testing.T, e end) int {
	l := fdSocket(t, Unix, SeqPacket, abstract())
	require.NoError(t, unix.Listen(l, 1))
	fdConnect(t, e.fd(), fdAddr(t, l))
	peer, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(peer) })
	return peer
}

func udpPair(t *testing.T) (a, b *Socket) {
	a = open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	b = open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	return a, b
}

func TestRecvFromRemembersTheSender(t *testing.T) {
	a, b := udpPair(t)
	c := open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	require.False(t, b.RemoteAddr().IsValid())
	buf := make([]byte, 16)
	for _, from := range []*Socket{a, c, a} {
		_, err := from.SendToAddr([]byte("hello"), b.LocalAddr(), 0)
		require.NoError(t, err)
		n, sender, err := b.RecvFrom(buf, 0)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf[:n]))
		require.Equal(t, from.LocalAddr(), sender)
		require.Equal(t, sender, b.RemoteAddr())
	}
	// The socket sends its answer to the text of the sender's address.
	_, err := b.SendTo([]byte("ok"), b.RemoteAddr().Host(), strconv.Itoa(b.RemoteAddr().Port()), 0)
	require.NoError(t, err)
	n, err := a.Recv(buf, 0)
	require.NoError(t, err)
	require.Equal(t, "ok", string(buf[:n]))
}

func TestRecvFromOnUnixNamesThePath(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Unix, Dgram, Config{Filename: filepath.Join(dir, "a")})
	b := open(t, Unix, Dgram, Config{Filename: filepath.Join(dir, "b")})
	n, err := a.SendTo([]byte("x"), filepath.Join(dir, "b"), "", 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, from, err := b.RecvFrom(make([]byte, 9), 0)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "a"), from.String())
	unnamed := open(t, Unix, Dgram)
	_, err = unnamed.SendToAddr([]byte("y"), b.LocalAddr(), 0)
	require.NoError(t, err)
	_, from, err = b.RecvFrom(make([]byte, 9), 0)
	require.NoError(t, err)
	require.Zero(t, from, "the kernel gives no address for an unnamed sender")
	require.Equal(t, filepath.Join(dir, "a"), b.RemoteAddr().String())
}

func TestSendToLooksUpNames(t *testing.T) {
	a, b := udpPair(t)
	port := strconv.Itoa(b.LocalAddr().Port())
	n, err := a.SendTo([]byte("x"), "localhost", port, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, from, err := b.RecvFrom(make([]byte, 9), 0)
	require.NoError(t, err)
	require.Equal(t, a.LocalAddr(), from)

	for _, c := range []struct {
		host, service string
		errno         unix.Errno
	}{
		{"::1", port, unix.EAFNOSUPPORT},
		{"127.0.0.1", "65536", unix.EINVAL},
		{"127.0.0.1", "no-such-service", unix.EADDRNOTAVAIL},
	} {
		_, err = a.SendTo([]byte("x"), c.host, c.service, 0)
		require.ErrorIs(t, err, c.errno)
		require.ErrorContains(t, err, "sendto "+net.JoinHostPort(c.host, c.service))
	}
	_, err = a.SendTo(nil, "localhost", port, 0)
	require.ErrorIs(t, err, unix.EFAULT)
	// Each call has given the turn back.
	_, err = a.SendTo([]byte("z"), "127.0.0.1", port, 0)
	require.NoError(t, err)
}

// The send timeout bounds the look-up, and Interrupt ends it.
func TestSendToNameIsTimed(t *testing.T) {
	silent := open(t, Inet, Dgram, Config{Address: "127.0.0.1"}) // a name server that does not answer
	old := net.DefaultResolver
	asked := make(chan struct{}, 100) // each look-up sends here when it has found the resolver
	over, end := context.WithCancel(context.Background())
	defer func() { net.DefaultResolver = old; end() }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if over.Err() != nil {
			return nil, over.Err()
		}
		asked <- struct{}{}
		c, err := (&net.Dialer{Resolver: old}).DialContext(ctx, "udp", silent.LocalAddr().String())
		if err == nil {
			context.AfterFunc(over, func() { c.Close() }) // the look-ups go on for seconds otherwise
		}
		return c, err
	}}
	s := open(t, Inet, Dgram)
	require.NoError(t, s.SetSendTimeout(short))
	begin := time.Now()
	_, err := s.SendTo([]byte("x"), "name.example", "9", 0)
	require.ErrorIs(t, err, unix.EAGAIN)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.GreaterOrEqual(t, time.Since(begin), short)
	<-asked
	for len(asked) > 0 {
		<-asked
	}
	require.NoError(t, s.SetSendTimeout(0))
	done := make(chan error, 1)
	go func() {
		_, err := s.SendTo([]byte("x"), "another.example", "9", 0)
		done <- err
	}()
	<-asked
	awaitParked(t, 1)
	s.Interrupt()
	require.ErrorIs(t, <-done, unix.EINTR)
}

func TestBlockedRecvFromGetsTheDatagram(t *testing.T) {
	a, b := udpPair(t)
	done := make(chan Addr, 1)
	go func() {
		_, from, err := b.RecvFrom(make([]byte, 9), 0)
		require.NoError(t, err)
		done <- from
	}()
	awaitParked(t, 1)
	_, err := a.SendToAddr([]byte("x"), b.LocalAddr(), 0)
	require.NoError(t, err)
	require.Equal(t, a.LocalAddr(), <-done)
}

// A blocked send continues when the peer has read. A connected socket gets an event. An
// unconnected socket tries again at intervals: each refused attempt makes the kernel
// report writability, so a wait for that event would try without end.
func TestBlockedUnixDatagramGoesOn(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprint("connected ", connected), func(t *testing.T) {
			peer := open(t, Unix, Dgram, Config{Bind: abstract()})
			s := open(t, Unix, Dgram)
			var to *Addr
			if connected {
				require.NoError(t, s.ConnectAddr(peer.LocalAddr()))
			} else {
				a := peer.LocalAddr()
				to = &a
			}
			// Other sockets have filled the peer. The kernel does not report to s that
			// there is room again.
			other := peer.LocalAddr()
			sent := fill(t, kernelEnd(fdSocket(t, Unix, Dgram)), &other)
			done := make(chan error, 1)
			go func() {
				_, err := weirEnd{s}.sendTo([]byte("last"), 0, to)
				done <- err
			}()
			awaitParked(t, 1)
			for range 200 {
				require.True(t, connected || stateOf(t, s)&writerBit == 0)
				runtime.Gosched()
			}
			buf := make([]byte, 9)
			for range sent {
				n, err := peer.Recv(buf, 0)
				require.NoError(t, err)
				require.Equal(t, "fill", string(buf[:n]))
			}
			require.NoError(t, <-done)
			n, err := peer.Recv(buf, 0)
			require.NoError(t, err)
			require.Equal(t, "last", string(buf[:n]))
		})
	}
}

func TestCloseEndsABlockedSendByAddress(t *testing.T) {
	peer := open(t, Unix, Dgram, Config{Bind: abstract()})
	to := peer.LocalAddr()
	s := open(t, Unix, Dgram)
	fill(t, weirEnd{s}, &to)
	done := make(chan error, 1)
	go func() {
		_, err := s.SendToAddr([]byte("x"), to, 0)
		done <- err
	}()
	awaitParked(t, 1)
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, net.ErrClosed)
}

func TestZeroReads(t *testing.T) {
	a, b, err := Pair(Unix, SeqPacket, 0)
	require.NoError(t, err)
	defer b.Close()
	for _, text := range []string{"", "x"} {
		_, err := a.Send([]byte(text), 0)
		require.NoError(t, err)
	}
	require.NoError(t, a.Close())
	buf := make([]byte, 9)
	n, err := b.Recv(buf, 0) // an empty message, although the peer has closed
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.Recv(buf, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for range 2 {
		_, err = b.Recv(buf, 0)
		require.Equal(t, io.EOF, err)
		_, _, err = b.RecvFrom(buf, 0)
		require.Equal(t, io.EOF, err)
	}

	u, v := udpPair(t)
	_, err = u.SendToAddr([]byte{}, v.LocalAddr(), 0)
	require.NoError(t, err)
	n, err = v.Recv(buf, 0)
	require.NoError(t, err)
	require.Zero(t, n)
}

// Each of several receivers of one socket gets the sender of its own datagram.
func TestRecvFromByMany(t *testing.T) {
	s := open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	require.NoError(t, s.SetRecvTimeout(time.Minute))
	const senders, each = 4, 50
	var wg sync.WaitGroup
	for range senders {
		from := open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
		text := []byte(from.LocalAddr().String())
		wg.Go(func() {
			for range each {
				_, err := from.SendToAddr(text, s.LocalAddr(), 0)
				require.NoError(t, err)
			}
		})
	}
	for range senders {
		wg.Go(func() {
			buf := make([]byte, 64)
			for range each {
				n, from, err := s.RecvFrom(buf, 0)
				require.NoError(t, err)
				require.Equal(t, string(buf[:n]), from.String())
				_ = s.RemoteAddr()
			}
		})
	}
	wg.Wait()
}

func TestDatagramsAllocateNothing(t *testing.T) {
	if sys.Racing {
		t.Skip("the race detector allocates")
	}
	a, b := udpPair(t)
	c := open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	to := b.LocalAddr()
	host, port := to.Host(), strconv.Itoa(to.Port())
	buf := make([]byte, 16)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, s := range []*Socket{a, c} { // each receive changes the remembered sender
			_, err := s.SendToAddr(buf, to, 0)
			_, err2 := s.SendTo(buf, host, port, 0)
			_, _, err3 := b.RecvFrom(buf, 0)
			_, _, err4 := b.RecvFrom(buf, 0)
			if err := errors.Join(err, err2, err3, err4); err != nil {
				panic(err)
			}
		}
	}))
}
