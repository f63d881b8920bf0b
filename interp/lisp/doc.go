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
// # The language
//
// Values are nil, integers of 64 bits, floats, strings, symbols, lists, functions,
// binaries, sockets, threads, locks, and the class socket. Nil is false and the
// empty list; everything else is true, and t is the usual truth. The case of
// symbols counts. There are no pairs but lists, and lists do not change. A
// function is the value of a variable: (mapcar car lists), and a symbol can stand
// for a global one. Variables are lexical; setq of an unknown one makes it global.
// Calls in tail position need no stack.
//
// Numbers are written 12, -0x1F, 1.5 or 2e9; strings "with \n \t \r \e \0 \" \\
// \x7F \u20AC"; comments ; to the end of the line, or #| to |#. Strings are bytes, in
// UTF-8 where they are text. An integer that would not fit is an error.
//
// Special forms:
//
//	(quote VALUE)  'VALUE
//	(setq NAME VALUE ...)
//	(let ((NAME VALUE) ...) BODY ...)   let*: each value sees the names before it
//	(lambda (NAME ... &optional NAME ... &rest NAME) BODY ...)
//	(defun NAME (NAME ...) BODY ...)
//	(if TEST THEN ELSE ...)  (when TEST BODY ...)  (unless TEST BODY ...)
//	(cond (TEST BODY ...) ...)
//	(and VALUE ...)  (or VALUE ...)
//	(while TEST BODY ...)  (dolist (NAME LIST) BODY ...)
//	(progn BODY ...)
//	(unwind-protect VALUE CLEANUP ...)
//	(catch-error (NAME HANDLER ...) BODY ...)   NAME is the error's message
//	(thread BODY ...)
//	(with-lock LOCK BODY ...)
//
// Functions, with optional arguments in brackets. Those that Emacs Lisp has as
// well do here what they do there, in their plain form:
//
//	numbers   + - * / mod logand logior ash  = < > <= >=  min max abs
//	          float truncate round  integerp floatp numberp
//	          (number-to-string N)  (string-to-number S): nil if it is none
//	lists     list cons car cdr cadr caddr cddr nth nthcdr append reverse length
//	          member assoc remove  null not consp listp  eq equal
//	          (filter F LIST)  (mapcar F LIST)  (sort LIST F)
//	          (apply F ... LIST)  (funcall F ...)  functionp
//	strings   concat substring upcase downcase string= string< string-prefix-p
//	          (split-string S [SEPARATOR])  (string-join LIST SEPARATOR)
//	          (string-trim S)  (string-search NEEDLE S)  (char-to-string N)
//	          (format TEXT ...): %s %S %d %x %c %f %e %g %%
//	          stringp symbolp symbol-name intern
//	binaries  (make-binary LENGTH)  (byte BINARY I)  (set-byte BINARY I VALUE)
//	          (string-to-binary S)  (binary-to-string BINARY [LENGTH])  binaryp
//	system    (print VALUE): readable, and a newline   (princ VALUE): as it is
//	          (load PATH)  (eval VALUE)  (error TEXT ...): TEXT as in format
//	          (delete-file PATH): nil if there is none
//	          (exit [STATUS])  (sleep MILLISECONDS)  (float-time)
//	          (current-time-string)
//	threads   (join THREAD)  (interrupt THREAD)  threadp  (make-lock)
//
// # Sockets
//
// Methods are called by their names, or with the class before it: accept is
// socket-accept, too. Those that wait do so for as long as SO_RCVTIMEO or
// SO_SNDTIMEO says.
//
//	(make-instance socket FAMILY TYPE PROTOCOL KEYWORD VALUE ...)
//	              keywords: 'maxstring 'filename 'address 'port, and 'reuseaddress
//	              for SO_REUSEADDR. To look up an 'address that is a name takes up
//	              to 30 seconds, which alone is not interrupted
//	(destroy-instance S)
//	(accept S)                      the new socket
//	(listen S BACKLOG)              t
//	(connect S HOST [SERVICE])      t
//	(recv S BINARY ['length N] ['flags N])      the count; EOF at the end
//	(recv-from S BINARY ...)        also sets remoteaddress and remoteport
//	(send S BINARY ...)             the count; EOF if the connection is closed
//	(send-to S BINARY HOST PORT ...)
//	(fread S BINARY [LENGTH])       the count, from the input buffer first
//	(fwrite S BINARY [LENGTH])      the count
//	(read-char S)                   a character's number; EOF at the end
//	(read-string S)  (read-line S)  a string
//	(write-char S N)  (write-string S STRING)  (write-line S STRING)
//	                                the second argument
//	(unread-char S)  (char-in-buffer S [FLAG])  (clear-input S)  (eof S)
//	(getsockopt S LEVEL NAME)       the value; t or nil for a flag
//	(setsockopt S LEVEL NAME [VALUE])   t; timeouts are in milliseconds
//	(showbin S [BINARY LENGTH])  (show S)   print the state for people to read
//	(fileno S)
//	(get S NAME)  (plist S)         properties: family type protocol maxstring
//	                                filename address port remoteaddress remoteport
//	(put S NAME VALUE)              a property of the program's own
//	socketp
//	(select READ WRITE EXCEPT [MILLISECONDS])
//	              three lists of those sockets that are ready; nil when the time is
//	              up, and on an error. Without a time, or with nil, it waits for ever
//
// A method that fails returns nil, and *lastsocketerror* is the system's message:
// of a timeout, "resource temporarily unavailable". It stays until the program
// sets it to nil. The end of a stream is no error: the methods that the list does
// not give EOF for return nil then, and (eof S) says t. EOF is also what recv,
// recv-from, send, send-to and read-char return for a connection that the peer has
// broken (EPIPE) or that destroy-instance has closed; that is an error as well.
// An argument of a wrong kind is the program's mistake, which catch-error catches.
//
// The constants MSG_DONTWAIT, MSG_DONTROUTE, MSG_MORE, MSG_OOB, MSG_PEEK,
// MSG_TRUNC and MSG_WAITALL are flags for recv and send; logior joins them.
//
// # Threads
//
// The form thread evaluates its body in a goroutine of its own. All threads share
// the global variables, and functions share the local variables of the place that
// they were made in. These are the rules:
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
// is like a context that is done: blocked methods, select, join, sleep, with-lock
// and endless loops end. catch-error does not catch that; cleanup forms of
// unwind-protect run, for five seconds at most, all together. The error of a thread
// that nobody waits for when it ends is printed to Options.Stderr.
//
// In a thread, exit ends that thread alone, and its status is lost; for those who
// join the thread it is an error. Elsewhere it ends the evaluation with an Exit.
//
// # Bounds
//
// Recursion is bounded by Options.MaxDepth, the nesting of what is read, printed
// and compared by 10000 lists, what is printed, and a string or binary that a
// function makes, by 2^28 bytes, a file to load by 16 MiB, threads by Options.MaxThreads. Beyond a bound
// there is an error. The number of variables and the length of lists are not
// bounded: text from strangers should not be evaluated.
package lisp
