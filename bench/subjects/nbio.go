package subjects

import (
	"net"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"
	"github.com/seed-2334f180/weir/bench/wire"
)

var nbioSubject = Subject{
	Name:          "nbio",
	About:         "nbio, an event-driven framework, with one poller",
	ServeEcho:     serveEchoNbio,
	ServePipeline: servePipelineNbio,
	ServeTLS:      serveTLSNbio,
}

func serveEchoNbio(size int, ready func(addr string) error) error {
	return serveNbio(size, ready, func(e *nbio.Engine) {
		e.OnData(func(c *nbio.Conn, p []byte) {
			c.Write(p) //nolint:errcheck // nbio closes the connection
		})
	})
}

func servePipelineNbio(size int, ready func(addr string) error) error {
	return serveNbio(size, ready, func(e *nbio.Engine) {
		var out []byte // the poller's: nbio copies what the kernel does not take
		e.OnOpen(func(c *nbio.Conn) { c.SetSession(new(wire.Unframer)) })
		e.OnData(func(c *nbio.Conn, p []byte) {
			answers, err := c.Session().(*wire.Unframer).Answer(out[:0], p)
			out = answers
			if err != nil {
				c.Close() //nolint:errcheck // there is nobody to tell
				return
			}
			if len(answers) > 0 {
				c.Write(answers) //nolint:errcheck // nbio closes the connection
			}
		})
	})
}

// serveNbio keeps nbio's default: level-triggered events, read and handled on the poller itself.
func serveNbio(size int, ready func(addr string) error, handle func(*nbio.Engine)) error {
	logging.SetLevel(logging.LevelNone) // it would write to the standard output
	var addr string
	engine := nbio.NewEngine(nbio.Config{
		Network:        "tcp4",
		Addrs:          []string{"127.0.0.1:0"},
		NPoller:        1,
		ReadBufferSize: max(size, nbio.DefaultReadBufferSize),
		Listen: func(network, address string) (net.Listener, error) { // net sets TCP_NODELAY on what it accepts
			listener, err := net.Listen(network, address)
			if err == nil {
				addr = listener.Addr().String()
			}
			return listener, err
		},
	})
	handle(engine)
	if err := engine.Start(); err != nil {
		return err
	}
	if err := ready(addr); err != nil {
		return err
	}
	select {}
}
