package net

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What a field of net.KeepAliveConfig means that is 0, as net documents.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// prepareTCP sets what net sets on every TCP connection. Like net it goes on with
// the kernel's own values where the kernel refuses one.
func prepareTCP(fd int, idle time.Duration, config net.KeepAliveConfig) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if !config.Enable && idle >= 0 {
		config = net.KeepAliveConfig{Enable: true, Idle: idle}
	}
	if config.Enable {
		_ = setKeepAlive(fd, config)
	}
}

func setKeepAlive(fd int, c net.KeepAliveConfig) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, boolInt(c.Enable)); err != nil {
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
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, c.Count))
}

// setSeconds sets an option of TCP to a time, rounded up to seconds: 0 means the
// usual time, and a negative one leaves the option as it is.
func setSeconds(fd, option int, d, usual time.Duration) error {
	if d < 0 {
		return nil
	}
	if d == 0 {
		d = usual
	}
	seconds := int((d + time.Second - 1) / time.Second)
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, seconds))
}
