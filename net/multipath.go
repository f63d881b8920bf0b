package net

import (
	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// multipath says whether to use MPTCP, if SetMultipathTCP has set it.
type multipath uint8

const (
	multipathOn multipath = iota + 1
	multipathOff
)

func (m *multipath) set(use bool) {
	if *m = multipathOff; use {
		*m = multipathOn
	}
}

// or returns net's default, which depends on multipathtcp in GODEBUG, if nothing is set.
func (m multipath) or(usual func() bool) bool {
	if m == 0 {
		return usual()
	}
	return m == multipathOn
}

// usesMultipath reports whether a connection uses MPTCP. If the peer does not use MPTCP,
// the connection has fallen back to TCP and has no MPTCP_INFO.
func usesMultipath(fd int) bool {
	const solMPTCP, mptcpInfo = 284, 1 // linux/mptcp.h
	_, err := sys.GetsockoptInt(fd, solMPTCP, mptcpInfo)
	return err != unix.EOPNOTSUPP && err != unix.ENOPROTOOPT && err != unix.EPROTONOSUPPORT
}
