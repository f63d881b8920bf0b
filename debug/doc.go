// Package debug is a page that shows what loops and servers do: the load of the loops
// over the last minutes, each connection with what the kernel says of it, and stalls with
// the stack of the callback that has caused them.
//
//	page := debug.New()
//	defer page.Close()
//	page.AddServer("kv", srv)
//	http.Handle("/debug/weir/", page)
//
// The page belongs behind authentication, or on an address that only administrators
// reach: it shows the addresses of all peers and the stacks of the program. It changes
// nothing, sets no cookie, and loads nothing from elsewhere.
//
// A program without a Handler pays nothing. With one, a goroutine reads the counters
// once a second and keeps those of the last five minutes: at most 20 KB for each loop
// and server. A request for connections looks at no more than 10000 of each server. No
// request waits for a loop, so the page also works while a callback holds a loop up.
package debug
