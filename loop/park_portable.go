//go:build race || msan || asan || weir_portable

package loop

// A parker parks its one goroutine: park returns once for each unpark, of which
// no two come without a park between them. See park_runtime.go, which this
// stands in for.
type parker struct{ token chan struct{} }

func (p *parker) init() { p.token = make(chan struct{}, 1) }

func (p *parker) park() { <-p.token }

func (p *parker) unpark() { p.token <- struct{}{} }
