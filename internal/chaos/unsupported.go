//go:build !linux

package chaos

// Weir needs epoll(7).
var _ = Weir_runs_on_Linux_only
