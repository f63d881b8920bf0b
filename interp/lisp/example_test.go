package lisp_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/interp/lisp"
)

// A program makes an interpreter, gives it a function, and evaluates text for as
// long as a context lasts.
func Example() {
	in := lisp.New(lisp.Options{})
	defer in.Close()
	in.Define("greet", 1, 1, func(_ *lisp.Thread, args []lisp.Value) (any, error) {
		return fmt.Sprint("hello, ", args[0]), nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fmt.Println(in.Eval(ctx, `(greet "world")`))
	fmt.Println(in.Eval(ctx, `(recv (make-instance socket 'inet 'dgram 0) (make-binary 9))`))
	// Output:
	// hello, world <nil>
	// <nil> line 1: interrupted: context deadline exceeded
}

func ExampleInterp_Eval() {
	in := lisp.New(lisp.Options{})
	defer in.Close()
	v, err := in.Eval(context.Background(), `
(setq l (make-instance socket 'inet 'stream 0 'address "127.0.0.1" 'port 0))
(listen l 5)
(setq server (thread (let ((s (accept l))) (write-line s (upcase (read-line s))))))

(setq s (make-instance socket 'inet 'stream 0))
(setsockopt s nil 'SO_RCVTIMEO 10000)
(connect s "127.0.0.1" (get l 'port))
(write-line s "quiet")
(read-line s)`)
	fmt.Println(lisp.Print(v), err)
	// Output: "QUIET" <nil>
}
