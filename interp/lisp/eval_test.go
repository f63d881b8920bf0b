package lisp_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

func TestValues(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// The reader.
		{"nil", "nil"}, {"()", "nil"}, {"t", "t"}, {"EOF", "EOF"}, {"", "nil"},
		{"12", "12"}, {"-12", "-12"}, {"+12", "12"}, {"0x1F", "31"}, {"-0x10", "-16"}, {"010", "10"},
		{"9223372036854775807", "9223372036854775807"}, {"-9223372036854775808", "-9223372036854775808"},
		{"1.5", "1.5"}, {"-.5", "-0.5"}, {"2e3", "2000.0"}, {"1e100", "1e+100"},
		{`"a\tb\n\"\\\x41\u20AC"`, `"a\tb\n\"\\A€"`}, {`"\xff\x00\e"`, `"\xff\x00\x1b"`}, {"\"a\\\nb\"", `"ab"`},
		{"'a", "a"}, {"'Ab", "Ab"}, {"'1+", "1+"}, {"'-", "-"}, {"'...", "..."}, {"'(a 'b (c . (d)))", ""},
		{"'(a 'b (c \"d\" 1.0))", `(a 'b (c "d" 1.0))`}, {"; all\n1 ; one\n #| no\n; |# 2", "2"}, {"#!/bin/weir-lisp\n3", "3"},
		{"'(quote)", "(quote)"}, {"'(quote a b)", "(quote a b)"},
		// Special forms.
		{"(quote a)", "a"}, {"(setq a 1 b (+ a 1))", "2"}, {"(progn)", "nil"}, {"(progn 1 2)", "2"},
		{"(if nil 1 2 3)", "3"}, {"(if t 1 2)", "1"}, {"(if nil 1)", "nil"}, {"(when t 1 2)", "2"}, {"(when nil 1)", "nil"},
		{"(unless nil 1 2)", "2"}, {"(unless 5 1)", "nil"},
		{"(cond)", "nil"}, {"(cond (nil 1) (2))", "2"}, {"(cond (nil 1) (t 2 3) (t 4))", "3"},
		{"(and)", "t"}, {"(and 1 2)", "2"}, {"(and 1 nil (car 1))", "nil"}, {"(or)", "nil"}, {"(or nil 2 (car 1))", "2"},
		{"(let ((x 1) (y 2) z) (list x y z))", "(1 2 nil)"}, {"(let ((x 1)) (let ((x 2) (y x)) (list x y)))", "(2 1)"},
		{"(let* ((x 1) (y (+ x 1)) (x 5)) (list x y))", "(5 2)"}, {"(let () 1)", "1"}, {"(let ((x 1)))", "nil"},
		{"(setq x 1) (let ((x 2)) (setq x 3)) x", "1"},
		{"((lambda (a &optional b &rest c) (list a b c)) 1)", "(1 nil nil)"},
		{"((lambda (a &optional b &rest c) (list a b c)) 1 2 3 4)", "(1 2 (3 4))"}, {"((lambda (&rest a) a))", "nil"}, {"((lambda ()))", "nil"},
		{"(defun f (n) (if (< n 2) 1 (* n (f (- n 1))))) (f 20)", "2432902008176640000"}, {"(defun f () 1)", "f"},
		{"(defun counter () (let ((n 0)) (lambda () (setq n (+ n 1))))) (setq c (counter)) (c) (c) ((counter)) (c)", "3"},
		{"(setq n 0) (while (< n 5) (setq n (+ n 1))) n", "5"}, {"(while nil)", "nil"},
		{"(setq s nil) (dolist (x '(1 2 3)) (setq s (cons x s))) s", "(3 2 1)"}, {"(dolist (x nil) (car 1))", "nil"},
		{"(setq l '()) (unwind-protect (setq l (cons 1 l)) (setq l (cons 2 l))) l", "(2 1)"},
		{"(setq l 0) (catch-error (e) (unwind-protect (car 1) (setq l 5))) l", "5"}, {"(unwind-protect 1 2)", "1"},
		{"(catch-error (e e) (car 5))", `"car: want a list, got 5"`}, {"(catch-error (e e) 5)", "5"}, {"(catch-error (e) (car 5))", "nil"},
		{`(catch-error (e e) (error "%s and %d" 'a 5))`, `"a and 5"`}, {"(catch-error (e e) (catch-error (e) (car 5)) (cdr 6))", `"cdr: want a list, got 6"`},
		{"(catch-error (e 'deep) (defun g (n) (+ 1 (g n))) (g 1))", "deep"},
		// Numbers.
		{"(+)", "0"}, {"(+ 1 2 3)", "6"}, {"(+ 1 2.5)", "3.5"}, {"(- 5)", "-5"}, {"(- 5 1 1)", "3"}, {"(* 2 3)", "6"}, {"(*)", "1"},
		{"(/ 7 2)", "3"}, {"(/ -7 2)", "-3"}, {"(/ 7 2.0)", "3.5"}, {"(/ 2.0)", "0.5"}, {"(/ 1.0 0)", "+Inf"},
		{"(mod -7 3)", "2"}, {"(mod 7 -3)", "-2"}, {"(mod 5.5 2)", "1.5"},
		{"(= 1 1.0)", "t"}, {"(< 1 2 3)", "t"}, {"(< 1 3 2)", "nil"}, {"(>= 3 3 2)", "t"}, {"(<= 1 (/ 0.0 0))", "nil"}, {"(> 2 1)", "t"}, {"(= 1)", "t"},
		{"(min 3 1 2)", "1"}, {"(max 3 1.5)", "3"}, {"(abs -3)", "3"}, {"(abs -2.5)", "2.5"}, {"(truncate -2.7)", "-2"}, {"(round 2.5)", "2"}, {"(round 7)", "7"},
		{"(float 2)", "2.0"}, {"(logand 6 3)", "2"}, {"(logior 6 3)", "7"}, {"(ash 1 10)", "1024"}, {"(ash -1024 -3)", "-128"},
		{"(* 3037000499 3037000499)", "9223372030926249001"}, {"(* -1 9223372036854775807)", "-9223372036854775807"}, {"(* 0 -9223372036854775808)", "0"},
		{`(string-to-number "0x10")`, "16"}, {`(string-to-number "ten")`, "nil"}, {"(number-to-string 1.0)", `"1.0"`},
		{"(list (integerp 1) (integerp 1.0) (floatp 1.0) (numberp 'a))", "(t nil t nil)"},
		// Lists.
		{"(cons 1 nil)", "(1)"}, {"(cons 1 '(2))", "(1 2)"}, {"(car nil)", "nil"}, {"(cdr '(1))", "nil"}, {"(cadr '(1 2))", "2"}, {"(caddr '(1 2 3))", "3"}, {"(cddr '(1 2 3))", "(3)"},
		{"(nth 1 '(1 2))", "2"}, {"(nth 5 '(1 2))", "nil"}, {"(nthcdr 1 '(1 2))", "(2)"}, {"(nth -1 '(1 2))", "1"},
		{"(append)", "nil"}, {"(append '(1) nil '(2 3))", "(1 2 3)"}, {"(reverse '(1 2 3))", "(3 2 1)"}, {"(length '(1 2))", "2"}, {"(length \"a€\")", "2"}, {"(length nil)", "0"},
		{"(member 2 '(1 2 3))", "(2 3)"}, {"(member 9 '(1))", "nil"}, {`(assoc "b" '((a 1) 5 ("b" 2)))`, `("b" 2)`}, {"(remove 1 '(1 2 1))", "(2)"},
		{"(filter integerp '(1 a 2))", "(1 2)"}, {"(mapcar (lambda (x) (* x x)) '(1 2 3))", "(1 4 9)"}, {"(mapcar 'car '((1) (2)))", "(1 2)"},
		{"(sort '(3 1 2) <)", "(1 2 3)"}, {"(sort '((1 b) (0 x) (1 a)) (lambda (x y) (< (car x) (car y))))", "((0 x) (1 b) (1 a))"},
		{"(apply + 1 '(2 3))", "6"}, {"(funcall '+ 1 2)", "3"}, {"(eq 'a 'a)", "t"}, {"(eq (list 1) (list 1))", "nil"},
		{"(equal '(1 (\"a\")) '(1 (\"a\")))", "t"}, {"(equal 1 1.0)", "nil"}, {"(equal (string-to-binary \"a\") (string-to-binary \"a\"))", "t"}, {"(equal '(1) '(1 2))", "nil"},
		{"(list (null nil) (not 1) (consp '(1)) (listp nil) (listp 1) (functionp car) (functionp (lambda ())))", "(t nil t t nil t t)"},
		{"(list (symbolp 'a) (symbolp nil) (stringp \"\") (binaryp 1) (socketp 1) (threadp 1))", "(t t t nil nil nil)"},
		// Strings and binaries.
		{`(concat "a" "" "b")`, `"ab"`}, {`(substring "a€cd" 1 3)`, `"€c"`}, {`(substring "abcd" -2)`, `"cd"`}, {`(substring "abc" 3)`, `""`}, {`(substring "" 0 0)`, `""`},
		{`(split-string " a  b ")`, `("a" "b")`}, {`(split-string "a,,b" ",")`, `("a" "" "b")`}, {`(string-join '("a" "b") ", ")`, `"a, b"`},
		{`(string-trim " a\n")`, `"a"`}, {`(string-search "c" "a€c")`, "2"}, {`(string-search "x" "abc")`, "nil"}, {`(string-prefix-p "ab" "abc")`, "t"},
		{`(string< "a" "b")`, "t"}, {`(string= "a" "a")`, "t"}, {`(upcase "aé")`, `"AÉ"`}, {`(downcase "AB")`, `"ab"`}, {`(char-to-string 8364)`, `"€"`},
		{`(symbol-name 'a)`, `"a"`}, {`(eq (intern "a") 'a)`, "t"}, {`(intern "nil")`, "nil"},
		{`(format "%s %S|%5d|%-5s|%05.1f|%x|%c%%" "a" "a" 7 'b 3 255 8364)`, `"a \"a\"|    7|b    |003.0|ff|€%"`}, {`(format "%s" '("a" b))`, `"(a b)"`},
		{`(setq b (make-binary 3)) (set-byte b 1 255) (list (byte b 1) (length b) (binary-to-string b))`, `(255 3 "\x00\xff\x00")`},
		{`(binary-to-string (string-to-binary "hello") 2)`, `"he"`}, {`(binary-to-string (string-to-binary "hello") 99)`, `"hello"`},
		{"(eval '(+ 1 2))", "3"}, {"(list car (lambda ()) 'socket socket (make-binary 5) (make-lock))", "(#<function car> #<function lambda> socket #<class socket> #<binary 5> #<lock>)"},
		{"(defun f ()) f", "#<function f>"}, {"(sleep 0)", "nil"}, {"(> (float-time) 1e9)", "t"}, {"(stringp (current-time-string))", "t"},
	} {
		t.Run(c.text, func(t *testing.T) {
			if c.want == "" {
				start(t).fails(". alone", c.text)
				return
			}
			start(t).is(c.want, c.text)
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"(", "line 1: a list has no end"}, {"\n(1\n(2)", "line 2: a list has no end"}, {")", "a ) without"}, {`"abc`, "a string has no end"}, {`"abc\`, "a string has no end"},
		{`"\x4`, "a string has no end"}, {"'", "a quotation has no end"}, {"#| x", "a comment has no end"}, {"#<socket>", `"#<socket>" cannot be read`},
		{`"\q"`, `unknown escape \q`}, {`"\xZZ"`, "hexadecimal"}, {`"\ud800"`, "hexadecimal"}, {"a\x00b", "cannot be read"}, {"a\xffb", "cannot be read"},
		{"9223372036854775808", "beyond the range"}, {"1e999", "beyond the range"}, {strings.Repeat("(", 20000), "nested more than 10000"},
		{"x", "x has no value"}, {"(x)", "x has no value"}, {"(5)", "5 is not a function"}, {"(\"a\" 1)", `"a" is not a function`}, {"if", "if is a special form"}, {"(let ((length 5)) (length nil))", "length is 5 here, which is not a function"}, {"(setq f \"x\") (f)", "f is \"x\" here, which"}, {"(nil)", "nil is not a function"},
		{"(setq t 1)", "t is a constant"}, {"(setq nil 1)", "want a variable's name, got nil"}, {"(setq EOF 1)", "EOF is a constant"}, {"(setq if 1)", "if is a special form"}, {"(setq a 1 b)", "no value for b"}, {"(setq 5 1)", "want a variable's name"},
		{"(let ((t 1)))", "t is a constant"}, {"(let 5)", "let: want a list, got 5"}, {"(let ((a 1 2)))", "want a variable's name, got (a 1 2)"}, {"(let* ((5 1)))", "want a variable's name"},
		{"(lambda)", "malformed lambda: want (lambda (NAME ... &optional NAME ... &rest NAME) BODY ...)"}, {"(lambda 5)", "want a list"}, {"(lambda (a &rest))", "&rest does not belong"}, {"(lambda (&rest a b))", "&rest does not belong"}, {"(lambda (&optional &optional))", "&optional does not"}, {"(lambda (&key))", "&key does not"}, {"(defun f)", "malformed defun"}, {"(defun 5 ())", "want a variable's name"},
		{"(if t)", "malformed if"}, {"(quote)", "malformed quote"}, {"(quote 1 2)", "malformed quote"}, {"(cond 5)", "want a clause"}, {"(dolist x)", "want (NAME LIST)"}, {"(dolist (x 5))", "want a list"}, {"(catch-error 5)", "want (NAME HANDLER ...)"},
		{"((lambda (a) a))", "lambda: want 1 argument, got 0"}, {"((lambda (a &optional b) a) 1 2 3)", "want 1 to 2 arguments, got 3"}, {"((lambda (a b &rest c) a) 1)", "want 2 or more arguments, got 1"}, {"(car)", "car: want 1 argument, got 0"}, {"(substring 1)", "want 2 to 3 arguments"},
		{"(+ 1 'a)", "+: want a number, got a"}, {"(+ 9223372036854775807 1)", "beyond the range"}, {"(- -9223372036854775808 1)", "beyond"}, {"(- -9223372036854775808)", "beyond"}, {"(* 4294967296 4294967296)", "beyond"}, {"(* -1 -9223372036854775808)", "beyond"}, {"(* -9223372036854775808 -1)", "beyond"}, {"(abs -9223372036854775808)", "beyond"},
		{"(/ 1 0)", "division by zero"}, {"(mod 1 0)", "division by zero"}, {"(/ -9223372036854775808 -1)", "beyond"}, {"(ash 1 63)", "beyond"}, {"(ash 1 64)", "integer from -63 to 63"}, {"(truncate 1e19)", "beyond"}, {"(round (/ 0.0 0))", "beyond"}, {"(logand 1 2.0)", "want an integer, got 2.0"}, {"(logand 1.0 2)", "want an integer, got 1.0"}, {"(< 'a)", "want a number"}, {"(max 1 'a)", "want a number"}, {"(float nil)", "want a number, got nil"},
		{"(cons 1 2)", "cons: want a list, got 2"}, {"(length 5)", "want a list, a string, a binary or a table"}, {"(append '(1) 2)", "want a list"}, {"(mapcar 5 '(1))", "5 is not a function"}, {"(mapcar 'nope '(1))", "nope has no value"}, {"(sort '(2 1) (lambda (a b) (car 1)))", "car: want a list"}, {"(nth 'a nil)", "want an integer"}, {"(apply + 1)", "want a list"},
		{"(substring \"abc\" 4)", "integer from -3 to 3"}, {"(substring \"abc\" 2 1)", "2 is behind 1"}, {"(split-string \"a\" \"\")", "separator is empty"}, {"(char-to-string 55296)", "want a character"}, {"(char-to-string -1)", "from 0 to"}, {`(format "%c" 55296)`, "format: want a character"}, {`(format "%c" -1)`, "from 0 to"}, {"(intern \"\")", "needs a name"}, {"(concat \"a\" 1)", "concat: want a string, got 1"},
		{`(format "%d" "a")`, "want an integer"}, {`(format "%d")`, "no argument for %d"}, {`(format "a" 1)`, "1 arguments are left over"}, {`(format "%y" 1)`, "want a directive"}, {`(format "%9999d" 1)`, "want a directive"}, {`(format "%")`, "want a directive"}, {`(format "%f" "x")`, "want a number"},
		{"(make-binary -1)", "integer from 0 to 268435456"}, {"(make-binary 1e3)", "integer from 0"}, {"(byte (make-binary 2) 2)", "integer from 0 to 1"}, {"(byte (make-binary 0) 0)", "empty"}, {"(set-byte (make-binary 1) 0 256)", "integer from 0 to 255"}, {`(binary-to-string (make-binary 1) -1)`, "want a length"},
		{`(setq s (binary-to-string (make-binary 1000000)) l nil) (while (< (length l) 269) (setq l (cons s l))) (apply concat l)`, "longer than 268435456 bytes"},
		{"(defun f (n) (+ 1 (f n))) (f 1)", "recursion deeper than 20000"}, {"(defun nest (n) (let ((x nil)) (while (> n 0) (setq n (- n 1) x (list x))) x)) (equal (nest 20000) (nest 20000))", "nested more than 10000"},
		{`(load "/no/such.lisp")`, "load: open /no/such.lisp: no such file"}, {"(load 5)", "want a string"}, {"(error \"x\")", "line 1: x"}, {"(exit 256)", "integer from 0 to 255"}, {"(sleep -1)", "want a number of milliseconds"}, {"(with-lock 5)", "want a lock"}, {"(let ((l (make-lock))) (with-lock l (with-lock l 1)))", "has the lock already"}, {"(join 5)", "want a thread"},
	} {
		t.Run(c.text[:min(len(c.text), 40)], func(t *testing.T) {
			start(t).fails(c.want, c.text)
		})
	}
}

// A tail call needs no stack, in each form that can contain one.
func TestTailCalls(t *testing.T) {
	start(t).is("done", `
(defun f (n)
  (cond ((= n 0) 'done)
        (t (let ((m (- n 1))) (let* ((k m)) (progn (when t (unless nil (and t (or nil (if t (catch-error (e) (g k)))))))))))))
(defun g (n) (f n))
(f 5)`)
	start(t).is("done", `
(defun f (n)
  (cond ((= n 0) 'done)
        (t (let ((m (- n 1))) (let* ((k m)) (progn (when t (unless nil (and t (or nil (if t (f k))))))))))))
(f 50000)`)
}

// The printer cuts a value that is nested too deep. The stack does not overflow.
func TestPrintOfDeepList(t *testing.T) {
	in := start(t)
	v := in.value("(setq x nil n 0) (while (< n 20000) (setq n (+ n 1) x (list x))) x")
	text := lisp.Print(v)
	require.Equal(t, 10000, strings.Count(text, "("))
	require.Contains(t, text, "...")
	in.fails("want a number", "(+ x 1)")
	_, isList := lisp.ToGo(v).([]any)
	require.True(t, isList)
}

// Lists that share their parts can stand for too many elements to print or compare.
// print and equal still end.
func TestSharedParts(t *testing.T) {
	in := start(t)
	in.value(`(defun tree (n) (let ((x 'leaf)) (while (> n 0) (setq x (list x x) n (- n 1))) x)) (setq a (tree 60) b (tree 60))`)
	text := lisp.PrintUpTo(in.value("a"), 1000)
	require.Less(t, len(text), 2000)
	require.Contains(t, text, "...")
	_, isList := lisp.ToGo(in.value("a")).([]any)
	require.True(t, isList)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := in.Eval(ctx, "(equal a b)")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	in.is("t", "(equal a a)")
}

func TestDeleteFile(t *testing.T) {
	in := start(t)
	in.set("path", filepath.Join(t.TempDir(), "s"))
	in.is("(t nil)", "(make-instance socket 'unix 'stream 0 'filename path) (list (delete-file path) (delete-file path))")
	in.fails("delete-file: remove /proc/version: ", `(delete-file "/proc/version")`)
}

func TestErrorsNameFileAndLine(t *testing.T) {
	dir := t.TempDir()
	inner, outer := filepath.Join(dir, "inner.lisp"), filepath.Join(dir, "outer.lisp")
	require.NoError(t, os.WriteFile(inner, []byte("(defun broken (x)\n  (list 1\n    (car x)))\n"), 0o600))
	require.NoError(t, os.WriteFile(outer, []byte(fmt.Sprintf("(load %q)\n\n(broken\n 5)\n", inner)), 0o600))
	in := start(t)
	_, err := in.Load(context.Background(), outer)
	require.EqualError(t, err, inner+":3: car: want a list, got 5")
	var e *lisp.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, &lisp.Error{File: inner, Line: 3, Msg: "car: want a list, got 5", Err: e.Err, Trace: []lisp.Call{{Name: "broken", File: outer, Line: 3}}}, e)

	_, err = in.EvalSource(context.Background(), "here", "\n\n(progn\nnothing)")
	require.EqualError(t, err, "here:3: nothing has no value")
	_, err = in.Eval(context.Background(), "\n(car\n\"x)")
	require.EqualError(t, err, "line 3: a string has no end")
	require.ErrorIs(t, err, lisp.ErrIncomplete)

	require.NoError(t, os.WriteFile(inner, []byte(fmt.Sprintf("(load %q)", inner)), 0o600))
	_, err = in.Load(context.Background(), inner)
	require.ErrorContains(t, err, "recursion deeper")
}

func TestLoadBoundsTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "big.lisp")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Truncate(file, 16<<20+1))
	start(t).fails("more than 16777216 bytes", fmt.Sprintf("(load %q)", file))
}

func TestPrinting(t *testing.T) {
	in := start(t)
	in.is(`"a"`, `(princ "x\n") (print '("b" 1.0)) (print "a")`)
	require.Equal(t, "x\n(\"b\" 1.0)\n\"a\"\n", in.out.String())
}

func TestExit(t *testing.T) {
	_, err := start(t).Eval(context.Background(), "(catch-error (e 1) (unwind-protect (exit 3) (setq x 1)))")
	var exit *lisp.Exit
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.Code)
}

func TestIncomplete(t *testing.T) {
	for text, want := range map[string]bool{
		"(+ 1": true, "\"a": true, "'": true, "#| a": true, "(a) (b": true,
		"": false, "1": false, "(+ 1 2)": false, ")": false, "(a) )": false, "a\x00": false, "; (": false,
	} {
		require.Equal(t, want, lisp.Incomplete(text), text)
	}
}

func TestGoValues(t *testing.T) {
	in := start(t)
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "nil"}, {true, "t"}, {false, "nil"}, {7, "7"}, {uint8(7), "7"}, {int64(math.MinInt64), "-9223372036854775808"}, {1.5, "1.5"}, {float32(0.5), "0.5"}, {"a", `"a"`},
		{[]byte("ab"), "#<binary 2>"}, {[]int{1, 2}, "(1 2)"}, {[]any{"a", nil, []int{}}, `("a" nil nil)`}, {[]string{}, "nil"}, {lisp.T, "t"}, {lisp.ListOf(int64(1)), "(1)"}, {(*lisp.List)(nil), "nil"},
	} {
		in.set("x", c.v)
		in.is(c.want, "x")
	}
	for _, bad := range []any{make(chan int), uint64(math.MaxUint64), []any{struct{}{}}, map[string]int{}} {
		require.ErrorContains(t, in.Set("x", bad), "nothing that Lisp knows")
	}
	require.EqualError(t, in.Set("x", (*socket.Socket)(nil)), "a nil *socket.Socket")
	require.EqualError(t, in.Set("x", (*lisp.Thread)(nil)), "a nil *lisp.Thread")
	require.ErrorContains(t, in.Set("nil", 1), "nil is a constant")
	require.ErrorContains(t, in.Define("if", 0, 0, nil), "special form")
	_, ok := in.Get("never-set")
	require.False(t, ok)

	require.Equal(t, []any{true, nil, int64(1), "a", "b", []any{1.5}, []byte("x")}, lisp.ToGo(in.value(`(list t nil 1 "a" 'b '(1.5) (string-to-binary "x"))`)))
}

func TestGoFunctions(t *testing.T) {
	in := start(t)
	require.NoError(t, in.Define("twice", 1, -1, func(t *lisp.Thread, args []lisp.Value) (any, error) {
		if _, err := t.Call(args[0], args[1:]...); err != nil {
			return nil, err
		}
		return t.Call(args[0], args[1:]...)
	}))
	in.is("2", "(setq n 0) (twice (lambda (by) (setq n (+ n by))) 1)")
	in.is("2", "(setq n 0) (defun inc () (setq n (+ n 1))) (twice 'inc)")
	in.fails("car: want a list, got 1", "(twice car 1)")
	in.fails("recursion deeper", "(defun f () (twice f)) (f)")

	broken := fmt.Errorf("broken")
	require.NoError(t, in.Define("fail", 0, 0, func(*lisp.Thread, []lisp.Value) (any, error) { return nil, broken }))
	_, err := in.Eval(context.Background(), "(fail)")
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "line 1: fail: broken")
	in.is(`"fail: broken"`, "(catch-error (e e) (fail))")
	require.NoError(t, in.Define("mad", 0, 0, func(_ *lisp.Thread, args []lisp.Value) (any, error) { return args[5], nil }))
	in.is(`"mad: panic: runtime error: index out of range [5] with length 0"`, "(catch-error (e e) (mad))")
	in.is("3", "(defun f (x) (catch-error (e) (mad)) (+ x 1)) (f 2)")
	require.NoError(t, in.Define("odd", 0, 0, func(*lisp.Thread, []lisp.Value) (any, error) { return struct{}{}, nil }))
	in.fails("odd: {} of Go's type struct {} is nothing", "(odd)")
}
