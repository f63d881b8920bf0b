package compat

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// postgresDir starts PostgreSQL with a unix socket in the directory that it returns.
func postgresDir(tb testing.TB) string {
	initdb, postgres := program(tb, "initdb", "postgresql"), program(tb, "postgres", "postgresql")
	dir, err := os.MkdirTemp("", "weir-pg")
	require.NoError(tb, err)
	tb.Cleanup(func() { os.RemoveAll(dir) })
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 { // PostgreSQL does not run as root
		const nobody = 65534
		require.NoError(tb, os.Chown(dir, nobody, nobody))
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	create := exec.Command(initdb, "-D", dir+"/data", "-U", "weir", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	create.SysProcAttr, create.Dir = as, dir
	out, err := create.CombinedOutput()
	require.NoError(tb, err, "%s", out)
	cmd := exec.Command(postgres, "-D", dir+"/data", "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "logging_collector=off")
	cmd.SysProcAttr, cmd.Dir = as, dir
	run(tb, cmd)
	answers(tb, func() error {
		c, err := net.Dial("unix", dir+"/.s.PGSQL.5432")
		if err == nil {
			c.Close()
		}
		return err
	})
	return dir
}

func postgresConn(tb testing.TB, f face, dir string) (c *pgx.Conn) {
	config, err := pgx.ParseConfig("host=" + dir + " user=weir dbname=postgres sslmode=disable")
	require.NoError(tb, err)
	config.DialFunc = f.Dial
	answers(tb, func() error { // it takes a moment to start up
		c, err = pgx.ConnectConfig(bounded(tb), config)
		return err
	})
	tb.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func TestPostgreSQL(t *testing.T) {
	dir := postgresDir(t)
	onFaces(t, func(t *testing.T, f face) {
		c, ctx := postgresConn(t, f, dir), bounded(t)
		_, err := c.Exec(ctx, "create temporary table things (id int primary key, name text)")
		require.NoError(t, err)
		rows := make([][]any, 5000)
		for i := range rows {
			rows[i] = []any{i, strings.Repeat("n", i%100)}
		}
		n, err := c.CopyFrom(ctx, pgx.Identifier{"things"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
		require.NoError(t, err)
		require.EqualValues(t, len(rows), n)
		var count, length int
		require.NoError(t, c.QueryRow(ctx, "select count(*), sum(length(name)) from things where id < $1", 1000).Scan(&count, &length))
		require.Equal(t, []int{1000, 10 * 99 * 100 / 2}, []int{count, length})
		all, err := c.Query(ctx, "select name from things order by id")
		require.NoError(t, err)
		names, err := pgx.CollectRows(all, pgx.RowTo[string])
		require.NoError(t, err)
		require.Len(t, names, len(rows))

		_, err = c.Exec(ctx, "insert into things values (1, 'again')")
		require.ErrorContains(t, err, "duplicate key")

		// A context ends a query, by a deadline of the connection.
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		_, err = c.Exec(short, "select pg_sleep(60)")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
