package socket

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Peek waits, within the receive timeout, until n bytes are buffered, and returns
// them; they stay unread. They are valid until the next call that reads. How many
// more there are says Buffered; Peek of so many does not wait. The buffer is
// borrowed while there is something in it: who waits in Peek holds none, however
// many connections do. When fewer than n come, Peek returns them together with the
// reason, such as io.EOF or a timeout. Messages are not joined: what is left of one
// is all that comes. An n below 0 or above 2^28 is EINVAL.
func (s *Socket) Peek(n int) ([]byte, error) {
	const op = "peek"
	if n < 0 || n > greatestSize {
		return nil, invalid(op, strconv.Itoa(n), unix.EINVAL, "a size is 0 to 2^28 bytes")
	}
	var data []byte
	err := s.consume(func(in *input, now moment) bool {
		data = in.bytes()
		return len(data) >= n || !s.core.stream() && (now == afterRead || len(data) > 0)
	}, nil)
	if err != nil {
		return data, s.core.failed(op, "", err)
	}
	return data[:min(n, len(data))], nil
}

// Discard reads n of the bytes that are buffered, or all if there are fewer, and
// says how many. It never waits.
func (s *Socket) Discard(n int) int {
	in := s.core.input.Load()
	if in == nil || n <= 0 {
		return 0
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	n = min(n, len(in.bytes()))
	in.take(n)
	return n
}
