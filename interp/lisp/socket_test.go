package lisp_test

import (
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// Each case begins with a and b connected over TCP, and buf of 4 bytes.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		// Values.
		{"recv gives what there is", `(send b (string-to-binary "abcdef")) (list (recv a buf) (recv a buf) (binary-to-string buf 2))`, `(4 2 "ef")`},
		{"recv of a length", `(send b (string-to-binary "abcdef")) (list (recv a buf 'length 3) (recv a buf 'length 99))`, "(3 3)"},
		{"recv with flags", `(send b (string-to-binary "ab")) (list (recv a buf 'flags MSG_PEEK 'length 1) (recv a buf 'flags (logior MSG_PEEK MSG_DONTWAIT)) (recv a buf))`, "(1 2 2)"},
		{"recv forgets what was read ahead", `(write-string b "x\ny\n") (read-line a) (write-string b "z") (recv a buf) (binary-to-string buf 1)`, `"z"`},
		{"send of a length", `(list (send a (string-to-binary "abcdef") 'length 2) (recv b buf))`, "(2 2)"},
		{"fread gives what was read ahead first", `(write-string b "x\nyz") (read-line a) (write-string b "more") (list (fread a buf) (binary-to-string buf 2))`, `(2 "yz")`},
		{"fread of a length", `(write-string b "abcdef") (list (fread a buf 2) (fread a buf 99))`, "(2 4)"},
		{"fwrite of a length", `(list (fwrite a (string-to-binary "abc") 2) (fread b buf))`, "(2 2)"},
		{"read-string takes all that is buffered", `(write-string b "x\ny\r\nz") (list (read-line a) (read-string a))`, `("x" "y\r\nz")`},
		{"read-line takes the end off", `(write-string b "x\r\ny\n\nz") (destroy-instance b) (list (read-line a) (read-line a) (read-line a) (read-line a) (read-line a) (eof a))`, `("x" "y" "" "z" nil t)`},
		{"characters", `(write-string b "a€\n") (list (read-char a) (read-char a) (read-char a))`, "(97 8364 10)"},
		{"a character is pushed back", `(write-string b "ab") (read-char a) (unread-char a) (list (char-in-buffer a) (read-char a) (char-in-buffer a) (read-char a))`, "(t 97 nil 98)"},
		{"the flag of a character", `(write-string b "ab") (read-char a) (list (char-in-buffer a t) (char-in-buffer a nil) (char-in-buffer a) (read-char a))`, "(nil t nil 98)"},
		{"what is written", `(list (write-char a 8364) (write-string a "x") (write-line a "y")) `, `(8364 "x" "y")`},
		{"clear-input", `(write-string b "x\ny\n") (read-line a) (list (clear-input a) (eof a))`, "(nil nil)"},

		// The end of the stream is no error.
		{"recv at the end", "(destroy-instance b) (list (recv a buf) *lastsocketerror* (eof a))", "(EOF nil t)"},
		{"recv-from at the end", "(destroy-instance b) (list (recv-from a buf) *lastsocketerror*)", "(EOF nil)"},
		{"read-char at the end", "(destroy-instance b) (list (read-char a) *lastsocketerror* (eof a))", "(EOF nil t)"},
		{"read-string at the end", "(destroy-instance b) (list (read-string a) *lastsocketerror* (eof a))", "(nil nil t)"},
		{"read-line at the end", "(destroy-instance b) (list (read-line a) *lastsocketerror* (eof a))", "(nil nil t)"},
		{"fread at the end", "(destroy-instance b) (list (fread a buf) *lastsocketerror* (eof a))", "(nil nil t)"},

		// Errors.
		{"a timeout", "(setsockopt a nil 'SO_RCVTIMEO 1.5) (list (recv a buf) *lastsocketerror* (eof a))", `(nil "Resource temporarily unavailable" nil)`},
		{"a timeout of read-char", "(setsockopt a nil 'SO_RCVTIMEO 1) (list (read-char a) *lastsocketerror* (eof a))", `(nil "Resource temporarily unavailable" nil)`},
		{"a timeout of read-line", "(setsockopt a nil 'SO_RCVTIMEO 1) (list (read-line a) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},
		{"a timeout of read-string", "(setsockopt a nil 'SO_RCVTIMEO 1) (list (read-string a) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},
		{"a timeout of fread", "(setsockopt a nil 'SO_RCVTIMEO 1) (list (fread a buf) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},
		{"a timeout of accept", "(setsockopt l nil 'SO_RCVTIMEO 1) (list (accept l) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},
		{"fwrite stopped by a timeout", "(setsockopt a nil 'SO_SNDTIMEO 1) (setq n (fwrite a (make-binary 100000000))) (list (< 0 n 100000000) *lastsocketerror*)", `(t "Resource temporarily unavailable")`},
		{"fwrite that sends nothing", "(setq p (socketpair 'unix 'stream 0) a (car p)) (setsockopt a nil 'SO_SNDTIMEO 1) (while (fwrite a (make-binary 1000000))) (setq *lastsocketerror* nil) (list (fwrite a buf) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},
		{"send that sends nothing", "(while (send a (make-binary 100000) 'flags MSG_DONTWAIT)) *lastsocketerror*", `"Resource temporarily unavailable"`},
		{"bytes that are no character", `(send b (string-to-binary "\xffa")) (list (read-char a) *lastsocketerror* (eof a) (read-char a))`, `(nil "Invalid or incomplete multibyte or wide character" nil 97)`},
		{"what is no character", "(list (write-char a 55296) *lastsocketerror*)", `(nil "Invalid or incomplete multibyte or wide character")`},
		{"nothing to push back", "(list (unread-char a) (null *lastsocketerror*))", "(nil nil)"},
		{"the message stays until it is reset", "(setsockopt a nil 'SO_RCVTIMEO 1) (recv a buf) (write-string b \"x\") (setsockopt a nil 'SO_RCVTIMEO 0) (recv a buf) (list *lastsocketerror* (setq *lastsocketerror* nil) *lastsocketerror*)", `("Resource temporarily unavailable" nil nil)`},
		{"broken by the peer", "(destroy-instance b) (send a buf) (read-char a) (while (integerp (setq r (send a buf)))) (list r *lastsocketerror*)", `(EOF "Broken pipe")`},
		{"connect twice", "(list (connect a \"127.0.0.1\" (get l 'port)) *lastsocketerror*)", `(nil "Transport endpoint is already connected")`},
		{"listen on a connected socket", "(list (listen a 5) *lastsocketerror*)", `(nil "Invalid argument")`},
		{"accept on what does not listen", "(list (accept a) *lastsocketerror*)", `(nil "Invalid argument")`},

		// A socket that destroy-instance has closed.
		{"methods with EOF", "(destroy-instance a) (list (recv a buf) (recv-from a buf) (send a buf) (send-to a buf \"127.0.0.1\" 9) (read-char a) *lastsocketerror*)", `(EOF EOF EOF EOF EOF "Bad file descriptor")`},
		{"methods with nil", "(destroy-instance a) (list (read-string a) (read-line a) (fread a buf) (fwrite a buf) (write-char a 65) (write-string a \"x\") (write-line a \"x\") (accept a) (listen a 5) (connect a \"127.0.0.1\" 9) (getsockopt a nil 'SO_TYPE) (setsockopt a nil 'SO_KEEPALIVE t) (unread-char a) (char-in-buffer a) (clear-input a))", "(nil nil nil nil nil nil nil nil nil nil nil nil nil nil nil)"},
		{"and others", "(destroy-instance a) (list (destroy-instance a) (eof a) (fileno a) (get a 'family) (get a 'port) (get a 'protocol) *lastsocketerror*)", `(t t -1 "inet" nil nil nil)`},
		{"what it prints as", "(destroy-instance a) a", "#<socket inet stream closed>"},

		// Options.
		{"a flag", "(list (getsockopt a nil 'SO_KEEPALIVE) (setsockopt a nil 'SO_KEEPALIVE t) (getsockopt a nil 'SO_KEEPALIVE) (setsockopt a \"socket\" 'SO_KEEPALIVE nil) (getsockopt a 1 'SO_KEEPALIVE))", "(nil t t t nil)"},
		{"a flag of another level", "(list (setsockopt a \"tcp\" 'TCP_NODELAY 1) (getsockopt a \"tcp\" 'TCP_NODELAY) (setsockopt a 6 'TCP_NODELAY) (getsockopt a 6 'TCP_NODELAY))", "(t t t nil)"},
		{"timeouts", "(list (getsockopt a nil 'SO_RCVTIMEO) (setsockopt a nil 'SO_RCVTIMEO 2.5) (getsockopt a nil 'SO_RCVTIMEO) (setsockopt a nil 'SO_RCVTIMEO 0) (getsockopt a nil 'SO_RCVTIMEO) (setsockopt a nil 'SO_SNDTIMEO 3) (getsockopt a nil 'SO_SNDTIMEO) (setsockopt a nil 'SO_SNDTIMEO nil) (getsockopt a nil 'SO_SNDTIMEO))", "(nil t 2.5 t nil t 3 t nil)"},
		{"an integer", "(getsockopt a nil 'SO_TYPE)", "1"},
		{"a list", "(list (setsockopt a nil 'SO_LINGER '(1 5)) (getsockopt a nil 'SO_LINGER))", "(t (1 5))"},
		{"a string", `(setsockopt a "tcp" 'TCP_CONGESTION "reno") (getsockopt a "tcp" 'TCP_CONGESTION)`, `"reno"`},

		// Properties.
		{"of a connected socket", "(list (get a 'family) (get a 'type) (get a 'protocol) (get a 'maxstring) (get a 'address) (get a 'remoteaddress) (= (get a 'remoteport) (get l 'port)) (= (get b 'remoteport) (get a 'port)) (get b 'filename) (get a 'none))", `("inet" "stream" "tcp" 4096 "127.0.0.1" "127.0.0.1" t t nil nil)`},
		{"of a listening one", "(list (get l 'remoteaddress) (get l 'remoteport) (> (get l 'port) 0))", "(nil nil t)"},
		{"of the program", "(put a 'name \"x\") (put a 'name \"y\") (put a 'n 5) (list (get a 'name) (get b 'name) (nthcdr 18 (plist a)))", `("y" nil (name "y" n 5))`},
		{"as a list", "(setq p (plist a)) (list (nth 0 p) (nth 1 p) (nth 12 p) (= (nth 13 p) (get a 'port)) (length p))", `(family "inet" port t 18)`},
		{"inherited by accept", "(setq l2 (make-instance socket 'inet 'stream \"tcp\" 'maxstring 7)) (listen l2 1) (setq c (make-instance socket 'inet 'stream 0)) (connect c \"127.0.0.1\" (get l2 'port)) (setq d (accept l2)) (write-string c \"0123456789\") (list (get d 'maxstring) (read-string d))", `(7 "0123456")`},
		{"the peer stays known", "(destroy-instance a) (= (get a 'remoteport) (get l 'port))", "t"},
		{"connect without a service", "(setq c (make-instance socket 'inet 'stream 0)) (list (connect c \"127.0.0.1\") (connect c \"127.0.0.1\" nil) *lastsocketerror*)", `(nil nil "Connection refused")`},
		{"the service as a string", "(setq c (make-instance socket 'inet 'stream 0)) (connect c \"127.0.0.1\" (number-to-string (get l 'port)))", "t"},
		{"an unknown service", "(setq c (make-instance socket 'inet 'stream 0)) (list (connect c \"127.0.0.1\" 'no-such-service) *lastsocketerror*)", `(nil "Servname not supported for ai_socktype")`},
		{"a port in use", "(list (make-instance socket 'inet 'stream 0 'address \"127.0.0.1\" 'port (get l 'port)) *lastsocketerror*)", `(nil "Address already in use")`},
		{"another protocol", "(list (make-instance socket 'inet 'stream \"no-such\") *lastsocketerror*)", `(nil "Protocol not supported")`},
		{"a wrong keyword for the family", "(list (make-instance socket 'unix 'stream 0 'port 1) *lastsocketerror*)", `(nil "Invalid argument")`},
		{"a family that is not there", "(list (make-instance socket 'x25 'seqpacket 0) *lastsocketerror*)", `(nil "Address family not supported by protocol")`},
		{"IPv6, where the kernel has it", "(or (socketp (make-instance socket 'inet6 'dgram \"udp\")) (equal *lastsocketerror* \"Address family not supported by protocol\"))", "t"},
		{"reuseaddress", "(setq c (make-instance socket 'inet 'stream 0 'reuseaddress t 'port 0)) (getsockopt c nil 'SO_REUSEADDR)", "t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := start(t)
			in.value(sockets + "(setq buf (make-binary 4))")
			in.is(c.want, c.text)
		})
	}
}

func TestSocketMistakes(t *testing.T) {
	in := start(t)
	in.value(sockets + "(setq buf (make-binary 4))")
	for _, c := range []struct{ text, want string }{
		{"(make-instance 'sock 'inet 'stream 0)", "make-instance: want a class, such as socket, got sock"},
		{"(make-instance socket 'inet 'stream)", "constructor: want a family, a type, a protocol and keywords"},
		{"(setsockopt a nil 'SO_LINGER \"x\")", "setsockopt: SO_LINGER does not take \"x\""},
		{"(setsockopt a nil 'SO_RCVTIMEO 'x)", "setsockopt: SO_RCVTIMEO does not take x"},
		{"(make-instance socket \"inet\" 'stream 0)", "want a symbol"},
		{"(make-instance socket 'ip 'stream 0)", "unix"},
		{"(make-instance socket 'inet 'flow 0)", "dgram"},
		{"(make-instance socket 'inet 'stream 'tcp)", "want a protocol's number or name, got tcp"},
		{"(make-instance socket 'inet 'stream -1)", "integer from 0 to"},
		{"(make-instance socket 'inet 'stream 0 'prot 1)", "unknown keyword prot: there are address, filename, maxstring, port, reuseaddress"},
		{"(make-instance socket 'inet 'stream 0 'port)", "no value for the keyword port"},
		{"(make-instance socket 'inet 'stream 0 5 1)", "keyword: want a symbol, got 5"},
		{"(make-instance socket 'inet 'stream 0 'port 65536)", "port: want an integer from 0 to 65535, got 65536"},
		{"(make-instance socket 'inet 'stream 0 'address 5)", "address: want a string"},
		{"(make-instance socket 'inet 'stream 0 'maxstring 0)", "maxstring: want an integer from 1"},
		{"(accept 5)", "accept: want a socket, got 5"}, {"(recv a \"x\")", "recv: want a binary"}, {"(recv a)", "want 2 or more arguments, got 1"},
		{"(recv a buf 'len 5)", "unknown keyword len: there are flags, length"}, {"(recv a buf 'length -1)", "length: want a length of 0 or more bytes, got -1"}, {"(send a buf 'flags nil)", "flags: want an integer"},
		{"(send-to a buf 5 6)", "want a string"}, {"(send-to a buf \"127.0.0.1\" 65536)", "from 0 to 65535"}, {"(fread a buf 1.5)", "want a length"}, {"(fwrite a buf -1)", "want a length"},
		{"(connect a 5)", "want a string"}, {"(connect a \"x\" 1.5)", "want a port, or a service's name"}, {"(connect a \"x\" -1)", "from 0 to 65535"}, {"(listen a 'x)", "want an integer"},
		{"(write-char a -1)", "from 0 to 1114111"}, {"(write-line a 5)", "want a string"}, {"(char-in-buffer a nil nil)", "want 1 to 2 arguments"},
		{"(getsockopt a 'x 'y)", "want a level as a number or name, or nil"}, {"(getsockopt a nil \"SO_TYPE\")", "want a symbol"}, {"(setsockopt a 1.5 'x)", "want a level"},
		{"(put a 'port 5)", "the property port is the object's own"}, {"(put a 'lsocket 5)", "object's own"}, {"(get a \"port\")", "want a symbol"}, {"(showbin a 5)", "want a binary"},
		{"(select 5)", "select: want a list, got 5"}, {"(select '(5))", "want a socket or a file, got 5"}, {"(select nil nil nil -1)", "want a number of milliseconds, got -1"}, {"(select nil nil nil 'x)", "want a number of milliseconds"}, {"(select)", "want 1 to 4 arguments"},
	} {
		in.fails(c.want, c.text)
	}
	in.is("nil", "*lastsocketerror*")
}

func TestUnixSockets(t *testing.T) {
	in := start(t)
	in.set("path", filepath.Join(t.TempDir(), "s"))
	in.is("t", `
(setq l (make-instance socket 'unix 'stream 0 'filename path))
(listen l 5)
(setq a (make-instance socket 'local 'stream 0))
(connect a path)`)
	in.is("t", "(setq b (accept l)) (and (equal (get l 'filename) path) (equal (get a 'remoteaddress) path))")
	in.is(`(nil nil nil "x")`, `(write-line b "x") (list (get l 'port) (get l 'address) (get a 'remoteport) (read-line a))`)
	in.is(`(nil "No such file or directory")`, `(list (connect (make-instance socket 'unix 'stream 0) "/no/such/socket") *lastsocketerror*)`)
}

func TestDatagrams(t *testing.T) {
	in := start(t)
	in.is("(8 5 0 3)", `
(defun udp () (make-instance socket 'inet 'dgram 0 'address "127.0.0.1" 'port 0))
(setq a (udp) b (udp) c (udp) buf (make-binary 8))
(send-to b (string-to-binary "too long to fit") "127.0.0.1" (get a 'port))
(send-to c (string-to-binary "hello") "localhost" (get a 'port) 'flags MSG_DONTWAIT)
(send-to c buf "127.0.0.1" (get a 'port) 'length 0)
(send-to b buf "127.0.0.1" (get a 'port) 'length 3)
(list (recv-from a buf) (recv a buf 'flags 0) (recv-from a buf) (recv-from a buf))`)
	in.is("(nil t)", "(list (eof a) (= (get a 'remoteport) (get b 'port)))")
	// With MSG_TRUNC recv-from returns the length of the datagram, which is longer than
	// the binary.
	in.is("15", `(send-to b (string-to-binary "too long to fit") "127.0.0.1" (get a 'port)) (recv-from a buf 'flags MSG_TRUNC)`)
	in.is("15", `(send-to b (string-to-binary "too long to fit") "127.0.0.1" (get a 'port)) (recv a buf 'flags MSG_TRUNC)`)
}

func TestShow(t *testing.T) {
	in := start(t)
	in.value(sockets + "(put a 'name \"x\") (write-string b \"xyz\") (read-char a)")
	in.is("t", "(showbin a)")
	state := in.out.String()
	require.Contains(t, state, "buffered")
	in.is("t", "(showbin a (get a 'lsocket) 6)")
	require.Equal(t, state+state[:6], in.out.String())
	in.is("t", "(show a)")
	shown := in.out.String()[len(state)+6:]
	require.Contains(t, shown, "\nremoteport "+strconv.FormatInt(in.value("(get l 'port)").(int64), 10)+"\nname \"x\"\n")
	require.Contains(t, shown, state)
}

func TestMaxStringOption(t *testing.T) {
	in := startWith(t, lisp.Options{MaxString: 5})
	in.is(`("01234" 5)`, sockets+`(write-string b "0123456789") (list (read-string a) (get a 'maxstring))`)
}

// A connect without an answer ends after the send timeout.
func TestConnectTimeout(t *testing.T) {
	in := start(t)
	full := fullBacklog(t)
	in.set("path", full)
	begun := time.Now()
	in.is(`(nil "Resource temporarily unavailable")`, `(setq s (make-instance socket 'unix 'stream 0)) (setsockopt s nil 'SO_SNDTIMEO 30) (list (connect s path) *lastsocketerror*)`)
	require.GreaterOrEqual(t, time.Since(begun), 30*time.Millisecond)
}

// fullBacklog returns the path of a unix socket whose backlog is full: a connect to it
// waits.
func fullBacklog(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "full")
	l, err := socket.Config{Filename: path}.New(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	require.NoError(t, l.Listen(0))
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return path
}

func TestSocketsFromGo(t *testing.T) {
	in := start(t)
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	in.set("a", a)
	in.set("b", b)
	in.is(`("x" nil)`, `(write-line a "x") (list (read-line b) (get a 'maxstring))`)
	require.Same(t, a, in.value("a").(*lisp.Object).Socket())
	require.NoError(t, a.Close())
	in.is("nil", "(read-line b)")
	require.NoError(t, b.Close())
}

// The collector closes a socket that the program has forgotten, also while the
// evaluation continues. No method, select or call keeps a reference to it.
func TestForgottenSocketIsClosed(t *testing.T) {
	in := start(t)
	require.NoError(t, in.Define("collect", 0, 0, func(*lisp.Thread, []lisp.Value) (any, error) {
		runtime.GC()
		return nil, nil
	}))
	const wait = `
(defun wait ()
  (while (not (eof b))
    (collect)
    (recv b (make-binary 1) 'flags MSG_DONTWAIT))
  (eof b))`
	in.is("t", sockets+wait+`
(defun use (s) (get s 'port) (select (list s) (list s) nil 0) (write-string s "x"))
(use a)
(list 1 2 3 4 5 6 7 a) ; on the stack, higher than any argument after it
(read-string b)
(setq a nil)
(wait)`)
	// The function that had the socket in a variable continues.
	for _, text := range []string{
		"(progn (let ((s a)) (setq a nil) (fileno s)) (wait))",
		"(let ((x 1)) (let* ((y 2) (s a)) (setq a nil) (fileno s)) (wait))",
		"(let ((x 1)) (dolist (s (list a)) (setq a nil) (fileno s)) (wait))",
		"(let ((x 1)) (catch-error (s (setq s a a nil) (fileno s)) (car 1)) (wait))",
		"((lambda (s) (setq a nil) (setq s nil) (wait) 1) a) (eof b)",
		"((lambda (s) (setq a nil) (fileno s) (wait)) a)", // a tail call
		"(let ((l (list a))) (setq a nil) (fileno (pop l)) (wait))",
	} {
		in.is("t", sockets+text)
	}
}
