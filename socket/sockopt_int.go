package socket

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// SetsockoptInt sets an option whose value is an int, by the kernel's numbers of
// level and option, such as unix.SOL_SOCKET and unix.SO_KEEPALIVE:
// setsockopt(2). A value that does not fit in 32 bits is EINVAL. So are
// SO_RCVTIMEO and SO_SNDTIMEO, as in the kernel, because their value is not an
// int: see SetRecvTimeout and SetSendTimeout. It does not allocate.
func (s *Socket) SetsockoptInt(level, option, value int) error {
	err := s.control("setsockopt", "", func(fd int) error {
		if s.core.timeoutOption(level, option) != nil || value < math.MinInt32 || value > math.MaxUint32 {
			return unix.EINVAL
		}
		v := int32(value)
		return s.core.setsockopt(fd, level, option, unsafe.Slice((*byte)(unsafe.Pointer(&v)), 4))
	})
	if e, ok := err.(*Error); ok {
		e.Addr = fmt.Sprintf("level %d option %d to %d", level, option, value)
	}
	return err
}

// GetsockoptInt returns an option whose value is an int, by the kernel's numbers
// of level and option: getsockopt(2). SO_RCVTIMEO and SO_SNDTIMEO are EINVAL:
// see RecvTimeout and SendTimeout. Reading SO_ERROR clears it; it includes an
// error that an earlier call of this socket had no way to report.
func (s *Socket) GetsockoptInt(level, option int) (value int, err error) {
	err = s.control("getsockopt", "", func(fd int) error {
		if s.core.timeoutOption(level, option) != nil {
			return unix.EINVAL
		}
		if level == unix.SOL_SOCKET && option == unix.SO_ERROR {
			if errno := s.core.owed.Swap(0); errno != 0 {
				value = int(errno)
				return nil
			}
		}
		value, err = sys.GetsockoptInt(fd, level, option)
		return err
	})
	if e, ok := err.(*Error); ok {
		e.Addr = fmt.Sprintf("level %d option %d", level, option)
	}
	return value, err
}
