//go:build !linux

package simnet

// The simulated kernel is Linux's. On other systems the compiler stops here, with a name
// that says why.
var _ = Weir_runs_on_Linux_only
