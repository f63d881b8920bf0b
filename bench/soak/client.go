package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/chaos"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A client does jobs of one kind. Most keep their connection from job to job.
type client struct {
	*bed
	ctx        context.Context
	seed       uint64 // of the connection
	connecting chan struct{}

	pace  pace
	sock  *socket.Socket
	sent  uint64 // bytes, without the header
	check chaos.Checker
	buf   []byte
}

// leave closes the connection.
func (c *client) leave() {
	if c.sock != nil {
		c.pace.sock.Store(nil)
		c.sock.Close() //nolint:errcheck // it may be closed already
		c.sock = nil
	}
}

// connect connects, unless the client is connected.
func (c *client) connect(to socket.Addr) error {
	if c.sock != nil {
		return nil
	}
	c.connecting <- struct{}{}
	defer func() { <-c.connecting }()
	c.step()
	s, err := socket.New(to.Family(), socket.Stream, 0)
	if err != nil {
		return err
	}
	c.pace.sock.Store(s)
	err = errors.Join(s.SetSendTimeout(longest*c.patience), s.SetRecvTimeout(longest*c.patience))
	if err == nil {
		err = s.ConnectAddr(to)
	}
	if err != nil {
		c.pace.sock.Store(nil)
		s.Close() //nolint:errcheck // the error of the connect counts
		return err
	}
	c.seed++
	c.sock, c.sent, c.check = s, 0, chaos.Checker{}
	c.buf = chaos.AppendHeader(c.buf[:0], c.seed)
	return c.swap(0)
}

// swap sends n more bytes of the stream, and what is in buf before them, and reads them
// back.
func (c *client) swap(n int) error {
	at := len(c.buf)
	c.buf = append(c.buf, make([]byte, n)...)
	chaos.Fill(c.buf[at:], c.seed, c.sent)
	c.sent += uint64(n)
	total := len(c.buf)
	if _, err := c.sock.Write(c.buf); err != nil {
		return err
	}
	for got := 0; got < total; {
		k, err := c.sock.Recv(c.buf[:total], 0)
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", got, total, err)
		}
		c.step()
		if err := c.check.Check(c.buf[:k]); err != nil {
			return err
		}
		got += k
	}
	c.checked.Add(int64(total))
	c.buf = c.buf[:0]
	return nil
}

// rest pauses a little, as most clients do between their requests.
func (c *client) rest() {
	select {
	case <-c.ctx.Done():
	case <-time.After(rand.N(200 * time.Millisecond)):
	}
}

func (c *client) echo() error { return c.swapAt(c.eventsAddr, 1+rand.IntN(2000)) }

func (c *client) handler() error { return c.swapAt(c.handlerAddr, 1+rand.IntN(2000)) }

func (c *client) swapAt(to socket.Addr, n int) error {
	if err := c.connect(to); err != nil {
		return err
	}
	c.rest()
	return c.swap(n)
}

// churn uses a unix socket: TCP would run out of ports.
func (c *client) churn() error {
	defer c.leave()
	return c.swapAt(c.unixAddr, rand.IntN(200))
}

func (c *client) reset() error {
	defer c.leave()
	if err := c.swapAt(c.eventsAddr, 100); err != nil {
		return err
	}
	p := make([]byte, 1000)
	chaos.Fill(p, c.seed, c.sent)
	if _, err := c.sock.Send(p, 0); err != nil { // its echo is on the way
		return err
	}
	return c.sock.SetLinger(0)
}

// timeout waits for what does not come.
func (c *client) timeout() error {
	if err := c.connect(c.eventsAddr); err != nil {
		return err
	}
	const limit = 20 * time.Millisecond
	if err := c.sock.SetRecvTimeout(limit); err != nil {
		return err
	}
	start := time.Now()
	_, err := c.sock.Recv(make([]byte, 1), 0)
	if !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("the call should time out: %w", err)
	}
	if time.Since(start) < limit {
		return errEarly
	}
	if err := c.sock.SetRecvTimeout(longest * c.patience); err != nil {
		return err
	}
	return c.swap(10)
}

// idle is silent until the server's timeout ends the connection.
func (c *client) idle() error {
	defer c.leave()
	err := c.connect(c.idleAddr)
	if err == nil {
		_, err = c.sock.Recv(make([]byte, 1), 0)
	}
	switch { // on a busy machine the limit ends even the first exchange
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return nil
	}
	return fmt.Errorf("the server should end the connection: %w", err)
}

// selects waits by Select.
func (c *client) selects() error {
	if err := c.connect(c.eventsAddr); err != nil {
		return err
	}
	c.rest()
	p := make([]byte, 50)
	chaos.Fill(p, c.seed, c.sent)
	c.sent += uint64(len(p))
	if _, err := c.sock.Send(p, 0); err != nil {
		return err
	}
	for got := 0; got < len(p); {
		r, err := weir.Select([]weir.Selectable{c.sock}, nil, nil, longest*c.patience)
		if err != nil {
			return err
		}
		if len(r.Read) != 1 {
			return errors.New("the time of Select is up")
		}
		n, err := c.sock.Recv(p, unix.MSG_DONTWAIT)
		if err != nil {
			return fmt.Errorf("a socket that Select says is readable: %w", err)
		}
		c.step()
		if err := c.check.Check(p[:n]); err != nil {
			return err
		}
		got += n
	}
	c.checked.Add(int64(len(p)))
	return nil
}

// bulk sends more than the buffers hold, so that both sides wait for room.
func (c *client) bulk() error { return c.stream(c.handlerAddr) }

// splice is bulk through the proxy.
func (c *client) splice() error { return c.stream(c.proxyAddr) }

func (c *client) stream(to socket.Addr) error {
	if err := c.connect(to); err != nil {
		return err
	}
	c.rest()
	p := make([]byte, 512<<10)
	chaos.Fill(p, c.seed, c.sent)
	c.sent += uint64(len(p))
	sent := make(chan error, 1)
	go func(s *socket.Socket) {
		_, err := s.Write(p)
		sent <- err
	}(c.sock)
	buf := make([]byte, 16<<10)
	for got := 0; got < len(p); {
		n, err := c.sock.Read(buf)
		c.step()
		if err == nil {
			err = c.check.Check(buf[:n])
		}
		if err != nil {
			c.leave() // which ends the write
			<-sent
			return fmt.Errorf("after %d bytes: %w", got, err)
		}
		got += n
	}
	c.checked.Add(int64(len(p)))
	return <-sent
}

// interrupt ends a call from another goroutine. The connection lives on.
func (c *client) interrupt() error {
	if err := c.connect(c.eventsAddr); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func(s *socket.Socket) {
		_, err := s.Recv(make([]byte, 1), 0)
		ended <- err
	}(c.sock)
	for {
		c.sock.Interrupt()
		select {
		case err := <-ended:
			if !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("the call should be interrupted: %w", err)
			}
			c.rest()
			return c.swap(10)
		case <-time.After(time.Millisecond):
		}
	}
}

// closing closes the socket while another goroutine waits on it.
func (c *client) closing() error {
	if err := c.connect(c.eventsAddr); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func(s *socket.Socket) {
		_, err := s.Recv(make([]byte, 1), 0)
		ended <- err
	}(c.sock)
	c.rest()
	c.leave()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("the call should end because the socket is closed: %w", err)
	}
	return nil
}
