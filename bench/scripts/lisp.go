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

// A lispCall is an expression, and the same in Go. It finds the sockets x and y, which are
// connected, the list all, of which y alone is ready, and the block buf of 64 bytes.
type lispCall struct {
	Label string
	text  string
	inGo  func(*lispBed) error
}

var LispCalls = []lispCall{
	{"an empty function", "(f)", func(*lispBed) error { return nil }},
	{"getsockopt", "(getsockopt x nil 'SO_TYPE)", func(b *lispBed) error {
		_, err := b.x.Getsockopt("SOL_SOCKET", "SO_TYPE")
		return err
	}},
	{"send and recv, 64 bytes", "(send x buf) (recv y buf)", func(b *lispBed) error {
		if _, err := b.x.Send(b.buf, 0); err != nil {
			return err
		}
		_, err := b.y.Recv(b.buf, 0)
		return err
	}},
	{"write-line and read-line", `(write-line x "a line") (read-line y)`, func(b *lispBed) error {
		if _, err := b.x.WriteLine("a line"); err != nil {
			return err
		}
		_, err := b.y.ReadLine()
		return err
	}},
	{"select, 1 of 1000 ready", "(select all)", func(b *lispBed) error {
		_, err := weir.Select(b.all, nil, nil, weir.Forever)
		return err
	}},
}

const (
	lispSockets   = 1000
	lispBatch     = 64 // calls between two looks at the clock
	lispReadyCall = "(select all)"
)

type LispOrder struct {
	Call   int           // of lispCalls
	Window time.Duration // for each side
}

type LispResult struct{ Lisp, Go float64 } // nanoseconds

// A lispBed is what the calls work on.
type lispBed struct {
	x, y *socket.Socket
	all  []*socket.Socket
	buf  []byte
}

// measureLisp is the role of a process that makes one call again and again, by turns in Lisp
// and in Go.
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
	sockets, err := finders.Connected(lispSockets)
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
