package loop

import (
	"errors"
	"math"
)

// Post has f called on the loop's goroutine. Tasks are called in the order in which
// they were posted. f must not block, because nothing else happens on the loop
// meanwhile. The error is ErrQueueFull if Options.TaskQueue tasks wait already, and
// ErrLoopClosed after Close; then f is not called.
func (l *Loop) Post(f func()) error { return l.post(f, l.options.TaskQueue) }

// PostUnbounded is Post without the bound of the queue. It is for tasks that must not
// be lost and whose number is bounded otherwise, as by one for each descriptor.
func (l *Loop) PostUnbounded(f func()) error { return l.post(f, math.MaxInt) }

func (l *Loop) post(f func(), bound int) error {
	if f == nil {
		return errors.New("loop: post: the task is nil")
	}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return ErrLoopClosed
	case len(l.running)+len(l.tasks) >= bound:
		l.mu.Unlock()
		return ErrQueueFull
	}
	l.tasks = append(l.tasks, f)
	l.work.Store(true)
	l.mu.Unlock()
	return l.wake()
}

// runTasks runs posted tasks, at most Options.Tasks; of a closed loop all.
func (l *Loop) runTasks() (more, open bool) {
	l.mu.Lock()
	if len(l.running) == 0 {
		l.running, l.tasks = l.tasks, l.spare
		l.spare = nil
	}
	open = !l.closed
	now := l.running
	if open { // the last turn runs them all
		now = now[:min(len(now), l.options.Tasks)]
	}
	l.running = l.running[len(now):]
	l.mu.Unlock()

	l.taken = now
	l.counts.tasks += uint64(len(now))
	for i, f := range now {
		now[i] = nil
		l.protect(f)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.running) == 0 && cap(now) <= keepTasks {
		l.spare = now[:0] // the memory of a burst is not kept
	}
	l.work.Store(l.hasWork())
	return len(l.running)+len(l.tasks) > 0, open
}

// keepTasks is the capacity of a task queue whose memory is used again.
const keepTasks = 1024
