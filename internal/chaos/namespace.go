//go:build linux

package chaos

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace with a thread in it. A socket belongs to the
// namespace of the thread that makes it.
type Namespace struct{ work chan func() }

// NewNamespace makes a network namespace. Its loopback interface is up.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			ready <- fmt.Errorf("there are no network namespaces: %w", os.NewSyscallError("unshare", err))
			return
		}
		ready <- configure("lo", netip.Addr{}, 0)
		for f := range n.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	return n, nil
}

// Do calls f on the thread of the namespace, and waits for it. f may not wait for another
// Do.
func (n *Namespace) Do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

// Close ends the thread. The namespace goes with its last socket.
func (n *Namespace) Close() { close(n.work) }

// mtu is the largest packet of a device, in bytes.
const mtu = 1500

// device makes a TUN device with an address of a network of 256. Reads and writes of the
// file are packets.
func (n *Namespace) device(address netip.Addr) (f *os.File, err error) {
	n.Do(func() {
		var fd int
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			err = &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
			return
		}
		const name = "chaos0"
		request, _ := unix.NewIfreq(name)
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err == nil {
			err = configure(name, address, mtu)
		}
		if err != nil {
			unix.Close(fd)
			err = fmt.Errorf("make a TUN device: %w", err)
			return
		}
		f = os.NewFile(uintptr(fd), name)
	})
	return f, err
}

// configure gives an interface its address, if that is valid, and turns it on.
func configure(name string, address netip.Addr, mtu uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	set := func(request uint, fill func(*unix.Ifreq)) {
		r, _ := unix.NewIfreq(name)
		fill(r)
		if err == nil {
			err = os.NewSyscallError("ioctl", unix.IoctlIfreq(fd, request, r))
		}
	}
	if address.IsValid() {
		set(unix.SIOCSIFADDR, func(r *unix.Ifreq) { r.SetInet4Addr(address.AsSlice()) })
		set(unix.SIOCSIFNETMASK, func(r *unix.Ifreq) { r.SetInet4Addr([]byte{255, 255, 255, 0}) })
		set(unix.SIOCSIFMTU, func(r *unix.Ifreq) { r.SetUint32(mtu) })
	}
	set(unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING) })
	return err
}
