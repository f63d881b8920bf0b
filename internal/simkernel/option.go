//go:build linux

package simkernel

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An option is the level and number of a socket option.
type option struct{ level, number int }

// These options are kept and read back, and change nothing else. SO_KEEPALIVE is among them: no
// probes are sent. TCP_NODELAY is, too: every send leaves at once.
var kept = map[option]bool{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}:        true,
	{unix.SOL_SOCKET, unix.SO_BROADCAST}:        true,
	{unix.SOL_SOCKET, unix.SO_PRIORITY}:         true,
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}:        true,
	{unix.IPPROTO_TCP, unix.TCP_CORK}:           true,
	{unix.IPPROTO_TCP, unix.TCP_QUICKACK}:       true,
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:       true,
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:      true,
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:        true,
	{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}:  true,
	{unix.IPPROTO_IP, unix.IP_TOS}:              true,
	{unix.IPPROTO_IP, unix.IP_TTL}:              true,
	{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:       true,
	{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}: true,
}

// switches are those of the kept options that are on or off: 1 is read back for every value but
// 0.
var switches = map[option]bool{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: true,
	{unix.SOL_SOCKET, unix.SO_BROADCAST}: true,
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}: true,
	{unix.IPPROTO_TCP, unix.TCP_CORK}:    true,
}

// leastBuffer is the least SO_RCVBUF and SO_SNDBUF that Linux reads back.
const leastBuffer = 4608

// Setsockopt implements sys.Kernel.
func (h *Host) Setsockopt(fd, level, number int, value []byte) syscall.Errno {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return errno
	}
	errno = s.setOption(option{level, number}, value)
	c.end("setsockopt", number, errno)
	return errno
}

func (s *sock) setOption(o option, value []byte) syscall.Errno {
	switch o {
	case option{unix.SOL_SOCKET, unix.SO_LINGER}:
		if len(value) < int(unsafe.Sizeof(s.linger)) {
			return unix.EINVAL
		}
		s.linger = unix.Linger{Onoff: int32(binary.NativeEndian.Uint32(value)), Linger: int32(binary.NativeEndian.Uint32(value[4:]))}
		return 0
	case option{unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}:
		if s.state != listens {
			return unix.EOPNOTSUPP
		}
		s.filter = true
		return 0
	case option{unix.SOL_SOCKET, unix.SO_DETACH_FILTER}:
		s.filter = false
		return 0
	}
	if len(value) < 4 {
		return unix.EINVAL
	}
	v := int32(binary.NativeEndian.Uint32(value))
	switch o {
	case option{unix.SOL_SOCKET, unix.SO_REUSEADDR}:
		s.reuse = v != 0
	case option{unix.SOL_SOCKET, unix.SO_REUSEPORT}:
		s.reusePort = v != 0
	case option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}:
		s.v6only = v != 0
	case option{unix.SOL_SOCKET, unix.SO_RCVBUF}:
		s.rcvbuf = max(2*int(v), leastBuffer)
	case option{unix.SOL_SOCKET, unix.SO_SNDBUF}:
		s.sndbuf = max(2*int(v), leastBuffer)
	case option{unix.SOL_SOCKET, unix.SO_RCVLOWAT}:
		s.lowat = v
		if v == 0 {
			s.lowat = 1
		}
	default:
		if !kept[o] || o.level == unix.IPPROTO_TCP && s.typ != unix.SOCK_STREAM {
			return unix.ENOPROTOOPT
		}
		if switches[o] && v != 0 {
			v = 1
		}
		values := map[option]int32{o: v}
		for k, old := range s.values { // accepted sockets share the map
			if k != o {
				values[k] = old
			}
		}
		s.values = values
	}
	return 0
}

// Getsockopt implements sys.Kernel.
func (h *Host) Getsockopt(fd, level, number int, value []byte) (n int, errno syscall.Errno) {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return 0, errno
	}
	n, errno = s.getOption(option{level, number}, value)
	c.end("getsockopt", number, errno)
	return n, errno
}

func (s *sock) getOption(o option, value []byte) (int, syscall.Errno) {
	var v int32
	flag := func(b bool) {
		if b {
			v = 1
		}
	}
	switch o {
	case option{unix.SOL_SOCKET, unix.SO_LINGER}:
		return copy(value, unsafe.Slice((*byte)(unsafe.Pointer(&s.linger)), unsafe.Sizeof(s.linger))), 0
	case option{unix.SOL_SOCKET, unix.SO_RCVTIMEO}, option{unix.SOL_SOCKET, unix.SO_SNDTIMEO}:
		return copy(value, make([]byte, unsafe.Sizeof(unix.Timeval{}))), 0
	case option{unix.IPPROTO_TCP, unix.TCP_INFO}:
		if s.typ != unix.SOCK_STREAM {
			return 0, unix.ENOPROTOOPT
		}
		info := s.info()
		return copy(value, unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))), 0
	case option{unix.SOL_SOCKET, unix.SO_ERROR}:
		v = int32(s.takeError())
	case option{unix.SOL_SOCKET, unix.SO_TYPE}:
		v = int32(s.typ)
	case option{unix.SOL_SOCKET, unix.SO_DOMAIN}:
		v = int32(s.family)
	case option{unix.SOL_SOCKET, unix.SO_PROTOCOL}:
		v = unix.IPPROTO_TCP
		if s.typ == unix.SOCK_DGRAM {
			v = unix.IPPROTO_UDP
		}
	case option{unix.SOL_SOCKET, unix.SO_ACCEPTCONN}:
		flag(s.state == listens)
	case option{unix.SOL_SOCKET, unix.SO_REUSEADDR}:
		flag(s.reuse)
	case option{unix.SOL_SOCKET, unix.SO_REUSEPORT}:
		flag(s.reusePort)
	case option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}:
		flag(s.v6only)
	case option{unix.SOL_SOCKET, unix.SO_RCVBUF}:
		v = int32(s.rcvbuf)
	case option{unix.SOL_SOCKET, unix.SO_SNDBUF}:
		v = int32(s.sndbuf)
	case option{unix.SOL_SOCKET, unix.SO_RCVLOWAT}:
		v = s.lowat
	default:
		if !kept[o] {
			return 0, unix.ENOPROTOOPT
		}
		v = s.values[o]
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(v))
	return copy(value, b[:]), 0
}

// info is TCP_INFO, as far as it is known.
func (s *sock) info() (info unix.TCPInfo) {
	info.State = map[state]uint8{established: 1, synSent: 2, closed: 7, listens: 10}[s.state]
	info.Segs_in = s.segments
	info.Bytes_received = s.inBytes
	info.Bytes_acked = s.acked
	info.Notsent_bytes = uint32(len(s.unsent))
	return info
}

// Ioctl implements sys.Kernel.
func (h *Host) Ioctl(fd int, request uint) (n int, errno syscall.Errno) {
	c, s, errno := h.sock(fd)
	if errno != 0 {
		return 0, errno
	}
	switch {
	case request == unix.SIOCINQ && s.typ == unix.SOCK_DGRAM:
		if len(s.messages) > 0 {
			n = len(s.messages[0].data)
		}
	case s.state == listens:
		errno = unix.EINVAL
	case request == unix.SIOCINQ:
		n = len(s.received)
	case request == unix.SIOCOUTQ && s.typ == unix.SOCK_STREAM:
		n = s.outq()
	case request == unix.SIOCATMARK:
	default:
		errno = unix.ENOTTY
	}
	c.end("ioctl", n, errno)
	return n, errno
}
