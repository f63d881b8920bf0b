package lisp

import "errors"

func specialSetq(c *compiler, args *List, _ bool) (emitter, error) {
	var all []emitter
	for ; args != nil; args = args.tail.tail {
		name, ok := args.head.(*Symbol)
		if !ok {
			return nil, wanted("a variable's name", args.head)
		}
		if args.tail == nil {
			return nil, errors.New("no value for " + name.name)
		}
		value, err := c.form(args.tail.head, false)
		if err != nil {
			return nil, err
		}
		emit, err := c.assign(name, value)
		if err != nil {
			return nil, err
		}
		all = append(all, emit)
	}
	return func() node { return makeSequence(emitAll(all)) }, nil
}

// assign sets the local variable of a name. If there is none, it sets the global
// variable.
func (c *compiler) assign(name *Symbol, value emitter) (emitter, error) {
	if err := settable(name); err != nil {
		return nil, err
	}
	if v := c.scope.find(name); v != nil {
		v.assign()
		return func() node {
			if v.shared() {
				return &setShared{v.slot(), value()}
			}
			return &setLocal{v.slot(), value()}
		}, nil
	}
	if name == c.t.in.lastError {
		return func() node { return &setLastError{value()} }, nil
	}
	return func() node { return &setGlobal{name, value()} }, nil
}

// specialPush compiles (push VALUE NAME) as (setq NAME (cons VALUE NAME)). It works
// even if the program has set the variable cons.
func specialPush(c *compiler, args *List, _ bool) (emitter, error) {
	name, ok := args.tail.head.(*Symbol)
	if !ok {
		return nil, wanted("a variable's name", args.tail.head)
	}
	value, err := c.form(args.head, false)
	if err != nil {
		return nil, err
	}
	list, at := c.variable(name), c.at
	return c.assign(name, func() node { return &consNode{value(), list(), at} })
}

type consNode struct {
	head, tail node
	at         *place
}

func (n *consNode) eval(t *Thread, f frame) (Value, error) {
	head, err := n.head.eval(t, f)
	if err != nil {
		return nil, err
	}
	v, err := n.tail.eval(t, f)
	if err != nil {
		return nil, err
	}
	tail, err := arg[*List](v)
	if err != nil {
		return nil, locate(named("push", err), n.at)
	}
	return &List{head: head, tail: tail}, nil
}

func specialPop(c *compiler, args *List, _ bool) (emitter, error) {
	name, ok := args.head.(*Symbol)
	if !ok {
		return nil, wanted("a variable's name", args.head)
	}
	at := c.at
	// Keep the list in a slot before the variable is set to its rest.
	kept := c.scope.bind(&Symbol{})
	list := c.variable(name)
	rest, err := c.assign(name, func() node { return &restNode{kept.slot(), at} })
	c.scope.release(1)
	if err != nil {
		return nil, err
	}
	return func() node { return &popNode{kept.slot(), list(), rest()} }, nil
}

// restNode returns the list in a slot without its first element.
type restNode struct {
	slot int
	at   *place
}

func (n *restNode) eval(_ *Thread, f frame) (Value, error) {
	l, err := arg[*List](f[n.slot])
	if err != nil {
		return nil, locate(named("pop", err), n.at)
	}
	return l.skip(1).value(), nil
}

type popNode struct {
	slot       int
	list, rest node
}

func (n *popNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.list.eval(t, f)
	if err != nil {
		return nil, err
	}
	f[n.slot] = v
	if _, err := n.rest.eval(t, f); err != nil {
		return nil, err
	}
	f[n.slot] = nil
	l, _ := v.(*List)
	return l.first(), nil
}

// bindingForm parses (NAME VALUE), (NAME) or NAME.
func (c *compiler) bindingForm(v Value) (name *Symbol, init Value, err error) {
	if l, ok := v.(*List); ok && l.len(3) <= 2 {
		v = l.head
		init = l.skip(1).first()
	}
	name, err = c.t.in.bindable(v)
	return name, init, err
}

// specialLet evaluates all values before it binds any.
func specialLet(c *compiler, args *List, tail bool) (emitter, error) {
	list, err := arg[*List](args.head)
	if err != nil {
		return nil, err
	}
	var names []*Symbol
	var values []emitter
	for ; list != nil; list = list.tail {
		name, init, err := c.bindingForm(list.head)
		if err != nil {
			return nil, err
		}
		// Reserve the slots of the earlier variables: a let within this value must not
		// use them.
		value, err := c.form(init, false)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		values = append(values, value)
		c.scope.locals++
		c.scope.most = max(c.scope.most, c.scope.locals)
	}
	c.scope.locals -= len(names)
	var bindings []func() binding
	for i, name := range names {
		bindings = append(bindings, bindingOf(c.scope.bind(name), values[i]))
	}
	return c.let(bindings, args.tail, tail)
}

// specialLetStar lets each value see the variables before it.
func specialLetStar(c *compiler, args *List, tail bool) (emitter, error) {
	list, err := arg[*List](args.head)
	if err != nil {
		return nil, err
	}
	var bindings []func() binding
	for ; list != nil; list = list.tail {
		name, init, err := c.bindingForm(list.head)
		if err == nil {
			var value emitter
			if value, err = c.form(init, false); err == nil {
				bindings = append(bindings, bindingOf(c.scope.bind(name), value))
			}
		}
		if err != nil {
			c.scope.release(len(bindings))
			return nil, err
		}
	}
	return c.let(bindings, args.tail, tail)
}

// let compiles a body with the bindings, and releases the variables.
func (c *compiler) let(bindings []func() binding, forms *List, tail bool) (emitter, error) {
	body, err := c.body(forms, tail)
	c.scope.release(len(bindings))
	if err != nil {
		return nil, err
	}
	return func() node {
		n := &letNode{bindings: make([]binding, len(bindings)), body: body(), tail: tail}
		for i, b := range bindings {
			n.bindings[i] = b()
		}
		return n
	}, nil
}

func specialLambda(c *compiler, args *List, _ bool) (emitter, error) {
	code, err := c.lambda("lambda", args.head, args.tail)
	if err != nil {
		return nil, err
	}
	return func() node { return &makeClosure{code()} }, nil
}

// defining compiles (NAME (NAME ...) BODY ...).
func (c *compiler) defining(args *List) (*Symbol, func() *lambda, error) {
	name, err := c.t.in.bindable(args.head)
	if err != nil {
		return nil, nil, err
	}
	code, err := c.lambda(name.name, args.tail.head, args.tail.tail)
	return name, code, err
}

func specialDefun(c *compiler, args *List, _ bool) (emitter, error) {
	name, code, err := c.defining(args)
	if err != nil {
		return nil, err
	}
	return func() node { return &defineNode{name, code(), false} }, nil
}

func specialDefmacro(c *compiler, args *List, _ bool) (emitter, error) {
	name, code, err := c.defining(args)
	if err != nil {
		return nil, err
	}
	return func() node { return &defineNode{name, code(), true} }, nil
}

// defineNode makes a function or macro the value of a global variable.
type defineNode struct {
	name  *Symbol
	code  *lambda
	macro bool
}

func (n *defineNode) eval(_ *Thread, f frame) (Value, error) {
	if c := n.code.close(f); n.macro {
		n.name.store(&Macro{c})
	} else {
		n.name.store(c)
	}
	return n.name, nil
}
