package compat

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

var (
	rounds = flag.Int("rounds", 15, "rounds that BenchmarkPaired runs over each package, in turn")
	round  = flag.Duration("round", 200*time.Millisecond, "time of a round")
	only   = flag.String("only", "", "run BenchmarkPaired over one package alone, net or weir: for strace and profiles")
)

// A starter starts a server and a client over a package, and returns one request of
// the client's. Server and client have one connection.
type starter func(tb testing.TB, f face) (request func() error)

// libraries are measured one after the other. prepare starts what both packages use.
var libraries = []struct {
	name    string
	prepare func(tb testing.TB) starter
}{
	{"net-http", both(startHTTP)},
	{"fasthttp", both(startFastHTTP)},
	{"gorilla", both(startGorilla)},
	{"coder", both(startCoder)},
	{"grpc", both(startGRPC)},
	{"quic-go", both(startQUIC)},
	{"dns-udp", both(startDNS("udp4"))},
	{"dns-tcp", both(startDNS("tcp4"))},
	{"ssh", both(startSSH)},
	{"x-net", both(startXNet)},
	{"nats", both(startNATS)},
	{"go-redis", func(tb testing.TB) starter {
		at := redisSocket(tb)
		return func(tb testing.TB, f face) func() error {
			c := redisClient(tb, f, at)
			return func() error { return c.Set(context.Background(), "key", "value", 0).Err() }
		}
	}},
	{"pgx", func(tb testing.TB) starter {
		dir := postgresDir(tb)
		return func(tb testing.TB, f face) func() error {
			c := postgresConn(tb, f, dir)
			return func() error {
				var one int
				return c.QueryRow(context.Background(), "select 1").Scan(&one)
			}
		}
	}},
}

// both is prepare for a library that needs nothing besides its starter.
func both(s starter) func(testing.TB) starter { return func(testing.TB) starter { return s } }

// BenchmarkPaired measures each library over both packages, in alternating rounds, so
// that the load of the machine concerns both. Its results:
//
//   - weir/net: how many requests a second Weir answers for each that Go's net answers,
//     the ratio of the medians of the rounds; above 1 Weir is faster
//   - net-µs/op, weir-µs/op: the medians
//   - net-cpu-µs/op, weir-cpu-µs/op: the time of the processor that this process takes
//   - net-switches/op, weir-switches/op: the context switches of threads of this
//     process that wait
func BenchmarkPaired(b *testing.B) {
	for _, library := range libraries {
		b.Run(library.name, func(b *testing.B) {
			start := library.prepare(b)
			var sides []*side
			for _, f := range faces {
				if *only == "" || *only == f.name {
					sides = append(sides, &side{face: f, request: start(b, f)})
				}
			}
			for i := range 2 * *rounds {
				s := sides[i%len(sides)]
				if err := s.run(*round); err != nil {
					b.Fatalf("%s: %v", s.face.name, err)
				}
			}
			b.ReportMetric(0, "ns/op") // the benchmark counts its own operations
			for _, s := range sides {
				s.report(b)
			}
			if len(sides) == 2 {
				b.ReportMetric(sides[0].median()/sides[1].median(), "weir/net")
			}
		})
	}
}

// A side is a library over one package.
type side struct {
	face    face
	request func() error
	each    []float64 // seconds of a request, one for each round
	done    int       // requests
	used    syscall.Rusage
}

// run makes requests for a time.
func (s *side) run(d time.Duration) error {
	before, start, n := usage(), time.Now(), 0
	for time.Since(start) < d || n == 0 {
		if err := s.request(); err != nil {
			return err
		}
		n++
	}
	s.each = append(s.each, time.Since(start).Seconds()/float64(n))
	after := usage()
	s.done += n
	s.used.Utime.Usec += micros(after.Utime) - micros(before.Utime)
	s.used.Stime.Usec += micros(after.Stime) - micros(before.Stime)
	s.used.Nvcsw += after.Nvcsw - before.Nvcsw
	return nil
}

func usage() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u
}

func micros(t syscall.Timeval) int64 { return t.Nano() / 1000 }

func (s *side) median() float64 {
	sorted := slices.Sorted(slices.Values(s.each))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (s *side) report(b *testing.B) {
	each := func(n int64) float64 { return float64(n) / float64(s.done) }
	b.ReportMetric(s.median()*1e6, s.face.name+"-µs/op")
	b.ReportMetric(each(s.used.Utime.Usec+s.used.Stime.Usec), s.face.name+"-cpu-µs/op")
	b.ReportMetric(each(s.used.Nvcsw), s.face.name+"-switches/op")
}

// Each request that BenchmarkPaired measures succeeds, over both packages.
func TestPairedRequests(t *testing.T) {
	for _, library := range libraries {
		t.Run(library.name, func(t *testing.T) {
			start := library.prepare(t)
			onFaces(t, func(t *testing.T, f face) {
				s := side{face: f, request: start(t, f)}
				for range 3 {
					require.NoError(t, s.run(0))
				}
				require.Equal(t, 3, s.done)
				require.Positive(t, s.median())
			})
		})
	}
}

func startHTTP(tb testing.TB, f face) func() error {
	address := httpServer(tb, f, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	c := &http.Client{Transport: &http.Transport{DialContext: f.Dial}, Timeout: patience}
	tb.Cleanup(c.CloseIdleConnections)
	return func() error {
		r, err := c.Get("http://" + address + "/")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		_, err = io.Copy(io.Discard, r.Body)
		return err
	}
}

func startFastHTTP(tb testing.TB, f face) func() error {
	c, address := fasthttpClient(tb, f)
	return func() error { _, _, err := c.Get(nil, "http://"+address+"/"); return err }
}

func startGorilla(tb testing.TB, f face) func() error {
	c := gorillaClient(tb, f)
	data := make([]byte, 100)
	return func() error {
		if err := c.WriteMessage(gorilla.BinaryMessage, data); err != nil {
			return err
		}
		_, _, err := c.ReadMessage()
		return err
	}
}

func startCoder(tb testing.TB, f face) func() error {
	c := coderClient(tb, f)
	data, ctx := make([]byte, 100), context.Background()
	return func() error {
		if err := c.Write(ctx, coder.MessageBinary, data); err != nil {
			return err
		}
		_, _, err := c.Read(ctx)
		return err
	}
}

func startGRPC(tb testing.TB, f face) func() error {
	c := grpcClient(tb, f)
	r := &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hello")}}
	return func() error { _, err := c.UnaryCall(context.Background(), r); return err }
}

func startQUIC(tb testing.TB, f face) func() error {
	c := quicClient(tb, f)
	data := make([]byte, 1000)
	return func() error { _, err := echo(c, data); return err }
}

func startDNS(network string) starter {
	return func(tb testing.TB, f face) func() error {
		s, address := &dns.Server{}, ""
		if network == "udp4" {
			pc, err := f.ListenPacket(network, "127.0.0.1:0")
			require.NoError(tb, err)
			s.PacketConn, address = pc, pc.LocalAddr().String()
		} else {
			s.Listener = listen(tb, f)
			s.MaxTCPQueries = -1
			address = s.Listener.Addr().String()
		}
		serveDNS(tb, s)
		c, err := f.Dial(bounded(tb), network, address)
		require.NoError(tb, err)
		tb.Cleanup(func() { c.Close() })
		over := &dns.Conn{Conn: c}
		return func() error { return askOver(over) }
	}
}

// startSSH asks for an answer of the server's, as keep-alive of OpenSSH does.
func startSSH(tb testing.TB, f face) func() error {
	c, err := sshListen(tb, f).connect(tb, "secret")
	require.NoError(tb, err)
	tb.Cleanup(func() { c.Close() })
	return func() error { _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); return err }
}

// startXNet echoes batches of one datagram.
func startXNet(tb testing.TB, f face) func() error {
	at, err := f.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { at.Close() })
	from, err := f.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { from.Close() })
	batch := func() []ipv4.Message { return []ipv4.Message{{Buffers: [][]byte{make([]byte, 100)}}} }
	go func() {
		server, ms := ipv4.NewPacketConn(at), batch()
		for {
			if _, err := server.ReadBatch(ms, 0); err != nil {
				return
			}
			if _, err := server.WriteBatch(ms, 0); err != nil {
				return
			}
		}
	}()
	client, out, in := ipv4.NewPacketConn(from), batch(), batch()
	out[0].Addr = at.LocalAddr()
	return func() error {
		if _, err := client.WriteBatch(out, 0); err != nil {
			return err
		}
		_, err := client.ReadBatch(in, 0)
		return err
	}
}

func startNATS(tb testing.TB, f face) func() error {
	c := natsClient(tb, f)
	return func() error { _, err := c.Request("echo", []byte("hello"), patience); return err }
}
