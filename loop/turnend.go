package loop

// AtTurnEnd makes the loop call f once, at the end of its current turn: after the
// turn's events, timers and posted tasks, and before the loop asks the kernel for
// more. If the loop sleeps, it wakes up for a turn. If f calls AtTurnEnd again, that
// call is for the next turn. After Close it returns ErrLoopClosed, and f is not called.
//
// It is for work that gathers during a turn, such as output. The queue has no bound
// of its own: a caller keeps one f on it, not one for each piece of work.
func (l *Loop) AtTurnEnd(f func()) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrLoopClosed
	}
	l.atEnd = append(l.atEnd, f)
	l.work.Store(true)
	l.mu.Unlock()
	return l.wake()
}

// runTurnEnd calls what AtTurnEnd was given.
func (l *Loop) runTurnEnd() {
	l.mu.Lock()
	now := l.atEnd
	l.atEnd = l.atEndSpare
	l.atEndSpare = nil
	l.mu.Unlock()
	for i, f := range now {
		now[i] = nil
		l.protect(f)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.atEndSpare = now[:0]
	l.work.Store(l.hasWork())
}

// hasWork reports whether there is something to do in the next turn. The caller
// holds the lock.
func (l *Loop) hasWork() bool {
	return len(l.running)+len(l.tasks)+len(l.poked)+len(l.atEnd) > 0 || l.closed
}
