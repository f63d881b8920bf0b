package lisp

import (
	"fmt"
	"slices"
)

// A methodSet is the methods of a class that are written in Go.
type methodSet struct {
	class   string
	intro   string
	methods []definition
}

func methodSets() []methodSet { return []methodSet{classMethods, fileMethods, socketMethods} }

// base holds the functions that all interpreters share. They never change.
var base struct {
	functions map[string]*Builtin // all functions, methods included
	generics  map[string]*Builtin // those that call methods
	methods   []map[string]Value  // of each method set, by their short names
}

// makeBase makes the functions of chapters and method sets.
func makeBase() {
	base.functions, base.generics = map[string]*Builtin{}, map[string]*Builtin{}
	for _, c := range chapters {
		for i := range c.definitions {
			b := c.definitions[i].builtin()
			base.functions[b.name] = b
		}
	}
	for _, set := range methodSets() {
		methods := map[string]Value{}
		for i := range set.methods {
			b := set.methods[i].builtin()
			if set.class != "class" {
				b.entry = guardMethod(set.class, b.name, b.entry)
			}
			methods[b.name] = b
			base.functions[set.class+"-"+b.name] = b
			if !isHook(b.name) { // its documentation is that of the last class
				base.generics[b.name] = generic(b.name, b.usage, b.doc)
				base.functions[b.name] = base.generics[b.name]
			}
		}
		base.methods = append(base.methods, methods)
	}
}

// defineClasses makes the classes that every interpreter has.
func (in *Interp) defineClasses() {
	in.rootClass = newClass("class", nil)
	in.fileClass = newClass("file", in.rootClass)
	in.socketClass = newClass("socket", in.fileClass)
	for i, c := range []*Class{in.rootClass, in.fileClass, in.socketClass} {
		c.doc = methodSets()[i].intro
		c.methods.Store(&base.methods[i])
		in.intern(c.name).store(c)
	}
	for name, f := range map[string]*fileStream{"*stdin*": stdinOf(), "*stdout*": in.outputOf(in.opts.Stdout), "*stderr*": in.outputOf(in.opts.Stderr)} {
		in.intern(name).store(&Object{class: in.fileClass, file: f})
	}
}

func (in *Interp) isOwnClass(name string) bool {
	return slices.ContainsFunc(methodSets(), func(s methodSet) bool { return s.class == name })
}

// guardMethod makes a method return an error for objects of other classes, and for
// objects that no constructor has opened. For a socket, a method of file calls
// socket's method.
func guardMethod(class, method string, e entry) entry {
	call := e.call
	e.call = func(t *Thread, args []Value) (Value, error) {
		o, ok := args[0].(*Object)
		switch {
		case !ok:
			return nil, wanted("a "+class, args[0])
		case isHook(method):
			if !o.classIn(t.in).isA(t.in.classNamed(class)) {
				return nil, wanted("a "+class, o)
			}
			return call(t, args)
		case o.socket == nil && o.file == nil:
			if !o.classIn(t.in).isA(t.in.fileClass) {
				return nil, wanted("a "+class, o)
			}
			return nil, fmt.Errorf("%s is not open: no constructor has opened it", brief(o))
		case class == "socket" && o.socket == nil:
			return nil, wanted("a socket", o)
		case class == "file" && o.socket != nil:
			if m, ok := t.in.socketClass.method(method).(*Builtin); ok && (*t.in.socketClass.methods.Load())[method] == Value(m) {
				return m.call(t, args)
			}
			if method != "close" && method != "fileno" { // these two work for sockets and files
				return nil, wanted("a file", o)
			}
		}
		return call(t, args)
	}
	return e
}

func (in *Interp) classNamed(name string) *Class {
	switch name {
	case "socket":
		return in.socketClass
	case "file":
		return in.fileClass
	}
	return in.rootClass
}
