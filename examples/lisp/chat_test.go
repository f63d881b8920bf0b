package lisp_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestChat(t *testing.T) {
	for name, connect := range clients {
		other := connect
		if name == "nc" { // nc stays when the server has closed the connection
			other = clients["Go"]
		}
		t.Run(name, func(t *testing.T) { chat(t, connect, other) })
	}
}

func chat(t *testing.T, first, other func(*testing.T, string) *client) {
	addr := serve(t, "chat.lisp", "127.0.0.1", "0")
	ann, bob := first(t, addr), other(t, addr)
	ann.hears("What is your name?")
	bob.hears("What is your name?")
	ann.says("ann\n")
	ann.hears("* ann has joined")
	bob.says("ann\r\n")
	bob.hears("That name is taken. What is yours?")
	bob.says("bob\nhello\n") // two lines at once
	for _, c := range []*client{ann, bob} {
		c.hears("* bob has joined")
		c.hears("bob: hello")
	}

	// The client sends a line in parts, and receives another line in between.
	ann.says("in ")
	bob.says("meanwhile\n")
	ann.hears("bob: meanwhile")
	bob.hears("bob: meanwhile")
	ann.says("parts: €\n\n")
	ann.hears("ann: in parts: €")
	bob.hears("ann: in parts: €")

	bob.says("/who\n")
	bob.hears("ann, bob")
	bob.says("/quit\nnot said\n")
	bob.ends()
	ann.hears("* bob has left")

	cat := other(t, addr)
	cat.hears("What is your name?")
	cat.says("cat\n")
	cat.hears("* cat has joined")
	ann.hears("* cat has joined")
	ann.leave()
	cat.hears("* ann has left")
	cat.says(strings.Repeat("x", 1001))
	cat.hears("That line is too long.")
	cat.ends()
}

// The server closes a client that does not read. No other client waits for it.
func TestChatDropsDeafClients(t *testing.T) {
	addr := serve(t, "chat.lisp", "127.0.0.1", "0")
	deaf, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer deaf.Close()
	require.NoError(t, deaf.(*net.TCPConn).SetReadBuffer(4096))
	ann := clients["Go"](t, addr)
	ann.hears("What is your name?")
	ann.says("ann\n")
	ann.hears("* ann has joined")
	_, err = deaf.Write([]byte("deaf\n"))
	require.NoError(t, err)
	ann.hears("* deaf has joined")

	line := strings.Repeat("x", 900)
	expired := time.After(patience)
	for {
		ann.says(line + "\n")
		select {
		case got := <-ann.lines:
			if got == "* deaf has left" {
				return
			}
			require.Equal(t, "ann: "+line, got)
		case <-expired:
			require.Fail(t, "it stays")
		}
	}
}

// If the server cannot bind its address, it reports an error and does not try without
// end.
func TestServersComplain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	out, err := script(t, "chat.lisp", "127.0.0.1", port).CombinedOutput()
	require.Error(t, err)
	require.Equal(t, "chat: 127.0.0.1 port "+port+": Address already in use\n", string(out))

	out, err = script(t, "time.lisp", "192.0.2.1", "0").CombinedOutput()
	require.Error(t, err)
	require.Equal(t, "time: 192.0.2.1 port 0: Cannot assign requested address\n", string(out))
}
