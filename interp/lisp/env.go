package lisp

import "sync/atomic"

// An env is a frame of local variables. Closures keep frames, and functions that
// threads share may set the variables in them, so that each variable is a cell
// which can be read and set by any thread.
type env struct {
	outer *env
	names []*Symbol
	cells []cell
}

// A cell is a variable. Most are never set again, which costs no allocation:
// first is written before any other thread can know of the cell, later
// overrides it.
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

// find is the innermost variable of a name, or nil.
func (e *env) find(s *Symbol) *cell {
	for ; e != nil; e = e.outer {
		for i := len(e.names) - 1; i >= 0; i-- { // the later of two in one let*
			if e.names[i] == s {
				return &e.cells[i]
			}
		}
	}
	return nil
}

// bind makes a frame of one variable.
func (e *env) bind(s *Symbol, v Value) *env {
	return &env{outer: e, names: []*Symbol{s}, cells: []cell{{first: v}}}
}

// variable is the value of a symbol: of the local variable, or else the global.
func (t *Thread) variable(s *Symbol, e *env) (Value, error) {
	if s.constant {
		return s, nil
	}
	if c := e.find(s); c != nil {
		return c.get(), nil
	}
	if v, ok := t.global(s); ok {
		return v, nil
	}
	if s.special != nil {
		return nil, raise("%s is a special form, which has no value", s.name)
	}
	return nil, raise("%s has no value", s.name)
}

// assign sets the local variable of a name, or else the global.
func (t *Thread) assign(s *Symbol, v Value, e *env) error {
	if err := settable(s); err != nil {
		return err
	}
	if c := e.find(s); c != nil {
		c.set(v)
	} else {
		t.setGlobal(s, v)
	}
	return nil
}

// settable refuses what is no variable.
func settable(s *Symbol) error {
	switch {
	case s.constant:
		return raise("%s is a constant", s.name)
	case s.special != nil:
		return raise("%s is a special form, and cannot be a variable", s.name)
	}
	return nil
}

// global is a global variable's value. *lastsocketerror* is each thread's own.
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
