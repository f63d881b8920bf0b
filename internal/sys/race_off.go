//go:build linux && !race

package sys

// Racing reports whether this is a build for the race detector.
const Racing = false

// RaceSending comes before a call that sends.
func RaceSending() {}

// RaceSent tells that the kernel has read a buffer.
func RaceSent([]byte) {}

// RaceReceived tells that the kernel has written a buffer, or, without one, that
// a call has received.
func RaceReceived([]byte) {}
