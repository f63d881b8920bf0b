package oracle

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A step is one line of a scenario: a call on a socket, or another action of the script.
type step struct {
	name string
	sock string                                  // the name of the socket; "" for "s"
	call func(w *world, s endpoint) outcome      // the call, which may block
	act  func(w *world, s endpoint) (out string) // the action of the script, which does not block
	end  func(w *world) *call                    // finds the call to wait for
}

// on returns the step with a call on another socket than "s", such as an accepted one.
func on(sock string, st step) step {
	st.sock = sock
	st.name = sock + "." + st.name
	return st
}

// The following steps are calls on the socket.

// timed makes a call to which a timeout applies. It returns the result and the time that
// the call took.
func timed(s endpoint, option, flags int, f func() string) (o outcome) {
	if flags&unix.MSG_DONTWAIT == 0 {
		o.limit = s.timeout(option)
	}
	begin := time.Now()
	o.text = f()
	o.took = time.Since(begin)
	return o
}

func recv(n int, flags ...int) step {
	f := or(flags)
	return step{name: fmt.Sprintf("recv(%d%s)", n, flagNames(f)), call: func(w *world, s endpoint) outcome {
		buf := make([]byte, n)
		return timed(s, unix.SO_RCVTIMEO, f, func() string {
			got, errno := s.recv(buf, f)
			return received(buf[:min(got, n)], got, errno)
		})
	}}
}

// received returns the count and the data of a receiving call, as text.
func received(data []byte, n int, errno syscall.Errno) string {
	switch {
	case errno != 0 && n != 0:
		return fmt.Sprintf("%d and %s", n, errnoName(errno)) // this text is never right
	case errno != 0:
		return errnoName(errno)
	case n == 0:
		return "0"
	case len(data) > 16:
		return fmt.Sprintf("%d #%08x", n, crc32.ChecksumIEEE(data))
	}
	return fmt.Sprintf("%d %q", n, data)
}

func send(data string, flags ...int) step {
	f := or(flags)
	return step{name: fmt.Sprintf("send(%q%s)", data, flagNames(f)), call: func(w *world, s endpoint) outcome {
		return w.send(s, []byte(data), f)
	}}
}

// sendN sends n bytes of a sequence in which no two places look alike.
func sendN(n int, flags ...int) step {
	f := or(flags)
	return step{name: fmt.Sprintf("send(%d bytes%s)", n, flagNames(f)), call: func(w *world, s endpoint) outcome {
		return w.send(s, pattern(w.taken(nil), n), f)
	}}
}

// sendBig is sendN, but the test only compares whether the socket took none, part or all.
// How much TCP takes depends on its timing.
func sendBig(n int, flags ...int) step {
	st := sendN(n, flags...)
	exact := st.call
	st.call = func(w *world, s endpoint) outcome {
		before := w.taken(nil)
		o := exact(w, s)
		switch taken := w.taken(nil) - before; {
		case taken == n:
			o.text = "all"
		case taken > 0:
			o.text = "part"
		}
		return o
	}
	return st
}

// fillUp sends until the socket takes no more. It does not wait.
func fillUp() step {
	return step{name: "fill up", act: func(w *world, s endpoint) string {
		size := 64 << 10
		if w.kind.typ != unix.SOCK_STREAM {
			size = 100
		}
		enough := 1
		if w.kind.isTCP() {
			enough = 12 // the kernel still moves what it has taken
		}
		for refused := 0; refused < enough; {
			if o := w.send(s, pattern(w.taken(nil), size), unix.MSG_DONTWAIT); o.text == "EAGAIN" {
				refused++
				if w.kind.isTCP() {
					time.Sleep(25 * time.Millisecond)
				}
				continue
			}
			refused = 0
		}
		return ""
	}}
}

func (w *world) send(s endpoint, data []byte, flags int) outcome {
	var n int
	o := timed(s, unix.SO_SNDTIMEO, flags, func() string {
		var errno syscall.Errno
		n, errno = s.send(data, flags)
		switch {
		case errno != 0 && n != 0:
			return fmt.Sprintf("%d and %s", n, errnoName(errno)) // this text is never right
		case errno != 0:
			return errnoName(errno)
		}
		return fmt.Sprint(n)
	})
	w.taken(data[:n])
	return o
}

func accept() step {
	return step{name: "accept", call: func(w *world, s endpoint) outcome {
		return timed(s, unix.SO_RCVTIMEO, 0, func() string {
			a, errno := s.accept()
			if errno == 0 {
				w.accepted(a)
			}
			return errnoName(errno)
		})
	}}
}

// connect connects to the peer "l".
func connect() step {
	return step{name: "connect", call: func(w *world, s endpoint) outcome {
		return timed(s, unix.SO_SNDTIMEO, 0, func() string { return errnoName(s.connect(w.target)) })
	}}
}

// These calls do not block. The test compares them only if they fail.

func rcvtimeo(d time.Duration) step { return settimeo("SO_RCVTIMEO", unix.SO_RCVTIMEO, d) }
func sndtimeo(d time.Duration) step { return settimeo("SO_SNDTIMEO", unix.SO_SNDTIMEO, d) }

func settimeo(name string, option int, d time.Duration) step {
	return step{name: fmt.Sprintf("%s=%v", name, d), act: func(w *world, s endpoint) string {
		if errno := s.setTimeout(option, d); errno != 0 {
			return errnoName(errno)
		}
		return ""
	}}
}

// timeouts reads both timeouts back.
func timeouts() step {
	return step{name: "timeouts", act: func(w *world, s endpoint) string {
		return fmt.Sprintf("%v %v", s.timeout(unix.SO_RCVTIMEO), s.timeout(unix.SO_SNDTIMEO))
	}}
}

// bySetter sets the receive timeout by the method for this purpose.
func bySetter(d time.Duration) step {
	return step{name: fmt.Sprintf("SetRecvTimeout(%v)", d), act: func(w *world, s endpoint) string {
		return errnoName(s.setDuration(unix.SO_RCVTIMEO, d))
	}}
}

// option sets an option.
func option(o sockopt, value int) step {
	return step{name: fmt.Sprintf("%s=%d", o.name, value), act: func(w *world, s endpoint) string {
		require.Zero(w.t, s.setOption(o, value))
		return ""
	}}
}

// optionBehind sets an option of the descriptor by a system call that the socket does not
// see.
func optionBehind(o sockopt, value int) step {
	return step{name: fmt.Sprintf("%s=%d on the descriptor", o.name, value), act: func(w *world, s endpoint) string {
		require.NoError(w.t, unix.SetsockoptInt(s.fd(), o.level, o.number, value))
		return ""
	}}
}

// These calls do not block, and the test compares them.

func shutdown(how int) step {
	return step{name: "shutdown(" + [...]string{"RD", "WR", "RDWR"}[how] + ")", act: func(w *world, s endpoint) string {
		return errnoName(s.shutdown(how))
	}}
}

func closing() step {
	return step{name: "close", act: func(w *world, s endpoint) string { return errnoName(s.close()) }}
}

func listen(backlog int) step {
	return step{name: fmt.Sprintf("listen(%d)", backlog), act: func(w *world, s endpoint) string {
		return errnoName(s.listen(backlog))
	}}
}

// soError takes the pending error.
func soError() step {
	return step{name: "SO_ERROR", act: func(w *world, s endpoint) string {
		v, errno := s.option(soErrorOption)
		require.Zero(w.t, errno)
		return errnoName(syscall.Errno(v))
	}}
}

// The following steps concern calls in the background.

// begin starts a call and waits until it is blocked or has returned. The test compares
// which.
func begin(st step) step {
	return step{name: "begin " + st.name, sock: st.sock, act: func(w *world, s endpoint) string {
		c := w.backend.run(func() outcome { return st.call(w, s) })
		w.calls = append(w.calls, c)
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			switch {
			case len(c.done) > 0:
				return "returns"
			case c.blocked():
				return "blocks"
			case time.Now().After(end):
				return "neither blocks nor returns"
			}
		}
	}}
}

// blocked returns whether the oldest call is still blocked after a while.
func blocked() step {
	return step{name: "blocked?", act: func(w *world, _ endpoint) string {
		time.Sleep(30 * time.Millisecond)
		if len(w.calls[0].done) > 0 {
			return "returned"
		}
		return "blocked"
	}}
}

// finish waits for the oldest call.
func finish() step {
	return step{name: "finish", end: func(w *world) *call {
		c := w.calls[0]
		w.calls = w.calls[1:]
		return c
	}}
}

// finishAny waits for the first call that ends.
func finishAny() step {
	return step{name: "finish any", end: func(w *world) *call {
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			for i, c := range w.calls {
				if len(c.done) > 0 {
					w.calls = slices.Delete(w.calls, i, i+1)
					return c
				}
			}
		}
		return w.calls[0] // the wait for this call then fails
	}}
}

func or(flags []int) (all int) {
	for _, f := range flags {
		all |= f
	}
	return all
}

func flagNames(flags int) string {
	names := []struct {
		flag int
		name string
	}{
		{unix.MSG_OOB, "OOB"}, {unix.MSG_PEEK, "PEEK"}, {unix.MSG_WAITALL, "WAITALL"},
		{unix.MSG_DONTWAIT, "DONTWAIT"}, {unix.MSG_TRUNC, "TRUNC"}, {unix.MSG_ERRQUEUE, "ERRQUEUE"},
		{unix.MSG_MORE, "MORE"}, {unix.MSG_EOR, "EOR"}, {unix.MSG_CTRUNC, "CTRUNC"},
		{unix.MSG_WAITFORONE, "WAITFORONE"}, {unix.MSG_FASTOPEN, "FASTOPEN"},
	}
	var set []string
	for _, n := range names {
		if flags&n.flag != 0 {
			set = append(set, n.name)
		}
	}
	if len(set) == 0 {
		return ""
	}
	return " " + strings.Join(set, "|")
}

// pattern returns n bytes of an endless sequence, from the given offset.
func pattern(offset, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := offset + i
		b[i] = byte(at*7 + at>>8 + at>>16)
	}
	return b
}
