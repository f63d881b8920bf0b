package oracle

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds all that must happen.
const patience = 30 * time.Second

// A step is what the peer does, in the order of the fields.
type step struct {
	pause time.Duration
	write []byte
	await int // until so many bytes have come
	half  bool
	reset bool
}

// A script is what a peer does in a conversation.
type script struct {
	id      uint64
	steps   []step
	chunk   int           // how many bytes the peer reads at a time
	slow    time.Duration // how long it pauses after each read, while it still has a pause left
	pauses  int
	buffer  int // SO_RCVBUF; 0 is the system's
	answers int // how many bytes of answers the script lets come, without the farewell
	kind    string
}

// An outcome is what a peer has got. The account is the server's.
type outcome struct {
	account
	bytes int
	got   uint32
	last  string
}

func (o outcome) String() string {
	return fmt.Sprintf("the peer got %d bytes (%08x), then %s; the server got %d requests (%08x), then %s",
		o.bytes, o.got, o.last, o.requests, o.sum, o.end)
}

// newScript makes the script of a seed.
func newScript(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &script{id: seed, chunk: 1 << 16}
	if r.IntN(3) == 0 {
		s.chunk, s.slow, s.pauses = 1+r.IntN(5000), time.Millisecond, 20
	}
	if r.IntN(3) == 0 {
		s.buffer = 16 << 10
	}
	stream := request(opName, binary.BigEndian.AppendUint64(nil, seed))
	add := func(op byte) {
		body := make([]byte, size(r))
		if op == opBulk {
			body = body[:len(body)/8]
		}
		for i := range body {
			body[i] = byte(r.Uint32())
		}
		stream = append(stream, request(op, body)...)
		s.answers += len(answer(nil, op, body))
	}
	served := func(n int, ops string) {
		for range n {
			add(ops[r.IntN(len(ops))])
		}
	}
	served(r.IntN(12), "eeebs")
	switch r.IntN(8) {
	case 0, 1:
		s.kind = "the peer resets"
		s.write(r, stream)
		s.steps = append(s.steps, step{await: s.answers})
		stream = stream[:0]
		served(r.IntN(5), "s")
		if r.IntN(2) == 0 {
			stream = append(stream, opEcho, 1)
		}
		s.write(r, stream)
		s.steps = append(s.steps, step{reset: true})
		return s
	case 2, 3:
		s.kind = "the server resets"
		s.write(r, stream)
		s.steps = append(s.steps, step{await: s.answers})
		s.write(r, request(opAbort, nil))
		return s
	case 4:
		s.kind = "the server quits"
		add(opQuit)
		total := s.answers
		served(r.IntN(6), "ebs")
		s.answers = total
	case 5:
		s.kind = "the server ends its stream first"
		add(opHalf)
		total := s.answers
		served(r.IntN(6), "ebs")
		s.answers = total
	default:
		s.kind = "the peer ends its stream"
	}
	if r.IntN(3) == 0 { // a part of a request
		part := request(opEcho, make([]byte, 100))
		stream = append(stream, part[:1+r.IntN(len(part)-1)]...)
	}
	s.write(r, stream)
	s.steps = append(s.steps, step{half: true})
	return s
}

// size returns the length of a body: mostly short.
func size(r *rand.Rand) int {
	switch r.IntN(10) {
	case 0:
		return 0
	case 1, 2:
		return r.IntN(1 << 16)
	case 3, 4, 5:
		return r.IntN(2000)
	}
	return r.IntN(50)
}

// write cuts the bytes into pieces.
func (s *script) write(r *rand.Rand, p []byte) {
	p = append([]byte(nil), p...)
	most := len(p)
	switch r.IntN(4) {
	case 0:
		most = max(1, len(p)/200)
	case 1:
		most = 1500
	}
	for len(p) > 0 {
		n := min(1+r.IntN(max(most, 1)), len(p))
		st := step{write: p[:n]}
		if r.IntN(8) == 0 {
			st.pause = time.Duration(r.IntN(2000)) * time.Microsecond
		}
		s.steps = append(s.steps, st)
		p = p[n:]
	}
}

// run plays the script against the server at the port.
func (s *script) run(port int, a *accounts) (o outcome, err error) {
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		if s.buffer == 0 {
			return nil
		}
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, s.buffer) })
	}}
	conn, err := d.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return o, err
	}
	c := conn.(*net.TCPConn)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	came := make(chan int, 1) // the latest number of bytes
	read := make(chan struct{})
	go func() {
		defer close(read)
		o.bytes, o.got, o.last = s.read(c, came)
	}()
	reset, err := s.play(c, came, read)
	if err != nil {
		return o, err
	}
	if reset {
		c.SetLinger(0)
		c.Close()
	}
	<-read
	if reset {
		o.last = "its own reset"
	}
	select {
	case o.account = <-a.channel(s.id):
		return o, nil
	case <-time.After(patience):
		return o, fmt.Errorf("the server does not end the connection; %v", o)
	}
}

// play does the steps. It returns true if the last one is a reset.
func (s *script) play(c *net.TCPConn, came <-chan int, read <-chan struct{}) (reset bool, err error) {
	have := 0
	for _, st := range s.steps {
		time.Sleep(st.pause)
		if len(st.write) > 0 {
			if _, err := c.Write(st.write); err != nil {
				return false, nil // the server has ended the connection
			}
		}
		for have < st.await {
			select {
			case have = <-came:
			case <-read:
				return false, fmt.Errorf("the stream ends before %d bytes have come", st.await)
			}
		}
		if st.half {
			c.CloseWrite()
		}
		if st.reset {
			return true, acknowledged(c)
		}
	}
	return false, nil
}

// acknowledged waits until the server's kernel has everything: a reset takes away what has
// not left.
func acknowledged(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		left := 0
		raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if left == 0 || err != nil {
			return err
		}
	}
	return fmt.Errorf("the server does not take everything")
}

// read reads until the connection ends.
func (s *script) read(c *net.TCPConn, came chan int) (n int, sum uint32, end string) {
	buf := make([]byte, s.chunk)
	pauses := s.pauses
	for {
		k, err := c.Read(buf)
		n += k
		sum = crc32.Update(sum, crc32.IEEETable, buf[:k])
		select {
		case <-came:
		default:
		}
		came <- n
		if err != nil {
			return n, sum, endOf(err)
		}
		if pauses > 0 {
			pauses--
			time.Sleep(s.slow)
		}
	}
}
