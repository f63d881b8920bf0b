package scripts

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/finders"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/seed-2334f180/weir/socket"
)

// A lispCall is a Lisp expression and the same call in Go. Both use the connected sockets x and
// y, the list all, of which only y is ready, and buf, a block of 64 bytes.
type lispCall struct {
	Label   string
	Sockets int // that it needs
	text    string
	inGo    func(*lispBed) error
}

// LispCalls lists the calls that can be measured.
var LispCalls = []lispCall{
	{"an empty function", 2, "(f)", func(*lispBed) error { return nil }},
	{"getsockopt", 2, "(getsockopt x nil 'SO_TYPE)", func(b *lispBed) error {
		_, err := b.x.Getsockopt("SOL_SOCKET", "SO_TYPE")
		return err
	}},
	{"send and recv, 64 bytes", 2, "(send x buf) (recv y buf)", func(b *lispBed) error {
		if _, err := b.x.Send(b.buf, 0); err != nil {
			return err
		}
		_, err := b.y.Recv(b.buf, 0)
		return err
	}},
	{"write-line and read-line", 2, `(write-line x "a line") (read-line y)`, func(b *lispBed) error {
		if _, err := b.x.WriteLine("a line"); err != nil {
			return err
		}
		_, err := b.y.ReadLine()
		return err
	}},
	{"select, 1 of 1000 ready", 1000, "(select all)", func(b *lispBed) error {
		_, err := weir.Select(b.all, nil, nil, weir.Forever)
		return err
	}},
}

const (
	lispBatch     = 64 // calls between two readings of the clock
	lispReadyCall = "(select all)"
)

// A LispOrder names a call to measure.
type LispOrder struct {
	Call   int           // of lispCalls
	Window time.Duration // for each side
}

// A LispResult has the median nanoseconds of a call.
type LispResult struct{ Lisp, Go float64 }

// A lispBed has what the calls work on.
type lispBed struct {
	x, y *socket.Socket
	all  []*socket.Socket
	buf  []byte
}

// measureLisp is a role: the process makes one call again and again, by turns in Lisp and in Go.
func measureLisp(order LispOrder, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background()) // as an interactive interpreter has one
	defer cancel()
	in := lisp.New(lisp.Options{})
	defer in.Close()
	c := LispCalls[order.Call]
	bed, err := makeLispBed(ctx, in, c)
	if err != nil {
		return err
	}
	loop := fmt.Sprintf("(let ((i 0)) (while (< i %d) (setq i (+ i 1)) %s))", lispBatch, c.text)
	inLisp := func() error {
		_, err := in.Eval(ctx, loop)
		return err
	}
	inGo := func() error {
		for range lispBatch {
			if err := c.inGo(bed); err != nil {
				return err
			}
		}
		return nil
	}
	var times [2][]float64
	for end := time.Now().Add(2 * order.Window); len(times[0]) < 5 || time.Now().Before(end); {
		for i, batch := range []func() error{inLisp, inGo} {
			start := time.Now()
			if err := batch(); err != nil {
				return err
			}
			times[i] = append(times[i], float64(time.Since(start))/lispBatch)
		}
	}
	return answer(LispResult{measure.SpreadOf(times[0]).Median, measure.SpreadOf(times[1]).Median})
}

func makeLispBed(ctx context.Context, in *lisp.Interp, c lispCall) (*lispBed, error) {
	b := &lispBed{buf: make([]byte, 64)}
	sockets, err := finders.Connected(c.Sockets)
	if err != nil {
		return nil, err
	}
	b.x, b.y = sockets[0], sockets[1]
	all := make([]any, len(sockets))
	for i, s := range sockets {
		b.all = append(b.all, s)
		all[i] = s
	}
	for name, value := range map[string]any{"x": b.x, "y": b.y, "all": all} {
		if err := in.Set(name, value); err != nil {
			return nil, err
		}
	}
	setUp := "(defun f ()) (setq buf (make-binary 64))"
	if c.text == lispReadyCall {
		setUp += ` (write-string x "x") (select all)`
	}
	_, err = in.Eval(ctx, setUp)
	return b, err
}
