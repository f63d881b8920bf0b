package lua

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// streamMethods returns the methods that tcp and unix stream objects share.
func streamMethods(g *group) map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"accept":     g.accept,
		"close":      g.close,
		"dirty":      g.isDirty,
		"getfd":      g.getfd,
		"getstats":   g.getstats,
		"listen":     g.listen,
		"receive":    g.receive,
		"send":       g.send,
		"setfd":      g.setfd,
		"setstats":   g.setstats,
		"settimeout": g.settimeout,
		"shutdown":   g.shutdown,
	}
}

// stats holds what getstats returns.
type stats struct {
	received, sent float64 // bytes
	born           float64 // seconds
}

func newStats() stats { return stats{born: now()} }

func (g *group) getstats(L *glua.LState) int {
	o := g.as(L, client)
	L.Push(glua.LNumber(o.received))
	L.Push(glua.LNumber(o.sent))
	L.Push(glua.LNumber(now() - o.born))
	return 3
}

func (g *group) setstats(L *glua.LState) int {
	o := g.as(L, client)
	o.received = float64(optNumber(L, 2, glua.LNumber(o.received)))
	o.sent = float64(optNumber(L, 3, glua.LNumber(o.sent)))
	if age, ok := toNumber(L.Get(4)); ok {
		o.born = now() - float64(age)
	}
	return done(L)
}

// backlog is the default of listen.
const backlog = 32

func (g *group) listen(L *glua.LState) int {
	o := g.as(L, master)
	n := int(optNumber(L, 2, backlog))
	if err := o.listen(n); err != nil {
		return failed(L, err)
	}
	return done(L)
}

func (o *object) listen(n int) error {
	s, err := o.socket()
	if err != nil {
		return err
	}
	if err := s.Listen(n); err != nil {
		return err
	}
	o.become(server)
	return nil
}

func (g *group) accept(L *glua.LState) int {
	o := g.as(L, server)
	b := o.begin()
	for wait := b.first(); ; wait = b.next() {
		s, err := o.acceptOnce(L, wait)
		if err != nil {
			if errno, ok := errnoOf(err); ok && errno == unix.ECONNABORTED {
				continue // the client left while it was in the queue
			}
			return failed(L, err)
		}
		c := g.newObject(client, o.family)
		c.hold(newHandle(s))
		c.h.recvWait, c.h.sendWait = unknownWait, unknownWait
		L.Push(c.ud)
		return 1
	}
}

func (o *object) acceptOnce(L *glua.LState, wait time.Duration) (*socket.Socket, error) {
	if o.h == nil {
		return nil, errClosed
	}
	s, err := o.h.receiving(L, wait)
	if err != nil {
		return nil, err
	}
	return s.Accept()
}

func (g *group) shutdown(L *glua.LState) int {
	o := g.as(L, client)
	how, ok := map[string]int{"receive": unix.SHUT_RD, "send": unix.SHUT_WR, "both": unix.SHUT_RDWR}[optString(L, 2, "both")]
	if !ok {
		L.ArgError(2, "invalid option '"+L.ToString(2)+"'")
	}
	if s, err := o.socket(); err == nil {
		_ = s.Shutdown(how) // shutdown always succeeds, as in LuaSocket
	}
	return done(L)
}

// socket returns the object's socket for calls that do not wait.
func (o *object) socket() (*socket.Socket, error) {
	switch {
	case o.h == nil:
		return nil, unix.EBADF
	case o.h.socket == nil:
		return nil, unix.ENOTSOCK
	}
	return o.h.socket, nil
}

// Sending

func (g *group) send(L *glua.LState) int {
	o := g.as(L, client)
	data := L.CheckString(2)
	from, to := span(L, len(data))
	b := o.begin()
	debug := g.m.debug
	began := debugClock(debug)
	var err error
	sent := from - 1
	if from <= to {
		var n int
		n, err = o.sendAll(L, &b, data[from-1:to])
		sent += n
	}
	if err == nil {
		L.Push(glua.LNumber(sent))
		L.Push(glua.LNil)
		L.Push(glua.LNil)
	} else {
		failed(L, err)
		L.Push(glua.LNumber(sent))
	}
	return 3 + pushElapsed(L, debug, began)
}

// span returns the bounds that the arguments i and j select, as string.sub does.
// The lower bound is at least 1.
func span(L *glua.LState, size int) (from, to int) {
	from, to = index(L, 3, 1, size), index(L, 4, -1, size)
	return max(from, 1), min(to, size)
}

func index(L *glua.LState, arg int, otherwise glua.LNumber, size int) int {
	n := math.Trunc(float64(optNumber(L, arg, otherwise))) // -0.5 becomes 0, which does not count from the end
	n = min(max(n, -math.MaxInt32), math.MaxInt32*2)       // limits beyond the length of any string
	if n < 0 {
		n += float64(size) + 1
	}
	return int(n)
}

// sendAll sends all of data. It returns how much it sent before an error.
func (o *object) sendAll(L *glua.LState, b *budget, data string) (total int, err error) {
	if o.h == nil {
		return 0, errClosed
	}
	h := o.h
	for wait := b.first(); total < len(data); wait = b.next() {
		s, err := h.sending(L, wait)
		if err != nil {
			return total, err
		}
		n, err := s.Send(bytesOf(data[total:]), 0)
		total += n
		o.sent += float64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// bytesOf returns the memory of a string. The caller must not write to it.
func bytesOf(s string) []byte {
	if s == "" {
		return []byte{} // not nil: an empty string is a datagram, too
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// Receiving

func (g *group) receive(L *glua.LState) int {
	o := g.as(L, client)
	debug := g.m.debug
	if L.GetTop() == 1 && !debug { // most calls read a line
		if line, ok := o.bufferedLine(); ok {
			L.Push(line)
			L.Push(glua.LNil)
			L.Push(glua.LNil)
			return 3
		}
	}
	pattern, wanted := receivePattern(L)
	prefix := optString(L, 3, "")
	if pattern == 'l' && prefix == "" && !debug {
		if line, ok := o.bufferedLine(); ok {
			L.Push(line)
			L.Push(glua.LNil)
			L.Push(glua.LNil)
			return 3
		}
	}
	b := o.begin()
	began := debugClock(debug)
	m := o.m
	m.out = append(m.out[:0], prefix...)
	var err error
	switch pattern {
	case 'l':
		err = o.receiveLine(L, &b)
	case 'a':
		err = o.receiveAll(L, &b)
	default:
		if wanted > len(prefix) || prefix == "" {
			err = o.receiveBytes(L, &b, wanted-len(prefix))
		}
	}
	result := m.texts.value(m.out)
	if cap(m.out) > keptOut {
		m.out = nil
	}
	if err == nil {
		L.Push(result)
		L.Push(glua.LNil)
		L.Push(glua.LNil)
	} else {
		failed(L, err)
		L.Push(result)
	}
	return 3 + pushElapsed(L, debug, began)
}

// keptOut is the largest buffer for results that is kept between calls, in bytes.
const keptOut = 8 * blockSize

// receivePattern reads the second argument: 'l' stands for a line, 'a' for all, 'n'
// for a number of bytes.
func receivePattern(L *glua.LState) (pattern byte, wanted int) {
	switch v := L.Get(2).(type) {
	case *glua.LNilType:
		return 'l', 0
	case glua.LNumber:
	case glua.LString:
		switch { // only the first letter after a star counts: scripts write "*line" and "*all"
		case strings.HasPrefix(string(v), "*l"):
			return 'l', 0
		case strings.HasPrefix(string(v), "*a"):
			return 'a', 0
		}
	default:
		L.CheckString(2) // raises
	}
	n, ok := toNumber(L.Get(2))
	if !ok || !(n >= 0) {
		L.ArgError(2, "invalid receive pattern")
	}
	return 'n', int(min(n, math.MaxInt32*1024))
}

// more returns the buffered input. If there is none, it returns the bytes that one
// system call receives. The bytes are valid until the next call. The caller passes
// the number of bytes that it used to consume.
func (o *object) more(L *glua.LState, b *budget, wait *time.Duration) ([]byte, error) {
	if len(o.input) > 0 {
		return o.input, nil
	}
	n, err := o.recv(L, b, wait, o.m.block[:])
	return o.m.block[:n], err
}

// recv makes one receive into buf.
func (o *object) recv(L *glua.LState, b *budget, wait *time.Duration, buf []byte) (int, error) {
	if o.h == nil {
		return 0, errClosed
	}
	if n, err, done := o.h.early(*wait, buf); done {
		*wait = b.next()
		return n, err
	}
	s, err := o.h.receiving(L, *wait)
	if err != nil {
		return 0, err
	}
	n, err := s.Recv(buf, 0)
	*wait = b.next()
	return n, err
}

// consume removes the first n of the bytes that more returned.
func (o *object) consume(chunk []byte, n int) {
	o.received += float64(n)
	switch {
	case len(o.input) > 0:
		if o.input = o.input[n:]; len(o.input) == 0 {
			o.m.blocks.give(&o.block)
			o.input = nil
		}
	case n < len(chunk):
		o.keep(chunk[n:])
	}
}

// keep makes the rest of the module's block the input of the object. The object takes the
// whole block if the rest fills much of it, for that saves a copy.
func (o *object) keep(rest []byte) {
	o.returns = bytes.IndexByte(rest, '\r') >= 0
	if len(rest) < blockSize/4 {
		o.input = slices.Clone(rest)
		return
	}
	o.input, o.block = rest, o.m.block
	o.m.block = o.m.blocks.take()
}

// bufferedLine takes a line from the input that was received already, if a whole one
// is there. It is the short way of receiveLine for most lines: one copy, and no clock.
func (o *object) bufferedLine() (glua.LValue, bool) {
	end := bytes.IndexByte(o.input, '\n')
	if end < 0 {
		return nil, false
	}
	text := o.input[:end]
	if o.returns {
		if end > 0 && text[end-1] == '\r' {
			text = text[:end-1]
		}
		if bytes.IndexByte(text, '\r') >= 0 {
			return nil, false
		}
	}
	line := o.m.texts.value(text)
	o.consume(o.input, end+1)
	return line, true
}

// receiveLine appends the bytes up to a newline to the result, without the newline
// and without any carriage return.
func (o *object) receiveLine(L *glua.LState, b *budget) error {
	for wait := b.first(); ; {
		chunk, err := o.more(L, b, &wait)
		if err != nil {
			return err
		}
		end := bytes.IndexByte(chunk, '\n')
		text, used := chunk, len(chunk)
		if end >= 0 {
			text, used = chunk[:end], end+1
		}
		for {
			cr := bytes.IndexByte(text, '\r')
			if cr < 0 {
				break
			}
			o.m.out = append(o.m.out, text[:cr]...)
			text = text[cr+1:]
		}
		o.m.out = append(o.m.out, text...)
		o.consume(chunk, used)
		if end >= 0 {
			return nil
		}
	}
}

// receiveBytes appends a number of bytes to the result. For 0 bytes it waits until
// input arrives, as LuaSocket does.
func (o *object) receiveBytes(L *glua.LState, b *budget, wanted int) error {
	wait := b.first()
	if len(o.input) > 0 || wanted < blockSize {
		for {
			chunk, err := o.more(L, b, &wait)
			if err != nil {
				return err
			}
			n := min(len(chunk), wanted)
			o.m.out = append(o.m.out, chunk[:n]...)
			o.consume(chunk, n)
			if wanted -= n; wanted == 0 {
				return nil
			}
			if wanted >= blockSize && len(o.input) == 0 {
				break
			}
		}
	}
	// The rest goes straight into the result.
	for wanted > 0 {
		n, err := o.recvResult(L, b, &wait, wanted)
		if err != nil {
			return err
		}
		wanted -= n
	}
	return nil
}

// receiveAll appends everything up to the end of the stream to the result. An
// empty stream is an error.
func (o *object) receiveAll(L *glua.LState, b *budget) error {
	wait := b.first()
	some := len(o.input) > 0
	if some {
		o.m.out = append(o.m.out, o.input...)
		o.consume(o.input, len(o.input))
	}
	for {
		_, err := o.recvResult(L, b, &wait, math.MaxInt)
		if err != nil {
			if some && (err == io.EOF || err == errClosed) { // a reset is an error: the text is cut
				return nil
			}
			return err
		}
		some = true
	}
}

// recvResult makes one receive of at most most bytes, and appends them to the result.
func (o *object) recvResult(L *glua.LState, b *budget, wait *time.Duration, most int) (int, error) {
	out := slices.Grow(o.m.out, min(most, blockSize))
	free := out[len(out):cap(out)]
	n, err := o.recv(L, b, wait, free[:min(len(free), most)])
	o.m.out = out[:len(out)+n]
	o.received += float64(n)
	return n, err
}

// When the module's field _DEBUG is set, send and receive also return the time that
// they took, in seconds.

func debugClock(debug bool) (t time.Time) {
	if debug {
		t = time.Now()
	}
	return t
}

func pushElapsed(L *glua.LState, debug bool, began time.Time) int {
	if !debug {
		return 0
	}
	L.Push(glua.LNumber(time.Since(began).Seconds()))
	return 1
}
