package lisp

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// collecting makes a descriptor of a file. When there are no more, it has forgotten
// files and sockets collected, which closes them, and tries again. After a
// collection that did not help, calls fail at once for a while. A socket does the
// same on its own.
func collecting[T any](open func() (T, error)) (T, error) {
	v, err := open()
	if !exhausted(err) || time.Now().UnixNano() < nextCollection.Load() {
		return v, err
	}
	for range 2 { // a collection that was under way keeps what was forgotten since
		runtime.GC()
		for wait := time.Millisecond; exhausted(err) && wait < 50*time.Millisecond; wait *= 2 {
			time.Sleep(wait) // the runtime closes what it has collected a little later
			v, err = open()
		}
	}
	if exhausted(err) {
		nextCollection.Store(time.Now().Add(collectPause).UnixNano())
	}
	return v, err
}

const collectPause = time.Second

// nextCollection is when collecting may collect again.
var nextCollection atomic.Int64

// exhausted reports whether the process, or the system, has no descriptor left.
func exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }
