package lisp

import "errors"

// A special form gets its arguments as they are written. If it returns an
// environment, the value is an expression in tail position.
type special struct {
	min, max int // how many arguments; a max below 0 is any number
	usage    string
	run      func(t *Thread, args *List, e *env) (Value, *env, error)
}

var specials map[string]*special

func init() { // the functions reach the table, through eval
	specials = map[string]*special{
		"quote":          {1, 1, "(quote VALUE)", formQuote},
		"setq":           {2, -1, "(setq NAME VALUE ...)", formSetq},
		"let":            {1, -1, "(let ((NAME VALUE) ...) BODY ...)", formLet},
		"let*":           {1, -1, "(let* ((NAME VALUE) ...) BODY ...)", formLetStar},
		"lambda":         {1, -1, "(lambda (NAME ...) BODY ...)", formLambda},
		"defun":          {2, -1, "(defun NAME (NAME ...) BODY ...)", formDefun},
		"if":             {2, -1, "(if TEST THEN [ELSE ...])", formIf},
		"when":           {1, -1, "(when TEST BODY ...)", formWhen},
		"unless":         {1, -1, "(unless TEST BODY ...)", formUnless},
		"cond":           {0, -1, "(cond (TEST BODY ...) ...)", formCond},
		"and":            {0, -1, "(and VALUE ...)", formAnd},
		"or":             {0, -1, "(or VALUE ...)", formOr},
		"while":          {1, -1, "(while TEST BODY ...)", formWhile},
		"dolist":         {1, -1, "(dolist (NAME LIST) BODY ...)", formDolist},
		"progn":          {0, -1, "(progn BODY ...)", formProgn},
		"unwind-protect": {1, -1, "(unwind-protect VALUE CLEANUP ...)", formUnwindProtect},
		"catch-error":    {1, -1, "(catch-error (NAME HANDLER ...) BODY ...)", formCatchError},
		"thread":         {1, -1, "(thread BODY ...)", formThread},
		"with-lock":      {1, -1, "(with-lock LOCK BODY ...)", formWithLock},
	}
}

func formQuote(_ *Thread, args *List, _ *env) (Value, *env, error) { return args.head, nil, nil }

func formProgn(t *Thread, args *List, e *env) (Value, *env, error) { return t.sequence(args, e) }

func formSetq(t *Thread, args *List, e *env) (v Value, _ *env, err error) {
	for ; args != nil; args = args.tail.tail {
		s, ok := args.head.(*Symbol)
		if !ok {
			return nil, nil, wanted("a variable's name", args.head)
		}
		if args.tail == nil {
			return nil, nil, errors.New("no value for " + s.name)
		}
		if v, err = t.eval(args.tail.head, e); err != nil {
			return nil, nil, err
		}
		if err = t.assign(s, v, e); err != nil {
			return nil, nil, err
		}
	}
	return v, nil, nil
}

// binding takes (NAME VALUE), (NAME) or NAME apart.
func binding(v Value) (name *Symbol, init Value, err error) {
	if l, ok := v.(*List); ok && l.len(3) <= 2 {
		v = l.head
		if l.tail != nil {
			init = l.tail.head
		}
	}
	name, err = variableName(v)
	return name, init, err
}

func variableName(v Value) (*Symbol, error) {
	s, ok := v.(*Symbol)
	if !ok {
		return nil, wanted("a variable's name", v)
	}
	return s, settable(s)
}

// formLet evaluates all values before it binds any.
func formLet(t *Thread, args *List, e *env) (Value, *env, error) {
	bindings, err := arg[*List](args.head)
	if err != nil {
		return nil, nil, err
	}
	inner := &env{outer: e}
	for ; bindings != nil; bindings = bindings.tail {
		name, init, err := binding(bindings.head)
		if err != nil {
			return nil, nil, err
		}
		v, err := t.eval(init, e)
		if err != nil {
			return nil, nil, err
		}
		inner.names = append(inner.names, name)
		inner.cells = append(inner.cells, cell{first: v})
	}
	return t.sequence(args.tail, inner)
}

// formLetStar lets each value see the variables before it.
func formLetStar(t *Thread, args *List, e *env) (Value, *env, error) {
	bindings, err := arg[*List](args.head)
	if err != nil {
		return nil, nil, err
	}
	for ; bindings != nil; bindings = bindings.tail {
		name, init, err := binding(bindings.head)
		if err != nil {
			return nil, nil, err
		}
		v, err := t.eval(init, e)
		if err != nil {
			return nil, nil, err
		}
		e = e.bind(name, v)
	}
	return t.sequence(args.tail, e)
}

func formLambda(_ *Thread, args *List, e *env) (Value, *env, error) {
	c, err := closure("lambda", args, e)
	return c, nil, err
}

func formDefun(t *Thread, args *List, e *env) (Value, *env, error) {
	s, err := variableName(args.head)
	if err != nil {
		return nil, nil, err
	}
	c, err := closure(s.name, args.tail, e)
	if err != nil {
		return nil, nil, err
	}
	t.setGlobal(s, c)
	return s, nil, nil
}

// closure makes a function of a list of parameters and a body. After &optional
// come parameters that are nil without an argument, after &rest one for a list
// of all other arguments.
func closure(name string, def *List, e *env) (*Closure, error) {
	params, err := arg[*List](def.head)
	if err != nil {
		return nil, err
	}
	c := &Closure{name: name, body: def.tail, env: e}
	optional := false
	for ; params != nil; params = params.tail {
		s, err := variableName(params.head)
		if err != nil {
			return nil, err
		}
		switch {
		case s.name == "&optional" && !optional && !c.rest:
			optional = true
		case s.name == "&rest" && params.tail.len(2) == 1:
			c.rest = true
		case s.name[0] == '&':
			return nil, errors.New(s.name + " does not belong there")
		default:
			c.params = append(c.params, s)
			if !optional && !c.rest {
				c.required++
			}
		}
	}
	return c, nil
}

func formIf(t *Thread, args *List, e *env) (Value, *env, error) {
	test, err := t.eval(args.head, e)
	if err != nil {
		return nil, nil, err
	}
	if test != nil {
		return args.tail.head, e, nil
	}
	return t.sequence(args.tail.tail, e)
}

func formWhen(t *Thread, args *List, e *env) (Value, *env, error) {
	test, err := t.eval(args.head, e)
	if err != nil || test == nil {
		return nil, nil, err
	}
	return t.sequence(args.tail, e)
}

func formUnless(t *Thread, args *List, e *env) (Value, *env, error) {
	test, err := t.eval(args.head, e)
	if err != nil || test != nil {
		return nil, nil, err
	}
	return t.sequence(args.tail, e)
}

func formCond(t *Thread, args *List, e *env) (Value, *env, error) {
	for ; args != nil; args = args.tail {
		clause, ok := args.head.(*List)
		if !ok {
			return nil, nil, wanted("a clause (TEST BODY ...)", args.head)
		}
		test, err := t.eval(clause.head, e)
		if err != nil {
			return nil, nil, err
		}
		if test == nil {
			continue
		}
		if clause.tail == nil {
			return test, nil, nil
		}
		return t.sequence(clause.tail, e)
	}
	return nil, nil, nil
}

func formAnd(t *Thread, args *List, e *env) (Value, *env, error) {
	if args == nil {
		return T, nil, nil
	}
	for ; args.tail != nil; args = args.tail {
		if v, err := t.eval(args.head, e); err != nil || v == nil {
			return nil, nil, err
		}
	}
	return args.head, e, nil
}

func formOr(t *Thread, args *List, e *env) (Value, *env, error) {
	if args == nil {
		return nil, nil, nil
	}
	for ; args.tail != nil; args = args.tail {
		if v, err := t.eval(args.head, e); err != nil || v != nil {
			return v, nil, err
		}
	}
	return args.head, e, nil
}

func formWhile(t *Thread, args *List, e *env) (Value, *env, error) {
	for {
		if err := t.check(); err != nil {
			return nil, nil, err
		}
		if test, err := t.eval(args.head, e); err != nil || test == nil {
			return nil, nil, err
		}
		if _, err := t.progn(args.tail, e); err != nil {
			return nil, nil, err
		}
	}
}

func formDolist(t *Thread, args *List, e *env) (Value, *env, error) {
	head, ok := args.head.(*List)
	if !ok || head.len(3) != 2 {
		return nil, nil, wanted("(NAME LIST)", args.head)
	}
	name, err := variableName(head.head)
	if err != nil {
		return nil, nil, err
	}
	v, err := t.eval(head.tail.head, e)
	if err != nil {
		return nil, nil, err
	}
	items, err := arg[*List](v)
	if err != nil {
		return nil, nil, err
	}
	for ; items != nil; items = items.tail {
		if err := t.check(); err != nil {
			return nil, nil, err
		}
		if _, err := t.progn(args.tail, e.bind(name, items.head)); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// formUnwindProtect runs the cleanup whatever happened; an error of the body
// outweighs one of the cleanup.
func formUnwindProtect(t *Thread, args *List, e *env) (Value, *env, error) {
	v, err := t.eval(args.head, e)
	cleanup := t.shielded(func() error {
		_, err := t.progn(args.tail, e)
		return err
	})
	if err == nil {
		err = cleanup
	}
	return v, nil, err
}

// formCatchError binds the error's message for the handler.
func formCatchError(t *Thread, args *List, e *env) (Value, *env, error) {
	handler, ok := args.head.(*List)
	if !ok {
		return nil, nil, wanted("(NAME HANDLER ...)", args.head)
	}
	name, err := variableName(handler.head)
	if err != nil {
		return nil, nil, err
	}
	v, err := t.progn(args.tail, e)
	if err == nil || !catchable(err) {
		return v, nil, err
	}
	message := err.Error()
	if known, ok := err.(*Error); ok {
		message = known.Msg
	}
	return t.sequence(handler.tail, e.bind(name, message))
}
