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
	Queued    time.Duration // what others took of the load generator's core
}

// A reading is taken at both ends of a window.
type reading struct {
	at           time.Duration // since the epoch that the caller chose
	server, load time.Duration // processor time
	queued       time.Duration // of the load generator, without a processor
}

// read takes the processor times of a server and of this process, and the time after them.
func read(server int, epoch time.Time) (r reading, err error) {
	if r.server, err = cpuTime(server); err != nil {
		return r, err
	}
	if r.load, err = cpuTime(os.Getpid()); err != nil {
		return r, err
	}
	// A server's threads may wait for each other, so its time says nothing of others.
	r.queued = queueTime(os.Getpid())
	r.at = time.Since(epoch)
	return r, nil
}

// until is what was used between two readings.
func (r reading) until(end reading) usage {
	return usage{
		Elapsed:   end.at - r.at,
		ServerCPU: end.server - r.server,
		LoadCPU:   end.load - r.load,
		Queued:    end.queued - r.queued,
	}
}
