package compat

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// sshServe serves connections with sessions that echo.
func sshServe(l net.Listener, config *ssh.ServerConfig) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, channels, requests, err := ssh.NewServerConn(c, config)
			if err != nil {
				c.Close()
				return
			}
			go ssh.DiscardRequests(requests)
			for channel := range channels {
				go sshSession(channel)
			}
		}()
	}
}

func sshSession(offer ssh.NewChannel) {
	channel, requests, err := offer.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for r := range requests {
		_ = r.Reply(r.Type == "exec", nil)
		if r.Type == "exec" {
			_, _ = io.Copy(channel, channel)
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{3}))
			return
		}
	}
}

// An sshHost serves one address. Its password is "secret".
type sshHost struct {
	f       face
	address string
	key     ssh.PublicKey
}

func sshListen(tb testing.TB, f face) *sshHost {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tb, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(tb, err)
	server := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if string(password) != "secret" {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, nil
	}}
	server.AddHostKey(signer)
	l := listen(tb, f)
	go sshServe(l, server)
	return &sshHost{f, l.Addr().String(), signer.PublicKey()}
}

func (h *sshHost) connect(tb testing.TB, password string) (*ssh.Client, error) {
	c, err := h.f.Dial(bounded(tb), "tcp", h.address)
	require.NoError(tb, err)
	tb.Cleanup(func() { c.Close() })
	conn, channels, requests, err := ssh.NewClientConn(c, "host", &ssh.ClientConfig{
		User: "user", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.FixedHostKey(h.key),
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

func TestSSH(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		host := sshListen(t, f)
		_, err := host.connect(t, "wrong")
		require.ErrorContains(t, err, "unable to authenticate")
		client, err := host.connect(t, "secret")
		require.NoError(t, err)
		defer client.Close()
		session, err := client.NewSession()
		require.NoError(t, err)
		text := strings.Repeat("a line of text\n", 100000)
		session.Stdin = strings.NewReader(text)
		out, err := session.Output("echo")
		var exit *ssh.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 3, exit.ExitStatus())
		require.Equal(t, text, string(out))
	})
}
