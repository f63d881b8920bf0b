package lisp_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// frame returns a frame as a client sends it, with a mask.
func frame(first byte, payload string) []byte {
	mask := []byte{1, 2, 3, 4}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// unmasked returns a frame as a server sends it.
func unmasked(first byte, payload string) []byte {
	masked := frame(first, payload)
	head := len(masked) - len(payload) - 4
	masked[1] &^= 0x80
	return append(masked[:head:head], payload...)
}

func TestWebSocket(t *testing.T) {
	addr := serve(t, "websocket.lisp", "127.0.0.1", "0")
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	// The request and the key of the answer come from RFC 6455.
	_, err = io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(c)
	var head strings.Builder
	for line := ""; line != "\r\n"; head.WriteString(line) {
		line, err = r.ReadString('\n')
		require.NoError(t, err)
	}
	require.True(t, strings.HasPrefix(head.String(), "HTTP/1.1 101 "))
	require.Contains(t, head.String(), "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")

	long, longer := strings.Repeat("€", 1000), strings.Repeat("x", 70000)
	for _, exchange := range []struct{ send, want []byte }{
		{frame(0x81, "hello"), unmasked(0x81, "hello")},
		{frame(0x82, long), unmasked(0x82, long)},
		{frame(0x81, longer), unmasked(0x81, longer)},
		{frame(0x89, "are you there?"), unmasked(0x8a, "are you there?")},
		{bytes.Join([][]byte{frame(0x01, "in "), frame(0x89, ""), frame(0x80, "parts")}, nil), append(unmasked(0x8a, ""), unmasked(0x81, "in parts")...)},
		{frame(0x88, "\x03\xe8"), unmasked(0x88, "\x03\xe8")},
	} {
		_, err := c.Write(exchange.send)
		require.NoError(t, err)
		got := make([]byte, len(exchange.want))
		_, err = io.ReadFull(r, got)
		require.NoError(t, err)
		require.Equal(t, exchange.want, got)
	}
	_, err = r.ReadByte()
	require.Equal(t, io.EOF, err)

	// The server closes the connection after an invalid request, and after a frame
	// without a mask.
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nsec-websocket-key: x\r\n\r\n\x81\x00"} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(c, text)
		require.NoError(t, err)
		_, err = io.ReadAll(c)
		require.NoError(t, err)
	}
}
