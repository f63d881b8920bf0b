package server

import (
	"github.com/seed-2334f180/weir/internal/tlsheld"
	"github.com/seed-2334f180/weir/loop"
)

// For MaxMemory the server counts what crypto/tls keeps for a connection: between two
// receives the part of a record or of a handshake message, up to 80 KiB, and with the
// output queue the ciphertext that the kernel has not taken. A session counts when it
// becomes idle. The memory that a tls.Conn borrows while it reads belongs to the loop, or
// to the goroutine that runs a Handler.

// weigh counts what the tls.Conn keeps. Only the goroutine that reads from it may call
// weigh.
func (s *secured) weigh(e *engine) { s.counts(e, tlsheld.Kept(s.conn)) }

// counts makes n the bytes that MaxMemory counts for the tls.Conn.
func (s *secured) counts(e *engine, n int) { e.hold(n - int(s.counted.Swap(int64(n)))) }

// largestSessions adds the idle sessions for which crypto/tls keeps most.
func (e *engine) largestSessions(some []holder) []holder {
	if e.service.Handler == nil {
		return some
	}
	for _, o := range e.loop.Observers() {
		x := sessionOf(o)
		if x == nil || x.engine() != e || x.secure() == nil {
			continue
		}
		if n := int(x.secure().counted.Load()); n > 0 {
			some = insertHolder(some, holder{x: x, bytes: n})
		}
	}
	return some
}

// A squeezed session ends because of MaxMemory. It was claimed.
type squeezed Session

var _ loop.Runner = (*squeezed)(nil)

func (q *squeezed) Run() {
	x := (*Session)(q)
	resetOnClose(x.Registration())
	x.end(ErrMemoryFull)
}
