package lisp

import "sync/atomic"

// A cell holds a variable that functions share and that is set after it was bound.
// Several threads may get and set it. Most cells are set rarely. The maker of the cell
// writes first, before another thread can reach the cell. later overrides first.
type cell struct {
	first Value
	later atomic.Pointer[Value]
}

func (c *cell) get() Value {
	if v := c.later.Load(); v != nil {
		return *v
	}
	return c.first
}

func (c *cell) set(v Value) { c.later.Store(&v) }

// global returns the value of a global variable. Each thread has its own
// *lastsocketerror*.
func (t *Thread) global(s *Symbol) (Value, bool) {
	if s == t.in.lastError {
		return t.lastError.get(), true
	}
	if v := s.value.Load(); v != nil {
		return *v, true
	}
	return nil, false
}

func (t *Thread) setGlobal(s *Symbol, v Value) {
	if s == t.in.lastError {
		t.lastError.set(v)
		return
	}
	s.value.Store(&v)
}

// function returns the function that a symbol names.
func (t *Thread) function(s *Symbol) (Value, error) {
	if v, ok := t.global(s); ok {
		return v, nil
	}
	return nil, unbound(s)
}

// unbound returns the error for a symbol without a value.
func unbound(s *Symbol) error {
	switch advice := foreign[s.name]; {
	case s.special != nil:
		return raise("%s is a special form, which has no value", s.name)
	case advice != "":
		return raise("%s has no value: %s", s.name, advice)
	case s.name[0] == ':':
		return raise("%s has no value: a keyword is a quoted symbol here, '%s", s.name, s.name[1:])
	}
	return raise("%s has no value", s.name)
}

// foreign maps the names of other dialects to the names of this one.
var foreign = map[string]string{
	"#f":              "write nil",
	"#t":              "write t",
	"begin":           "write progn",
	"case":            "write cond",
	"decf":            "write setq and 1-",
	"defconst":        "write setq",
	"define":          "write defun for a function and setq for a variable",
	"defparameter":    "write setq",
	"defvar":          "write setq",
	"display":         "write princ",
	"do":              "write while, dolist or dotimes",
	"else":            "the last clause of cond begins with t",
	"empty?":          "write null",
	"eq?":             "write eq",
	"equal?":          "write equal",
	"false":           "write nil",
	"first":           "write car",
	"flet":            "write let and lambda",
	"fn":              "write lambda",
	"funcall*":        "write apply",
	"getaddrinfo":     "write lookup-host",
	"gethostbyname":   "write lookup-host",
	"handler-case":    "write condition-case",
	"ignore-errors":   "write condition-case",
	"incf":            "write setq and 1+",
	"int-to-string":   "write number-to-string",
	"labels":          "write defun",
	"loop":            "write while, dolist or dotimes",
	"make-thread":     "write thread",
	"newline":         "write (princ \"\\n\")",
	"null?":           "write null",
	"parse-integer":   "write string-to-number",
	"quit":            "write exit",
	"rest":            "write cdr",
	"rplaca":          "lists do not change here",
	"rplacd":          "lists do not change here",
	"set!":            "write setq",
	"setcar":          "lists do not change here",
	"setcdr":          "lists do not change here",
	"setf":            "write setq for a variable, put for a property, puthash for a table",
	"string-append":   "write concat",
	"string-downcase": "write downcase",
	"string-split":    "write split-string",
	"string-upcase":   "write upcase",
	"terpri":          "write (princ \"\\n\")",
	"trim":            "write string-trim",
	"true":            "write t",
	"values":          "a function returns one value: write list",
	"var":             "write setq",
	"vector":          "write list",
}

// settable returns an error for a symbol that cannot be a variable.
func settable(s *Symbol) error {
	switch {
	case s.constant:
		return raise("%s is a constant", s.name)
	case s.special != nil:
		return raise("%s is a special form, and cannot be a variable", s.name)
	}
	return nil
}

// bindable returns an error for a value that cannot name a local variable.
func (in *Interp) bindable(v Value) (*Symbol, error) {
	s, ok := v.(*Symbol)
	if !ok {
		return nil, wanted("a variable's name", v)
	}
	if s == in.lastError {
		return nil, raise("%s is each thread's own, and cannot be a local variable", s.name)
	}
	return s, settable(s)
}
