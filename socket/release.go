package socket

import (
	"runtime"

	"github.com/seed-2334f180/weir/internal/sockethook"
	"github.com/seed-2334f180/weir/loop"
)

// Resume makes a Socket, on the default group, of what Release returned: a
// non-blocking descriptor that nothing else uses, and the input that was read
// ahead. Otherwise it is as Adopt.
func Resume(fd int, input []byte) (*Socket, error) { return Config{}.Resume(fd, input) }

// Resume makes a Socket as the function Resume does. The fields of the Config
// mean what they mean for New.
func (cfg Config) Resume(fd int, input []byte) (*Socket, error) {
	const op = "resume"
	c, err := cfg.examine(op, fd)
	if err != nil {
		return nil, err
	}
	if err := cfg.prepare(fd, c.family); err != nil {
		return nil, err
	}
	if len(input) > 0 {
		c.needInput().put(input)
	}
	s, err := attach(fd, c)
	if err != nil {
		return nil, fail(op, "", err)
	}
	return s, nil
}

// put puts bytes into the input, before any call reads.
func (in *input) put(p []byte) {
	in.reserve(len(p))
	in.w += int32(copy(in.memory()[in.w:], p))
	in.settle()
}

// Release closes the Socket, but returns its descriptor, open and non-blocking,
// and the input that was read ahead and not used. The caller owns the descriptor
// from then on. While a call is in progress, Release is EBUSY, and on a closed
// socket EBADF; nothing changes then.
func (s *Socket) Release() (fd int, input []byte, err error) {
	defer runtime.KeepAlive(s)
	fd, err = s.core.reg.Release()
	if err != nil {
		return -1, nil, fail("release", "", err)
	}
	input = make([]byte, s.core.buffered())
	input = input[:s.core.copyInput(input)]
	s.core.dropInput(0)
	return fd, input, nil
}

func init() {
	sockethook.Accepted = func(s any, fd, family int, group *loop.Group, on *loop.Loop) error {
		c := &core{group: group, family: Family(family), typ: Stream}
		if err := c.register(on, fd); err != nil {
			return fail("accept", "", err)
		}
		s.(*Socket).core = c
		return nil
	}
}
