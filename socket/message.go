package socket

import (
	"encoding/binary"
	"iter"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A Message is sent by one sendmsg(2) or received by one recvmsg(2). It may be
// used again and again. While a call has it, only that call may touch it. It is for
// one goroutine at a time.
type Message struct {
	// Buffers are filled, or sent, one after the other.
	Buffers [][]byte
	// Control has the control messages to send, or room for those to receive.
	// unix.UnixRights makes one that passes descriptors, unix.UnixCredentials
	// one that passes credentials. It may be nil.
	Control []byte
	// Addr is the sender, or the receiver. To send to the peer of a connected
	// socket it is the zero Addr.
	Addr Addr
	// Segment is the size of a datagram in bytes. If it is not 0 in a message
	// to send, the kernel splits the buffers' bytes into datagrams of this size
	// (UDP_SEGMENT). If it is not 0 in a received message, the kernel has
	// joined datagrams of this size (GRO). See udp(7).
	Segment int

	// The results of a call.

	N          int // bytes sent, or received; with MSG_TRUNC the real length
	ControlLen int // bytes of Control that were received
	Flags      int // MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_ERRQUEUE of a received one
}

// size returns how many bytes the buffers have.
func (m *Message) size() (n int) {
	for _, b := range m.Buffers {
		n += len(b)
	}
	return n
}

// forget clears the results of a call.
func (m *Message) forget() { m.Addr, m.Segment, m.ControlLen, m.Flags = Addr{}, 0, 0, 0 }

// A ControlMessage is a message of cmsg(3), with its level and type.
type ControlMessage struct {
	Level, Type int    // cmsg_level and cmsg_type, such as unix.SOL_SOCKET and unix.SCM_RIGHTS
	Data        []byte // a part of the Message's Control
}

// Controls iterates over the received control messages.
func (m *Message) Controls() iter.Seq[ControlMessage] { return controls(m.Control[:m.ControlLen]) }

func controls(b []byte) iter.Seq[ControlMessage] {
	return func(yield func(ControlMessage) bool) {
		header := unix.CmsgLen(0)
		for len(b) >= header {
			// The fields are read byte by byte, because Control may be unaligned.
			size := int(binary.NativeEndian.Uint64(b)) // cmsg_len is a size_t
			if size < header || size > len(b) {
				return
			}
			cm := ControlMessage{
				Level: int(int32(binary.NativeEndian.Uint32(b[8:]))),
				Type:  int(int32(binary.NativeEndian.Uint32(b[12:]))),
				Data:  b[header:size:size],
			}
			if !yield(cm) {
				return
			}
			b = b[min(unix.CmsgSpace(size-header), len(b)):]
		}
	}
}

// Descriptors returns the received descriptors, which are close-on-exec. The
// caller owns them, and closes them or passes them to Adopt. If Flags has
// MSG_CTRUNC, there were more, which the kernel has closed.
func (m *Message) Descriptors() (fds []int) {
	for cm := range m.Controls() {
		if cm.Level == unix.SOL_SOCKET && cm.Type == unix.SCM_RIGHTS {
			for d := cm.Data; len(d) >= 4; d = d[4:] {
				fds = append(fds, int(int32(binary.NativeEndian.Uint32(d))))
			}
		}
	}
	return fds
}

// Credentials returns the sender's credentials, if the message has them: the
// receiver must have set SO_PASSCRED. See unix(7).
func (m *Message) Credentials() (cred unix.Ucred, ok bool) {
	for cm := range m.Controls() {
		if cm.Level == unix.SOL_SOCKET && cm.Type == unix.SCM_CREDENTIALS && len(cm.Data) >= unix.SizeofUcred {
			word := func(i int) uint32 { return binary.NativeEndian.Uint32(cm.Data[4*i:]) }
			return unix.Ucred{Pid: int32(word(0)), Uid: word(1), Gid: word(2)}, true
		}
	}
	return cred, false
}

// Timestamp returns when the kernel received the message, if the message says
// so: the receiver must have set SO_TIMESTAMPNS, SO_TIMESTAMP or
// SO_TIMESTAMPING. See socket(7).
func (m *Message) Timestamp() (t time.Time, ok bool) {
	for cm := range m.Controls() {
		if cm.Level != unix.SOL_SOCKET || len(cm.Data) < 16 {
			continue
		}
		data := cm.Data
		if len(data) >= 48 && binary.NativeEndian.Uint64(data) == 0 {
			data = data[32:] // SO_TIMESTAMPING: only the hardware's is there
		}
		sec := int64(binary.NativeEndian.Uint64(data))
		part := int64(binary.NativeEndian.Uint64(data[8:]))
		switch cm.Type {
		case unix.SO_TIMESTAMP, unix.SO_TIMESTAMP_NEW:
			part *= int64(time.Microsecond)
		case unix.SO_TIMESTAMPNS, unix.SO_TIMESTAMPNS_NEW, unix.SO_TIMESTAMPING, unix.SO_TIMESTAMPING_NEW:
		default:
			continue
		}
		return time.Unix(sec, part), true
	}
	return t, false
}

// RecvMsg receives a message, with control messages and into several buffers:
// recvmsg(2) with its flags. It waits, and ends a stream, as Recv does. The
// message's fields tell the rest. Descriptors that come with it are the
// caller's, also those of a truncated message (MSG_CTRUNC), and one more of
// each comes with every MSG_PEEK.
func (s *Socket) RecvMsg(m *Message, flags int) (int, error) {
	h := takeHeaders(s.core)
	defer h.free()
	m.forget()
	n, err := s.recvMsg(h, m, flags)
	m.N = n
	return n, s.received("recvmsg", n, m.size(), flags, err)
}

func (s *Socket) recvMsg(h *headers, m *Message, flags int) (int, error) {
	c := s.core
	if !h.after {
		if err := c.receivable(flags); err != nil {
			return 0, err
		}
	}
	size := m.size()
	h.receive(one(m))
	if c.immediate(flags) {
		n, err := s.onceRecv(flags, func(fd int) (int, syscall.Errno) { return c.recvmsg(h, fd, flags|unix.MSG_DONTWAIT) })
		if err == nil {
			h.told(one(m))
		} else if h.after {
			c.leave(err)
		}
		return n, err
	}
	if target := c.target(size, flags); target > 1 {
		return s.recvParts(h, m, target, flags, c.past(flags, h.after))
	}
	var n int
	var errno syscall.Errno
	err := s.waitRecv(c.past(flags, h.after), func(fd int, waited bool) (bool, syscall.Errno) {
		if waited && size == 0 && c.tcp() {
			return true, 0 // as in recv
		}
		n, errno = c.recvmsg(h, fd, flags)
		return c.leftover(n, size, flags), errno
	})
	if err == nil && errno == 0 { // else it is the end, and nothing was told
		h.told(one(m))
	}
	return n, err
}

// recvParts receives a message of target bytes or more, in parts. On a unix
// stream the message ends where the kernel would end it: behind descriptors,
// and, with SO_PASSCRED, where the sender changes.
func (s *Socket) recvParts(h *headers, m *Message, target, flags int, t turn) (int, error) {
	local := s.core.family == Unix
	var sender unix.Ucred
	known := false // whether the kernel has named the sender
	return s.recvAtLeast(target, flags, t, func(fd, done, flags int) (int, bool, syscall.Errno) {
		switch {
		case !local:
		case known:
			if next, ok, errno := peekSender(s.core, fd); errno != 0 || ok && next != sender {
				return 0, true, errno
			}
		case done == 0 && len(m.Control) == 0 && passesCredentials(fd):
			h.space = credentialsSpace // or MSG_CTRUNC would not mean descriptors
		}
		h.receive(one(m))
		h.skip(0, done)
		n, errno := s.core.recvmsg(h, fd, flags)
		if errno != 0 || n == 0 && done > 0 { // at the end, the kernel does not name the sender
			return 0, false, errno
		}
		h.told(one(m))
		if !local {
			return n, false, 0
		}
		came := Message{Control: h.controlOf(0)}
		came.ControlLen = len(came.Control)
		sender, known = came.Credentials()
		return n, h.msgs[0].Hdr.Flags&unix.MSG_CTRUNC != 0 || len(came.Descriptors()) > 0, 0
	})
}

// recvWithin is recvParts into one buffer. recv(2) does not report descriptors.
func (s *Socket) recvWithin(buf []byte, target, flags int, from *sockaddr, t turn) (int, error) {
	h := takeHeaders(s.core)
	defer h.free()
	m := Message{Buffers: [][]byte{buf}}
	n, err := s.recvParts(h, &m, target, flags, t)
	if from != nil && n > 0 {
		_ = from.encode(m.Addr) // the kernel has just given it
	}
	return n, err
}

var credentialsSpace = unix.CmsgSpace(unix.SizeofUcred)

// passesCredentials reports whether a unix socket receives credentials.
func passesCredentials(fd int) bool {
	on, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED)
	return err == nil && on != 0
}

// peekSender returns the sender of what comes next. It gives no room for
// anything else, so it receives no descriptor.
func peekSender(c *core, fd int) (sender unix.Ucred, ok bool, errno syscall.Errno) {
	h := takeHeaders(c)
	defer h.free()
	m := Message{Buffers: [][]byte{make([]byte, 1)}, Control: make([]byte, credentialsSpace)}
	h.receive(one(&m))
	if _, errno = h.recvmsg(fd, unix.MSG_PEEK); errno == 0 {
		h.told(one(&m))
		sender, ok = m.Credentials()
	}
	return sender, ok, errno
}

// SendMsg sends a message from several buffers, with control messages:
// sendmsg(2) with its flags. It waits and counts as Send does. On a stream the
// control messages go with the first bytes. There may be 1024 buffers
// (EMSGSIZE).
func (s *Socket) SendMsg(m *Message, flags int) (int, error) {
	n, err := s.sendMsg(m, flags)
	n, err = s.core.settle(n, err)
	m.N = n
	if err != nil {
		return n, s.core.failed("sendmsg", m.Addr.String(), err)
	}
	return n, nil
}

func (s *Socket) sendMsg(m *Message, flags int) (int, error) {
	c := s.core
	if err := c.takeOwed(); err != nil {
		return 0, err
	}
	h := takeHeaders(c)
	defer h.free()
	if err := h.send(one(m)); err != nil {
		return 0, err
	}
	if flags&unix.MSG_DONTWAIT != 0 {
		return s.once(func(fd int) (int, syscall.Errno) { return c.sendmsg(h, fd, flags) })
	}
	total, size := 0, m.size()
	try := func(fd int, waited bool) (bool, syscall.Errno) {
		if c.brokenMidway(fd, total) {
			return true, unix.EPIPE
		}
		n, errno := c.sendmsg(h, fd, flags)
		flags &^= unix.MSG_FASTOPEN
		total += n
		if errno == 0 && total < size && c.stream() {
			h.wasSent(0, n)
			return false, unix.EAGAIN
		}
		return true, c.pipeError(fd, errno, waited)
	}
	var err error
	if m.Addr.IsValid() && c.opens(flags) {
		err = s.fastOpen(m.Addr, &total, size, try)
	} else {
		err = s.waitTurn(loop.Write, c.sendTimeout.get(), turn{sign: c.signOfRoom(m.Addr.IsValid())}, try)
	}
	return total, err
}
