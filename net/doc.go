// Package net is Go's net over Weir's sockets. It has every name of Go's net: a
// program changes one import. What opens, accepts or waits on sockets is here; all
// else is the standard library's, by alias or by call.
//
// The documentation of Go's net holds. That of this package says where something
// differs, and what is here besides: the Group of loops of a Dialer and a
// ListenConfig, and Socket, which gives the socket underneath.
package net
