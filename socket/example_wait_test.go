package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A receive timeout ends a call and does not change the socket.
func ExampleSocket_SetRecvTimeout() {
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	if err := a.SetRecvTimeout(time.Millisecond); err != nil {
		log.Fatal(err)
	}
	_, err = a.ReadLine()
	fmt.Println(errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded))
	b.WriteLine("late")
	fmt.Println(a.ReadLine())
	// Output:
	// true true
	// late <nil>
}

// A context ends the calls that use a view of the socket.
func ExampleSocket_WithContext() {
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = a.WithContext(ctx).ReadLine()
	fmt.Println(errors.Is(err, unix.EINTR), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

// A Config makes sockets that differ from the default. This one is bound.
func ExampleConfig() {
	s, err := socket.Config{Address: "127.0.0.1", ReuseAddress: true, MaxLine: 512}.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	fmt.Println(s.LocalAddr().Host(), s.LocalAddr().Port() > 0)
	// Output: 127.0.0.1 true
}
