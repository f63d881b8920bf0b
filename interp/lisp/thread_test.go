package lisp_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

func TestThreads(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"the value", "(join (thread 1 2))", "2"},
		{"no body", "(join (thread (progn)))", "nil"},
		{"joined twice", "(setq th (thread 5)) (list (join th) (join th))", "(5 5)"},
		{"sees local variables", "(let ((x 1)) (join (thread (setq x 2))) x)", "2"},
		{"shares global variables", "(setq x 1) (join (thread (setq x 2))) x", "2"},
		{"defines functions for all", "(join (thread (defun f () 7))) (f)", "7"},
		{"many", `
(setq lock (make-lock) n 0 all nil)
(defun work () (let ((i 0)) (while (< i 50) (with-lock lock (setq n (+ n 1))) (setq i (+ i 1)))))
(while (< (length all) 20) (setq all (cons (thread (work)) all)))
(mapcar join all)
n`, "1000"},
		{"a lock is given back after an error", `(setq k (make-lock)) (catch-error (e) (with-lock k (car 1))) (with-lock k 5)`, "5"},
		{"a lock keeps others out", `
(setq k (make-lock) log nil th nil)
(with-lock k (setq th (thread (with-lock k (setq log (cons 'second log))))) (sleep 5) (setq log (cons 'first log)))
(join th)
log`, "(second first)"},
		{"what it prints as", "(setq th (thread 5)) (join th) (list th (threadp th))", "(#<thread ended> t)"},
	} {
		t.Run(c.name, func(t *testing.T) { start(t).is(c.want, c.text) })
	}
}

// Each thread has its own *lastsocketerror*; evaluations from Go share one.
func TestLastSocketErrorIsTheThreads(t *testing.T) {
	in := start(t)
	in.value(sockets + "(setq buf (make-binary 4)) (setsockopt a nil 'SO_RCVTIMEO 1)")
	in.is(`(nil "Resource temporarily unavailable" "mine")`, `(join (thread (let ((before *lastsocketerror*)) (recv a buf) (list before *lastsocketerror* (setq *lastsocketerror* "mine")))))`)
	in.is("nil", "*lastsocketerror*")
	in.value("(recv a buf)")
	in.is(`"Resource temporarily unavailable"`, "*lastsocketerror*")
	in.is("nil", "(join (thread *lastsocketerror*))")
	v, ok := in.Get("*lastsocketerror*")
	require.True(t, ok)
	require.Equal(t, "Resource temporarily unavailable", v)
	in.set("*lastsocketerror*", nil)
	in.is("nil", "*lastsocketerror*")
}

// Several threads use each kind of shared value at once, for the race detector.
func TestSharing(t *testing.T) {
	in := start(t)
	in.value(sockets + `
(setq n 0 l '(1 2 3) bin (make-binary 8) s "x")
(defun counter () (let ((c 0)) (lambda () (setq c (+ c 1)))))
(setq count (counter))
(defun work (i)
  (let ((k 0))
    (while (< k 100)
      (setq n (+ n 1) l (cons k (cdr l)) s (concat "x" (number-to-string k)))
      (count)
      (defun f () k)
      (f)
      (set-byte bin (mod k 8) i)
      (byte bin 0)
      (binary-to-string bin)
      (equal bin bin)
      (put a 'n k)
      (get a 'n)
      (plist a)
      (intern s)
      (write-string b "y")
      (get a 'remoteport)
      (fileno a)
      (recv a (make-binary 1) 'flags MSG_DONTWAIT)
      (select (list a b) nil nil 0)
      (princ ".")
      (setq k (+ k 1)))))
(mapcar join (mapcar (lambda (i) (thread (work i))) '(1 2 3 4)))`)
	require.Equal(t, strings.Repeat(".", 400), in.out.String())

	var evals sync.WaitGroup
	for i := range 4 {
		evals.Go(func() { in.is("t", fmt.Sprintf("(let ((i %d)) (work i)) (join (thread t))", i)) })
	}
	evals.Wait()
}

// While a thread receives into a binary, a use by another thread is an error. While a
// thread sends a binary, others can read it. Afterwards all can use it again.
func TestBinaryInUse(t *testing.T) {
	const inUse = "the binary is in use by a socket's method in another thread"
	in := start(t)
	in.value(sockets + `
(setq buf (make-binary 4))
(setq th (thread (recv a buf)))
(setq e nil)
(while (not e) (catch-error (m (setq e m)) (byte buf 0)))`)
	in.is(`"byte: `+inUse+`"`, "e")
	for _, text := range []string{"(set-byte buf 0 1)", "(binary-to-string buf)", "(recv b buf)", "(send b buf)", "(fread b buf)", "(fwrite b buf)"} {
		in.fails(inUse, text)
	}
	in.is("(2 104)", `(write-string b "hi") (list (join th) (byte buf 0))`)

	in.value(`
(setq big (make-binary 50000000) e nil)
(setq th (thread (fwrite a big)))
(while (not e) (catch-error (m (setq e m)) (set-byte big 0 0)))`)
	in.is(`("set-byte: `+inUse+`" 0)`, "(list e (byte big 1))")
	in.fails(inUse, "(recv b big)")
	in.is("50000000", "(thread (while (read-string b))) (join th)")
	in.is("5", "(set-byte big 0 5)")
	in.value("(destroy-instance a)")
}

func TestThreadErrors(t *testing.T) {
	in := start(t)
	in.fails("thread: line 1: car: want a list, got 5", "(join (thread (sleep 1) (car 5)))")
	in.fails("a thread cannot wait for itself", "(setq self nil) (setq self (thread (while (not self)) (join self))) (join self)")
	in.value("(thread (car 6))")
	require.Eventually(t, func() bool { return strings.Contains(in.errors.String(), "thread: line 1: car: want a list, got 6\n") }, patience, time.Millisecond)
	in.fails("interrupted", "(setq th (thread (while t))) (interrupt th) (join th)")
	require.NotContains(t, in.errors.String(), "interrupted")
}

func TestThreadsAreBounded(t *testing.T) {
	in := startWith(t, lisp.Options{MaxThreads: 2})
	in.value("(setq a (thread (sleep 100000)) b (thread (sleep 100000)))")
	in.fails("thread: there are 2 already", "(thread 1)")
	in.fails("interrupted", "(interrupt a) (join a)")
	// The thread counts against the limit until shortly after its end.
	in.is("1", "(setq n nil) (while (not n) (catch-error (e) (setq n (join (thread 1))))) n")
}

// A thread continues after the evaluation that started it. Close ends it in each call
// that it can block in.
func TestCloseEndsThreads(t *testing.T) {
	for _, text := range []string{
		"(recv a (make-binary 4))", "(accept l)", "(select (list a))", "(read-line a)", "(sleep 1e12)", "(while t)", "(join (thread (sleep 1e12)))",
		"(let ((k (make-lock))) (join (thread (with-lock k (thread (with-lock k)) (sleep 1e12)))))",
		"(catch-error (e (while t)) (while t))", "(defun f () (f)) (f)", "(fwrite a (make-binary 30000000))",
	} {
		t.Run(text, func(t *testing.T) {
			in := start(t)
			in.value(sockets + "(setq up nil) (setq th (thread (setq up t) " + text + ")) (while (not up))")
			require.NoError(t, in.Close())
			_, err := in.Eval(context.Background(), "1")
			require.ErrorIs(t, err, lisp.ErrClosed)
		})
	}
}

// Close returns after all evaluations, threads and cleanup forms have ended.
func TestCloseWaits(t *testing.T) {
	in := start(t)
	in.value("(setq up nil done nil) (thread (unwind-protect (progn (setq up t) (sleep 1e12)) (sleep 10) (setq done t))) (while (not up))")
	require.NoError(t, in.Close())
	done, _ := in.Get("done")
	require.Equal(t, lisp.Value(lisp.T), done)
}

func TestCloseEndsEvaluations(t *testing.T) {
	in := start(t)
	in.value("(setq up nil)")
	failed := make(chan error)
	go func() {
		_, err := in.Eval(context.Background(), "(setq up t) (while t)")
		failed <- err
	}()
	for up := lisp.Value(nil); up == nil; up, _ = in.Get("up") {
	}
	require.NoError(t, in.Close())
	require.ErrorIs(t, <-failed, lisp.ErrClosed)
	require.NoError(t, in.Close())
}
