package lisp_test

import "testing"

// An operation of a local variable and an integer gives what the function gives: for integers,
// for floats, and after the function's name has another value.
func TestStep(t *testing.T) {
	for text, want := range map[string]string{
		"(let ((i 5)) (list (+ i 1) (- i 1) (+ i 0) (- i -1) (* i 3)))":              "(6 4 5 6 15)",
		"(let ((i 4)) (list (< i 5) (<= i 5) (= i 5) (>= i 5) (> i 5)))":             "(t t nil nil nil)",
		"(let ((i 5)) (list (< i 5) (<= i 5) (= i 5) (>= i 5) (> i 5)))":             "(nil t t t nil)",
		"(let ((i 6)) (list (< i 5) (<= i 5) (= i 5) (>= i 5) (> i 5)))":             "(nil nil nil t t)",
		"(let ((i 0.5)) (list (< i 1) (> i 1) (+ i 1) (- i 1)))":                     "(t nil 1.5 -0.5)",
		"(let ((i -2)) (- i -9223372036854775808))":                                  "9223372036854775806",
		"(defun f (n) (+ n 1)) (setq old (f 1)) (setq + *) (list old (f 7))":         "(2 7)",
		"(defun g (n) (if (< n 1) 'less 'more)) (g 0) (setq < >) (list (g 0) (g 2))": "(more less)",
	} {
		start(t).is(want, text)
	}
	for text, want := range map[string]string{
		"(let ((i 2)) (- i -9223372036854775808))": "-: the result is beyond",
		"(let ((i 9223372036854775807)) (+ i 1))":  "+: the result is beyond",
		"(let ((i -9223372036854775808)) (- i 1))": "-: the result is beyond",
		`(let ((i "a")) (< i 1))`:                  `<: want a number, got "a"`,
		"(let ((i nil)) (+ i 1))":                  "+: want a number, got nil",
	} {
		start(t).fails(want, text)
	}
}

// A call in the place of a function's value runs to its end in a function without captured
// variables and in one with them.
func TestTailCallOfPlainFunction(t *testing.T) {
	start(t).is("(done 3)", "(defun a (n) (if (= n 0) 'done (a (- n 1)))) (defun b () (a 100000)) (let ((k 3)) (list (b) ((lambda (x) (+ x k)) 0)))")
}
