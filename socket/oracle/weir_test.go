package oracle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// weir is the backend with this module's sockets.
type weir struct{}

func (weir) name() string { return "weir" }

func (weir) open(k kind, local *target) (endpoint, syscall.Errno) {
	var cfg socket.Config
	switch {
	case local == nil:
	case k.family == unix.AF_UNIX:
		cfg.Filename = local.host
	case k.family == unix.AF_INET, k.family == unix.AF_INET6:
		cfg.Address = local.host
	default:
		cfg.Bind = local.addr
	}
	s, err := cfg.New(socket.Family(k.family), socket.Type(k.typ), socket.Protocol(k.proto))
	if err != nil {
		return nil, errnoIn(err)
	}
	return facade{s}, 0
}

func (weir) run(f func() outcome) *call {
	var id atomic.Pointer[[]byte]
	return start(func(body func()) {
		go func() {
			me := goroutineID()
			id.Store(&me)
			body()
			id.Store(nil)
		}()
	}, func() bool { return parked(id.Load()) }, f)
}

// goroutineID returns the beginning of this goroutine's stack trace, up to its state.
func goroutineID() []byte {
	buf := make([]byte, 64)
	before, _, _ := bytes.Cut(buf[:runtime.Stack(buf, false)], []byte("["))
	return append(before, '[')
}

// parked reports whether a goroutine waits for a wake-up, as the calls of a Weir socket
// do. Under the race detector it waits on a channel.
func parked(id *[]byte) bool {
	if id == nil {
		return false
	}
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	_, after, found := bytes.Cut(buf, append([]byte("\n"), *id...))
	return found && (bytes.HasPrefix(after, []byte("IO wait")) || bytes.HasPrefix(after, []byte("chan receive")))
}

// A facade is a Weir socket under test.
type facade struct{ s *socket.Socket }

func (f facade) fd() int { return f.s.Fd() }

func (f facade) listen(backlog int) syscall.Errno { return errnoIn(f.s.Listen(backlog)) }

func (f facade) accept() (endpoint, syscall.Errno) {
	s, err := f.s.Accept()
	if err != nil {
		return nil, errnoIn(err)
	}
	return facade{s}, 0
}

func (f facade) connect(to target) syscall.Errno {
	return errnoIn(f.s.Connect(to.host, to.service))
}

func (f facade) recv(buf []byte, flags int) (int, syscall.Errno) {
	n, err := f.s.Recv(buf, flags)
	if err == io.EOF {
		err = nil
	}
	return n, errnoIn(err)
}

func (f facade) send(buf []byte, flags int) (int, syscall.Errno) {
	n, err := f.s.Send(buf, flags)
	return n, errnoIn(err)
}

func (f facade) shutdown(how int) syscall.Errno { return errnoIn(f.s.Shutdown(how)) }
func (f facade) close() syscall.Errno           { return errnoIn(f.s.Close()) }

// timeoutNames are the names of the timeouts for Setsockopt.
var timeoutNames = map[int]string{unix.SO_RCVTIMEO: "SO_RCVTIMEO", unix.SO_SNDTIMEO: "SO_SNDTIMEO"}

func (f facade) setTimeout(option int, d time.Duration) syscall.Errno {
	var value any = d
	if d == forever {
		value = math.MaxInt64 * 1000.0
	}
	return errnoIn(f.s.Setsockopt(nil, timeoutNames[option], value))
}

func (f facade) setDuration(option int, d time.Duration) syscall.Errno {
	if option == unix.SO_RCVTIMEO {
		return errnoIn(f.s.SetRecvTimeout(d))
	}
	return errnoIn(f.s.SetSendTimeout(d))
}

func (f facade) timeout(option int) time.Duration {
	v, err := f.s.Getsockopt(nil, timeoutNames[option])
	if err != nil {
		return 0
	}
	return time.Duration(v.(float64) * float64(time.Millisecond))
}

func (f facade) setOption(o sockopt, value int) syscall.Errno {
	return errnoIn(f.s.Setsockopt(o.levelName, o.name, value))
}

func (f facade) option(o sockopt) (int, syscall.Errno) {
	v, err := f.s.Getsockopt(o.levelName, o.name)
	if err != nil {
		return 0, errnoIn(err)
	}
	if b, ok := v.(bool); ok {
		v = map[bool]int{true: 1}[b]
	}
	return v.(int), 0
}

// errnoIn returns the errno of an error of a socket. Every such error has one.
func errnoIn(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var e *socket.Error
	if !errors.As(err, &e) {
		panic(fmt.Sprintf("an error without an errno: %v", err))
	}
	return e.Errno
}
