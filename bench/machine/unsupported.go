//go:build !linux

package machine

// Cores, memory and limits are read as Linux has them. On other systems the compiler stops here, with a name that
// says why.
var _ = Weir_runs_on_Linux_only
