package lisp

// A scope has the variables of one function.
type scope struct {
	outer    *scope // of the function around it
	params   int
	captures []*variable // outer variables that the function uses
	visible  []*variable // its own, the innermost last
	locals   int         // slots in use for its own variables, without parameters
	most     int         // the most locals at any time
	nesting  int         // the compiler's nesting where the function begins
}

type variable struct {
	name     *Symbol
	kind     variableKind
	index    int       // among the variables of its kind
	origin   *variable // for a capture: the variable in the outer scope
	captured bool      // an inner function uses it
	assigned bool      // it is set after it was bound
	scope    *scope
}

type variableKind uint8

const (
	parameter variableKind = iota
	capture
	localVariable
)

// slot returns the variable's place in a frame. It is known in the second pass.
func (v *variable) slot() int {
	switch v.kind {
	case parameter:
		return v.index
	case capture:
		return v.scope.params + v.index
	}
	return v.scope.params + len(v.scope.captures) + v.index
}

// shared reports whether the variable is kept in a cell, so that all functions that use
// it see its changes. It is known in the second pass.
func (v *variable) shared() bool {
	for v.kind == capture {
		v = v.origin
	}
	return v.captured && v.assigned
}

func (v *variable) assign() {
	for v.kind == capture {
		v = v.origin
	}
	v.assigned = true
}

// find returns the variable of a name, or nil. If the variable is in an outer function,
// find makes it a capture of the inner ones.
func (s *scope) find(name *Symbol) *variable {
	if s == nil {
		return nil
	}
	for i := len(s.visible) - 1; i >= 0; i-- {
		if s.visible[i].name == name {
			return s.visible[i]
		}
	}
	for _, v := range s.captures {
		if v.name == name {
			return v
		}
	}
	origin := s.outer.find(name)
	if origin == nil {
		return nil
	}
	origin.captured = true
	v := &variable{name: name, kind: capture, index: len(s.captures), origin: origin, scope: s}
	s.captures = append(s.captures, v)
	return v
}

// bind makes a variable visible, until release.
func (s *scope) bind(name *Symbol) *variable {
	v := &variable{name: name, kind: localVariable, index: s.locals, scope: s}
	s.locals++
	s.most = max(s.most, s.locals)
	s.visible = append(s.visible, v)
	return v
}

// release ends the visibility of the variables that were bound last.
func (s *scope) release(n int) {
	s.locals -= n
	s.visible = s.visible[:len(s.visible)-n]
}

// size returns how many values a frame has.
func (s *scope) size() int { return s.params + len(s.captures) + s.most }
