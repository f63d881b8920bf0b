//go:build race

package socket

import (
	"runtime"
	"unsafe"
)

const racing = true

// The race detector does not see that what was sent before is received after,
// nor that the kernel reads and writes the buffers. Tell it, as package syscall
// does for its own calls.

var ioSync byte

func raceSending() { runtime.RaceReleaseMerge(unsafe.Pointer(&ioSync)) }

func raceSent(buf []byte) {
	if len(buf) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(&buf[0]), len(buf))
	}
}

func raceReceived(buf []byte) {
	if len(buf) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(&buf[0]), len(buf))
	}
	runtime.RaceAcquire(unsafe.Pointer(&ioSync))
}
