package lisp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// A Class has the methods and properties of its objects. make-instance makes an object
// of a class. Each interpreter has the classes class, its child file, and socket, a
// child of file.
type Class struct {
	name    string
	doc     string
	parent  *Class
	props   []classProperty
	methods atomic.Pointer[map[string]Value] // only its own; each new method makes a new map
}

// A classProperty is a property that each object of the class has.
type classProperty struct {
	name  string
	value *Closure // returns the first value; takes no arguments; may be nil
}

// String returns #<class name>.
func (c *Class) String() string { return "#<class " + c.name + ">" }

func newClass(name string, parent *Class) *Class {
	c := &Class{name: name, parent: parent}
	c.methods.Store(&map[string]Value{})
	return c
}

// method returns the class's method of a name. If the class has none, it returns the
// method of the nearest parent that has one, or nil.
func (c *Class) method(name string) Value {
	for ; c != nil; c = c.parent {
		if m := (*c.methods.Load())[name]; m != nil {
			return m
		}
	}
	return nil
}

// add adds a method, or replaces one.
func (c *Class) add(name string, method Value) {
	for {
		old := c.methods.Load()
		all := maps.Clone(*old)
		all[name] = method
		if c.methods.CompareAndSwap(old, &all) {
			return
		}
	}
}

// isA reports whether a class is other, or a descendant of other.
func (c *Class) isA(other *Class) bool {
	for ; c != nil; c = c.parent {
		if c == other {
			return true
		}
	}
	return false
}

// describe lists the methods of the class and of its parents.
func (c *Class) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  is a class", c.name)
	if c.parent != nil {
		fmt.Fprintf(&b, ", and a child of %s", c.parent.name)
	}
	b.WriteString(". " + c.doc + "\n")
	for ; c != nil; c = c.parent {
		names := slices.Sorted(maps.Keys(*c.methods.Load()))
		if len(names) > 0 {
			fmt.Fprintf(&b, "  methods of %s: %s\n", c.name, strings.Join(names, " "))
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// generic returns the function that calls the method of its first argument's class.
func generic(name, usage, doc string) *Builtin {
	return &Builtin{name: name, usage: usage, doc: doc, entry: entry{1, -1, func(t *Thread, args []Value) (Value, error) {
		o, ok := args[0].(*Object)
		if !ok {
			return nil, wanted(t.in.owner(name), args[0])
		}
		m := o.classIn(t.in).method(name)
		if m == nil {
			return nil, fmt.Errorf("%s has no such method", brief(o))
		}
		return t.invoke(m, args)
	}}}
}

// owner returns the words with which an error names an object that has a method.
func (in *Interp) owner(method string) string {
	switch {
	case in.rootClass.method(method) != nil:
		return "an object"
	case in.fileClass.method(method) != nil:
		return "a socket or a file"
	case in.socketClass.method(method) != nil:
		return "a socket"
	}
	return "an object"
}

// invoke calls a method. The caller may use the slice of arguments again.
func (t *Thread) invoke(method Value, args []Value) (Value, error) {
	if b, ok := method.(*Builtin); ok {
		v, err := b.apply(t, args)
		return v, err
	}
	return t.Call(method, args...)
}

// isGeneric reports whether a value is a function that generic made.
func (in *Interp) isGeneric(name string, v Value) bool {
	if b := base.generics[name]; b != nil && v == Value(b) {
		return true
	}
	known, ok := in.generics.Load(name)
	return ok && known == v
}

// publish makes the generic function of a method, unless it exists. It returns an
// error if the name already has another value.
func (in *Interp) publish(method, usage, doc string) error {
	s := in.intern(method)
	if err := settable(s); err != nil {
		return err
	}
	v := s.value.Load()
	if v != nil && in.isGeneric(method, *v) {
		return nil
	}
	if v != nil && !isHook(method) {
		return fmt.Errorf("%s has a value that is no method: %s", method, brief(*v))
	}
	if isHook(method) {
		return nil
	}
	g := generic(method, usage, doc)
	in.generics.Store(method, g)
	s.store(g)
	return nil
}

// isHook reports whether make-instance or destroy-instance calls a method. Such a
// method has no generic function.
func isHook(method string) bool { return method == "constructor" || method == "destructor" }

// classArg returns the class that an argument gives: as a class, or as the symbol
// whose value is the class.
func (t *Thread) classArg(v Value) (*Class, error) {
	if s, ok := v.(*Symbol); ok {
		if named, ok := t.global(s); ok {
			if c, ok := named.(*Class); ok {
				return c, nil
			}
		}
	}
	c, ok := v.(*Class)
	if !ok {
		return nil, wanted("a class, such as socket", v)
	}
	return c, nil
}

// makeInstance makes an object and calls the constructor of its class. It
// returns nil if the class is a child of file and the constructor opened no socket or
// file.
func makeInstance(t *Thread, args []Value) (Value, error) {
	c, err := t.classArg(args[0])
	if err != nil {
		return nil, err
	}
	o := &Object{class: c}
	if err := t.initialize(o, c); err != nil {
		return nil, err
	}
	all := t.push(len(args))
	defer t.pop(all)
	all[0] = o
	copy(all[1:], args[1:])
	if _, err := t.invoke(c.method("constructor"), all); err != nil {
		o.close()
		return nil, err
	}
	if c.isA(t.in.fileClass) && !o.opened() {
		return nil, nil
	}
	return o, nil
}

// initialize gives an object the properties of its class, the parent's first.
func (t *Thread) initialize(o *Object, c *Class) error {
	if c == nil {
		return nil
	}
	if err := t.initialize(o, c.parent); err != nil {
		return err
	}
	for _, p := range c.props {
		v, err := t.Call(p.value)
		if err != nil {
			return err
		}
		o.put(p.name, v)
	}
	return nil
}

// destroyInstance calls the destructor of an object's class. It then closes the
// object's socket or file if the destructor did not.
func destroyInstance(t *Thread, o *Object) (Value, error) {
	args := t.push(1)
	defer t.pop(args)
	args[0] = o
	_, err := t.invoke(o.classIn(t.in).method("destructor"), args)
	o.close()
	return T, err
}

var classChapter = chapter{
	title: "Classes and objects",
	intro: "(defclass NAME PARENT PROPERTY ...) makes a class, and (defmethod CLASS-METHOD (SELF ...) BODY ...) a method of it, which is called as (METHOD OBJECT ...). The next class among an object's own and its parents that has the method decides. A method of a child calls that of its parent by the long name, such as (socket-accept OBJECT).\n\n" +
		"make-instance makes an object, gives it the properties of its class, and calls the method constructor with the object and its other arguments; destroy-instance calls the method destructor. A constructor of a child of socket calls (socket-constructor SELF FAMILY TYPE PROTOCOL ...), a child without one has that of its parent.",
	definitions: []definition{
		{"(make-instance CLASS ARGUMENT ...)", "returns a new object of a class. CLASS is a class or its symbol. The constructor gets the arguments. If the constructor of a child of file cannot open the file or socket, make-instance returns nil and sets *lastsocketerror*.", entry{1, -1, makeInstance}},
		{"(destroy-instance OBJECT)", "calls the destructor and closes the socket or file. It returns t. Methods in which threads wait for the object end with an error.", f1(destroyInstance)},
		{"(get OBJECT NAME)", "returns a property, or nil.", f2(get)},
		{"(put OBJECT NAME VALUE)", "sets a property of the program's own, and returns the value.", f3(put)},
		{"(plist OBJECT)", "returns a list of the names and values of all properties.", f1(plist)},
		{"(class-of OBJECT)", "returns the class.", f1(func(t *Thread, o *Object) (Value, error) { return o.classIn(t.in), nil })},
		{"(is-a OBJECT CLASS)", "returns t if OBJECT is an object of a class or of a child of it.", f2(func(t *Thread, v, class Value) (Value, error) {
			c, err := t.classArg(class)
			if err != nil {
				return nil, err
			}
			o, ok := v.(*Object)
			return truth(ok && o.classIn(t.in).isA(c)), nil
		})},
		{"(socketp VALUE)", "returns t if VALUE is an object of the class socket, or of a child of it.", f1(func(t *Thread, v Value) (Value, error) {
			o, ok := v.(*Object)
			return truth(ok && o.classIn(t.in).isA(t.in.socketClass)), nil
		})},
		{"(objectp VALUE)", "returns t if VALUE is an object of any class.", is[*Object]()},
	},
}
