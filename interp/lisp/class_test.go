package lisp_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const counter = `
(defclass counter class "counts." (n 0) step)
(defmethod counter-constructor (self &optional start) (when start (put self 'n start)) (put self 'step 1))
(defmethod counter-add (self &optional by) (put self 'n (+ (get self 'n) (or by (get self 'step)))))
(defclass double counter)
(defmethod double-add (self &optional by) (counter-add self by) (counter-add self by))
`

func TestClasses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"properties have values", "(setq c (make-instance counter)) (list (get c 'n) (get c 'step) (get c 'none) (plist c))", "(0 1 nil (n 0 step 1))"},
		{"the constructor gets the arguments", "(get (make-instance counter 5) 'n)", "5"},
		{"a method", "(setq c (make-instance 'counter)) (add c) (add c 10) (counter-add c 100) (get c 'n)", "111"},
		{"a child has the methods of its parent, and replaces some", "(setq d (make-instance double 1)) (add d 10) (get d 'n)", "21"},
		{"objects have each their own", "(setq a (make-instance counter) b (make-instance counter)) (add a) (list (get a 'n) (get b 'n))", "(1 0)"},
		{"values are made anew for each object", "(defclass c class (h (make-hash-table))) (eq (get (make-instance c) 'h) (get (make-instance c) 'h))", "nil"},
		{"a value sees the place of the class", "(let ((x 7)) (defclass c class (v x))) (get (make-instance c) 'v)", "7"},
		{"without a constructor the arguments are properties", "(defclass point class (x 0) (y 0)) (plist (make-instance point 'y 5))", "(x 0 y 5)"},
		{"the class of an object", "(setq d (make-instance double)) (list (class-of d) (is-a d counter) (is-a d 'class) (is-a d 'socket) (is-a 5 counter) (objectp d) (objectp 5) (socketp d) d)", "(#<class double> t t nil nil t nil nil #<double>)"},
		{"the destructor is called", "(setq l nil) (defmethod counter-destructor (self) (push (get self 'n) l)) (list (destroy-instance (make-instance double 3)) l)", "(t (3))"},
		{"methods are functions", "(mapcar add (list (make-instance counter 1) (make-instance counter 2)))", "(2 3)"},
		{"the longest class in the name counts", "(defclass counter-x class) (defmethod counter-x-y (self) 'of-counter-x) (defmethod counter-xy (self) 'of-counter) (list (y (make-instance counter-x)) (xy (make-instance counter)))", "(of-counter-x of-counter)"},
		{"a class can be made again", "(setq old (make-instance counter)) (defclass counter class (n 50)) (list (get (make-instance counter) 'n) (counter-add old))", "(50 1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := start(t)
			in.value(counter)
			in.is(c.want, c.text)
		})
	}
}

// All methods of socket work on an object of a child class. The child's own methods
// take precedence. A connection that it accepts has its class.
func TestChildrenOfSocket(t *testing.T) {
	in := start(t)
	in.value(sockets + `
(defclass server socket (served 0))
(defmethod server-constructor (self) (socket-constructor self 'inet 'stream 0 'address "127.0.0.1" 'port 0) (listen self 5))
(defmethod server-read-line (self) (put self 'served (+ 1 (get self 'served))) (upcase (socket-read-line self)))
(setq s (make-instance server))
(setq c (make-instance socket 'inet 'stream 0))
(connect c "127.0.0.1" (get s 'port))
(setq d (accept s))`)
	in.is("(#<class server> t t 0)", "(list (class-of d) (is-a d server) (socketp d) (get d 'served))")
	in.is(`("HELLO" 1 0)`, `(write-line c "hello") (list (read-line d) (get d 'served) (get s 'served))`)
	in.is(`"plain"`, `(write-line c "plain") (file-read-line d)`) // the parent's method
	in.is("t", `(write-line c "x") (equal (select (list d s)) (list (list d) nil nil))`)
	require.Regexp(t, `^\(#<server inet stream \d+>\)$`, in.text("(list d)"))
	in.is("(t t -1)", "(list (destroy-instance d) (eof d) (file-fileno d))")

	in.is(`(nil "Address already in use")`, `
(defclass child socket)
(list (make-instance child 'inet 'stream 0 'address "127.0.0.1" 'port (get l 'port)) *lastsocketerror*)`)
	in.is("nil", "(defclass forgetful socket) (defmethod forgetful-constructor (self) 5) (make-instance forgetful)")
	in.is(`"c"`, "(defclass grandchild child (name \"c\")) (get (make-instance grandchild 'inet 'dgram 0) 'name)")

	// An error in a constructor closes the socket.
	in.fails("car: want a list", `(defclass bad socket) (setq made nil) (defmethod bad-constructor (self) (socket-constructor self 'inet 'dgram 0) (setq made self) (car 5)) (make-instance bad)`)
	in.is("-1", "(fileno made)")
	in.is("(t t)", "(defmethod child-destructor (self) (put self 'gone t)) (setq x (make-instance child 'inet 'dgram 0)) (destroy-instance x) (list (get x 'gone) (eof x))")
}

func TestClassMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"(defclass x 5)", "defclass: want a class, such as socket, got 5"}, {"(defclass x nothing)", "nothing has no value"}, {"(defclass socket class)", "the class socket is the interpreter's own"}, {"(defclass 5 class)", "want a variable's name"}, {"(defclass x- class)", "cannot end in -"},
		{"(defmethod nothing-add (self))", "no class is known that nothing-add begins with"}, {"(defmethod counter-zero ())", "counter-zero needs a parameter for the object"}, {"(defmethod counter-car (self))", "defmethod: car has a value that is no method: #<function car>"}, {"(defmethod counter-if (self))", "if is a special form"},
		{"(add 5)", "add: want an object, got 5"}, {"(defclass other class) (add (make-instance other))", "add: #<other> has no such method"}, {"(add)", "want 1 or more arguments"}, {"(accept (make-instance counter))", "accept: #<counter> has no such method"},
		{"(socket-accept (make-instance counter))", "want a socket, got #<counter>"}, {"(make-instance counter 1 2)", "want 1 to 2 arguments, got 3"}, {"(make-instance 'none)", "want a class"}, {"(defclass point class) (make-instance point 'x)", "no value for the property x"}, {"(make-instance point 5 6)", "point has no value"},
		{"(defclass half socket) (defmethod half-constructor (self) (accept self)) (make-instance half)", "#<half> is not open: no constructor has opened it"},
		{"(setq s (make-instance socket 'inet 'dgram 0)) (socket-constructor s 'inet 'dgram 0)", "the object is open already"}, {"(socket-constructor (make-instance counter) 'inet 'dgram 0)", "want a socket, got #<counter>"}, {"(file-constructor 5 \"x\")", "want a file, got 5"},
		{"(get 5 'x)", "want an object"}, {"(select (list (make-instance counter)))", "want a socket or a file, got #<counter>"}, {"(show 5)", "want an object, got 5"}, {"(is-a 5 5)", "want a class"},
	} {
		in := start(t)
		in.value(counter)
		in.fails(c.want, c.text)
	}
}
