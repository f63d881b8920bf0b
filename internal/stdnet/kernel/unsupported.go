//go:build !linux

package kernel

// The tests of net run on Linux. On other systems the compiler stops here, with a name that
// says why.
var _ = Weir_runs_on_Linux_only
