package lisp

import "fmt"

// The compiler works in two passes. The first pass reads forms, expands macros, finds
// the variables that inner functions share with outer ones, and makes emitters. The
// second pass calls the emitters, which make the nodes.

// An emitter makes the node of a form. The compiler calls it when all variables are
// known.
type emitter func() node

// A compiler compiles one form at top level.
type compiler struct {
	t       *Thread // expands macros
	scope   *scope  // of the function that is compiled now
	at      *place  // the place of the innermost list that has one
	nesting int     // of lists, counted through all functions
}

// evalForm compiles a form at top level and evaluates it. It
// evaluates the forms of a progn one by one, so that later forms can use a macro that
// an earlier form defines. at is the place of the form in its source; a list has a
// place of its own.
func (t *Thread) evalForm(form Value, at *place) (v Value, err error) {
	if l, ok := form.(*List); ok && l.head == Value(t.in.progn) {
		if l.at != nil {
			at = l.at
		}
		if err := t.enter(); err != nil {
			return nil, locate(err, at)
		}
		defer func() { t.depth-- }()
		for l = l.tail; l != nil; l = l.tail {
			if v, err = t.evalForm(l.head, at); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	c := &compiler{t: t, scope: &scope{}, at: at}
	emit, err := c.form(form, false)
	if err != nil {
		return nil, err
	}
	code := emit()
	f := t.push(c.scope.size())
	v, err = code.eval(t, f)
	t.pop(f)
	return v, err
}

// form compiles an expression.
func (c *compiler) form(x Value, tail bool) (emitter, error) {
	switch x := x.(type) {
	case *Symbol:
		return c.variable(x), nil
	case *List:
		return c.list(x, tail)
	}
	return func() node { return &constant{x} }, nil
}

func (c *compiler) variable(s *Symbol) emitter {
	if s.constant {
		return func() node { return &constant{s} }
	}
	if v := c.scope.find(s); v != nil {
		return func() node {
			if v.shared() {
				return &shared{v.slot()}
			}
			return &local{v.slot()}
		}
	}
	if s == c.t.in.lastError {
		return func() node { return lastError{} }
	}
	at := c.at
	return func() node { return &global{s, at} }
}

// list compiles a special form, the use of a macro, or a call.
func (c *compiler) list(x *List, tail bool) (emitter, error) {
	outer := c.at
	if x.at != nil {
		c.at = x.at
	}
	defer func() { c.at = outer }()
	if c.nesting++; c.nesting > maxNesting {
		return nil, locate(raise("lists nested more than %d deep", maxNesting), c.at)
	}
	defer func() { c.nesting-- }()
	// A few lists that share their parts can stand for a huge number of forms. So
	// check whether the evaluation must end.
	if err := c.t.tick(); err != nil {
		return nil, locate(err, c.at)
	}
	if s, ok := x.head.(*Symbol); ok {
		if s.special != nil {
			return c.special(s, x, tail)
		}
		if m, ok := c.macro(s); ok {
			expanded, err := m.expand(c.t, x.tail)
			if err != nil {
				return nil, trace(err, m.name, c.at)
			}
			return c.form(expanded, tail)
		}
	}
	return c.call(x, tail)
}

func (c *compiler) special(s *Symbol, x *List, tail bool) (emitter, error) {
	sp := s.special
	if n := x.tail.len(max(sp.min, sp.max+1)); n < sp.min || sp.max >= 0 && n > sp.max {
		return nil, locate(raise("malformed %s: want %s", s.name, sp.usage), c.at)
	}
	emit, err := sp.compile(c, x.tail, tail)
	if err != nil {
		return nil, locate(named(s.name, err), c.at)
	}
	return emit, nil
}

func (c *compiler) call(x *List, tail bool) (emitter, error) {
	function, err := c.form(x.head, false)
	if err != nil {
		return nil, err
	}
	args, err := c.forms(x.tail, false)
	if err != nil {
		return nil, err
	}
	at, depth := c.at, c.nesting-c.scope.nesting
	return func() node {
		n := &call{function: function(), args: emitAll(args), depth: depth, tail: tail, at: at}
		if s, ok := x.head.(*Symbol); ok {
			n.name = s.name
		}
		g, ok := n.function.(*global)
		if !ok {
			return n
		}
		n.symbol = g.symbol
		if operation := makeOperation(n); operation != nil {
			return operation
		}
		return n
	}, nil
}

// forms compiles expressions. The last one may be in tail position.
func (c *compiler) forms(body *List, tail bool) ([]emitter, error) {
	var all []emitter
	for ; body != nil; body = body.tail {
		emit, err := c.form(body.head, tail && body.tail == nil)
		if err != nil {
			return nil, err
		}
		all = append(all, emit)
	}
	return all, nil
}

func emitAll(emitters []emitter) []node {
	nodes := make([]node, len(emitters))
	for i, emit := range emitters {
		nodes[i] = emit()
	}
	return nodes
}

// body compiles expressions to a node that returns the value of the last.
func (c *compiler) body(forms *List, tail bool) (emitter, error) {
	all, err := c.forms(forms, tail)
	if err != nil {
		return nil, err
	}
	return func() node { return makeSequence(emitAll(all)) }, nil
}

// bindingOf returns a function that makes the binding of a variable, whose first value
// the emitter value makes.
func bindingOf(v *variable, value emitter) func() binding {
	return func() binding { return binding{v.slot(), v.shared(), value()} }
}

// A Macro is a function of forms. The compiler compiles its value in place of the use
// of the macro.
type Macro struct{ *Closure }

// String returns #<macro name>.
func (m *Macro) String() string { return "#<macro " + m.name + ">" }

func (m *Macro) expand(t *Thread, args *List) (Value, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	if err := t.tick(); err != nil {
		return nil, err
	}
	return t.applyClosure(m.Closure, args.Values())
}

// macro returns the macro that a symbol names in the present scope.
func (c *compiler) macro(s *Symbol) (*Macro, bool) {
	v := s.value.Load()
	if v == nil {
		return nil, false
	}
	m, ok := (*v).(*Macro)
	if !ok || c.scope.find(s) != nil {
		return nil, false
	}
	return m, true
}

// lambda compiles a function: its parameters and body.
func (c *compiler) lambda(name string, params Value, body *List) (func() *lambda, error) {
	list, err := arg[*List](params)
	if err != nil {
		return nil, err
	}
	code := &lambda{name: name}
	inner := &scope{outer: c.scope, nesting: c.nesting}
	if err := c.params(code, inner, list); err != nil {
		return nil, err
	}
	if text, ok := body.first().(string); ok && body.tail != nil {
		code.doc = text
		body = body.tail
	}
	c.scope = inner
	emit, err := c.body(body, true)
	c.scope = inner.outer
	if err != nil {
		return nil, err
	}
	return func() *lambda {
		code.body = emit()
		code.size = inner.size()
		for _, v := range inner.captures {
			code.captures = append(code.captures, v.origin.slot())
		}
		for _, v := range inner.visible {
			if v.shared() {
				code.cells = append(code.cells, v.slot())
			}
		}
		return code
	}, nil
}

// params compiles a list of parameters. A parameter after &optional is nil without an
// argument. The parameter after &rest takes a list of all other arguments.
func (c *compiler) params(code *lambda, s *scope, list *List) error {
	optional := false
	for ; list != nil; list = list.tail {
		name, err := c.t.in.bindable(list.head)
		if err != nil {
			return err
		}
		switch {
		case name.name == "&optional" && !optional && !code.rest:
			optional = true
		case name.name == "&rest" && list.tail.len(2) == 1:
			code.rest = true
		case name.name[0] == '&':
			return fmt.Errorf("%s does not belong there", name.name)
		default:
			s.visible = append(s.visible, &variable{name: name, kind: parameter, index: s.params, scope: s})
			s.params++
			code.params = append(code.params, name)
			if !optional && !code.rest {
				code.required++
			}
		}
	}
	code.plain = code.required == len(code.params)
	return nil
}
