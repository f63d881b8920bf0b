package lisp_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// benchmark runs a body in a loop in Lisp. The time of a call includes the evaluation
// of its arguments and of the loop. BenchmarkLoop measures the empty loop.
//
//	go test ./interp/lisp -run '^$' -bench . -benchmem
func benchmark(b *testing.B, in *interpreter, body string) {
	in.set("iterations", b.N)
	text := "(let ((i 0)) (while (< i iterations) (setq i (+ i 1)) " + body + "))"
	// The context can end, as the context of an interactive interpreter can.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	b.ResetTimer()
	_, err := in.Eval(ctx, text)
	require.NoError(b, err)
}

func BenchmarkLoop(b *testing.B) { benchmark(b, start(b), "") }

func BenchmarkCall(b *testing.B) {
	in := start(b)
	in.value("(defun f ())")
	benchmark(b, in, "(f)")
}

func BenchmarkCallWithArguments(b *testing.B) {
	in := start(b)
	in.value("(defun f (x y) x)")
	benchmark(b, in, "(f i 1)")
}

func BenchmarkFibonacci20(b *testing.B) {
	in := start(b)
	in.value("(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))")
	benchmark(b, in, "(fib 20)")
}

// pair makes two connected unix stream sockets, x and y.
func pair(b *testing.B, in *interpreter) {
	x, y, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(b, err)
	b.Cleanup(func() { x.Close(); y.Close() })
	in.set("x", x)
	in.set("y", y)
}

// BenchmarkSendRecv sends and receives one message of 64 bytes in each iteration.
func BenchmarkSendRecv(b *testing.B) {
	in := start(b)
	pair(b, in)
	in.value("(setq buf (make-binary 64))")
	benchmark(b, in, "(send x buf) (recv y buf)")
}

func BenchmarkWriteLineReadLine(b *testing.B) {
	in := start(b)
	pair(b, in)
	benchmark(b, in, `(write-line x "sixty-three bytes and a newline, as many as the others have here") (read-line y)`)
}

// BenchmarkSendRecvGo makes the same calls from Go, for comparison.
func BenchmarkSendRecvGo(b *testing.B) {
	x, y, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(b, err)
	defer x.Close()
	defer y.Close()
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Send(buf, 0); err != nil {
			b.Fatal(err)
		}
		if _, err := y.Recv(buf, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSelect calls select with many sockets, of which the last is ready.
func BenchmarkSelect(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			in := start(b)
			pair(b, in)
			var idle []any
			for range n - 1 {
				s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Dgram, 0)
				require.NoError(b, err)
				b.Cleanup(func() { s.Close() })
				idle = append(idle, s)
			}
			in.set("idle", idle)
			in.value(`(setq all (append idle (list y))) (write-string x "x") (select all)`)
			benchmark(b, in, "(select all nil nil 1000)")
		})
	}
}
