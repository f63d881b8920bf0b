package net

import (
	"net"
	"os"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// These are the values that net documents for a field of net.KeepAliveConfig that is 0.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// prepareTCP sets the options that net sets on every TCP connection. If the kernel
// refuses a value, prepareTCP keeps the kernel's own value, as net does.
func prepareTCP(fd int, idle time.Duration, config net.KeepAliveConfig) {
	_ = sys.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if !config.Enable && idle >= 0 {
		config = net.KeepAliveConfig{Enable: true, Idle: idle}
	}
	if config.Enable {
		_ = setKeepAlive(fd, config)
	}
}

func setKeepAlive(fd int, c net.KeepAliveConfig) error {
	if err := sys.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, boolInt(c.Enable)); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := setSeconds(fd, unix.TCP_KEEPIDLE, c.Idle, keepAliveIdle); err != nil {
		return err
	}
	if err := setSeconds(fd, unix.TCP_KEEPINTVL, c.Interval, keepAliveInterval); err != nil {
		return err
	}
	if c.Count == 0 {
		c.Count = keepAliveCount
	}
	if c.Count < 0 {
		return nil
	}
	return os.NewSyscallError("setsockopt", sys.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, c.Count))
}

// setSeconds sets a TCP option to a time, rounded up to seconds. 0 sets the usual time. A
// negative time leaves the option as it is.
func setSeconds(fd, option int, d, usual time.Duration) error {
	if d < 0 {
		return nil
	}
	if d == 0 {
		d = usual
	}
	seconds := int((d + time.Second - 1) / time.Second)
	return os.NewSyscallError("setsockopt", sys.SetsockoptInt(fd, unix.IPPROTO_TCP, option, seconds))
}
