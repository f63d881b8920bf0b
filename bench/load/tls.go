package load

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
)

// The clients of TLS servers are on Go's net and crypto/tls, with a goroutine each.

// A secureClient sends messages and waits for their echoes.
type secureClient struct {
	order   Order
	once    bool // each message has a connection of its own
	conn    *tls.Conn
	message []byte
	answer  []byte
}

// secureMost bounds the life of a connection, so that no client hangs.
const secureMost = time.Hour

// tlsLoad makes the role of clients that send one message after the other.
func tlsLoad(once bool) child.Role {
	return child.Ordered(func(order Order, answer child.Answer) error {
		if err := machine.RaiseFileLimit(); err != nil {
			return err
		}
		result, err := measureTLS(order, once)
		if err != nil {
			return err
		}
		return answer(result)
	})
}

func measureTLS(order Order, once bool) (Result, error) {
	session := NewSession()
	members := make([]Member, order.Conns)
	for i := range members {
		c := newSecureClient(order, once, i)
		members[i] = Member{session.Add(), c.exchange, c.close}
	}
	return session.Lead(members, order.ServerPID, order.WarmUp, order.Window, order.Patience)
}

// tlsIdle is the role of a client that sends once on each connection, and keeps them all.
func tlsIdle(order Order, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	const atATime = 16
	failures := make([]error, atATime)
	kept := make([]*secureClient, order.Conns)
	defer runtime.KeepAlive(kept) // or the collector closes them, because nothing uses them in the end
	var opening sync.WaitGroup
	for first := range atATime {
		opening.Go(func() {
			for i := first; i < len(kept) && failures[first] == nil; i += atATime {
				kept[i] = newSecureClient(order, false, i)
				failures[first] = kept[i].exchange()
			}
		})
	}
	opening.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	runtime.GC() // so that a connection that nothing keeps is closed now, which the suite notices
	if err := answer(struct{}{}); err != nil {
		return err
	}
	select {} // until the parent ends this process
}

func newSecureClient(order Order, once bool, index int) *secureClient {
	return &secureClient{
		order:   order,
		once:    once,
		message: bytes.Repeat([]byte{byte(index)}, order.Size),
		answer:  make([]byte, order.Size),
	}
}

func (c *secureClient) exchange() error {
	if c.conn == nil {
		raw, err := net.DialTimeout("tcp", c.order.Addr, c.order.Patience)
		if err != nil {
			return err
		}
		c.conn = tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) // the server made its own certificate
		if err := c.conn.SetDeadline(time.Now().Add(secureMost)); err != nil {
			return err
		}
	}
	if _, err := c.conn.Write(c.message); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.conn, c.answer); err != nil {
		return err
	}
	if !bytes.Equal(c.message, c.answer) {
		return errors.New("another message came back")
	}
	if c.once {
		c.close()
	}
	return nil
}

func (c *secureClient) close() {
	if c.conn != nil {
		c.conn.Close() //nolint:errcheck // all was received
		c.conn = nil
	}
}
