package weir

import (
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A poll is what the kernel is asked at once: poll(2) with zero timeout. The
// descriptors cannot be closed meanwhile: each question counts as a call.
type poll struct {
	fds    []unix.PollFd
	probes []loop.Probe
	wants  []loop.Interest
}

// What select(2) makes of poll(2)'s bits. RDHUP comes with IN.
const (
	selectRead   = unix.POLLIN | unix.POLLHUP | unix.POLLERR
	selectWrite  = unix.POLLOUT | unix.POLLERR
	selectExcept = unix.POLLPRI
)

func pollBits(want loop.Interest) int16 {
	switch want {
	case loop.Readable:
		return selectRead
	case loop.Writable:
		return selectWrite
	}
	return selectExcept
}

func (p *poll) add(r *loop.Registration, want loop.Interest) error {
	probe, err := r.Probe()
	if err != nil {
		return err
	}
	p.fds = append(p.fds, unix.PollFd{Fd: int32(probe.FD()), Events: pollBits(want)})
	p.probes = append(p.probes, probe)
	p.wants = append(p.wants, want)
	return nil
}

// bigPoll is how many descriptors take long enough to let the scheduler know.
const bigPoll = 64

// ask asks, and ends all probes.
func (p *poll) ask() error {
	// Poll refuses more descriptors than the process may open (RLIMIT_NOFILE,
	// 1024 by custom); one that is in several lists counts as often.
	const most = 1024
	for i := 0; i < len(p.fds); i += most {
		if errno := ppoll(p.fds[i:min(i+most, len(p.fds))]); errno != 0 {
			p.cancel()
			return errno
		}
	}
	for i := range p.probes {
		if p.holds(i) {
			p.probes[i].Done()
		} else {
			p.probes[i].Disprove(p.wants[i])
		}
	}
	return nil
}

func ppoll(fds []unix.PollFd) (errno syscall.Errno) {
	var zero unix.Timespec
	for {
		if len(fds) <= bigPoll {
			_, _, errno = syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
		} else {
			_, _, errno = unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// holds is the answer to one question.
func (p *poll) holds(i int) bool { return p.fds[i].Revents&pollBits(p.wants[i]) != 0 }

// cancel ends the probes without an answer.
func (p *poll) cancel() {
	for i := range p.probes {
		p.probes[i].Done()
	}
	p.reset()
}

// reset forgets the questions.
func (p *poll) reset() {
	clear(p.probes) // a closed registration must be collectable
	p.fds, p.probes, p.wants = p.fds[:0], p.probes[:0], p.wants[:0]
}
