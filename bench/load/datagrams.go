package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

// Over UDP, each client has a number of datagrams in flight. When one has come back, the client
// sends it again.

type datagramTraffic struct {
	*generator
	*exchange
	clients []client
	in, out *wire.Datagrams
}

type client struct {
	fd    int
	slots []slot
}

// A slot is a datagram that is sent over and over.
type slot struct {
	seq      uint32
	inFlight bool
	sent     time.Duration
}

func openDatagrams(g *generator) (traffic, error) {
	order := g.order
	to, err := netip.ParseAddrPort(order.Addr)
	if err != nil {
		return nil, err
	}
	d := &datagramTraffic{
		generator: g,
		exchange:  newExchange(order.Size, 1, false),
		clients:   make([]client, order.Conns),
		in:        wire.NewDatagrams(order.Burst, order.Size+1, false), // one byte more, to notice an answer that is too long
		out:       wire.NewDatagrams(order.Burst, order.Size, false),
	}
	for i := range d.clients {
		c := &d.clients[i]
		c.slots = make([]slot, order.Burst)
		if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return nil, os.NewSyscallError("socket", err)
		}
		if err := unix.Connect(c.fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
			return nil, os.NewSyscallError("connect", err)
		}
		if err := g.watch(c.fd, i, true); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *datagramTraffic) start() error {
	for i := range d.clients {
		c := &d.clients[i]
		for j := range c.slots {
			d.begin(i, j, j)
		}
		if errno := d.out.Send(c.fd, len(c.slots)); errno != 0 {
			return fmt.Errorf("client %d: %w", i, os.NewSyscallError("sendmmsg", errno))
		}
	}
	return nil
}

// begin prepares the next datagram of a slot as the nth of the batch that leaves together.
func (d *datagramTraffic) begin(client, number, nth int) {
	s := &d.clients[client].slots[number]
	s.seq++
	s.inFlight, s.sent = true, d.sent()
	d.stamp(d.index(client, number), s.seq)
	d.out.Put(nth, d.send)
}

func (d *datagramTraffic) index(client, number int) int { return client*d.order.Burst + number }

// ready receives what has come, and sends the same number of new datagrams.
func (d *datagramTraffic) ready(number int) error {
	c := &d.clients[number]
	for {
		n, errno := d.in.Receive(c.fd)
		if errno == unix.EINTR {
			continue
		}
		if errno == unix.EAGAIN {
			return nil
		}
		if errno != 0 {
			return fmt.Errorf("client %d: %w", number, os.NewSyscallError("recvmmsg", errno))
		}
		begun := 0
		for i := range n {
			slot, err := d.verify(number, d.in.Bytes(i))
			if err != nil {
				return fmt.Errorf("client %d: %w", number, err)
			}
			s := &c.slots[slot]
			s.inFlight = false
			if err := d.answered(s.sent, 1); err != nil {
				return err
			}
			if !d.stopping {
				d.begin(number, slot, begun)
				begun++
			}
		}
		if errno := d.out.Send(c.fd, begun); errno != 0 {
			return fmt.Errorf("client %d: %w", number, os.NewSyscallError("sendmmsg", errno))
		}
		if n < d.order.Burst {
			return nil // the socket is drained; a new datagram raises an edge
		}
	}
}

// flush does nothing: ready sends the datagrams of a client together.
func (d *datagramTraffic) flush() error { return nil }

// verify finds the slot whose datagram this is the answer to.
func (d *datagramTraffic) verify(client int, p []byte) (int, error) {
	if len(p) != d.order.Size {
		return 0, fmt.Errorf("%d bytes were sent and %d came back", d.order.Size, len(p))
	}
	slots := d.clients[client].slots
	value := binary.LittleEndian.Uint64(p)
	number := int(value>>40) - client*d.order.Burst
	if number < 0 || number >= len(slots) || !slots[number].inFlight || uint32(value) != slots[number].seq {
		return 0, errors.New("a datagram came that nobody waits for")
	}
	d.stamp(d.index(client, number), slots[number].seq)
	return number, d.check(0, p)
}

func (d *datagramTraffic) finish() error { return nil }
