package lisp_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

// For any text, the reader returns values or an *Error. The reader reads the printed
// text of a value as an equal value.
//
//	go test ./interp/lisp -run '^$' -fuzz FuzzRead -fuzztime 1m
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"", "(setq a '(1 -2.5 \"x\\n\\xff\" t nil EOF))", "'", "(", ")", "\"", "\"\\", "\"\\u20aC\"", "#| |#", "; x", "#!x\n1", "''a", "(quote)", "1e309", "-", "+.5", "0x", "-0X1f",
		"(a . b)", "a'b\"c\"", "99999999999999999999", "\xff", "\x00", "(()(()))", "\\", "1e5x", ".", "..", "\"\\\n\"", strings.Repeat("'", 300),
	} {
		f.Add(text)
	}
	in := lisp.New(lisp.Options{Stdout: io.Discard})
	f.Cleanup(func() { in.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		forms, err := in.ReadAll(text)
		if err != nil {
			var e *lisp.Error
			require.ErrorAs(t, err, &e)
			require.Positive(t, e.Line)
		}
		require.Equal(t, errors.Is(err, lisp.ErrIncomplete), lisp.Incomplete(text))
		v := lisp.ListOf(forms...)
		printed := lisp.Print(v)
		again, err := in.ReadAll(printed)
		require.NoError(t, err, printed)
		require.Len(t, again, 1)
		same, err := in.Equal(v, again[0])
		require.NoError(t, err)
		require.True(t, same, printed)
	})
}

// Any program ends when its context ends, and returns a value or an *Error.
//
//	go test ./interp/lisp -run '^$' -fuzz FuzzEval -fuzztime 1m
func FuzzEval(f *testing.F) {
	for _, text := range []string{
		"(defun f (a &optional b &rest c) (f c b a)) (f 1)", "(let* ((x 1) y) (setq x (cons x y)) (unwind-protect (car x) (cdr x)))",
		"(catch-error (e (error e)) (join (thread (with-lock (make-lock) (sleep 1)))))", "(while (not nil) (dolist (x '(1 2)) (cond (x) (t nil))))",
		"(select (list) nil '() 0.5)", "(format \"%5.2f %S %x\" 1 \"a\" 255)", "(mapcar 'lambda '(()))", "(apply + (list 1 2.5 -9223372036854775808))",
		"(substring \"a€\" -1 nil) (split-string \"a b\" \" \")", "(sort '(3 1 2) (lambda (a b) (< a b)))", "(eval '(quote (if)))", "(recv socket (make-binary 3) 'length 5)",
		"(funcall (lambda ()))", "(setq f (lambda (f) (f f))) (f f)", "(set-byte (string-to-binary \"ab\") 1 (ash 1 7))", "(assoc nil '(nil (nil)))", "(interrupt (thread (while t)))",
		"(defmacro m (a &rest b) `(let ((x ,a)) ,@b)) (m 1 x)", "(catch 'a (dotimes (i 3) (throw 'a (push i l))))", "(condition-case e (signal 'x 1) (x e) (error 2))", "(defclass c class (n 0)) (defmethod c-f (s) (get s 'n)) (f 5)",
		"(regexp-replace \"a(.)\" \"abac\" \"$1\")", "(let ((h ()) (k 1)) (setq k (lambda () (setq h k))) ((lambda (x) (x)) k))", "(binary-integer (string-to-binary \"abcdefgh\") 0 8 'little)", "(format-time \"%Y %%\" 0 \"UTC\")",
		"(queue-get (make-queue 1) 1 ?x)", "(maphash list 5) (gethash '(1) 2)", "(macroexpand '(m 1))", "(reduce + (number-sequence 1 9) 0)", "(read-from-string \"`(a ,b ,@c ?d)\")",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := lisp.New(lisp.Options{Stdout: io.Discard, Stderr: io.Discard, MaxThreads: 4, MaxDepth: 1000})
		defer in.Close()
		in.SetCleanupTime(time.Millisecond)
		// Remove the functions that reach files and sockets, and those that can take
		// all memory.
		for _, name := range []string{"load", "delete-file", "make-instance", "make-binary", "concat", "open", "require", "string-repeat", "number-sequence", "file-constructor", "socket-constructor", "socketpair", "pipe", "lookup-host", "lookup-address"} {
			require.NoError(t, in.Set(name, nil))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		v, err := in.Eval(ctx, text)
		if err != nil {
			var e *lisp.Error
			require.ErrorAs(t, err, &e)
			return
		}
		lisp.PrintUpTo(v, 1000)
	})
}
