package lisp

// eval evaluates an expression in an environment.
func (t *Thread) eval(x Value, e *env) (Value, error) {
	switch x := x.(type) {
	case *Symbol:
		return t.variable(x, e)
	case *List:
		if err := t.enter(); err != nil {
			return nil, locate(err, x.at)
		}
		v, err := t.form(x, e)
		t.depth--
		return v, err
	}
	return x, nil
}

// enter bounds the depth of a recursion. The caller leaves by t.depth--.
func (t *Thread) enter() error {
	if t.depth >= t.in.opts.MaxDepth {
		return raise("recursion deeper than %d", t.in.opts.MaxDepth)
	}
	t.depth++
	return nil
}

// form evaluates a list: a special form or a call. What is in a tail position is
// evaluated in another turn of the loop, so a tail call needs no stack.
func (t *Thread) form(x *List, e *env) (Value, error) {
	for {
		v, tail, err := t.step(x, e)
		if err != nil {
			return nil, locate(err, x.at)
		}
		if tail == nil {
			return v, nil
		}
		next, ok := v.(*List)
		if !ok {
			if v, err = t.eval(v, tail); err != nil {
				return nil, locate(err, x.at)
			}
			return v, nil
		}
		x, e = next, tail
	}
}

// step evaluates a list up to its tail position. If it returns an environment,
// the value is an expression that is to be evaluated in it.
func (t *Thread) step(x *List, e *env) (Value, *env, error) {
	if s, ok := x.head.(*Symbol); ok && s.special != nil {
		sp := s.special
		if n := x.tail.len(max(sp.min, sp.max+1)); n < sp.min || sp.max >= 0 && n > sp.max {
			return nil, nil, raise("malformed %s: want %s", s.name, sp.usage)
		}
		v, tail, err := sp.run(t, x.tail, e)
		return v, tail, named(s.name, err)
	}
	f, err := t.eval(x.head, e)
	if err != nil {
		return nil, nil, err
	}
	// The arguments are on the thread's stack, so that a call of a Builtin
	// allocates nothing.
	base := len(t.stack)
	for arg := x.tail; arg != nil; arg = arg.tail {
		v, err := t.eval(arg.head, e)
		if err != nil {
			t.drop(base)
			return nil, nil, err
		}
		t.stack = append(t.stack, v)
	}
	v, tail, err := t.call(f, t.stack[base:len(t.stack):len(t.stack)])
	t.drop(base)
	return v, tail, err
}

// drop forgets the arguments above a base, for the collector's sake, too.
func (t *Thread) drop(base int) {
	clear(t.stack[base:])
	t.stack = t.stack[:base]
}

// call calls a function, up to the tail position of a closure's body.
func (t *Thread) call(f Value, args []Value) (Value, *env, error) {
	if err := t.check(); err != nil {
		return nil, nil, err
	}
	switch f := f.(type) {
	case *Builtin:
		if len(args) < f.min || f.max >= 0 && len(args) > f.max {
			return nil, nil, wrongCount(f.name, f.min, f.max, len(args))
		}
		v, err := f.call(t, args)
		return v, nil, named(f.name, err)
	case *Closure:
		frame, err := f.frame(args)
		if err != nil {
			return nil, nil, err
		}
		return t.sequence(f.body, frame)
	}
	return nil, nil, raise("%s is not a function", brief(f))
}

// Call calls a function, given as such or by its symbol. It is for a Func that
// takes functions, and as every method of a Thread only for the goroutine that
// the Func was called by.
func (t *Thread) Call(f Value, args ...Value) (Value, error) {
	if s, ok := f.(*Symbol); ok {
		var err error
		if f, err = t.variable(s, nil); err != nil {
			return nil, err
		}
	}
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	v, tail, err := t.call(f, args)
	if err != nil || tail == nil {
		return v, err
	}
	return t.eval(v, tail)
}

// sequence evaluates expressions up to the last, which is in tail position.
func (t *Thread) sequence(body *List, e *env) (Value, *env, error) {
	if body == nil {
		return nil, nil, nil
	}
	for ; body.tail != nil; body = body.tail {
		if _, err := t.eval(body.head, e); err != nil {
			return nil, nil, err
		}
	}
	return body.head, e, nil
}

// progn evaluates expressions and returns the last one's value.
func (t *Thread) progn(body *List, e *env) (v Value, err error) {
	for ; body != nil; body = body.tail {
		if v, err = t.eval(body.head, e); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// frame binds the parameters to arguments, which are copied.
func (c *Closure) frame(args []Value) (*env, error) {
	most := len(c.params)
	if c.rest {
		most = -1
	}
	if len(args) < c.required || most >= 0 && len(args) > most {
		return nil, wrongCount(c.name, c.required, most, len(args))
	}
	if len(c.params) == 0 {
		return c.env, nil
	}
	cells := make([]cell, len(c.params))
	positional := len(cells)
	if c.rest {
		positional--
		if len(args) > positional {
			cells[positional].first = listOf(args[positional:], nil).value()
		}
	}
	for i := range min(positional, len(args)) {
		cells[i].first = args[i]
	}
	return &env{c.env, c.params, cells}, nil
}

func wrongCount(name string, min, max, got int) error {
	switch {
	case min == max && min == 1:
		return raise("%s: want 1 argument, got %d", name, got)
	case min == max:
		return raise("%s: want %d arguments, got %d", name, min, got)
	case max < 0:
		return raise("%s: want %d or more arguments, got %d", name, min, got)
	}
	return raise("%s: want %d to %d arguments, got %d", name, min, max, got)
}
