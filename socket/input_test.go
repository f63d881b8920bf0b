package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inputPair returns a socket under test and its peer.
func inputPair(t *testing.T, typ Type) (s, peer *Socket) {
	t.Helper()
	s, peer, err := Pair(Unix, typ, 0)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close(); peer.Close() })
	return s, peer
}

// sized sets sizes of a socket other than the default, as the options do.
func sized(s *Socket, maxString, maxLine int) *Socket {
	s.core.sizeInput(int32(maxString), int32(maxLine))
	return s
}

// atOnce sets a receive timeout with which a call of s times out instead of waiting.
func atOnce(s *Socket) *Socket {
	s.core.recvTimeout.set(-1)
	return s
}

func put(t *testing.T, s *Socket, data string) {
	t.Helper()
	n, err := s.WriteString(data)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
}

// parked waits until n goroutines sleep in calls of the method.
func parked(t *testing.T, method string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return sleepers(method) == n }, time.Minute, time.Millisecond)
}

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, unix.EAGAIN)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func requireRune(t *testing.T, s *Socket, want rune) {
	t.Helper()
	r, size, err := s.ReadRune()
	require.NoError(t, err)
	require.Equal(t, string(want), string(r))
	require.Equal(t, len(string(want)), size)
}

func requireBad(t *testing.T, s *Socket, size int) {
	t.Helper()
	r, n, err := s.ReadRune()
	require.ErrorIs(t, err, unix.EILSEQ)
	require.Equal(t, '\uFFFD', r)
	require.Equal(t, size, n)
}

func TestUnreadRuneComesFirst(t *testing.T) {
	readers := map[string]func(s *Socket) (string, error){
		"fread": func(s *Socket) (string, error) {
			buf := make([]byte, 100)
			n, err := s.Fread(buf)
			return string(buf[:n]), err
		},
		"read-string": (*Socket).ReadString,
		"read-line":   func(s *Socket) (string, error) { return s.ReadLine() },
	}
	for name, read := range readers {
		for _, c := range []struct{ state, sent, left string }{
			{"drained", "€", ""},
			{"bytes left", "€abc", "abc"},
			{"newline pushed back", "\nabc", "abc"},
		} {
			t.Run(name+" "+c.state, func(t *testing.T) {
				s, peer := inputPair(t, Stream)
				put(t, peer, c.sent)
				r, _, err := s.ReadRune()
				require.NoError(t, err)
				require.Equal(t, len(c.left), s.Buffered())
				require.False(t, s.CharInBuffer())
				require.NoError(t, s.UnreadRune())
				require.NoError(t, s.UnreadRune(), "the flag is set, once or twice")
				require.True(t, s.CharInBuffer())
				require.Equal(t, len(c.sent), s.Buffered())
				want := c.sent
				if name == "read-line" {
					if !strings.Contains(c.sent, "\n") {
						put(t, peer, "\n")
					}
					want, _, _ = strings.Cut(c.sent, "\n")
				}
				got, err := read(s)
				require.NoError(t, err)
				require.Equal(t, want, got)
				require.False(t, s.CharInBuffer())
				require.NoError(t, s.UnreadRune(), "the last character is always kept")
				requireRune(t, s, r)
			})
		}
	}
}

// The socket reads a character from the end of one block and the start of the next, and
// the buffer behind it is full. There is still room to push the character back.
func TestUnreadRuneOnAFullBuffer(t *testing.T) {
	const size = 16
	s, peer := inputPair(t, Stream)
	sized(s, size, 0)
	fill := strings.Repeat("x", size-1)
	put(t, peer, fill+"😀"+strings.Repeat("y", 3*size))
	for range fill {
		requireRune(t, s, 'x')
	}
	requireRune(t, s, '😀')
	require.NoError(t, s.UnreadRune())
	requireRune(t, s, '😀')
	require.NoError(t, s.UnreadRune())
	buf := make([]byte, 2)
	n, err := io.ReadFull(s, buf)
	require.NoError(t, err)
	require.Equal(t, "😀"[:n], string(buf))
	require.False(t, s.CharInBuffer(), "only a part of it is left")
	require.ErrorIs(t, s.UnreadRune(), unix.EINVAL, "what is left is no character")
	rest := make([]byte, 2+3*size)
	_, err = io.ReadFull(s, rest)
	require.NoError(t, err)
	require.Equal(t, "😀"[2:]+strings.Repeat("y", 3*size), string(rest))
	require.Zero(t, s.Buffered())
}

func TestNothingToPushBack(t *testing.T) {
	buf := make([]byte, 10)
	for _, c := range []struct {
		name  string
		after func(s, peer *Socket)
		errno syscall.Errno
	}{
		{"recv", func(s, _ *Socket) { s.Recv(buf, 0) }, unix.EINVAL},
		{"recv that fails", func(s, _ *Socket) { atOnce(s).Recv(buf, 0); atOnce(s).Recv(buf, 0) }, unix.EINVAL},
		{"recv MSG_DONTWAIT", func(s, _ *Socket) { s.Recv(buf, unix.MSG_DONTWAIT) }, unix.EINVAL},
		{"recv MSG_WAITALL", func(s, _ *Socket) { s.Recv(buf[:1], unix.MSG_WAITALL) }, unix.EINVAL},
		{"clear-input", func(s, _ *Socket) { s.ClearInput() }, unix.EINVAL},
		{"close", func(s, _ *Socket) { s.Close() }, unix.EBADF},
		{"recv MSG_PEEK", func(s, _ *Socket) { s.Recv(buf, unix.MSG_PEEK) }, 0},
		{"recv MSG_OOB", func(s, _ *Socket) { s.Recv(buf, unix.MSG_OOB) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := inputPair(t, Stream)
			put(t, peer, "ab")
			requireRune(t, s, 'a')
			put(t, peer, "in the kernel")
			c.after(s, peer)
			err := s.UnreadRune()
			s.SetCharInBuffer(true)
			if c.errno == 0 {
				require.NoError(t, err)
				require.True(t, s.CharInBuffer())
				require.Equal(t, 2, s.Buffered())
				return
			}
			require.ErrorIs(t, err, c.errno)
			require.False(t, s.CharInBuffer())
			require.Zero(t, s.Buffered())
		})
	}
	t.Run("first", func(t *testing.T) {
		s, _ := inputPair(t, Stream)
		err := s.UnreadRune()
		require.ErrorIs(t, err, unix.EINVAL)
		require.ErrorContains(t, err, "no character")
		s.SetCharInBuffer(true)
		require.False(t, s.CharInBuffer())
	})
}

func TestRecvDropsTheInputFirst(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags int
		left  string // the rest of the buffer
		errno syscall.Errno
		owed  syscall.Errno
	}{
		{name: "data", left: ""},
		{name: "timeout", errno: unix.EAGAIN},
		{name: "dontwait", flags: unix.MSG_DONTWAIT, errno: unix.EAGAIN},
		{name: "waitall", flags: unix.MSG_WAITALL, errno: unix.EAGAIN},
		{name: "owed error", errno: unix.ECONNRESET, owed: unix.ECONNRESET},
		{name: "peek", flags: unix.MSG_PEEK, left: "bc"},
		{name: "failing peek", flags: unix.MSG_PEEK, errno: unix.EAGAIN, left: "bc"},
		{name: "oob", flags: unix.MSG_OOB, errno: unix.EINVAL, left: "bc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := inputPair(t, Stream)
			put(t, peer, "abc")
			requireRune(t, s, 'a')
			if c.errno == 0 {
				put(t, peer, "kernel")
			}
			s.core.owed.Store(uint32(c.owed))
			buf := make([]byte, 6)
			n, err := atOnce(s).Recv(buf, c.flags)
			if c.errno == 0 {
				require.NoError(t, err)
				require.Equal(t, "kernel", string(buf[:n]))
			} else {
				require.ErrorIs(t, err, c.errno)
			}
			require.Equal(t, len(c.left), s.Buffered())
			got := make([]byte, 10)
			n, _ = s.Fread(got)
			require.Equal(t, c.left, string(got[:n]))
		})
	}
}

// Recv drops the input when it gets its turn, even if no data comes.
func TestRecvDropsBeforeItWaits(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "abc")
	requireRune(t, s, 'a')
	done := make(chan string)
	go func() {
		buf := make([]byte, 10)
		n, _ := s.Recv(buf, 0)
		done <- string(buf[:n])
	}()
	parked(t, "Recv", 1)
	require.Zero(t, s.Buffered())
	require.ErrorIs(t, s.UnreadRune(), unix.EINVAL)
	put(t, peer, "new")
	require.Equal(t, "new", <-done)
}

func TestSetCharInBuffer(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "€b")
	requireRune(t, s, '€')
	s.SetCharInBuffer(true)
	require.True(t, s.CharInBuffer())
	require.Equal(t, 4, s.Buffered())
	s.SetCharInBuffer(false)
	require.False(t, s.CharInBuffer())
	require.Equal(t, 1, s.Buffered())
	s.SetCharInBuffer(true)
	requireRune(t, s, '€')
	requireRune(t, s, 'b')
	s.SetCharInBuffer(true)
	s.SetCharInBuffer(false)
	require.Zero(t, s.Buffered())
	_, _, err := atOnce(s).ReadRune()
	requireTimeout(t, err)
}

func TestClearInput(t *testing.T) {
	s, peer := inputPair(t, Stream)
	s.ClearInput()
	put(t, peer, "old")
	requireRune(t, s, 'o')
	s.ClearInput()
	require.Zero(t, s.Buffered())
	_, err := atOnce(s).ReadString()
	requireTimeout(t, err)
	put(t, peer, "new")
	all, err := s.ReadString()
	require.NoError(t, err)
	require.Equal(t, "new", all)
}

// ClearInput and similar methods do not wait for another goroutine's read.
func TestNothingHangsBehindARead(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "€ partial")
	requireRune(t, s, '€')
	line := make(chan string)
	go func() {
		l, _ := s.ReadLine()
		line <- l
	}()
	parked(t, "ReadLine", 1)
	require.False(t, s.CharInBuffer())
	require.NoError(t, s.UnreadRune())
	require.True(t, s.CharInBuffer())
	require.NoError(t, s.Dump(io.Discard))
	s.ClearInput()
	require.False(t, s.EOF())
	put(t, peer, "whole\n")
	require.Equal(t, "whole", <-line)
}

func TestEOF(t *testing.T) {
	buf := make([]byte, 10)
	recv := func(s *Socket) error { _, err := s.Recv(buf, 0); return err }
	for _, c := range []struct {
		name string
		typ  Type
		do   func(s, peer *Socket) error
		err  error
		want bool
	}{
		{"fresh", Stream, func(s, peer *Socket) error { return nil }, nil, false},
		{"the peer closed, unread", Stream, func(s, peer *Socket) error { return peer.Close() }, nil, false},
		{"recv", Stream, func(s, peer *Socket) error { peer.Close(); return recv(s) }, io.EOF, true},
		{"fread", Stream, func(s, peer *Socket) error { peer.Close(); _, err := s.Fread(buf); return err }, io.EOF, true},
		{"read-char", Stream, func(s, peer *Socket) error { peer.Close(); _, _, err := s.ReadRune(); return err }, io.EOF, true},
		{"read-string", Stream, func(s, peer *Socket) error { peer.Close(); _, err := s.ReadString(); return err }, io.EOF, true},
		{"read-line", Stream, func(s, peer *Socket) error { peer.Close(); _, err := s.ReadLine(); return err }, io.EOF, true},
		{"recv of nothing", Stream, func(s, peer *Socket) error { peer.Close(); _, err := s.Recv(buf[:0], 0); return err }, nil, false},
		{"splice", Stream, func(s, peer *Socket) error {
			peer.Close()
			sink, _ := inputPair(t, Stream)
			_, err := s.WriteTo(sink)
			return err
		}, nil, true},
		{"half closed", Stream, func(s, peer *Socket) error { peer.Shutdown(unix.SHUT_WR); return recv(s) }, io.EOF, true},
		{"timeout", Stream, func(s, peer *Socket) error { return recv(atOnce(s)) }, unix.EAGAIN, false},
		{"timeout in a character", Stream, func(s, peer *Socket) error {
			put(t, peer, "\xE2")
			_, _, err := atOnce(s).ReadRune()
			return err
		}, unix.EAGAIN, false},
		{"malformed", Stream, func(s, peer *Socket) error { put(t, peer, "\xFF"); _, _, err := s.ReadRune(); return err }, unix.EILSEQ, false},
		{"empty datagram", Dgram, func(s, peer *Socket) error { peer.Send([]byte{}, 0); return recv(s) }, nil, false},
		{"empty datagram, read-string", Dgram, func(s, peer *Socket) error { peer.Send([]byte{}, 0); _, err := s.ReadString(); return err }, nil, false},
		{"empty datagram, read-char", Dgram, func(s, peer *Socket) error {
			peer.Send([]byte{}, 0)
			_, _, err := atOnce(s).ReadRune()
			return err
		}, unix.EAGAIN, false},
		{"seqpacket's end", SeqPacket, func(s, peer *Socket) error { peer.Close(); _, _, err := s.ReadRune(); return err }, io.EOF, true},
		{"a broken pipe", Stream, func(s, peer *Socket) error { s.Shutdown(unix.SHUT_WR); _, err := s.Write(buf); return err }, unix.EPIPE, false},
		{"a pipe that the peer broke", Stream, func(s, peer *Socket) error { peer.Close(); _, err := s.Write(buf); return err }, unix.EPIPE, true},
		{"a pipe that the peer broke, with input left", Stream, func(s, peer *Socket) error {
			put(t, peer, "x")
			peer.Close()
			_, err := s.Write(buf)
			return err
		}, unix.EPIPE, false},
		{"a pipe that the peer does not read", Stream, func(s, peer *Socket) error { peer.Shutdown(unix.SHUT_RD); _, err := s.Write(buf); return err }, unix.EPIPE, false},
		{"closed", Stream, func(s, peer *Socket) error { s.Close(); return recv(s) }, unix.EBADF, true},
		{"interrupted", Stream, func(s, peer *Socket) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return recv(s.WithContext(ctx))
		}, unix.EINTR, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := inputPair(t, c.typ)
			err := c.do(s, peer)
			if c.err == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.err)
			}
			require.Equal(t, c.want, s.EOF())
			require.False(t, errors.Is(err, io.EOF) && errors.Is(err, unix.EAGAIN))
		})
	}
	t.Run("a reset that a send is told of", func(t *testing.T) {
		s, peer := tcpInputPair(t)
		put(t, s, "unread")
		require.NoError(t, peer.SetLinger(0))
		require.NoError(t, peer.Close())
		require.Eventually(t, func() bool { return polled(s.Fd(), unix.POLLHUP) }, time.Minute, time.Millisecond)
		_, err := s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_ERROR) // clears ECONNRESET
		require.NoError(t, err)
		require.False(t, s.EOF())
		_, err = s.Write(buf)
		require.ErrorIs(t, err, unix.EPIPE)
		require.True(t, s.EOF())
	})
	t.Run("before a connection, and after", func(t *testing.T) {
		l := listening(t, Inet, 1)
		s := unconnected(t, Inet)
		_, err := s.Write(buf)
		require.ErrorIs(t, err, unix.EPIPE)
		require.False(t, s.EOF())
		s.core.atEnd.Store(true)
		require.NoError(t, s.ConnectAddr(l.LocalAddr()))
		require.False(t, s.EOF())
	})
	t.Run("a character pushed back", func(t *testing.T) {
		s, peer := inputPair(t, Stream)
		put(t, peer, "a")
		peer.Close()
		requireRune(t, s, 'a')
		_, _, err := s.ReadRune()
		require.Equal(t, io.EOF, err)
		require.NoError(t, s.UnreadRune())
		require.False(t, s.EOF(), "there is something to read")
		requireRune(t, s, 'a')
		require.True(t, s.EOF())
	})
}

// tcpInputPair returns the ends of a TCP connection, a and b.
func tcpInputPair(t *testing.T, cfg ...Config) (a, b *Socket) {
	t.Helper()
	local := only(cfg)
	local.Address = "127.0.0.1"
	listener, err := local.New(Inet, Stream, 0)
	require.NoError(t, err)
	defer listener.Close()
	require.NoError(t, listener.Listen(1))
	b, err = New(Inet, Stream, 0)
	require.NoError(t, err)
	require.NoError(t, b.ConnectAddr(listener.LocalAddr()))
	a, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// After a reset by the peer, the socket returns the buffer, then the kernel's data, then
// ECONNRESET once, then the end. An incomplete line or character counts as data.
func TestReset(t *testing.T) {
	type outcome struct {
		value string
		err   error
	}
	char := func(s *Socket) outcome {
		r, _, err := s.ReadRune()
		if err != nil {
			return outcome{"", err}
		}
		return outcome{string(r), nil}
	}
	line := func(s *Socket) outcome { l, err := s.ReadLine(); return outcome{l, err} }
	for _, c := range []struct {
		name           string
		buffer, kernel string
		read           func(*Socket) outcome
		want           []outcome
	}{
		{"read-char", "ab", "c", char, []outcome{{"b", nil}, {"c", nil}, {"", unix.ECONNRESET}, {"", io.EOF}, {"", io.EOF}}},
		{"read-line", "ab", "c\nd", line, []outcome{{"bc", nil}, {"d", nil}, {"", unix.ECONNRESET}, {"", io.EOF}}},
		{"in a character", "ab\xE2", "\x82", char, []outcome{{"b", nil}, {"", unix.EILSEQ}, {"", unix.ECONNRESET}, {"", io.EOF}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := tcpInputPair(t)
			put(t, peer, c.buffer)
			for s.Buffered() < len(c.buffer)-1 { // TCP may deliver the bytes in parts
				requireRune(t, s, 'a')
			}
			put(t, peer, c.kernel)
			peek := make([]byte, len(c.kernel))
			n, err := s.Recv(peek, unix.MSG_PEEK|unix.MSG_WAITALL)
			require.NoError(t, err)
			require.Equal(t, len(c.kernel), n)
			require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			require.NoError(t, peer.Close())
			for i, want := range c.want {
				got := c.read(s)
				require.Equal(t, want.value, got.value, "step %d", i)
				require.Equal(t, want.err == nil, got.err == nil, "step %d: %v", i, got.err)
				if want.err != nil {
					require.ErrorIs(t, got.err, want.err, "step %d", i)
				}
			}
			require.True(t, s.EOF())
		})
	}
	t.Run("an error is the end at once", func(t *testing.T) {
		s, peer := tcpInputPair(t)
		require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		require.NoError(t, peer.Close())
		_, err := s.ReadLine()
		require.ErrorIs(t, err, unix.ECONNRESET)
		require.True(t, s.EOF())
	})
	for name, call := range map[string]func(s *Socket) error{
		"send":     func(s *Socket) error { _, err := s.Send([]byte("x"), 0); return err },
		"sendto":   func(s *Socket) error { _, err := s.SendToAddr([]byte("x"), s.RemoteAddr(), 0); return err },
		"sendmsg":  func(s *Socket) error { _, err := s.SendMsg(&Message{Buffers: [][]byte{{'x'}}}, 0); return err },
		"sendmmsg": func(s *Socket) error { _, err := s.SendBatch([]Message{{Buffers: [][]byte{{'x'}}}}, 0); return err },
		"recvmsg":  func(s *Socket) error { _, err := s.RecvMsg(&Message{Buffers: [][]byte{{'x'}}}, 0); return err },
		"splice": func(s *Socket) error {
			sink, _ := inputPair(t, Stream)
			_, err := s.WriteTo(sink)
			return err
		},
	} {
		t.Run("a reset is told by "+name, func(t *testing.T) {
			s, peer := tcpInputPair(t)
			require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			require.NoError(t, peer.Close())
			require.ErrorIs(t, call(s), unix.ECONNRESET)
			require.True(t, s.EOF())
		})
	}
}

// A receive that has a part of its data when the connection is reset returns that part.
// The receive that waits behind it returns the reset, as in the kernel, and not the end.
func TestResetAfterAPartIsTheNextReceivers(t *testing.T) {
	type receive func(s *Socket) (int, error)
	for name, first := range map[string]receive{
		"Recv": func(s *Socket) (int, error) { return s.Recv(make([]byte, 8), unix.MSG_WAITALL) },
		"RecvMsg": func(s *Socket) (int, error) {
			return s.RecvMsg(&Message{Buffers: [][]byte{make([]byte, 8)}}, unix.MSG_WAITALL)
		},
		"RecvBatch": func(s *Socket) (int, error) {
			msgs := []Message{{Buffers: [][]byte{make([]byte, 4)}}, {Buffers: [][]byte{make([]byte, 4)}}}
			n, err := s.RecvBatch(msgs, 0)
			return n * msgs[0].N, err
		},
		"RecvBatch of full messages": func(s *Socket) (int, error) {
			msgs := []Message{{Buffers: [][]byte{make([]byte, 4)}}, {Buffers: [][]byte{make([]byte, 4)}}}
			n, err := s.RecvBatch(msgs, unix.MSG_WAITALL)
			return n * msgs[0].N, err
		},
		"RecvBatch of full messages of a byte": func(s *Socket) (int, error) {
			msgs := batchOf(5, 1)
			return s.RecvBatch(msgs, unix.MSG_WAITALL)
		},
	} {
		for method, call := range map[string]receive{
			"Recv":      func(s *Socket) (int, error) { return s.Recv(make([]byte, 8), 0) },
			"RecvMsg":   func(s *Socket) (int, error) { return s.RecvMsg(&Message{Buffers: [][]byte{make([]byte, 8)}}, 0) },
			"RecvBatch": func(s *Socket) (int, error) { return s.RecvBatch([]Message{{Buffers: [][]byte{make([]byte, 8)}}}, 0) },
			"Read":      func(s *Socket) (int, error) { return s.Read(make([]byte, 8)) },
			"ReadLine":  func(s *Socket) (int, error) { line, err := s.ReadLine(); return len(line), err },
			"Peek":      func(s *Socket) (int, error) { p, err := s.Peek(1); return len(p), err },
			"WriteTo":   func(s *Socket) (int, error) { n, err := s.WriteTo(io.Discard); return int(n), err },
			"splice": func(s *Socket) (int, error) {
				sink, _ := inputPair(t, Stream)
				n, err := s.WriteTo(sink)
				return int(n), err
			},
		} {
			t.Run(name+" then "+method, func(t *testing.T) {
				parkedIn := method
				if method == "splice" {
					parkedIn = "WriteTo"
				}
				s, peer := tcpInputPair(t)
				put(t, peer, "part")
				got := make(chan int, 1)
				before := blocked(t, strings.Fields(name)[0], func() error {
					n, err := first(s)
					got <- n
					return err
				})
				behind := blocked(t, parkedIn, func() error {
					_, err := call(s)
					return err
				})
				require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
				require.NoError(t, peer.Close())
				require.NoError(t, soon(t, before))
				require.Equal(t, 4, <-got)
				require.ErrorIs(t, soon(t, behind), unix.ECONNRESET)
				_, err := s.Recv(make([]byte, 1), 0)
				require.ErrorIs(t, err, io.EOF)
			})
		}
	}
}

// Two readers read in turn. Each has its deadline before it waits for the turn. The
// second does not read into the first one's line.
func TestReadersTakeTurns(t *testing.T) {
	s, peer := inputPair(t, Stream)
	put(t, peer, "first ")
	line := make(chan string)
	go func() {
		l, _ := s.ReadLine()
		line <- l
	}()
	parked(t, "ReadLine", 1)
	require.Equal(t, len("first "), s.Buffered(), "the bytes stay buffered until there is a line")

	require.NoError(t, s.SetRecvTimeout(30*time.Millisecond))
	start := time.Now()
	_, _, err := s.ReadRune()
	requireTimeout(t, err)
	require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)
	require.Equal(t, len("first "), s.Buffered(), "nothing of another's line is lost")

	require.NoError(t, s.SetRecvTimeout(0))
	char := make(chan rune)
	go func() {
		r, _, _ := s.ReadRune()
		char <- r
	}()
	parked(t, "ReadRune", 1)
	put(t, peer, "line\nxy")
	require.Equal(t, "first line", <-line)
	require.Equal(t, 'x', <-char)
	require.Equal(t, 1, s.Buffered())
}

// A call that the buffer serves does not clear the mark of readiness. The first read is
// full and leaves input in the kernel; a later call finds the input without another
// event.
func TestBufferedReadKeepsReadiness(t *testing.T) {
	s, peer := inputPair(t, Stream)
	sized(s, 4, 0)
	all := make(chan string)
	go func() {
		var got []rune
		for range 8 {
			r, _, err := s.ReadRune()
			if err != nil {
				break
			}
			got = append(got, r)
		}
		all <- string(got)
	}()
	parked(t, "ReadRune", 1)
	put(t, peer, "abcdefgh")
	require.Equal(t, "abcdefgh", <-all)
}

func TestMessagesAreWhole(t *testing.T) {
	for _, typ := range []Type{Dgram, SeqPacket} {
		t.Run(typ.String(), func(t *testing.T) {
			s, peer := inputPair(t, typ)
			sized(s, 8, 0)
			atOnce(s)
			put(t, peer, "a\xE2\x82")
			put(t, peer, "\xACb")
			requireRune(t, s, 'a')
			requireBad(t, s, 2) // no character continues in another message
			requireBad(t, s, 1)
			requireRune(t, s, 'b')

			put(t, peer, "one\ntwo")
			put(t, peer, "")
			put(t, peer, "more than eight")
			put(t, peer, "x")
			for _, want := range []string{"one", "two", "", "more tha", "x"} {
				line, err := s.ReadLine()
				require.NoError(t, err)
				require.Equal(t, want, line)
			}
			_, err := s.ReadLine()
			requireTimeout(t, err)

			put(t, peer, "")
			put(t, peer, "abc")
			put(t, peer, "def")
			all, err := s.ReadString()
			require.NoError(t, err)
			require.Equal(t, "", all)
			buf := make([]byte, 10)
			requireRune(t, s, 'a')
			for _, want := range []string{"bc", "def"} {
				n, err := s.Fread(buf)
				require.NoError(t, err)
				require.Equal(t, want, string(buf[:n]))
			}
		})
	}
}

func TestSizeOptions(t *testing.T) {
	for _, bad := range []Config{{MaxString: -1}, {MaxString: 1<<28 + 1}, {MaxLine: -5}, {MaxLine: 1<<28 + 1}} {
		_, err := bad.New(Inet, Stream, 0)
		require.ErrorIs(t, err, unix.EINVAL)
	}
	s, peer := tcpInputPair(t, Config{MaxString: 10, MaxLine: 20}) // accepted sockets inherit the sizes
	put(t, peer, strings.Repeat("x", 15))
	buf := make([]byte, 15)
	_, err := s.Recv(buf, unix.MSG_PEEK|unix.MSG_WAITALL)
	require.NoError(t, err)
	all, err := s.ReadString()
	require.NoError(t, err)
	require.Len(t, all, 10)
	put(t, peer, strings.Repeat("x", 20))
	_, err = s.ReadLine()
	require.ErrorIs(t, err, unix.EMSGSIZE)
}

func TestDump(t *testing.T) {
	s, peer := inputPair(t, Stream)
	var b bytes.Buffer
	require.NoError(t, s.Dump(&b))
	require.Contains(t, b.String(), "last character  none")
	put(t, peer, "€uro")
	requireRune(t, s, '€')
	require.NoError(t, s.UnreadRune())
	b.Reset()
	require.NoError(t, s.Dump(&b))
	for _, want := range []string{"unix stream", "maxstring       4096", "buffered        6", "U+20AC '€'", "char-in-buffer  true", "eof             false", "e2 82 ac 75 72 6f"} {
		require.Contains(t, b.String(), want)
	}
	require.NoError(t, s.Dump(s), "w may be the socket itself")
	require.Equal(t, 6, s.Buffered())
	r, w := io.Pipe()
	r.Close()
	require.ErrorIs(t, s.Dump(w), io.ErrClosedPipe)
	require.NoError(t, s.Close())
	require.NoError(t, s.Dump(io.Discard))
}

func TestNoAllocation(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	s, peer := inputPair(t, Stream)
	text := []byte("abcdefgh€")
	buf := make([]byte, 100)
	read := func(f func() error) func() {
		return func() {
			if _, err := peer.Write(text); err != nil {
				t.Fatal(err)
			}
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, f := range map[string]func() error{
		"recv":  func() error { _, err := s.Recv(buf, 0); return err },
		"fread": func() error { _, err := s.Fread(buf); return err },
		"read-char": func() error {
			for range 9 {
				if _, _, err := s.ReadRune(); err != nil {
					return err
				}
				if err := s.UnreadRune(); err != nil {
					return err
				}
				if _, _, err := s.ReadRune(); err != nil {
					return err
				}
			}
			return nil
		},
		"write": func() error {
			if _, err := s.WriteRune('€'); err != nil {
				return err
			}
			if _, err := s.WriteString("abc"); err != nil {
				return err
			}
			if _, err := s.WriteLine("def"); err != nil {
				return err
			}
			if _, err := peer.Recv(buf, 0); err != nil {
				return err
			}
			_, err := s.Recv(buf, 0)
			return err
		},
	} {
		require.Less(t, testing.AllocsPerRun(1000, read(f)), 0.5, name)
	}
}

// Read and Fread find the end on every socket that has one. An empty message before the
// end is not the end.
func TestReadFindsTheEnd(t *testing.T) {
	for _, typ := range []Type{Stream, SeqPacket} {
		s, peer := inputPair(t, typ)
		put(t, peer, "x")
		require.NoError(t, peer.Close())
		buf := make([]byte, 8)
		n, err := s.Read(buf)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		for range 2 {
			_, err = s.Read(buf)
			require.Equal(t, io.EOF, err)
			_, err = s.Fread(buf)
			require.Equal(t, io.EOF, err)
		}
	}
	s, peer := inputPair(t, SeqPacket)
	_, err := peer.Send([]byte{}, 0)
	require.NoError(t, err)
	n, err := s.Read(make([]byte, 8))
	require.NoError(t, err)
	require.Zero(t, n)
}
