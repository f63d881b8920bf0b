// Package net is Go's net over Weir's sockets. It has every name of Go's net, so a
// program only changes one import. The functions here that open, accept or wait use
// Weir's sockets. All other names are aliases or calls of the standard library.
//
// The documentation of Go's net applies. The documentation here says where this package
// differs and what it adds: a Dialer and a ListenConfig have a Group of loops, and the
// method Socket returns the socket underneath.
//
// All functions are concurrency-safe. "It is concurrency-safe" means, in all of Weir,
// that any goroutine may call it at any time, also while other calls are in progress.
package net
