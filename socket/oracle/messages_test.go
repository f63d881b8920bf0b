package oracle

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A letter is the content of a message.
type letter struct {
	parts  []string
	to     string // a peer's name; empty if the message has no address
	rights int    // how many descriptors of the world's token the message carries
	cred   bool   // whether the message carries the process's credentials
}

func (l letter) message(w *world) *message {
	m := &message{}
	for _, p := range l.parts {
		m.parts = append(m.parts, []byte(p))
	}
	if l.rights > 0 {
		fds := make([]int, l.rights)
		for i := range fds {
			fds[i] = w.tokenFd()
		}
		m.control = append(m.control, unix.UnixRights(fds...)...)
	}
	if l.cred {
		m.control = append(m.control, unix.UnixCredentials(ourselves())...)
	}
	if l.to != "" {
		to := w.targetOf(l.to)
		m.to = &to
	}
	return m
}

func (l letter) String() string {
	text := fmt.Sprintf("%q", l.parts)
	if l.rights > 0 {
		text += fmt.Sprintf(" %d fds", l.rights)
	}
	if l.cred {
		text += " cred"
	}
	if l.to != "" {
		text += " to " + l.to
	}
	return text
}

func ourselves() *unix.Ucred {
	return &unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
}

// tokenFd returns a descriptor to send.
func (w *world) tokenFd() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.token < 0 {
		fd, err := unix.MemfdCreate("token", unix.MFD_CLOEXEC)
		require.NoError(w.t, err)
		w.token = fd
	}
	return w.token
}

// The following steps are calls on the socket.

func sendMsg(l letter, flags ...int) step {
	f := or(flags)
	return step{name: fmt.Sprintf("sendmsg(%v%s)", l, flagNames(f)), call: func(w *world, s endpoint) outcome {
		m := l.message(w)
		return timed(s, unix.SO_SNDTIMEO, f, func() string {
			if errno := s.sendMsg(m, f); errno != 0 {
				return errnoName(errno)
			}
			return fmt.Sprint(m.n)
		})
	}}
}

// recvMsg receives into buffers of the given sizes. It has room for the given number of
// bytes of control messages.
func recvMsg(sizes []int, room int, flags ...int) step {
	f := or(flags)
	return step{name: fmt.Sprintf("recvmsg(%d control %d%s)", sizes, room, flagNames(f)), call: func(w *world, s endpoint) outcome {
		m := &message{parts: buffers(sizes...), control: make([]byte, room)}
		return timed(s, unix.SO_RCVTIMEO, f, func() string {
			errno := s.recvMsg(m, f)
			return w.told(m, errno)
		})
	}}
}

// recvBatch receives several messages of up to 8 bytes.
func recvBatch(count int, flags ...int) step {
	f := or(flags)
	return step{name: fmt.Sprintf("recvmmsg(%d%s)", count, flagNames(f)), call: func(w *world, s endpoint) outcome {
		ms := make([]message, count)
		for i := range ms {
			ms[i].parts = buffers(3, 5)
		}
		return timed(s, unix.SO_RCVTIMEO, f, func() string {
			n, errno := s.recvBatch(ms, f)
			if errno != 0 {
				return errnoName(errno)
			}
			texts := []string{fmt.Sprint(n, ":")}
			for i := range n {
				texts = append(texts, ms[i].data()+flagNames(ms[i].flags))
			}
			return strings.Join(texts, " ")
		})
	}}
}

func sendBatch(flags int, ls ...letter) step {
	return step{name: fmt.Sprintf("sendmmsg(%v%s)", ls, flagNames(flags)), call: func(w *world, s endpoint) outcome {
		ms := make([]message, len(ls))
		for i, l := range ls {
			ms[i] = *l.message(w)
		}
		return timed(s, unix.SO_SNDTIMEO, flags, func() string {
			n, errno := s.sendBatch(ms, flags)
			if errno != 0 {
				return errnoName(errno)
			}
			lengths := make([]int, n)
			for i := range lengths {
				lengths[i] = ms[i].n
			}
			return fmt.Sprint(lengths)
		})
	}}
}

func letters(texts ...string) (ls []letter) {
	for _, t := range texts {
		ls = append(ls, letter{parts: []string{t}})
	}
	return ls
}

func buffers(sizes ...int) (parts [][]byte) {
	for _, n := range sizes {
		parts = append(parts, make([]byte, n))
	}
	return parts
}

// The following steps are actions of peers.

func peerSendsMsg(l letter) step {
	return byPeer("p", fmt.Sprintf("sends %v", l), func(w *world, p *peer) string {
		m := l.message(w)
		_, err := unix.SendmsgBuffers(p.fd, m.parts, m.control, nil, unix.MSG_NOSIGNAL)
		require.NoError(w.t, err)
		p.settle()
		return ""
	})
}

func peerGetsMsg(room int) step {
	return byPeer("p", "gets a message", func(w *world, p *peer) string {
		p.await(unix.POLLIN)
		m := &message{parts: buffers(16), control: make([]byte, room)}
		errno := newBlocking(p.fd).recvMsg(m, 0)
		return "peer " + w.told(m, errno)
	})
}

// told returns everything that a received message reports, as text.
func (w *world) told(m *message, errno syscall.Errno) string {
	if errno != 0 {
		return errnoName(errno)
	}
	text := m.data() + flagNames(m.flags) + " from " + w.who(m.from)
	cms, err := unix.ParseSocketControlMessage(m.control[:m.controlLen])
	require.NoError(w.t, err)
	for _, cm := range cms {
		text += " with " + w.control(cm)
	}
	return text
}

// data returns the data that came in each buffer, as text.
func (m *message) data() string {
	left := m.n
	var texts []string
	for _, p := range m.parts {
		if k := min(left, len(p)); k > 0 {
			texts = append(texts, fmt.Sprintf("%q", p[:k]))
			left -= k
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%d %s", m.n, strings.Join(texts, "+")), " ")
}

func (w *world) control(cm unix.SocketControlMessage) string {
	h := cm.Header
	switch {
	case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS:
		fds, err := unix.ParseUnixRights(&cm)
		require.NoError(w.t, err)
		same := 0
		for _, fd := range fds {
			if w.isToken(fd) {
				same++
			}
			unix.Close(fd)
		}
		return fmt.Sprintf("%d of %d fds", same, len(fds))
	case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_CREDENTIALS:
		cred, err := unix.ParseUnixCredentials(&cm)
		require.NoError(w.t, err)
		if *cred != *ourselves() {
			return fmt.Sprintf("credentials %v", *cred)
		}
		return "our credentials"
	case h.Type == unix.IP_RECVERR || h.Type == unix.IPV6_RECVERR:
		return errnoName(syscall.Errno(binary.NativeEndian.Uint32(cm.Data)))
	}
	return fmt.Sprintf("control %d.%d", h.Level, h.Type)
}

// isToken reports whether a descriptor is a duplicate of the world's token and
// close-on-exec.
func (w *world) isToken(fd int) bool {
	var got, want unix.Stat_t
	require.NoError(w.t, unix.Fstat(fd, &got))
	require.NoError(w.t, unix.Fstat(w.tokenFd(), &want))
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(w.t, err)
	return got.Ino == want.Ino && got.Dev == want.Dev && flags&unix.FD_CLOEXEC != 0
}
