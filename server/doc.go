// Package server serves connections and datagrams on event loops.
//
// A Server calls callbacks on the connection's loop (Events), or a blocking
// handler (Handle) that has a goroutine only while there is something to read.
package server
