package server

import "time"

// Public returns a Server with the bounds and timeouts that a server on the open
// Internet wants. The program sets Events or Handler, and may change every bound: more
// patience for people on slow lines, more connections for an address that is a proxy,
// larger messages.
//
//	MaxConns             20,000
//	MaxConnsPerIP        100
//	MaxHandlers          4,096
//	MaxInput             1 MiB
//	MaxOutput            4 MiB
//	MaxMemory            a quarter of the usable memory: see Server.MaxMemory
//	Timeouts.FirstByte   10 s
//	Timeouts.Idle        2 min
//	Timeouts.Read        30 s
//	Timeouts.Write       30 s
//	Timeouts.MinRate     500 bytes a second, with Grace of 10 s
//	Timeouts.Linger      5 s
//	StallAfter           1 s: the watchdog logs callbacks that hold up a loop
//
// A Handler that serves a whole conversation in one call, and not one request, needs
// MinRate 0, or it ends clients that wait longer than Grace before they go on.
func Public() *Server {
	return &Server{
		MaxConns:      20_000,
		MaxConnsPerIP: 100,
		MaxHandlers:   4096,
		MaxInput:      1 << 20,
		MaxOutput:     4 << 20,
		Timeouts: Timeouts{
			FirstByte: 10 * time.Second,
			Idle:      2 * time.Minute,
			Read:      30 * time.Second,
			Write:     30 * time.Second,
			MinRate:   500,
			Grace:     10 * time.Second,
			Linger:    5 * time.Second,
		},
		StallAfter: time.Second,
	}
}
