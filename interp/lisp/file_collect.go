package lisp

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// collecting calls open, which opens a descriptor. If no descriptor is left, it runs
// the collector, which closes the files and sockets that the program has forgotten,
// and tries again. After a run that did not help, further calls fail at once for
// collectPause. Package socket does the same for sockets.
func collecting[T any](open func() (T, error)) (T, error) {
	v, err := open()
	if !exhausted(err) || time.Now().UnixNano() < nextCollection.Load() {
		return v, err
	}
	for range 2 { // a run in progress does not collect what was forgotten after its start
		runtime.GC()
		for wait := time.Millisecond; exhausted(err) && wait < 50*time.Millisecond; wait *= 2 {
			time.Sleep(wait) // the runtime closes the collected descriptors a little later
			v, err = open()
		}
	}
	if exhausted(err) {
		nextCollection.Store(time.Now().Add(collectPause).UnixNano())
	}
	return v, err
}

const collectPause = time.Second

// nextCollection is the time from which collecting may run the collector again.
var nextCollection atomic.Int64

// exhausted reports whether the process, or the system, has no descriptor left.
func exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }
