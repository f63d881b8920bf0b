package httpd_test

import (
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
)

func TestMain(m *testing.M) { weirtest.Main(m) }
