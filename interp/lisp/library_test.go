package lisp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLibrary(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// Numbers.
		{"(list (1+ 5) (1- 5) (1+ 1.5) (logxor 6 3) (lognot 0) (/= 1 2) (/= 1 1.0))", "(6 4 2.5 5 -1 t nil)"},
		{"(let ((r (random 10))) (and (integerp r) (<= 0 r 9)))", "t"}, {"(let ((r (random))) (and (floatp r) (<= 0 r) (< r 1)))", "t"},
		// Lists.
		{"(list (last '(1 2 3)) (last nil) (reduce + '(1 2 3) 10) (reduce cons nil 5) (number-sequence 2 5) (number-sequence 5 2))", "(3 nil 16 5 (2 3 4 5) nil)"},
		{"(number-sequence 9223372036854775806 9223372036854775807)", "(9223372036854775806 9223372036854775807)"},
		// Strings.
		{`(list (char "a€c" 1) (char "abc" -1) (string-to-chars "a€") (chars-to-string '(97 8364)) (chars-to-string nil))`, `(8364 99 (97 8364) "a€" "")`},
		{`(list (string-suffix-p "c" "abc") (string-replace "a" "xy" "banana") (string-repeat "ab" 3) (string-repeat "" 1000000) (string-repeat "x" 0))`, `(t "bxynxynxy" "ababab" "" "")`},
		{`(prin1-to-string '("a" 1.0))`, `"(\"a\" 1.0)"`}, {`(read-from-string "(a 1) b")`, "(a 1)"}, {`(read-from-string "")`, "nil"},
		// Regular expressions.
		{`(regexp-match "^(\\w+) (\\d+)?" "abc def")`, `("abc " "abc" nil)`}, {`(regexp-match "x" "abc")`, "nil"}, {`(regexp-match-all "[0-9]+" "1 22 x 333")`, `("1" "22" "333")`}, {`(regexp-match-all "x" "")`, "nil"},
		{`(regexp-search "c+" "a€ccd")`, "2"}, {`(regexp-search "x" "")`, "nil"}, {`(regexp-replace "(\\w)(\\w)" "abcd" "${2}${1}")`, `"badc"`}, {`(regexp-split ",\\s*" "a, b,c")`, `("a" "b" "c")`}, {`(regexp-match (regexp-quote "a.b") "axb a.b")`, `("a.b")`},
		// Binaries.
		{`(setq b (string-to-binary "abcdef")) (list (binary-to-string (binary-slice b 1 3)) (binary-to-string (binary-slice b 4)) (length (binary-slice b 6)))`, `("bc" "ef" 0)`},
		{`(binary-to-string (binary-append (string-to-binary "ab") (make-binary 0) (string-to-binary "c")))`, `"abc"`}, {"(binary-append)", "#<binary 0>"},
		{`(setq b (string-to-binary "abcdef")) (list (binary-copy b 2 (string-to-binary "XY")) (binary-copy b 5 (string-to-binary "123")) (binary-copy b 0 b 3) (binary-copy b 1 b) (binary-to-string b))`, `(2 1 3 5 "aabXYe")`},
		{`(setq b (make-binary 8)) (list (set-binary-integer b 0 2 258) (byte b 0) (binary-integer b 0 2) (binary-integer b 0 2 'little) (binary-integer b 0 2 'big))`, "(258 1 258 513 258)"},
		{`(setq b (make-binary 9)) (mapcar (lambda (size) (set-binary-integer b 1 size -2 'little) (list (binary-integer b 1 size 'little) (binary-integer b 1 size 'little 'signed) (byte b 1))) '(1 2 4 8))`, "((254 -2 254) (65534 -2 254) (4294967294 -2 254) (-2 -2 254))"},
		{`(setq b (make-binary 8)) (set-binary-integer b 0 8 9223372036854775807) (set-binary-integer b 4 4 4294967295) (list (binary-integer b 0 8) (binary-integer b 0 4) (binary-integer b 4 4 'signed) (binary-integer b 7 1))`, "(9223372036854775807 2147483647 -1 255)"},
		{`(hex-encode (sha1 "abc"))`, `"a9993e364706816aba3e25717850c26c9cd0d89d"`}, {`(hex-encode (sha256 (string-to-binary "abc")))`, `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`},
		{`(base64-encode (sha1 "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))`, `"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="`}, // RFC 6455
		{`(list (binary-to-string (base64-decode "aGk=")) (base64-decode "%") (binary-to-string (hex-decode "6869")) (hex-decode "6"))`, `("hi" nil "hi" nil)`},
		// Hash tables.
		{`(setq h (make-hash-table)) (list (puthash "k" 1 h) (puthash 'k 2 h) (puthash 1 3 h) (puthash 1.0 4 h) (puthash '(1 ("a")) 5 h) (puthash nil 6 h)) (list (gethash "k" h) (gethash 'k h) (gethash 1 h) (gethash 1.0 h) (gethash (list 1 (list "a")) h) (gethash nil h) (gethash 'none h) (gethash 'none h 'other) (length h) (hash-table-count h))`, "(1 2 3 4 5 6 nil other 6 6)"},
		{"(setq h (make-hash-table)) (dotimes (i 10) (puthash i (* i i) h)) (list (remhash 3 h) (remhash 3 h) (hash-table-keys h) (hash-table-values h))", "(t nil (0 1 2 4 5 6 7 8 9) (0 1 4 16 25 36 49 64 81))"},
		{"(setq h (make-hash-table)) (dotimes (i 1000) (puthash (list i) i h)) (dotimes (i 990) (remhash (list i) h)) (list (length h) (gethash '(995) h) (hash-table-keys (clrhash h)) h (hash-table-p h))", "(10 995 nil #<hash-table 0> t)"},
		{"(setq h (make-hash-table) n 0) (puthash 1 2 h) (puthash 3 4 h) (maphash (lambda (k v) (remhash k h) (setq n (+ n (* k v)))) h) (list n (length h))", "(14 0)"},
		{"(setq h (make-hash-table) a (make-lock) b (make-lock)) (puthash (list a) 1 h) (puthash (list b) 2 h) (list (gethash (list a) h) (gethash (list b) h) (remhash (list a) h) (gethash (list b) h))", "(1 2 t 2)"},
		{"(setq h (make-hash-table) q (make-queue)) (puthash (list h q) 1 h) (queue-put q 1) (puthash 'more 2 h) (list (gethash (list h q) h) (gethash (list q h) h) (gethash (list h (make-queue)) h))", "(1 nil nil)"}, // the contents of the keys may change
		{"(setq h (make-hash-table)) (puthash '(1 2) 'a h) (puthash '((1) 2) 'b h) (puthash '(\"1 2\") 'c h) (puthash '(1.0 2) 'd h) (mapcar (lambda (k) (gethash k h)) '((1 2) ((1) 2) (\"1 2\") (1.0 2) (1 2 3)))", "(a b c d nil)"},
		// Time.
		{`(format-time "%Y-%m-%d %H:%M:%S %a %A %b %B %j %y %e %I %p %u %w %s %z %% %F %T %D %R %k %l%n" 1700000000 "UTC")`, `"2023-11-14 22:13:20 Tue Tuesday Nov November 318 23 14 10 PM 2 2 1700000000 +0000 % 2023-11-14 22:13:20 11/14/23 22:13 22 10\n"`},
		{`(format-time "%H %l %k %e %u %Z" -3600 "UTC")`, `"23 11 23 31 3 UTC"`}, {"(decode-time 1700000000.5 \"UTC\")", "(20 13 22 14 11 2023 2 0)"}, {`(length (decode-time))`, "8"}, {`(= (string-to-number (format-time "%Y")) (nth 5 (decode-time)))`, "t"},
		// The system.
		{`(getenv "WEIR_LISP_TEST_NOTHING")`, "nil"}, {`(stringp (getenv "PATH"))`, "t"}, {`(file-exists-p "/no/such")`, "nil"}, {`(file-exists-p "/")`, "t"}, {"(strerror 111)", `"Connection refused"`},
		{`(member "127.0.0.1" (lookup-host "localhost"))`, `("127.0.0.1")`}, {`(lookup-host "192.0.2.1")`, `("192.0.2.1")`}, {`(lookup-service "http")`, "80"}, {`(lookup-service "domain" "udp")`, "53"}, {`(list (lookup-host "no such host") (lookup-address "x") *lastsocketerror*)`, `(nil nil "Name or service not known")`}, {`(list (lookup-service "no-such") *lastsocketerror*)`, `(nil "Servname not supported for ai_socktype")`},
	} {
		t.Run(c.text, func(t *testing.T) { start(t).is(c.want, c.text) })
	}
}

func TestLibraryMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"(random 0)", "random: want an integer above 0, got 0"}, {"(random 1.5)", "above 0"}, {"(number-sequence 0 16777216)", "more than 16777216 integers"}, {"(number-sequence -9223372036854775808 9223372036854775807)", "more than"},
		{`(char "" 0)`, "the string is empty"}, {`(char "abc" 3)`, "from -3 to 2"}, {"(chars-to-string '(55296))", "want a character"}, {`(string-replace "" "x" "a")`, "is empty"}, {`(string-repeat "ab" -1)`, "from 0"}, {`(string-repeat "ab" 200000000)`, "longer than"},
		{`(string-replace "a" (string-repeat "b" 100000) (string-repeat "a" 100000))`, "longer than"}, {`(regexp-replace "a" (string-repeat "a" 100000) (string-repeat "b" 100000))`, "longer than"},
		{`(regexp-match "(" "x")`, "regexp-match: \"(\": error parsing regexp"}, {`(regexp-split "" "abc")`, "the expression is empty"},
		{"(binary-slice (make-binary 3) 4)", "from 0 to 3"}, {"(binary-slice (make-binary 3) 2 1)", "from 2 to 3"}, {"(binary-append 5)", "want a binary"}, {"(binary-copy (make-binary 2) 3 (make-binary 1))", "from 0 to 2"}, {"(binary-copy (make-binary 2) 0 \"x\")", "want a binary"},
		{"(binary-integer (make-binary 8) 0 3)", "want a size of 1, 2, 4 or 8 bytes, got 3"}, {"(binary-integer (make-binary 8) 5 4)", "from 0 to 4"}, {"(binary-integer (make-binary 1) 0 2)", "the binary has 1 bytes, and the integer 2"}, {"(binary-integer (make-binary 8) 0 1 'middle)", "want the flag big, little or signed"},
		{"(set-binary-integer (make-binary 8) 0 1 256)", "want an integer of 1 bytes, got 256"}, {"(set-binary-integer (make-binary 8) 0 2 -32769)", "of 2 bytes"}, {"(set-binary-integer (make-binary 8) 0 4 1.5)", "of 4 bytes"},
		{"(sha1 5)", "want a string or a binary"}, {"(base64-decode 5)", "want a string"},
		{"(puthash (make-binary 1) 1 (make-hash-table))", "want a key that does not change"}, {"(gethash (list (make-binary 1)) (make-hash-table))", "does not change"}, {"(puthash (/ 0.0 0) 1 (make-hash-table))", "equals itself"}, {"(gethash 1 2)", "want a hash table"}, {"(setq l nil) (dotimes (i 100) (setq l (list l l))) (puthash l 1 (make-hash-table))", "the key has more than 65536 elements"},
		{`(format-time "%Q")`, `want a directive of strftime, got "%Q"`}, {`(format-time "%")`, "ends in a %"}, {`(format-time "%Y" 0 "No/Where")`, "unknown time zone"}, {`(format-time "%Y" 1e300)`, "want a time"}, {`(format-time "%Y" 0 "")`, "a zone has a name"}, {`(decode-time 'x)`, "want a number"},
		{"(make-queue 0)", "from 1 to"}, {"(queue-get 5)", "want a queue"}, {"(queue-put (make-queue) 1 -1)", "milliseconds"}, {"(read-from-string \"(\")", "a list has no end"}, {"(require 5)", "want a path"}, {`(require "/no/such.lisp")`, "no such file"}, {"(strerror 0)", "from 1"},
	} {
		start(t).fails(c.want, c.text)
	}
}

func TestRequire(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lib"), 0o700))
	for name, text := range map[string]string{
		"main.lisp":    `(setq loaded nil) (setq r (list (require 'lib/a) (require "lib/a.lisp") (require 'lib/b)))`,
		"lib/a.lisp":   "(require 'b) (push 'a loaded)",
		"lib/b.lisp":   "(require 'a) (push 'b loaded)", // a and b require each other
		"broken.lisp":  "(car 5)",
		"missing.lisp": "(require 'nothing)",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	in := start(t)
	in.is("((t nil nil) (a b))", fmt.Sprintf("(load %q) (list r loaded)", filepath.Join(dir, "main.lisp")))
	for range 2 { // a file that failed is loaded again
		in.fails("broken.lisp:1: car: want a list", fmt.Sprintf("(require %q)", filepath.Join(dir, "broken.lisp")))
	}
	in.fails(filepath.Join(dir, "nothing.lisp"), fmt.Sprintf("(require %q)", filepath.Join(dir, "missing.lisp")))
}

func TestQueues(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"in order", "(setq q (make-queue)) (dotimes (i 3) (queue-put q i)) (list (queue-length q) (queue-get q) (queue-get q) (queue-get q) (queue-length q))", "(3 0 1 2 0)"},
		{"between threads", "(setq q (make-queue 2) th (thread (let ((n 0)) (dotimes (i 1000 n) (setq n (+ n (queue-get q))))))) (dotimes (i 1000) (queue-put q i)) (join th)", "499500"},
		{"time is up", "(setq q (make-queue 1)) (list (queue-get q 1) (queue-get q 0 'none) (queue-put q 1 0) (queue-put q 2 1) (queue-length q))", "(nil none t nil 1)"},
		{"closed", "(setq q (make-queue)) (queue-put q 1) (queue-close q) (queue-close q) (list (queue-put q 2) (queue-get q nil 'end) (queue-get q nil 'end))", "(nil 1 end)"},
		{"close wakes", "(setq q (make-queue) th (thread (queue-get q nil 'end))) (queue-close q) (join th)", "end"},
		{"close wakes a put", "(setq q (make-queue 1)) (queue-put q 1) (setq th (thread (queue-put q 2))) (queue-close q) (list (join th) q)", "(nil #<queue 1>)"},
	} {
		t.Run(c.name, func(t *testing.T) { start(t).is(c.want, c.text) })
	}
	in := start(t)
	in.fails("interrupted", "(setq th (thread (queue-get (make-queue)))) (interrupt th) (join th)")
	in.fails("interrupted", "(setq th (thread (let ((q (make-queue 1))) (queue-put q 1) (queue-put q 2)))) (interrupt th) (join th)")
}

// Building a string by many appends takes memory, and so time, proportional to its
// length. If each of the 100,000 appends made a copy, they would take 50 GB. An append
// does not change older strings.
func TestStringBuildingIsLinear(t *testing.T) {
	in := start(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	in.is("1000000", `(let ((s "")) (dotimes (i 100000) (setq s (concat s "0123456789"))) (length s))`)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(50<<20))

	in.is("t", `
(setq base (string-repeat "a" 300) s (concat base "b"))
(setq one (concat s "1") two (concat s "2") three (concat one "3") four (concat one "4") five (concat s s))
(and (string= one (concat base "b1")) (string= two (concat base "b2")) (string= three (concat base "b13")) (string= four (concat base "b14"))
     (string= five (concat base "b" base "b")) (= (length s) 301))`)
	require.Equal(t, strings.Repeat("a", 300)+"b", in.value("s"))
}
