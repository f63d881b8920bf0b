package lisp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSelect(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"readable", `(write-string b "x") (equal (select (list l a b) nil nil 20000) (list (list a) nil nil))`, "t"},
		{"in the order of the lists", `(write-string b "x") (write-string a "x") (select (list a) nil nil nil) (select (list b) nil nil) (equal (select (list b l a) (list a b)) (list (list b a) (list a b) nil))`, "t"},
		{"writable", "(equal (select nil (list a)) (list nil (list a) nil))", "t"},
		{"out-of-band data", `(send b (string-to-binary "x") 'flags MSG_OOB) (equal (select nil nil (list a) 20000.0) (list nil nil (list a)))`, "t"},
		{"a connection to accept", `(connect (make-instance socket 'inet 'stream 0) "127.0.0.1" (get l 'port)) (equal (select (list l) nil nil 20000) (list (list l) nil nil))`, "t"},
		{"what was read ahead", `(write-string b "x\ny") (read-line a) (equal (select (list a) nil nil 0) (list (list a) nil nil))`, "t"},
		{"the end of a stream", "(destroy-instance b) (equal (select (list a) nil nil 20000) (list (list a) nil nil))", "t"},
		{"one socket twice", `(write-string b "x") (select (list a)) (length (car (select (list a a))))`, "2"},
		{"time is up", "(list (select (list a) nil nil 0.25) *lastsocketerror*)", "(nil nil)"},
		{"a poll", "(select (list a b l) nil nil 0)", "nil"},
		{"empty lists sleep", "(select nil nil nil 1)", "nil"},
		{"a closed socket", "(destroy-instance b) (list (select (list a b)) *lastsocketerror*)", `(nil "Bad file descriptor")`},
		{"the socket's timeout does not matter", "(setsockopt a nil 'SO_RCVTIMEO 1) (setq s (float-time)) (select (list a) nil nil 30) (>= (- (float-time) s) 0.030)", "t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := start(t)
			in.value(sockets)
			in.is(c.want, c.text)
		})
	}
}

func TestSelectIsNotEarly(t *testing.T) {
	in := start(t)
	begun := time.Now()
	in.is("nil", sockets+"(select (list a) nil nil 20.5)")
	require.GreaterOrEqual(t, time.Since(begun), 20500*time.Microsecond)
}

// Another thread wakes a select that waits, by sending data or by closing the socket.
func TestSelectIsWoken(t *testing.T) {
	in := start(t)
	in.value(sockets + "(setq waiter (thread (select (list l a))))")
	in.is("t", `(write-string b "x") (equal (join waiter) (list (list a) nil nil))`)
	in.is(`(nil "Bad file descriptor")`, `
(read-string a)
(setq waiter (thread (list (select (list l a)) *lastsocketerror*)))
(sleep 1) ; so that it mostly waits when the socket is closed
(destroy-instance a)
(join waiter)`)
}
