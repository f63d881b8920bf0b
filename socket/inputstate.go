package socket

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// The methods in this file report or change the state of the input. They never
// wait, not even for a read in which another goroutine is blocked.

// Buffered returns how many bytes a Read or Fread could return without a system
// call: what was read ahead, and a character that was pushed back. If there are
// any, Select reports the socket as readable. A closed socket has none.
func (s *Socket) Buffered() int { return s.core.buffered() }

func (c *core) buffered() int {
	if in := c.input.Load(); in != nil {
		return int(in.count.Load())
	}
	return 0
}

// ClearInput forgets what was read ahead and a character that was pushed back:
// the next call that reads asks the kernel. It does not wait for a read of
// another goroutine, and does not forget what that read has already taken.
func (s *Socket) ClearInput() { s.core.dropInput(0) }

// UnreadRune pushes back the character that ReadRune returned last: the next
// method that reads from the buffer begins with it. There is one such
// character, so a second call in a row changes nothing, as in the class. If
// there is none, because ReadRune has not been called, or because Recv,
// RecvFrom or ClearInput has, the error is EINVAL. On a closed socket it is
// EBADF.
func (s *Socket) UnreadRune() error {
	const op = "unread-char"
	there := false
	err := s.control(op, "", func(int) error { there = s.core.setBack(true); return nil })
	if err == nil && !there {
		err = invalid(op, "", unix.EINVAL, "there is no character to push back")
	}
	return err
}

// CharInBuffer reports whether a character was pushed back and not yet read
// again. Bytes that were read ahead do not count: see Buffered.
func (s *Socket) CharInBuffer() bool {
	in := s.core.input.Load()
	if in == nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.back
}

// SetCharInBuffer(true) pushes the last character back, as UnreadRune does;
// SetCharInBuffer(false) undoes that. Without a last character it changes
// nothing.
func (s *Socket) SetCharInBuffer(on bool) { s.core.setBack(on) }

func (c *core) setBack(on bool) bool {
	in := c.input.Load()
	if in == nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if on {
		there := in.unread()
		if there {
			c.reg.Stir(loop.Readable)
		}
		return there
	}
	if in.back {
		in.take(utf8.RuneLen(in.last))
	}
	return true
}

// EOF reports whether no more input will come: a read has found the end of the
// stream, or a call has found that the connection is broken, and no input is
// buffered; or the socket is closed. EPIPE counts as broken unless only the sending
// side is shut or input is left. A timeout or an empty datagram is not an end. EOF
// does not ask the kernel.
func (s *Socket) EOF() bool {
	if err := s.control("eof", "", func(int) error { return nil }); err != nil {
		return true
	}
	return s.core.atEnd.Load() && s.core.buffered() == 0
}

// Dump writes the state of the input buffer and of the socket's flags as text
// for people: showbin in the class. It takes nothing from the buffer. It also
// works on a closed socket. The error is that of w.
func (s *Socket) Dump(w io.Writer) error {
	c := s.core
	in := newInput(0, 0) // a copy, because w may be the socket itself
	var data []byte
	if live := c.input.Load(); live != nil {
		live.mu.Lock()
		in.maxString, in.maxLine, in.class = live.maxString, live.maxLine, live.class
		in.last, in.known, in.back = live.last, live.known, live.back
		data = append(data, live.bytes()...)
		live.mu.Unlock()
	}
	last := "none"
	if in.known {
		last = fmt.Sprintf("%#U", in.last)
	}
	held := 0
	if len(data) > 0 {
		held = blockSize(in.class)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "socket %d %v %v\n", s.Fd(), c.family, c.typ)
	for _, line := range []struct {
		name  string
		value any
	}{
		{"maxstring", in.maxString}, {"maxline", in.maxLine},
		{"buffered", len(data)}, {"memory held", held},
		{"char-in-buffer", in.back}, {"last character", last}, {"eof", s.EOF()},
		{"SO_RCVTIMEO", s.RecvTimeout()}, {"SO_SNDTIMEO", s.SendTimeout()},
	} {
		fmt.Fprintf(&b, "  %-15s %v\n", line.name, line.value)
	}
	b.WriteString(hex.Dump(data))
	_, err := io.WriteString(w, b.String())
	return err
}
