// Package shim is what the tests of Go's net become a part of when stdnet runs
// them with Weir's net. It has substitutes for unexported names of net that these
// tests use and that do not reach into net's sockets.
package shim

//lint:file-ignore U1000,ST1001 the tests of net use these names, and the names of package net without a prefix

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	//lint:ignore ST1001 the tests of net are of package net
	. "github.com/seed-2334f180/weir/net"
	"golang.org/x/sys/unix"
)

// What the kernel can do.
func supportsIPv4() bool { return canBind("tcp4", "127.0.0.1:0") }
func supportsIPv6() bool { return canBind("tcp6", "[::1]:0") }

func supportsIPv4map() bool {
	l, err := Listen("tcp", "[::]:0")
	if err != nil {
		return false
	}
	defer l.Close()
	c, err := Dial("tcp4", "127.0.0.1:"+strconv.Itoa(l.Addr().(*TCPAddr).Port))
	if err == nil {
		c.Close()
	}
	return err == nil
}

func canBind(network, address string) bool {
	l, err := Listen(network, address)
	if err == nil {
		l.Close()
	}
	return err == nil
}

func isWildcard(a Addr) bool {
	var ip IP
	switch a := a.(type) {
	case *TCPAddr:
		ip = a.IP
	case *UDPAddr:
		ip = a.IP
	case *IPAddr:
		ip = a.IP
	}
	return ip == nil || ip.IsUnspecified()
}

// Times and hooks that do nothing here.
var (
	noDeadline       time.Time
	aLongTimeAgo     = time.Unix(1, 0)
	testHookStepTime = func() {}
	dnsWaitGroup     sync.WaitGroup
)

// Errors that the tests compare with, as this package's net returns them.
var (
	errMissingAddress    = causeOf(func() error { _, err := Dial("unix", ""); return err }())
	errNoSuitableAddress = errors.New("no suitable address found")
	errCanceled          = context.Canceled
	errTimeout           = os.ErrDeadlineExceeded
	errNotPollable       = errors.New("not pollable")
	errNoSuchHost        = errors.New("no such host")
)

func causeOf(err error) error {
	if op, ok := err.(*OpError); ok {
		return op.Err
	}
	return err
}

// A deadlineError has the properties of the error of a deadline.
type deadlineError interface {
	Timeout() bool
	Temporary() bool
}

// An endedError has the properties of the error of a dial whose context has ended.
type endedError interface {
	Timeout() bool
	Is(error) bool
}

// The addresses of a pipe and a file in an error.
type (
	pipeAddr struct{}
	fileAddr string
)

func (*pipeAddr) Network() string { return "pipe" }
func (*pipeAddr) String() string  { return "pipe" }
func (fileAddr) Network() string  { return "file+net" }
func (f fileAddr) String() string { return string(f) }

// zoneCache knows the names of the interfaces.
var zoneCache zoneNames

type zoneNames struct{}

func (zoneNames) name(index int) string {
	if i, err := InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}

// maxListenerBacklog is the most that the system allows.
func maxListenerBacklog() int {
	text, _ := os.ReadFile("/proc/sys/net/core/somaxconn")
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return unix.SOMAXCONN
	}
	return n
}

func listenerBacklog() int { return maxListenerBacklog() }

// What the tests of keep-alive probes expect.
const (
	defaultTCPKeepAliveIdle     = 15 * time.Second
	defaultTCPKeepAliveInterval = 15 * time.Second
	defaultTCPKeepAliveCount    = 9
)

const hasSOLMPTCP = true

// isUsingMPTCPProto reports whether a connection's socket is one of MPTCP.
func isUsingMPTCPProto(c *TCPConn) bool {
	proto := 0
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { proto, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL) })
	}
	return err == nil && proto == unix.IPPROTO_MPTCP
}

const _IPPROTO_MPTCP = unix.IPPROTO_MPTCP

// A netFD has the fields and methods of a listener's descriptor that the tests use.
type netFD struct {
	family int
	laddr  Addr
	net    string
}

// familyOf returns the family of an address.
func familyOf(a Addr) int {
	var ip IP
	switch a := a.(type) {
	case *TCPAddr:
		ip = a.IP
	case *UDPAddr:
		ip = a.IP
	}
	if len(ip) <= IPv4len || ip.To4() != nil {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// fdOf returns the netFD of a listener or connection.
func fdOf(x any) *netFD {
	fd := new(netFD)
	switch x := x.(type) {
	case Listener:
		fd.laddr = x.Addr()
	case Conn:
		fd.laddr = x.LocalAddr()
	}
	fd.net = fd.laddr.Network()
	raw, err := x.(syscall.Conn).SyscallConn()
	if err == nil {
		_ = raw.Control(func(d uintptr) { fd.family, _ = unix.GetsockoptInt(int(d), unix.SOL_SOCKET, unix.SO_DOMAIN) })
	}
	return fd
}

// testHookLookupIP is a hook that nothing calls. The tests that need it are in the
// list of those that are left out.
var testHookLookupIP = func(
	ctx context.Context, fn func(context.Context, string, string) ([]IPAddr, error), network, host string,
) ([]IPAddr, error) {
	return fn(ctx, network, host)
}

// portOf returns the port of a listener or connection.
func portOf(x any) string {
	var a Addr
	switch x := x.(type) {
	case Listener:
		a = x.Addr()
	case Conn:
		a = x.LocalAddr()
	}
	_, port, err := SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return port
}
