package compat

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
)

// A face is what a program imports: Go's net, or Weir's.
type face struct {
	name         string
	Listen       func(network, address string) (net.Listener, error)
	ListenPacket func(network, address string) (net.PacketConn, error)
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
}

var faces = []face{
	{"net", net.Listen, net.ListenPacket, new(net.Dialer).DialContext},
	{"weir", weirnet.Listen, weirnet.ListenPacket, new(weirnet.Dialer).DialContext},
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// onFaces runs a test over both.
func onFaces(t *testing.T, test func(t *testing.T, f face)) {
	for _, f := range faces {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}

// listen listens on a free port of 127.0.0.1.
func listen(tb testing.TB, f face) net.Listener {
	tb.Helper()
	l, err := f.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { l.Close() })
	return l
}

// bounded returns a context that ends with the test, or when patience does.
func bounded(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// certificates returns the configurations of a TLS server and its client.
func certificates(tb testing.TB, protocol string) (server, client *tls.Config) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(tb, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(tb, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{protocol}}
	client = &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{protocol}}
	return server, client
}

// program finds a program that a test needs, or skips the test: in CI it fails.
func program(tb testing.TB, name, debian string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is missing: apt-get install %s", name, debian)
	}
	tb.Skipf("skipped: %s is missing: apt-get install %s", name, debian)
	return ""
}

// run starts a server program, and ends it with the test. What it has printed is
// shown if the test fails.
func run(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("%s:\n%s", cmd.Path, &out)
		}
	})
}

// answers waits until a server program answers.
func answers(tb testing.TB, ask func() error) {
	tb.Helper()
	end := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			require.NoError(tb, err, "the server does not answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
