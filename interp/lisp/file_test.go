package lisp_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"write and read lines", `(setq f (open path "w")) (list (write-line f "one") (write-string f "two\r\nthree") (close f)) (setq f (open path)) (list (read-line f) (read-line f) (eof f) (read-line f) (read-line f) (eof f) *lastsocketerror*)`, `("one" "two" nil "three" nil t nil)`},
		{"characters", `(setq f (open path "w+")) (write-char f 8364) (write-char f ?a) (seek f 0) (list (read-char f) (read-char f) (read-char f) (eof f))`, "(8364 97 EOF t)"},
		{"a character is pushed back", `(setq f (open path "w+")) (write-string f "xy") (seek f 0) (list (char-in-buffer f) (read-char f) (unread-char f) (char-in-buffer f) (read-char f) (char-in-buffer f t) (read-string f))`, `(nil 120 nil t 120 nil "xy")`},
		{"bytes", `(setq f (open path "w+") b (string-to-binary "abcdef")) (list (fwrite f b) (fwrite f b 2) (seek f 1) (fread f b 3) (binary-to-string b) (read-char f) (read-string f) (fread f b))`, `(6 2 t 3 "bcddef" 101 "fab" nil)`},
		{"fread takes what was read ahead first", `(setq f (open path "w+") b (make-binary 9)) (write-string f "line\nrest") (seek f 0) (read-line f) (list (fread f b 2) (fread f b) (clear-input f) (fread f b))`, "(2 2 nil nil)"},
		{"append", `(setq f (open path "w")) (write-line f "1") (close f) (setq f (open path "a")) (write-line f "2") (close f) (read-string (open path))`, `"1\n2\n"`},
		{"a file that is not there", `(list (open "/no/such/file") *lastsocketerror*)`, `(nil "No such file or directory")`},
		{"a wrong direction", `(setq f (open path "w")) (list (read-line f) *lastsocketerror*)`, `(nil "Bad file descriptor")`},
		{"what is closed", `(setq f (open path "w+")) (list (> (fileno f) 2) (close f) (close f) (destroy-instance f) (fileno f) (eof f) (read-line f) (write-line f "") (read-char f) (seek f 0) *lastsocketerror*)`, `(t t t t -1 t nil nil nil nil "Bad file descriptor")`},
		{"bytes that are no character", `(setq f (open path "w+")) (fwrite f (string-to-binary "\xffa\xe2\x82")) (seek f 0) (list (read-char f) *lastsocketerror* (read-char f) (read-char f) (read-char f))`, `(nil "Invalid or incomplete multibyte or wide character" 97 nil nil)`},
		{"what it is", `(setq f (open path "w")) (list (class-of f) (is-a f file) (socketp f) (equal (get f 'filename) path) (put f 'mine 5) (get f 'mine))`, "(#<class file> t nil t 5 5)"},
		{"the long names", `(setq f (make-instance 'file path "w+")) (file-write-line f "x") (seek f 0) (file-read-line f)`, `"x"`},
		{"a child", `(defclass log file) (defmethod log-constructor (self) (file-constructor self path "w+")) (defmethod log-write-line (self s) (file-write-line self (upcase s))) (setq f (make-instance log)) (write-line f "x") (seek f 0) (read-line f)`, `"X"`},
		{"a long line", `(setq f (open path "w+") s (string-repeat "x" 100000)) (write-line f s) (seek f 0) (string= s (read-line f))`, "t"},
		{"a regular file is always ready", `(setq f (open path "w+")) (equal (select (list f) (list f)) (list (list f) (list f) nil))`, "t"},
		{"standard files", "(list *stdin* (write-string *stdout* \"\") (is-a *stderr* 'file))", `(#<file "stdin" 0> "" t)`},

		{"a pipe", `(setq p (pipe)) (write-line (cadr p) "x") (list (read-line (car p)) (close (cadr p)) (read-line (car p)) (eof (car p)))`, `("x" t nil t)`},
		{"a pipe is selected with sockets", `(setq p (pipe) r (car p)) (list (select (list r a) nil nil 0) (write-string (cadr p) "x") (equal (select (list a r) nil nil 20000) (list (list r) nil nil)))`, `(nil "x" t)`},
		{"what was read ahead is ready", `(setq p (pipe) r (car p)) (write-string (cadr p) "x\ny") (read-line r) (equal (select (list r) nil nil 0) (list (list r) nil nil))`, "t"},
		{"a read waits", `(setq p (pipe) th (thread (read-line (car p)))) (write-line (cadr p) "late") (join th)`, `"late"`},
		{"a pipe takes more than it holds", `(setq p (pipe) s (string-repeat "0123456789" 100000) th (thread (write-string (cadr p) s) (close (cadr p)))) (setq n 0) (let ((part nil)) (while (setq part (read-string (car p))) (setq n (+ n (length part))))) n`, "1000000"},
		{"a broken pipe", `(setq p (pipe)) (close (car p)) (list (write-string (cadr p) "x") *lastsocketerror*)`, `(nil "Broken pipe")`},
		{"close wakes", `(setq p (pipe) r (car p) th (thread (list (read-line r) *lastsocketerror*))) (select (list r) nil nil 5) (close r) (join th)`, `(nil "Bad file descriptor")`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := start(t)
			in.set("path", filepath.Join(t.TempDir(), "file"))
			in.value(sockets)
			in.is(c.want, c.text)
		})
	}
}

func TestFileMistakes(t *testing.T) {
	in := start(t)
	in.set("path", filepath.Join(t.TempDir(), "file"))
	in.value(sockets)
	for _, c := range []struct{ text, want string }{
		{`(open path "x")`, `want a mode: r, r+, w, w+, a or a+, got "x"`}, {"(open 5)", "want a string"}, {"(file-read-line 5)", "want a file, got 5"}, {"(accept *stdin*)", "has no such method"}, {"(socket-recv *stdin* (make-binary 1))", "want a socket, got #<file"},
		{`(write-char (open path "w") 55296)`, "want a character"}, {`(fwrite (open path "w") "x")`, "want a binary"}, {"(seek a 0)", "want a file"}, {"(put *stdin* 'filename 1)", "the object's own"},
	} {
		in.fails(c.want, c.text)
	}
}

// An interruption ends the methods of a file that wait. A fifo without a writer does
// not block the thread that opens it.
func TestFilesAreInterrupted(t *testing.T) {
	for _, text := range []string{
		"(read-line (car p))", "(read-char (car p))", "(read-string (car p))", "(fread (car p) (make-binary 5))", "(write-string (cadr p) (string-repeat \"x\" 1000000))",
		"(progn (thread (read-line (car p))) (thread (read-line (car p))) (read-line (car p)))", "(select (list (car p)))", "(read-line (open fifo \"r+\"))",
	} {
		t.Run(text, func(t *testing.T) {
			in := start(t)
			fifo := filepath.Join(t.TempDir(), "fifo")
			require.NoError(t, unix.Mkfifo(fifo, 0o600))
			in.set("fifo", fifo)
			in.value("(setq p (pipe))")
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			_, err := in.Eval(ctx, text)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			in.is("nil", "*lastsocketerror*")
		})
	}
	in := start(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	in.set("fifo", fifo)
	in.is(`"x"`, `(setq r (open fifo) w (open fifo "w")) (write-line w "x") (read-line r)`)
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"several binaries", `(list (send-msg x (list (string-to-binary "ab") (string-to-binary "cde"))) (recv-msg y (list one buf)) (byte one 0) (binary-to-string buf 4))`, `(5 (5 0 nil nil) 97 "bcde")`},
		{"cut short", `(send-msg x (list (string-to-binary "abc"))) (setq m (recv-msg y (list one))) (list (car m) (logand MSG_TRUNC (cadr m)))`, "(1 32)"},
		{"flags", `(list (recv-msg y (list buf) 'flags MSG_DONTWAIT) *lastsocketerror*)`, `(nil "Resource temporarily unavailable")`},
		{"a pipe and a socket are passed", `
(setq p (pipe) s (socketpair 'unix 'stream 0))
(send-msg x (list one) 'descriptors (list (cadr p) (car s)))
(setq came (caddr (recv-msg y (list one) 'descriptors 4)))
(write-line (car came) "by the pipe")
(write-line (cadr came) "by the socket")
(list (mapcar class-of came) (read-line (car p)) (read-line (cadr s)))`, `((#<class file> #<class socket>) "by the pipe" "by the socket")`},
		{"an address", `(list (send-msg u (list buf) 'address "127.0.0.1" 'port (get v 'port)) (equal (recv-msg v (list buf)) (list 8 0 nil (list "127.0.0.1" (get u 'port)))))`, "(8 t)"},
		{"the end", "(destroy-instance x) (list (recv-msg y (list buf)) (destroy-instance y) (send-msg y (list buf)))", "(EOF t EOF)"},
		{"a file is sent", `(setq f (open path "w+")) (write-string f "0123456789") (seek f 2) (list (sendfile a f 3) (sendfile a f) (sendfile a f) (read-string b))`, `(3 5 0 "23456789")`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := start(t)
			in.set("path", filepath.Join(t.TempDir(), "file"))
			in.value(seedFixture + `
(setq buf buffer1 one (make-binary 1) xy (socketpair 'unix 'seqpacket 0) x (car xy) y (cadr xy))
(setsockopt y nil 'SO_RCVTIMEO 20000)`)
			in.is(c.want, c.text)
		})
	}
	in := start(t)
	in.set("path", filepath.Join(t.TempDir(), "file"))
	in.value(seedFixture)
	for _, c := range []struct{ text, want string }{
		{"(send-msg a 5)", "want a list"}, {"(send-msg a '(5))", "want a binary"}, {"(send-msg a nil 'descriptors '(5))", "want an object"}, {"(send-msg a nil 'what 5)", "unknown keyword what"},
		{"(send-msg u (list buffer1) 'address \"localhost\" 'port 80)", "an address in figures and a port are needed"}, {"(recv-msg a (list buffer1) 'descriptors 254)", "from 0 to 253"}, {"(recv-msg a (list buffer1 buffer1))", "in use"}, {"(sendfile a (open path \"w\") -1)", "want a length"}, {"(sendfile a (car (pipe)))", "want a regular file"}, {"(sendfile a b)", "want a regular file"},
		{"(shutdown a 'up)", "want a direction: read, write or both, got up"}, {"(socketpair 'none 'stream 0)", "unix"}, {"(destroy-instance b) (send-msg a nil 'descriptors (list b))", "that is open"},
	} {
		in.fails(c.want, c.text)
	}
}

// A program that has reached its limit of descriptors can open more if it has
// forgotten sockets and files.
func TestDescriptorsAreCollected(t *testing.T) {
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	low := limit
	low.Cur = uint64(len(entries)) + 40
	in := start(t)
	in.set("path", filepath.Join(t.TempDir(), "file"))
	in.value(sockets)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	for _, text := range []string{
		"(make-instance socket 'inet 'stream 0)",
		"(open path \"w\")", "(pipe)", "(socketpair 'unix 'stream 0)",
		"(let ((c (make-instance socket 'inet 'stream 0))) (and c (connect c \"127.0.0.1\" (get l 'port)) (accept l)))",
		"(let ((p (pipe))) (and p (not (select p nil nil 0)) (null *lastsocketerror*)))",
	} {
		in.is("(0 nil)", "(setq bad 0) (dotimes (i 300) (unless "+text+" (setq bad (+ bad 1)))) (list bad *lastsocketerror*)")
	}
}
