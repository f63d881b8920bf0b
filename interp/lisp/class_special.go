package lisp

import (
	"errors"
	"fmt"
	"strings"
)

// specialDefclass compiles (defclass NAME PARENT PROPERTY ...).
func specialDefclass(c *compiler, args *List, _ bool) (emitter, error) {
	name, err := c.t.in.bindable(args.head)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name.name, "-") {
		return nil, errors.New("the name of a class cannot end in -")
	}
	n := &defclassNode{name: name, at: c.at}
	parent, err := c.form(args.tail.head, false)
	if err != nil {
		return nil, err
	}
	var emitters []func() *lambda
	for l := args.tail.tail; l != nil; l = l.tail {
		if text, ok := l.head.(string); ok && l == args.tail.tail {
			n.doc = text
			continue
		}
		property, init, err := c.bindingForm(l.head)
		if err != nil {
			return nil, err
		}
		code, err := c.lambda(property.name, nil, &List{head: init})
		if err != nil {
			return nil, err
		}
		n.props = append(n.props, property.name)
		emitters = append(emitters, code)
	}
	return func() node {
		n.parent = parent()
		for _, code := range emitters {
			n.inits = append(n.inits, code())
		}
		return n
	}, nil
}

type defclassNode struct {
	name   *Symbol
	doc    string
	parent node
	props  []string
	inits  []*lambda
	at     *place
}

func (n *defclassNode) eval(t *Thread, f frame) (Value, error) {
	v, err := n.parent.eval(t, f)
	if err != nil {
		return nil, err
	}
	parent, err := t.classArg(v)
	if err == nil && t.in.isOwnClass(n.name.name) {
		err = fmt.Errorf("the class %s is the interpreter's own", n.name.name)
	}
	if err != nil {
		return nil, locate(named("defclass", err), n.at)
	}
	c := newClass(n.name.name, parent)
	c.doc = n.doc
	for i, name := range n.props {
		c.props = append(c.props, classProperty{name, n.inits[i].close(f)})
	}
	n.name.store(c)
	return n.name, nil
}

// specialDefmethod compiles (defmethod CLASS-METHOD (SELF NAME ...) BODY ...).
func specialDefmethod(c *compiler, args *List, _ bool) (emitter, error) {
	name, code, err := c.defining(args)
	if err != nil {
		return nil, err
	}
	at := c.at
	return func() node { return &defmethodNode{name, code(), at} }, nil
}

type defmethodNode struct {
	name *Symbol
	code *lambda
	at   *place
}

func (n *defmethodNode) eval(t *Thread, f frame) (Value, error) {
	if err := t.in.defineMethod(n.name, n.code.close(f)); err != nil {
		return nil, locate(named("defmethod", err), n.at)
	}
	return n.name, nil
}

// defineMethod adds a function to a class as a method. The function's name is
// CLASS-METHOD. If the name begins with the names of several classes, the longest one
// counts.
func (in *Interp) defineMethod(name *Symbol, f *Closure) error {
	if f.required < 1 {
		return fmt.Errorf("%s needs a parameter for the object", name.name)
	}
	for i := len(name.name) - 2; i > 0; i-- {
		if name.name[i] != '-' {
			continue
		}
		v := in.intern(name.name[:i]).value.Load()
		if v == nil {
			continue
		}
		if c, ok := (*v).(*Class); ok {
			method := name.name[i+1:]
			if err := in.publish(method, "("+method+" OBJECT ...)", "is a method: describe its class."); err != nil {
				return err
			}
			c.add(method, f)
			name.store(f)
			return nil
		}
	}
	return fmt.Errorf("no class is known that %s begins with: the name is CLASS-METHOD", name.name)
}
