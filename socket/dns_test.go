package socket

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// The tests query no name server. The resolver dials a pipe instead, and gets these
// answers. A name has no dot at its end. A name that is not in the map does not exist.
var hosts sync.Map // string to func(context.Context) []netip.Addr

var fakeResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
	mine, yours := net.Pipe() // a Pipe is no PacketConn, so each message has its length in front, as over TCP
	go func() {
		defer yours.Close()
		serveDNS(ctx, yours)
	}()
	return mine, nil
}}

// serveDNS answers one query of RFC 1035 with one question.
func serveDNS(ctx context.Context, c net.Conn) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	query := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(c, query); err != nil {
		return
	}
	end := 12
	var labels []string
	for query[end] != 0 {
		next := end + 1 + int(query[end])
		labels = append(labels, string(query[end+1:next]))
		end = next
	}
	kind := query[end+2]
	answer := bytes.Clone(query[:end+5])
	copy(answer[2:12], []byte{0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0}) // a response: no such name
	var found []netip.Addr
	if find, ok := hosts.Load(strings.Join(labels, ".")); ok {
		found = find.(func(context.Context) []netip.Addr)(ctx)
	}
	for _, ip := range found {
		answer[3] = 0x80
		if ip.Is4() == (kind == 1) {
			data := ip.AsSlice()
			answer[7]++
			answer = append(answer, 0xC0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(len(data)))
			answer = append(answer, data...)
		}
	}
	if ctx.Err() == nil {
		c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
	}
}
