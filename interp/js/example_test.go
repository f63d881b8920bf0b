package js_test

import (
	"context"
	"fmt"

	"github.com/seed-2334f180/weir/interp/js"
)

// A Go program runs JavaScript: an echo server, and a client that says one word.
func Example() {
	source := `
		const net = require("net");
		const server = net.createServer((socket) => socket.pipe(socket));
		server.listen(0, "127.0.0.1", () => {
			const client = net.connect(server.address().port, "127.0.0.1");
			client.on("data", (data) => {
				console.log(data.toString());
				client.end();
				server.close();
			});
			client.write("hello");
		});`
	if err := js.Run(context.Background(), "echo.js", source, js.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output: hello
}
