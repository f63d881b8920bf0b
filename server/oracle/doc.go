// Package oracle holds the server of this module against the kernel.
//
// A random peer writes pieces, pauses, reads slowly, ends its stream, or resets the
// connection, all chosen by a seed. It talks to four servers that do the same service: one
// with Events, one with a Handler, one with a Handler that is called for each request, and
// one of blocking sockets with a thread for each connection. The peer must get the same
// bytes in the same order and the same end from each, and each server must get the same
// requests and the same end.
//
// The package has tests only. Nothing imports it.
package oracle
