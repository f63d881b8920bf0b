// Package net is Go's net interfaces over Weir's sockets: Listen, ListenPacket,
// Dial and their types.
package net
