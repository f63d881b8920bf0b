package lua

import (
	"time"

	glua "github.com/yuin/gopher-lua"
)

// A timeout holds the two limits of settimeout, in seconds. A negative value means no
// limit. block limits a call, or each wait of the call if there is a total.
type timeout struct{ block, total float64 }

var noTimeout = timeout{-1, -1}

// A budget is the time that one call may still take.
type budget struct {
	timeout
	start time.Time // the zero Time if no clock is needed
}

// begin starts a call.
func (t timeout) begin() budget {
	b := budget{timeout: t}
	if t.block > 0 || t.total > 0 {
		b.start = time.Now()
	}
	return b
}

// first returns the longest time for the first wait of the call. 0 means that the
// call must not wait.
func (b *budget) first() time.Duration {
	switch {
	case b.total < 0:
		return duration(b.block)
	case b.block < 0:
		return duration(b.total)
	}
	return duration(min(b.block, b.total))
}

// next returns the longest time for a later wait.
func (b *budget) next() time.Duration {
	var spent float64
	if !b.start.IsZero() {
		spent = time.Since(b.start).Seconds()
	}
	switch {
	case b.block < 0 && b.total < 0:
		return forever
	case b.block < 0:
		return duration(max(b.total-spent, 0))
	case b.total < 0:
		return duration(max(b.block-spent, 0))
	}
	return duration(min(b.block, max(b.total-spent, 0)))
}

// set is settimeout(seconds, mode).
func (t *timeout) set(L *glua.LState) int {
	seconds := -1.0
	if L.Get(2) != glua.LNil {
		seconds = float64(checkNumber(L, 2))
	}
	switch mode := optString(L, 3, "b"); {
	case mode != "" && mode[0] == 'b':
		t.block = seconds
	case mode != "" && (mode[0] == 'r' || mode[0] == 't'):
		t.total = seconds
	default:
		L.ArgError(3, "invalid timeout mode")
	}
	return done(L)
}

func (t *timeout) get(L *glua.LState) int {
	L.Push(glua.LNumber(t.block))
	L.Push(glua.LNumber(t.total))
	return 2
}
