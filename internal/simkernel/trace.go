//go:build linux

package simkernel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Trace records the system calls on the sockets of a World. Calls between two events are
// sorted by their sockets and names, because the Go scheduler decides their order.
type Trace struct {
	records []record
	epoch   int
}

type record struct {
	epoch      int
	at         time.Duration
	name, text string
}

func (t *Trace) step() {
	if t != nil {
		t.epoch++
	}
}

// note records a call. The caller has the lock. Calls that only ask are left out.
func (s *sock) note(call string, n int, errno syscall.Errno) {
	w := s.h.w
	if w.trace == nil || errno == unix.EAGAIN || call == "poll" || call == "ioctl" || call == "name" || call == "handshakes" || call == "getsockopt" {
		return
	}
	text := fmt.Sprintf("%s = %d", call, n)
	if errno != 0 {
		text = fmt.Sprintf("%s = %v", call, errno)
	}
	w.trace.records = append(w.trace.records, record{w.trace.epoch, w.now(), s.name, text})
}

// String returns the trace, one line for each record.
func (t *Trace) String() string {
	slices.SortStableFunc(t.records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.name, b.name), cmp.Compare(a.text, b.text))
	})
	var b strings.Builder
	for _, r := range t.records {
		fmt.Fprintf(&b, "%v\t%s\t%s\n", r.at, r.name, r.text)
	}
	return b.String()
}
