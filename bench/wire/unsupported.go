//go:build !linux

package wire

// The system calls here are Linux's. On other systems the compiler stops here, with a name that
// says why.
var _ = Weir_runs_on_Linux_only
