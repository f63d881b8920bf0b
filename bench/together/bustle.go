package together

import "time"

// What else happens in the process. Both go on until the process ends.

const (
	timers     = 64
	timerEach  = 10 * time.Millisecond
	pieces     = 4096 // of garbage that are alive at a time
	pieceBytes = 4096
	piecesEach = 16 // that are replaced in a millisecond: 64 MB in a second
)

// startTimers keeps timers of time.AfterFunc running: about 6,400 of them expire in a second.
func startTimers() {
	for range timers {
		var timer *time.Timer
		ready := make(chan struct{})
		timer = time.AfterFunc(timerEach, func() {
			<-ready
			timer.Reset(timerEach)
		})
		close(ready)
	}
}

// A piece is garbage with a pointer, which the collector must follow.
type piece struct {
	next *piece
	_    [pieceBytes - 8]byte
}

// startGarbage keeps the collector at work: 16 MB are alive, and 64 MB are replaced in a second.
func startGarbage() {
	go func() {
		alive := make([]*piece, pieces)
		at := 0
		for range time.Tick(time.Millisecond) {
			for range piecesEach {
				alive[at] = &piece{next: alive[(at+1)%pieces]}
				alive[at].next = nil // or the pieces would keep each other alive
				at = (at + 1) % pieces
			}
		}
	}()
}
