package chaos

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

var (
	seed = flag.Uint64("seed", 1, "the seed of what is bad")
	long = flag.Duration("long", 0, "how long each test goes on, instead of one round")
)

// patience bounds each step: a call that moves bytes, a connection that must end.
func patience() time.Duration { return 60*time.Second + *long }

// rounds calls f once, or for as long as the flag says, with a seed each time.
func rounds(f func(seed uint64)) {
	start := time.Now()
	for s := *seed; ; s++ {
		f(s)
		if time.Since(start) >= *long {
			return
		}
	}
}

// A conn is a connection of a client.
type conn interface {
	io.ReadWriter
	CloseWrite() error
}

// A transfer is a stream to a service and back.
type transfer struct {
	seed   uint64
	size   int
	piece  func() int                                // the length of the next write
	before func(c conn, sent int, piece []byte) bool // called before each write, the header's included; false ends the writing, and nothing is half-closed
	read   func()                                    // called before each read
	moved  *atomic.Int64                             // when the last byte was moved, in ns since 1970; nil if nobody asks
}

func newTransfer(seed uint64, size int) *transfer {
	r := rand.New(rand.NewPCG(seed, 2))
	return &transfer{seed: seed, size: size, piece: func() int { return 1 + r.IntN(20000) }}
}

// run sends the stream and requires the same back, and then the end.
func (x *transfer) run(c conn) error {
	sent := make(chan error, 1)
	go func() { sent <- x.send(c) }()
	var check Checker
	buf := make([]byte, 16<<10)
	for {
		if x.read != nil {
			x.read()
		}
		n, err := c.Read(buf)
		x.move(n)
		if wrong := check.Check(buf[:n]); wrong != nil {
			return fmt.Errorf("the peer got wrong bytes: %w", wrong)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", check.Got(), err)
		}
	}
	if err := <-sent; err != nil {
		return err
	}
	if check.Got() != uint64(x.size) || check.Seed != x.seed {
		return fmt.Errorf("%d of %d bytes came back, and then the end", check.Got(), x.size)
	}
	return nil
}

// move notes that n bytes were moved.
func (x *transfer) move(n int) {
	if n > 0 && x.moved != nil {
		x.moved.Store(time.Now().UnixNano())
	}
}

// errStop ends the writing of a transfer without an error of the connection.
var errStop = errors.New("the peer stops")

func (x *transfer) send(c conn) error {
	p := AppendHeader(nil, x.seed)
	for sent := -HeaderSize; ; {
		if x.before != nil && !x.before(c, sent, p) {
			return errStop
		}
		n, err := c.Write(p)
		x.move(n)
		sent += n
		if err != nil {
			return fmt.Errorf("sending after %d bytes: %w", sent, err)
		}
		if sent == x.size {
			return c.CloseWrite()
		}
		p = make([]byte, min(x.piece(), x.size-sent))
		Fill(p, x.seed, uint64(sent))
	}
}
