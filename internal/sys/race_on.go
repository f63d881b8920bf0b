//go:build linux && race

package sys

import (
	"runtime"
	"unsafe"
)

// Racing reports whether this is a build for the race detector.
const Racing = true

// The race detector knows neither that bytes are sent before they are received, nor
// that the kernel reads and writes the buffers. These functions tell it, as package
// syscall does for its own calls.

var ioSync byte

// RaceSending comes before a call that sends.
func RaceSending() { runtime.RaceReleaseMerge(unsafe.Pointer(&ioSync)) }

// RaceSent tells that the kernel has read a buffer.
func RaceSent(buf []byte) {
	if len(buf) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(&buf[0]), len(buf))
	}
}

// RaceReceived tells that the kernel has written a buffer, or, without one, that
// a call has received.
func RaceReceived(buf []byte) {
	if len(buf) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(&buf[0]), len(buf))
	}
	runtime.RaceAcquire(unsafe.Pointer(&ioSync))
}
