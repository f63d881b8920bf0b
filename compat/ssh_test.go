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

func TestSSH(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	server := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if string(password) != "secret" {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, nil
	}}
	server.AddHostKey(signer)
	onFaces(t, func(t *testing.T, f face) {
		l := listen(t, f)
		go sshServe(l, server)
		connect := func(password string) (*ssh.Client, error) {
			c, err := f.Dial(bounded(t), "tcp", l.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			conn, channels, requests, err := ssh.NewClientConn(c, "host", &ssh.ClientConfig{
				User: "user", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.FixedHostKey(signer.PublicKey()),
			})
			if err != nil {
				return nil, err
			}
			return ssh.NewClient(conn, channels, requests), nil
		}
		_, err := connect("wrong")
		require.ErrorContains(t, err, "unable to authenticate")
		client, err := connect("secret")
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
