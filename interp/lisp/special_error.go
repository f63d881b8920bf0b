package lisp

// specialUnwindProtect compiles a form that runs its cleanup after any end of the body.
// If both fail, it returns the error of the body.
func specialUnwindProtect(c *compiler, args *List, _ bool) (emitter, error) {
	return c.headAndBody(args, false, func(body, cleanup node) node { return &unwindNode{body, cleanup} })
}

type unwindNode struct{ body, cleanup node }

func (n *unwindNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.body.eval(t, f)
	failed := t.shielded(func() error {
		_, err := n.cleanup.eval(t, f)
		return err
	})
	if err == nil {
		err = failed
	}
	return v, err
}

// A handler binds a variable and evaluates a body.
type handler struct {
	condition string // the condition that it handles; empty for all errors
	variable  binding
	body      node
}

// handle evaluates a handler with its variable bound to a value.
func (h *handler) handle(t *Thread, f frame, e *Error, v Value) (Value, error) {
	t.caught = e
	h.variable.bind(f, v)
	v, err := h.body.eval(t, f)
	f[h.variable.slot] = nil
	return v, err
}

// failure returns the error as an *Error if a program may handle it.
func failure(err error) (*Error, bool) {
	if err == nil || !catchable(err) {
		return nil, false
	}
	return locate(err, nil).(*Error), true
}

func (c *compiler) handler(name Value, forms *List) (func() handler, error) {
	symbol, err := c.t.in.bindable(name)
	if err != nil {
		return nil, err
	}
	variable := bindingOf(c.scope.bind(symbol), func() node { return nil })
	body, err := c.body(forms, false)
	c.scope.release(1)
	return func() handler { return handler{variable: variable(), body: body()} }, err
}

func specialCatchError(c *compiler, args *List, _ bool) (emitter, error) {
	head, ok := args.head.(*List)
	if !ok {
		return nil, wanted("(NAME HANDLER ...)", args.head)
	}
	body, err := c.body(args.tail, false)
	if err != nil {
		return nil, err
	}
	handler, err := c.handler(head.head, head.tail)
	if err != nil {
		return nil, err
	}
	return func() node { return &catchErrorNode{body(), handler()} }, nil
}

// catchErrorNode binds the error's message for the handler.
type catchErrorNode struct {
	body    node
	handler handler
}

func (n *catchErrorNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.body.eval(t, f)
	if err == nil {
		return v, nil
	}
	e, ok := failure(err)
	if !ok {
		return nil, err
	}
	return n.handler.handle(t, f, e, e.Msg)
}

func specialConditionCase(c *compiler, args *List, _ bool) (emitter, error) {
	name := args.head
	if name == nil {
		name = &Symbol{name: "nil"} // no form can refer to this variable
	}
	if _, err := c.t.in.bindable(name); err != nil {
		return nil, err
	}
	body, err := c.form(args.tail.head, false)
	if err != nil {
		return nil, err
	}
	var handlers []func() handler
	for l := args.tail.tail; l != nil; l = l.tail {
		clause, ok := l.head.(*List)
		if !ok {
			return nil, wanted("a clause (CONDITION HANDLER ...)", l.head)
		}
		condition, ok := clause.head.(*Symbol)
		if !ok {
			return nil, wanted("a condition's name", clause.head)
		}
		emit, err := c.handler(name, clause.tail)
		if err != nil {
			return nil, err
		}
		handlers = append(handlers, func() handler {
			h := emit()
			h.condition = condition.name
			return h
		})
	}
	return func() node {
		n := &conditionNode{body: body()}
		for _, h := range handlers {
			n.handlers = append(n.handlers, h())
		}
		return n
	}, nil
}

type conditionNode struct {
	body     node
	handlers []handler
}

func (n *conditionNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.body.eval(t, f)
	if err == nil {
		return v, nil
	}
	e, ok := failure(err)
	if !ok {
		return nil, err
	}
	for i := range n.handlers {
		if h := &n.handlers[i]; h.condition == e.kind() || h.condition == "error" || h.condition == T.name {
			return h.handle(t, f, e, ListOf(t.in.symbol(e.kind()), e.data()))
		}
	}
	return nil, err
}

// kind returns the error's condition.
func (e *Error) kind() string {
	if e.Kind == "" {
		return "error"
	}
	return e.Kind
}

// data returns the data that signal was given. For other errors it returns the message.
func (e *Error) data() Value {
	if e.Kind == "" {
		return e.Msg
	}
	return e.Data
}

func specialCatch(c *compiler, args *List, _ bool) (emitter, error) {
	return c.headAndBody(args, false, func(tag, body node) node { return &catchNode{tag, body} })
}

type catchNode struct{ tag, body node }

func (n *catchNode) eval(t *Thread, f frame) (Value, error) {
	tag, err := n.tag.eval(t, f)
	if err != nil {
		return nil, err
	}
	t.catches = append(t.catches, tag)
	v, err := n.body.eval(t, f)
	last := len(t.catches) - 1
	t.catches[last] = nil
	t.catches = t.catches[:last]
	if ball, ok := err.(*thrown); ok && ball.tag == tag {
		return ball.value, nil
	}
	return v, err
}

// throw returns an error that ends the evaluation as far as the catch of the tag.
func throw(t *Thread, tag, value Value) (Value, error) {
	for _, known := range t.catches {
		if known == tag {
			return nil, &thrown{tag, value}
		}
	}
	return nil, raise("throw: no catch in progress has the tag %s", brief(tag))
}

// signal returns an error that condition-case handles by a symbol.
func signal(_ *Thread, condition *Symbol, data Value) (Value, error) {
	return nil, &Error{Msg: condition.name + ": " + textOf(data, false), Kind: condition.name, Data: data}
}

// errorBacktrace returns the backtrace of the error that this thread handled last: a
// list of (FUNCTION FILE LINE), the innermost first. The first element is the place of
// the failure, and has no function. In the others FILE and LINE are the place of the
// call of the function.
func errorBacktrace(t *Thread, _ []Value) (Value, error) {
	e := t.caught
	if e == nil {
		return nil, nil
	}
	calls := []Value{ListOf(nil, fileOf(e.File), int64(e.Line))}
	for _, c := range e.Trace {
		calls = append(calls, ListOf(c.Name, fileOf(c.File), int64(c.Line)))
	}
	return ListOf(calls...), nil
}

func fileOf(name string) Value {
	if name == "" {
		return nil
	}
	return name
}
