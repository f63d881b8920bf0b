package oracle

import (
	"io"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// kernelStream is a blocking descriptor.
type kernelStream int

func (fd kernelStream) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (fd kernelStream) Write(p []byte) (total int, err error) {
	for total < len(p) {
		n, err := unix.SendmsgN(int(fd), p[total:], nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return total, os.NewSyscallError("sendmsg", err)
		}
		total += n
	}
	return total, nil
}

func (fd kernelStream) closeWrite() error { return unix.Shutdown(int(fd), unix.SHUT_WR) }

func (fd kernelStream) abort() error {
	return unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// startKernel starts the server that is the oracle: blocking sockets, and a thread for
// each connection.
func startKernel(t *testing.T, a *accounts) (port int) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 1024))
	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	var threads sync.WaitGroup
	threads.Go(func() {
		for {
			conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err == unix.EINTR || err == unix.ECONNABORTED {
				continue
			}
			if err != nil {
				return // shut down
			}
			threads.Go(func() {
				runtime.LockOSThread()
				serveKernel(conn, a)
			})
		}
	})
	t.Cleanup(func() {
		unix.Shutdown(fd, unix.SHUT_RDWR)
		threads.Wait()
		unix.Close(fd)
	})
	return name.(*unix.SockaddrInet4).Port
}

func serveKernel(fd int, a *accounts) {
	var c conversation
	for !c.over {
		if err := c.serve(kernelStream(fd)); err != nil && !c.over {
			c.end = endOf(err)
			break
		}
	}
	unix.Close(fd)
	a.tell(c.id, c.result())
}
