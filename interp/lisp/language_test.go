package lisp_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

// A variable keeps its value in a slot of the frame, and in a cell that functions
// share.
func TestVariables(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"(let ((x 1)) (funcall (lambda () (setq x 2))) x)", "2"},
		{"(let ((x 1)) (let ((f (lambda () x))) (setq x 2) (f)))", "2"},
		{"(let ((fs nil)) (dolist (x '(1 2 3)) (push (lambda () x) fs)) (mapcar funcall fs))", "(3 2 1)"},
		{"(let ((fs nil)) (dotimes (i 3) (push (lambda () (setq i (+ i 10))) fs)) (list (mapcar funcall fs) (mapcar funcall fs)))", "((12 11 10) (22 21 20))"},
		{"(let ((fs nil) (i 0)) (while (< i 3) (let ((k i)) (push (lambda () (setq k (+ k 1))) fs)) (setq i (+ i 1))) (mapcar funcall fs))", "(3 2 1)"},
		{"(defun adder (n) (lambda (m) (+ n m))) (setq a (adder 1) b (adder 10)) (list (a 1) (b 1))", "(2 11)"},
		{"(defun f (a) (lambda () (lambda () (setq a (+ a 1))))) (setq g ((f 1))) (g) (g)", "3"},
		{"(defun f (a &optional b &rest c) (setq a 1) (lambda () (list a b c))) ((f 5 6 7 8))", "(1 6 (7 8))"},
		{"(let ((even nil) (odd nil)) (setq even (lambda (n) (if (= n 0) t (odd (- n 1)))) odd (lambda (n) (if (= n 0) nil (even (- n 1))))) (even 100001))", "nil"},
		{"(let* ((x 1) (f (lambda () x)) (x 2)) (list (f) x))", "(1 2)"},
		{"(let ((x 1) (y (let ((z 5) (w 6)) (+ z w)))) (list x y))", "(1 11)"},
		{"(let ((a (let ((b 1)) b)) (c (let ((d 2)) d))) (let ((e 3)) (list a c e)))", "(1 2 3)"},
		{"(catch-error (e (let ((x e)) (lambda () x))) (car 1)) (funcall (catch-error (e (lambda () e)) (car 1)))", `"car: want a list, got 1"`},
		{"(setq x 1) (defun f () x) (let ((x 2)) (f))", "1"},
		{"(let ((list 5)) list)", "5"}, {"(let ((+ -)) (+ 5 3))", "2"}, {"(setq plus +) (setq + -) (setq r (list (+ 5 3) (let ((x 5)) (+ x 3)))) (setq + plus) r", "(2 2)"},
		{"(defun f (n) (if (< n 10) n 0)) (setq r (f 5) less <) (setq < >) (setq r (list r (f 5) (while (< 5 9)))) (setq < less) r", "(5 0 nil)"},
		{"(defun f (n) (cond ((= n 0) 'done) (t (f (- n 1))))) (f 1000000)", "done"},
		{"(defun f (n &optional acc) (if (= n 0) acc (f (- n 1) (cons n acc)))) (length (f 100000))", "100000"},
		{"(defun f (n) (when (> n 0) (let ((m (- n 1))) (f m)))) (f 100000)", "nil"},
		{"(defun f (&rest all) (if all (apply f (cdr all)) 'end)) (f 1 2 3)", "end"},
		{"(defun f (a b c d e g) (if (= a 0) (list b c d e g) (f (- a 1) c d e g b))) (f 5 1 2 3 4 5)", "(1 2 3 4 5)"},
		{"(setq i 0) (while (< i 2000000) (setq i (+ i 1))) i", "2000000"},
		{"(let ((i 5000000000)) (setq i (+ i 1)) (let ((j i)) (setq i (+ i 1)) (list i j)))", "(5000000002 5000000001)"},
		{"(let ((l nil)) (dotimes (i 5000) (push (+ 100000 i) l)) (apply + l))", "512497500"},
	} {
		t.Run(c.text, func(t *testing.T) { start(t).is(c.want, c.text) })
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// Loops.
		{"(setq n 0) (dotimes (i 4) (setq n (+ n i))) n", "6"}, {"(dotimes (i 3 i))", "3"}, {"(dotimes (i 0 'none) (car 1))", "none"}, {"(dotimes (i -5) (car 1))", "nil"},
		{"(setq l nil) (dolist (x '(1 2) (cons 'end l)) (push x l))", "(end 2 1)"}, {"(dolist (x '(1 2) x))", "nil"},
		{"(setq l nil) (list (push 1 l) (push 2 l) (pop l) l (pop l) (pop l))", "((1) (2 1) 2 (1) 1 nil)"},
		{"(let ((l '(1 2))) (funcall (lambda () (pop l))) l)", "(2)"},
		// Quasiquotes.
		{"(setq x 5 l '(1 2)) `(a ,x ,@l b)", "(a 5 1 2 b)"}, {"`a", "a"}, {"`,(+ 1 2)", "3"}, {"`(1 ,@nil 2)", "(1 2)"}, {"`(,@'(1) . ())", ""},
		{"`(a (b ,(+ 1 2) (c ,@(list 4 5))) d)", "(a (b 3 (c 4 5)) d)"}, {"(setq x 1) `(a `(b ,(c ,x)))", "(a `(b ,(c 1)))"}, {"'`(a ,b ,@c)", "`(a ,b ,@c)"}, {"(car '`a)", "quasiquote"},
		{"(list 'unquote '@a)", ", @a"}, {"'(unquote a b)", "(unquote a b)"}, {"`(x `,y)", "(x `,y)"},
		// Macros.
		{"(defmacro swap (a b) `(let ((tmp ,a)) (setq ,a ,b) (setq ,b tmp))) (setq x 1 y 2) (swap x y) (list x y)", "(2 1)"},
		{"(defmacro repeat (n &rest body) (let ((i (gensym))) `(dotimes (,i ,n) ,@body))) (setq k 0) (repeat 3 (setq k (+ k 1))) k", "3"},
		{"(defmacro my-if (test &optional then else) `(cond (,test ,then) (t ,else))) (defun f (x) (my-if x 'yes 'no)) (list (f t) (f nil))", "(yes no)"},
		{"(progn (defmacro m () 7) (setq r (m))) r", "7"}, {"(defmacro m (x) (list 'quote x)) (m (a b))", "(a b)"}, {"(defmacro m () ''x) (let ((m (lambda () 'y))) (m))", "y"},
		{"(defmacro a () '(b)) (defmacro b () 5) (list (a) (macroexpand '(a)) (macroexpand '(car x)) (macroexpand 'x))", "(5 5 (car x) x)"}, {"(defmacro m ()) m", "#<macro m>"},
		{"(defmacro while-not (test &rest body) `(while (not ,test) ,@body)) (setq i 0) (while-not (= i 3) (setq i (+ i 1))) i", "3"},
		{"(eq (gensym) (gensym))", "nil"},
		// Catch and throw.
		{"(catch 'done (dolist (x '(1 2 3)) (when (= x 2) (throw 'done (* x 10)))) 'never)", "20"}, {"(catch 'a 1 2)", "2"}, {"(catch 'a (catch 'b (throw 'a 1)) 2)", "1"},
		{"(defun f () (throw 'out 'thrown)) (catch 'out (f) 5)", "thrown"}, {"(setq l nil) (list (catch 'a (unwind-protect (throw 'a 1) (push 'cleanup l))) l)", "(1 (cleanup))"},
		{"(catch 'a (catch-error (e 'caught) (throw 'a 'through)))", "through"}, {"(list (catch 'a (catch 'a (throw 'a 1)) 2))", "(2)"}, {"(catch 1 (mapcar (lambda (x) (throw 1 x)) '(5 6)))", "5"},
		// Conditions.
		{"(condition-case e (car 1) (error (list 'handled e)))", `(handled (error "car: want a list, got 1"))`}, {"(condition-case nil (car 1) (error 'quiet))", "quiet"}, {"(condition-case e 5 (error 6))", "5"},
		{"(condition-case e (signal 'broken '(1 2)) (other 1) (broken (cadr e)))", "(1 2)"}, {"(condition-case e (signal 'broken 5) (error e))", "(broken 5)"}, {"(condition-case e (condition-case e2 (signal 'a 1) (b 2)) (a 3))", "3"},
		{`(catch-error (e e) (signal 'broken "pipe"))`, `"broken: pipe"`}, {"(condition-case e (throw 'nowhere 1) (error (cadr e)))", `"throw: no catch in progress has the tag nowhere"`}, {"(condition-case e (car 1))", ""},
		{"(let ((x 1)) (condition-case x (car 2) (error)) x)", "1"}, {"(condition-case e (error \"%d\" 5) (t (cadr e)))", `"5"`},
	} {
		t.Run(c.text, func(t *testing.T) {
			if c.want == "" {
				start(t).fails("", c.text)
				return
			}
			start(t).is(c.want, c.text)
		})
	}
}

// Forms of any length take no more stack than short ones.
func TestLongForms(t *testing.T) {
	const n = 50000
	in := start(t)
	in.is("end", "(setq x nil) (cond "+strings.Repeat("(x 1)", n)+"(t 'end))")
	in.is("end", "(or "+strings.Repeat("x ", n)+"'end)")
	in.is("end", "(and "+strings.Repeat("t ", n)+"'end)")
	in.is("end", "(progn "+strings.Repeat("x ", n)+"'end)")
	in.is("end", "(let* ("+strings.Repeat("(y x)", 1000)+") 'end)")
	in.is(fmt.Sprint(n), "(length (list "+strings.Repeat("x ", n)+"))")
	in.is(fmt.Sprint(n), "(length `("+strings.Repeat(",x ", n)+"))")
	in.is(fmt.Sprint(n), "(setq "+strings.Repeat("y 1 ", n-1)+fmt.Sprintf("y %d)", n))
}

func TestFormMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"(let ((*lastsocketerror* 1)) 1)", "*lastsocketerror* is each thread's own, and cannot be a local variable"},
		{"(let* ((*lastsocketerror* 1)) 1)", "each thread's own"}, {"(lambda (*lastsocketerror*))", "each thread's own"}, {"(dolist (*lastsocketerror* nil))", "each thread's own"},
		{"(catch-error (*lastsocketerror*) 1)", "each thread's own"}, {"(defun *lastsocketerror* ())", "each thread's own"},
		{",x", "a comma is for use within a `"}, {"`,@x", ",@ is for use within a list"}, {"`(,@5)", ",@: want a list, got 5"},
		{"(push 1 5)", "want a variable's name"}, {"(push 1 undefined-list)", "undefined-list has no value"}, {"(setq x 5) (push 1 x)", "push: want a list, got 5"}, {"(setq x 5) (pop x)", "pop: want a list, got 5"},
		{"(dotimes (i 'x))", "dotimes: want an integer, got x"}, {"(dotimes (i))", "want (NAME COUNT)"}, {"(dolist (x '(1) 2 3))", "want (NAME LIST)"},
		{"(defun f () (m 1)) (defmacro m (x) x) (f)", "m is a macro: it must be defined before"}, {"(defmacro m (x) (car x)) (m 5)", "car: want a list, got 5"}, {"(defmacro m (x) x) (m)", "m: want 1 argument, got 0"},
		{"(defmacro m () '(m)) (m)", "nested more than"}, {"(defmacro m () '(m)) (macroexpand '(m))", "more than 10000 expansions"}, {"(defmacro m (x) x) (mapcar m '(1))", "m is a macro"},
		{"(throw 'x 1)", "throw: no catch in progress has the tag x"}, {"(catch 'x (join (thread (throw 'x 1))))", "no catch in progress"}, {"(catch 'a 1) (throw 'a 1)", "no catch"},
		{"(condition-case 5 1)", "want a variable's name"}, {"(condition-case e 1 5)", "want a clause"}, {"(condition-case e 1 (5))", "want a condition's name"}, {"(signal 5 6)", "want a symbol"},
		// Names of other dialects.
		{"(define x 1)", "define has no value"}, {"(define)", "define has no value: write defun"}, {"(setf x 1)", "setf has no value: write setq"}, {"(begin)", "write progn"}, {"(eq? 1 1)", "write eq"},
		{":key", "a keyword is a quoted symbol here, 'key"}, {"#'car", "a function is the value of its name"}, {`#\a`, "a character is written as ?a"}, {"#t", "true is t"}, {"#(1 2)", "there are lists, and no vectors"}, {"#xff", "begins with 0x"},
		{"[1 2]", "lists are in ( and )"}, {"{", "lists are in ( and )"}, {"(a . b)", "there are no pairs"},
	} {
		start(t).fails(c.want, c.text)
	}
}

func TestReader(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\ufeff(+ 1 2)", "3"}, {"\ufeff#!/usr/bin/weir-lisp\n5", "5"},
		{"?a", "97"}, {"?€", "8364"}, {`?\n`, "10"}, {`?\t`, "9"}, {`?\s`, "32"}, {`?\\`, "92"}, {`?\(`, "40"}, {"?(", "40"}, {`?\x41`, "65"}, {`?\xff`, "255"}, {`?\u20AC`, "8364"}, {`?\"`, "34"}, {`?"`, "34"}, {"(list ?a?b)", ""},
		{"(list ?a ?b)", "(97 98)"}, {"(list ?))", "(41)"}, {"?ab", ""}, {"? ", ""}, {"?", ""}, {`?\`, ""}, {`?\q`, ""}, {"?\xff", ""}, {"(list ?\n)", ""},
		{"'(a`b)", "(a `b)"}, {"'(a,b)", "(a ,b)"},
	} {
		t.Run(c.text, func(t *testing.T) {
			if c.want == "" {
				start(t).fails("line 1", c.text)
				return
			}
			start(t).is(c.want, c.text)
		})
	}
	for text, want := range map[string]bool{"?": true, "`": true, "`(a ,": true, "?a": false, "(list ?": true, `?\`: true, "\ufeff(": true} {
		require.Equal(t, want, lisp.Incomplete(text), text)
	}
}

// An error has the calls in progress, with the file and line of each.
func TestBacktrace(t *testing.T) {
	dir := t.TempDir()
	library, program := filepath.Join(dir, "library.lisp"), filepath.Join(dir, "program.lisp")
	require.NoError(t, os.WriteFile(library, []byte("(defun inner (x)\n  (+ 1\n    (car x)))\n(defun tail (x)\n  (inner x))\n"), 0o600))
	require.NoError(t, os.WriteFile(program, []byte("(require 'library)\n(defun outer (x)\n  (list\n    (tail x)))\n\n(mapcar\n  (lambda (x) (not (outer x)))\n  '(1))\n"), 0o600))
	in := start(t)
	_, err := in.Load(context.Background(), program)
	var e *lisp.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, library+":3: car: want a list, got 1\n"+
		"  in tail, called at "+program+":4\n"+ // tail calls inner in tail position
		"  in outer, called at "+program+":7\n"+
		"  in lambda", e.Backtrace())

	in.is(fmt.Sprintf(`((nil %q 3) ("tail" %q 4) ("outer" nil 2))`, library, program), "(catch-error (e (error-backtrace))\n(list (outer 5)))")
	in.is("nil", "(join (thread (error-backtrace)))")

	_, err = in.EvalSource(context.Background(), "deep", "(defun down (n) (if (= n 0) (car 5) (+ 1 (down (- n 1)))))\n(down 1000)")
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Trace, 100)
	require.Equal(t, "deep:1: car: want a list, got 5\n  in down, called at deep:1, and 99 more such calls\n  ...", e.Backtrace())
	for i := range 30 {
		in.value(fmt.Sprintf("(defun f%d (x) (list (f%d x)))", i+1, i))
	}
	_, err = in.Eval(context.Background(), "(defun f0 (x) (list (car x))) (f30 1)")
	require.ErrorAs(t, err, &e)
	require.Equal(t, 22, strings.Count(e.Backtrace(), "\n")+1)
	require.True(t, strings.HasSuffix(e.Backtrace(), "\n  ..."))
}
