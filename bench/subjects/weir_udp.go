package subjects

import (
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

var weirBatchSubject = Subject{
	Name:     "weir-batch",
	About:    "weir, but with RecvBatch and SendBatch (udp)",
	ServeUDP: serveUDPWeirBatch,
}

func serveUDPWeir(size int, ready func(addr string) error) error {
	s, err := datagramWeir(ready)
	if err != nil {
		return err
	}
	for buf := make([]byte, max(size, 2048)); ; {
		n, from, err := s.RecvFrom(buf, 0)
		if err != nil {
			return err
		}
		if _, err := s.SendToAddr(buf[:n], from, 0); err != nil {
			return err
		}
	}
}

func serveUDPWeirBatch(size int, ready func(addr string) error) error {
	s, err := datagramWeir(ready)
	if err != nil {
		return err
	}
	in, out := make([]socket.Message, UDPBatch), make([]socket.Message, UDPBatch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, max(size, 2048))}
		out[i].Buffers = make([][]byte, 1)
	}
	for {
		n, err := s.RecvBatch(in, unix.MSG_WAITFORONE)
		if err != nil {
			return err
		}
		for i := range n {
			out[i].Buffers[0] = in[i].Buffers[0][:in[i].N]
			out[i].Addr = in[i].Addr
		}
		if _, err := s.SendBatch(out[:n], 0); err != nil {
			return err
		}
	}
}

// datagramWeir opens a socket on a free port, and tells ready its address.
func datagramWeir(ready func(addr string) error) (*socket.Socket, error) {
	s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Dgram, 0)
	if err != nil {
		return nil, err
	}
	return s, ready(s.LocalAddr().String())
}
