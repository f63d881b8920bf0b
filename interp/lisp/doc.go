// Package lisp is a small Lisp for programs that embed it. Its socket class and
// its select run on Weir: a socket's method that waits parks a goroutine and no OS
// thread. An interpreter can have thousands of threads that wait in such a method.
//
//	in := lisp.New(lisp.Options{})
//	defer in.Close()
//	in.Define("greet", 1, 1, func(_ *lisp.Thread, args []lisp.Value) (any, error) {
//		return fmt.Sprint("hello, ", args[0]), nil
//	})
//	v, err := in.Eval(ctx, `(greet "world")`)
//
// WriteReference writes the reference of the language, docs/lisp.md. A program finds
// the same text with the functions help, describe and apropos.
//
// # How it works
//
// The interpreter compiles each form at top level, and then evaluates it. The first
// pass of the compiler expands macros and finds the variables that functions share
// (see compiler). The second pass makes nodes. The method eval of a node evaluates
// it, with the frame of the call in progress: a slice of the thread's stack. A
// variable that an inner function uses, and that is set after it was bound, is in a
// cell. All other variables are in slots of the frame. A call in tail position returns
// to Thread.run, which makes such calls in a loop.
//
// # Errors
//
// A method of a socket that fails returns nil, and sets *lastsocketerror* to the
// system's message, as in strerror(3). A mistake of the program, such as an argument
// of a wrong kind, is an *Error. It ends the evaluation unless the program handles it.
// It has a place and a backtrace.
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
//   - Any number of threads may use a socket. One thread at a time reads, and one at a
//     time writes. destroy-instance wakes all threads that are blocked on the socket.
//     A lock guards its properties.
//   - Any thread may read and change a binary. While a method fills it, any other use
//     is an error. While a method sends it, a change is an error.
//   - The output of one print or princ does not mix with the output of another.
//
// A thread ends with its body, when the Interp is closed, or by interrupt. Like the
// end of a context, interrupt ends blocked methods, select, join, sleep, with-lock,
// queues and endless loops. catch-error does not catch an interruption. The cleanup
// forms of unwind-protect still run, for at most five seconds together. The
// interpreter prints the error of a thread that no other thread joins to
// Options.Stderr.
//
// In a thread, exit ends only that thread and drops the status. A thread that joins it
// gets an error. Elsewhere exit ends the evaluation with an Exit.
//
// # Bounds
//
// These are the bounds:
//
//   - the depth of recursion: Options.MaxDepth;
//   - the nesting of lists that are read, printed or compared: 10000;
//   - a printed text, and a string or binary that a function makes: 2^28 bytes;
//   - a file to load: 16 MiB;
//   - threads: Options.MaxThreads;
//   - a queue: the bound that make-queue was given, or 1024.
//
// A program that exceeds a bound gets an error; only a printed text is cut short. The
// number of variables, and the length of lists and tables, have no bound: do not
// evaluate text from an unknown source.
package lisp
