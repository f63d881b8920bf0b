package shim

//lint:file-ignore U1000 the tests of net use these names

import (
	"os"
	"testing"

	. "github.com/seed-2334f180/weir/net"
)

// A file of stdnet assigns the tests' own preparation to prepare.
var prepare = func() {}

func TestMain(m *testing.M) {
	prepare()
	os.Exit(m.Run())
}

// expectSendfile calls f. It does not check that sendfile(2) sends the file: a test of
// Weir's package net does.
func expectSendfile(t *testing.T, _ Conn, f func()) {
	t.Helper()
	f()
}

// forceGoDNS makes net use the resolver that is written in Go.
func forceGoDNS() func() {
	old := DefaultResolver
	DefaultResolver = &Resolver{PreferGo: true}
	return func() { DefaultResolver = old }
}

// forceCgoDNS does nothing: the C library's resolver is the same for both packages.
func forceCgoDNS() func() { return func() {} }
