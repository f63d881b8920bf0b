package server

import "time"

// A connection that sends much must not hold up the others on its loop. Therefore the
// engine tells bulk connections, which have last sent bulkBytes or more at once, from
// the others. In a turn it first serves all others that have an event. Then it serves
// bulk connections, first come, first served, for bulkTime. Those that are left, or have
// more to read, wait for the next turn, in which the loop first asks the kernel for
// events again. So another connection waits for bulkTime and one more bulk connection,
// however many bulk connections there are.
const (
	bulkBytes = 16 << 10
	// A connection that is not bulk yet reads firstRead bytes at most if such
	// connections have read turnBytes already during the turn.
	firstRead = 4 << 10
	turnBytes = 256 << 10
	// A bulk connection is served for about longRead at a time. If its Data takes
	// longer for Chunk bytes, the engine receives less at a time, but no less than
	// firstRead.
	longRead  = 500 * time.Microsecond
	shortRead = longRead / 4
)

// bulkTime is for how long the engine serves bulk connections in a turn. Tests change
// it.
var bulkTime = time.Millisecond

// enqueue makes the engine serve a bulk connection at the end of the turn.
func (e *engine) enqueue(c *Conn) {
	if c.enqueued {
		return
	}
	c.enqueued = true
	e.bulk.push(c)
	e.askBulk()
}

// askBulk makes the loop call serveBulk at the end of the turn.
func (e *engine) askBulk() {
	if !e.bulkAsked {
		e.bulkAsked = true
		_ = e.loop.AtTurnEnd(e.bulkEnd) // a closed loop ends the connections
	}
}

// serveBulk reads from bulk connections, once from each.
func (e *engine) serveBulk() {
	e.bulkAsked = false // from now on askBulk is for the next turn
	last := e.loop.Elapsed()
	end := last + bulkTime
	for range e.bulk.n {
		c := e.bulk.pop()
		c.enqueued = false
		if c.state == stateClosed {
			continue
		}
		c.read(e.srv.Chunk)
		if c.readStopped {
			c.rearm()
		}
		now := e.loop.Elapsed()
		e.adapt(now - last)
		if last = now; now >= end {
			break
		}
	}
	if e.bulk.n > 0 {
		e.askBulk()
	}
}

// adapt changes how much the engine receives at a time. took is how long a bulk
// connection was served.
func (e *engine) adapt(took time.Duration) {
	switch {
	case took > longRead:
		e.most = max(e.most/2, min(firstRead, e.srv.Chunk))
	case took < shortRead:
		e.most = min(2*e.most, e.srv.Chunk)
	}
}

// readSoon reads now from a connection that is not bulk, and leaves a bulk one to
// serveBulk.
func (c *Conn) readSoon() {
	e := c.eng
	if !c.bulk {
		if turn, _ := e.loop.Busy(); turn != e.turn {
			e.turn, e.turnRead = turn, 0
		}
		most := e.srv.Chunk
		if e.turnRead >= turnBytes {
			most = min(most, firstRead)
		}
		e.turnRead += c.read(most)
		return
	}
	if c.readable && c.reads() {
		e.enqueue(c)
	}
}
