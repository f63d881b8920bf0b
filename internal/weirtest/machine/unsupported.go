//go:build !linux

package machine

// The tests need Linux. On other systems the compiler stops here, with a name that
// says why.
var _ = Weir_runs_on_Linux_only
