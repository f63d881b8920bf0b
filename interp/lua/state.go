package lua

import glua "github.com/yuin/gopher-lua"

// The limits of a script: the depth of its calls, in the main chunk and in a
// coroutine, and the number of values on a stack. A stack takes memory for its values
// when it needs it, but a byte for each call of its depth at once.
const (
	callDepth      = 1 << 15
	coroutineDepth = 1 << 12
	mostValues     = 1 << 20
)

// NewState makes a state with gopher-lua's libraries and Preload, and with limits that
// suit scripts with deep calls and many coroutines. The program weir-lua uses it. The
// caller closes the state.
func NewState() (*glua.LState, error) {
	L := glua.NewState(glua.Options{
		CallStackSize:       callDepth,
		MinimizeStackMemory: true,
		RegistrySize:        firstValues,
		RegistryMaxSize:     mostValues,
		RegistryGrowStep:    valuesStep,
	})
	if err := Preload(L); err != nil { // Preload keeps the present options for the main chunk's protected calls
		L.Close()
		return nil, err
	}
	L.Options.CallStackSize = coroutineDepth // each coroutine's state takes it from here
	return L, nil
}

// GarbagePercent is the value for debug.SetGCPercent that suits a process that runs
// scripts. Scripts make much garbage and keep little. With Go's default of 100 the
// collector takes a third of the time of a loop over received lines.
const GarbagePercent = 400
