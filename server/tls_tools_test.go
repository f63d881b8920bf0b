package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// tool returns the path of a program, or skips the test. With CI set in the environment
// the test fails instead.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: the Debian package %s has it", name, name)
	}
	t.Skipf("%s is not installed, so its connections are not tested: the Debian package %s has it", name, name)
	return ""
}

// answerLine answers each line that has arrived.
func answerLine(c *server.Conn) error {
	for {
		end := bytes.IndexByte(c.Peek(-1), '\n')
		if end < 0 {
			return nil
		}
		line := strings.TrimRight(string(c.Next(end+1)), "\r\n")
		if _, err := c.WriteString("you said " + line + "\n"); err != nil {
			return err
		}
		if line == "bye" {
			c.Close()
		}
	}
}

// lineHandler is answerLine for a Session.
func lineHandler(s *server.Session) error {
	line, err := s.ReadLine()
	if err != nil {
		return err
	}
	if _, err = s.WriteLine("you said " + line); err == nil && line == "bye" {
		err = s.Close()
	}
	return err
}

func TestTLSWithOpenSSL(t *testing.T) {
	openssl := tool(t, "openssl")
	cert, _ := identityFiles(t)
	for name, srv := range map[string]*server.Server{
		"events":  {Events: server.Events{Data: answerLine}},
		"handler": {Handler: lineHandler},
	} {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			t.Run(name+version, func(t *testing.T) {
				srv := &server.Server{Events: srv.Events, Handler: srv.Handler, TLS: serverTLS()}
				addr := serve(t, srv)
				cmd := exec.Command(openssl, "s_client", "-connect", addr.String(), "-CAfile", cert, "-verify_return_error", "-servername", "localhost", version, "-msg")
				in, err := cmd.StdinPipe()
				require.NoError(t, err)
				out, err := cmd.StdoutPipe()
				require.NoError(t, err)
				cmd.Stderr = cmd.Stdout
				require.NoError(t, cmd.Start())
				stop := time.AfterFunc(weirtest.Patience, func() { _ = cmd.Process.Kill() })
				defer stop.Stop()
				lines := bufio.NewScanner(out)
				until := func(want string) {
					for lines.Scan() {
						if strings.Contains(lines.Text(), want) {
							return
						}
					}
					t.Fatalf("openssl did not print %q", want)
				}
				send(t, in, "hello\n")
				until("you said hello")
				if version == "-tls1_3" {
					send(t, in, "k\n") // the client updates its keys
					until("KEYUPDATE")
					send(t, in, "again\n")
					until("you said again")
					send(t, in, "K\n") // and asks for an update of the server's
					until("KEYUPDATE")
					until("<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
				}
				send(t, in, "bye\n")
				until("you said bye")
				until("closed")
				_ = cmd.Wait() // the exit status depends on the version
			})
		}
	}
}

func TestTLSWithCurl(t *testing.T) {
	curl := tool(t, "curl")
	cert, _ := identityFiles(t)
	respond := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{Data: func(c *server.Conn) error {
		if !bytes.HasSuffix(c.Peek(-1), []byte("\r\n\r\n")) {
			return nil
		}
		c.Next(-1)
		_, err := c.WriteString(respond(strings.Repeat("x", 100000)))
		return err
	}}})
	url := "https://localhost:" + fmt.Sprint(addr.Port()) + "/"
	out, err := exec.Command(curl, "-sS", "--max-time", "20", "--cacert", cert, "--resolve", "localhost:"+fmt.Sprint(addr.Port())+":127.0.0.1", url, url).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, strings.Repeat("x", 200000), string(out))
}
