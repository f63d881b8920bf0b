package lua

import glua "github.com/yuin/gopher-lua"

// try raises an exception and protect catches it. An exception is a table that holds
// the message; its metatable marks it as an exception.

func (m *module) exception(L *glua.LState, what glua.LValue) *glua.LTable {
	t := L.CreateTable(1, 0)
	t.RawSetInt(1, what)
	t.Metatable = m.raised
	return t
}

// caught returns the message of an exception.
func (m *module) caught(v glua.LValue) (glua.LValue, bool) {
	t, ok := v.(*glua.LTable)
	if !ok || t.Metatable != glua.LValue(m.raised) {
		return nil, false
	}
	return t.RawGetInt(1), true
}

// newTry returns a new function try. try returns its arguments. If the first one is
// false or nil, try calls the finalizer and raises the second argument instead.
func (m *module) newTry(L *glua.LState) int {
	finalizer := L.Get(1)
	L.Push(L.NewFunction(func(L *glua.LState) int {
		if L.ToBool(1) {
			return L.GetTop()
		}
		if finalizer != glua.LNil {
			L.Push(finalizer)
			L.Call(0, 0)
		}
		L.Error(m.exception(L, L.Get(2)), 0)
		return 0
	}))
	return 1
}

// rethrow gets the error that protect has caught. It returns nil and the message of
// an exception, and raises any other error again.
func (m *module) rethrow(L *glua.LState) int {
	raised := L.Get(1)
	what, ok := m.caught(raised)
	if !ok {
		L.Error(raised, 0)
	}
	L.Push(glua.LNil)
	L.Push(what)
	return 2
}
