//go:build race || msan || asan || weir_portable

package loop

// A parker parks one goroutine: park returns once for each unpark. Two unparks never
// come without a park between them. This one is on a channel; see park_runtime.go for
// the other.
type parker struct{ token chan struct{} }

func (p *parker) init() { p.token = make(chan struct{}, 1) }

func (p *parker) park() { <-p.token }

func (p *parker) unpark() { p.token <- struct{}{} }
