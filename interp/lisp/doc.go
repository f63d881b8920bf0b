// Package lisp is a small Lisp for programs that embed it. Its socket class and
// its select run on Weir: a socket's method that waits parks a goroutine, and an
// interpreter can have thousands of threads that are blocked in one.
//
//	in := lisp.New(lisp.Options{})
//	defer in.Close()
//	in.Define("greet", 1, 1, func(_ *lisp.Thread, args []lisp.Value) (any, error) {
//		return fmt.Sprint("hello, ", args[0]), nil
//	})
//	v, err := in.Eval(ctx, `(greet "world")`)
//
// The language is described by docs/lisp.md, which WriteReference writes, and to
// a program by its functions help, describe and apropos.
//
// # How it works
//
// A form is compiled when it is evaluated at top level: the first pass expands
// macros and finds out which variables functions share (see compiler), the second
// makes nodes, whose method eval is the code. A node gets the frame of the call
// in progress: a slice of the thread's stack. A variable that a function inside
// sets, or sees being set, is in a cell; all others are in slots. Calls in tail
// position return to Thread.run, which makes them in a loop.
//
// # Errors
//
// A method of a socket that fails returns nil, and *lastsocketerror* is the
// system's message, as strerror(3) has it. What only a mistake of the program can
// cause, such as an argument of a wrong kind, is an *Error, which ends the
// evaluation unless the program handles it. It has a place and a backtrace.
//
// # Threads
//
// The form thread evaluates its body in a goroutine of its own. These are the
// rules:
//
//   - To read and to set a variable is atomic. To read it and then set it is not:
//     (setq n (+ n 1)) in two threads may count once. with-lock makes it safe.
//   - Numbers, strings, symbols, lists and functions do not change, so they can be
//     passed around freely.
//   - *lastsocketerror* is each thread's own, and nil in a new one. All evaluations
//     from Go share one.
//   - A socket may be used by any number of threads; of those that read, one at a
//     time has its turn, and likewise of those that write. destroy-instance wakes
//     all that are blocked on it. Its properties are guarded.
//   - A binary may be read and changed by any thread. While a method fills it, other
//     threads get an error when they use it, and while a method sends it, when they
//     change it.
//   - What one print or princ prints is not mixed with another's.
//
// A thread ends with its body, when the Interp is closed, or by interrupt, which
// is like a context that is done: blocked methods, select, join, sleep, with-lock,
// queues and endless loops end. catch-error does not catch that; cleanup forms of
// unwind-protect run, for five seconds at most, all together. The error of a thread
// that no other thread joins is printed to Options.Stderr.
//
// In a thread, exit ends that thread alone, and its status is lost; a thread that
// joins it gets an error. Elsewhere it ends the evaluation with an Exit.
//
// # Bounds
//
// Recursion is bounded by Options.MaxDepth, the nesting of what is read, printed
// and compared by 10000 lists, what is printed, and a string or binary that a
// function makes, by 2^28 bytes, a file to load by 16 MiB, threads by
// Options.MaxThreads, a queue by the number that it was made with. Beyond a bound
// there is an error. The number of variables, and the length of lists and tables,
// are not bounded: text from strangers should not be evaluated.
package lisp
