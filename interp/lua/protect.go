package lua

import (
	_ "embed"
	"strings"
	"weak"

	glua "github.com/yuin/gopher-lua"
)

// gopher-lua's pcall does not notice that a coroutine yields within it, and
// then the state is broken. So pcall and xpcall are replaced by functions that
// run what they protect in coroutines of their own, when they are called in
// one. coroutine.running does not show these.

//go:embed protect.lua
var protection string

// protectors are the coroutines that pcall made.
type protectors struct {
	states map[weak.Pointer[glua.LState]]struct{} // all
	purge  int                                    // when there are so many, those that are gone are removed
	idle   []*glua.LState                         // those that wait for another function to run
}

const (
	firstPurge = 128
	mostIdle   = 64
)

// take is an idle one, if it may be used by the state: a coroutine has the
// context of the one that created it, and ends with that, so those with a
// context are not used again.
func (p *protectors) take(L *glua.LState) int {
	last := len(p.idle) - 1
	if last < 0 || L.Context() != nil {
		return 0
	}
	L.Push(p.idle[last])
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return 1
}

func (p *protectors) give(L *glua.LState) int {
	if th := L.CheckThread(1); th.Context() == nil && len(p.idle) < mostIdle {
		p.idle = append(p.idle, th)
	}
	return 0
}

// made notes a new one, and returns it.
func (p *protectors) made(L *glua.LState) int {
	p.add(L.CheckThread(1))
	return 1
}

func (p *protectors) add(th *glua.LState) {
	if len(p.states) >= p.purge {
		for s := range p.states {
			if s.Value() == nil {
				delete(p.states, s)
			}
		}
		p.purge = max(2*len(p.states), firstPurge)
	}
	p.states[weak.Make(th)] = struct{}{}
}

// outside is the coroutine that has, itself or by pcall, the one given.
func (p *protectors) outside(th *glua.LState) *glua.LState {
	for th.Parent != nil {
		if _, ours := p.states[weak.Make(th)]; !ours {
			break
		}
		th = th.Parent
	}
	return th
}

// installProtection replaces pcall, xpcall and coroutine.running, and returns
// the pcall that there is then. It changes nothing in a state that lacks one of
// these.
func installProtection(L *glua.LState) (glua.LValue, error) {
	pcall, xpcall := L.GetGlobal("pcall"), L.GetGlobal("xpcall")
	library, ok := L.GetGlobal("coroutine").(*glua.LTable)
	if !ok || pcall == glua.LNil || xpcall == glua.LNil {
		return pcall, nil
	}
	p := &protectors{states: make(map[weak.Pointer[glua.LState]]struct{}), purge: firstPurge}
	chunk, err := Load(L, strings.NewReader(protection), "pcall")
	if err != nil {
		return nil, err
	}
	if err := L.CallByParam(glua.P{Fn: chunk, NRet: 2, Protect: true}, pcall, xpcall,
		L.NewFunction(p.take), L.NewFunction(p.made), L.NewFunction(p.give)); err != nil {
		return nil, err
	}
	safe := L.Get(-2)
	L.SetGlobal("pcall", safe)
	L.SetGlobal("xpcall", L.Get(-1))
	L.Pop(2)
	library.RawSetString("running", L.NewFunction(func(L *glua.LState) int {
		th := p.outside(L)
		if th == L.G.MainThread {
			L.Push(glua.LNil)
		} else {
			L.Push(th)
		}
		return 1
	}))
	return safe, nil
}
