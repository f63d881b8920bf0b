//go:build !linux

package poller

// Weir needs epoll(7), eventfd(2) and timerfd(2). On other systems the compiler stops
// here, with a name that says why.
var _ = Weir_runs_on_Linux_only
