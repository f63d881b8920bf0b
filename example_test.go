package weir_test

import (
	"context"
	"fmt"
	"log"
	"os"

	weir "github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/socket"
)

// One goroutine waits for many sockets.
func ExampleSelect() {
	a, client, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	defer client.Close()
	b, idle, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	defer idle.Close()

	client.WriteLine("hello")
	ready, err := weir.Select([]*socket.Socket{a, b}, nil, nil, weir.Forever)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range ready.Read {
		line, err := s.ReadLine()
		fmt.Println(s == a, line, err)
	}
	// Output: true hello <nil>
}

// A Selector registers its entries once. An idle entry costs nothing.
func ExampleSelector() {
	a, client, err := socket.Pair(socket.Unix, socket.Stream, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	defer client.Close()
	selector := weir.NewSelector()
	defer selector.Close()
	if err := selector.Register(a, weir.Readable, "the first"); err != nil {
		log.Fatal(err)
	}

	client.WriteLine("hello")
	ready, err := selector.Wait(context.Background(), weir.Forever, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range ready {
		line, err := r.What.(*socket.Socket).ReadLine()
		fmt.Println(r.Data, line, err)
	}
	// Output: the first hello <nil>
}

// Select can wait for any descriptor, such as a pipe that os.Pipe has made.
func ExampleWatch() {
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	f, err := weir.Watch(int(r.Fd()))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	ready, err := weir.Select([]*weir.File{f}, nil, nil, weir.NoWait)
	fmt.Println(len(ready.Read), err)
	fmt.Fprint(w, "hello")
	ready, err = weir.Select([]*weir.File{f}, nil, nil, weir.Forever)
	fmt.Println(len(ready.Read), err)
	// Output:
	// 0 <nil>
	// 1 <nil>
}
