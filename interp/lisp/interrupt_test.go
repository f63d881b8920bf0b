package lisp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

// The end of a context ends each call that an evaluation can block in. The variables
// keep their values, and the socket still works.
func TestContextEndsEvaluation(t *testing.T) {
	for _, text := range []string{
		"(recv a (make-binary 4))", "(recv-from a (make-binary 4))", "(fread a (make-binary 4))", "(read-char a)", "(read-string a)", "(read-line a)",
		"(accept l)", "(connect (make-instance socket 'unix 'stream 0) full)", "(while t (send a (make-binary 1000000)))", "(fwrite a (make-binary 30000000))",
		"(write-string a (binary-to-string (make-binary 30000000)))",
		"(select (list a l))", "(select nil nil nil 1e12)", "(sleep 1e12)", "(join (thread (sleep 1e12)))",
		"(while t)", "(while t (car nil))", "(defun f () (f)) (f)", "(defun g (n) (g (+ n 1))) (g 0)", "(mapcar (lambda (x) (while t)) '(1))", "(sort '(2 1) (lambda (a b) (while t)))",
		"(catch-error (e 1) (while t))", "(while t (catch-error (e) (sleep 1e12)))", "(let ((k (make-lock))) (thread (with-lock k (sleep 1e12))) (sleep 1) (with-lock k))",
		"(dolist (x '(1 2)) (while t))",
		"(progn (setq l '(list)) (dotimes (i 100) (setq l (list 'list l l))) (eval l))", "(progn (setq l nil) (dotimes (i 100) (setq l (list l l))) (eval (list 'quasiquote l)))",
	} {
		t.Run(text, func(t *testing.T) {
			in := start(t)
			in.set("full", fullBacklog(t))
			in.value(sockets)
			ctx, cancel := context.WithCancelCause(context.Background())
			cause := errors.New("enough")
			in.set("up", nil)
			go func() {
				for up := lisp.Value(nil); up == nil; up, _ = in.Get("up") {
					time.Sleep(time.Millisecond)
				}
				cancel(cause)
			}()
			_, err := in.Eval(ctx, "(setq up t)\n"+text)
			require.ErrorIs(t, err, cause)
			require.EqualError(t, err, "line 2: interrupted: enough")
			in.is("nil", "*lastsocketerror*") // an interruption is not an error of the socket
			in.is(`"still"`, `(setsockopt b nil 'SO_RCVTIMEO 20000) (write-line b "still") (read-line a)`)
		})
	}
}

func TestContextDoneBefore(t *testing.T) {
	in := start(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := in.Eval(ctx, "(setq x 1)")
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "line 1: interrupted")
	_, ok := in.Get("x")
	require.False(t, ok)
}

// Cleanup forms run after an interruption. They can call functions, wait, and use
// sockets.
func TestCleanupRunsAfterInterruption(t *testing.T) {
	in := start(t)
	in.value(sockets)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := in.Eval(ctx, `
(unwind-protect
    (unwind-protect (recv a (make-binary 1))
      (sleep 1)
      (write-line a "bye"))
  (setq outer (select (list b) nil nil 20000)))`)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	in.is(`(t "bye")`, "(list (equal (car outer) (list b)) (read-line b))")
}

// The interpreter ends cleanups when their time is over. All cleanups of a thread share
// this time, for any number and nesting of them.
func TestCleanupIsBounded(t *testing.T) {
	const bound = 50 * time.Millisecond
	for name, text := range map[string]string{
		"one":                   "(unwind-protect 1 (cancel) (while t))",
		"in the next function":  "(defun f (n) (unwind-protect (if (= n 0) (cancel) (f (- n 1))) (while t))) (f 1000)",
		"in another cleanup":    "(defun f (n) (unwind-protect 1 (if (= n 0) (cancel) (f (- n 1))) (while t))) (f 1000)",
		"in a loop":             "(while t (unwind-protect 1 (cancel) (while t)))",
		"in a thread, by Close": "(setq up nil) (thread (defun f (n) (unwind-protect (if (= n 0) (progn (setq up t) (while t)) (f (- n 1))) (while t))) (f 1000)) (while (not up)) (cancel) (while t)",
	} {
		t.Run(name, func(t *testing.T) {
			in := start(t)
			in.SetCleanupTime(bound)
			ctx, cancel := context.WithCancel(context.Background())
			var cancelled time.Time
			require.NoError(t, in.Define("cancel", 0, 0, func(*lisp.Thread, []lisp.Value) (any, error) {
				cancelled = time.Now()
				cancel()
				return nil, nil
			}))
			_, err := in.Eval(ctx, text)
			require.ErrorIs(t, err, context.Canceled)
			require.NoError(t, in.Close())
			require.GreaterOrEqual(t, time.Since(cancelled), bound)
			require.Less(t, time.Since(cancelled), 600*bound)
		})
	}
}
