// Package oracle holds the sockets of this module against the kernel's.
//
// A scenario is a table of steps: calls on a socket, pauses, and what its peer
// does. It runs twice, on a real blocking socket whose calls are made by
// operating-system threads of their own, and on a Weir socket. Both runs must
// give the same results, errors, data and effects on the next call; and a Weir
// call whose time was up must have taken at least that time, and not much
// longer than the kernel's call.
//
// Every scenario also says what the kernel is expected to do. So a scenario
// that fails to bring about what it is meant to show does not pass unnoticed.
// Where Weir deviates on purpose, the scenario says why, and what Weir does.
//
// The package has tests only. Nothing imports it.
package oracle
