package socket_test

import (
	"fmt"

	"github.com/seed-2334f180/weir/socket"
)

func ExampleSocket_Setsockopt() {
	s, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	fmt.Println(s.Setsockopt(nil, "SO_SNDTIMEO", 10000)) // milliseconds
	fmt.Println(s.Setsockopt("tcp", "TCP_NODELAY", true))
	fmt.Println(s.Setsockopt(nil, "SO_LINGER", []int{1, 5}))
	fmt.Println(s.Setsockopt(nil, "SO_RVCTIMEO", 10000))
	fmt.Println(s.Setsockopt(nil, "SO_LINGER", "5 seconds"))
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// setsockopt "SO_RVCTIMEO": protocol not available (level socket has no such option; did you mean SO_RCVTIMEO?)
	// setsockopt SO_LINGER "5 seconds": invalid argument (field 1: an integer is needed; it takes []int: [active seconds])
}

func ExampleSocket_Getsockopt() {
	s, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	for _, name := range []string{"SO_RCVTIMEO", "SO_KEEPALIVE", "SO_LINGER", "SO_BINDTODEVICE"} {
		v, err := s.Getsockopt(nil, name)
		fmt.Printf("%T %v %v\n", v, v, err)
	}
	// Output:
	// float64 0 <nil>
	// bool false <nil>
	// []int [0 0] <nil>
	// string  <nil>
}
