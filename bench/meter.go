package main

import (
	"os"
	"time"
)

// usage is what a window took.
type usage struct {
	Elapsed   time.Duration // the window's true length
	ServerCPU time.Duration
	LoadCPU   time.Duration
	Queued    time.Duration // what other processes took: of server and load, the one that lost more
}

// A reading is taken at both ends of a window.
type reading struct {
	at                       time.Duration // since the epoch that the caller chose
	server, load             time.Duration // processor time
	serverQueued, loadQueued time.Duration // time without a processor
}

// read takes the processor times of a server and of this process, and the time after them.
func read(server int, epoch time.Time) (r reading, err error) {
	if r.server, err = cpuTime(server); err != nil {
		return r, err
	}
	if r.load, err = cpuTime(os.Getpid()); err != nil {
		return r, err
	}
	r.serverQueued, r.loadQueued = queueTime(server), queueTime(os.Getpid())
	r.at = time.Since(epoch)
	return r, nil
}

// until is what was used between two readings.
func (r reading) until(end reading) usage {
	return usage{
		Elapsed:   end.at - r.at,
		ServerCPU: end.server - r.server,
		LoadCPU:   end.load - r.load,
		Queued:    max(end.serverQueued-r.serverQueued, end.loadQueued-r.loadQueued),
	}
}
