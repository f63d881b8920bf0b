package compat

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

type grpcServer struct {
	pb.UnimplementedTestServiceServer
}

func (grpcServer) UnaryCall(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if r.ResponseSize < 0 {
		return nil, status.Error(codes.InvalidArgument, "a negative size")
	}
	return &pb.SimpleResponse{Payload: &pb.Payload{Body: append([]byte("re: "), r.Payload.GetBody()...)}}, nil
}

func (grpcServer) FullDuplexCall(stream grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: r.Payload}); err != nil {
			return err
		}
	}
}

// grpcClient serves, and returns a client.
func grpcClient(tb testing.TB, f face, opts ...grpc.DialOption) pb.TestServiceClient {
	l := listen(tb, f)
	s := grpc.NewServer()
	pb.RegisterTestServiceServer(s, grpcServer{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Stop()
		require.NoError(tb, <-served)
	})
	dial := grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return f.Dial(ctx, "tcp", address) })
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), dial}, opts...)
	cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(), opts...)
	require.NoError(tb, err)
	tb.Cleanup(func() { cc.Close() })
	return pb.NewTestServiceClient(cc)
}

func TestGRPC(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		c := grpcClient(t, f)
		ctx := bounded(t)
		r, err := c.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hello")}})
		require.NoError(t, err)
		require.Equal(t, "re: hello", string(r.Payload.Body))
		_, err = c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: -1})
		require.Equal(t, codes.InvalidArgument, status.Code(err))

		stream, err := c.FullDuplexCall(ctx)
		require.NoError(t, err)
		for i := range 100 {
			body := make([]byte, i*1000)
			copy(body, fmt.Sprint(i))
			require.NoError(t, stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: body}}))
			r, err := stream.Recv()
			require.NoError(t, err)
			require.Equal(t, body, append([]byte{}, r.Payload.Body...))
		}
		require.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		require.Equal(t, io.EOF, err)

		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		waiting, err := c.FullDuplexCall(short)
		if err == nil { // otherwise the time ended before
			_, err = waiting.Recv()
		}
		require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	})
}

// gRPC sets TCP_USER_TIMEOUT on *net.TCPConn of the standard library alone. A
// program sets it by the Dialer's Control, or hands gRPC the standard type.
func TestGRPCUserTimeout(t *testing.T) {
	const want = 7000
	keep := keepalive.ClientParameters{Time: 10 * time.Second, Timeout: want * time.Millisecond}
	control := weirnet.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, want) })
		if failed != nil {
			return failed
		}
		return err
	}}
	for name, dial := range map[string]func(ctx context.Context, network, address string) (net.Conn, error){
		"Control": control.DialContext,
		"StdConn": func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(weirnet.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return weirnet.StdConn(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			made := make(chan net.Conn, 1)
			f := faces[1]
			f.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if err == nil {
					made <- c
				}
				return c, err
			}
			c := grpcClient(t, f, grpc.WithKeepaliveParams(keep))
			_, err := c.UnaryCall(bounded(t), &pb.SimpleRequest{}) // after it, all options are set
			require.NoError(t, err)
			raw, err := (<-made).(syscall.Conn).SyscallConn()
			require.NoError(t, err)
			got := 0
			require.NoError(t, raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }))
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}
