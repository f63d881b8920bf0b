package subjects

import (
	"github.com/seed-2334f180/weir/socket"
)

var weirLeanSubject = Subject{
	Name:      "weir-lean",
	About:     "weir, whose connections borrow a buffer while there is something in it",
	ServeEcho: serveEchoWeirLean,
	ByRequest: true,
}

func serveEchoWeirLean(size int, ready func(addr string) error) error {
	return serveWeir(ready, func(conn *socket.Socket) {
		for {
			if _, err := conn.Peek(1); err != nil {
				return
			}
			p, err := conn.Peek(conn.Buffered())
			if err != nil {
				return
			}
			if _, err := conn.Write(p); err != nil {
				return
			}
			conn.Discard(len(p))
		}
	})
}
