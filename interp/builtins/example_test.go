package builtins_test

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/socket"
)

// A builtin of an interpreter turns an error into the message and the number that its
// language has for it.
func ExampleMessage() {
	s, err := socket.New(socket.Inet, socket.Stream, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Close()
	_, err = s.WriteString("hello")
	text, errno := builtins.Message(err)
	fmt.Println(text, int(errno))
	// Output: Bad file descriptor 9
}

// An interpreter's number of seconds becomes a duration, unless it is none.
func ExampleDuration() {
	fmt.Println(builtins.Duration(0.25, time.Second))
	// Output: 250ms true
}
