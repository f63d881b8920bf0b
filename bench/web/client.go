package web

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
)

// A Visit tells a client what to ask for, and for how long.
type Visit struct {
	Addr      string
	ServerPID int // whose processor time is taken over the window
	TLS       bool
	KeepAlive bool // else each request has a connection of its own
	Size      int  // bytes of an answer
	Conns     int
	WarmUp    time.Duration // wrk has none
	Window    time.Duration
	Patience  time.Duration // with an answer that is still out
}

// ask is the role of the built-in client: a goroutine for each connection, on Go's net.
func ask(visit Visit, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	v := &visitor{Visit: visit, request: visit.request(), last: time.Now().Add(visit.WarmUp + visit.Window + 2*visit.Patience)}
	result, err := v.run()
	if err != nil {
		return err
	}
	return answer(result)
}

type visitor struct {
	Visit
	request []byte
	last    time.Time // no connection lives longer
}

func (v Visit) request() []byte {
	close := ""
	if !v.KeepAlive {
		close = "Connection: close\r\n"
	}
	return []byte("GET / HTTP/1.1\r\nHost: " + v.Addr + "\r\n" + close + "\r\n")
}

func (v *visitor) run() (load.Result, error) {
	session := load.NewSession()
	members := make([]load.Member, v.Conns)
	for i := range members {
		c := &client{visitor: v}
		members[i] = load.Member{Client: session.Add(), Exchange: c.exchange, Close: c.close}
	}
	return session.Lead(members, v.ServerPID, v.WarmUp, v.Window, v.Patience) // no connection outlives v.last
}

// A client asks again and again, on one connection or on one after the other.
type client struct {
	*visitor
	conn   net.Conn // nil: none is open
	reader *bufio.Reader
}

func (c *client) exchange() error {
	if c.conn == nil {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		c.conn, c.reader = conn, bufio.NewReaderSize(conn, 16<<10)
	}
	if err := c.ask(); err != nil {
		return err
	}
	if !c.KeepAlive {
		c.close()
	}
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close() //nolint:errcheck // all was received
		c.conn = nil
	}
}

func (v *visitor) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", v.Addr, v.Patience)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(v.last); err != nil {
		conn.Close()
		return nil, err
	}
	if v.TLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the server made its own certificate
	}
	return conn, nil
}

func (c *client) ask() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("the server said %s", response.Status)
	case n != int64(c.Size):
		return fmt.Errorf("an answer had %d bytes, not %d", n, c.Size)
	}
	return response.Body.Close()
}
