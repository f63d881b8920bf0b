package server

import (
	"sync"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// The output queue of a TLS connection has plain bytes, as that of any other connection.
// A goroutine with the right to send encrypts the first of them when they are about to
// leave. They stay in the queue until the kernel has taken their ciphertext. So the
// bounds and the completions are the same with and without TLS, and what was gathered
// leaves in as few records as possible.

// A sealing is ciphertext that leaves before everything that is queued.
type sealing struct {
	cipher []byte
	sent   int // how many bytes of cipher the kernel has taken
	plain  int // how many bytes at the front of the queue cipher stands for
}

const (
	// sealSize is how many plain bytes are encrypted for one send(2): two records.
	sealSize = 32 << 10
	// sealedMost is the capacity of the largest pooled sealing.
	sealedMost = 40 << 10
	// mostSealed bounds the ciphertext that is queued. Without it, a peer that asks for key
	// updates and reads nothing would make the queue grow.
	mostSealed = 64 << 10
	// recordSize is the most plain bytes of a record.
	recordSize = 16 << 10
)

var (
	sealings = sync.Pool{New: func() any { return new(sealing) }}
	records  = sync.Pool{New: func() any { return new([recordSize]byte) }}
)

// queueSealed queues ciphertext of tls.Conn: what seal encrypts, alerts and answers to key
// updates. It takes the lock. After an error crypto/tls encrypts nothing more.
func (c *Conn) queueSealed(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signals.Load()&gone != 0 {
		return errConnClosed("write")
	}
	o := c.output()
	if o.sealed == nil {
		o.sealed = sealings.Get().(*sealing)
	}
	if len(o.sealed.rest())+len(p) > mostSealed {
		return ErrOutputFull
	}
	o.sealed.cipher = append(o.sealed.cipher, p...)
	if !o.blocked && !c.sends() {
		c.schedule()
	}
	return nil
}

// sealsAtOnce reports whether sendSealed may send what a callback has gathered.
func (c *Conn) sealsAtOnce() bool { return c.out.empty() && len(c.eng.gather) <= sealSize }

// sendSealed encrypts and sends what a callback has gathered, p, and queues it if the
// kernel does not take all of it. It returns whether there is a queue. call calls it
// without the lock, with the right to send.
func (c *Conn) sendSealed(p []byte) (queued bool) {
	_, sealErr := c.secure().conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.out
	if o == nil || o.sealed == nil {
		_ = c.fail(unix.EPIPE) // crypto/tls has sent an alert before, after which it encrypts nothing
		return o != nil
	}
	cipher := o.sealed.rest()
	c.mu.Unlock()
	n, errno := sys.Send(c.reg.FD(), cipher, 0) // the loop does not close it meanwhile
	c.eng.traffic.sent(n)
	c.mu.Lock()
	if n < len(cipher) {
		o.prepend(p)
		o.sealed.plain = len(p)
	}
	o.leave(n)
	switch {
	case errno == unix.EAGAIN:
		_ = c.block() // an error ends the connection
	case errno != 0:
		_ = c.fail(errno)
	case sealErr != nil:
		_ = c.fail(unix.EPIPE)
	}
	c.queued()
	c.dismiss()
	return c.out != nil
}

// pushSealed is push for a TLS connection.
func (c *Conn) pushSealed(bytes, calls int) error {
	o := c.out
	scratch := scratches.Get().(*scratch)
	defer scratches.Put(scratch)
	for ; bytes > 0 && calls > 0 && !o.blocked; calls-- {
		o.take(0)
		var bufs [][]byte
		plain := 0
		if o.sealed == nil {
			most := min(sealSize, o.size)
			if most > 0 { // the rates count plain bytes, when they are encrypted
				most = c.maySend(most)
			}
			if most == 0 {
				return nil
			}
			bufs = o.next(scratch.bufs[:0], most)
			plain = shorten(bufs, most)
			c.hasSent(plain)
		}
		fd, err := c.beginSend(0) // the queue has the bytes, and counts them
		if err != nil {
			return err
		}
		sealErr := c.seal(bufs)
		clear(bufs)
		c.mu.Lock()
		if o.sealed != nil {
			o.sealed.plain += plain
		}
		p := o.sealed.rest()
		c.mu.Unlock()
		n, errno := 0, syscall.Errno(0)
		if len(p) > 0 {
			n, errno = sys.Send(fd, p, 0)
			c.eng.traffic.sent(n)
		}
		err = c.endSend(errno)
		if n > 0 {
			o.moved = c.eng.loop.Elapsed()
			o.leave(n)
			bytes -= n
			if o.rate.bytes += n; o.size == 0 {
				o.rate = window{} // nothing is in progress any more
			}
		}
		switch {
		case err != nil:
			return err
		case sealErr != nil: // crypto/tls has sent an alert, after which it encrypts nothing
			return c.fail(unix.EPIPE)
		}
	}
	return nil
}

// shorten cuts the slices to at most so many bytes together, and returns how many these
// are.
func shorten(bufs [][]byte, most int) (n int) {
	for i, p := range bufs {
		bufs[i] = p[:min(len(p), most-n)]
		n += len(bufs[i])
	}
	return n
}

// seal encrypts the slices, which together make at most two records. crypto/tls passes
// the records to queueSealed. seal needs the right to send, and not the lock.
func (c *Conn) seal(bufs [][]byte) error {
	conn := c.secure().conn
	if len(bufs) == 1 {
		_, err := conn.Write(bufs[0])
		return err
	}
	if len(bufs) == 0 {
		return nil
	}
	record := records.Get().(*[recordSize]byte)
	defer records.Put(record)
	n := 0
	for _, p := range bufs {
		for len(p) > 0 {
			k := copy(record[n:], p)
			n, p = n+k, p[k:]
			if n == len(record) {
				if _, err := conn.Write(record[:]); err != nil {
					return err
				}
				n = 0
			}
		}
	}
	_, err := conn.Write(record[:n])
	return err
}

// rest returns the ciphertext that the kernel has not taken.
func (x *sealing) rest() []byte {
	if x == nil {
		return nil
	}
	return x.cipher[x.sent:]
}

// leave notes that the kernel has taken n bytes of ciphertext. When it has taken all, the
// plain bytes leave the queue.
func (o *output) leave(n int) {
	x := o.sealed
	if x.sent += n; x.sent < len(x.cipher) {
		return
	}
	o.take(x.plain)
	o.dropSealed()
}

// dropSealed forgets the ciphertext.
func (o *output) dropSealed() {
	x := o.sealed
	if o.sealed = nil; x != nil && cap(x.cipher) <= sealedMost {
		*x = sealing{cipher: x.cipher[:0]}
		sealings.Put(x)
	}
}

// notify sends close_notify, on the loop, and returns true. All other output must have
// left. If there is no close_notify to send, notify returns false.
func (c *Conn) notify() bool {
	s := c.secure()
	if s == nil || s.notified || s.failed != nil {
		return false
	}
	s.notified = true
	_ = s.conn.CloseWrite() // it fails only if crypto/tls has failed before
	c.flush(false)
	return true
}
