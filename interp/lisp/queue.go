package lisp

import (
	"fmt"
	"sync"
	"time"
)

// A Queue passes values between threads.
type Queue struct {
	values chan Value
	closed chan struct{} // closed when the queue takes no more values
	once   sync.Once
}

// String returns #<queue length>.
func (q *Queue) String() string { return fmt.Sprintf("#<queue %d>", len(q.values)) }

const (
	usualQueue = 1024
	maxQueue   = 1 << 20
)

func makeQueue(_ *Thread, bound Value) (Value, error) {
	n := usualQueue
	if bound != nil {
		var err error
		if n, err = within(bound, 1, maxQueue); err != nil {
			return nil, err
		}
	}
	return &Queue{values: make(chan Value, n), closed: make(chan struct{})}, nil
}

// expiry returns a channel that gets a value after a number of milliseconds. For nil
// it never gets one.
func expiry(v Value) (expired <-chan time.Time, stop func(), err error) {
	if v == nil {
		return nil, func() {}, nil
	}
	d, err := milliseconds(v)
	if err != nil {
		return nil, nil, err
	}
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }, nil
}

func queuePut(t *Thread, q *Queue, v, limit Value) (Value, error) {
	expired, stop, err := expiry(limit)
	if err != nil {
		return nil, err
	}
	defer stop()
	select {
	case <-q.closed:
		return nil, nil
	default:
	}
	select {
	case q.values <- v:
		return T, nil
	default:
	}
	select {
	case q.values <- v:
		return T, nil
	case <-q.closed:
		return nil, nil
	case <-expired:
		return nil, nil
	case <-t.done:
		return nil, t.check()
	}
}

func queueGet(t *Thread, q *Queue, limit, other Value) (Value, error) {
	expired, stop, err := expiry(limit)
	if err != nil {
		return nil, err
	}
	defer stop()
	select {
	case v := <-q.values:
		return v, nil
	default:
	}
	select {
	case v := <-q.values:
		return v, nil
	case <-q.closed:
		select {
		case v := <-q.values: // a value that was put just before
			return v, nil
		default:
			return other, nil
		}
	case <-expired:
		return other, nil
	case <-t.done:
		return nil, t.check()
	}
}

func queueClose(_ *Thread, q *Queue) (Value, error) {
	q.once.Do(func() { close(q.closed) })
	return nil, nil
}
