// Package chaos has what a test needs to treat servers badly: streams whose every byte
// can be checked, network namespaces, and a bridge between two of them that loses, delays,
// reorders, duplicates and corrupts packets, and cuts the line.
//
// The bridge works on TUN devices, so it needs no netem in the kernel. It needs
// /dev/net/tun and the right to make network namespaces.
package chaos
