package compat

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// redisSocket starts a redis-server on a unix socket.
func redisSocket(tb testing.TB) string {
	path := program(tb, "redis-server", "redis-server")
	dir := tb.TempDir()
	at := filepath.Join(dir, "s")
	run(tb, exec.Command(path, "--port", "0", "--unixsocket", at, "--save", "", "--dir", dir, "--loglevel", "warning"))
	answers(tb, func() error {
		c, err := net.Dial("unix", at)
		if err == nil {
			c.Close()
		}
		return err
	})
	return at
}

func redisClient(tb testing.TB, f face, at string) *redis.Client {
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: at, Dialer: f.Dial, ReadTimeout: patience})
	tb.Cleanup(func() { c.Close() })
	return c
}

func TestRedis(t *testing.T) {
	at := redisSocket(t)
	onFaces(t, func(t *testing.T, f face) {
		c, ctx := redisClient(t, f, at), bounded(t)
		key := "key-" + f.name
		require.NoError(t, c.Set(ctx, key, "value", 0).Err())
		got, err := c.Get(ctx, key).Result()
		require.NoError(t, err)
		require.Equal(t, "value", got)
		require.ErrorIs(t, c.Get(ctx, "none").Err(), redis.Nil)

		results, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range 1000 {
				p.Incr(ctx, "count-"+f.name)
			}
			return nil
		})
		require.NoError(t, err)
		require.EqualValues(t, 1000, results[999].(*redis.IntCmd).Val())

		sub := c.Subscribe(ctx, "channel-"+f.name)
		defer sub.Close()
		_, err = sub.Receive(ctx)
		require.NoError(t, err)
		for i := range 10 {
			require.NoError(t, c.Publish(ctx, "channel-"+f.name, fmt.Sprint(i)).Err())
			m, err := sub.ReceiveMessage(ctx)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), m.Payload)
		}
	})
}
