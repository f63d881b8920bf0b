package socket

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// split cuts text into buffers of at most n bytes.
func split(text string, n int) (bufs [][]byte) {
	for len(text) > 0 {
		k := min(n, len(text))
		bufs = append(bufs, []byte(text[:k]))
		text = text[k:]
	}
	return bufs
}

func joined(m *Message) string {
	var b strings.Builder
	for _, buf := range m.Buffers {
		b.Write(buf)
	}
	return b.String()[:min(m.N, b.Len())]
}

func room(sizes ...int) (m *Message) {
	m = &Message{}
	for _, n := range sizes {
		m.Buffers = append(m.Buffers, make([]byte, n))
	}
	return m
}

// openFDs returns how many descriptors the process has. It does not count pipes, because
// a pool keeps them.
func openFDs(t *testing.T) (count int) {
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err == nil && !strings.HasPrefix(to, "pipe:") {
			count++
		}
	}
	return count
}

func TestMessagesScatterAndGather(t *testing.T) {
	a, b := udpPair(t)
	n, err := a.SendMsg(&Message{Buffers: split("hello, world", 5), Addr: b.LocalAddr()}, 0)
	require.NoError(t, err)
	require.Equal(t, 12, n)
	m := room(1, 0, 4, 20)
	n, err = b.RecvMsg(m, unix.MSG_PEEK)
	require.NoError(t, err)
	require.Equal(t, 12, n)
	require.Equal(t, "hello, world", joined(m))
	require.Equal(t, a.LocalAddr(), m.Addr)
	require.False(t, b.RemoteAddr().IsValid(), "that is RecvFrom's")

	m = room(2, 3)
	n, err = b.RecvMsg(m, unix.MSG_TRUNC)
	require.NoError(t, err)
	require.Equal(t, 12, n)
	require.Equal(t, "hello", joined(m))
	require.NotZero(t, m.Flags&unix.MSG_TRUNC)

	// After an error, no part of the last message remains.
	_, err = b.RecvMsg(m, unix.MSG_DONTWAIT)
	require.ErrorIs(t, err, unix.EAGAIN)
	require.Zero(t, m.N)
	require.Equal(t, Addr{}, m.Addr)
	require.Zero(t, m.Flags)

	_, err = a.SendMsg(&Message{Addr: UnixAddr(strings.Repeat("x", 200))}, 0)
	require.ErrorIs(t, err, unix.ENAMETOOLONG)
	require.ErrorContains(t, err, "sendmsg xxx")
	_, err = a.SendMsg(&Message{Buffers: split(strings.Repeat("x", 1025), 1), Addr: b.LocalAddr()}, 0)
	require.ErrorIs(t, err, unix.EMSGSIZE)
}

func TestMessagesAfterShutdownAreEmpty(t *testing.T) {
	a, b := udpPair(t)
	require.NoError(t, a.ConnectAddr(b.LocalAddr()))
	require.NoError(t, a.Shutdown(unix.SHUT_RD))
	m := room(9)
	m.Control = make([]byte, 64)
	n, err := a.RecvMsg(m, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, Addr{}, m.Addr)
	require.Zero(t, m.ControlLen)
	n, err = a.RecvBatch(batchOf(2, 9), unix.MSG_WAITFORONE)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestSendMsgSendsAllOfAStream(t *testing.T) {
	a, b, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	defer b.Close()
	text := strings.Repeat("0123456789abcdefg", 100_000)
	done := make(chan error, 1)
	go func() {
		defer a.Close()
		n, err := a.SendMsg(&Message{Buffers: split(text, 3001)}, 0)
		if err == nil && n != len(text) {
			err = io.ErrShortWrite
		}
		done <- err
	}()
	awaitParked(t, 1)
	m := room(1000, len(text)-1000)
	n, err := b.RecvMsg(m, unix.MSG_WAITALL)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
	require.Equal(t, text, joined(m))
	require.NoError(t, <-done)
	_, err = b.RecvMsg(m, 0)
	require.Equal(t, io.EOF, err)
}

func TestSendMsgOutOfTimeCounts(t *testing.T) {
	a, b, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	require.NoError(t, a.SetSendTimeout(short))
	m := &Message{Buffers: [][]byte{make([]byte, 1<<20), make([]byte, 1<<20)}}
	n, err := a.SendMsg(m, 0)
	require.NoError(t, err)
	require.Equal(t, n, m.N)
	require.Greater(t, n, 0)
	require.Less(t, n, 2<<20)
	_, err = a.SendMsg(m, 0)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// If a message leaves in parts, the socket sends its control messages once.
func TestSendMsgPassesDescriptorsOnce(t *testing.T) {
	a, b, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	defer b.Close()
	const size = 3 << 20
	done := make(chan error, 1)
	go func() {
		_, err := a.SendMsg(&Message{Buffers: [][]byte{make([]byte, size)}, Control: unix.UnixRights(b.Fd())}, 0)
		a.Close()
		done <- err
	}()
	awaitParked(t, 1)
	got, fds := 0, 0
	m := room(64 << 10)
	m.Control = make([]byte, 64)
	for {
		n, err := b.RecvMsg(m, 0)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		got += n
		for _, fd := range m.Descriptors() {
			fds++
			require.NoError(t, unix.Close(fd))
		}
	}
	require.NoError(t, <-done)
	require.Equal(t, []int{size, 1}, []int{got, fds})
}

// A receive joins the bytes of a stream that carry descriptors neither with those before
// nor with those after.
func TestWaitAllKeepsDescriptors(t *testing.T) {
	a, b, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	before := openFDs(t)
	for i, control := range [][]byte{nil, unix.UnixRights(a.Fd()), unix.UnixRights(b.Fd())} {
		_, err := a.SendMsg(&Message{Buffers: split("abcdefghi"[3*i:3*i+3], 9), Control: control}, 0)
		require.NoError(t, err)
	}
	var got []string
	fds := 0
	for len(strings.Join(got, "")) < 9 {
		m := room(9)
		m.Control = make([]byte, 64)
		_, err := b.RecvMsg(m, unix.MSG_WAITALL)
		require.NoError(t, err)
		got = append(got, joined(m))
		for _, fd := range m.Descriptors() {
			fds++
			require.NoError(t, unix.Close(fd))
		}
		require.Zero(t, m.Flags&unix.MSG_CTRUNC)
	}
	require.Equal(t, 2, fds)
	require.Equal(t, "abcdefghi", strings.Join(got, ""))
	require.LessOrEqual(t, openFDs(t), before)
}

func TestDescriptorsPass(t *testing.T) {
	for _, typ := range []Type{Stream, Dgram, SeqPacket} {
		a, b, err := Pair(Unix, typ, 0)
		require.NoError(t, err)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		_, err = a.SendMsg(&Message{Buffers: split("x", 1), Control: unix.UnixRights(int(w.Fd()))}, 0)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		m := room(1)
		m.Control = make([]byte, unix.CmsgSpace(4))
		_, err = b.RecvMsg(m, 0)
		require.NoError(t, err)
		fds := m.Descriptors()
		require.Len(t, fds, 1)
		flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0)
		require.NoError(t, err)
		require.NotZero(t, flags&unix.FD_CLOEXEC)
		passed := os.NewFile(uintptr(fds[0]), "passed")
		_, err = passed.WriteString("through")
		require.NoError(t, err)
		require.NoError(t, passed.Close())
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "through", string(text))
		require.NoError(t, r.Close())
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}

// The attempt before the wait must not use up the room for control messages.
func TestDescriptorsEndAWait(t *testing.T) {
	for _, typ := range []Type{Stream, Dgram, SeqPacket} {
		a, b, err := Pair(Unix, typ, 0)
		require.NoError(t, err)
		m := room(9)
		m.Control = make([]byte, unix.CmsgSpace(4))
		got := make(chan error, 1)
		go func() {
			_, err := b.RecvMsg(m, 0)
			got <- err
		}()
		parked(t, "RecvMsg", 1)
		_, err = a.SendMsg(&Message{Buffers: split("x", 1), Control: unix.UnixRights(a.Fd())}, 0)
		require.NoError(t, err)
		require.NoError(t, <-got)
		require.Zero(t, m.Flags&unix.MSG_CTRUNC)
		fds := m.Descriptors()
		require.Len(t, fds, 1)
		require.NoError(t, unix.Close(fds[0]))
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}

func TestTruncatedControlLeaksNothing(t *testing.T) {
	a, b, err := Pair(Unix, Dgram, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	before := openFDs(t)
	for _, space := range []int{0, 1, 16, 17, 20, 23, 24, 28, 32, 40} {
		_, err := a.SendMsg(&Message{Buffers: split("x", 1), Control: unix.UnixRights(slices.Repeat([]int{a.Fd()}, 6)...)}, 0)
		require.NoError(t, err)
		m := room(1)
		m.Control = make([]byte, space)
		_, err = b.RecvMsg(m, 0)
		require.NoError(t, err)
		require.Equal(t, space < 40, m.Flags&unix.MSG_CTRUNC != 0, space)
		fds := m.Descriptors()
		require.Len(t, fds, max(0, (space-16)/4), space)
		for _, fd := range fds {
			require.NoError(t, unix.Close(fd))
		}
		require.LessOrEqual(t, openFDs(t), before, space)
	}
	// A call without room for control messages also leaves no descriptor open.
	_, err = a.SendMsg(&Message{Buffers: split("x", 1), Control: unix.UnixRights(a.Fd())}, 0)
	require.NoError(t, err)
	_, err = b.Recv(make([]byte, 1), 0)
	require.NoError(t, err)
	require.LessOrEqual(t, openFDs(t), before)
}

func TestCredentialsAndTimestamps(t *testing.T) {
	a, b, err := Pair(Unix, Dgram, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	require.NoError(t, unix.SetsockoptInt(b.Fd(), unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	for _, c := range []struct{ option int }{{unix.SO_TIMESTAMP}, {unix.SO_TIMESTAMPNS}} {
		require.NoError(t, unix.SetsockoptInt(b.Fd(), unix.SOL_SOCKET, c.option, 1))
		begin := time.Now().Truncate(time.Microsecond)
		cred := unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
		_, err = a.SendMsg(&Message{Buffers: split("x", 1), Control: unix.UnixCredentials(&cred)}, 0)
		require.NoError(t, err)
		m := room(1)
		m.Control = make([]byte, 200)
		_, err = b.RecvMsg(m, 0)
		require.NoError(t, err)
		got, ok := m.Credentials()
		require.True(t, ok)
		require.Equal(t, cred, got)
		at, ok := m.Timestamp()
		require.True(t, ok)
		require.WithinRange(t, at, begin.Add(-10*time.Millisecond), time.Now().Add(10*time.Millisecond))
	}
	m := &Message{}
	_, ok := m.Credentials()
	require.False(t, ok)
	_, ok = m.Timestamp()
	require.False(t, ok)
}

// The parser skips control messages that are cut short or have a wrong size.
func TestControlsOfAnything(t *testing.T) {
	good := unix.UnixRights(7)
	for _, c := range []struct {
		control []byte
		count   int
	}{
		{nil, 0}, {good[:15], 0}, {good[:16], 0}, {good[:20], 1}, {good, 1},
		{append(append([]byte{}, good...), good...), 2},
		{append(append([]byte{}, good...), make([]byte, 16)...), 1}, // size 0
		{[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"), 0},
	} {
		count := 0
		for range controls(c.control) {
			count++
		}
		require.Equal(t, c.count, count)
	}
}

func TestErrorQueueNeverWaits(t *testing.T) {
	s := open(t, Inet, Dgram)
	require.NoError(t, unix.SetsockoptInt(s.Fd(), unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	m := room(9)
	m.Control = make([]byte, 200)
	_, err := s.RecvMsg(m, unix.MSG_ERRQUEUE)
	require.ErrorIs(t, err, unix.EAGAIN)
	refuse(t, weirEnd{s})
	n, err := s.RecvMsg(m, unix.MSG_ERRQUEUE)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NotZero(t, m.Flags&unix.MSG_ERRQUEUE)
	found := false
	for cm := range m.Controls() {
		found = found || cm.Level == unix.IPPROTO_IP && cm.Type == unix.IP_RECVERR && unix.Errno(cm.Data[0]) == unix.ECONNREFUSED
	}
	require.True(t, found)

}

// The error queue may report that a send is complete. poll(2) calls that an error, but it
// does not end a send that waits for room.
func TestErrorQueueDoesNotBreakASend(t *testing.T) {
	a, b := tcpPair(t)
	require.NoError(t, a.Setsockopt(nil, "SO_ZEROCOPY", true))
	_, err := a.Send([]byte("x"), unix.MSG_ZEROCOPY)
	require.NoError(t, err)
	_, err = b.Recv(make([]byte, 1), 0)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return polled(a.Fd(), unix.POLLERR) }, time.Minute, time.Millisecond)

	big := make([]byte, 16<<20)
	drained := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(b, make([]byte, 2*len(big)))
		drained <- err
	}()
	n, err := a.Write(big)
	require.NoError(t, err)
	require.Equal(t, len(big), n)
	n, err = a.Send(big, 0)
	require.NoError(t, err)
	require.Equal(t, len(big), n)
	require.NoError(t, <-drained)
}

// The error queue gives the address to which the error applies. It is not the address of
// a sender.
func TestErrorQueueTellsNoSender(t *testing.T) {
	s, gone := open(t, Inet, Dgram), open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	require.NoError(t, unix.SetsockoptInt(s.Fd(), unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	to := gone.LocalAddr()
	require.NoError(t, gone.Close())
	_, err := s.SendToAddr([]byte("x"), to, 0)
	require.NoError(t, err)
	_, about, err := s.RecvFrom(make([]byte, 9), unix.MSG_ERRQUEUE)
	require.NoError(t, err)
	require.Equal(t, to, about)
	require.False(t, s.RemoteAddr().IsValid())
}

// A read of a unix stream ends behind descriptors. The next read finds the data after
// them, although both came as one event and the first read was short.
func TestDescriptorsLeaveTheRestOfAStream(t *testing.T) {
	a, b := inputPair(t, Stream)
	require.NoError(t, a.SetRecvTimeout(time.Millisecond))
	_, err := a.Recv(make([]byte, 9), 0) // from now on the kernel watches it
	requireTimeout(t, err)
	require.NoError(t, a.SetRecvTimeout(0))
	for name, recv := range map[string]func() (int, error){
		"Recv":    func() (int, error) { return a.Recv(make([]byte, 9), 0) },
		"RecvMsg": func() (int, error) { return a.RecvMsg(room(9), 0) },
		"Read":    func() (int, error) { return a.Read(make([]byte, 9)) },
		"ReadString": func() (int, error) {
			text, err := a.ReadString()
			return len(text), err
		},
	} {
		held, sent := make(chan bool), make(chan bool)
		require.NoError(t, a.core.reg.Loop().Post(func() { close(held); <-sent }))
		<-held
		_, err = b.SendMsg(&Message{Buffers: split("abc", 3), Control: unix.UnixRights(b.Fd())}, 0)
		require.NoError(t, err)
		put(t, b, "de")
		close(sent)
		awaitReady(t, a, readableBit)
		for _, want := range []int{3, 2} {
			got := make(chan error, 1)
			go func() {
				n, err := recv()
				if err == nil && n != want {
					err = io.ErrShortBuffer
				}
				got <- err
			}()
			require.NoError(t, soon(t, got), name)
		}
	}
}
