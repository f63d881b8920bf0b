package subjects

import (
	"io"
	"runtime"
	"sync"

	"github.com/seed-2334f180/weir/bench/wire"
)

var pieces struct {
	sync.Mutex
	zeros []byte
}

// zeros returns n bytes for a piece. Their memory was written to, so that a system call reads it
// from where a program's data would be.
func zeros(n int) []byte {
	pieces.Lock()
	defer pieces.Unlock()
	if len(pieces.zeros) < n {
		pieces.zeros = make([]byte, n)
		for i := 0; i < n; i += 4096 {
			pieces.zeros[i] = 1
			pieces.zeros[i] = 0
		}
	}
	return pieces.zeros[:n]
}

// deliver sends what an order asks for with blocking writes.
func deliver(w io.Writer, order wire.Order) error {
	for range order.Pieces() {
		if _, err := w.Write(zeros(order.Piece)); err != nil {
			return err
		}
	}
	return nil
}

// queuedAtOnce is how many pieces a publisher queues before it lets others run.
const queuedAtOnce = 64

// publish queues the pieces of an order from a goroutine of its own, as a broadcaster does. It
// lets others run now and then: with one processor it would otherwise keep them waiting itself.
func publish(order wire.Order, queue func(p []byte) error) {
	go func() {
		for i := range order.Pieces() {
			if i%queuedAtOnce == 0 {
				runtime.Gosched()
			}
			if queue(zeros(order.Piece)) != nil {
				return // the client has gone
			}
		}
	}()
}

// takeBlocking serves a connection of the fairness suite by blocking calls.
func takeBlocking(conn io.ReadWriter, size int) error {
	in, out := make([]byte, wire.Buffer(size)), []byte(nil)
	have := 0
	for {
		n, err := conn.Read(in[have:])
		if err != nil {
			return err
		}
		p := in[:have+n]
		for {
			answers, used, order, err := wire.Take(out[:0], p)
			if err != nil {
				return err
			}
			out, p = answers, p[used:]
			if len(answers) > 0 {
				if _, err := conn.Write(answers); err != nil {
					return err
				}
			}
			if err := deliver(conn, order); err != nil {
				return err
			}
			if order.Pieces() == 0 {
				break
			}
		}
		have = copy(in, p)
	}
}
