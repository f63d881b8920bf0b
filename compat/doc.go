// Package compat runs well-known libraries over Weir's package net, and over Go's net
// in the same way, and checks what they return. It is a module of its own: a program
// that uses Weir downloads none of these libraries.
//
//	go test ./...
//	go test -run none -bench Paired
package compat
