//go:build linux

package poller

// Counts are what a Poller has counted since Open. Only the goroutine that calls Wait
// changes and reads them, so counting takes neither a lock nor an atomic operation.
type Counts struct {
	Sleeps  uint64 // times that Wait has parked the goroutine, or blocked the thread
	Lingers uint64 // times that Wait has blocked in epoll_wait(2) and kept its P
	Polls   uint64 // busy polls before a sleep
	Vain    uint64 // busy polls that found nothing
	Wakes   uint64 // times that Wake has ended a Wait
}

// Counts returns what the Poller has counted. It is for the goroutine that calls Wait.
func (p *Poller) Counts() Counts { return p.spinner.counts }
