package metrics

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// Each number of Stats changes a metric: a figure that is added, and forgotten here, shows.
func TestEachFigureIsExported(t *testing.T) {
	store, err := bolt.Open(t.TempDir()+"/t.bolt", bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := NewCollector(s)
	without := []string{"LatenessSum", "LatenessZero", "Until"} // parts of the histogram triggerhook_lateness_seconds, and the end of a pause
	var check func(at func(*triggerhook.Stats) reflect.Value, path string)
	check = func(at func(*triggerhook.Stats) reflect.Value, path string) {
		kind := at(&triggerhook.Stats{}).Type()
		for i := range kind.NumField() {
			field := kind.Field(i)
			here := func(st *triggerhook.Stats) reflect.Value { return at(st).Field(i) }
			var st triggerhook.Stats
			switch kind := field.Type.Kind(); {
			case field.Type == reflect.TypeFor[time.Time]():
				here(&st).Set(reflect.ValueOf(time.Now()))
			case kind == reflect.Struct:
				check(here, path+field.Name+".")
				continue
			case kind == reflect.Int64:
				here(&st).SetInt(1)
			case kind == reflect.Uint64:
				here(&st).SetUint(1)
			default: // maps, lists, and marks of estimates
				continue
			}
			if !slices.Contains(without, field.Name) && !reads(c, st) {
				t.Errorf("no metric reads Stats.%s%s", path, field.Name)
			}
		}
	}
	check(func(st *triggerhook.Stats) reflect.Value { return reflect.ValueOf(st).Elem() }, "")
}

// reads reports whether a metric of c shows that st is not zero.
func reads(c *Collector, st triggerhook.Stats) bool {
	return slices.ContainsFunc(c.counters, func(m counter) bool { return m.read(st.Process) != 0 }) ||
		slices.ContainsFunc(c.gauges, func(m gauge) bool { return m.read(st) != 0 })
}
