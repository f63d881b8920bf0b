package httpd_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
)

// telling answers with all that it knows of the request.
var telling = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("unread") {
		fmt.Fprintln(w, "unread")
		return
	}
	body, err := io.ReadAll(r.Body)
	if r.ProtoAtLeast(1, 1) { // otherwise the response ends with the connection
		w.Header().Set("Trailer", "Sum")
	}
	fmt.Fprintln(w, r.Method, r.URL, r.Proto, r.ContentLength, r.TransferEncoding, len(body), err, r.Trailer, r.Close)
	if r.URL.Query().Has("flush") {
		_ = http.NewResponseController(w).Flush()
	}
	w.Write(body)
	w.Header().Set("Sum", fmt.Sprint(len(body)))
})

// randomRequest returns the text of a request. Only the last one may end the connection.
func randomRequest(r *rand.Rand, last bool) string {
	body := strings.Repeat("b", []int{0, 1, 10, 5000, 20000}[r.IntN(5)])
	sized := fmt.Sprintf("Host: x\r\nContent-Length: %d\r\n", len(body))
	path := fmt.Sprintf("/%d", r.IntN(1000))
	if r.IntN(3) == 0 {
		path += "?flush"
	}
	if last {
		switch r.IntN(6) {
		case 0:
			return "GET " + path + " HTTP/1.0\r\n\r\n"
		case 1:
			return "GET " + path + " HTTP/1.1\r\nno colon\r\n\r\n"
		case 2:
			return "GET " + path + " HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n"
		case 3:
			return "G\x00T " + path + " HTTP/1.1\r\n\r\n"
		}
		return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	}
	switch r.IntN(7) {
	case 0:
		return "HEAD " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
	case 1:
		return "POST " + path + " HTTP/1.1\r\n" + sized + "\r\n" + body + []string{"", "\r\n"}[r.IntN(2)]
	case 2:
		return "PUT " + path + " HTTP/1.1\r\n" + sized + "Expect: 100-continue\r\n\r\n" + body
	case 3:
		var chunks strings.Builder
		for len(body) > 0 {
			n := 1 + r.IntN(len(body))
			fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n" + chunks.String() + "0\r\nT: t\r\n\r\n"
	case 4:
		return "GET /1.0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" // a flush would end the connection
	case 5:
		return "PUT /?unread HTTP/1.1\r\n" + sized + "\r\n" + body
	}
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
}

// randomPieces cuts the text of requests, at their ends and anywhere. The last request is one
// piece: the server may close the connection before it has read all of it.
func randomPieces(r *rand.Rand, requests []string) (pieces []string) {
	last := len(requests) - 1
	for _, text := range requests[:last] {
		for len(text) > 0 && r.IntN(2) == 0 {
			n := 1 + r.IntN(min(len(text), []int{3, 100, 30000}[r.IntN(3)]))
			pieces = append(pieces, text[:n])
			text = text[n:]
		}
		if r.IntN(4) == 0 || len(pieces) == 0 {
			pieces = append(pieces, text)
		} else {
			pieces[len(pieces)-1] += text
		}
	}
	return append(pieces, requests[last])
}

// talk sends the pieces, with pauses in between, and returns all that the server answers.
func talk(t *testing.T, dial func(t *testing.T) *client, pieces []string, pauses []bool) string {
	t.Helper()
	c := dial(t)
	defer c.Close()
	answers := make(chan []byte, 1)
	go func() {
		all, err := io.ReadAll(c)
		if err != nil {
			all = fmt.Append(all, "\n", err)
		}
		answers <- all
	}()
	for i, piece := range pieces {
		if pauses[i] {
			time.Sleep(5 * time.Millisecond)
		}
		if _, err := io.WriteString(c, piece); err != nil {
			require.NoError(t, err, "%s", <-answers)
		}
	}
	all := <-answers
	return string(regexp.MustCompile(`(?m)^Date: .*$`).ReplaceAll(bytes.TrimSpace(all), []byte("Date:")))
}

// Whatever the requests are, however they are cut, and whenever the connection is parked in
// between: the responses are those of net/http on net, byte for byte.
func TestTheSameResponsesAsNet(t *testing.T) {
	onBoth(t, func(t *testing.T, over func(*http.Server) *http.Server) {
		seed := uint64(time.Now().UnixNano())
		r := rand.New(rand.NewPCG(seed, 0))
		weir := serve(t, over(&http.Server{Handler: telling}))
		plain := &site{Server: over(&http.Server{Handler: telling})}
		var err error
		plain.listener, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer plain.Close()
		if plain.secure = plain.TLSConfig != nil; !plain.secure {
			go plain.Serve(plain.listener)
		} else {
			go plain.ServeTLS(plain.listener, "", "")
		}
		// Each pause parks a connection only if the machine is quick enough.
		for i, begin := 0, time.Now(); i < 12 || weir.Parks() <= 2 && time.Since(begin) < weirtest.Patience; i++ {
			var requests []string
			for n := 1 + r.IntN(8); n > 0; n-- {
				requests = append(requests, randomRequest(r, n == 1))
			}
			pieces := randomPieces(r, requests)
			pauses := make([]bool, len(pieces))
			for i := range pauses {
				pauses[i] = r.IntN(2) == 0
			}
			want := talk(t, plain.dial, pieces, pauses)
			got := talk(t, weir.dial, pieces, pauses)
			require.Equal(t, want, got, "seed %d, conversation %d: %q %v", seed, i, pieces, pauses)
		}
		require.Greater(t, weir.Parks(), 2)
	})
}
