package lua

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// concat is table.concat(table [, separator [, from [, to]]]). gopher-lua's own function
// pushes all elements on the stack, whose growth costs the square of their number, and
// leaves out elements beyond the length.
func concat(L *glua.LState) int {
	t, separator := L.CheckTable(1), optString(L, 2, "")
	from := int(optNumber(L, 3, 1))
	to := t.Len()
	if L.Get(4) != glua.LNil {
		to = int(checkNumber(L, 4))
	}
	var b strings.Builder
	for i := from; i <= to; i++ {
		switch v := t.RawGet(glua.LNumber(i)).(type) { // RawGetInt finds no index below 1
		case glua.LString:
			b.WriteString(string(v))
		case glua.LNumber:
			b.WriteString(numberText(v))
		default:
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		if i < to {
			b.WriteString(separator)
		}
	}
	L.Push(glua.LString(b.String()))
	return 1
}
