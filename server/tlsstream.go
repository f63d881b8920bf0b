package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/seed-2334f180/weir/internal/tlsheld"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// The methods of this file hide those of the Socket that move the bytes of a stream. With
// TLS they move plain bytes; without TLS they are the Socket's.

// Read reads from the connection, after what ReadLine has read ahead.
func (x *Session) Read(p []byte) (int, error) {
	if x.secure() == nil {
		return x.Socket.Read(p)
	}
	return x.secure().read(p)
}

// Fread is Read.
func (x *Session) Fread(p []byte) (int, error) {
	if x.secure() == nil {
		return x.Socket.Fread(p)
	}
	return x.secure().read(p)
}

// ReadLine returns the next line, as the method of socket.Socket does.
func (x *Session) ReadLine() (string, error) {
	if x.secure() == nil {
		return x.Socket.ReadLine()
	}
	return x.secure().readLine(defaultMaxLine)
}

// ReadLineMax reads a line of at most max bytes, as the method of socket.Socket does.
func (x *Session) ReadLineMax(max int) (string, error) {
	if x.secure() == nil || max < 1 || max > greatestLine {
		return x.Socket.ReadLineMax(max)
	}
	return x.secure().readLine(max)
}

// Peek waits until n bytes are there and returns them, as the method of socket.Socket
// does.
func (x *Session) Peek(n int) ([]byte, error) {
	if x.secure() == nil || n < 0 || n > greatestLine {
		return x.Socket.Peek(n)
	}
	return x.secure().peek(n)
}

// Discard drops n of the bytes that were read ahead, or all if there are fewer, and
// returns how many.
func (x *Session) Discard(n int) int {
	if x.secure() == nil {
		return x.Socket.Discard(n)
	}
	return x.secure().take(min(max(n, 0), len(x.secure().plain)))
}

// Buffered returns how many bytes Read returns without a system call.
func (x *Session) Buffered() int {
	if x.secure() == nil {
		return x.Socket.Buffered()
	}
	return len(x.secure().plain) + tlsheld.Plain(x.secure().conn)
}

// WriteTo writes what it reads to w, up to the end of the stream.
func (x *Session) WriteTo(w io.Writer) (int64, error) {
	if x.secure() == nil {
		return x.Socket.WriteTo(w)
	}
	return io.Copy(w, struct{ io.Reader }{x})
}

// Write writes p.
func (x *Session) Write(p []byte) (int, error) {
	if x.secure() == nil {
		return x.Socket.Write(p)
	}
	return x.secure().conn.Write(p)
}

// Fwrite is Write.
func (x *Session) Fwrite(p []byte) (int, error) {
	if x.secure() == nil {
		return x.Socket.Fwrite(p)
	}
	return x.secure().conn.Write(p)
}

// WriteString is Write of a string.
func (x *Session) WriteString(s string) (int, error) {
	if x.secure() == nil {
		return x.Socket.WriteString(s)
	}
	return x.secure().conn.Write([]byte(s))
}

// WriteLine writes line and a newline together.
func (x *Session) WriteLine(line string) (int, error) {
	if x.secure() == nil {
		return x.Socket.WriteLine(line)
	}
	return x.secure().conn.Write(append([]byte(line), '\n'))
}

// Writev writes all the buffers, as one Write of all their bytes does.
func (x *Session) Writev(bufs [][]byte) (int, error) {
	if x.secure() == nil {
		return x.Socket.Writev(bufs)
	}
	return x.secure().conn.Write(slices.Concat(bufs...))
}

// ReadFrom writes what r has, up to its end.
func (x *Session) ReadFrom(r io.Reader) (int64, error) {
	if x.secure() == nil {
		return x.Socket.ReadFrom(r)
	}
	return io.Copy(x.secure().conn, r)
}

// Shutdown ends one direction or both. With TLS, unix.SHUT_WR sends close_notify first.
func (x *Session) Shutdown(how int) error {
	if x.secure() != nil && how != unix.SHUT_RD {
		if err := x.secure().conn.CloseWrite(); err != nil {
			return err
		}
	}
	return x.Socket.Shutdown(how)
}

// Close closes the connection, which ends the session. With TLS it sends close_notify
// first, for which it waits 5 seconds at most.
func (x *Session) Close() error {
	if x.secure() == nil {
		return x.Socket.Close()
	}
	return x.secure().conn.Close()
}

// With TLS the methods below fail, because what they do has no meaning for plain bytes.

// errSecure is the error of a method that a TLS connection does not have.
func errSecure(op string) error {
	return &socket.Error{Op: op, Errno: unix.EOPNOTSUPP, Err: errors.New("the connection has TLS")}
}

// secureOr returns EOPNOTSUPP for a TLS connection, and otherwise calls f.
func secureOr[T any](x *Session, op string, f func() (T, error)) (v T, err error) {
	if x.secure() != nil {
		return v, errSecure(op)
	}
	return f()
}

// Recv is recv(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) Recv(p []byte, flags int) (int, error) {
	return secureOr(x, "recv", func() (int, error) { return x.Socket.Recv(p, flags) })
}

// RecvMsg is recvmsg(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) RecvMsg(m *socket.Message, flags int) (int, error) {
	return secureOr(x, "recvmsg", func() (int, error) { return x.Socket.RecvMsg(m, flags) })
}

// RecvBatch is recvmmsg(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) RecvBatch(msgs []socket.Message, flags int) (int, error) {
	return secureOr(x, "recvmmsg", func() (int, error) { return x.Socket.RecvBatch(msgs, flags) })
}

// RecvFrom is recvfrom(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) RecvFrom(p []byte, flags int) (n int, from socket.Addr, err error) {
	if x.secure() != nil {
		return 0, from, errSecure("recvfrom")
	}
	return x.Socket.RecvFrom(p, flags)
}

// Send is send(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) Send(p []byte, flags int) (int, error) {
	return secureOr(x, "send", func() (int, error) { return x.Socket.Send(p, flags) })
}

// SendMsg is sendmsg(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) SendMsg(m *socket.Message, flags int) (int, error) {
	return secureOr(x, "sendmsg", func() (int, error) { return x.Socket.SendMsg(m, flags) })
}

// SendBatch is sendmmsg(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) SendBatch(msgs []socket.Message, flags int) (int, error) {
	return secureOr(x, "sendmmsg", func() (int, error) { return x.Socket.SendBatch(msgs, flags) })
}

// SendTo is sendto(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) SendTo(p []byte, host, service string, flags int) (int, error) {
	return secureOr(x, "sendto", func() (int, error) { return x.Socket.SendTo(p, host, service, flags) })
}

// SendToAddr is sendto(2). A TLS connection returns EOPNOTSUPP.
func (x *Session) SendToAddr(p []byte, to socket.Addr, flags int) (int, error) {
	return secureOr(x, "sendto", func() (int, error) { return x.Socket.SendToAddr(p, to, flags) })
}

// ReadString returns what was read ahead, or what one read gives. A TLS connection returns
// EOPNOTSUPP.
func (x *Session) ReadString() (string, error) {
	return secureOr(x, "read-string", x.Socket.ReadString)
}

// ReadRune reads one character. A TLS connection returns EOPNOTSUPP: use a bufio.Reader.
func (x *Session) ReadRune() (r rune, size int, err error) {
	if x.secure() != nil {
		return 0, 0, errSecure("read-char")
	}
	return x.Socket.ReadRune()
}

// WriteRune writes one character in UTF-8.
func (x *Session) WriteRune(r rune) (int, error) {
	if x.secure() == nil || !utf8.ValidRune(r) {
		return x.Socket.WriteRune(r)
	}
	return x.secure().conn.Write(utf8.AppendRune(nil, r))
}

const (
	// The bounds of a line are those of package socket.
	defaultMaxLine = 1 << 20
	greatestLine   = 1 << 28
	// readAhead is how many bytes readLine reads ahead, unless more are decrypted.
	readAhead = 512
)

// read is Read.
func (s *secured) read(p []byte) (int, error) {
	if len(s.plain) > 0 && len(p) > 0 {
		return s.take(copy(p, s.plain)), nil
	}
	n, err := s.readOn(p)
	if n > 0 {
		return n, nil // the next Read returns the error again
	}
	return 0, err
}

// readLine is ReadLineMax.
func (s *secured) readLine(most int) (string, error) {
	for seen := 0; ; {
		n, end := len(s.plain), 0
		if i := bytes.IndexByte(s.plain[seen:], '\n'); i >= 0 {
			n, end = seen+i, 1
		}
		if n > most {
			return "", &socket.Error{Op: "read-line", Errno: unix.EMSGSIZE, Err: fmt.Errorf("a line of more than %d bytes; it stays in the buffer", most)}
		}
		if end == 0 {
			seen = n
			if err := s.more(); err == nil {
				continue
			} else if err != io.EOF || n == 0 {
				return "", err
			}
		}
		line := s.plain[:n]
		if end == 1 {
			line = bytes.TrimSuffix(line, []byte{'\r'})
		}
		text := string(line)
		s.take(n + end)
		return text, nil
	}
}

// peek is Peek.
func (s *secured) peek(n int) ([]byte, error) {
	for len(s.plain) < n {
		if err := s.more(); err != nil {
			return s.plain, err
		}
	}
	return s.plain[:n], nil
}

// more adds to plain what one Read gives.
func (s *secured) more() error {
	n := len(s.plain)
	s.plain = slices.Grow(s.plain, max(readAhead, tlsheld.Plain(s.conn)))
	k, err := s.readOn(s.plain[n:cap(s.plain)])
	s.plain = s.plain[:n+k]
	if k > 0 {
		return nil // the next Read returns the error again
	}
	return err
}

// readOn reads from the tls.Conn, unless ready has found why it has ended. crypto/tls
// forgets some errors, such as that of a renegotiation, and would read on.
func (s *secured) readOn(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	return s.conn.Read(p)
}

// take removes n bytes from plain, and returns n.
func (s *secured) take(n int) int {
	if s.plain = s.plain[n:]; len(s.plain) == 0 {
		s.plain = nil
	}
	return n
}
