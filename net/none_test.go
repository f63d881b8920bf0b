package net_test

import (
	"fmt"
	"net"
	"reflect"
	"syscall"
	"testing"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
)

// The zero value of a connection or listener is none. Its methods return EINVAL, as those
// of net do, and nothing else.
func TestMethodsOfNone(t *testing.T) {
	t.Parallel()
	for _, none := range []any{
		new(weirnet.TCPConn), new(weirnet.UDPConn), new(weirnet.UnixConn), new(weirnet.IPConn), new(weirnet.TCPListener), new(weirnet.UnixListener),
	} {
		v := reflect.ValueOf(none)
		for i := range v.NumMethod() {
			name := fmt.Sprintf("%T.%s", none, v.Type().Method(i).Name)
			m := v.Method(i)
			if n := m.Type().NumOut(); n == 0 || m.Type().Out(n-1) != reflect.TypeFor[error]() {
				continue
			}
			var args []reflect.Value
			for j := range m.Type().NumIn() {
				arg := reflect.Zero(m.Type().In(j))
				if arg.Type() == reflect.TypeFor[*net.Buffers]() {
					arg = reflect.ValueOf(&net.Buffers{[]byte("x")})
				}
				args = append(args, arg)
			}
			results := m.Call(args)
			for j, r := range results[:len(results)-1] {
				require.True(t, r.IsZero(), "%s: result %d is %v", name, j, r)
			}
			err, _ := results[len(results)-1].Interface().(error)
			require.ErrorIs(t, err, syscall.EINVAL, name)
		}
	}
}
