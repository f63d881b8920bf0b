//go:build race || msan || asan || weir_portable

package loop

// woken reports whether an unpark waits for its park.
func (p *parker) woken() bool { return len(p.token) > 0 }
