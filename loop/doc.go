// Package loop runs an event loop: one goroutine that owns an epoll poller, a
// timing wheel and a queue of posted tasks.
//
// A Registration is one descriptor on a loop. It remembers in which directions
// the descriptor is ready and parks the goroutines that must wait for it, with
// a deadline. It also counts the calls in progress, so that the descriptor's
// number is not reused under a call.
//
//	l, err := loop.New(loop.Options{})
//	var r loop.Registration
//	err = l.Register(&r, fd, loop.KeepWritable)
//	call := loop.Call{Timeout: time.Second}
//	ready, err := r.Begin(loop.Read, &call)
//	if err != nil {
//		return err // and no End
//	}
//	n, err := 0, error(unix.EAGAIN)
//	for first := true; err == unix.EAGAIN; first = false {
//		if !first || !ready {
//			if err = r.Wait(loop.Read, &call); err != nil {
//				break // loop.ErrTimeout, ErrClosed, ErrInterrupted ...
//			}
//		}
//		n, err = unix.Read(r.FD(), buf)
//	}
//	r.End(loop.Read, n == len(buf)) // there may be more
//
// All methods may be called by any goroutine unless they say otherwise.
//
// Calls park by two functions of the Go runtime, linked to by name, as other
// network stacks do; the build tag weir_portable does without.
package loop
