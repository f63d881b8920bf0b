package oracle

import (
	"io"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
)

// These calls of Weir's sockets take or return addresses.

func (f facade) recvFrom(buf []byte, flags int) (int, string, syscall.Errno) {
	n, from, err := f.s.RecvFrom(buf, flags)
	if err == io.EOF {
		err = nil
	}
	return n, from.String(), errnoIn(err)
}

// sendTo sends by the text of the address if the target has it.
func (f facade) sendTo(buf []byte, to target, flags int) (n int, errno syscall.Errno) {
	var err error
	if to.host != "" {
		n, err = f.s.SendTo(buf, to.host, to.service, flags)
	} else {
		n, err = f.s.SendToAddr(buf, to.addr, flags)
	}
	return n, errnoIn(err)
}

func (f facade) recvMsg(m *message, flags int) syscall.Errno {
	msg := socket.Message{Buffers: m.parts, Control: m.control}
	n, err := f.s.RecvMsg(&msg, flags)
	if err == io.EOF {
		err = nil
	}
	m.n, m.controlLen, m.flags, m.from = n, msg.ControlLen, msg.Flags, msg.Addr.String()
	return errnoIn(err)
}

func (f facade) sendMsg(m *message, flags int) syscall.Errno {
	msg := m.weirs()
	n, err := f.s.SendMsg(&msg, flags)
	m.n = n
	return errnoIn(err)
}

func (f facade) recvBatch(ms []message, flags int) (int, syscall.Errno) {
	msgs := make([]socket.Message, len(ms))
	for i, m := range ms {
		msgs[i] = socket.Message{Buffers: m.parts}
	}
	n, err := f.s.RecvBatch(msgs, flags)
	for i := range n {
		ms[i].n, ms[i].flags = msgs[i].N, msgs[i].Flags
	}
	return n, errnoIn(err)
}

// sendBatch does not return the error that ended a batch early, because the kernel's call
// does not return it.
func (f facade) sendBatch(ms []message, flags int) (int, syscall.Errno) {
	msgs := make([]socket.Message, len(ms))
	for i := range ms {
		msgs[i] = ms[i].weirs()
	}
	n, err := f.s.SendBatch(msgs, flags)
	for i := range n {
		ms[i].n = msgs[i].N
	}
	if n > 0 {
		err = nil
	}
	return n, errnoIn(err)
}

func (m *message) weirs() socket.Message {
	msg := socket.Message{Buffers: m.parts, Control: m.control}
	if m.to != nil {
		msg.Addr = m.to.addr
	}
	return msg
}
