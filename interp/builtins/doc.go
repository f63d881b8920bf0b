// Package builtins has what an interpreter needs to offer a socket class and a select
// builtin, beyond packages weir and socket: the system's error messages, look-ups as
// getaddrinfo(3) makes them, reusable lists for select, times from numbers, and
// signals. docs/embedding.md is the guide.
//
// All functions are concurrency-safe. A Sets is for one goroutine at a time.
package builtins
