package socket_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkZeroCopy compares send(2) with and without MSG_ZEROCOPY over TCP loopback, whose
// receiver copies in any case: go test ./socket -run - -bench ZeroCopy. The metric cpu-µs/MiB
// is the processor time of both ends, and copied/op how many sends of a round the kernel says
// it has copied after all.
func BenchmarkZeroCopy(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20, 16 << 20} {
		for _, flag := range []int{0, unix.MSG_ZEROCOPY} {
			name := map[int]string{0: "copy", unix.MSG_ZEROCOPY: "zerocopy"}[flag]
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) { sendLarge(b, size, flag) })
		}
	}
}

// sendLarge measures rounds that send size bytes to a receiver that throws all away. A program
// may change its buffer only when the kernel has reported that all sends have ended, so each
// round waits for that.
func sendLarge(b *testing.B, size, flag int) {
	fd := drained(b)
	if flag != 0 {
		require.NoError(b, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1))
	}
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i)
	}
	sends, copied := uint32(0), 0
	begin := processorTime(b)
	b.SetBytes(int64(size))
	for b.Loop() {
		for left := p; len(left) > 0; {
			n, err := unix.SendmsgN(fd, left, nil, nil, flag)
			if err == unix.ENOBUFS && flag != 0 { // too many sends have not ended yet
				copied += reap(b, fd, &sends)
				continue
			}
			if err != unix.EINTR {
				require.NoError(b, err)
				left = left[n:]
				if flag != 0 {
					sends++
				}
			}
		}
		for flag != 0 && sends > 0 {
			copied += reap(b, fd, &sends)
		}
	}
	mib := float64(b.N) * float64(size) / (1 << 20)
	b.ReportMetric(float64(processorTime(b)-begin)/1000/mib, "cpu-µs/MiB")
	b.ReportMetric(float64(copied)/float64(b.N), "copied/op")
}

// drained returns a blocking socket whose peer reads everything.
func drained(b *testing.B) int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(b, err)
	b.Cleanup(func() { unix.Close(fd) })
	require.NoError(b, unix.Connect(fd, &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}))
	c, err := l.Accept()
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	go func() {
		for in := make([]byte, 1<<20); ; {
			if _, err := c.Read(in); err != nil {
				return
			}
		}
	}()
	return fd
}

// reap waits for a report of ended sends, and takes them from sends. It returns how many of
// them the kernel has copied. The report is a sock_extended_err: msg_zerocopy.rst of the
// kernel's documentation.
func reap(b *testing.B, fd int, sends *uint32) (copied int) {
	for {
		var control [128]byte
		_, n, _, _, err := unix.Recvmsg(fd, nil, control[:], unix.MSG_ERRQUEUE)
		if err == unix.EAGAIN || err == unix.EINTR {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, -1) // POLLERR is always reported
			if err != unix.EINTR {
				require.NoError(b, err)
			}
			continue
		}
		require.NoError(b, err)
		messages, err := unix.ParseSocketControlMessage(control[:n])
		require.NoError(b, err)
		for _, m := range messages {
			code, first, last := m.Data[6], binary.NativeEndian.Uint32(m.Data[8:]), binary.NativeEndian.Uint32(m.Data[12:])
			ended := last - first + 1
			*sends -= ended
			if code == unix.SO_EE_CODE_ZEROCOPY_COPIED {
				copied += int(ended)
			}
		}
		return copied
	}
}

func processorTime(b *testing.B) int64 {
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
