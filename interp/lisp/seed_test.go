package lisp_test

import (
	"regexp"
	"testing"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

// seedExamples has the examples of the class's reference, unchanged. Each case has the
// forms that prepare the example, and the value that the example then returns. The
// functions of redirect replace the methods that would use the network or a fixed
// port.
var seedExamples = []struct {
	method  string
	prepare string
	text    string
	want    string
	after   string // a form that checks the effect of the example
	so      string
}{
	{"accept", "(setq mysock l) (connect (make-instance socket 'inet 'stream 0) \"127.0.0.1\" (get l 'port))",
		"(accept mysock)", "#<socket inet stream N>", "", ""},
	{"char-in-buffer", "(write-string b \"xy\") (read-char mysock)",
		"(char-in-buffer mysock t)", "nil", "(list (char-in-buffer mysock) (read-char mysock))", "(t 120)"},
	{"clear-input", "(write-string b \"a\\nb\\n\") (read-line mysock) (write-string b \"c\\n\")",
		"(clear-input mysock)", "nil", "(read-line mysock)", `"c"`},
	{"connect", "(setq google (make-instance socket 'inet 'stream 0 'port 0))",
		`(connect google "www.google.com" 'http)`, "t", "(list (get google 'remoteaddress) (= (get google 'remoteport) (get l 'port)))", `("127.0.0.1" t)`},
	{"constructor", "", "(setq google(make-instance socket 'inet 'stream 0 'port 9999))", "#<socket inet stream N>", "(> (get google 'port) 0)", "t"},
	{"constructor", "", "(make-instance socket 'inet 'stream 0 'port 9999)", "#<socket inet stream N>", "", ""},
	{"destructor", "", "(destroy-instance mysock)", "t", "(list (eof mysock) (read-string b))", "(t nil)"},
	{"eof", "", "(eof mysock)", "nil", "(destroy-instance b) (list (eof mysock) (read-char mysock) (eof mysock))", "(nil EOF t)"},
	{"fread", "(write-string b \"hello\")", "(fread mysock buffer1)", "5", "(binary-to-string buffer1 5)", `"hello"`},
	{"fwrite", "(set-byte buffer1 0 65)", "(fwrite mysock buffer1)", "8", "(fread b buffer1) (byte buffer1 0)", "65"},
	{"getsockopt", "", "(getsockopt mysock nil 'SO_RVCTIMEO)", "nil", "*lastsocketerror*", `"Protocol not available"`}, // the reference misspells SO_RCVTIMEO
	{"listen", "(setq mysock (make-instance socket 'inet 'stream 0 'address \"127.0.0.1\" 'port 0))", "(listen mysock 5)", "t", "(connect (make-instance socket 'inet 'stream 0) \"127.0.0.1\" (get mysock 'port))", "t"},
	{"read-char", "(write-string b \"€\")", "(read-char mysock)", "8364", "", ""},
	{"read-string", "(setq mysoc mysock) (write-string b \"a\\r\\nb\")", "(read-string mysoc)", `"a\r\nb"`, "", ""},
	{"recv", "(write-string b \"hello\")", "(recv mysock buffer1)", "5", "(binary-to-string buffer1 5)", `"hello"`},
	{"recv-from", "(setq mysock u) (send-to v buffer1 \"127.0.0.1\" (get u 'port))", "(recv-from mysock buffer1)", "8",
		"(list (get mysock 'remoteaddress) (= (get mysock 'remoteport) (get v 'port)))", `("127.0.0.1" t)`},
	{"send", "(set-byte buffer1 7 66)", "(send mysock buffer1)", "8", "(recv b buffer1) (byte buffer1 7)", "66"},
	{"send-to", "(setq mysock v)", `(send-to mysock buffer1 "192.168.2.1" 80)`, "8", "(recv-from u buffer1)", "8"},
	{"setsockopt", "", "(setsockopt mysock nil 'SO_RCVTIMEO 10000)", "t", "(getsockopt mysock nil 'SO_RCVTIMEO)", "10000"},
	{"setsockopt", "", "(setsockopt mysock nil 'SO_SNDTIMEO 10000)", "t", "(getsockopt mysock \"socket\" 'SO_SNDTIMEO)", "10000"},
	{"unread-char", "(write-string b \"xy\") (read-char mysock)", "(unread-char mysock)", "nil", "(read-line-of-2)", `"xy"`},
	{"write-char", "", "(write-char mysock 8364)", "8364", "(read-char b)", "8364"},
	{"write-line", "", `(write-line mysock "HEAD / HTTP/1.1" )`, `"HEAD / HTTP/1.1"`, "(read-string b)", `"HEAD / HTTP/1.1\n"`},
	{"write-string", "", `(write-string mysock "HEAD / HTTP/1.1" )`, `"HEAD / HTTP/1.1"`, "(read-string b)", `"HEAD / HTTP/1.1"`},
}

const seedFixture = sockets + `
(setq mysock a buffer1 (make-binary 8))
(setq u (make-instance socket 'inet 'dgram 0 'address "127.0.0.1" 'port 0))
(setq v (make-instance socket 'inet 'dgram 0 'address "127.0.0.1" 'port 0))
(dolist (s (list a b l u v)) (setsockopt s nil 'SO_RCVTIMEO 20000))
(defun read-line-of-2 () (let ((two (make-binary 2))) (fread mysock two) (binary-to-string two)))`

// redirect replaces three methods by functions. They require the arguments of the
// examples, and call the methods with a host and port of this machine. So the tests do
// not use the network, and do not need a fixed port.
const redirect = `
(setq real-connect connect real-send-to send-to real-make-instance make-instance)
(defun connect (s host service)
  (unless (equal (list host service) '("www.google.com" http)) (error "no example connects to %s" host))
  (real-connect s "127.0.0.1" (get l 'port)))
(defun send-to (s b host port)
  (unless (equal (list host port) '("192.168.2.1" 80)) (error "no example sends to %s" host))
  (real-send-to s b "127.0.0.1" (get u 'port)))
(defun make-instance (class family type protocol keyword port)
  (unless (equal (list keyword port) '(port 9999)) (error "no example has the port %s" port))
  (real-make-instance class family type protocol keyword 0))`

const restore = "(setq connect real-connect send-to real-send-to make-instance real-make-instance)"

var descriptor = regexp.MustCompile(`(#<socket \w+ \w+) \d+>`)

func TestSeedExamples(t *testing.T) {
	for _, c := range seedExamples {
		t.Run(c.text, func(t *testing.T) {
			in := start(t)
			in.value(seedFixture)
			in.value(c.prepare)
			in.value(redirect)
			got := lisp.Print(in.value(c.text))
			require.Equal(t, c.want, descriptor.ReplaceAllString(got, "$1 N>"))
			in.value(restore)
			if c.after != "" {
				in.is(c.so, c.after)
			}
		})
	}
}

// The class has 23 methods, and its parent has read-line. All have an example, except
// for showbin and read-line, which have none in the reference. Each method also has its
// long name.
func TestSeedMethods(t *testing.T) {
	in := start(t)
	shown := map[string]bool{"showbin": true}
	for _, c := range seedExamples {
		shown[c.method] = true
	}
	require.Len(t, shown, 23)
	shown["read-line"] = true
	delete(shown, "constructor")
	delete(shown, "destructor")
	for method := range shown {
		in.is("#<function "+method+">", "socket-"+method)
		in.is("#<function "+method+">", method)
	}
	in.is("#<class socket>", "socket")
}
