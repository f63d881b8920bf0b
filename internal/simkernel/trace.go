//go:build linux

package simkernel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Trace records the system calls and events of a World. Calls between two events are sorted
// by their objects, because the Go scheduler decides their order.
type Trace struct {
	records []record
	epoch   int
}

type record struct {
	epoch  int
	at     time.Duration
	serial uint64
	text   string
}

func (t *Trace) step() {
	if t != nil {
		t.epoch++
	}
}

// note records a call. The caller has the lock.
func (w *World) note(serial uint64, call string, n int, errno syscall.Errno) {
	if w.trace == nil {
		return
	}
	text := fmt.Sprintf("%s = %d", call, n)
	if errno != 0 {
		text = fmt.Sprintf("%s = %v", call, errno)
	}
	w.trace.records = append(w.trace.records, record{w.trace.epoch, w.now(), serial, text})
}

// String returns the trace, one line for each record.
func (t *Trace) String() string {
	slices.SortStableFunc(t.records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.serial, b.serial))
	})
	var b strings.Builder
	for _, r := range t.records {
		fmt.Fprintf(&b, "%v\t#%d\t%s\n", r.at, r.serial, r.text)
	}
	return b.String()
}
