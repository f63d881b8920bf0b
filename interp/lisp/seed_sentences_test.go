package lisp_test

import (
	"path/filepath"
	"runtime"
	"testing"
)

// seedSentences has the sentences of the class's reference, by method. Each has a short
// name, and a program that shows that the sentence holds. A program can use a and b,
// which are connected over TCP, the listening socket l, the UDP sockets u and v, and
// the binary buf of 8 bytes.
var seedSentences = []struct{ method, sentence, text, want string }{
	{"socket", "an error sets *lastsocketerror*", "(list (accept a) *lastsocketerror*)", `(nil "Invalid argument")`},
	{"socket", "the variable is each thread's own", "(accept a) (join (thread *lastsocketerror*))", "nil"},
	{"socket", "the message stays until the program resets it", `(accept a) (write-string b "x") (read-char a) (list *lastsocketerror* (setq *lastsocketerror* nil) *lastsocketerror*)`, `("Invalid argument" nil nil)`},
	{"socket", "accept keeps to the receive timeout", "(setsockopt l nil 'SO_RCVTIMEO 1) (list (accept l) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},
	{"socket", "connect keeps to the send timeout", "(setq s (make-instance socket 'unix 'stream 0)) (setsockopt s nil 'SO_SNDTIMEO 1) (list (connect s full) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},
	{"socket", "reads keep to the receive timeout", "(setsockopt a nil 'SO_RCVTIMEO 1) (list (read-char a) (read-string a) (read-line a) (fread a buf) (recv a buf) (recv-from a buf) *lastsocketerror*)", `(nil nil nil nil nil nil "Resource temporarily unavailable")`},
	{"socket", "writes keep to the send timeout", "(setq p (socketpair 'unix 'stream 0) a (car p)) (setsockopt a nil 'SO_SNDTIMEO 1) (while (fwrite a (make-binary 1000000))) (setq *lastsocketerror* nil) (list (send a buf) (write-char a 65) (write-string a \"x\") (write-line a \"x\") (fwrite a buf) *lastsocketerror*)", `(nil nil nil nil nil "Resource temporarily unavailable")`},
	{"socket", "a timeout is in milliseconds", "(setsockopt a nil 'SO_RCVTIMEO 25) (setq begun (float-time)) (recv a buf) (> (- (float-time) begun) 0.024)", "t"},
	{"socket", "a timeout of 0 is none", "(list (setsockopt a nil 'SO_SNDTIMEO 10000) (getsockopt a nil 'SO_SNDTIMEO) (setsockopt a nil 'SO_SNDTIMEO 0) (getsockopt a nil 'SO_SNDTIMEO))", "(t 10000 t nil)"},
	{"socket", "a timeout may be a float", "(setsockopt a nil 'SO_RCVTIMEO 0.5) (getsockopt a nil 'SO_RCVTIMEO)", "0.5"},
	{"socket", "options have the names of socket(7)", "(list (getsockopt a nil 'SO_TYPE) (getsockopt a nil 'SO_ERROR) (getsockopt l nil 'SO_ACCEPTCONN))", "(1 0 t)"},
	{"socket", "an object has a block of buffers and flags", "(list (binaryp (get a 'lfile)) (binaryp (get a 'lsocket)))", "(t t)"},
	{"socket", "file-fileno is the descriptor", "(list (= (file-fileno a) (fileno a)) (> (file-fileno a) 2) (destroy-instance a) (file-fileno a))", "(t t t -1)"},
	{"socket", "other functions of sockets are there: shutdown", `(list (shutdown a 'write) (read-string b) (write-string b "still") (read-string a) (send a buf) (eof a))`, `(t nil "still" "still" EOF nil)`},
	{"socket", "other functions: getsockname, getpeername", "(list (equal (getsockname a) (getpeername b)) (equal (getpeername a) (list \"127.0.0.1\" (get l 'port))) (getpeername u) *lastsocketerror*)", `(t t nil "Transport endpoint is not connected")`},
	{"socket", "other functions: sockatmark", `(send b (string-to-binary "ab")) (recv a buf 'length 1 'flags MSG_PEEK) (send b (string-to-binary "!") 'flags MSG_OOB) (select nil nil (list a)) (list (sockatmark a) (recv a buf) (sockatmark a))`, "(nil 2 t)"},
	{"socket", "other functions: socketpair", "(let ((p (socketpair 'unix 'stream 0))) (write-line (car p) \"x\") (read-line (cadr p)))", `"x"`},

	{"accept", "it takes the first connection that waits", `(setq c (client) d (client)) (write-string c "1") (write-string d "2") (list (read-char (accept l)) (read-char (accept l)))`, "(49 50)"},
	{"accept", "of a seqpacket socket, too", `(setq s (make-instance socket 'unix 'seqpacket 0 'filename path)) (listen s 1) (setq c (make-instance socket 'unix 'seqpacket 0)) (connect c path) (setq d (accept s)) (send c (string-to-binary "hi")) (recv d buf)`, "2"},
	{"accept", "the new socket does not listen", "(client) (setq c (accept l)) (list (getsockopt c nil 'SO_ACCEPTCONN) (getsockopt l nil 'SO_ACCEPTCONN))", "(nil t)"},
	{"accept", "the new socket is an object like the argument", "(client) (setq c (accept l)) (list (socketp c) (eq c l) (get c 'family) (get c 'type) (get c 'protocol) (get c 'maxstring))", `(t nil "inet" "stream" "tcp" 4096)`},
	{"accept", "a failure is nil", "(accept b)", "nil"},

	{"char-in-buffer", "it tells whether a character was unread", `(write-string b "x") (read-char a) (list (char-in-buffer a) (unread-char a) (char-in-buffer a))`, "(nil nil t)"},
	{"char-in-buffer", "a true argument sets the flag for the next call", `(write-string b "xy") (read-char a) (list (char-in-buffer a 1) (char-in-buffer a) (read-char a) (read-char a))`, "(nil t 120 121)"},
	{"char-in-buffer", "nil takes the flag off", `(write-string b "xy") (read-char a) (unread-char a) (list (char-in-buffer a nil) (char-in-buffer a) (read-char a))`, "(t nil 121)"},
	{"char-in-buffer", "the socket keeps the last character itself, and has none at first", "(list (char-in-buffer a t) (char-in-buffer a))", "(nil nil)"},

	{"clear-input", "the next read asks the system", `(write-string b "old\nold") (read-line a) (clear-input a) (write-string b "new\n") (read-line a)`, `"new"`},

	{"clear-input", "read-char and fread ask it, too", `(write-string b "ab") (read-char a) (clear-input a) (write-string b "cd") (list (read-char a) (clear-input a) (write-string b "ef") (fread a buf) (binary-to-string buf 2))`, `(99 nil "ef" 2 "ef")`},

	{"connect", "a host and a port", `(list (connect (make-instance socket 'inet 'stream 0) "127.0.0.1" (get l 'port)) (connect (make-instance socket 'inet 'stream 0) "localhost" (get l 'port)))`, "(t t)"},
	{"connect", "a path, and no port, of a unix socket", "(setq s (make-instance socket 'unix 'stream 0 'filename path)) (listen s 5) (list (connect (make-instance socket 'unix 'stream 0) path) (connect (make-instance socket 'unix 'stream 0) path 'ignored))", "(t t)"},
	{"connect", "a path needs the right to read and write", "(list (connect (make-instance socket 'unix 'stream 0) \"/no/such/path\") *lastsocketerror*)", `(nil "No such file or directory")`},
	{"connect", "the service as a string", "(connect (make-instance socket 'inet 'stream 0) \"127.0.0.1\" (number-to-string (get l 'port)))", "t"},
	{"connect", "the service as a symbol", "(setq s (make-instance socket 'inet 'dgram 0)) (list (connect s \"127.0.0.1\" 'domain) (get s 'remoteport))", "(t 53)"},
	{"connect", "success sets the resolved address and port", "(list (get a 'remoteaddress) (= (get a 'remoteport) (get l 'port)))", `("127.0.0.1" t)`},
	{"connect", "without a port it is port 0", "(setq s (make-instance socket 'inet 'dgram 0)) (connect s \"127.0.0.1\") (list (get s 'remoteaddress) (get s 'remoteport))", `("127.0.0.1" 0)`},
	{"connect", "an unknown service says so", "(list (connect (make-instance socket 'inet 'stream 0) \"127.0.0.1\" 'no-such) *lastsocketerror*)", `(nil "Servname not supported for ai_socktype")`},

	{"connect", "an unknown host says so", "(list (connect (make-instance socket 'inet 'stream 0) \"no such host\" 80) *lastsocketerror*)", `(nil "Name or service not known")`},

	{"constructor", "an unknown address says so", "(list (make-instance socket 'inet 'stream 0 'address \"no such host\") *lastsocketerror*)", `(nil "Name or service not known")`},
	{"constructor", "make-instance takes the class, or its symbol", "(list (socketp (make-instance socket 'inet 'stream 0)) (socketp (make-instance 'socket 'inet 'stream 0)))", "(t t)"},
	{"constructor", "the families unix, local and inet work", "(mapcar (lambda (f) (socketp (make-instance socket f 'dgram 0))) '(unix local inet))", "(t t t)"},
	{"constructor", "the other families are known", "(mapcar (lambda (f) (make-instance socket f 'stream 0)) '(ipx x25 ax25 atmpvc appletalk)) (stringp *lastsocketerror*)", "t"},
	{"constructor", "inet6, netlink and packet are known, too", "(mapcar (lambda (f) (setq *lastsocketerror* nil) (or (socketp (make-instance socket f 'dgram 0)) (stringp *lastsocketerror*))) '(inet6 netlink packet))", "(t t t)"},
	{"constructor", "so are the types raw, rdm and packet", "(mapcar (lambda (type) (setq *lastsocketerror* nil) (or (socketp (make-instance socket 'unix type 0)) (stringp *lastsocketerror*))) '(raw rdm packet))", "(t t t)"},
	{"constructor", "an unknown family or type is an error of the program", "(list (condition-case e (make-instance socket 'no-such 'stream 0) (error 1)) (condition-case e (make-instance socket 'inet 'no-such 0) (error 1)))", "(1 1)"},
	{"constructor", "the types are known", "(mapcar (lambda (type) (socketp (make-instance socket 'unix type 0))) '(stream dgram seqpacket))", "(t t t)"},
	{"constructor", "the protocol is a name or a number", "(list (get (make-instance socket 'inet 'stream \"tcp\") 'protocol) (get (make-instance socket 'inet 'dgram 17) 'protocol))", `("tcp" "udp")`},
	{"constructor", "maxstring is the size of the input buffer", `(setq s (make-instance socket 'inet 'stream 0 'maxstring 3)) (connect s "127.0.0.1" (get l 'port)) (write-string (accept l) "abcdef") (list (read-string s) (read-string s))`, `("abc" "def")`},
	{"constructor", "the size is 4096 otherwise", "(get a 'maxstring)", "4096"},
	{"constructor", "filename is the file of a unix socket", "(make-instance socket 'unix 'stream 0 'filename path) (file-exists-p path)", "t"},
	{"constructor", "address and port bind the socket", "(list (get l 'address) (> (get l 'port) 0) (get (make-instance socket 'inet 'stream 0 'address \"localhost\") 'address))", `("127.0.0.1" t "127.0.0.1")`},
	{"constructor", "keywords may be values of variables", "(setq family 'inet type 'stream keyword 'maxstring) (get (make-instance socket family type 0 keyword 7) 'maxstring)", "7"},
	{"constructor", "it calls bind(), whose error is told", "(list (make-instance socket 'inet 'stream 0 'address \"127.0.0.1\" 'port (get l 'port)) *lastsocketerror*)", `(nil "Address already in use")`},

	{"destructor", "destroy-instance closes the socket", "(list (destroy-instance a) (read-string b) (eof b))", "(t nil t)"},

	{"eof", "nil while the socket can be used", "(list (eof a) (eof l) (eof u))", "(nil nil nil)"},
	{"eof", "t of a socket that was closed", "(destroy-instance a) (eof a)", "t"},
	{"eof", "t after an error that ends the connection: a reset that a read is told of", "(setsockopt b nil 'SO_LINGER '(1 0)) (destroy-instance b) (list (recv a buf) *lastsocketerror* (eof a))", `(nil "Connection reset by peer" t)`},
	{"eof", "t after an error that ends the connection: a reset that a send is told of", `(destroy-instance b) (write-string a "x") (while (integerp (setq r (send a buf))) (sleep 1)) (list r *lastsocketerror* (eof a))`, `(EOF "Broken pipe" t)`},

	{"fread", "it reads up to the binary's length", `(write-string b "0123456789") (list (fread a buf) (binary-to-string buf))`, `(8 "01234567")`},
	{"fread", "or up to a length that is smaller", `(write-string b "0123456789") (list (fread a buf 3) (fread a buf 99) (binary-to-string buf))`, "(3 7 \"3456789\\x00\")"},
	{"fread", "what was read ahead comes first, and alone", `(write-string b "line\nrest") (read-line a) (write-string b "more") (list (fread a buf) (fread a buf))`, "(4 4)"},
	{"fread", "what it leaves of that the next call gets", `(write-string b "line\nrest") (read-line a) (list (fread a buf 2) (read-char a) (read-string a))`, `(2 115 "t")`},
	{"fread", "after clear-input it reads the socket", `(write-string b "line\nrest") (read-line a) (clear-input a) (write-string b "xy") (fread a buf)`, "2"},

	{"fwrite", "it writes up to the binary's length", "(list (fwrite a buf) (fread b (make-binary 100)))", "(8 8)"},
	{"fwrite", "or a length that is shorter", "(list (fwrite a buf 3) (fread b (make-binary 100)))", "(3 3)"},

	{"getsockopt", "the level is a number, a name or nil", "(list (getsockopt a 1 'SO_TYPE) (getsockopt a \"socket\" 'SO_TYPE) (getsockopt a nil 'SO_TYPE) (getsockopt a \"tcp\" 'TCP_NODELAY) (getsockopt a 6 'TCP_NODELAY))", "(1 1 1 nil nil)"},
	{"getsockopt", "a structure is a list of integers", "(setsockopt a nil 'SO_LINGER '(1 7)) (getsockopt a nil 'SO_LINGER)", "(1 7)"},
	{"getsockopt", "an option that is not there is nil", "(list (getsockopt a nil 'SO_RVCTIMEO) *lastsocketerror*)", `(nil "Protocol not available")`},

	{"listen", "it makes the socket listen", "(setq s (make-instance socket 'inet 'stream 0)) (list (getsockopt s nil 'SO_ACCEPTCONN) (listen s 5) (getsockopt s nil 'SO_ACCEPTCONN))", "(nil t t)"},
	{"listen", "with as many waiting as the backlog, Linux lets a unix client wait where the reference has it refused", "(setq s (make-instance socket 'unix 'stream 0)) (setsockopt s nil 'SO_SNDTIMEO 1) (list (connect s full) *lastsocketerror*)", `(nil "Resource temporarily unavailable")`},

	{"read-char", "a character of UTF-8 is one integer", `(write-string b "aé€😀") (list (read-char a) (read-char a) (read-char a) (read-char a))`, "(97 233 8364 128512)"},
	{"read-char", "it reads the socket when nothing was read ahead", `(setq th (thread (read-char a))) (write-string b "x") (join th)`, "120"},
	{"read-char", "EOF at the end", `(write-string b "x") (destroy-instance b) (list (read-char a) (read-char a))`, "(120 EOF)"},
	{"read-char", "nil on an error or a timeout", "(setsockopt a nil 'SO_RCVTIMEO 1) (read-char a)", "nil"},
	{"read-char", "a timeout within a character loses what there is of it", `(setsockopt a nil 'SO_RCVTIMEO 20) (send b (string-to-binary "\xe2\x82")) (setq first (read-char a)) (write-string b "x") (list first (read-char a))`, "(nil 120)"},

	{"read-string", "what was read ahead, from the place in it", `(write-string b "a\nb\r\nc") (read-char a) (read-string a)`, `"\nb\r\nc"`},
	{"read-string", "or what one read gives", `(write-string b "xyz") (read-string a)`, `"xyz"`},
	{"read-string", "nil at the end, and eof is t", "(destroy-instance b) (list (read-string a) (eof a))", "(nil t)"},
	{"read-string", "nil on an error or a timeout", "(setsockopt a nil 'SO_RCVTIMEO 1) (list (read-string a) (eof a))", "(nil nil)"},

	{"recv", "up to the binary's length, or the keyword's", `(write-string b "0123456789abc") (list (recv a buf 'length 2) (recv a buf) (recv a buf))`, "(2 8 3)"},
	{"recv", "what was read ahead is forgotten", `(write-string b "line\nahead") (read-line a) (write-string b "new") (recv a buf)`, "3"},
	{"recv", "flags", `(write-string b "x") (list (recv a buf 'flags MSG_PEEK) (recv a buf 'flags MSG_DONTWAIT) (recv a buf 'flags MSG_DONTWAIT))`, "(1 1 nil)"},
	{"recv", "nil on an error or a timeout", "(setsockopt a nil 'SO_RCVTIMEO 1) (recv a buf)", "nil"},
	{"recv", "EOF when the socket is closed", "(destroy-instance b) (list (recv a buf) (destroy-instance a) (recv a buf))", "(EOF t EOF)"},

	{"recv-from", "up to a length, with flags", "(send-to v buf \"127.0.0.1\" (get u 'port)) (list (recv-from u buf 'length 5 'flags MSG_PEEK) (recv-from u buf))", "(5 8)"},
	{"recv-from", "what was read ahead is forgotten", `(write-string b "line\nahead") (read-line a) (write-string b "new") (recv-from a buf)`, "3"},
	{"recv-from", "nil on a timeout, EOF when the socket is closed", "(setsockopt u nil 'SO_RCVTIMEO 1) (list (recv-from u buf) (destroy-instance u) (recv-from u buf))", "(nil t EOF)"},
	{"recv-from", "the sender becomes a property", "(send-to v buf \"127.0.0.1\" (get u 'port)) (recv-from u buf) (list (get u 'remoteaddress) (= (get u 'remoteport) (get v 'port)))", `("127.0.0.1" t)`},

	{"send", "up to the binary's length, or the keyword's", "(list (send a buf) (send a buf 'length 3))", "(8 3)"},
	{"send", "what was read ahead stays", `(write-string b "line\nahead") (read-line a) (send a buf) (read-string a)`, `"ahead"`},
	{"send", "the count may be smaller", "(setq n (send a (make-binary 50000000) 'flags MSG_DONTWAIT)) (< 0 n 50000000)", "t"},
	{"send", "nil on an error or a timeout", "(while (send a (make-binary 100000) 'flags MSG_DONTWAIT)) *lastsocketerror*", `"Resource temporarily unavailable"`},
	{"send", "EOF when the socket is closed", "(destroy-instance a) (send a buf)", "EOF"},

	{"send-to", "to an address or a name, and a port", "(list (send-to v buf \"127.0.0.1\" (get u 'port)) (send-to v buf \"localhost\" (get u 'port)) (recv u buf) (recv u buf))", "(8 8 8 8)"},
	{"send-to", "an unknown host says so", "(list (send-to v buf \"no such host\" 80) *lastsocketerror*)", `(nil "Name or service not known")`},
	{"send-to", "up to a length, with flags", "(list (send-to v buf \"127.0.0.1\" (get u 'port) 'length 3 'flags MSG_DONTWAIT) (recv u buf))", "(3 3)"},
	{"send-to", "nil on an error, EOF when the socket is closed", "(list (send-to v (make-binary 70000) \"127.0.0.1\" (get u 'port)) *lastsocketerror* (destroy-instance v) (send-to v buf \"127.0.0.1\" 9))", `(nil "Message too long" t EOF)`},

	{"setsockopt", "the level is a number, a name or nil", "(list (setsockopt a 1 'SO_KEEPALIVE t) (setsockopt a \"socket\" 'SO_KEEPALIVE nil) (setsockopt a nil 'SO_KEEPALIVE t) (getsockopt a nil 'SO_KEEPALIVE))", "(t t t t)"},
	{"setsockopt", "the value is an integer, a string, t or nil", "(list (setsockopt a nil 'SO_RCVBUF 8192) (setsockopt a \"tcp\" 'TCP_CONGESTION \"reno\") (setsockopt a \"tcp\" 'TCP_NODELAY t) (getsockopt a \"tcp\" 'TCP_CONGESTION))", `(t t t "reno")`},
	{"setsockopt", "an error is nil", "(list (setsockopt a \"tcp\" 'TCP_CONGESTION \"no-such\") *lastsocketerror*)", `(nil "No such file or directory")`},

	{"showbin", "it prints the block, and returns t", "(list (showbin a (get a 'lsocket)) (showbin a (get a 'lsocket) 6))", "(t t)"},
	{"showbin", "class-show calls it", "(list (class-show a) (show a))", "(t t)"},

	{"unread-char", "read-char returns the character again", `(write-string b "xy") (read-char a) (unread-char a) (list (read-char a) (read-char a))`, "(120 121)"},
	{"unread-char", "and so does read-line", `(write-string b "xy\n") (read-char a) (unread-char a) (read-line a)`, `"xy"`},
	{"unread-char", "and fread", `(write-string b "€y") (read-char a) (unread-char a) (list (fread a buf) (binary-to-string buf 3))`, `(4 "€")`},

	{"write-char", "it writes UTF-8, and returns the character", `(list (write-char a 8364) (write-char a 97) (fread b buf) (binary-to-string buf 4))`, `(8364 97 4 "€a")`},
	{"write-line", "it adds a newline, and returns the string", `(list (write-line a "x") (read-string b))`, `("x" "x\n")`},
	{"write-string", "it adds nothing, and returns the string", `(list (write-string a "x") (read-string b))`, `("x" "x")`},
	{"write-string", "an empty one on a closed socket is an error as of all others", `(destroy-instance a) (setq none (make-binary 0)) (list (write-string a "") *lastsocketerror* (setq *lastsocketerror* nil) (fwrite a none) *lastsocketerror* (setq *lastsocketerror* nil) (fread a none) *lastsocketerror*)`, `(nil "Bad file descriptor" nil nil "Bad file descriptor" nil nil "Bad file descriptor")`},
}

func TestSeedSentences(t *testing.T) {
	for _, c := range seedSentences {
		t.Run(c.method+": "+c.sentence, func(t *testing.T) {
			defer runtime.GC() // closes the sockets that the program left open; all programs together leave many
			in := start(t)
			in.value(seedFixture + `
(setq buf buffer1)
(defun client () (let ((s (make-instance socket 'inet 'stream 0))) (connect s "127.0.0.1" (get l 'port)) s))`)
			in.set("path", filepath.Join(t.TempDir(), "s"))
			in.set("full", fullBacklog(t))
			in.is(c.want, c.text)
		})
	}
}
