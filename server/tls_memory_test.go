package server_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// A dam lets all bytes through but those that are written while it holds: of these only so
// many. The rest waits for release.
type dam struct {
	net.Conn
	holds bool
	left  int
	rest  []byte
}

func (d *dam) Write(p []byte) (int, error) {
	n := len(p)
	if d.holds {
		k := min(d.left, n)
		d.left -= k
		d.rest = append(d.rest, p[k:]...)
		p = p[:k]
	}
	if _, err := d.Conn.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

func (d *dam) release() error {
	d.holds = false
	_, err := d.Conn.Write(d.rest)
	return err
}

// tlsServers are servers by Events and by a Handler.
func tlsServers() map[string]*server.Server {
	return map[string]*server.Server{
		"events":  {TLS: serverTLS(), Events: server.Events{Data: echo}},
		"handler": {TLS: serverTLS(), Handler: echoHandler},
	}
}

// A part of a record counts until the record is whole.
func TestMaxMemoryCountsPartsOfRecords(t *testing.T) {
	for name, srv := range tlsServers() {
		t.Run(name, func(t *testing.T) {
			d := &dam{Conn: client(t, serve(t, srv))}
			config := clientTLS()
			config.DynamicRecordSizingDisabled = true // a message is one record
			c := tls.Client(d, config)
			send(t, c, "hello")
			expect(t, c, "hello")
			weirtest.Eventually(t, func() bool { return srv.Stats().Memory == 0 }, "an idle connection holds nothing")
			const part = 10000
			d.holds, d.left = true, part
			message := string(make([]byte, 16000))
			send(t, c, message)
			weirtest.Eventually(t, func() bool { return srv.Stats().Memory >= part }, "the part counts")
			require.NoError(t, d.release())
			expect(t, c, message)
			weirtest.Eventually(t, func() bool { return srv.Stats().Memory == 0 }, "nothing is left")

			d.holds, d.left = true, part
			send(t, c, message)
			weirtest.Eventually(t, func() bool { return srv.Stats().Memory >= part }, "the part counts")
			require.NoError(t, d.Close())
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 && srv.Stats().Memory == 0 }, "the connection ends")
		})
	}
}

// Clients that send parts of records and fall silent cannot fill the memory: those that
// hold most end. One that holds little goes on.
func TestMaxMemoryEndsConnectionsWithPartsOfRecords(t *testing.T) {
	const most, part, clients = 1 << 20, 16000, 80
	machine.NeedFiles(t, 2*clients+50)
	for name, srv := range tlsServers() {
		t.Run(name, func(t *testing.T) {
			log := &journal{}
			srv.MaxMemory, srv.Loops, srv.Log = most, 1, log.logger()
			addr := serve(t, srv)
			small := tlsClient(t, addr, clientTLS())
			send(t, small, "hello")
			expect(t, small, "hello")
			record := append([]byte{23, 3, 3, 0x40, 0}, make([]byte, part)...)
			cache := tls.NewLRUClientSessionCache(1)
			for range clients {
				config := clientTLS()
				config.ClientSessionCache = cache
				c := tlsClient(t, addr, config)
				_, err := c.NetConn().Write(record)
				require.NoError(t, err)
			}
			weirtest.Eventually(t, func() bool { return srv.Stats().Ended > 0 && srv.Stats().Memory <= most*7/8 }, "some of them end")
			require.Positive(t, log.count("the largest connection ends"))
			require.Zero(t, log.count("ERROR"), log.all())
			send(t, small, "hello")
			expect(t, small, "hello")
		})
	}
}
