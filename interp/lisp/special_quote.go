package lisp

import "errors"

func specialUnquote(*compiler, *List, bool) (emitter, error) {
	return nil, errors.New("a comma is for use within a `")
}

func specialQuasiquote(c *compiler, args *List, _ bool) (emitter, error) {
	return c.template(args.head, 1)
}

// template compiles a form that is within level quasiquotes. Parts without a comma are
// constants.
func (c *compiler) template(x Value, level int) (emitter, error) {
	l, ok := x.(*List)
	if !ok || !c.hasComma(l, 0) {
		return func() node { return &constant{x} }, nil
	}
	if c.nesting++; c.nesting > maxNesting {
		return nil, raise("lists nested more than %d deep", maxNesting)
	}
	defer func() { c.nesting-- }()
	if err := c.t.tick(); err != nil {
		return nil, err
	}
	in := c.t.in
	if l.len(3) == 2 {
		switch l.head {
		case Value(in.unquote):
			if level == 1 {
				return c.form(l.tail.head, false)
			}
			return c.rebuilt(l, level-1)
		case Value(in.quasiquote):
			return c.rebuilt(l, level+1)
		case Value(in.splice):
			if level == 1 {
				return nil, errors.New(",@ is for use within a list")
			}
			return c.rebuilt(l, level-1)
		}
	}
	return c.rebuilt(l, level)
}

// rebuilt compiles a list of templates.
func (c *compiler) rebuilt(l *List, level int) (emitter, error) {
	var parts []func() part
	for ; l != nil; l = l.tail {
		inner, splices := l.head, false
		if p, ok := l.head.(*List); ok && level == 1 && p.head == Value(c.t.in.splice) && p.len(3) == 2 {
			inner, splices = p.tail.head, true
		}
		var emit emitter
		var err error
		if splices {
			emit, err = c.form(inner, false)
		} else {
			emit, err = c.template(inner, level)
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, func() part { return part{emit(), splices} })
	}
	at := c.at
	return func() node {
		n := &templateNode{at: at}
		for _, p := range parts {
			n.parts = append(n.parts, p())
		}
		return n
	}, nil
}

// hasComma reports whether a part of a list may need evaluation. It also returns true
// if the evaluation must end, which the caller then finds out, too.
func (c *compiler) hasComma(l *List, depth int) bool {
	for ; l != nil; l = l.tail {
		switch x := l.head.(type) {
		case *Symbol:
			if x.name == "unquote" || x.name == "unquote-splicing" {
				return true
			}
		case *List:
			if depth == maxNesting || c.t.tick() != nil || c.hasComma(x, depth+1) {
				return true
			}
		}
	}
	return false
}

type part struct {
	node
	splices bool // insert the elements of the value, not the value
}

// templateNode makes a list.
type templateNode struct {
	parts []part
	at    *place
}

func (n *templateNode) eval(t *Thread, f frame) (Value, error) {
	var items []Value
	for _, p := range n.parts {
		v, err := p.eval(t, f)
		if err != nil {
			return nil, err
		}
		if !p.splices {
			items = append(items, v)
			continue
		}
		l, err := arg[*List](v)
		if err != nil {
			return nil, locate(named(",@", err), n.at)
		}
		items = append(items, l.Values()...)
	}
	return ListOf(items...), nil
}
