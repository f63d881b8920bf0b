package loop

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// Add adds every field.
func TestStatsAddEachField(t *testing.T) {
	var sum, one Stats
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i + 1))
		case reflect.Uint, reflect.Uint64:
			f.SetUint(uint64(i + 1))
		case reflect.Struct:
			f.Addr().Interface().(interface{ add(uint64) }).add(uint64(i + 1))
		default:
			t.Fatalf("%s has an unknown kind", v.Type().Field(i).Name)
		}
	}
	sum.Add(&one)
	require.Equal(t, one, sum)
	sum.Add(&one)
	twice := reflect.ValueOf(sum)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		require.False(t, twice.Field(i).IsZero(), name)
		if v.Field(i).Kind() != reflect.Bool {
			require.NotEqual(t, v.Field(i).Interface(), twice.Field(i).Interface(), name)
		}
	}
	sum.Add(&Stats{})
	require.True(t, sum.InTurn, "that of either")
}
