package socket

import (
	"encoding/binary"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// headers hold messages in the kernel's form. They are pooled: a call allocates
// nothing once they have grown to its size.
type headers struct {
	core    *core
	msgs    []unix.Mmsghdr
	names   []sockaddr
	iovs    []unix.Iovec
	control []byte // space for control messages outside the caller's buffers
	space   int    // bytes of control for each received message whose caller gives none
	bytes   int    // in all buffers
	after   bool   // the same call has received messages before
}

var headersPool = sync.Pool{New: func() any { return new(headers) }}

// mostHeaders is how many buffers the headers may have that go back to the
// pool.
const mostHeaders = 4096

func takeHeaders(c *core) *headers {
	h := headersPool.Get().(*headers)
	h.core, h.space, h.after = c, 0, false
	if c.offloads() {
		h.space = segmentSpace
	}
	return h
}

// free returns the headers to the pool, without references to the caller's
// memory.
func (h *headers) free() {
	h.core = nil
	clear(h.msgs)
	clear(h.iovs)
	if cap(h.iovs) <= mostHeaders {
		headersPool.Put(h)
	}
}

// one returns a message as a batch.
func one(m *Message) []Message { return unsafe.Slice(m, 1) }

// segmentSpace is the size of a control message that has a segment's size.
var segmentSpace = unix.CmsgSpace(4)

// offloads reports whether the kernel may join datagrams.
func (c *core) offloads() bool {
	return c.typ == Dgram && (c.family == Inet || c.family == Inet6)
}

// load points the headers at the messages' buffers.
func (h *headers) load(msgs []Message) {
	count := 0
	for i := range msgs {
		count += len(msgs[i].Buffers)
	}
	h.msgs = slices.Grow(h.msgs[:0], len(msgs))[:len(msgs)]
	h.names = slices.Grow(h.names[:0], len(msgs))[:len(msgs)]
	h.iovs = slices.Grow(h.iovs[:0], count)
	h.bytes = 0
	for i := range msgs {
		first := len(h.iovs)
		for _, b := range msgs[i].Buffers {
			iov := unix.Iovec{Base: unsafe.SliceData(b)}
			iov.SetLen(len(b))
			h.iovs = append(h.iovs, iov)
			h.bytes += len(b)
		}
		h.msgs[i] = unix.Mmsghdr{}
		h.msgs[i].Hdr.Iov = unsafe.SliceData(h.iovs[first:])
		h.msgs[i].Hdr.SetIovlen(len(h.iovs) - first)
	}
}

// receive prepares to receive into the messages.
func (h *headers) receive(msgs []Message) {
	h.load(msgs)
	h.control = slices.Grow(h.control[:0], len(msgs)*h.space)
	for i := range msgs {
		hdr := &h.msgs[i].Hdr
		h.names[i].Raw.Addr.Family = unix.AF_UNSPEC // if the kernel writes none
		hdr.Name = (*byte)(unsafe.Pointer(&h.names[i].Raw))
		hdr.Namelen = unix.SizeofSockaddrAny
		control := msgs[i].Control
		if len(control) == 0 && h.space != 0 {
			control = h.control[i*h.space : (i+1)*h.space]
		}
		hdr.Control = unsafe.SliceData(control)
		hdr.SetControllen(len(control))
	}
}

// told copies the kernel's results to the messages.
func (h *headers) told(msgs []Message) {
	for i := range msgs {
		m, hdr := &msgs[i], &h.msgs[i].Hdr
		m.N = int(h.msgs[i].Len)
		m.Flags = int(hdr.Flags) &^ unix.MSG_CMSG_CLOEXEC
		h.names[i].Len = hdr.Namelen
		m.Addr = h.names[i].decode()
		m.Segment, m.ControlLen = 0, 0
		control := h.controlOf(i)
		sys.RaceReceived(control)
		if len(m.Control) > 0 {
			m.ControlLen = len(control)
		}
		for cm := range controls(control) {
			if cm.Level == unix.IPPROTO_UDP && cm.Type == unix.UDP_GRO && len(cm.Data) >= 4 {
				m.Segment = int(int32(binary.NativeEndian.Uint32(cm.Data)))
			} else if len(m.Control) == 0 {
				m.Flags |= unix.MSG_CTRUNC // the caller has no room for it
			}
		}
	}
}

// controlOf returns the control messages that came with a message.
func (h *headers) controlOf(i int) []byte {
	hdr := &h.msgs[i].Hdr
	return unsafe.Slice(hdr.Control, hdr.Controllen)
}

// send prepares to send the messages.
func (h *headers) send(msgs []Message) error {
	h.load(msgs)
	h.control = h.control[:0]
	space := 0
	for i := range msgs {
		if msgs[i].Segment > 0 {
			space += unix.CmsgSpace(len(msgs[i].Control)) + segmentSpace
		}
	}
	h.control = slices.Grow(h.control, space)
	for i := range msgs {
		m, hdr := &msgs[i], &h.msgs[i].Hdr
		if m.Addr.IsValid() {
			if err := h.names[i].encode(m.Addr); err != nil {
				return badAddr("", m.Addr.String(), err)
			}
			hdr.Name = (*byte)(unsafe.Pointer(&h.names[i].Raw))
			hdr.Namelen = h.names[i].Len
		}
		control := m.Control
		if m.Segment != 0 {
			if m.Segment < 0 || m.Segment > 0xffff {
				return invalid("", "", unix.EINVAL, "a segment has 1 to 65535 bytes")
			}
			control = h.withSegment(m)
		}
		if len(control) > 0 {
			sys.RaceSent(control)
			hdr.Control = unsafe.SliceData(control)
			hdr.SetControllen(len(control))
		}
	}
	return nil
}

// withSegment returns the message's control messages and one more, which makes
// the kernel split the message into segments.
func (h *headers) withSegment(m *Message) []byte {
	first := len(h.control)
	b := append(h.control, m.Control...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b = binary.NativeEndian.AppendUint64(b, uint64(unix.CmsgLen(2)))
	b = binary.NativeEndian.AppendUint32(b, unix.IPPROTO_UDP)
	b = binary.NativeEndian.AppendUint32(b, unix.UDP_SEGMENT)
	b = binary.NativeEndian.AppendUint16(b, uint16(m.Segment))
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	h.control = b
	return b[first:]
}

// wasSent skips the first n bytes of a message, and its control messages, which
// go with the first bytes.
func (h *headers) wasSent(i, n int) {
	h.skip(i, n)
	h.msgs[i].Hdr.Control = nil
	h.msgs[i].Hdr.SetControllen(0)
}

// skip skips the first n bytes of a message.
func (h *headers) skip(i, n int) {
	hdr := &h.msgs[i].Hdr
	iovs := unsafe.Slice(hdr.Iov, hdr.Iovlen)
	for len(iovs) > 0 && n >= int(iovs[0].Len) {
		n -= int(iovs[0].Len)
		iovs = iovs[1:]
	}
	if n > 0 {
		iovs[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(iovs[0].Base), n))
		iovs[0].SetLen(int(iovs[0].Len) - n)
	}
	hdr.Iov = unsafe.SliceData(iovs)
	hdr.SetIovlen(len(iovs))
}

// remaining returns how many bytes of a message are not skipped.
func (h *headers) remaining(i int) (n int) {
	for _, iov := range unsafe.Slice(h.msgs[i].Hdr.Iov, h.msgs[i].Hdr.Iovlen) {
		n += int(iov.Len)
	}
	return n
}

// recvmsg is recvmsg(2) of the first message. Received descriptors are
// close-on-exec.
func (h *headers) recvmsg(fd, flags int) (int, syscall.Errno) {
	n, errno := h.call(unix.SYS_RECVMSG, fd, unsafe.Pointer(&h.msgs[0].Hdr), flags|unix.MSG_CMSG_CLOEXEC)
	if errno != 0 {
		return 0, errno // and the header as it was, for the next try
	}
	h.msgs[0].Len = uint32(n)
	h.raceReceived(0, 1)
	return n, 0
}

// sendmsg is sendmsg(2) of the first message.
func (h *headers) sendmsg(fd, flags int) (int, syscall.Errno) {
	h.raceSending(0)
	return h.call(unix.SYS_SENDMSG, fd, unsafe.Pointer(&h.msgs[0].Hdr), flags|unix.MSG_NOSIGNAL)
}

// call tells the scheduler about big copies only, as sys.Recvfrom and
// sys.Sendto do.
func (h *headers) call(trap uintptr, fd int, hdr unsafe.Pointer, flags int) (int, syscall.Errno) {
	return sys.Message(trap, fd, (*unix.Msghdr)(hdr), flags, h.bytes < sys.BigCopy)
}

// recvmmsg is recvmmsg(2) into the messages from index from on. It returns how
// many came.
func (h *headers) recvmmsg(fd, from, flags int) (int, syscall.Errno) {
	n, errno := h.callBatch(unix.SYS_RECVMMSG, fd, from, flags|unix.MSG_CMSG_CLOEXEC)
	h.raceReceived(from, n)
	return n, errno
}

// sendmmsg is sendmmsg(2) of the messages from index from on. It returns how
// many left.
func (h *headers) sendmmsg(fd, from, flags int) (int, syscall.Errno) {
	h.raceSending(from)
	return h.callBatch(unix.SYS_SENDMMSG, fd, from, flags|unix.MSG_NOSIGNAL)
}

// callBatch is the call of a batch.
func (h *headers) callBatch(trap uintptr, fd, from, flags int) (int, syscall.Errno) {
	return sys.Messages(trap, fd, h.msgs[from:], flags)
}

// raceReceived tells the race detector what the kernel wrote to the buffers of
// n messages from index from on. raceSending tells it what the kernel will read
// of all messages from there on.
func (h *headers) raceReceived(from, n int) {
	if !sys.Racing {
		return
	}
	sys.RaceReceived(nil)
	for i := from; i < from+n; i++ {
		left := int(h.msgs[i].Len) // beyond the buffers, with MSG_TRUNC
		for _, iov := range unsafe.Slice(h.msgs[i].Hdr.Iov, h.msgs[i].Hdr.Iovlen) {
			k := min(left, int(iov.Len))
			sys.RaceReceived(unsafe.Slice(iov.Base, k))
			left -= k
		}
	}
}

func (h *headers) raceSending(from int) {
	if !sys.Racing {
		return
	}
	sys.RaceSending()
	for i := from; i < len(h.msgs); i++ {
		for _, iov := range unsafe.Slice(h.msgs[i].Hdr.Iov, h.msgs[i].Hdr.Iovlen) {
			sys.RaceSent(unsafe.Slice(iov.Base, iov.Len))
		}
	}
}
