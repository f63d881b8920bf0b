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

// The methods here ask for the state of the input, or change it, and never
// wait: not even behind a read that another goroutine is blocked in.

// Buffered is how many bytes a Read or Fread would return without a system
// call, given room: what was read ahead, and a character that was pushed back.
// Select takes a socket with any as readable. A closed socket has none.
func (s *Socket) Buffered() int { return s.core.buffered() }

func (c *core) buffered() int {
	if in := c.input.Load(); in != nil {
		return int(in.count.Load())
	}
	return 0
}

// ClearInput forgets what was read ahead and a character pushed back: the
// next call that reads asks the kernel. It does not wait for a read that
// another goroutine is at; what that one has taken is not forgotten.
func (s *Socket) ClearInput() { s.core.dropInput(0) }

// UnreadRune pushes back the character that ReadRune returned last: the next
// call of any method that reads from the buffer begins with it. There is one
// such character, so a second call in a row changes nothing, as the class has
// it. When there is none, before the first ReadRune and after Recv, RecvFrom or
// ClearInput, the error is EINVAL, and of a closed socket EBADF.
func (s *Socket) UnreadRune() error {
	const op = "unread-char"
	there := false
	err := s.control(op, "", func(int) error { there = s.core.setBack(true); return nil })
	if err == nil && !there {
		err = invalid(op, "", unix.EINVAL, "there is no character to push back")
	}
	return err
}

// CharInBuffer reports whether a character is pushed back and not yet read
// again. Bytes that were read ahead are not meant; see Buffered.
func (s *Socket) CharInBuffer() bool {
	in := s.core.input.Load()
	if in == nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.back
}

// SetCharInBuffer pushes the last character back, as UnreadRune does, or takes
// that back. Without a last character it changes nothing.
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

// EOF reports that nothing more will come: a read found the end of the stream,
// or the connection broke, and no input is buffered; or the socket is closed. A
// timeout, or an empty datagram, is no end.
func (s *Socket) EOF() bool {
	if err := s.control("eof", "", func(int) error { return nil }); err != nil {
		return true
	}
	return s.core.atEnd.Load() && s.core.buffered() == 0
}

// Dump writes the state of the input buffer and of the socket's flags, for
// people to read: the class's showbin. It takes nothing from the buffer, and a
// closed socket is written too. The error is w's.
func (s *Socket) Dump(w io.Writer) error {
	c := s.core
	in := newInput(0, 0) // a copy, for w may be the socket itself
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
